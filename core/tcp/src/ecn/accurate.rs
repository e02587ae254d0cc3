//! Accurate ECN on a synchronised connection: the receiver's half, and what our headers say.
//!
//! Owns: the counters of what arrived, when they make an acknowledgement due, ACE, the option and
//! when it is left out because the path seems to lose what has it.
//! Must not know: what the peer says of our data (`feedback`), congestion control.
//! Implements: RFC 9768 §3.2, §3.2.1, §3.2.2.1, §3.2.2.2, §3.2.2.5.1, §3.2.3.2.2, §3.2.3.3.
//!
//! All of it is one box that exists only when accurate ECN was agreed. A connection that parks
//! keeps the box as it is: the counters must survive.

use super::counters::Counters;
use super::feedback::Feedback;
use crate::open::{AccurateStart, INITIAL_CEP, ace_flags, code_of};
use crate::segment::Segment;
use crate::settings::EcnOption;
use usertcp_base::{Ecn, Seq};
use usertcp_wire::tcp::{AccurateEcn, Flags};

/// Marked packets that make an acknowledgement due: while something is unacknowledged, and when
/// only the marks are (our peer's acknowledgements are marked: not every two, or the two ends would
/// acknowledge acknowledgements for ever).
const MARKS_WITH_DATA: u16 = 2;
const MARKS_ALONE: u16 = 3;
/// Octets that may go untold (§3.2.3.3): the fields are of 24 bits.
const MOST_UNTOLD: u32 = 1 << 22;
/// So often must something with the option seem to be lost before it is left out.
const LEAST_LOST: u16 = 3;

/// Whether segments with our option get through (§3.2.3.2.2). Counters saturate.
#[derive(Clone, PartialEq, Eq, Debug)]
struct PathTest {
    /// Bare acknowledgements with the option, and how often what they acknowledged came again.
    acknowledgements: u16,
    again: u16,
    /// Data segments with the option, and those of them that were sent again.
    data: u16,
    lost: u16,
    /// The last run of sequence numbers that had it.
    run: (Seq, Seq),
    /// The last acknowledgement had the option.
    last_had: bool,
}

impl PathTest {
    /// Every second data segment lost is more than congestion. A peer that hears no acknowledgement
    /// sends one segment again for a whole window of them.
    fn fails(&self) -> bool {
        let data = self.lost >= LEAST_LOST && self.lost >= self.data / 2;
        data || (self.again >= LEAST_LOST && self.again >= self.acknowledgements / 16)
    }

    fn on_sent(&mut self, seq: Seq, octets: u32, had: bool) {
        self.last_had = had;
        if !had {
            return;
        }
        if octets == 0 {
            self.acknowledgements = self.acknowledgements.saturating_add(1);
            return;
        }
        self.data = self.data.saturating_add(1);
        let first = if self.run.1 == seq { self.run.0 } else { seq };
        self.run = (first, seq + octets);
    }

    fn on_retransmission(&mut self, seq: Seq) {
        if seq.within(self.run.0, self.run.1) {
            self.lost = self.lost.saturating_add(1);
        }
    }

    fn on_data_again(&mut self) {
        if self.last_had {
            self.again = self.again.saturating_add(1);
        }
    }
}

/// The mark of a SYN-ACK that the peer is to be told (§3.2.2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Handshake {
    Told,
    /// In a pure acknowledgement that goes before anything else.
    First(Ecn),
    /// The SYN-ACK came again: if the next segment is a pure acknowledgement, in that.
    Again(Ecn),
}

/// A packet that was accepted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet {
    /// The mark of its IP header.
    pub mark: Ecn,
    /// Payload.
    pub octets: u32,
    /// Packets on the wire: a device merges none of different marks.
    pub wire_segments: u16,
    /// Something that arrived before is not acknowledged yet.
    pub unacknowledged: bool,
}

/// Everything of accurate ECN.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Accurate {
    pub feedback: Feedback,
    /// The flags of the segment that completed the handshake are digested, and it comes next.
    pub digested: bool,
    /// r.cep.
    cep: u32,
    /// r.e0b, r.ceb, r.e1b.
    counters: Counters,
    /// The same as the peer was told last.
    told: Counters,
    /// Octets of another mark than those before.
    turned: bool,
    last_mark: Ecn,
    /// Packets that arrived marked since the last acknowledgement.
    unacknowledged_marks: u16,
    handshake: Handshake,
    /// We sent the SYN that the peer answered.
    client: bool,
    /// Our initial number and the peer's, to know its SYN-ACK again.
    initial: (Seq, Seq),
    option: EcnOption,
    /// The path does not let our option pass, as far as we know.
    blocked: bool,
    path: PathTest,
    /// A client's first data segment, while it is unsent: it has the option, to test the path
    /// (§3.2.3.2.1).
    first_data: Option<Seq>,
    /// The next segment goes without.
    withheld: bool,
}

impl Accurate {
    /// `iss`, `irs`: both initial sequence numbers.
    pub fn new(start: &AccurateStart, option: EcnOption, iss: Seq, irs: Seq) -> Accurate {
        let client = start.syn_ack.is_some();
        Accurate {
            feedback: Feedback::new(start, iss + 1),
            digested: start.digested,
            cep: u32::from(INITIAL_CEP),
            counters: Counters::INITIAL,
            told: Counters::INITIAL,
            turned: false,
            last_mark: Ecn::NotCapable,
            unacknowledged_marks: 0,
            handshake: start.syn_ack.map_or(Handshake::Told, Handshake::First),
            client,
            initial: (iss, irs),
            option,
            blocked: !start.send_option,
            path: PathTest {
                acknowledgements: 0,
                again: 0,
                data: 0,
                lost: 0,
                run: (iss, iss),
                last_had: false,
            },
            first_data: client.then_some(iss + 1),
            withheld: false,
        }
    }

