//! What loss recovery is told and what it answers.
//!
//! Owns: the plain types of the crate-facing edge of `recovery`.
//! Must not know: how any of it is decided.
//! Implements: nothing by itself; the words are those of RFC 6298, 8985 and 9937.

use crate::ecn::{MarkReport, Marked};
use usertcp_base::{Instant, Seq, Span};

/// The bounds recovery works within.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoverySettings {
    /// Least retransmission timeout (6298-4; project default 200 ms, strict profile 1 s).
    pub rto_min: Span,
    /// Longest retransmission timeout, back-off included (6298-5).
    pub rto_max: Span,
    /// How long the peer may hold an acknowledgement back. Added to the probe timeout when one
    /// segment is in flight (8985-9), and the least variance term of the RTO, so that a path of
    /// constant delay does not time out on the first delayed acknowledgement.
    pub max_ack_delay: Span,
    /// Make each timeout up to a tenth longer, at random, so that connections that lost together
    /// do not come back together (AT-37).
    pub rto_jitter: bool,
    /// SACKed ranges remembered; further ones are ignored until some have merged (AT-6, AT-8).
    pub sack_ranges: u16,
    /// Probe a silent tail (RFC 8985 §7).
    pub tail_probe: bool,
}

impl Default for RecoverySettings {
    fn default() -> Self {
        RecoverySettings {
            rto_min: Span::from_millis(200),
            rto_max: Span::from_secs(120),
            max_ack_delay: Span::from_millis(200),
            rto_jitter: false,
            sack_ranges: 512,
            tail_probe: true,
        }
    }
}

/// What is known when the connection becomes synchronised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoveryStart {
    /// The moment.
    pub now: Instant,
    /// SND.UNA.
    pub una: Seq,
    /// Payload octets of a full segment.
    pub mss: u32,
    /// Both sides permitted SACK: RACK-TLP; otherwise the rules of RFC 5681 and 6582.
    pub sack: bool,
    /// Both sides sent timestamps: Eifel detection.
    pub timestamps: bool,
    /// Round-trip time of the handshake, if it gave an unambiguous sample.
    pub rtt: Option<Span>,
    /// The timer expired for our SYN or SYN-ACK (6298-10).
    pub handshake_timed_out: bool,
    /// SRTT and RTTVAR of earlier connections to the host (RFC 9040).
    pub earlier_rtt: Option<(Span, Span)>,
    /// Earlier connections saw reordering.
    pub reorders: bool,
}

/// One acknowledgement, already checked to be acceptable (RFC 9293 §3.10.7.4).
#[derive(Clone, Copy, Debug)]
pub struct AckInput<'a> {
    /// SEG.ACK.
    pub ack: Seq,
    /// SACK blocks in the order of the option, unchecked; empty when the option was absent.
    pub sack: &'a [(Seq, Seq)],
    /// When the segment whose timestamp is echoed was sent: the start of that timestamp's
    /// millisecond. `None` without timestamps.
    pub echoed_at: Option<Instant>,
    /// SEG.WND differs from the window before this segment.
    pub window_changed: bool,
    /// The segment carries payload, SYN or FIN, so that it is no duplicate acknowledgement.
    pub has_payload: bool,
    /// New data waits and the peer's window has room for some of it (F-RTO asks).
    pub new_data_ready: bool,
    /// Payload octets of a full segment, now.
    pub mss: u32,
    /// What it says of congestion marks.
    pub marks: MarkReport,
    /// The octets of the path MTU probe outstanding: its loss alone is no congestion (P-2).
    pub mtu_probe: Option<(Seq, Seq)>,
}

/// What one acknowledgement did.
#[must_use]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AckOutcome {
    /// Octets by which SND.UNA advanced.
    pub newly_acked_octets: u32,
    /// Octets newly selectively acknowledged.
    pub newly_sacked_octets: u32,
    /// Octets newly known to have arrived, either way.
    pub delivered_octets: u32,
    /// Octets newly marked lost.
    pub lost_octets: u32,
    /// The round-trip sample taken.
    pub rtt: Option<Span>,
    /// It was a duplicate acknowledgement (RFC 5681 §2, or RFC 6675 §2 with SACK).
    pub duplicate: bool,
    /// Its first SACK block reported a duplicate segment (RFC 2883).
    pub dsack: bool,
    /// The last congestion event turned out to be none and was undone.
    pub spurious: bool,
    /// Fast recovery began.
    pub entered_recovery: bool,
    /// What it said of congestion marks.
    pub marked: Marked,
    /// The window was reduced for a mark.
    pub reduced_by_mark: bool,
    /// Recovery, of either kind, ended.
    pub left_recovery: bool,
    /// A tail loss probe repaired a loss: the window was reduced once (8985-12).
    pub probe_repaired: bool,
}

/// What the window allows, asked when a timer fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendWindowFacts {
    /// SND.UNA + SND.WND.
    pub right_edge: Seq,
    /// New data waits and lies inside the window: a tail loss probe prefers it.
    pub new_data_ready: bool,
    /// The octets of the path MTU probe outstanding.
    pub mtu_probe: Option<(Seq, Seq)>,
}

/// What an expired timer asks for.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerOutcome {
    /// Nothing was due.
    Nothing,
    /// The retransmission timer: the earliest segment is to be sent again.
    Timeout {
        /// Which expiry in a row it is without progress, from one.
        count: u8,
    },
    /// The retransmission timer, while the peer's window is closed over what is outstanding: no
    /// loss is assumed, and the back-off ends with
    /// [`on_window_opened`](super::Recovery::on_window_opened). The caller's window probes take
    /// over until then.
    WindowClosed,
    /// Send one segment as a tail loss probe: new data when `new_data`, otherwise what
    /// [`next_retransmission`](super::Recovery::next_retransmission) names.
    Probe {
        /// Probe with new data.
        new_data: bool,
    },
    /// The reorder timer: this much is lost now.
    Lost {
        /// Octets newly marked lost.
        octets: u32,
        /// Fast recovery began with it.
        entered_recovery: bool,
    },
}

/// Which kind of recovery is going on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecoveryState {
    /// None.
    #[default]
    Open,
    /// After a loss that acknowledgements showed (RFC 5681 §3.2, 6675, 8985).
    FastRecovery,
    /// After the retransmission timer fired.
    TimeoutRecovery,
}

/// What one connection counts about its losses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecoveryCounters {
    /// Transmissions repeated because acknowledgements showed a loss.
    pub resent_recovery: u32,
    /// Transmissions repeated because the retransmission timer fired.
    pub resent_timeout: u32,
    /// Tail loss probes, new data included.
    pub probes: u32,
    /// Octets sent again, all causes.
    pub resent_octets: u32,
    /// Octets marked lost.
    pub lost_octets: u32,
    /// Retransmission timer expiries.
    pub timeouts: u32,
    /// Duplicate segments the peer reported.
    pub duplicates_reported: u32,
    /// Congestion events undone.
    pub undone: u32,
}
