//! SYN and SYN-ACK of the usual shape: MSS, window scale, SACK-permitted and timestamps, and no ECN.
//! Owns: the short way of these through a handshake, which comes to what `handshake` and `arrive` come to; tests
//! compare.
//! Must not know: any other shape.

use super::handshake::{Handshake, HandshakePhase, Opening, Scales};
use super::{EcnAgreed, timestamp_clock};
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

impl Handshake {
    /// [`Handshake::passive`] by one that has [begun](Handshake::begun), for a SYN of the usual shape with this mark,
    /// and without payload.
    #[inline]
    pub fn answer_usual(&mut self, syn: &UsualSyn, mark: Ecn, limits: &Limits) {
        self.set_passive();
        self.learn_usual(syn, limits);
        self.ecn.on_plain_syn(mark);
    }

    /// The SYN or SYN-ACK this record stands for, if it is of the usual shape.
    #[inline(always)] // in two places
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
    pub fn handle_usual_syn_ack(
        &mut self,
        now: Instant,
        syn: &UsualSyn,
        limits: &Limits,
    ) -> Option<Opening> {
        let expected = self.phase() == HandshakePhase::SynSent
            && self.syn_octets == 0
            && syn.ack == Some(self.iss + 1);
        if !expected {
            return None;
        }
        self.learn_usual(syn, limits);
        self.ecn.on_plain_syn_ack();
        Some(self.opening_by(now, Some(syn.echo), EcnAgreed::Off, true))
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
