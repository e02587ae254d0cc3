//! ECN on SYN and SYN-ACK. Owns: `EcnSetup`, `EcnAgreed`: which feedback the two ends use.
//! Must not know: what the marks mean once agreed (`crate::ecn` does), timers.
//! Implements: RFC 3168 §6.1.1, §6.1.1.1; RFC 8311 §3.2 (AE is no nonce); RFC 9768 §3.1.

use super::accurate::{AccurateStart, INITIAL_OPTION, ace_flags, ace_of, code_of};
use super::negotiate::Offer;
use crate::segment::Segment;
use crate::settings::{EcnLevel, EcnMode, EcnOption};
use usertcp_base::Ecn;
use usertcp_wire::tcp::{AccurateEcn, Flags};

/// How far two ends agree on ECN.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum EcnAgreed {
    /// Not at all.
    #[default]
    Off,
    /// A SYN without it went one way or the other: marks of the peer's are echoed, our data does
    /// not ask for any.
    EchoOnly,
    /// Both ways.
    Both,
    /// Accurate feedback, both ways (RFC 9768).
    Accurate(AccurateStart),
}

/// Retransmissions of a SYN that asks before one goes without: the second has none (3168-6,
/// 9768-10).
const WITHDRAWN_FROM: u8 = 2;

/// Which feedback the first SYN or SYN-ACK of the peer brought us to. It never changes afterwards
/// (RFC 9768 §3.1.5), but that one of RFC 3168 between classic ends may be taken back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Feedback {
    /// Nothing was heard yet.
    Unknown,
    None,
    Classic,
    Accurate(SynAckForm),
}

/// How much of accurate ECN our next SYN-ACK shows (RFC 9768 §3.2.3.2.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum SynAckForm {
    WithOption,
    /// A second SYN came; our timer is still that of the first SYN-ACK.
    FlagsOnly,
    FlagsAgain,
    Plain,
}

/// What a SYN of the peer means for the record.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Learned {
    /// It is in order.
    Good,
    /// The peer asks for classic and for accurate ECN in one handshake: neither end could know
    /// what the other uses, so the connection is reset (RFC 9768 §3.1.5).
    Contradiction,
}

/// What was said about ECN so far. Four octets: there may be many half-open records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct EcnSetup {
    mode: EcnMode,
    feedback: Feedback,
    /// A SYN of ours went out again without; or, once the mode was found, a SYN of the peer or a
    /// SYN-ACK of ours was without.
    without: bool,
    /// The mark of the peer's latest SYN.
    mark: Ecn,
}

/// The two flags that classic SYNs use.
fn both() -> Flags {
    Flags::ECE | Flags::CWR
}

/// What a SYN asks for, as far as `level` understands it (RFC 9768 Table 2 and §3.1.3: what is
/// reserved now is for later versions, which fall back to this one).
fn asked(flags: Flags, level: EcnLevel) -> EcnLevel {
    match (level, ace_of(flags)) {
        (EcnLevel::Nothing, _) | (EcnLevel::Accurate, 0b000) => EcnLevel::Nothing,
        (EcnLevel::Accurate, 0b011) => EcnLevel::Classic,
        (EcnLevel::Accurate, _) => EcnLevel::Accurate,
        // AE is not looked at.
        (EcnLevel::Classic, 0b011 | 0b111) => EcnLevel::Classic,
        (EcnLevel::Classic, _) => EcnLevel::Nothing,
    }
}

/// What a SYN with `flags` gets from one who would answer with `offer`.
pub fn asked_ecn(flags: Flags, offer: &Offer) -> EcnLevel {
    asked(flags, offer.ecn.accepts())
}

impl EcnSetup {
    pub(super) fn new(mode: EcnMode) -> EcnSetup {
        EcnSetup { mode, feedback: Feedback::Unknown, without: false, mark: Ecn::NotCapable }
    }

    /// Flags to add to our SYN.
    pub(super) fn on_syn(&self) -> Flags {
        match self.mode.asks() {
            _ if self.without => Flags::NONE,
            EcnLevel::Nothing => Flags::NONE,
            EcnLevel::Classic => both(),
            EcnLevel::Accurate => ace_flags(0b111),
        }
    }

    /// Flags and option to add to our SYN-ACK. A record that began with a SYN of ours answers only
    /// if that one asked.
    pub(super) fn on_syn_ack(&self, option: EcnOption) -> (Flags, Option<AccurateEcn>) {
        match self.feedback {
            Feedback::Classic if !self.without => (Flags::ECE, None),
            Feedback::Accurate(form) if form != SynAckForm::Plain => {
                let option = form == SynAckForm::WithOption && option != EcnOption::Never;
                (ace_flags(code_of(self.mark)), option.then_some(INITIAL_OPTION))
            }
            _ => (Flags::NONE, None),
        }
    }

    /// Flags of a bare acknowledgement while the handshake lasts: the counter in its initial state.
    pub(super) fn on_acknowledgement(&self) -> Flags {
        match self.feedback {
            Feedback::Accurate(_) => ace_flags(super::INITIAL_CEP),
            _ => Flags::NONE,
        }
    }

    /// Our SYN is about to go out for the `retries`-th time again.
    pub(super) fn on_syn_again(&mut self, retries: u8) {
        self.without |= retries >= WITHDRAWN_FROM;
    }

