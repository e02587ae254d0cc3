//! What a connection tells about itself. Owns: `Info`, `AccurateInfo`, `Stopwatches`. Must not know: who asks.

use crate::halves::StateName;
use crate::open::OptionPath;
use crate::pace::Whose;
use crate::recovery::RecoveryState;
use usertcp_base::{Instant, Limiter, Rate, Span};

/// Microseconds in the unit of the stopwatches, as a power of two.
const TICK_SHIFT: u32 = 6;

/// How long each limiter held. Exactly one runs at a time.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatches {
    /// Saturating at 76 hours each.
    ticks: [u32; Limiter::COUNT],
    /// The tick since which `running` runs, in 48 bits, which last for centuries: 32 of them, …
    since_low: u32,
    /// … and 16.
    since_high: u16,
    running: Limiter,
    /// Whose rate made the pacer's release time: here, because it takes no room beside the others.
    pub paced_by: Whose,
}

impl Stopwatches {
    /// All at zero, "application" running.
    pub fn new(now: Instant) -> Stopwatches {
        Stopwatches {
            ticks: [0; Limiter::COUNT],
            since_low: ticks_of(now) as u32,
            since_high: (ticks_of(now) >> 32) as u16,
            running: Limiter::Application,
            paced_by: Whose::default(),
        }
    }
    /// Of a connection that was parked: what was before is the application's, "application" running.
    pub fn resumed(established: Instant, now: Instant) -> Stopwatches {
        let mut stopwatches = Stopwatches::new(established);
        stopwatches.settle(now);
        stopwatches
    }
    /// Another limiter takes over; whether it is another.
    #[inline]
    pub fn switch(&mut self, now: Instant, limiter: Limiter) -> bool {
        if self.running == limiter {
            return false;
        }
        self.settle(now);
        self.running = limiter;
        true
    }
    /// The limiter that holds.
    #[inline]
    pub fn running(&self) -> Limiter {
        self.running
    }
    /// Time per limiter up to `now`, in the order of [`Limiter::NAMES`].
    pub fn read(&self, now: Instant) -> [Span; Limiter::COUNT] {
        let mut copy = *self;
        copy.settle(now);
        copy.ticks.map(|ticks| Span::from_micros(u64::from(ticks) << TICK_SHIFT))
    }
    #[inline]
    fn settle(&mut self, now: Instant) {
        // Whole ticks only, so that no part of one is lost or counted twice.
        let since = u64::from(self.since_high) << 32 | u64::from(self.since_low);
        let now = ticks_of(now);
        let ticks = now.saturating_sub(since);
        let slot = &mut self.ticks[self.running as usize];
        *slot = slot.saturating_add(u32::try_from(ticks).unwrap_or(u32::MAX));
        (self.since_low, self.since_high) = (now as u32, (now >> 32) as u16);
    }
}

/// Whole units of the stopwatches since the origin.
const fn ticks_of(moment: Instant) -> u64 {
    moment.as_micros() >> TICK_SHIFT
}

/// The figures of accurate ECN (RFC 9768). Octets wrap at 2^32.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AccurateInfo {
    /// Our data is ECN-capable: nothing showed that the path or the peer mangles marks.
    pub capable: bool,
    /// What the peer reports is answered.
    pub heeds: bool,
    /// Packets of ours that the peer reported as marked (`delivered_ce`).
    pub delivered_marked_packets: u32,
    /// Payload octets of ours reported as marked.
    pub delivered_marked_octets: u32,
    /// As ECT(0).
    pub delivered_capable0_octets: u32,
    /// As ECT(1).
    pub delivered_capable1_octets: u32,
    /// Packets that arrived marked (`received_ce`).
    pub received_marked_packets: u32,
    /// Payload octets that arrived marked.
    pub received_marked_octets: u32,
    /// With ECT(0).
    pub received_capable0_octets: u32,
    /// With ECT(1).
    pub received_capable1_octets: u32,
    /// The peer's option.
    pub option: OptionPath,
    /// Our option is not sent any more: the path seems not to let it pass.
    pub option_withdrawn: bool,
}

