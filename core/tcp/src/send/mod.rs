//! The sending side: what may leave, in which pieces.
//! Owns: `Snd`, the rules of Nagle and silly-window avoidance, segment building, window probes.
//! Must not know: what is lost (recovery) and when it may leave (pace).
//! Implements: RFC 9293 §3.7.4, §3.8.6, §3.10.2; RFC 7323 §3.2.

pub mod allow;
mod header;
mod mtu_probe;
pub(crate) mod poll;
pub mod probe;
mod write;

pub use poll::{PollSegment, SendRoom};
pub use write::{HEADROOM_OCTETS, WriteEnd};

use usertcp_base::{Seq, WireWindow};

/// The send sequence space (RFC 9293 §3.3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Snd {
    /// Oldest unacknowledged sequence number.
    pub una: Seq,
    /// Next sequence number to send. Never goes back: retransmission is by marks.
    pub nxt: Seq,
    /// Window as last accepted, in octets.
    pub wnd: u32,
    /// Segment acknowledgement number of the last window update.
    pub wl2: Seq,
    /// Segment sequence number of the last window update.
    pub wl1: Seq,
    /// Largest window the peer ever offered.
    pub max_wnd: u32,
    /// End of the last segment sent that was smaller than it could have been (Minshall's variant
    /// of Nagle, RFC 9293 App. A.3).
    pub small: Seq,
}

impl Snd {
    /// Of a connection that just became synchronised: SND.UNA, the window of the peer's SYN, and its initial number.
    pub(crate) fn beginning(una: Seq, window: WireWindow, irs: Seq) -> Snd {
        let wnd = u32::from(window.0);
        Snd { una, nxt: una, wnd, wl1: irs, wl2: una, max_wnd: wnd, small: una }
    }
    /// Whether two with nothing outstanding, which count from zero, are equal.
    #[inline(always)] // a part of a comparison
    pub(crate) fn is_same_quiet(&self, other: &Snd) -> bool {
        let Snd { una: _, nxt: _, small: _, wnd, wl2, wl1, max_wnd } = *self;
        (wnd, max_wnd) == (other.wnd, other.max_wnd) && (wl1, wl2) == (other.wl1, other.wl2)
    }
    /// The window is the largest so far.
    #[cold]
    pub(crate) fn raise_max_wnd(&mut self) {
        self.max_wnd = self.wnd;
    }
    /// The right edge of the peer's window.
    pub fn right_edge(&self) -> Seq {
        self.una + self.wnd
    }
    /// Octets of window left to the right of what was sent; zero when the peer shrank it (MUST-34).
    pub fn usable(&self) -> u32 {
        self.right_edge().since(self.nxt)
    }
    /// Octets of sequence space sent and not acknowledged: what is sent is not before what is acknowledged.
    pub fn outstanding(&self) -> u32 {
        self.nxt.0.wrapping_sub(self.una.0)
    }
}
