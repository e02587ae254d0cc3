//! sendmsg and recvmsg. Owns: control messages, the error queue, what asks for its records.
//! Must not know: how control messages are laid out in a script.

use super::{Pending, Posix, Source, Status, Target};
use std::collections::VecDeque;

/// An extended error, `struct sock_extended_err`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ExtendedError {
    /// Error number.
    pub errno: u32,
    /// Where it is from, `SO_EE_ORIGIN_*`.
    pub origin: u8,
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// More.
    pub info: u32,
    /// And more.
    pub data: u32,
}

/// A control message that was received.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Control {
    /// Octets left to read (TCP_CM_INQ).
    Inq(i32),
    /// An extended error (IP_RECVERR, IPV6_RECVERR).
    Error(ExtendedError),
    /// A time (SCM_TIMESTAMPING), microseconds of script time.
    Stamp(u64),
    /// Statistics (SCM_TIMESTAMPING_OPT_STATS): attribute and value.
    Statistics(Vec<(u16, u64)>),
}

/// Records that wait.
#[derive(Clone, Debug, Default)]
pub struct ErrorQueue {
    records: VecDeque<Vec<Control>>,
}

impl ErrorQueue {
    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

/// What SO_TIMESTAMPING asks for.
#[derive(Clone, Debug, Default)]
pub struct Stamping {
    /// `SOF_TIMESTAMPING_*`.
    pub flags: i64,
}

/// What `recvmsg` tells beside its data.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Received {
    /// `MSG_*` of the result.
    pub flags: i64,
    /// Control messages.
    pub control: Vec<Control>,
}

impl Posix {
    /// `sendmsg(2)` without an address.
    pub fn sendmsg(
        &mut self,
        fd: i32,
        from: &[Source<'_>],
        flags: i64,
        pending: &mut Pending,
    ) -> Status {
        self.send(fd, from, flags, pending)
    }

    /// `recvmsg(2)`.
    pub fn recvmsg(
        &mut self,
        fd: i32,
        into: &mut [Target<'_>],
        flags: i64,
        pending: &mut Pending,
    ) -> (Status, Received) {
        (self.receive(fd, into, flags, pending), Received::default())
    }
}
