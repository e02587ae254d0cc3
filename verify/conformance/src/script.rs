//! A script as values. Owns: the syntax tree, and the three ways a script may stop.
//! Must not know: text, the stack.

use crate::wire::Opt;

/// Why a script did not run to its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stop {
    /// The stack, or the script, is wrong; the text is what a person reads.
    Failed {
        /// Line of the script.
        line: usize,
        /// What differs.
        reason: String,
    },
    /// The script needs something that the runner or the stack does not have: neither pass nor fail.
    Unsupported {
        /// Line of the script.
        line: usize,
        /// What.
        reason: String,
    },
}

impl Stop {
    /// A failure.
    pub fn failed(line: usize, reason: impl Into<String>) -> Stop {
        Stop::Failed { line, reason: reason.into() }
    }
    /// Something that is not there.
    pub fn unsupported(line: usize, reason: impl Into<String>) -> Stop {
        Stop::Unsupported { line, reason: reason.into() }
    }
}

/// A whole script.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// `--name=value` lines.
    pub options: Vec<(String, String)>,
    /// Everything after them, in order.
    pub events: Vec<Event>,
}

/// One line of a script.
#[derive(Clone, Debug)]
pub struct Event {
    /// Line number, from 1.
    pub line: usize,
    /// As it was written.
    pub text: String,
    /// When.
    pub when: When,
    /// What.
    pub action: Action,
}

/// A time as written, microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// Since the start.
    Absolute(u64),
    /// Since the event before.
    Relative(u64),
    /// Any time.
    Any,
    /// Between two times since the start.
    Range(u64, u64),
    /// Between two times since the event before.
    RelativeRange(u64, u64),
}

impl Event {
    /// Whether it is the peer's, or the network's, doing.
    pub fn is_inbound(&self) -> bool {
        matches!(self.action, Action::Inbound(_) | Action::Icmp(_))
    }

    /// When it is done, counted from `base` if it says so or says nothing definite.
    pub fn due(&self, base: u64) -> u64 {
        match self.when {
            When::Absolute(at) => at,
            When::Relative(at) => base + at,
            _ => base,
        }
    }

    /// When a call with this `end` written beside it is over: counted as its start is.
    pub fn call_end(&self, base: u64, end: Option<u64>) -> Option<u64> {
        let from = if matches!(self.when, When::Relative(_)) { base } else { 0 };
        end.map(|end| from + end)
    }
}

/// What happens.
#[derive(Clone, Debug)]
pub enum Action {
    /// The peer sends.
    Inbound(Packet),
    /// The network says something of a packet of ours.
    Icmp(Icmp),
    /// The stack is to send.
    Outbound(Packet),
    /// A call; with the time it ends if it blocks.
    Call(Call, Option<u64>),
    /// A command of the shell.
    Shell(String),
    /// Assertions.
    Code(String),
}

/// A TCP packet as written. `None`: not written.
#[derive(Clone, Debug, Default)]
pub struct Packet {
    /// ECN bits of the IP header.
    pub ecn: Option<EcnWanted>,
    /// The whole TOS octet.
    pub tos: Option<u8>,
    /// TTL or hop limit.
    pub ttl: Option<u8>,
    /// Ports, for packets of other connections.
    pub ports: Option<(u16, u16)>,
    /// Flag bits, low nine of the header.
    pub flags: u16,
    /// The three ECN bits were written as one number.
    pub ace: bool,
    /// First sequence number.
    pub seq: u32,
    /// Octets of payload.
    pub length: u32,
    /// Acknowledgement number.
    pub ack: Option<u32>,
    /// Window field.
    pub window: Option<u16>,
    /// Urgent pointer.
    pub urgent: u16,
    /// Options; `None` is `<...>`.
    pub options: Option<Vec<Opt>>,
}

/// An ICMP message as written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Icmp {
    /// Type and code with IPv4.
    pub v4: (u8, u8),
    /// Type and code with IPv6.
    pub v6: (u8, u8),
    /// The MTU it names.
    pub mtu: u32,
    /// First sequence number and payload octets of the packet it is about.
    pub about: (u32, u32),
}

/// ECN bits as written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EcnWanted {
    /// Exactly these two bits.
    Bits(u8),
    /// Either of the two capable marks.
    Capable,
}

/// A call as written.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// Its arguments.
    pub args: Vec<Arg>,
    /// Its result; `None` is `?`.
    pub result: Option<i64>,
    /// The error.
    pub errno: Option<String>,
}

/// An argument as written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Arg {
    /// A number.
    Number(i64),
    /// Names joined by `|`.
    Names(Vec<String>),
    /// Text.
    Text(String),
    /// `...`
    Ellipsis,
    /// `[a, b]`
    List(Vec<Arg>),
    /// `{name=a, name=b}`
    Record(Vec<(String, Arg)>),
}

impl EcnWanted {
    /// The bits to send; of the two capable marks the common one.
    pub fn bits(self) -> u8 {
        match self {
            EcnWanted::Bits(bits) => bits,
            EcnWanted::Capable => 2,
        }
    }
    /// Whether a packet with these bits is meant.
    pub fn allows(self, bits: u8) -> bool {
        match self {
            EcnWanted::Bits(wanted) => wanted == bits,
            EcnWanted::Capable => bits == 1 || bits == 2,
        }
    }
}