    /// Our SYN-ACK timed out: first the option is left out, then the flags. Both ends go on with
    /// what they agreed, but a server that said "none" cannot know whether the client heard that,
    /// and never sends ECN-capable data.
    pub(super) fn on_syn_ack_timeout(&mut self, option: EcnOption) {
        let Feedback::Accurate(form) = &mut self.feedback else { return };
        *form = match form {
            SynAckForm::WithOption if option == EcnOption::Persist => SynAckForm::WithOption,
            SynAckForm::WithOption | SynAckForm::FlagsOnly => SynAckForm::FlagsAgain,
            SynAckForm::FlagsAgain | SynAckForm::Plain => SynAckForm::Plain,
        };
        self.without |= *form == SynAckForm::Plain;
    }

    /// A SYN of the peer, the first or one again.
    pub(super) fn on_peer_syn(
        &mut self,
        syn: &Segment,
        active: bool,
        option: EcnOption,
    ) -> Learned {
        let level = if active { self.mode.asks() } else { self.mode.accepts() };
        self.mark = syn.ecn;
        match (&mut self.feedback, asked(syn.header.flags, level)) {
            (Feedback::Unknown, asked) => {
                self.feedback = match asked {
                    EcnLevel::Nothing => Feedback::None,
                    EcnLevel::Classic => Feedback::Classic,
                    EcnLevel::Accurate => Feedback::Accurate(SynAckForm::WithOption),
                };
            }
            (Feedback::Classic, EcnLevel::Accurate)
            | (Feedback::Accurate(_), EcnLevel::Classic) => return Learned::Contradiction,
            // Between classic ends a SYN without ends what an earlier one offered.
            (Feedback::Classic, EcnLevel::Nothing) if level == EcnLevel::Classic => {
                self.feedback = Feedback::None;
            }
            (Feedback::Classic | Feedback::Accurate(_), EcnLevel::Nothing) => self.without = true,
            // Perhaps a middlebox dropped our SYN-ACK for its option.
            (Feedback::Accurate(form), EcnLevel::Accurate) if option != EcnOption::Persist => {
                *form = (*form).max(SynAckForm::FlagsOnly);
            }
            _ => {}
        }
        Learned::Good
    }

    /// The first SYN of the peer, with this mark, and it asks for nothing.
    pub(super) fn on_plain_syn(&mut self, mark: Ecn) {
        self.mark = mark;
        self.feedback = Feedback::None;
    }

    /// The peer's SYN-ACK, the first that is heard of it, says nothing of ECN.
    pub(super) fn on_plain_syn_ack(&mut self) {
        self.feedback = Feedback::None;
    }

    /// Whether our SYN, or SYN-ACK when a SYN was `received`, says nothing of ECN.
    #[inline]
    pub(super) fn is_silent(&self, received: bool) -> bool {
        match received {
            true => self.is_none(),
            false => self.on_syn() == Flags::NONE,
        }
    }

    /// The peer's data is taken with its SYN: a connection that sends before the third segment came
    /// cannot count what that one says of our SYN-ACK, so there is no accurate feedback.
    pub(super) fn on_fast_open(&mut self) {
        if let Feedback::Accurate(_) = self.feedback {
            self.feedback = Feedback::None;
        }
    }

    /// Whether there is no ECN, whatever the segment says that completes the handshake.
    pub(super) fn is_none(&self) -> bool {
        matches!(self.feedback, Feedback::Unknown | Feedback::None)
    }

    /// What a fast open goes by before its handshake is complete.
    pub(super) fn agreed_early(&self) -> EcnAgreed {
        match self.feedback {
            Feedback::Classic if self.without => EcnAgreed::EchoOnly,
            Feedback::Classic => EcnAgreed::Both,
            Feedback::Unknown | Feedback::None | Feedback::Accurate(_) => EcnAgreed::Off,
        }
    }

    /// The peer's SYN-ACK. One that reflects our flags back is none that sets up ECN.
    pub(super) fn on_peer_syn_ack(&mut self, segment: &Segment) {
        let code = ace_of(segment.header.flags);
        let heard = self.feedback != Feedback::Unknown;
        match (self.mode.asks(), code) {
            // After a SYN of the peer the mode is found already.
            (EcnLevel::Accurate, _) if heard => self.without |= code == 0,
            (EcnLevel::Accurate, 0b000 | 0b111) => self.feedback = Feedback::None,
            (EcnLevel::Accurate, 0b001) => self.feedback = Feedback::Classic,
            (EcnLevel::Accurate, _) => {
                self.feedback = Feedback::Accurate(SynAckForm::WithOption);
            }
            (EcnLevel::Classic, 0b001 | 0b101) if heard => {}
            (EcnLevel::Classic, 0b001 | 0b101) => self.feedback = Feedback::Classic,
            _ => self.feedback = Feedback::None,
        }
    }

    /// The result. `last` completes the handshake; it has a SYN if it is the peer's SYN-ACK, and
    /// `simultaneous` tells whether a SYN of the peer came before that.
    pub(super) fn agreed(&self, last: &Segment, simultaneous: bool) -> EcnAgreed {
        match self.feedback {
            Feedback::Unknown | Feedback::None => EcnAgreed::Off,
            Feedback::Classic if self.without => EcnAgreed::EchoOnly,
            Feedback::Classic => EcnAgreed::Both,
            Feedback::Accurate(form) => {
                let answered = last.has(Flags::SYN) && !simultaneous;
                let mut start = if answered {
                    AccurateStart::of_syn_ack(last)
                } else if simultaneous && last.has(Flags::SYN) {
                    AccurateStart::of_simultaneous(last)
                } else {
                    AccurateStart::of_third_segment(last)
                };
                // A client whose SYN was answered knows that its server counts. A server, or an
                // end of a simultaneous open, that said or heard "none" does not (§3.1.5).
                start.capable &= answered || !self.without;
                start.send_option = form == SynAckForm::WithOption;
                EcnAgreed::Accurate(start)
            }
        }
    }
}
