//! Explicit congestion notification on a synchronised connection.
//!
//! Owns: `EcnState`, what was agreed and where its state is; classic ECN; which of the two a step
//! of arriving or sending asks.
//! Must not know: how ECN was agreed (`open::ecn`), how a window is reduced (`recovery`, `cc`),
//! the wait of one that cannot be (`send::probe`).
//! Implements: RFC 3168 §6.1.2 to §6.1.5 as changed by RFC 8311; RFC 9768 in the modules below.

mod accurate;
mod counters;
mod feedback;

use crate::env::Env;
use crate::info::AccurateInfo;
use crate::open::{Agreed, EcnAgreed, ace_of};
use crate::recovery::AckOutcome;
use crate::segment::{Reply, Segment};
use crate::settings::EcnOption;
use crate::tcb::Tcb;
use accurate::{Accurate, Packet};
use alloc::boxed::Box;
use usertcp_base::{Ecn, Instant, Observer, Seq};
use usertcp_cc::{Congestion, CongestionController, CongestionKind};
use usertcp_wire::tcp::{AccurateEcn, Flags};

use crate::recv::ack_policy::AckNeed;
use feedback::Settled;
pub use feedback::{MarkReport, Marked, Reading};

/// Why the next new data says CWR: the window was reduced.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Cwr {
    /// It does not.
    #[default]
    No,
    /// For a loss, which may turn out to be none.
    ForLoss,
    /// For a mark.
    ForMark,
}

/// What was agreed, and its state: on the heap, and only when something was.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct EcnState(Option<Box<Both>>);

/// The state of either kind.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Both {
    /// Reductions of the window for marks of the peer's, saturating.
    reductions: u16,
    kind: Kind,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Kind {
    Classic(Classic),
    Accurate(Accurate),
}

/// Classic ECN.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Classic {
    /// Segments that arrived marked, saturating.
    marks: u16,
    /// Our data is ECN-capable.
    capable: bool,
    /// A mark arrived and the peer has not said CWR since.
    echo: bool,
    cwr: Cwr,
}

impl EcnState {
    pub(crate) fn new(agreed: &Agreed, option: EcnOption) -> EcnState {
        let kind = match &agreed.ecn {
            EcnAgreed::Off => return EcnState(None),
            EcnAgreed::EchoOnly => Kind::Classic(Classic::new(false)),
            EcnAgreed::Both => Kind::Classic(Classic::new(true)),
            EcnAgreed::Accurate(start) => {
                Kind::Accurate(Accurate::new(start, option, agreed.iss, agreed.irs))
            }
        };
        EcnState(Some(Box::new(Both { reductions: 0, kind })))
    }

    /// Less was agreed on than was thought: the peer's SYN came again without.
    pub(crate) fn withdraw(&mut self, agreed: &EcnAgreed) {
        match agreed {
            EcnAgreed::Off => self.0 = None,
            EcnAgreed::EchoOnly => {
                if let Some(classic) = self.classic() {
                    (classic.capable, classic.cwr) = (false, Cwr::No);
                }
            }
            EcnAgreed::Both | EcnAgreed::Accurate(_) => {}
        }
    }

    fn classic(&mut self) -> Option<&mut Classic> {
        match &mut self.0.as_mut()?.kind {
            Kind::Classic(classic) => Some(classic),
            Kind::Accurate(_) => None,
        }
    }
    fn accurate(&mut self) -> Option<&mut Accurate> {
        match &mut self.0.as_mut()?.kind {
            Kind::Classic(_) => None,
            Kind::Accurate(accurate) => Some(accurate),
        }
    }
    fn accurate_ref(&self) -> Option<&Accurate> {
        match &self.0.as_ref()?.kind {
            Kind::Classic(_) => None,
            Kind::Accurate(accurate) => Some(accurate),
        }
    }

