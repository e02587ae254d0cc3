//! A synchronised connection as a pair of halves. Owns: `SendHalf`, `RecvHalf`, and the RFC's state
//! names derived from the pair. Must not know: queues, segments.
//! Implements: RFC 9293 §3.3.2 (state names), §3.6 (closing).

/// Our sending direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum SendHalf {
    /// The application may write.
    Open,
    /// It has closed; data and FIN are on their way.
    Closing,
    /// The peer has acknowledged our FIN.
    Closed,
}

/// Our receiving direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum RecvHalf {
    /// The peer may send.
    Open,
    /// Its FIN has arrived, and all data before it.
    Closed,
}

/// Both halves, and which closed first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Halves {
    send: SendHalf,
    recv: RecvHalf,
    /// The peer's FIN came before we closed: LAST-ACK rather than CLOSING, and no TIME-WAIT.
    peer_first: bool,
}

/// The RFC's names, for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[allow(missing_docs)]
pub enum StateName {
    Listen,
    SynSent,
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    TimeWait,
    Closed,
}

impl StateName {
    /// As the RFC writes it.
    pub const fn label(self) -> &'static str {
        match self {
            StateName::Listen => "LISTEN",
            StateName::SynSent => "SYN-SENT",
            StateName::SynReceived => "SYN-RECEIVED",
            StateName::Established => "ESTABLISHED",
            StateName::FinWait1 => "FIN-WAIT-1",
            StateName::FinWait2 => "FIN-WAIT-2",
            StateName::CloseWait => "CLOSE-WAIT",
            StateName::Closing => "CLOSING",
            StateName::LastAck => "LAST-ACK",
            StateName::TimeWait => "TIME-WAIT",
            StateName::Closed => "CLOSED",
        }
    }
}

impl Halves {
    /// Both open: ESTABLISHED.
    pub const OPEN: Halves =
        Halves { send: SendHalf::Open, recv: RecvHalf::Open, peer_first: false };

    /// The sending direction.
    pub const fn send(&self) -> SendHalf {
        self.send
    }
    /// The receiving direction.
    pub const fn recv(&self) -> RecvHalf {
        self.recv
    }
    /// A pair, for the transition table and its tests.
    pub(crate) const fn new(send: SendHalf, recv: RecvHalf, peer_first: bool) -> Halves {
        Halves { send, recv, peer_first }
    }

    /// The name of the pair.
    pub const fn state(&self) -> StateName {
        match (self.send, self.recv) {
            (SendHalf::Open, RecvHalf::Open) => StateName::Established,
            (SendHalf::Open, RecvHalf::Closed) => StateName::CloseWait,
            (SendHalf::Closing, RecvHalf::Open) => StateName::FinWait1,
            (SendHalf::Closing, RecvHalf::Closed) if self.peer_first => StateName::LastAck,
            (SendHalf::Closing, RecvHalf::Closed) => StateName::Closing,
            (SendHalf::Closed, RecvHalf::Open) => StateName::FinWait2,
            (SendHalf::Closed, RecvHalf::Closed) if self.peer_first => StateName::Closed,
            (SendHalf::Closed, RecvHalf::Closed) => StateName::TimeWait,
        }
    }
}
