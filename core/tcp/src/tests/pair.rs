//! Two connections joined by a queue that loses, doubles and reorders, with random application
//! calls (`act`); and the invariants that hold after every call of any connection.

mod act;
mod parking;
mod predicted;

use self::act::{Act, act};
use self::parking::Parking;
use super::bench::PATH;
use crate::*;
use proptest::prelude::*;
use std::format;
use std::string::String;
use std::vec::Vec;
use usertcp_base::observe::{CloseReason, Counters};
use usertcp_base::{ConnId, Ecn, Event, Instant, Limits, Observer, Prng, Seq, Span};
use usertcp_cc::{Algorithm, AnyController, CongestionController, PathStart};
use usertcp_frame::{FramePool, PoolConfig};
use usertcp_wire::tcp::{Flags, Timestamps};

/// What holds of a live connection between calls.
pub fn invariants<C: CongestionController>(tcb: &Tcb<C>, now: Instant) {
    let (una, nxt) = (tcb.snd.una, tcb.snd.nxt);
    assert!(una.at_or_before(nxt), "SND.UNA {una:?} beyond SND.NXT {nxt:?}");
    assert_eq!((tcb.recovery.una(), tcb.recovery.nxt()), (una, nxt), "one truth");
    let closed = tcb.halves.send() == SendHalf::Closed;
    if closed {
        assert_eq!((tcb.snd.outstanding(), tcb.queue.len()), (0, 0));
    } else {
        assert_eq!(tcb.fin_seq().since(una) as usize, tcb.queue.len());
        assert!(nxt.at_or_before(tcb.fin_seq() + 1));
    }
    if tcb.halves.send() == SendHalf::Open {
        assert!(nxt.at_or_before(tcb.fin_seq()), "FIN before its time");
    }
    if tcb.snd.outstanding() > 0 {
        assert!(tcb.next_deadline(now).is_some(), "outstanding without a deadline");
    }
    assert!(tcb.advertise.edge().at_or_after(tcb.receiver.nxt() - 1), "right edge");
    assert!(tcb.snd.small.at_or_before(nxt), "the mark of Nagle fell behind");
    if let Some(up) = tcb.snd_up {
        assert!(up.at_or_before(tcb.fin_seq()));
    }
    if tcb.queue.is_empty() && tcb.receiver.is_empty() {
        assert_eq!(tcb.memory_octets(), 0, "frames held when idle");
    }
    let total: u64 = tcb.info(now).limited.iter().map(|span| span.as_micros()).sum();
    let life = now.since(tcb.established).as_micros();
    // Each counts up to 76 hours.
    let known = life < 70 * 3_600_000_000;
    assert!(!known || total.abs_diff(life) <= 128, "stopwatches: {total} of {life}");
}

/// What the queue between the two does.
#[derive(Clone, Copy, Debug)]
struct Weather {
    loss: u32,
    doubling: u32,
    reordering: u32,
    delay: u64,
}

struct End {
    tcb: Option<Tcb<AnyController>>,
    /// What is there instead while it is parked.
    parked: Option<Parked>,
    ended: Option<CloseReason>,
    written: u64,
    read: u64,
    closed: bool,
    /// It is to let go when it has read everything, rather than to shut its sending side.
    lets_go: bool,
    let_go: bool,
    saw_end: bool,
}

struct Flight {
    due: Instant,
    order: u64,
    to: usize,
    segment: Outgoing,
}

struct Pair {
    now: Instant,
    ends: [End; 2],
    flying: Vec<Flight>,
    order: u64,
    prng: Prng,
    limits: Limits,
    counters: Counters,
    pool: FramePool,
    weather: Weather,
    super_segments: bool,
    log: Log,
    /// What becomes of whoever is quiet.
    parking: Parking,
    moulds: Moulds<AnyController>,
    /// What is left of the TCB that was parked last, by either, and the serial number of its mould.
    blank: Option<(Tcb<AnyController>, u64)>,
    /// Times somebody was parked, and answered without its TCB.
    parked: (u32, u32),
}

/// What happened, one line each, while somebody wants to know.
#[derive(Default)]
struct Log {
    lines: Option<Vec<String>>,
    /// The figures of an end are noted after each arrival.
    closely: bool,
    /// Changes of the limiter: they may be told before the segment they follow.
    limiters: Vec<String>,
}

