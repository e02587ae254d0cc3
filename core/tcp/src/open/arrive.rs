//! Segment arrival in SYN-SENT and SYN-RECEIVED, in the RFC's order.
//! Implements: RFC 9293 §3.10.7.3 and the SYN-RECEIVED lines of §3.10.7.4; E-6 … E-8, E-15, E-17;
//! RFC 5961 §3–4 for half-open records; RFC 7413 §4.2 (SYNs with payload).

use super::ecn::Learned;
use super::handshake::{Handshake, HandshakeOutcome, HandshakePhase};
use crate::segment::{Reply, Segment};
use crate::settings::{PathFacts, Settings};
use usertcp_base::{DropReason, Instant, Limits, Seq, WireWindow};
use usertcp_wire::tcp::Flags;

impl Handshake {
    /// A segment for this record arrived.
    pub fn handle_segment(
        &mut self,
        now: Instant,
        segment: &mut Segment,
        settings: &Settings,
        path: &PathFacts,
        limits: &Limits,
    ) -> HandshakeOutcome {
        match self.phase() {
            HandshakePhase::SynSent => self.in_syn_sent(now, segment, settings, path, limits),
            HandshakePhase::SynReceived => {
                self.in_syn_received(now, segment, settings, self.iss + 1)
            }
        }
    }

    /// A segment for a connection that data was accepted for, and may have been sent on, before its
    /// handshake is complete (RFC 7413 §4.2.2). `nxt`: SND.NXT of that connection. What completes
    /// the handshake is for the connection to handle, too.
    pub fn handle_fast_open_segment(
        &mut self,
        now: Instant,
        segment: &mut Segment,
        settings: &Settings,
        nxt: Seq,
    ) -> HandshakeOutcome {
        self.in_syn_received(now, segment, settings, nxt)
    }

    /// Payload of our SYN that `ack` acknowledges; `None`: it does not acknowledge the SYN.
    fn acknowledges_syn(&self, ack: Seq) -> Option<u16> {
        let sent = if self.is_active() { self.syn_octets } else { 0 };
        let octets = u16::try_from(ack.distance_from(self.iss + 1)?).ok()?;
        (octets <= sent).then_some(octets)
    }

    fn in_syn_sent(
        &mut self,
        now: Instant,
        segment: &mut Segment,
        settings: &Settings,
        path: &PathFacts,
        limits: &Limits,
    ) -> HandshakeOutcome {
        let header = segment.header;
        let acknowledges = header.flags.contains(Flags::ACK);
        let acked = if acknowledges { self.acknowledges_syn(header.ack) } else { None };
        if acknowledges && acked.is_none() {
            if header.flags.contains(Flags::RST) {
                return HandshakeOutcome::Ignored(DropReason::HandshakeAck);
            }
            return HandshakeOutcome::Reply(Reply::reset_for_ack(header.ack));
        }
        if header.flags.contains(Flags::RST) {
            return if acknowledges {
                HandshakeOutcome::Refused
            } else {
                HandshakeOutcome::Ignored(DropReason::HandshakeUnexpected)
            };
        }
        // SYN with FIN is nothing a handshake begins with (AT-16).
        if !header.flags.contains(Flags::SYN) || header.flags.contains(Flags::FIN) {
            return HandshakeOutcome::Ignored(DropReason::HandshakeUnexpected);
        }
        self.learn(segment, path, limits);
        if let Some(syn_octets_acked) = acked {
            self.ecn.on_peer_syn_ack(segment);
            let opening = self.opening(now, segment, false);
            strip_synchronise(segment);
            return HandshakeOutcome::Established(opening.with_syn_acked(self, syn_octets_acked));
        }
        // The first of the peer: it contradicts nothing.
        let _: Learned = self.ecn.on_peer_syn(segment, true, settings.ecn_option);
        // Simultaneous open (MUST-10): both sent a SYN; ours goes out again with its ACK.
        self.last_sent = now.stamp();
        HandshakeOutcome::Reply(self.synchronise(now, settings))
    }

