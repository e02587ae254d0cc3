//! The handshake record: SYN-SENT and SYN-RECEIVED, small because there may be many.
//! Owns: `Handshake` and what it sends. Must not know: tables, listeners.

use super::ecn::{EcnAgreed, EcnSetup, Learned};
use super::negotiate::{Agreed, AgreedTimestamps, Offer, peer_mss};
use crate::segment::{Reply, Segment};
use crate::settings::{PathFacts, Settings};
use usertcp_base::{DropReason, Instant, Limits, Scale, Seq, Span, Stamp, WireWindow};
use usertcp_wire::tcp::{Flags, Options, Timestamps};

/// Which of the two synchronising states.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HandshakePhase {
    /// Our SYN is out, nothing came back.
    SynSent,
    /// Both SYNs are known; ours is not acknowledged.
    SynReceived,
}

/// Which side, and how far: one octet, because of the size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Our SYN was the first; nothing came back.
    ActiveSynSent,
    /// Our SYN was the first; the peer's is known.
    ActiveSynReceived,
    /// The peer's SYN was the first.
    Passive,
}

/// Our window scale and the peer's in one octet: neither is more than 14.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Scales(u8);

impl Scales {
    pub(super) fn new(own: Scale, peer: Scale) -> Scales {
        Scales(own.shift() | peer.shift() << 4)
    }
    pub(super) fn own(self) -> Scale {
        Scale::clamped(self.0 & 15)
    }
    fn peer(self) -> Scale {
        Scale::clamped(self.0 >> 4)
    }
}

/// A connection being opened. In SYN-RECEIVED from a listener this is the embryo.
#[derive(Clone, Copy, Debug)]
pub struct Handshake {
    pub(super) iss: Seq,
    pub(super) irs: Seq,
    pub(super) timestamp_offset: u32,
    pub(super) timestamp_recent: u32,
    pub(super) first_sent: Stamp,
    pub(super) last_sent: Stamp,
    pub(super) peer_window: u16,
    pub(super) own_window: u16,
    pub(super) peer_mss: u16,
    pub(super) own_mss: u16,
    /// Payload of the SYN (RFC 7413): of ours, sent, in an active open; of the peer's, taken, in a
    /// passive one.
    pub(super) syn_octets: u16,
    /// `None`: no window scaling.
    pub(super) scales: Option<Scales>,
    pub(super) retries: u8,
    stage: Stage,
    pub(super) sack: bool,
    pub(super) timestamps: bool,
    pub(super) ecn: EcnSetup,
}

/// An established connection, as the handshake leaves it.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    /// What was agreed.
    pub agreed: Agreed,
    /// We sent the first SYN.
    pub active: bool,
    /// Round trip of the handshake, when unambiguous.
    pub rtt: Option<Span>,
    /// A SYN or SYN-ACK of ours was lost.
    pub lost: bool,
    /// The peer is still waiting for our acknowledgement.
    pub owes_ack: bool,
    /// Payload of our SYN that the peer's SYN-ACK acknowledged (RFC 7413).
    pub syn_octets_acked: u16,
}

impl Opening {
    /// The peer acknowledged so many octets of our SYN's payload. What it left is sent again as new
    /// data; as it was sent before it must not be ECN-capable (RFC 3168 §6.1.5), so none is.
    pub(super) fn with_syn_acked(mut self, handshake: &Handshake, octets: u16) -> Opening {
        self.syn_octets_acked = octets;
        let sent = if self.active { handshake.syn_octets } else { 0 };
        if octets < sent {
            match &mut self.agreed.ecn {
                EcnAgreed::Both => self.agreed.ecn = EcnAgreed::EchoOnly,
                EcnAgreed::Accurate(start) => start.capable = false,
                EcnAgreed::Off | EcnAgreed::EchoOnly => {}
            }
        }
        self
    }
}

/// What a segment did to a handshake.
#[must_use]
#[derive(Debug)]
pub enum HandshakeOutcome {
    /// Nothing; counted.
    Ignored(DropReason),
    /// This is to be sent; the record stays.
    Reply(Reply),
    /// This challenge acknowledgement is to be sent; counted for the reason.
    Challenge(Reply, DropReason),
    /// Established; the segment (adjusted to begin after its SYN) is to be handled by the TCB.
    Established(Opening),
    /// The peer refused: an active open failed.
    Refused,
    /// A passive record is dropped; its listener goes on (MUST-11).
    Forgotten,
    /// This reset is to be sent; the open failed.
    Reset(Reply),
}

