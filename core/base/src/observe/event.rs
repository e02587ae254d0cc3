//! The one event enum. Owns: what can be told about a connection or a shard.

use crate::{DropReason, Seq, Span};

/// What keeps a connection from sending, at one moment. Exactly one holds at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Limiter {
    /// Nothing: it is sending.
    Sending,
    /// The application has nothing to send.
    Application,
    /// The peer's receive window is full.
    PeerWindow,
    /// The congestion window is full.
    Congestion,
    /// The stream's own rate limit.
    Rate,
    /// The rate limit of the listener that accepted it, shared with what else it accepted.
    ListenerRate,
    /// The rate limit of the group it joined.
    GroupRate,
    /// The rate limit of the shard.
    ShardRate,
}

impl Limiter {
    /// How many there are.
    pub const COUNT: usize = 8;
    /// Their names, in order.
    pub const NAMES: [&'static str; 8] = [
        "sending",
        "application",
        "peer_window",
        "congestion",
        "rate",
        "listener_rate",
        "group_rate",
        "shard_rate",
    ];

    /// Whether it is a rate that several streams share.
    pub const fn is_shared(self) -> bool {
        matches!(self, Limiter::ListenerRate | Limiter::GroupRate | Limiter::ShardRate)
    }
}

/// Why a segment was sent again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RetransmitCause {
    /// Recovery marked it lost (RACK, or three duplicate acknowledgements).
    Recovery,
    /// The retransmission timer fired.
    Timeout,
    /// Tail loss probe.
    TailProbe,
    /// A handshake segment.
    Handshake,
}

/// Why a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum CloseReason {
    /// Both sides sent FIN and had it acknowledged.
    Normal,
    /// The peer reset it.
    Reset,
    /// Nothing listened there (reset during an active open).
    Refused,
    /// Retransmissions or the user timeout ran out.
    TimedOut,
    /// Keep-alive probes went unanswered.
    KeepAlive,
    /// The network said so while opening (RFC 9293 §3.9.2.2, restricted by RFC 5927).
    Unreachable,
    /// The application aborted it, or closed with unread data.
    Aborted,
    /// A limit of the stack.
    Limit,
}

/// Something that happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A connection reached ESTABLISHED.
    Opened {
        /// By our own SYN, rather than the peer's.
        active: bool,
    },
    /// A connection became idle and gave back its TCB.
    Parked,
    /// A parked connection got its TCB back.
    Activated,
    /// A connection's record is gone, or shrank to TIME-WAIT.
    Closed(CloseReason),
    /// A segment left: first octet, payload octets.
    Sent {
        /// First sequence number.
        seq: Seq,
        /// Payload octets.
        octets: u32,
    },
    /// A segment left again.
    Retransmitted {
        /// First sequence number.
        seq: Seq,
        /// Payload octets.
        octets: u32,
        /// Why.
        cause: RetransmitCause,
    },
    /// SND.UNA advanced by this many octets.
    Acknowledged(u32),
    /// Octets newly selectively acknowledged.
    Sacked(u32),
    /// Octets marked lost.
    Lost(u32),
    /// A retransmission turned out not to have been needed.
    Spurious,
    /// A round-trip sample.
    RoundTrip(Span),
    /// The retransmission timer fired, for the n-th time in a row.
    Timeout(u8),
    /// The congestion window changed.
    Window {
        /// Congestion window in octets.
        window: u32,
        /// Slow-start threshold in octets.
        threshold: u32,
    },
    /// Another limiter took over.
    Limited(Limiter),
    /// The path's MTU for this connection became this.
    PathMtu(u16),
    /// Repeated retransmission of one segment: the path is suspect (R1).
    PathSuspect,
    /// A packet died.
    Dropped(DropReason),
    /// Something the peer may not do, with no other consequence than this event.
    PeerFault(DropReason),
}
