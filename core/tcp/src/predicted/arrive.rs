//! The next segment in order, or the acknowledgement of data in order.
//! Implements: what `crate::arrive` does with one, where the connection is plain.

use crate::effects::Effects;
use crate::env::Env;
use crate::recv::ack_policy::{AckContext, Arrival, ArrivalKind};
use crate::segment::Segment;
use crate::send::Snd;
use crate::tcb::Tcb;
use usertcp_base::{Ecn, Event, Instant, Limiter, Observer, Seq, WireWindow};
use usertcp_cc::CongestionController;
use usertcp_frame::Chain;
use usertcp_wire::tcp::Flags;
use usertcp_wire::usual::TcpHeader;

/// A segment of the usual shape: ACK, perhaps PSH and FIN, no option but timestamps.
#[derive(Clone, Copy, Debug)]
pub struct UsualSegment {
    /// SEG.SEQ.
    pub seq: Seq,
    /// SEG.ACK.
    pub ack: Seq,
    /// The window field.
    pub window: WireWindow,
    /// PSH is set.
    pub push: bool,
    /// FIN is set.
    pub fin: bool,
    /// Its timestamp.
    pub value: u32,
    /// The timestamp it echoes.
    pub echo: u32,
    /// The mark of the IP header.
    pub ecn: Ecn,
    /// Wire segments it was merged from by the device, at least 1.
    pub wire_segments: u16,
}

/// What a segment says of the sender, whatever it brings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    pub(super) seq: Seq,
    pub(super) ack: Seq,
    pub(super) window: WireWindow,
    pub(super) value: u32,
}

impl UsualSegment {
    #[inline(always)] // as below
    pub(super) fn said(&self) -> Said {
        let UsualSegment { seq, ack, window, value, .. } = *self;
        Said { seq, ack, window, value }
    }

    /// One wire segment with this header, and this mark of its IP header.
    #[inline(always)] // for each packet
    pub fn new(header: &TcpHeader, ecn: Ecn) -> UsualSegment {
        let TcpHeader { seq, ack, window, push, fin, value, echo, .. } = *header;
        UsualSegment { seq, ack, window, push, fin, value, echo, ecn, wire_segments: 1 }
    }

    /// `None`: it is of another shape.
    pub(crate) fn of(segment: &Segment) -> Option<UsualSegment> {
        let header = &segment.header;
        if header.flags.without(Flags::PSH | Flags::FIN) != Flags::ACK {
            return None;
        }
        let stamps = segment.options.only_timestamps()?;
        Some(UsualSegment {
            seq: header.seq,
            ack: header.ack,
            window: header.window,
            push: segment.has(Flags::PSH),
            fin: segment.has(Flags::FIN),
            value: stamps.value,
            echo: stamps.echo,
            ecn: segment.ecn,
            wire_segments: segment.wire_segments,
        })
    }
}

/// What an expected segment brings about: of [`Effects`], all there can be.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UsualEffects {
    /// Something may be sent: poll for segments.
    pub transmit: bool,
    /// New data can be read.
    pub readable: bool,
    /// There is room to write again.
    pub writable: bool,
}

impl UsualEffects {
    /// Nothing.
    pub const NONE: UsualEffects =
        UsualEffects { transmit: false, readable: false, writable: false };
}

impl From<UsualEffects> for Effects {
    fn from(usual: UsualEffects) -> Effects {
        let UsualEffects { transmit, readable, writable } = usual;
        Effects { transmit, readable, writable, ..Effects::default() }
    }
}

