//! The largest segment the path is thought to carry: what path signals may do to it, what a black
//! hole does, and the search for more.
//! Owns: `PathMtu`. Must not know: addresses; sizes are of TCP segments, TCP header included, but for
//! the table of common packet sizes in `search`.
//! Implements: RFC 5927 §7.2 (IC-1, IC-4, IC-5, IC-7), RFC 8201 §4, RFC 1191 §6.4 (IC-9),
//! RFC 4821 §7, RFC 8899 §4.3, §4.6, §5 (P-1 … P-9).
//!
//! Nothing here needs ICMP. A path that swallows large segments shows itself in a retransmission
//! timeout whose flight is of such segments: the size falls to the base at once, and probes made of
//! data look for the largest size from there. Believing too soon costs little: the first probe is as
//! large as the interface allows.

mod search;
#[cfg(test)]
mod tests;

use crate::settings::{
    HEADER_OCTETS, LearnedPath, MtuProbing, PathFacts, Settings, TIMESTAMP_OCTETS,
};
use alloc::boxed::Box;
use search::{BASE_PACKET_OCTETS, Claim, Probe, RAISE_AFTER, SMALL_PACKET_OCTETS, Search};
use usertcp_base::{Instant, Seq};

/// Segments of a flight of which none arrived that make one timeout enough.
const WHOLE_FLIGHT: u32 = 4;
/// Timeouts in a row after which even the base size is doubted: of a whole flight, or of less.
const BASE_DOUBTED: (u8, u8) = (3, 5);
/// Timeouts that a new size is given before the next fall.
const PATIENCE: u8 = 2;

/// The sizes of segments both ways, and the search for a larger one while it goes on. In the order in which it lies in
/// memory: what every segment looks at comes last, beside what else it does.
#[derive(Clone, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct PathMtu {
    /// Exists while the size is below what interface and peer allow, or a claim waits.
    search: Option<Box<Search>>,
    /// What our interface sends and the peer takes: probes never go beyond (MUST-16).
    ceiling_octets: u16,
    /// Every path carries the base size (IPv6): less is never needed.
    base_is_sure: bool,
    /// Of a packet, beside the segment.
    header_octets: u8,
    segment_octets: u16,
    announced_mss: u16,
}

/// What a retransmission timeout found in flight.
#[derive(Clone, Copy, Debug)]
pub struct LostFlight {
    /// The first segment, TCP header and options included.
    pub segment_octets: u16,
    /// It was sent more than once.
    pub repeated: bool,
    /// Segments in flight, if the peer SACKed none of them; else zero.
    pub silent_segments: u32,
    /// Which timeout in a row.
    pub timeouts: u8,
}

/// Why the size fell.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fell {
    /// A claim of the network outlived a timeout.
    Told,
    /// Large segments vanish.
    BlackHole,
}

impl PathMtu {
    /// Whether two are equal: nearly always neither searches.
    #[inline(always)] // a part of a comparison
    pub(crate) fn is_same(&self, other: &PathMtu) -> bool {
        match (&self.search, &other.search) {
            (None, None) => {
                let PathMtu { search: _, ceiling_octets, base_is_sure, .. } = *self;
                let PathMtu { header_octets, segment_octets, announced_mss, .. } = *self;
                (ceiling_octets, segment_octets) == (other.ceiling_octets, other.segment_octets)
                    && (base_is_sure, header_octets) == (other.base_is_sure, other.header_octets)
                    && announced_mss == other.announced_mss
            }
            _ => self == other,
        }
    }