impl Log {
    fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(what());
        }
    }
}

impl Observer for Log {
    fn on_event(&mut self, who: Option<ConnId>, now: Instant, event: &Event) {
        if matches!(event, Event::Limited(_)) && self.lines.is_some() {
            return self.limiters.push(format!("{now:?} {event:?}"));
        }
        self.note(|| format!("{now:?} {who:?} {event:?}"));
    }
}

impl Pair {
    fn new(seed: u64, weather: Weather, options: u8) -> Pair {
        Pair::opened(seed, weather, options, true)
    }

    /// `steps`: what a SYN-ACK brings beside its SYN takes all the steps of any segment.
    fn opened(seed: u64, weather: Weather, options: u8, steps: bool) -> Pair {
        let (timestamps, sack, scaling) = (options & 1 != 0, options & 2 != 0, options & 4 != 0);
        let mut settings =
            Settings { timestamps, sack, window_scaling: scaling, ..Settings::default() };
        if options & 32 != 0 {
            settings.mtu_probing = MtuProbing::Always;
            settings.base_mss_octets = 600;
        }
        let mut limits = Limits::default();
        if options & 8 != 0 {
            limits.receive_buffer_start_octets = 6000;
            limits.receive_buffer_octets = 6000;
        }
        let now = Instant::from_millis(1000);
        let offer = Offer::new(&settings, &limits, &PATH);
        let mut active = Handshake::active(now, Seq(u32::MAX - 5000), 3, &offer);
        let syn = arrived(active.synchronise(now, &settings).without_payload());
        let iss = Seq(u32::MAX - 9000);
        let mut passive = Handshake::passive(now, &syn, iss, 4, &offer, &PATH, &limits);
        let mut answer = arrived(passive.synchronise(now, &settings).without_payload());
        let opened = |outcome| match outcome {
            HandshakeOutcome::Established(opening) => opening,
            other => panic!("{other:?}"),
        };
        let first = opened(active.handle_segment(now, &mut answer, &settings, &PATH, &limits));
        let mut pair = Pair {
            now,
            ends: [0, 1].map(|_| End {
                tcb: None,
                parked: None,
                ended: None,
                written: 0,
                read: 0,
                closed: false,
                lets_go: false,
                let_go: false,
                saw_end: false,
            }),
            flying: Vec::new(),
            order: 0,
            prng: Prng::from_seed(seed),
            limits,
            counters: Counters::default(),
            pool: FramePool::new(&PoolConfig { octets: 64 << 20, reserve_small: 64 }),
            weather,
            super_segments: options & 16 != 0,
            log: Log::default(),
            parking: Parking::Never,
            moulds: Moulds::new(),
            blank: None,
            parked: (0, 0),
        };
        pair.ends[0].tcb = Some(pair.born(&first, &settings));
        let effects = pair.call(0, |tcb, env| match steps {
            true => tcb.handle_segment(env, &mut answer),
            false => tcb.handle_rest_of_syn(env, &mut answer),
        });
        pair.settle(0, effects, false);
        let at = pair.flying.pop().expect("the last acknowledgement");
        let mut last = arrived(at.segment);
        let limits = pair.limits.clone();
        let second = opened(passive.handle_segment(now, &mut last, &settings, &PATH, &limits));
        pair.ends[1].tcb = Some(pair.born(&second, &settings));
        let effects = pair.call(1, |tcb, env| tcb.handle_segment(env, &mut last));
        pair.settle(1, effects, true);
        pair
    }

    fn born(&mut self, opening: &Opening, settings: &Settings) -> Tcb<AnyController> {
        let mut env = Env {
            now: self.now,
            id: ConnId { slot: 0, generation: 0 },
            limits: &self.limits,
            prng: &mut self.prng,
            counters: &mut self.counters,
            observer: &mut self.log,
            pool: &self.pool,
            super_segments: self.super_segments,
            lags: &Lags::NONE,
            ceiling: None,
        };
        let start = |path: &PathStart| AnyController::start_with(Algorithm::Cubic, path);
        Tcb::new(&mut env, opening, &std::rc::Rc::new(*settings), &PATH, start)
    }

