//! What a reset does to a synchronised connection.
//!
//! Owns: the decision between reset, challenge and silence.
//! Must not know: what the reset segment acknowledges (in synchronised states it does not
//! count), the throttle of challenges, timestamps (a reset is exempt from PAWS, 7323-13).
//! Implements: RFC 9293 §3.10.7.4 second check (E-13), RFC 5961 §3.2 (5961-1, -2, -3), MUST-66.

use super::window_check::Window;
use usertcp_base::Seq;

/// What to do about a reset.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResetDecision {
    /// It is the peer's: the connection ends.
    Reset,
    /// It may be a blind guess: a challenge acknowledgement makes a genuine peer repeat itself
    /// at exactly RCV.NXT.
    Challenge,
    /// Outside the window: not a word.
    Ignore,
}

/// Decides about a reset at `seq`.
///
/// `highest_held` is the right edge of the highest range that waits out of order, when SACK
/// tells the peer of it: a peer that lost its state mid-flight resets there, and deployed stacks
/// take it (RFC 5961 §3.2 knew only RCV.NXT). It has to be one that was *reported*; who guesses
/// it has guessed as much as RCV.NXT.
pub fn decide(seq: Seq, window: &Window, highest_held: Option<Seq>) -> ResetDecision {
    if seq == window.nxt || highest_held == Some(seq) {
        ResetDecision::Reset
    } else if window.contains(seq) {
        ResetDecision::Challenge
    } else {
        ResetDecision::Ignore
    }
}