    /// At the birth of a connection with a peer that takes `peer_mss`.
    #[cfg(test)]
    pub fn new(path: &PathFacts, settings: &Settings, peer_mss: u16) -> PathMtu {
        let mut mtu = PathMtu::vacant();
        mtu.begin(path, settings, peer_mss);
        mtu
    }
    /// The same where it is, of no connection yet.
    #[inline]
    pub(crate) fn begin(&mut self, path: &PathFacts, settings: &Settings, peer_mss: u16) {
        debug_assert!(self.search.is_none(), "it was not left");
        let ceiling = path.segment_octets.min(peer_mss.saturating_add(HEADER_OCTETS));
        (self.segment_octets, self.ceiling_octets) = (ceiling, ceiling);
        self.announced_mss = path.announced_mss(settings);
        self.header_octets = path.header_octets;
        self.base_is_sure = path.least_packet_octets >= BASE_PACKET_OCTETS;
        let learned = path.host.and_then(|host| host.path);
        let start = match learned {
            Some(learned) => Some((learned.segment_octets.max(self.least()), learned.until)),
            None if settings.mtu_probing == MtuProbing::Always => {
                Some((self.base(settings), Instant::ZERO))
            }
            None => None,
        };
        if let Some((octets, not_before)) = start.filter(|start| start.0 < ceiling) {
            self.segment_octets = octets;
            self.search_mut().not_before = not_before;
        }
    }
    /// Of no connection.
    pub(crate) const fn vacant() -> PathMtu {
        PathMtu {
            search: None,
            segment_octets: 0,
            ceiling_octets: 0,
            announced_mss: 0,
            header_octets: 0,
            base_is_sure: false,
        }
    }
    /// Gives back what is on the heap.
    pub(crate) fn leave(&mut self) {
        self.search = None;
    }
    /// Largest segment, header and options included.
    pub fn segment_octets(&self) -> u16 {
        self.segment_octets
    }
    /// Largest payload behind timestamps and no other option; `None`: there is no room for any.
    #[inline(always)] // for each packet
    pub(crate) fn usual_payload_octets(&self) -> Option<u32> {
        let octets = self.segment_octets.checked_sub(HEADER_OCTETS + TIMESTAMP_OCTETS)?;
        Some(u32::from(octets))
    }
    /// The MSS we announced.
    pub fn announced_mss(&self) -> u16 {
        self.announced_mss
    }
    /// What another connection to the same host may begin with: the size, if it is less than what
    /// interface and peer allow and the path itself showed it (P-8). What the network said of this
    /// connection is nothing to another (AT-44).
    pub fn learned(&self) -> Option<LearnedPath> {
        let search = self.search.as_ref().filter(|search| !search.told)?;
        let less = self.segment_octets < self.ceiling_octets;
        less.then_some(LearnedPath {
            segment_octets: self.segment_octets,
            until: search.not_before,
        })
    }
    /// Octets of a packet in front of the segment, and of options that others put into it.
    pub fn network_octets(&self) -> u32 {
        u32::from(self.header_octets)
    }
    fn least(&self) -> u16 {
        let packet = if self.base_is_sure { BASE_PACKET_OCTETS } else { SMALL_PACKET_OCTETS };
        packet - u16::from(self.header_octets)
    }
    /// What every path is expected to carry.
    fn base(&self, settings: &Settings) -> u16 {
        match settings.base_mss_octets {
            0 => BASE_PACKET_OCTETS - u16::from(self.header_octets),
            mss => mss.max(1).saturating_add(HEADER_OCTETS),
        }
    }
    /// A size is looked for, or doubted.
    pub(crate) fn is_searching(&self) -> bool {
        self.search.is_some()
    }
    fn search_mut(&mut self) -> &mut Search {
        let fresh = Search::new(self.ceiling_octets);
        self.search.get_or_insert_with(|| Box::new(fresh))
    }
    /// Drops what is of no more use.
    fn tidy(&mut self) {
        let idle = self.segment_octets >= self.ceiling_octets;
        if idle && self.search.as_ref().is_some_and(|search| search.claim.is_none()) {
            self.search = None;
        }
    }

    /// The network claims that the segment holding `seq` was too big. Kept as a claim when it
    /// could be true: inside what is in flight (IC-1), smaller than now (IC-7). About a probe it
    /// bounds the search (P-9).
    pub fn on_claim(&mut self, segment_octets: u16, seq: Seq, una: Seq, nxt: Seq) -> bool {
        let size = segment_octets.max(self.least());
        if !seq.within(una, nxt) {
            return false;
        }
        if size < self.segment_octets {
            self.search_mut().claim = Some(Claim { segment_octets: size, seq });
            return true;
        }
        let larger = size > self.segment_octets;
        self.search.as_mut().is_some_and(|search| larger && search.on_hint(size, seq))
    }

    /// SND.UNA advanced: a claim about data that arrived was false (IC-4), a probe that arrived
    /// makes its size the one to use. The new size, if it changed.
    #[must_use]
    pub fn on_progress(&mut self, now: Instant, una: Seq) -> Option<u16> {
        let search = self.search.as_mut()?;
        if search.claim.is_some_and(|claim| una.after(claim.seq)) {
            search.claim = None;
        }
        search.on_progress(una);
        let arrived = search.take_arrived(una);
        if let Some(octets) = arrived {
            self.segment_octets = octets.min(self.ceiling_octets);
            search.conclude(now, self.segment_octets, self.ceiling_octets, self.header_octets);
        }
        self.tidy();
        arrived.map(|_| self.segment_octets)
    }