    /// Packets that arrived marked.
    pub fn packets(&self) -> u32 {
        self.cep.wrapping_sub(u32::from(INITIAL_CEP))
    }
    /// Octets that arrived, by mark.
    pub fn octets(&self) -> Counters {
        self.counters.since(&Counters::INITIAL)
    }
    /// Our option is not sent, because it seems not to get through.
    pub fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// An acceptable packet arrived; whether it is to be acknowledged at once.
    ///
    /// A super-segment is one event with one acknowledgement at its end, as §3.2.2.5.1 permits: ACE
    /// may cycle over it, and the option tells what it cannot.
    pub fn on_packet(&mut self, packet: &Packet) -> bool {
        let marked = packet.mark == Ecn::CongestionExperienced;
        let was_marked = self.last_mark == Ecn::CongestionExperienced;
        if marked {
            self.cep = self.cep.wrapping_add(u32::from(packet.wire_segments.max(1)));
            self.unacknowledged_marks =
                self.unacknowledged_marks.saturating_add(packet.wire_segments.max(1));
        }
        self.turned |= packet.octets != 0 && packet.mark != self.last_mark;
        self.counters.add(packet.mark, packet.octets);
        self.last_mark = packet.mark;
        let data = packet.octets != 0;
        let most = if data || packet.unacknowledged { MARKS_WITH_DATA } else { MARKS_ALONE };
        (data && marked && !was_marked) || self.unacknowledged_marks >= most
    }

    /// Data that was acknowledged arrived again.
    pub fn on_data_again(&mut self) {
        self.path.on_data_again();
        self.blocked |= self.path.fails();
    }

    /// The peer's SYN-ACK again: our acknowledgement of it was lost, and has to tell its mark.
    pub fn on_syn_again(&mut self, segment: &Segment) {
        let (iss, irs) = self.initial;
        let known = segment.header.seq == irs && segment.header.ack == iss + 1;
        let agrees =
            segment.has(Flags::ACK) && segment.header.flags.intersects(Flags::AE | Flags::CWR);
        if self.client && known && agrees {
            self.handshake = Handshake::Again(segment.ecn);
        }
    }

    /// A pure acknowledgement has to go before anything else: it tells the mark of the SYN-ACK.
    pub fn owes_handshake(&self) -> bool {
        matches!(self.handshake, Handshake::First(_))
    }

    /// The flags of a segment with SYN clear. `pure`: it has neither payload, FIN nor SACK blocks.
    pub fn flags(&mut self, pure: bool) -> Flags {
        match core::mem::replace(&mut self.handshake, Handshake::Told) {
            Handshake::First(mark) | Handshake::Again(mark) if pure => ace_flags(code_of(mark)),
            _ => ace_flags((self.cep % 8) as u8),
        }
    }

    /// ACE has the bit that is CWR otherwise.
    ///
    /// A device, or a kernel, that cuts a super-segment leaves CWR on the first piece only, as
    /// RFC 3168 wants it: the pieces would carry another count each, and the peer would see six
    /// marks more and two less. Not all can be told otherwise, so that such data leaves in single
    /// segments. A sender that receives no marks stays at five, where that bit is clear.
    pub fn forbids_super_segments(&self) -> bool {
        self.cep & 2 != 0
    }

    /// Whether the next segment, one with `data` or not, should carry the option.
    fn is_due(&self, data: bool) -> bool {
        if self.option == EcnOption::Never || self.withheld {
            return false;
        }
        if self.blocked && self.option != EcnOption::Persist {
            return false;
        }
        if self.owes_handshake() || (data && self.first_data.is_some()) {
            return true;
        }
        if self.option == EcnOption::Least {
            let untold = self.counters.since(&self.told);
            let most = untold.capable0.max(untold.capable1);
            return untold.marked != 0 || (self.turned && most != 0) || most >= MOST_UNTOLD;
        }
        self.counters != self.told
    }

    /// The option for the next segment; `fits` tells whether one with so many fields has room.
    pub fn option(&self, data: bool, fits: impl Fn(u8) -> bool) -> Option<AccurateEcn> {
        if !self.is_due(data) {
            return None;
        }
        let most = (0..=3).rev().find(|count| fits(*count))?;
        self.counters.to_option(&self.told, most)
    }

    /// Data from `seq` on is sent again, and without the option, which may be why it was lost: what
    /// is not told now is told with the next acknowledgement.
    pub fn on_retransmission(&mut self, seq: Seq) {
        self.withheld = true;
        self.path.on_retransmission(seq);
        self.blocked |= self.path.fails();
    }

    /// A segment left with these; every one of them acknowledges.
    pub fn on_sent(&mut self, seq: Seq, octets: u32, option: Option<&AccurateEcn>) {
        self.withheld = false;
        self.unacknowledged_marks = 0;
        self.path.on_sent(seq, octets, option.is_some());
        if let Some(option) = option {
            self.told = self.counters.told_by(option, &self.told);
            self.turned = false;
        }
        if octets != 0 {
            self.first_data = None;
        }
    }
}
