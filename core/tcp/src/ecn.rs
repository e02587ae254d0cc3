//! Explicit congestion notification on a synchronised connection.
//!
//! Owns: what is echoed to the peer, what our next data tells it, and the figures.
//! Must not know: how ECN was agreed (`open::ecn`), how a window is reduced (`recovery`, `cc`),
//! the wait of one that cannot be (`send::probe`).
//! Implements: RFC 3168 §6.1.2 to §6.1.5 as changed by RFC 8311.

use crate::open::EcnAgreed;
use crate::recovery::AckOutcome;
use crate::segment::{Reply, Segment};
use crate::tcb::Tcb;
use usertcp_base::{Ecn, Instant};
use usertcp_cc::CongestionController;
use usertcp_wire::tcp::Flags;

/// Why the next new data says CWR: the window was reduced.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Cwr {
    /// It does not.
    #[default]
    No,
    /// For a loss, which may turn out to be none.
    ForLoss,
    /// For a mark.
    ForMark,
}

/// What was agreed, and the receiving side.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EcnState {
    /// Segments that arrived marked, saturating.
    marks: u16,
    agreed: EcnAgreed,
    /// A mark arrived and the peer has not said CWR since.
    echo: bool,
}

impl EcnState {
    pub(crate) fn new(agreed: EcnAgreed) -> EcnState {
        EcnState { agreed, ..EcnState::default() }
    }

    /// Our data is ECN-capable.
    pub(crate) fn is_on(&self) -> bool {
        self.agreed == EcnAgreed::Both
    }
    /// Segments that arrived marked.
    pub(crate) fn marks(&self) -> u16 {
        self.marks
    }

    /// An acceptable segment with data; whether it is to be acknowledged at once. CWR first: a mark
    /// on the same segment is a new one. The peer that says CWR may have a window of one segment,
    /// and wait for the acknowledgement.
    pub(crate) fn on_data(&mut self, segment: &Segment) -> bool {
        if self.agreed == EcnAgreed::Off {
            return false;
        }
        let told = segment.has(Flags::CWR);
        if told {
            self.echo = false;
        }
        let marked = segment.ecn == Ecn::CongestionExperienced;
        let first = marked && !self.echo;
        if marked {
            self.marks = self.marks.saturating_add(1);
            self.echo = true;
        }
        told || first
    }

    /// What every acknowledgement says while a mark is unanswered (3168-3).
    pub(crate) fn echo_flag(&self) -> Flags {
        if self.echo { Flags::ECE } else { Flags::NONE }
    }
}

impl<C: CongestionController> Tcb<C> {
    /// What the peer's ECE speaks of, as far as it tells: there was a mark, not where.
    pub(crate) fn marked_octets(&self, segment: &Segment) -> u32 {
        if !self.ecn.is_on() || !segment.has(Flags::ECE) {
            return 0;
        }
        segment.header.ack.since(self.snd.una).max(1)
    }

    /// An acknowledgement was digested. `smallest`: the window was one segment before it, so that
    /// only waiting is left to reduce (3168-5).
    pub(crate) fn after_reduction(&mut self, now: Instant, outcome: &AckOutcome, smallest: bool) {
        if outcome.spurious && self.snd.cwr == Cwr::ForLoss {
            self.snd.cwr = Cwr::No;
        }
        if outcome.entered_recovery || outcome.probe_repaired {
            self.reduced_for_loss();
        }
        if !outcome.reduced_by_mark {
            return;
        }
        self.mtu.on_congestion();
        self.snd.cwr = Cwr::ForMark;
        self.snd.mark_reductions = self.snd.mark_reductions.saturating_add(1);
        if smallest {
            self.persist.rest(now, self.recovery.rto());
        }
    }

    /// The window was reduced for a loss: that answers marks of the same window too (3168-4).
    pub(crate) fn reduced_for_loss(&mut self) {
        self.mtu.on_congestion();
        if self.ecn.is_on() && self.snd.cwr == Cwr::No {
            self.snd.cwr = Cwr::ForLoss;
        }
    }

    /// New data leaves in `reply`: ECT(0) (3168-8), and CWR after a reduction. Nothing else of ours
    /// is ever ECN-capable (3168-2).
    pub(crate) fn mark_new_data(&mut self, reply: &mut Reply) {
        if !self.ecn.is_on() {
            return;
        }
        reply.ecn = Ecn::Capable0;
        if self.snd.cwr != Cwr::No {
            reply.header.flags = reply.header.flags | Flags::CWR;
            self.snd.cwr = Cwr::No;
        }
    }
}