impl<C: CongestionController> Tcb<C> {
    /// Takes a segment of the usual shape if it is one of those expected; its payload lies behind
    /// `header_octets` others in `packet`. `None`: nothing has changed and nothing was taken; it is for
    /// [`Tcb::handle_segment`].
    #[inline(never)]
    pub fn handle_usual<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
        segment: &UsualSegment,
        packet: &mut Chain,
        header_octets: usize,
    ) -> Option<UsualEffects> {
        let now = env.now;
        let octets = packet.len() - header_octets;
        if !self.is_predicted() || segment.fin || !self.is_next(segment) {
            return None;
        }
        let charge = if octets > 0 { packet.charge() } else { 0 };
        if !self.is_taken(env, segment, octets, charge) {
            return None;
        }
        self.stir();
        let acked_octets = segment.ack.0.wrapping_sub(self.snd.una.0);
        if acked_octets != 0 {
            let mss = self.usual_mss();
            let (recovery, controller) = (&mut self.recovery, &mut self.controller);
            let rtt = recovery.on_plain_ack(now, segment.ack, mss, controller, env.prng)?;
            env.observe(&Event::Acknowledged(acked_octets));
            env.observe(&Event::RoundTrip(rtt));
            self.retire(now, segment.ack, acked_octets);
        }
        let readable = octets > 0;
        if readable {
            self.acks.end_silence(now, self.last_heard);
        }
        self.heard(now, segment.said());
        if readable {
            self.take_expected(now, segment, packet, header_octets, charge);
        }
        // Whose own limit makes it wait has nothing to send before.
        Some(UsualEffects {
            transmit: readable
                || (self.stopwatches.running() != Limiter::Application || self.unsent_octets() > 0)
                    && !self.awaits_release(now),
            readable,
            writable: self.take_writable(env.limits, env.pool),
        })
    }

    /// Whether the segment is the next one, and says nothing but that.
    #[inline(always)]
    pub(super) fn is_next(&self, segment: &UsualSegment) -> bool {
        let Snd { una, nxt, wnd, .. } = self.snd;
        segment.seq == self.receiver.nxt()
            && segment.ack.0.wrapping_sub(una.0) <= nxt.0.wrapping_sub(una.0)
            && !Seq(segment.value).before(Seq(self.timestamps.recent()))
            && segment.ecn != Ecn::CongestionExperienced
            && self.takes_window_of(segment.seq, segment.ack)
            && wnd > 0
            && segment.window.0 > 0
    }

    /// Whether there is room for what it brings, or it acknowledges something.
    #[inline(always)]
    fn is_taken<O: Observer>(
        &self,
        env: &Env<'_, O>,
        segment: &UsualSegment,
        octets: usize,
        charge: u32,
    ) -> bool {
        if octets == 0 {
            return segment.ack != self.snd.una;
        }
        // No window reaches far enough for octets that do not fit 32 bits.
        self.advertise.window(segment.seq).octets() as usize >= octets
            && !env.pool.is_tight()
            && self.receiver.has_room(charge, self.autotune.buffer())
    }

    /// Whether no later segment has told of the window (RFC 9293: WL1, WL2).
    #[inline(always)]
    fn takes_window_of(&self, seq: Seq, ack: Seq) -> bool {
        let Snd { wl1, wl2, .. } = self.snd;
        wl1.before(seq) || (wl1 == seq && wl2.at_or_before(ack))
    }

    /// The peer lives; its timestamp and its window.
    #[inline(always)]
    pub(super) fn heard(&mut self, now: Instant, said: Said) {
        let Said { seq, ack, window, value } = said;
        self.last_heard = now;
        self.keep_alive.on_heard();
        self.timestamps.observe_newer(now, seq, value);
        (self.snd.wl1, self.snd.wl2) = (seq, ack);
        self.snd.wnd = self.send_scale.octets(window);
        if self.snd.wnd > self.snd.max_wnd {
            self.snd.raise_max_wnd();
        }
    }

    /// Octets of ours arrived.
    #[inline(always)]
    pub(super) fn retire(&mut self, now: Instant, ack: Seq, octets: u32) {
        if self.queue.len() == octets as usize {
            self.queue.clear();
        } else {
            self.queue.advance(octets as usize);
        }
        self.snd.una = ack;
        self.octets_acknowledged = self.octets_acknowledged.wrapping_add(u64::from(octets));
        self.progress = now;
        self.snd.small = self.snd.small.latest(ack);
    }

    /// Octets of the peer behind `header_octets` others in `packet`, and its FIN.
    #[inline(always)]
    pub(super) fn take_expected(
        &mut self,
        now: Instant,
        segment: &UsualSegment,
        packet: &mut Chain,
        header_octets: usize,
        charge: u32,
    ) {
        let octets = (packet.len() - header_octets) as u32;
        // FIN may come alone.
        if !segment.fin || octets > 0 {
            self.advertise.on_arrival(octets, charge);
            self.receiver.take_next(packet, header_octets, octets, charge);
        }
        if segment.fin {
            self.receiver.take_fin();
        }
        self.octets_received = self.octets_received.wrapping_add(u64::from(octets));
        let rmss = self.receive_mss();
        if octets >= u32::from(rmss / 2)
            && let Some(sent) = self.sent_at(now, segment.echo)
        {
            self.autotune.on_echo(now.since(sent));
        }
        let nxt = segment.seq + octets + u32::from(segment.fin);
        if !self.autotune.is_measuring(nxt) {
            self.autotune.on_data(now, nxt, self.advertise.window(nxt).octets());
        }
        let settings = self.own_ack_settings();
        let (acks, recovery) = (&mut self.acks, &self.recovery);
        let context = AckContext { settings: &settings, rmss, idle_after: || recovery.rto() };
        let arrival = Arrival {
            octets,
            wire_segments: segment.wire_segments,
            kind: if segment.fin { ArrivalKind::Fin } else { ArrivalKind::InOrder },
            push: segment.push,
        };
        acks.note(now, &arrival, &context);
    }
}