/// What a handshake's deadline brought.
#[must_use]
#[derive(Debug)]
pub enum HandshakeDeadline {
    /// Not yet.
    NotYet,
    /// Send this again; `suspect` from the third time on (R1).
    Retransmit {
        /// The SYN or SYN-ACK.
        reply: Reply,
        /// R1 is reached.
        suspect: bool,
    },
    /// It took too long.
    TimedOut,
}

/// The retransmission timeout before any sample (6298-1).
const FIRST_TIMEOUT: Span = Span::from_secs(1);
/// Back-off ends here.
const LONGEST_TIMEOUT: Span = Span::from_secs(120);
/// Doublings before it does: 64 s is the last.
const DOUBLINGS: u32 = 6;

impl Handshake {
    /// An active open: our SYN is to be sent now.
    pub fn active(now: Instant, iss: Seq, timestamp_offset: u32, offer: &Offer) -> Handshake {
        Handshake {
            iss,
            irs: Seq(0),
            timestamp_offset,
            timestamp_recent: 0,
            first_sent: now.stamp(),
            last_sent: now.stamp(),
            peer_window: 0,
            own_window: offer.window_octets,
            peer_mss: 0,
            own_mss: offer.mss_octets,
            syn_octets: 0,
            scales: offer.window_scaling.then(|| Scales::new(offer.scale, Scale::NONE)),
            retries: 0,
            stage: Stage::ActiveSynSent,
            sack: offer.sack,
            timestamps: offer.timestamps,
            ecn: EcnSetup::new(offer.ecn),
        }
    }

    /// Becomes [`Handshake::active`] of the connection with these numbers: it is one of its offer.
    #[inline(always)] // twice
    pub fn begin(&mut self, now: Instant, (iss, timestamp_offset): (Seq, u32)) {
        (self.iss, self.timestamp_offset) = (iss, timestamp_offset);
        (self.first_sent, self.last_sent) = (now.stamp(), now.stamp());
    }

    /// A passive open: `syn` arrived at a listener; our SYN-ACK is to be sent now. Data and FIN
    /// on the SYN are left for the peer to send again (E-5).
    pub fn passive(
        now: Instant,
        syn: &Segment,
        iss: Seq,
        timestamp_offset: u32,
        offer: &Offer,
        path: &PathFacts,
        limits: &Limits,
    ) -> Handshake {
        let mut handshake = Handshake::active(now, iss, timestamp_offset, offer);
        handshake.set_passive();
        handshake.learn(syn, path, limits);
        // A first SYN contradicts nothing.
        let _: Learned = handshake.ecn.on_peer_syn(syn, false, offer.ecn_option);
        handshake
    }

    /// The same with payload on the SYN: sent with ours, or taken with the peer's (RFC 7413 §4.2).
    #[must_use]
    pub fn with_syn_octets(mut self, octets: u16) -> Handshake {
        self.syn_octets = octets;
        if self.stage == Stage::Passive {
            self.ecn.on_fast_open();
        }
        self
    }

    /// The peer's SYN is the first.
    pub(super) fn set_passive(&mut self) {
        self.stage = Stage::Passive;
    }

    /// The peer's SYN is known.
    pub(super) fn note_peer_syn(&mut self) {
        if self.stage == Stage::ActiveSynSent {
            self.stage = Stage::ActiveSynReceived;
        }
    }

    /// Takes over what a SYN says.
    pub(super) fn learn(&mut self, syn: &Segment, path: &PathFacts, limits: &Limits) {
        let options = &syn.options;
        self.note_peer_syn();
        self.irs = syn.header.seq;
        self.peer_window = syn.header.window.0;
        self.peer_mss = peer_mss(options, path, limits);
        self.sack &= options.sack_permitted;
        self.scales = match (options.scale, self.scales) {
            (Some(shift), Some(ours)) => Some(Scales::new(ours.own(), Scale::clamped(shift))),
            _ => None,
        };
        match options.timestamps {
            Some(timestamps) if self.timestamps => self.timestamp_recent = timestamps.value,
            _ => self.timestamps = false,
        }
    }

