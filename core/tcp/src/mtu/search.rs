//! The search for the largest size a path carries.
//! Owns: `Search`: which size is tried next, how often, and when again; the table of common sizes.
//! Must not know: how a probe is sent or found lost.
//! Implements: RFC 4821 §7.3 (common sizes first), RFC 8899 §5.1 (MAX_PROBES, PMTU_RAISE_TIMER), §5.3.
//!
//! The first size tried is the largest that interface and peer allow: where a short outage looked like
//! a black hole, one probe puts everything right. If it is lost three times, the common sizes in
//! between are bisected.

use usertcp_base::{Instant, Seq, Span};

/// Packets of this size are expected to pass everywhere (RFC 8899 §5.1.2 BASE_PLPMTU; RFC 8200 §5).
pub(super) const BASE_PACKET_OCTETS: u16 = 1280;
/// PMTU_RAISE_TIMER (P-4); also the pause after a decrease the network asked for (IC-8).
pub(super) const RAISE_AFTER: Span = Span::from_secs(600);
/// MAX_PROBES (P-3): probes of one size that may be lost.
const MAX_PROBES: u8 = 3;
/// Packet sizes of links and tunnels in use, and the plateaus of RFC 1191 §7.1.
const COMMON_PACKETS: [u16; 21] = [
    576, 1006, 1280, 1340, 1360, 1400, 1420, 1440, 1460, 1472, 1480, 1492, 1500, 2002, 4352, 8166,
    8500, 9000, 16_000, 17_914, 32_000,
];

/// Smallest packet that every IPv4 host takes (RFC 791).
pub(super) const SMALL_PACKET_OCTETS: u16 = 576;
fn segments(header_octets: u8) -> impl Iterator<Item = u16> {
    COMMON_PACKETS.iter().map(move |packet| packet.saturating_sub(u16::from(header_octets)))
}

/// A "packet too big" that waits for proof: the quoted octet not being acknowledged until a
/// retransmission timeout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Claim {
    pub(super) segment_octets: u16,
    pub(super) seq: Seq,
}

/// The probe outstanding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Probe {
    pub(super) segment_octets: u16,
    pub(super) from: Seq,
    pub(super) to: Seq,
}

/// A search, going on or at rest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Search {
    /// No probe before.
    pub(super) not_before: Instant,
    pub(super) claim: Option<Claim>,
    pub(super) probe: Option<Probe>,
    /// After a lost probe: none before this is acknowledged.
    settle: Option<Seq>,
    /// Largest size not ruled out.
    high_octets: u16,
    /// `high_octets` is what the network said of a probe.
    hinted: bool,
    /// The size before the fall, until data sent after it arrives.
    pub(super) fallen_from: u16,
    /// Probes of the present size that were lost.
    losses: u8,
    /// The last congestion event is that of the fall.
    pub(super) unproven: bool,
    /// The size is what the network said, and no probe has confirmed it.
    pub(super) told: bool,
    /// Timeouts in a row before the next fall, while nothing arrives after this one.
    pub(super) patience: u8,
}

impl Search {
    pub(super) fn new(ceiling: u16) -> Search {
        Search {
            not_before: Instant::ZERO,
            claim: None,
            probe: None,
            settle: None,
            high_octets: ceiling,
            hinted: false,
            fallen_from: 0,
            losses: 0,
            unproven: false,
            told: false,
            patience: 0,
        }
    }
    /// The size fell, from `from`. Of two falls in a row, the first counts.
    pub(super) fn begin(&mut self, from: u16, ceiling: u16, not_before: Instant) {
        let from = self.fallen_from.max(from);
        *self = Search { fallen_from: from, not_before, ..Search::new(ceiling) };
    }
    pub(super) fn may_probe(&self, now: Instant) -> bool {
        self.probe.is_none() && self.settle.is_none() && now >= self.not_before
    }
    /// The size to try next.
    pub(super) fn candidate(&self, size: u16, ceiling: u16, header_octets: u8) -> Option<u16> {
        let high = self.high_octets.min(ceiling);
        if high <= size {
            return None;
        }
        if high == ceiling || self.hinted {
            return Some(high);
        }
        let between = || segments(header_octets).filter(|other| *other > size && *other <= high);
        between().nth(between().count() / 2)
    }
    /// The network says of the probe outstanding that no more than `size` passes.
    pub(super) fn on_hint(&mut self, size: u16, seq: Seq) -> bool {
        let about = |probe: &Probe| {
            seq.at_or_after(probe.from) && seq.before(probe.to) && size < probe.segment_octets
        };
        let believed = self.probe.as_ref().is_some_and(about);
        if believed {
            self.high_octets = size;
            self.hinted = true;
            // The loss that follows is of the larger size.
            self.losses = 0;
        }
        believed
    }
    pub(super) fn on_progress(&mut self, una: Seq) {
        self.fallen_from = 0;
        self.patience = 0;
        if self.settle.is_some_and(|settle| una.at_or_after(settle)) {
            self.settle = None;
        }
    }
    /// The probe has arrived if `una` is behind it: nobody else sent its last octet.
    pub(super) fn take_arrived(&mut self, una: Seq) -> Option<u16> {
        let probe = self.probe.filter(|probe| una.at_or_after(probe.to))?;
        self.probe = None;
        self.losses = 0;
        self.told = false;
        Some(probe.segment_octets)
    }
    /// Returns the size that was lost.
    pub(super) fn on_probe_lost(&mut self, nxt: Seq) -> u16 {
        let Some(probe) = self.probe.take() else { return 0 };
        self.settle = Some(nxt);
        if probe.segment_octets > self.high_octets {
            return probe.segment_octets;
        }
        self.losses += 1;
        if self.losses >= MAX_PROBES {
            self.losses = 0;
            self.hinted = false;
            self.high_octets = probe.segment_octets - 1;
        }
        probe.segment_octets
    }
    /// Rests if there is nothing left to try (RFC 8899 §5.2, SEARCH_COMPLETE).
    pub(super) fn conclude(&mut self, now: Instant, size: u16, ceiling: u16, header_octets: u8) {
        if self.candidate(size, ceiling, header_octets).is_none() {
            self.not_before = now + RAISE_AFTER;
            self.high_octets = ceiling;
            self.hinted = false;
            self.told = false;
            self.losses = 0;
        }
    }
}
