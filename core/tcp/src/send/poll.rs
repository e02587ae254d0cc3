//! Giving out segments, one per call, the most urgent first.
//! Owns: the order probe, retransmission, new data, FIN, pure acknowledgement.
//! Must not know: what stands in a header (`header`).
//! Implements: RFC 9293 §3.8.6, §3.9.1.2 (SHLD-28).

use super::allow::{Allowed, NewData, new_data};
use crate::env::Env;
use crate::halves::SendHalf;
use crate::pace::{Lags, Rates, Released, Verdict};
use crate::predicted::Given;
use crate::recv::ack_policy::AckNeed;
use crate::segment::{Outgoing, Reply};
use crate::send::probe::Persisting;
use crate::settings::Manner;
use crate::tcb::Tcb;
use usertcp_base::{Event, Instant, Limiter, Observer, Rate, Seq, Span, TICK_SHIFT};
use usertcp_cc::{Budget, CongestionController, PathChange, Sent};
use usertcp_wire::tcp::{Flags, header_len};
use usertcp_wire::usual::TCP_OCTETS;

/// What one poll gives.
#[derive(Debug)]
pub enum PollSegment {
    /// A segment to send now; poll again.
    Segment(Outgoing),
    /// Nothing before this moment (pacing).
    Wait(Instant),
    /// Nothing until something else happens.
    Blocked(Limiter),
}

/// What the layer below takes in one piece.
#[derive(Clone, Copy, Debug)]
pub struct SendRoom {
    /// Largest payload in one call: many segments when the device cuts them, else one.
    pub largest_payload_octets: u32,
}

/// What keeps data back, and until when if time alone will tell.
pub(crate) struct Held {
    pub limiter: Limiter,
    pub until: Option<Instant>,
}

impl Held {
    pub(super) fn by(limiter: Limiter) -> Held {
        Held { limiter, until: None }
    }
}

/// What a data poll found.
pub(super) type Data = Result<Outgoing, Held>;

