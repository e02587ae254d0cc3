//! The largest segment the path is thought to carry, and what path signals may do to it.
//! Owns: `PathMtu`. Must not know: IP versions; sizes are of TCP segments, header included.
//! Implements: RFC 5927 §7.2 (IC-1, IC-4, IC-5, IC-7), RFC 8201 §4, RFC 1191 §6.4 (IC-9).

use crate::settings::PathFacts;
use core::num::NonZeroU16;
use usertcp_base::Seq;

/// What is believed of the path, and a claim not yet believed.
#[derive(Clone, Copy, Debug)]
pub struct PathMtu {
    segment_octets: u16,
    least_octets: u16,
    claim: Option<Claim>,
}

/// A "packet too big" that waits for proof: the quoted octet not being acknowledged until a
/// retransmission timeout.
#[derive(Clone, Copy, Debug)]
struct Claim {
    segment_octets: NonZeroU16,
    seq: Seq,
}

impl PathMtu {
    /// From what the interface says.
    pub fn new(path: &PathFacts) -> PathMtu {
        PathMtu {
            segment_octets: path.segment_octets,
            least_octets: path.least_segment_octets,
            claim: None,
        }
    }
    /// Largest segment, header and options included.
    pub fn segment_octets(&self) -> u16 {
        self.segment_octets
    }
    /// The network claims that the segment holding `seq` was too big. Kept as a claim when it
    /// could be true: inside what is in flight (IC-1), smaller than now (IC-7).
    pub fn on_claim(&mut self, segment_octets: u16, seq: Seq, una: Seq, nxt: Seq) -> bool {
        let size = segment_octets.max(self.least_octets);
        if !seq.within(una, nxt) || size >= self.segment_octets {
            return false;
        }
        self.claim = NonZeroU16::new(size).map(|segment_octets| Claim { segment_octets, seq });
        self.claim.is_some()
    }
    /// SND.UNA advanced: a claim about data that arrived was false (IC-4).
    pub fn on_progress(&mut self, una: Seq) {
        if self.claim.is_some_and(|claim| una.after(claim.seq)) {
            self.claim = None;
        }
    }
    /// A retransmission timeout: a claim that stands is now believed. The new size, if it changed.
    pub fn on_timeout(&mut self) -> Option<u16> {
        let claim = self.claim.take()?;
        self.segment_octets = claim.segment_octets.get();
        Some(self.segment_octets)
    }
    /// Whether a claim waits.
    pub fn is_doubted(&self) -> bool {
        self.claim.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> PathMtu {
        PathMtu::new(&PathFacts {
            segment_octets: 1480,
            receive_segment_octets: 1480,
            default_mss_octets: 536,
            least_segment_octets: 556,
        })
    }

    // proves IC-1, IC-4, IC-5, IC-7
    #[test]
    fn claims_need_to_be_plausible_and_to_outlive_a_timeout() {
        let (una, nxt) = (Seq(1000), Seq(5000));
        let mut mtu = path();
        assert!(!mtu.on_claim(1000, Seq(999), una, nxt), "left of the flight");
        assert!(!mtu.on_claim(1000, nxt, una, nxt), "right of the flight");
        assert!(!mtu.on_claim(9000, una, una, nxt), "never raises");
        assert!(mtu.on_claim(1000, una, una, nxt));
        assert_eq!(mtu.segment_octets(), 1480, "not believed yet");
        mtu.on_progress(Seq(1001));
        assert_eq!(mtu.on_timeout(), None, "the quoted octet arrived");
        assert!(mtu.on_claim(40, Seq(2000), una, nxt));
        assert_eq!(mtu.on_timeout(), Some(556), "floor");
        assert_eq!(mtu.segment_octets(), 556);
    }
}