    /// Its state is like nobody else's: accurate ECN counts from the initial numbers on.
    pub(crate) fn is_personal(&self) -> bool {
        self.accurate_ref().is_some()
    }
    /// ECN of either kind was agreed on.
    pub(crate) fn is_agreed(&self) -> bool {
        self.0.is_some()
    }
    /// Our data is ECN-capable.
    pub(crate) fn is_on(&self) -> bool {
        self.0.as_ref().is_some_and(|both| match &both.kind {
            Kind::Classic(classic) => classic.capable,
            Kind::Accurate(accurate) => accurate.feedback.is_capable(),
        })
    }
    /// Segments that arrived marked, saturating.
    pub(crate) fn marks(&self) -> u16 {
        self.0.as_ref().map_or(0, |both| match &both.kind {
            Kind::Classic(classic) => classic.marks,
            Kind::Accurate(accurate) => accurate.packets().min(u32::from(u16::MAX)) as u16,
        })
    }
    /// Reductions of the window for marks, saturating.
    pub(crate) fn reductions(&self) -> u16 {
        self.0.as_ref().map_or(0, |both| both.reductions)
    }
    /// The figures of accurate ECN.
    pub(crate) fn info(&self) -> Option<AccurateInfo> {
        let accurate = self.accurate_ref()?;
        let (sent, received) = (accurate.feedback.octets(), accurate.octets());
        Some(AccurateInfo {
            capable: accurate.feedback.is_capable(),
            heeds: accurate.feedback.heeds(),
            delivered_marked_packets: accurate.feedback.packets(),
            delivered_marked_octets: sent.marked,
            delivered_capable0_octets: sent.capable0,
            delivered_capable1_octets: sent.capable1,
            received_marked_packets: accurate.packets(),
            received_marked_octets: received.marked,
            received_capable0_octets: received.capable0,
            received_capable1_octets: received.capable1,
            option: accurate.feedback.path(),
            option_withdrawn: accurate.is_blocked(),
        })
    }

    /// An acceptable segment with data; whether it is to be acknowledged at once (classic ECN).
    pub(crate) fn on_data(&mut self, segment: &Segment) -> bool {
        self.classic().is_some_and(|classic| classic.on_data(segment))
    }
    /// Data that was acknowledged arrived again.
    pub(crate) fn on_data_again(&mut self) {
        if let Some(accurate) = self.accurate() {
            accurate.on_data_again();
        }
    }
    /// A SYN arrived on the synchronised connection.
    pub(crate) fn on_syn_again(&mut self, segment: &Segment) {
        if let Some(accurate) = self.accurate() {
            accurate.on_syn_again(segment);
        }
    }
    /// Data from `seq` on leaves again.
    pub(crate) fn on_retransmission(&mut self, seq: Seq) {
        if let Some(accurate) = self.accurate() {
            accurate.on_retransmission(seq);
        }
    }

    /// The acknowledgement of the SYN-ACK has to leave by itself, before any data.
    pub(crate) fn owes_handshake(&self) -> bool {
        self.accurate_ref().is_some_and(Accurate::owes_handshake)
    }
    /// The next data must not leave as a super-segment: a device that cuts would repeat a classic
    /// CWR on each piece, or take the CWR bit of ACE off all but one.
    pub(crate) fn forbids_super_segments(&self) -> bool {
        self.0.as_ref().is_some_and(|both| match &both.kind {
            Kind::Classic(classic) => classic.cwr != Cwr::No,
            Kind::Accurate(accurate) => accurate.forbids_super_segments(),
        })
    }
    /// The next new data says CWR (classic ECN).
    pub(crate) fn owes_cwr(&self) -> bool {
        self.0.as_ref().is_some_and(|both| match &both.kind {
            Kind::Classic(classic) => classic.cwr != Cwr::No,
            Kind::Accurate(_) => false,
        })
    }
    /// The option for the next segment, if one is due and `fits` says that there is room.
    pub(crate) fn option(&self, data: bool, fits: impl Fn(u8) -> bool) -> Option<AccurateEcn> {
        self.accurate_ref()?.option(data, fits)
    }

    /// The ECN flags of the segment that leaves. `pure`: neither payload, nor FIN, nor SACK blocks.
    pub(crate) fn flags(&mut self, pure: bool) -> Flags {
        match self.0.as_mut().map(|both| &mut both.kind) {
            Some(Kind::Classic(classic)) if classic.echo => Flags::ECE,
            Some(Kind::Accurate(accurate)) => accurate.flags(pure),
            _ => Flags::NONE,
        }
    }
    /// A segment left.
    pub(crate) fn on_sent(&mut self, seq: Seq, octets: u32, option: Option<&AccurateEcn>) {
        if let Some(accurate) = self.accurate() {
            accurate.on_sent(seq, octets, option);
        }
    }
}

impl Classic {
    fn new(capable: bool) -> Classic {
        Classic { marks: 0, capable, echo: false, cwr: Cwr::No }
    }

