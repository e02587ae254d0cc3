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
/// Segments that arrive again although acknowledged with the option, one after the other, which
/// show that such acknowledgements are lost.
const LOST_IN_A_ROW: u8 = 2;

/// Whether the first data segment may carry the option, to test the path (§3.2.3.2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum FirstData {
    /// A server's, or done with.
    Nothing,
    /// It has the option.
    Unsent(Seq),
    /// It had the option, and goes without when it is lost.
    Sent(Seq),
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
#[derive(Debug)]
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
    first_data: FirstData,
    /// The next segment goes without.
    withheld: bool,
    /// The last acknowledgement had the option.
    acknowledged_with_option: bool,
    lost_in_a_row: u8,
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
            first_data: if client { FirstData::Unsent(iss + 1) } else { FirstData::Nothing },
            withheld: false,
            acknowledged_with_option: false,
            lost_in_a_row: 0,
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

    /// Data that was acknowledged arrived again (`true`), or new data did.
    pub fn on_data_again(&mut self, again: bool) {
        if !again {
            self.lost_in_a_row = 0;
        } else if self.acknowledged_with_option {
            self.lost_in_a_row = self.lost_in_a_row.saturating_add(1);
            self.blocked |= self.lost_in_a_row >= LOST_IN_A_ROW;
        }
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
        let first = data && matches!(self.first_data, FirstData::Unsent(_));
        if self.owes_handshake() || first {
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

    /// Data from `seq` on is sent again: if it is the first, its option may be why it was lost.
    pub fn on_retransmission(&mut self, seq: Seq) {
        self.withheld = self.first_data == FirstData::Sent(seq);
    }

    /// A segment left with these; every one of them acknowledges.
    pub fn on_sent(&mut self, seq: Seq, octets: u32, option: Option<&AccurateEcn>) {
        self.withheld = false;
        self.unacknowledged_marks = 0;
        self.acknowledged_with_option = option.is_some();
        if let Some(option) = option {
            self.told = self.counters.told_by(option, &self.told);
            self.turned = false;
        }
        if octets != 0 {
            self.first_data = match self.first_data {
                FirstData::Unsent(first) if first == seq && option.is_some() => {
                    FirstData::Sent(first)
                }
                FirstData::Unsent(_) => FirstData::Nothing,
                other => other,
            };
        }
    }
}

#[cfg(test)]
mod tests;