    /// The state's name.
    pub fn phase(&self) -> HandshakePhase {
        match self.stage {
            Stage::ActiveSynSent => HandshakePhase::SynSent,
            Stage::ActiveSynReceived | Stage::Passive => HandshakePhase::SynReceived,
        }
    }
    /// Whether we sent the first SYN.
    pub fn is_active(&self) -> bool {
        self.stage != Stage::Passive
    }
    /// Our initial sequence number.
    pub fn iss(&self) -> Seq {
        self.iss
    }
    /// Window we announce, unscaled: of the peer's payload no more is taken with its SYN.
    pub fn own_window_octets(&self) -> u16 {
        self.own_window
    }
    /// Payload that went with our SYN, or was taken with the peer's.
    pub fn syn_octets(&self) -> u16 {
        self.syn_octets
    }
    /// RCV.NXT: after the peer's SYN, and after what was taken with it.
    pub(super) fn receive_next(&self) -> Seq {
        let taken = if self.is_active() { 0 } else { self.syn_octets };
        self.irs + 1 + u32::from(taken)
    }
    /// The window from [`Handshake::receive_next`] on: its right edge is the one first meant.
    fn window_left(&self) -> u16 {
        let taken = if self.is_active() { 0 } else { self.syn_octets };
        self.own_window.saturating_sub(taken)
    }
    /// Times the SYN or SYN-ACK was sent again.
    pub fn retries(&self) -> u8 {
        self.retries
    }

    /// The SYN or SYN-ACK this record stands for.
    pub fn synchronise(&self, now: Instant, settings: &Settings) -> Reply {
        let received = self.phase() == HandshakePhase::SynReceived;
        let (flags, ack, option) = if received {
            let (ecn, option) = self.ecn.on_syn_ack(settings.ecn_option);
            (Flags::SYN | Flags::ACK | ecn, self.receive_next(), option)
        } else {
            (Flags::SYN | self.ecn.on_syn(), Seq(0), None)
        };
        let mut reply = Reply::new(flags, self.iss, ack, WireWindow(self.window_left()));
        reply.options.accurate_ecn = option;
        reply.options.mss = Some(self.own_mss);
        reply.options.scale = self.scales.map(|scales| scales.own().shift());
        reply.options.sack_permitted = self.sack;
        reply.options.user_timeout = crate::user_timeout::advertised(settings);
        self.stamp(now, &mut reply.options);
        reply.dscp = settings.dscp;
        reply.hop_limit = settings.hop_limit;
        reply
    }

    /// A bare acknowledgement of what we know.
    pub(super) fn acknowledgement(&self, now: Instant, settings: &Settings) -> Reply {
        let scale = self.scales.map_or(Scale::NONE, Scales::own);
        let window = scale.field(u32::from(self.window_left()));
        let flags = Flags::ACK | self.ecn.on_acknowledgement();
        let mut reply = Reply::new(flags, self.iss + 1, self.receive_next(), window);
        self.stamp(now, &mut reply.options);
        reply.dscp = settings.dscp;
        reply.hop_limit = settings.hop_limit;
        reply
    }

    fn stamp(&self, now: Instant, options: &mut Options) {
        if self.timestamps {
            let value = timestamp_clock(now, self.timestamp_offset);
            options.timestamps = Some(Timestamps { value, echo: self.timestamp_recent });
        }
    }

    /// When to come back.
    pub fn deadline(&self, now: Instant) -> Instant {
        self.last_sent.before_now(now) + self.timeout()
    }

    /// How long it has lasted when the present timeout passes: the sum of all of them. A stamp
    /// could not tell beyond 35 minutes.
    fn waited(&self) -> Span {
        let doubled = u32::from(self.retries).min(DOUBLINGS);
        let doubling = FIRST_TIMEOUT.doubled(doubled + 1).saturating_sub(FIRST_TIMEOUT);
        let longest = u64::from(u32::from(self.retries) - doubled);
        doubling.saturating_add(LONGEST_TIMEOUT.saturating_mul(longest))
    }

    fn timeout(&self) -> Span {
        FIRST_TIMEOUT.doubled(u32::from(self.retries)).min(LONGEST_TIMEOUT)
    }

