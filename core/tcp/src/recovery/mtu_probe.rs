//! What a path MTU probe means for recovery, and what a flight looks like that vanished.
//! Owns: telling the loss of a probe alone from congestion.
//! Must not know: sizes that are probed for.
//! Implements: RFC 4821 §7.6.1, §7.6.2, §7.7; RFC 8899 §3 (P-2, P-5).

use super::undo::Frto;
use super::{Marks, Recovery, RecoveryState};
use usertcp_base::Seq;

/// What a retransmission timeout found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vanished {
    /// Payload octets of the first segment, as wide as it left last.
    pub front_octets: u32,
    /// It left more than once.
    pub repeated: bool,
    /// Octets in flight, if the peer SACKed none; else zero.
    pub silent_octets: u32,
}

impl Recovery {
    /// Of all that is outstanding, only octets of the probe are lost.
    pub(super) fn only_probe_lost(&self, probe: Option<(Seq, Seq)>) -> bool {
        let Some((from, to)) = probe else { return false };
        let mut index = self.board.find(from);
        let mut lost = 0u32;
        while let Some(record) = self.board.record(index).filter(|record| record.seq.before(to)) {
            if record.has(Marks::LOST) {
                lost = lost.saturating_add(record.octets);
            }
            index += 1;
        }
        lost != 0 && lost == self.board.sums().lost
    }
    /// `[from, to)` of a lost probe left again while nothing else was lost: it is in flight like
    /// anything else, and its next loss is one like any other.
    pub fn forgive(&mut self, from: Seq, to: Seq) {
        if self.state == RecoveryState::Open {
            self.board.unmark_lost_between(from, to);
        }
    }
    /// What is in flight, right after a timeout.
    pub fn vanished(&self) -> Vanished {
        let sacked = self.board.sums().sacked != 0;
        let (front_octets, repeated) = match self.board.front() {
            Some(front) => (front.first_unit(), front.has(Marks::REPEATED)),
            None => (0, false),
        };
        let silent_octets = if sacked { 0 } else { self.board.outstanding() };
        Vanished { front_octets, repeated, silent_octets }
    }
    /// Segments are of `mss` octets from now on, smaller than before, and what is lost leaves in more of them: their
    /// acknowledgements are no evidence for F-RTO, which expects one.
    pub fn on_smaller_segments(&mut self, mss: u32) {
        self.mss = super::short(mss);
        self.undo.frto = Frto::Off;
    }
}