    /// CWR first: a mark on the same segment is a new one. The peer that says CWR may have a
    /// window of one segment, and wait for the acknowledgement. What every acknowledgement says
    /// while a mark is unanswered is `echo` (3168-3).
    fn on_data(&mut self, segment: &Segment) -> bool {
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
}

impl<C: CongestionController> Tcb<C> {
    /// An acceptable segment arrived, of whatever kind: its mark is counted (RFC 9768 §3.2).
    pub(crate) fn marks_step(&mut self, now: Instant, segment: &Segment, whole: bool) {
        let unacknowledged = self.acks.need(now) != AckNeed::None;
        let Some(accurate) = self.ecn.accurate() else { return };
        let octets = u32::try_from(segment.payload.len()).unwrap_or(u32::MAX);
        let packet = Packet {
            mark: segment.ecn,
            octets: if whole { octets } else { 0 },
            wire_segments: segment.wire_segments,
            unacknowledged,
        };
        if accurate.on_packet(&packet) {
            self.acks.demand();
        }
    }

    /// What the segment says of marks on our data. Classic: there was one, not where.
    pub(crate) fn marks(&mut self, segment: &Segment) -> MarkReport {
        let una = self.snd.una;
        match self.ecn.0.as_mut().map(|both| &mut both.kind) {
            Some(Kind::Classic(classic)) if classic.capable && segment.has(Flags::ECE) => {
                MarkReport::Classic(segment.header.ack.since(una).max(1))
            }
            Some(Kind::Accurate(accurate)) if !accurate.digested => {
                let (option, stamp) = said(segment);
                let ace = ace_of(segment.header.flags);
                MarkReport::Accurate(accurate.feedback.read(ace, option, stamp))
            }
            _ => MarkReport::None,
        }
    }

    /// An acknowledgement was digested. `smallest`: the window was one segment before it, so that
    /// only waiting is left to reduce (3168-5).
    pub(crate) fn after_marks(
        &mut self,
        now: Instant,
        segment: &Segment,
        outcome: &AckOutcome,
        smallest: bool,
    ) {
        let settled = Settled {
            marked: outcome.marked,
            delivered: outcome.delivered_octets,
            mss: self.send_mss(),
            una: self.snd.una.latest(segment.header.ack),
            nxt: self.snd.nxt,
            small: self.snd.small,
        };
        if let Some(accurate) = self.ecn.accurate() {
            if accurate.digested {
                accurate.digested = false;
            } else {
                let (option, stamp) = said(segment);
                accurate.feedback.settle(option, stamp, &settled);
            }
        }
        if let Some(classic) = self.ecn.classic()
            && outcome.spurious
            && classic.cwr == Cwr::ForLoss
        {
            classic.cwr = Cwr::No;
        }
        if outcome.entered_recovery || outcome.probe_repaired {
            self.reduced_for_loss();
        }
        if !outcome.reduced_by_mark {
            return;
        }
        self.mtu.on_congestion();
        self.reduced_for_mark();
        if smallest {
            self.persist.rest(now, self.recovery.rto());
        }
    }

    fn reduced_for_mark(&mut self) {
        let Some(both) = self.ecn.0.as_mut() else { return };
        both.reductions = both.reductions.saturating_add(1);
        if let Kind::Classic(classic) = &mut both.kind {
            classic.cwr = Cwr::ForMark;
        }
    }

    /// The window was reduced for a loss: that answers marks of the same window too (3168-4).
    pub(crate) fn reduced_for_loss(&mut self) {
        self.mtu.on_congestion();
        if let Some(classic) = self.ecn.classic()
            && classic.capable
            && classic.cwr == Cwr::No
        {
            classic.cwr = Cwr::ForLoss;
        }
    }

    /// Our SYN or SYN-ACK was marked: congestion at the very start (RFC 9768 §3.2.2.2).
    pub(crate) fn answer_handshake_mark<O: Observer>(
        &mut self,
        env: &Env<'_, O>,
        agreed: &EcnAgreed,
    ) {
        let EcnAgreed::Accurate(start) = agreed else { return };
        if start.marked && start.heed {
            self.controller.on_congestion(&Congestion {
                now: env.now,
                kind: CongestionKind::Marked,
                flight_octets: self.controller.budget().window_octets,
                lost_octets: 0,
            });
            self.reduced_for_mark();
        }
    }

    /// New data leaves in `reply`: ECT(0) (3168-8), and with classic ECN CWR after a reduction.
    /// Nothing else of ours is ever ECN-capable (3168-2).
    pub(crate) fn mark_new_data(&mut self, reply: &mut Reply) {
        if !self.ecn.is_on() {
            return;
        }
        reply.ecn = Ecn::Capable0;
        if let Some(classic) = self.ecn.classic()
            && classic.cwr != Cwr::No
        {
            reply.header.flags = reply.header.flags | Flags::CWR;
            classic.cwr = Cwr::No;
        }
    }
}

/// Option and timestamp of a segment.
fn said(segment: &Segment) -> (Option<&AccurateEcn>, Option<u32>) {
    (segment.options.accurate_ecn.as_ref(), segment.timestamp_value())
}
