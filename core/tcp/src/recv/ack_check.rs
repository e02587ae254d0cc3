//! Which acknowledgement numbers count, and which windows.
//!
//! Owns: acceptability of SEG.ACK in synchronised states; the WL1/WL2 rule.
//! Must not know: what is freed by an acknowledgement, SACK, congestion control.
//! Implements: RFC 9293 §3.10.7.4 fifth check (E-18, E-19); RFC 5961 §5.2 (5961-5);
//! draft-ietf-tcpm-tcp-ghost-acks (5961-7).

use usertcp_base::Seq;

/// What of the send side an acknowledgement is held against.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SendSpace {
    /// SND.UNA.
    pub una: Seq,
    /// The sequence number after the last ever sent (SND.NXT before any rollback by a timeout).
    pub nxt: Seq,
    /// MAX.SND.WND: the largest scaled window the peer ever offered.
    pub max_wnd: u32,
    /// Octets from ISS+1 to SND.UNA, saturating: how far below SND.UNA anything was ever sent.
    pub acknowledged: u32,
}

/// What SEG.ACK is.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AckCheck {
    /// Moves SND.UNA forward by so many numbers.
    Advances(u32),
    /// Equal to SND.UNA: nothing new acknowledged (a duplicate in the sense of RFC 5681 §2 if the
    /// rest of that definition holds too).
    Current,
    /// Below SND.UNA, by no more than the peer can honestly be late: the segment is processed,
    /// its ACK field is not.
    Old,
    /// Acknowledges what was never sent: answer with an ACK, drop (E-18).
    TooNew,
    /// Below anything an honest peer could say: answer with an ACK, drop (5961-5, 5961-7).
    TooOld,
}

/// Judges SEG.ACK against the send side.
pub fn check(ack: Seq, send: &SendSpace) -> AckCheck {
    if let Some(ahead) =
        ack.distance_from(send.una).filter(|ahead| *ahead <= send.nxt.since(send.una))
    {
        return if ahead == 0 { AckCheck::Current } else { AckCheck::Advances(ahead) };
    }
    // Half a circle away is "before" in both directions; as nothing here reaches that far it is
    // called too new.
    if !ack.before(send.una) || ack.0.wrapping_sub(send.una.0) == 1 << 31 {
        return AckCheck::TooNew;
    }
    let behind = send.una.since(ack);
    if behind <= send.max_wnd.min(send.acknowledged) { AckCheck::Old } else { AckCheck::TooOld }
}

/// SND.WL1 and SND.WL2: the segment that the send window was last taken from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WindowSource {
    /// Its SEG.SEQ.
    pub wl1: Seq,
    /// Its SEG.ACK.
    pub wl2: Seq,
}

/// What becomes of SEG.WND.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WindowUpdate {
    /// SND.WND becomes SEG.WND, and this segment its source.
    Take,
    /// An older segment, overtaken: ignore its window.
    Stale,
}

impl WindowSource {
    /// Judges the window of a segment whose ACK is acceptable, and remembers it when taken.
    pub fn offer(&mut self, seq: Seq, ack: Seq) -> WindowUpdate {
        if self.wl1.before(seq) || (self.wl1 == seq && self.wl2.at_or_before(ack)) {
            *self = WindowSource { wl1: seq, wl2: ack };
            WindowUpdate::Take
        } else {
            WindowUpdate::Stale
        }
    }
}