    /// A retransmission timeout: a claim that stands is now believed; without one, what was lost
    /// may have been too large.
    pub fn on_timeout(
        &mut self,
        now: Instant,
        lost: &LostFlight,
        settings: &Settings,
    ) -> Option<Fell> {
        if let Some(claim) = self.search.as_mut().and_then(|search| search.claim.take()) {
            self.fall(claim.segment_octets, lost, now + RAISE_AFTER);
            self.search_mut().told = true;
            return Some(Fell::Told);
        }
        let size = self.smaller(lost, settings)?;
        let from = self.segment_octets;
        self.fall(size, lost, now);
        // Only where segments of the largest size were lost can the first probe prove it.
        self.search_mut().unproven = lost.timeouts == 1 && from == self.ceiling_octets;
        Some(Fell::BlackHole)
    }
    /// The size to fall to if this timeout means a black hole (P-5).
    fn smaller(&self, lost: &LostFlight, settings: &Settings) -> Option<u16> {
        if settings.mtu_probing == MtuProbing::Off {
            return None;
        }
        if self.search.as_ref().is_some_and(|search| lost.timeouts < search.patience) {
            return None;
        }
        let silent = lost.silent_segments >= WHOLE_FLIGHT;
        let doubted = lost.repeated || silent || lost.timeouts > 1;
        let base = self.base(settings);
        let fits = |size: u16| size < lost.segment_octets && size < self.segment_octets;
        if fits(base) {
            return doubted.then_some(base);
        }
        let least = self.least();
        let enough = if silent { BASE_DOUBTED.0 } else { BASE_DOUBTED.1 };
        (fits(least) && lost.timeouts >= enough).then_some(least)
    }
    fn fall(&mut self, octets: u16, lost: &LostFlight, not_before: Instant) {
        let (from, ceiling) = (self.segment_octets, self.ceiling_octets);
        self.segment_octets = octets;
        let search = self.search_mut();
        search.begin(from, ceiling, not_before);
        search.patience = lost.timeouts.saturating_add(PATIENCE);
    }
    /// The timeout was a mistake: what was in flight arrives. Whether the size is what it was.
    #[must_use]
    pub fn on_spurious(&mut self) -> bool {
        let Some(search) = self.search.as_mut() else { return false };
        let from = core::mem::take(&mut search.fallen_from);
        search.unproven = false;
        let rises = from > self.segment_octets;
        if rises {
            self.segment_octets = from.min(self.ceiling_octets);
            self.tidy();
        }
        rises
    }

    /// The size to probe for now, if any (P-1, P-3, P-4).
    pub fn probe_due(&self, now: Instant, settings: &Settings) -> Option<u16> {
        let search = self.search.as_ref()?;
        if settings.mtu_probing == MtuProbing::Off || !search.may_probe(now) {
            return None;
        }
        search.candidate(self.segment_octets, self.ceiling_octets, self.header_octets)
    }
    /// A probe of `segment_octets` left with the octets from `from` to `to`.
    pub fn on_probe_sent(&mut self, segment_octets: u16, from: Seq, to: Seq) {
        self.search_mut().probe = Some(Probe { segment_octets, from, to });
    }
    /// The octets of the probe outstanding.
    pub fn probe(&self) -> Option<(Seq, Seq)> {
        let probe = self.search.as_ref()?.probe?;
        Some((probe.from, probe.to))
    }
    /// The probe is lost; its octets leave again, and the next one waits until everything up to
    /// `nxt` is acknowledged. `alone`: all around it arrived. Whether that proves that the timeout
    /// before the fall was no congestion: what was too large then is so now.
    #[must_use]
    pub fn on_probe_lost(&mut self, now: Instant, nxt: Seq, alone: bool) -> bool {
        let (size, ceiling, header) =
            (self.segment_octets, self.ceiling_octets, self.header_octets);
        let Some(search) = self.search.as_mut() else { return false };
        let lost = search.on_probe_lost(nxt);
        search.conclude(now, size, ceiling, header);
        let proof = alone && search.unproven && lost == ceiling;
        search.unproven &= !proof;
        proof
    }
    /// The window was reduced: what an undo would take back is this, not the fall.
    pub fn on_congestion(&mut self) {
        if let Some(search) = self.search.as_mut() {
            search.unproven = false;
        }
    }
}
