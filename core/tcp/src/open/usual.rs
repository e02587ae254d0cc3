//! SYN and SYN-ACK of the usual shape: MSS, window scale, SACK-permitted and timestamps, and no ECN.
//! Owns: the short way of these through a handshake, which comes to what `handshake` and `arrive` come to; tests
//! compare.
//! Must not know: any other shape.

use super::handshake::{Handshake, HandshakePhase, Opening, Scales};
use super::{EcnAgreed, Offer, timestamp_clock};
use crate::predicted::UsualSegment;
use crate::settings::{Settings, UserTimeoutOption};
use usertcp_base::{Ecn, Instant, Limits, Scale, Seq, WireWindow};

/// What such a segment says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UsualSyn {
    /// SEG.SEQ.
    pub seq: Seq,
    /// SEG.ACK; `None`: a SYN.
    pub ack: Option<Seq>,
    /// The window field, never scaled.
    pub window: WireWindow,
    /// The largest segment, octets.
    pub mss_octets: u16,
    /// The window scale.
    pub scale: u8,
    /// The timestamp.
    pub value: u32,
    /// The timestamp it echoes.
    pub echo: u32,
}

/// What the handshakes of all connections with one offer have in common, and their SYNs.
#[derive(Clone, Copy, Debug)]
pub struct Greeting {
    handshake: Handshake,
    /// Our SYN, if it is of the usual shape, of a connection without numbers.
    syn: Option<UsualSyn>,
    /// The same of our SYN-ACK, where the SYN was of that shape.
    answer: Option<UsualSyn>,
}

impl Greeting {
    /// What these settings offer.
    pub fn new(offer: &Offer, settings: &Settings) -> Greeting {
        let (now, nothing) = (Instant::ZERO, Seq(0));
        let handshake = Handshake::active(now, nothing, 0, offer);
        let syn = handshake.usual_syn(now, settings);
        let mut passive = handshake;
        passive.set_passive();
        passive.ecn.on_plain_syn(Ecn::NotCapable);
        Greeting { handshake, syn, answer: passive.usual_syn(now, settings) }
    }

    /// The handshake of all, of a connection without numbers: [`Handshake::begin`] makes it one's.
    pub fn handshake(&self) -> &Handshake {
        &self.handshake
    }

    /// The SYN of the connection with these numbers, if it is of the usual shape.
    #[inline(always)] // in one place
    pub fn syn(&self, now: Instant, numbers: (Seq, u32)) -> Option<UsualSyn> {
        Some(self.syn?.with(now, numbers))
    }

    /// The SYN-ACK that answers a SYN of the usual shape, if it is one too.
    #[inline(always)] // as above
    pub fn answer(&self, now: Instant, numbers: (Seq, u32), syn: &UsualSyn) -> Option<UsualSyn> {
        let answer = self.answer?.with(now, numbers);
        Some(UsualSyn { ack: Some(syn.seq + 1), echo: syn.value, ..answer })
    }
}

/// What a handshake of usual segments came to: what [`Tcb::begin_usual`](crate::Tcb::begin_usual) begins from.
#[derive(Clone, Copy, Debug)]
pub struct Shaken {
    handshake: Handshake,
    /// The timestamp that the last segment echoed.
    echo: u32,
    /// The peer is still waiting for our acknowledgement.
    owes_ack: bool,
}

impl Shaken {
    /// Whether we sent the first SYN.
    pub fn is_active(&self) -> bool {
        self.handshake.is_active()
    }

    /// The established connection, now.
    #[inline(always)] // once, but for tests
    pub(crate) fn opening(&self, now: Instant) -> Opening {
        self.handshake.opening_by(now, Some(self.echo), EcnAgreed::Off, self.owes_ack)
    }
}

impl UsualSyn {
    /// The same of the connection with these numbers.
    #[inline(always)] // twice
    fn with(self, now: Instant, (iss, offset): (Seq, u32)) -> UsualSyn {
        UsualSyn { seq: iss, value: timestamp_clock(now, offset), ..self }
    }
}

impl Handshake {
    /// [`Handshake::passive`] by one that has [begun](Handshake::begin), for a SYN of the usual shape with this mark,
    /// and without payload.
    #[inline(always)] // in one place
    pub fn answer_usual(&mut self, syn: &UsualSyn, mark: Ecn, limits: &Limits) {
        self.set_passive();
        self.learn_usual(syn, limits);
        self.ecn.on_plain_syn(mark);
    }

    /// The SYN or SYN-ACK this record stands for, if it is of the usual shape.
    pub fn usual_syn(&self, now: Instant, settings: &Settings) -> Option<UsualSyn> {
        let scales = self.scales?;
        let received = self.phase() == HandshakePhase::SynReceived;
        let usual = self.sack
            && self.timestamps
            && self.syn_octets == 0
            && settings.user_timeout_option == UserTimeoutOption::Off
            && self.ecn.is_silent(received);
        usual.then(|| UsualSyn {
            seq: self.iss,
            ack: received.then_some(self.irs + 1),
            window: WireWindow(self.own_window),
            mss_octets: self.own_mss,
            scale: scales.own().shift(),
            value: timestamp_clock(now, self.timestamp_offset),
            echo: self.timestamp_recent,
        })
    }

    /// The SYN-ACK that answers our SYN, if it is of the usual shape and without payload, and acknowledges the
    /// SYN and nothing else. `None`: nothing has changed; it is for [`Handshake::handle_segment`].
    #[inline(always)] // in one place
    pub fn handle_usual_syn_ack(&mut self, syn: &UsualSyn, limits: &Limits) -> Option<Shaken> {
        let expected = self.phase() == HandshakePhase::SynSent
            && self.syn_octets == 0
            && syn.ack == Some(self.iss + 1);
        if !expected {
            return None;
        }
        self.learn_usual(syn, limits);
        self.ecn.on_plain_syn_ack();
        Some(Shaken { handshake: *self, echo: syn.echo, owes_ack: true })
    }

    /// The acknowledgement that completes a passive open, if it is the next segment and all about it is as
    /// expected. `None`: nothing has changed; it is for [`Handshake::handle_segment`].
    #[inline(always)] // in one place
    pub fn handle_usual(&mut self, segment: &UsualSegment) -> Option<Shaken> {
        let expected = !self.is_active()
            && self.syn_octets == 0
            && self.timestamps
            && segment.seq == self.irs + 1
            && self.own_window > 0
            && segment.ack == self.iss + 1
            && segment.value.wrapping_sub(self.timestamp_recent) as i32 >= 0
            && self.ecn.is_none();
        if !expected {
            return None;
        }
        self.timestamp_recent = segment.value;
        Some(Shaken { handshake: *self, echo: segment.echo, owes_ack: false })
    }

    /// [`Handshake::learn`].
    #[inline(always)] // twice
    fn learn_usual(&mut self, syn: &UsualSyn, limits: &Limits) {
        self.note_peer_syn();
        self.irs = syn.seq;
        self.peer_window = syn.window.0;
        self.peer_mss = syn.mss_octets.max(limits.smallest_mss_octets);
        let peer = Scale::clamped(syn.scale);
        self.scales = self.scales.map(|ours| Scales::new(ours.own(), peer));
        if self.timestamps {
            self.timestamp_recent = syn.value;
        }
    }
}