    fn in_syn_received(
        &mut self,
        now: Instant,
        segment: &mut Segment,
        settings: &Settings,
        nxt: Seq,
    ) -> HandshakeOutcome {
        let header = segment.header;
        let flags = header.flags;
        let next = self.receive_next();
        if flags.contains(Flags::RST) {
            return self.reset_in_syn_received(now, header.seq, settings);
        }
        if flags.contains(Flags::SYN) {
            return self.syn_in_syn_received(now, segment, settings);
        }
        if let Some(outcome) = self.check_timestamp(now, segment, settings) {
            return outcome;
        }
        let window_end = self.irs + 1 + u32::from(self.own_window);
        let last = header.seq + segment.sequence_octets().saturating_sub(1);
        if !header.seq.within(next, window_end) && !last.within(next, window_end) {
            let reply = self.acknowledgement(now, settings);
            return HandshakeOutcome::Challenge(reply, DropReason::OutOfWindow);
        }
        if !flags.contains(Flags::ACK) {
            return HandshakeOutcome::Ignored(DropReason::AckMissing);
        }
        let acked = self.acknowledges_syn(header.ack);
        if acked.is_none() && !header.ack.within(self.iss + 1, nxt + 1) {
            return HandshakeOutcome::Reply(Reply::reset_for_ack(header.ack));
        }
        let opening = self.opening(now, segment, false);
        HandshakeOutcome::Established(opening.with_syn_acked(self, acked.unwrap_or(0)))
    }

    /// A passive record goes quietly, an active one is refused (MUST-11); only an exact match
    /// counts (5961-2, -3).
    fn reset_in_syn_received(
        &self,
        now: Instant,
        seq: Seq,
        settings: &Settings,
    ) -> HandshakeOutcome {
        let next = self.receive_next();
        if seq == next {
            return if self.is_active() {
                HandshakeOutcome::Refused
            } else {
                HandshakeOutcome::Forgotten
            };
        }
        if seq.within(next, self.irs + 1 + u32::from(self.own_window)) {
            let reply = self.acknowledgement(now, settings);
            return HandshakeOutcome::Challenge(reply, DropReason::ResetChallenged);
        }
        HandshakeOutcome::Ignored(DropReason::ResetOutOfWindow)
    }

    /// The peer's SYN again: our SYN-ACK was lost. Its SYN-ACK in a simultaneous open completes.
    /// Anything else is challenged (E-15).
    fn syn_in_syn_received(
        &mut self,
        now: Instant,
        segment: &mut Segment,
        settings: &Settings,
    ) -> HandshakeOutcome {
        let header = segment.header;
        if header.seq != self.irs {
            let reply = self.acknowledgement(now, settings);
            return HandshakeOutcome::Challenge(reply, DropReason::SynChallenged);
        }
        if !header.flags.contains(Flags::ACK) {
            return match self.ecn.on_peer_syn(segment, self.is_active(), settings.ecn_option) {
                Learned::Good => HandshakeOutcome::Reply(self.synchronise(now, settings)),
                Learned::Contradiction => HandshakeOutcome::Reset(self.reset(settings)),
            };
        }
        let acked = self.acknowledges_syn(header.ack).filter(|_| self.is_active());
        let Some(syn_octets_acked) = acked else {
            let reply = self.acknowledgement(now, settings);
            return HandshakeOutcome::Challenge(reply, DropReason::SynChallenged);
        };
        self.ecn.on_peer_syn_ack(segment);
        let opening = self.opening(now, segment, true);
        strip_synchronise(segment);
        HandshakeOutcome::Established(opening.with_syn_acked(self, syn_octets_acked))
    }

    /// The reset that ends this record from our side.
    fn reset(&self, settings: &Settings) -> Reply {
        let flags = Flags::RST | Flags::ACK;
        let mut reply = Reply::new(flags, self.iss + 1, self.irs + 1, WireWindow(0));
        reply.dscp = settings.dscp;
        reply.hop_limit = settings.hop_limit;
        reply
    }

    /// PAWS and the missing timestamp, before anything else counts (7323-8, -17).
    fn check_timestamp(
        &mut self,
        now: Instant,
        segment: &Segment,
        settings: &Settings,
    ) -> Option<HandshakeOutcome> {
        if !self.timestamps {
            return None;
        }
        let Some(timestamps) = segment.options.timestamps else {
            return Some(HandshakeOutcome::Ignored(DropReason::TimestampMissing));
        };
        if (timestamps.value.wrapping_sub(self.timestamp_recent) as i32) < 0 {
            let reply = self.acknowledgement(now, settings);
            return Some(HandshakeOutcome::Challenge(reply, DropReason::PawsOld));
        }
        if segment.header.seq.at_or_before(self.receive_next()) {
            self.timestamp_recent = timestamps.value;
        }
        None
    }
}

/// Turns a SYN-bearing segment into what follows its SYN, for the TCB to handle. Its options stay:
/// by the scale the TCB knows that the window is that of a SYN, which is never scaled (7323-2).
fn strip_synchronise(segment: &mut Segment) {
    segment.header.flags = segment.header.flags.without(Flags::SYN);
    segment.header.seq += 1;
}
