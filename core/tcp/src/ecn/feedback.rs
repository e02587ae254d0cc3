//! What the peer's accurate feedback says of our data.
//!
//! Owns: `MarkReport` (what one acknowledgement may mean), `Marked` (what it means), and the sender's
//! counters, which follow the receiver's.
//! Must not know: headers, congestion control.
//! Implements: RFC 9768 §3.2.2.2, §3.2.2.3 (continuous marking), §3.2.2.4, §3.2.2.5.2, §3.2.3.2.3 to
//! §3.2.3.2.5, A.1 to A.3.

use super::counters::Counters;
use crate::open::{AccurateStart, INITIAL_CEP, OptionPath};
use usertcp_base::Seq;
use usertcp_wire::tcp::AccurateEcn;

/// ACE counts modulo this.
const ACE: u32 = 8;
/// Octets delivered after which a first option cannot be told from one a round of 2^24 later.
const LATE: u32 = 1 << 22;
/// Segments per acknowledgement, in sixteenths, from which on a jump of eight is usual: that ACE
/// cycled is then not the likely case.
const THINNED: u16 = 4 * 16;
/// Rounds in which everything was marked that show a marker gone mad.
const MAD_ROUNDS: u8 = 4;

/// What an acknowledgement says of marks, before it is known what it delivers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MarkReport {
    /// Nothing.
    #[default]
    None,
    /// Classic ECN: so many octets may have been marked, one or more was.
    Classic(u32),
    /// Accurate ECN.
    Accurate(Reading),
}

/// Accurate feedback as read from a header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reading {
    /// The least number of packets that ACE went on by, 0 to 7.
    pub packets: u8,
    /// Octets newly reported as marked, when the option tells.
    pub octets: Option<u32>,
    /// Octets delivered since the option told last.
    pub untold_octets: u32,
    /// Its timestamp is newer than that of any feedback before.
    pub newer: bool,
    /// The path, or the peer, thins acknowledgements out.
    pub thinned: bool,
    /// What is reported is to be answered.
    pub heed: bool,
}

/// What an acknowledgement says of marks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Marked {
    /// Packets newly reported as marked; for classic ECN at most one.
    pub packets: u32,
    /// Octets newly reported as marked, or an estimate.
    pub octets: u32,
    /// It was not overtaken by a later one: the counters follow it.
    pub fresh: bool,
    /// The congestion controller is to know.
    pub heed: bool,
}

impl Marked {
    /// Whether the congestion window is concerned.
    pub fn is_congestion(&self) -> bool {
        self.heed && (self.packets != 0 || self.octets != 0)
    }
}

impl MarkReport {
    /// What it means, when the acknowledgement newly delivered so many octets of segments of `mss`.
    pub fn resolve(&self, delivered: u32, mss: u32) -> Marked {
        match self {
            MarkReport::None => Marked::default(),
            MarkReport::Classic(octets) => {
                Marked { packets: 1, octets: *octets, fresh: true, heed: true }
            }
            MarkReport::Accurate(reading) => reading.resolve(delivered, mss.max(1)),
        }
    }
}

impl Reading {
    fn resolve(&self, delivered: u32, mss: u32) -> Marked {
        if delivered == 0 && !self.newer {
            return Marked::default();
        }
        let least = u32::from(self.packets);
        let segments = delivered.div_ceil(mss);
        // The safest likely case (A.2.1): as many cycles as the segments allow.
        let safe = if segments < ACE { least } else { segments - (segments - least) % ACE };
        let packets = match self.octets {
            Some(octets) => with_option(least, safe, octets, mss),
            None if self.thinned => least,
            None => safe,
        };
        // An option may tell of all that was delivered since the last one, and of no more (AT-43).
        let octets = match self.octets {
            Some(octets) => octets.min(self.untold_octets.saturating_add(delivered)),
            None => packets.saturating_mul(mss).min(delivered),
        };
        Marked { packets, octets, fresh: true, heed: self.heed }
    }
}

/// A.2.2: whether ACE cycled, by the average size that the marked segments would have.
fn with_option(least: u32, safe: u32, octets: u32, mss: u32) -> u32 {
    let possible = octets <= mss.saturating_mul(least);
    let too_small = octets < safe.saturating_mul(mss) / 2;
    if possible && too_small { least } else { safe.max(least) }
}

/// The sender's half of accurate ECN.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Feedback {
    /// s.cep.
    cep: u32,
    /// s.e0b, s.ceb, s.e1b.
    counters: Counters,
    path: OptionPath,
    /// An option with counters was followed.
    followed: bool,
    /// The first feedback was looked at.
    checked: bool,
    /// Our data may be ECN-capable.
    capable: bool,
    /// MarkReport are answered.
    heed: bool,
    /// The newest timestamp on feedback.
    newest: Option<u32>,
    /// Something of ours was delivered.
    delivered: bool,
    /// Octets delivered since the option told last, and the packets reported as marked.
    untold_octets: u32,
    untold_packets: u32,
    /// SND.UNA when it told last.
    told_una: Seq,
    /// Segments per acknowledgement in sixteenths, a moving average.
    stretch: u16,
    mad: Mad,
}

/// Whether everything is marked from the start on.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Mad {
    /// Rounds in which everything was.
    rounds: u8,
    /// The round ends when this is acknowledged.
    end: Seq,
    /// Not since the beginning: no longer looked at.
    sane: bool,
}