    fn call<R>(
        &mut self,
        who: usize,
        f: impl FnOnce(&mut Tcb<AnyController>, &mut Env<'_, Log>) -> R,
    ) -> R {
        self.wake(who);
        let mut env = Env {
            now: self.now,
            id: ConnId { slot: 0, generation: 0 },
            limits: &self.limits,
            prng: &mut self.prng,
            counters: &mut self.counters,
            observer: &mut self.log,
            pool: &self.pool,
            super_segments: self.super_segments,
            lags: &Lags::NONE,
            ceiling: None,
        };
        let tcb = self.ends[who].tcb.as_mut().expect("alive");
        let result = f(tcb, &mut env);
        invariants(tcb, self.now);
        result
    }

    /// Acts on effects, then sends everything there is.
    fn settle(&mut self, who: usize, effects: Effects, weather: bool) {
        if let Some(ended) = effects.ended {
            self.ends[who].ended = Some(ended.reason());
            if let Some(reset) = effects.reset {
                self.fly(who, reset.without_payload(), weather);
            }
            if ended.waits() {
                let (record, word) = self.call(who, |tcb, env| tcb.time_wait(env, ended));
                let reply = word.reply();
                // TIME-WAIT is kept alive by its last acknowledgement only: enough here.
                for _ in 0..3 {
                    let mut reply = reply.clone().unwrap_or_else(|| {
                        Reply::new(Flags::ACK, record.snd_nxt, record.rcv_nxt, record.window)
                    });
                    reply.options.timestamps = record.timestamps.map(|t| Timestamps {
                        value: timestamp_clock(self.now, t.offset),
                        echo: t.recent,
                    });
                    self.fly(who, reply.without_payload(), false);
                }
            }
            return;
        }
        let room =
            SendRoom { largest_payload_octets: if self.super_segments { 20_000 } else { 0 } };
        for count in 0.. {
            assert!(count < 5000, "never stops");
            match self.call(who, |tcb, env| tcb.poll_segment(env, &room)) {
                PollSegment::Segment(segment) => self.fly(who, segment, weather),
                PollSegment::Wait(_) | PollSegment::Blocked(_) => break,
            }
        }
        let tcb = self.ends[who].tcb.as_ref().expect("alive");
        let waits = tcb.unsent_octets() > 0;
        assert!(!waits || tcb.next_deadline(self.now).is_some(), "waits for nothing");
        match self.parking {
            Parking::Never => {}
            Parking::AtOnce => self.park(who),
            Parking::Rounds => {
                let tcb = self.ends[who].tcb.as_mut().expect("alive");
                if tcb.is_quiet() {
                    self.moulds.round(self.now, tcb);
                }
            }
        }
    }

    fn info(&self, who: usize) -> Option<Info> {
        let end = &self.ends[who];
        match &end.parked {
            Some(parked) => Some(self.moulds.copy(self.now, parked, 0).info(self.now)),
            None => end.tcb.as_ref().map(|tcb| tcb.info(self.now)),
        }
    }

    fn fly(&mut self, who: usize, segment: Outgoing, weather: bool) {
        let Weather { loss, doubling, reordering, delay } = self.weather;
        let now = self.now;
        self.log.note(|| {
            let Outgoing { reply, payload, gso_octets, .. } = &segment;
            format!("{now:?} from {who}: {reply:?} {} {gso_octets:?}", payload.len())
        });
        let copies = if !weather {
            1
        } else if self.prng.chance_per_million(loss) {
            0
        } else {
            1 + u32::from(self.prng.chance_per_million(doubling))
        };
        for _ in 0..copies {
            let late = if self.prng.chance_per_million(reordering) { delay } else { 0 };
            self.order += 1;
            self.flying.push(Flight {
                due: self.now + Span::from_millis(delay + late),
                order: self.order,
                to: 1 - who,
                segment: Outgoing {
                    reply: segment.reply.clone(),
                    payload: segment.payload.slice(0, segment.payload.len()),
                    gso_octets: segment.gso_octets,
                    last: segment.last,
                },
            });
        }
    }

    fn pass(&mut self, millis: u64) {
        let end = self.now + Span::from_millis(millis);
        let (mut same, mut last) = (0, Instant::ZERO);
        loop {
            let flight = self.flying.iter().map(|flight| (flight.due, flight.order)).min();
            let timer = |who: usize| self.deadline_of(who).map(|at| (at, who));
            let timer = [timer(0), timer(1)].into_iter().flatten().min();
            match (flight, timer) {
                (Some((due, order)), timer)
                    if due <= end && timer.is_none_or(|(at, _)| due <= at) =>
                {
                    self.now = self.now.max(due);
                    let index = self.flying.iter().position(|f| f.order == order).unwrap();
                    let flight = self.flying.swap_remove(index);
                    if self.ends[flight.to].ended.is_none() {
                        let mut segment = arrived(flight.segment);
                        if self.hears(flight.to, &segment) {
                            continue;
                        }
                        let effects =
                            self.call(flight.to, |tcb, env| tcb.handle_segment(env, &mut segment));
                        self.settle(flight.to, effects, true);
                        let Pair { ends, log, now, .. } = &mut *self;
                        let end = &ends[flight.to];
                        if log.closely
                            && let Some(tcb) = end.tcb.as_ref().filter(|_| end.ended.is_none())
                        {
                            log.note(|| {
                                std::format!(
                                    "{} {:?} {:?}",
                                    flight.to,
                                    tcb.info(*now),
                                    tcb.next_deadline(*now)
                                )
                            });
                        }
                    }
                }
                (_, Some((at, who))) if at <= end => {
                    // One timer may hand over to another at the same moment, not for ever.
                    same = if at > last { 0 } else { same + 1 };
                    last = at;
                    assert!(same < 6, "a deadline that stays");
                    self.now = self.now.max(at);
                    if self.probes(who) {
                        continue;
                    }
                    let effects = self.call(who, |tcb, env| tcb.handle_deadline(env));
                    self.settle(who, effects, true);
                }
                _ => break,
            }
        }
        self.now = end;
    }

    fn deadline_of(&self, who: usize) -> Option<Instant> {
        let end = &self.ends[who];
        match &end.parked {
            Some(parked) => self.moulds.deadline(self.now, parked),
            None => end.tcb.as_ref().filter(|_| end.ended.is_none())?.next_deadline(self.now),
        }
    }

    /// Closes the sending side, or lets go: nobody reads then, and nothing is left to be read.
    fn end(&mut self, who: usize) {
        if !self.ends[who].lets_go {
            return self.act(&Act::Shutdown(who == 1));
        }
        if self.ends[who].read == self.ends[1 - who].written {
            (self.ends[who].closed, self.ends[who].let_go) = (true, true);
            let effects = self.call(who, |tcb, env| tcb.close(env));
            self.settle(who, effects, true);
        }
    }

    /// Everything written is read, both ends close, both records end.
    fn finish(&mut self) {
        self.weather.loss /= 4;
        for _ in 0..4000 {
            for who in [0, 1] {
                if self.ends[who].ended.is_none() && !self.ends[who].let_go {
                    self.end(who);
                    self.act(&Act::Read(who == 1, 50_000));
                }
            }
            if self.ends.iter().all(|end| end.ended.is_some()) {
                break;
            }
            self.pass(250);
        }
        for who in [0, 1] {
            let (end, other) = (&self.ends[who], &self.ends[1 - who]);
            assert_eq!(end.ended, Some(CloseReason::Normal), "end {who}");
            assert_eq!(end.read, other.written, "all of it arrived");
        }
    }
}

/// What arrives of what was sent.
fn arrived(outgoing: Outgoing) -> Segment {
    let Outgoing { reply, payload, gso_octets, .. } = outgoing;
    let each = gso_octets.map_or(payload.len().max(1), usize::from);
    Segment {
        header: reply.header,
        options: reply.options,
        wire_segments: payload.len().div_ceil(each).max(1) as u16,
        payload,
        ecn: Ecn::NotCapable,
    }
}

proptest! {

    // proves E-27, E-20, MUST-34, SHLD-14, BG-7 (its share): whatever the weather and the calls
    #[test]
    fn any_two_connections_end_well(
        seed in any::<u64>(),
        options in 0..64u8,
        loss in 0..150_000u32,
        doubling in 0..50_000u32,
        reordering in 0..100_000u32,
        delay in 1..80u64,
        acts in prop::collection::vec(act(), 1..60),
    ) {
        let mut pair = Pair::new(seed, Weather { loss, doubling, reordering, delay }, options);
        for act in &acts {
            pair.act(act);
        }
        pair.finish();
    }
}