impl<C: CongestionController> Tcb<C> {
    /// The next segment this connection would send.
    pub fn poll_segment<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
        room: &SendRoom,
    ) -> PollSegment {
        let given = match self.poll_only(env) {
            Some(single) => Given::Segment(single),
            None => self.poll_usual(env, room),
        };
        match given {
            Given::Segment(usual) => {
                let payload = self.sent(usual.seq, usual.octets);
                return PollSegment::Segment(usual.with_payload(payload));
            }
            Given::Nothing if self.release != Instant::FAR => {
                return PollSegment::Wait(self.release);
            }
            Given::Nothing => return PollSegment::Blocked(Limiter::Application),
            Given::Unusual => self.unpredict(),
        }
        let mut outcome = self.poll_by_steps(env, room);
        if let PollSegment::Segment(outgoing) = &mut outcome
            && outgoing.reply.header.flags.contains(Flags::FIN)
        {
            outgoing.last = self.is_all_sent(env);
        }
        self.predict();
        outcome
    }

    /// A FIN left, and nothing can follow it but what an event brings about. Notes, as the poll that
    /// finds nothing does, that it is the application that is waited for.
    fn is_all_sent<O: Observer>(&mut self, env: &mut Env<'_, O>) -> bool {
        let quiet = self.unsent_octets() == 0
            && self.recovery.is_plain()
            && self.persist.why() == Persisting::Off
            && self.snd.wnd > 0
            && !self.ecn.is_agreed()
            && !self.owed.anything()
            && !self.wants.write
            && !self.acks.is_due();
        if quiet {
            self.limited(env, Limiter::Application);
        }
        quiet
    }

    /// The same, whatever the connection is at.
    fn poll_by_steps<O: Observer>(&mut self, env: &mut Env<'_, O>, room: &SendRoom) -> PollSegment {
        if self.ecn.owes_handshake() {
            let reply = self.header(env, Flags::ACK, self.snd.nxt, 0);
            return PollSegment::Segment(reply.without_payload());
        }
        if let Some(probe) = self.poll_probe(env) {
            return PollSegment::Segment(probe);
        }
        self.release = Instant::FAR;
        let again =
            if self.recovery.is_plain() { None } else { self.poll_retransmission(env, room) };
        let data = match again {
            Some(data) => data,
            None => self.poll_new_data(env, room),
        };
        let held = match data {
            Ok(outgoing) => {
                self.limited(env, Limiter::Sending);
                return PollSegment::Segment(outgoing);
            }
            Err(held) => held,
        };
        if self.owed.challenge || self.acks.need(env.now) == AckNeed::Now {
            self.owed.challenge = false;
            let reply = self.header(env, Flags::ACK, self.snd.nxt, 0);
            return PollSegment::Segment(reply.without_payload());
        }
        self.limited(env, held.limiter);
        self.release = held.until.unwrap_or(Instant::FAR);
        match held.until {
            Some(until) => PollSegment::Wait(until),
            None => PollSegment::Blocked(held.limiter),
        }
    }

    #[inline(never)]
    pub(crate) fn limited<O: Observer>(&mut self, env: &mut Env<'_, O>, limiter: Limiter) {
        if self.stopwatches.switch(env.now, limiter) {
            self.stir();
            env.observe(&Event::Limited(limiter));
        }
    }

    /// Keep-alive and window probes: no data, a sequence number the peer has acknowledged, so that
    /// it must answer with its window (E-10).
    fn poll_probe<O: Observer>(&mut self, env: &mut Env<'_, O>) -> Option<Outgoing> {
        if !core::mem::take(&mut self.owed.probe) {
            return None;
        }
        let reply = self.header(env, Flags::ACK, self.snd.una - 1, 0);
        Some(reply.without_payload())
    }

    /// What recovery wants sent again, as far as window, congestion and pacing let it.
    fn poll_retransmission<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
        room: &SendRoom,
    ) -> Option<Data> {
        let edge = self.snd.right_edge();
        let next = self.recovery.next_retransmission(edge);
        let (seq, octets) = next.or_else(|| self.rescue(edge))?;
        let budget = self.budget();
        let allowance = self.recovery.allowance(budget.window_octets);
        let mss = self.segment_payload_octets();
        let fits = match self.pace(env, allowance, &budget) {
            Ok(fits) => fits.max(mss.min(allowance)),
            Err(held) => return Some(Err(held)),
        };
        let whole = octets.min(fits).min(self.largest_payload(room, mss));
        let octets = if whole < octets { (whole - whole % mss).max(mss.min(whole)) } else { whole };
        if octets == 0 {
            return Some(Err(Held::by(Limiter::Congestion)));
        }
        Some(Ok(self.build_retransmission(env, seq, octets, &budget)))
    }

    /// With nothing lost and nothing new to send: one last segment per recovery (6675-3).
    fn rescue(&self, edge: Seq) -> Option<(Seq, u32)> {
        if self.unsent_octets() > 0 { None } else { self.recovery.next_rescue(edge) }
    }

    fn build_retransmission<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
        seq: Seq,
        octets: u32,
        budget: &Budget,
    ) -> Outgoing {
        let cause = self.recovery.on_retransmitted(env.now, seq, octets);
        self.note_resent(env.now, seq, octets);
        self.account_sent(env, octets, true);
        env.counters.segments_retransmitted = env.counters.segments_retransmitted.wrapping_add(1);
        env.observe(&Event::Retransmitted { seq, octets, cause });
        self.ecn.on_retransmission(seq);
        let outgoing = self.build(env, seq, octets, self.segment_payload_octets());
        self.charge(env.now, &outgoing, budget);
        outgoing
    }

    /// New data, then FIN.
    fn poll_new_data<O: Observer>(&mut self, env: &mut Env<'_, O>, room: &SendRoom) -> Data {
        if self.persist.is_resting() {
            return Err(Held::by(Limiter::Congestion));
        }
        let unsent = self.unsent_octets();
        let closing = self.halves.send() == SendHalf::Closing;
        let fin_due = closing && !self.fin_sent();
        if unsent == 0 && !fin_due {
            return Err(self.held_by_nothing(env.now));
        }
        if let Some(probe) = self.poll_mtu_probe(env) {
            return probe;
        }
        let mss = self.segment_payload_octets();
        // Up to the end of a record, which no segment crosses; it need not wait for company then.
        let record = self.rare.record_after(self.snd.nxt).map(|end| end.since(self.snd.nxt));
        let record = record.filter(|octets| *octets < unsent);
        let unsent = record.unwrap_or(unsent);
        let force = self.owed.partial || record.is_some();
        let closing = closing && record.is_none();
        let facts = NewData {
            unsent,
            usable: self.snd.usable(),
            mss,
            max_window: if self.owed.partial { 1 } else { self.snd.max_wnd },
            outstanding: self.snd.outstanding() > 0,
            small_outstanding: self.snd.small.after(self.snd.una),
            no_delay: force || self.settings.no_delay,
            cork: !force && (self.settings.cork || self.rare.has_more()),
            closing,
        };
        let octets = match new_data(&facts) {
            Allowed::Send(octets) => octets,
            Allowed::Nothing if facts.usable > 0 => 0,
            Allowed::Nothing | Allowed::Window => return Err(self.held_by_window(env.now, &facts)),
            Allowed::Company => return Err(self.held_for_company(env.now)),
        };
        self.persist.stop();
        self.send_new_data(env, room, octets, mss)
    }

    fn send_new_data<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
        room: &SendRoom,
        octets: u32,
        mss: u32,
    ) -> Data {
        self.resume_from_idle(env.now);
        let budget = self.budget();
        let allowance = self.recovery.allowance(budget.window_octets);
        if octets > 0 && allowance < octets.min(mss) {
            return Err(Held::by(Limiter::Congestion));
        }
        let paced = self.pace(env, allowance.max(1), &budget)?;
        // Pacing and the window cut between segments, never inside one.
        let largest = paced.max(mss.min(allowance)).min(self.largest_payload(room, mss));
        let octets = if octets > largest { (largest - largest % mss).max(mss) } else { octets };
        self.owed.partial = false;
        let seq = self.snd.nxt;
        let last = octets == self.unsent_octets();
        // FIN takes a number of the window, as an octet does.
        let closing = self.halves.send() == SendHalf::Closing;
        let fin = last && closing && self.snd.usable() > octets;
        let length = octets + u32::from(fin);
        if self.snd.outstanding() == 0 {
            self.progress = env.now;
        }
        self.snd.nxt += length;
        if octets % mss != 0 {
            self.snd.small = self.snd.nxt;
        }
        let window_left = allowance > length;
        self.recovery.on_sent(env.now, length, mss, last && !fin && window_left);
        self.account_sent(env, length, false);
        env.observe(&Event::Sent { seq, octets });
        let mut outgoing = self.build(env, seq, length, mss);
        self.charge(env.now, &outgoing, &budget);
        if octets > 0 {
            self.mark_new_data(&mut outgoing.reply);
        }
        Ok(outgoing)
    }

    /// Nothing new waits. What is outstanding may, when the peer closed its window over it.
    fn held_by_nothing(&mut self, now: Instant) -> Held {
        if self.snd.outstanding() > 0 && self.snd.wnd == 0 {
            self.probe_window(now);
            return Held::by(Limiter::PeerWindow);
        }
        self.persist.stop();
        self.held_by_writer(now)
    }

    /// The peer's window holds data back: probe it when it is closed, put up with a small one when
    /// nothing else will wake us.
    fn held_by_window(&mut self, now: Instant, facts: &NewData) -> Held {
        if self.snd.wnd == 0 {
            self.probe_window(now);
        } else if !facts.outstanding {
            self.persist.hold(now);
        }
        Held::by(Limiter::PeerWindow)
    }

    fn probe_window(&mut self, now: Instant) {
        if self.persist.probe(now, self.recovery.rto()) {
            // R2 counts from here: what came before was idle time, or progress.
            self.progress = now;
        }
    }

    /// A partial segment waits for company. An acknowledgement will release it under Nagle; a cork
    /// is pulled by time.
    fn held_for_company(&mut self, now: Instant) -> Held {
        if self.settings.cork || self.rare.has_more() {
            self.persist.hold(now);
        }
        Held::by(Limiter::Application)
    }

    /// What the controller allows. In the manner of Linux, whose pacing is the queue's below, a rate
    /// of the controller's own is not heeded.
    pub(super) fn budget(&self) -> Budget {
        let budget = self.controller.budget();
        match self.settings.manner {
            Manner::Own => budget,
            Manner::Linux => Budget { rate: Rate::UNLIMITED, ..budget },
        }
    }

    #[inline]
    pub(crate) fn pace<O: Observer>(
        &self,
        env: &Env<'_, O>,
        allowance: u32,
        budget: &Budget,
    ) -> Result<u32, Held> {
        let rates = self.rates(budget);
        match self.pacer.decide(env.now, allowance, &rates, env.ceiling.as_ref()) {
            Verdict::Send(octets) => Ok(octets),
            Verdict::Wait(until, limiter) => Err(Held { limiter, until: Some(until) }),
            Verdict::Blocked(limiter) => Err(Held::by(limiter)),
        }
    }

    /// After an idle time the window is no longer what the path carries (5681-6, RFC 7661).
    pub(crate) fn resume_from_idle(&mut self, now: Instant) {
        // Beyond 38 hours a tick cannot tell: long enough, whatever it was.
        let ticks = now.tick().distance_from(self.last_sent).unwrap_or(u32::MAX);
        let idle = Span::from_micros(u64::from(ticks) << TICK_SHIFT);
        let rto = self.recovery.rto();
        if self.snd.outstanding() == 0 && idle > rto {
            // Without a restart it is still an idle time: no credit comes of it.
            let rto = if self.settings.restart_after_idle { rto } else { idle };
            self.controller.on_path(now, &PathChange::Idle { idle, rto });
            self.stir();
        }
    }

    pub(super) fn account_sent<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
        octets: u32,
        retransmission: bool,
    ) {
        self.look_back(env.lags);
        self.last_sent = env.now.tick();
        let in_flight_octets = self.recovery.in_flight();
        self.controller.on_sent(&Sent {
            now: env.now,
            octets,
            in_flight_octets,
            retransmission,
            first_after_idle: in_flight_octets <= octets,
        });
    }

    /// The rates that are this connection's own.
    #[inline]
    pub(crate) fn rates(&self, budget: &Budget) -> Rates {
        Rates { budget: *budget, limit: self.settings.rate_limit, whose: self.stopwatches.paced_by }
    }

    /// The pacer hears of a segment that leaves, its headers included.
    pub(super) fn charge(&mut self, now: Instant, outgoing: &Outgoing, budget: &Budget) {
        let rates = self.rates(budget);
        if rates.are_unlimited() {
            return;
        }
        let Reply { header, options, .. } = &outgoing.reply;
        let header_octets = header_len(options, header.flags) as u32;
        let payload = outgoing.payload.len() as u32;
        let each = outgoing.gso_octets.map_or(payload, u32::from);
        self.released(now, payload, each, header_octets, &rates);
    }

    /// `payload` octets left in segments of `each`, all with a TCP header of `header_octets`.
    #[inline]
    pub(crate) fn released(
        &mut self,
        now: Instant,
        payload: u32,
        each: u32,
        header_octets: u32,
        rates: &Rates,
    ) {
        let packets = if payload > each { payload.div_ceil(each.max(1)) } else { 1 };
        let header_octets = header_octets + self.mtu.network_octets();
        let released = Released {
            payload_octets: payload,
            packet_octets: payload.saturating_add(packets.saturating_mul(header_octets)),
            largest_octets: payload.min(each).saturating_add(header_octets),
        };
        self.stopwatches.paced_by = self.pacer.on_sent(now, &released, rates);
    }

    /// Something leaves: what left last may have been late at the device.
    #[inline]
    pub(crate) fn look_back(&mut self, lags: &Lags) {
        if self.settings.rate_limit.is_unlimited() {
            return;
        }
        if let Some(there) = lags.of(self.last_sent) {
            let packet_octets = self.send_mss() + TCP_OCTETS as u32 + self.mtu.network_octets();
            self.pacer.on_late(there, packet_octets, &self.rates(&self.budget()));
        }
    }

    /// Payload of one call at most. Urgent data, and what a device that cuts would not put on each
    /// piece as it is (see `ecn`), leaves a segment at a time.
    fn largest_payload(&self, room: &SendRoom, mss: u32) -> u32 {
        if self.snd_up.is_some() || self.ecn.forbids_super_segments() {
            return mss;
        }
        let largest = room.largest_payload_octets.max(mss);
        match self.settings.manner {
            Manner::Own => largest,
            Manner::Linux => largest.min(self.millisecond_burst(mss)),
        }
    }

    /// What the rate carries in a millisecond, with a bonus for short paths, as many segments as the settings want at least.
    fn millisecond_burst(&self, mss: u32) -> u32 {
        let window = u64::from(self.controller.budget().window_octets);
        let rate = match self.recovery.srtt().map(|srtt| srtt.as_micros()) {
            None | Some(0) => u64::MAX,
            // Twice the window per round trip in slow start, 1.2 times after it.
            Some(srtt) => {
                let gain =
                    if window < u64::from(self.controller.threshold() / 2) { 20 } else { 12 };
                window * gain * 100_000 / srtt
            }
        };
        let halvings = self.recovery.min_rtt().map_or(0, |least| least.as_micros() >> 9);
        let bonus = 65_535u64.checked_shr(halvings.min(63) as u32).unwrap_or(0);
        let octets = (rate >> 10).saturating_add(bonus).min(65_535) as u32;
        let least = mss.saturating_mul(u32::from(self.settings.least_burst_segments));
        (octets - octets % mss).max(least).max(mss)
    }
}