/// What the connection knows about an acknowledgement when its feedback is digested.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settled {
    /// What was made of it.
    pub marked: Marked,
    /// Octets it newly delivered.
    pub delivered: u32,
    pub mss: u32,
    /// SND.UNA after it.
    pub una: Seq,
    pub nxt: Seq,
    /// End of the last segment that was smaller than it could have been.
    pub small: Seq,
}

impl Feedback {
    pub(crate) fn new(start: &AccurateStart, una: Seq) -> Feedback {
        Feedback {
            cep: u32::from(INITIAL_CEP) + u32::from(start.counted),
            counters: Counters::INITIAL,
            path: start.option,
            followed: false,
            checked: false,
            capable: start.capable,
            heed: start.heed,
            newest: None,
            delivered: false,
            untold_octets: 0,
            untold_packets: 0,
            told_una: una,
            stretch: 0,
            mad: Mad { rounds: 0, end: una, sane: false },
        }
    }

    pub(crate) fn is_capable(&self) -> bool {
        self.capable
    }
    pub(crate) fn heeds(&self) -> bool {
        self.heed
    }
    pub(crate) fn path(&self) -> OptionPath {
        self.path
    }
    /// Packets reported as marked, those of the handshake included.
    pub(crate) fn packets(&self) -> u32 {
        self.cep - u32::from(INITIAL_CEP)
    }
    /// Octets reported, by mark.
    pub(crate) fn octets(&self) -> Counters {
        self.counters.since(&Counters::INITIAL)
    }

    /// Reads ACE, option and timestamp of a segment. `option` is `None` when there was none.
    pub(crate) fn read(
        &mut self,
        ace: u8,
        option: Option<&AccurateEcn>,
        timestamp: Option<u32>,
    ) -> Reading {
        if !self.checked {
            self.checked = true;
            // §3.2.2.4: no counter is zero so early; the peer does not count, or the path clears it.
            if ace == 0 {
                (self.capable, self.heed) = (false, false);
            }
        }
        let newer = match (timestamp, self.newest) {
            (Some(value), Some(newest)) => self.delivered && Seq(value).after(Seq(newest)),
            _ => false,
        };
        let option = option.filter(|_| self.path != OptionPath::Ignored && !self.is_late());
        Reading {
            packets: (u32::from(ace).wrapping_sub(self.cep) % ACE) as u8,
            octets: option
                .filter(|option| option.count > 0)
                .map(|option| self.counters.follow(option).since(&self.counters).marked),
            untold_octets: self.untold_octets,
            newer,
            thinned: self.stretch >= THINNED,
            heed: self.heed,
        }
    }

    /// The first option would come too late to be told from one a whole cycle later.
    fn is_late(&self) -> bool {
        !self.followed && self.untold_octets >= LATE
    }

    /// Follows the peer's counters, and judges them.
    pub(crate) fn settle(
        &mut self,
        option: Option<&AccurateEcn>,
        timestamp: Option<u32>,
        settled: &Settled,
    ) {
        if !settled.marked.fresh {
            return;
        }
        if let Some(value) = timestamp {
            self.newest =
                Some(self.newest.map_or(value, |newest| Seq(newest).latest(Seq(value)).0));
        }
        let packets = settled.marked.packets;
        self.cep = self.cep.saturating_add(packets);
        self.delivered |= settled.delivered != 0;
        self.untold_packets = self.untold_packets.saturating_add(packets);
        self.untold_octets = self.untold_octets.saturating_add(settled.delivered);
        let segments = settled.delivered.div_ceil(settled.mss.max(1)).min(64) as u16 * 16;
        if segments != 0 {
            self.stretch = (self.stretch * 7 + segments) / 8;
        }
        if let Some(option) = option.filter(|_| self.path != OptionPath::Ignored) {
            self.follow(option, settled);
        }
        self.judge_madness(settled);
    }

    fn follow(&mut self, option: &AccurateEcn, settled: &Settled) {
        if option.count == 0 {
            if self.path == OptionPath::Absent {
                self.path = OptionPath::Empty;
            }
            return;
        }
        let late = self.is_late();
        let next = self.counters.follow(option);
        let marked = next.since(&self.counters).marked;
        (self.counters, self.path, self.followed) = (next, OptionPath::Usable, true);
        // §3.2.3.2.5: marked octets without a marked packet, when every segment since the last
        // option was a full one and they are too few for ACE to have cycled, is mangled feedback.
        let few = self.untold_octets < ACE * settled.mss;
        let full = settled.small.at_or_before(self.told_una);
        if marked != 0 && self.untold_packets == 0 && few && full && !late {
            self.capable = false;
        }
        (self.untold_octets, self.untold_packets, self.told_una) = (0, 0, settled.una);
    }

    /// §3.2.2.3: a path on which everything is marked from the beginning on does not tell of
    /// congestion. Losses still do, and nothing of ours asks for marks any more.
    fn judge_madness(&mut self, settled: &Settled) {
        if self.mad.sane || settled.delivered == 0 {
            return;
        }
        let segments = settled.delivered.div_ceil(settled.mss.max(1));
        if settled.marked.packets < segments {
            self.mad.sane = true;
        } else if settled.una.after(self.mad.end) {
            self.mad.end = settled.nxt;
            self.mad.rounds += 1;
            if self.mad.rounds > MAD_ROUNDS {
                self.mad.sane = true;
                (self.capable, self.heed) = (false, false);
            }
        }
    }
}

#[cfg(test)]
mod tests;