    /// Time passed. `limits.syn_ack_retries` bounds a passive record, `settings.open_timeout` an
    /// active one (MUST-22, MUST-23).
    pub fn handle_deadline(
        &mut self,
        now: Instant,
        settings: &Settings,
        limits: &Limits,
    ) -> HandshakeDeadline {
        if now < self.deadline(now) {
            return HandshakeDeadline::NotYet;
        }
        let over = if self.is_active() {
            let most = if settings.syn_retries > 0 { settings.syn_retries } else { u8::MAX };
            self.waited() >= settings.open_timeout || self.retries >= most
        } else {
            self.retries >= limits.syn_ack_retries
        };
        if over {
            return HandshakeDeadline::TimedOut;
        }
        self.retries = self.retries.saturating_add(1);
        self.last_sent = now.stamp();
        match self.phase() {
            HandshakePhase::SynSent => self.ecn.on_syn_again(self.retries),
            HandshakePhase::SynReceived => self.ecn.on_syn_ack_timeout(settings.ecn_option),
        }
        HandshakeDeadline::Retransmit {
            reply: self.synchronise(now, settings),
            suspect: self.retries >= 3,
        }
    }

    /// What the established connection starts from. `last` completes the handshake.
    /// `simultaneous`: a SYN of the peer came before its SYN-ACK.
    pub(super) fn opening(&self, now: Instant, last: &Segment, simultaneous: bool) -> Opening {
        let echo = last.options.timestamps.map(|timestamps| timestamps.echo);
        let ecn = self.ecn.agreed(last, simultaneous);
        // A SYN-ACK waits for its acknowledgement.
        self.opening_by(now, echo, ecn, last.has(Flags::SYN))
    }

    #[inline(always)] // once for usual segments, and for all others
    pub(super) fn opening_by(
        &self,
        now: Instant,
        echo: Option<u32>,
        ecn: EcnAgreed,
        owes_ack: bool,
    ) -> Opening {
        let (rtt, lost) = self.round_trip(now, echo);
        let agreed = self.agreed(ecn);
        Opening { agreed, active: self.is_active(), rtt, lost, owes_ack, syn_octets_acked: 0 }
    }

    /// What a fast open starts from, before its handshake is complete (RFC 7413 §4.2).
    pub fn fast_opening(&self) -> Opening {
        Opening {
            agreed: self.agreed(self.ecn.agreed_early()),
            active: self.is_active(),
            rtt: None,
            lost: false,
            owes_ack: false,
            syn_octets_acked: 0,
        }
    }

    #[inline(always)] // as above, and nothing was sent again, mostly
    fn round_trip(&self, now: Instant, echo: Option<u32>) -> (Option<Span>, bool) {
        match self.retries {
            0 => (Some(now.stamp().since(self.first_sent)), false),
            _ => self.doubtful_round_trip(now, echo),
        }
    }

    #[inline(never)]
    fn doubtful_round_trip(&self, now: Instant, echo: Option<u32>) -> (Option<Span>, bool) {
        // With timestamps the echo tells which transmission got through (Karn does not apply).
        let first_value = timestamp_clock(self.first_sent.before_now(now), self.timestamp_offset);
        match echo {
            Some(echo) if self.timestamps => {
                let age = timestamp_clock(now, self.timestamp_offset).wrapping_sub(echo);
                let rtt = (age < 1 << 20).then(|| Span::from_millis(u64::from(age)));
                (rtt, echo != first_value)
            }
            _ => (None, true),
        }
    }

    #[inline(always)] // as `opening_by`
    fn agreed(&self, ecn: EcnAgreed) -> Agreed {
        let (send_scale, receive_scale) =
            self.scales.map_or((Scale::NONE, Scale::NONE), |both| (both.peer(), both.own()));
        Agreed {
            iss: self.iss,
            irs: self.irs,
            peer_mss_octets: self.peer_mss,
            send_scale,
            receive_scale,
            sack: self.sack,
            timestamps: self.timestamps.then_some(AgreedTimestamps {
                offset: self.timestamp_offset,
                recent: self.timestamp_recent,
            }),
            ecn,
            peer_window_octets: self.peer_window,
            own_window_octets: self.own_window,
        }
    }
}

/// Our timestamp clock: milliseconds, with the connection's own offset (7323-15, -16).
pub fn timestamp_clock(now: Instant, offset: u32) -> u32 {
    (now.as_millis() as u32).wrapping_add(offset)
}
