//! The handshake record: SYN-SENT and SYN-RECEIVED, small because there may be many.
//! Owns: `Handshake` and what it sends. Must not know: tables, listeners.

use super::ecn::EcnSetup;
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

/// A connection being opened. In SYN-RECEIVED from a listener this is the embryo.
#[derive(Clone, Debug)]
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
    pub(super) own_scale: Scale,
    pub(super) peer_scale: Scale,
    pub(super) retries: u8,
    pub(super) phase: HandshakePhase,
    pub(super) active: bool,
    pub(super) window_scaling: bool,
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
            own_scale: offer.scale,
            peer_scale: Scale::NONE,
            retries: 0,
            phase: HandshakePhase::SynSent,
            active: true,
            window_scaling: offer.window_scaling,
            sack: offer.sack,
            timestamps: offer.timestamps,
            ecn: EcnSetup::new(offer.ecn),
        }
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
        handshake.active = false;
        handshake.learn(syn, path, limits);
        handshake
    }

    /// Takes over what a SYN says.
    pub(super) fn learn(&mut self, syn: &Segment, path: &PathFacts, limits: &Limits) {
        let options = &syn.options;
        self.phase = HandshakePhase::SynReceived;
        self.irs = syn.header.seq;
        self.ecn.learn(syn.header.flags);
        self.peer_window = syn.header.window.0;
        self.peer_mss = peer_mss(options, path, limits);
        self.sack &= options.sack_permitted;
        match options.scale {
            Some(shift) if self.window_scaling => self.peer_scale = Scale::clamped(shift),
            _ => self.window_scaling = false,
        }
        match options.timestamps {
            Some(timestamps) if self.timestamps => self.timestamp_recent = timestamps.value,
            _ => self.timestamps = false,
        }
    }

    /// The state's name.
    pub fn phase(&self) -> HandshakePhase {
        self.phase
    }
    /// Whether we sent the first SYN.
    pub fn is_active(&self) -> bool {
        self.active
    }
    /// Our initial sequence number.
    pub fn iss(&self) -> Seq {
        self.iss
    }
    /// Times the SYN or SYN-ACK was sent again.
    pub fn retries(&self) -> u8 {
        self.retries
    }

    /// The SYN or SYN-ACK this record stands for.
    pub fn synchronise(&self, now: Instant, settings: &Settings) -> Reply {
        let received = self.phase == HandshakePhase::SynReceived;
        let (flags, ack) = if received {
            let ecn = self.ecn.on_syn_ack(self.active);
            (Flags::SYN | Flags::ACK | ecn, self.irs + 1)
        } else {
            (Flags::SYN | self.ecn.on_syn(), Seq(0))
        };
        let mut reply = Reply::new(flags, self.iss, ack, WireWindow(self.own_window));
        reply.options.mss = Some(self.own_mss);
        reply.options.scale = self.window_scaling.then_some(self.own_scale.shift());
        reply.options.sack_permitted = self.sack;
        reply.options.user_timeout = crate::user_timeout::advertised(settings);
        self.stamp(now, &mut reply.options);
        reply.dscp = settings.dscp;
        reply.hop_limit = settings.hop_limit;
        reply
    }

    /// A bare acknowledgement of what we know.
    pub(super) fn acknowledgement(&self, now: Instant, settings: &Settings) -> Reply {
        let window = if self.window_scaling {
            self.own_scale.field(u32::from(self.own_window))
        } else {
            WireWindow(self.own_window)
        };
        let mut reply = Reply::new(Flags::ACK, self.iss + 1, self.irs + 1, window);
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
        let over = if self.active {
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
        if self.phase == HandshakePhase::SynSent {
            self.ecn.on_syn_again(self.retries);
        }
        HandshakeDeadline::Retransmit {
            reply: self.synchronise(now, settings),
            suspect: self.retries >= 3,
        }
    }

    /// What the established connection starts from. `echo` is the timestamp echoed by the segment
    /// that completes the handshake.
    pub(super) fn opening(&self, now: Instant, echo: Option<u32>, owes_ack: bool) -> Opening {
        let (rtt, lost) = self.round_trip(now, echo);
        Opening { agreed: self.agreed(), active: self.active, rtt, lost, owes_ack }
    }

    fn round_trip(&self, now: Instant, echo: Option<u32>) -> (Option<Span>, bool) {
        if self.retries == 0 {
            return (Some(now.stamp().since(self.first_sent)), false);
        }
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

    fn agreed(&self) -> Agreed {
        let (send_scale, receive_scale) = if self.window_scaling {
            (self.peer_scale, self.own_scale)
        } else {
            (Scale::NONE, Scale::NONE)
        };
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
            ecn: self.ecn.agreed(self.active),
            peer_window_octets: self.peer_window,
            own_window_octets: self.own_window,
        }
    }
}

/// Our timestamp clock: milliseconds, with the connection's own offset (7323-15, -16).
pub fn timestamp_clock(now: Instant, offset: u32) -> u32 {
    (now.as_millis() as u32).wrapping_add(offset)
}