/// One connection's figures: the fields of Linux's `tcp_info` that make sense here, and the
/// stopwatches.
#[derive(Clone, Copy, Debug)]
pub struct Info {
    /// State.
    pub state: StateName,
    /// Name of the congestion controller.
    pub controller: &'static str,
    /// Smoothed round trip.
    pub srtt: Span,
    /// Its variation.
    pub rttvar: Span,
    /// Least round trip seen.
    pub min_rtt: Span,
    /// Retransmission timeout in force.
    pub rto: Span,
    /// Doublings of that timeout in force.
    pub backoff: u8,
    /// Timeouts in a row without progress.
    pub timeouts_in_a_row: u8,
    /// Payload of a full segment sent, octets.
    pub send_mss_octets: u32,
    /// Largest segment the path is thought to carry, header included.
    pub path_segment_octets: u16,
    /// Congestion window, octets.
    pub congestion_window_octets: u32,
    /// Slow-start threshold, octets; `u32::MAX` when unknown.
    pub threshold_octets: u32,
    /// The peer's window, octets.
    pub peer_window_octets: u32,
    /// The window we announced last, octets.
    pub receive_window_octets: u32,
    /// In flight, octets.
    pub in_flight_octets: u32,
    /// Which kind of loss recovery is going on.
    pub recovery: RecoveryState,
    /// Unacknowledged octets that the peer reported as received.
    pub sacked_octets: u32,
    /// Unacknowledged octets that are taken for lost.
    pub lost_octets: u32,
    /// Unacknowledged octets whose last transmission was a repeated one.
    pub resent_octets: u32,
    /// Octets known to have arrived, acknowledged either way, in all.
    pub octets_delivered: u64,
    /// The MSS we announced, octets.
    pub receive_mss_octets: u16,
    /// Written and not yet acknowledged, octets.
    pub send_queue_octets: u32,
    /// Written and not yet sent, octets.
    pub unsent_octets: u32,
    /// Received and not yet read, octets.
    pub receive_queue_octets: u32,
    /// Out of order and held, octets.
    pub out_of_order_octets: u32,
    /// Frame memory held by both queues, octets.
    pub memory_octets: u32,
    /// Payload received in order, octets in all.
    pub octets_received: u64,
    /// Payload acknowledged by the peer, octets in all.
    pub octets_acknowledged: u64,
    /// Payload sent again, octets in all.
    pub octets_retransmitted: u64,
    /// Retransmissions, segments.
    pub retransmissions: u32,
    /// Retransmissions the peer reported as needless.
    pub spurious_retransmissions: u32,
    /// Retransmission timer expiries.
    pub timeouts: u32,
    /// Pacing rate in force.
    pub pacing_rate: Rate,
    /// Stream rate limit.
    pub rate_limit: Rate,
    /// The user timeout in force: the application's, or what the peer's option makes of it; `None`:
    /// for ever.
    pub user_timeout: Option<Span>,
    /// What limits it now.
    pub limiter: Limiter,
    /// Time per limiter, in the order of [`Limiter::NAMES`].
    pub limited: [Span; Limiter::COUNT],
    /// When the peer was last heard.
    pub last_heard: Instant,
    /// When the connection was established.
    pub established: Instant,
    /// Selective acknowledgements agreed.
    pub sack: bool,
    /// Timestamps agreed.
    pub timestamps: bool,
    /// ECN agreed: our data is ECN-capable.
    pub ecn: bool,
    /// Accurate ECN, if that was agreed.
    pub accurate_ecn: Option<AccurateInfo>,
    /// Data on a SYN was acknowledged: ours by the peer, or the peer's by us (RFC 7413).
    pub syn_data: bool,
    /// Segments that arrived marked by a router, saturating.
    pub marks_received: u16,
    /// Reductions of the window for marks the peer echoed, saturating.
    pub mark_reductions: u16,
    /// Shift of the windows received and sent.
    pub scales: (u8, u8),
}
