//! The bench: one connection, born through a real handshake, and a peer that does what the test
//! says. Sequence numbers are told as offsets from the first octet of each direction; the clock
//! moves only when the test moves it. Both directions wrap (AT-41).

mod start;

use self::start::shake;
pub use self::start::{INITIAL, Start};
pub use super::script::*;
use crate::*;
use std::vec::Vec;
use usertcp_base::observe::{CloseReason, Counters, Event, Limiter};
use usertcp_base::{
    ConnId, DropReason, Ecn, Instant, Limits, Observer, Prng, Rate, Seq, Span, WireWindow,
};
use usertcp_cc::{Algorithm, AnyController, PathStart};
use usertcp_frame::{Chain, FramePool, PoolConfig};
use usertcp_wire::tcp::{Flags, Header, Options, SackBlock, Timestamps};

/// Our first sequence number, and the peer's.
const ISS: Seq = Seq(u32::MAX - 999);
const IRS: Seq = Seq(u32::MAX - 1999);
/// The peer's timestamp clock when the connection is born.
pub const PEER_CLOCK: u32 = u32::MAX - 99;
/// Our timestamp offset.
const OFFSET: u32 = 77;
/// When the connection is born.
pub const BIRTH: Instant = Instant::from_millis(5_000_000);

/// Remembers every event.
#[derive(Default)]
pub struct Log(pub Vec<Event>);

impl Observer for Log {
    fn on_event(&mut self, _: Option<ConnId>, _: Instant, event: &Event) {
        self.0.push(*event);
    }
}

pub struct Bench {
    pub now: Instant,
    pub tcb: Tcb<AnyController>,
    pub ended: Option<CloseReason>,
    pub time_wait: Option<TimeWait>,
    pub limits: Limits,
    pub counters: Counters,
    pub log: Log,
    pub pool: FramePool,
    pub effects: Effects,
    pub written: i64,
    pub room: u32,
    pub limiter: Option<Limiter>,
    /// What left when the connection was born.
    pub first: Vec<Out>,
    prng: Prng,
    super_segments: bool,
    timestamps: bool,
    accurate: bool,
    window: u16,
}

pub const PATH: PathFacts = PathFacts {
    segment_octets: 1480,
    receive_segment_octets: 1480,
    default_mss_octets: 536,
    header_octets: 20,
    least_packet_octets: 576,
    host: None,
};

pub fn distance(seq: Seq, from: Seq) -> i64 {
    i64::from(seq.0.wrapping_sub(from.0) as i32)
}

fn at(first: Seq, offset: i64) -> Seq {
    Seq(first.0.wrapping_add(offset as u32))
}

impl Bench {
    fn new(start: Start) -> Bench {
        let (mut bench, segment) = Bench::newborn(start);
        bench.arrive(segment);
        bench.first = bench.drain();
        bench
    }

    /// One that has just begun, and the segment that completed its handshake, which it has not seen.
    pub fn newborn(start: Start) -> (Bench, Segment) {
        let pool = FramePool::new(&PoolConfig { octets: 256 << 20, reserve_small: 64 });
        let syn_options = Options {
            mss: Some(start.mss),
            scale: start.scale,
            sack_permitted: start.sack,
            timestamps: start.timestamps.then_some(Timestamps { value: PEER_CLOCK, echo: 0 }),
            ..Options::default()
        };
        let began = BIRTH - Span::from_millis(start.rtt);
        let offer = Offer::new(&start.settings, &start.limits, &PATH);
        let (opening, segment) = shake(&start, &syn_options, began, &offer);
        let mut prng = Prng::from_seed(7);
        let mut counters = Counters::default();
        let mut log = Log::default();
        let mut env = Env {
            now: BIRTH,
            id: ConnId { slot: 1, generation: 1 },
            limits: &start.limits,
            prng: &mut prng,
            counters: &mut counters,
            observer: &mut log,
            pool: &pool,
            super_segments: start.super_segments,
            lags: &Lags::NONE,
            ceiling: None,
        };
        let controller = |path: &PathStart| match start.fixed_window {
            Some(octets) => AnyController::fixed(octets, Rate::UNLIMITED, path),
            None => AnyController::start_with(Algorithm::Cubic, path),
        };
        let tcb =
            Tcb::new(&mut env, &opening, &std::rc::Rc::new(start.settings), &PATH, controller);
        let bench = Bench {
            now: BIRTH,
            tcb,
            ended: None,
            time_wait: None,
            limits: start.limits,
            counters,
            log,
            pool,
            effects: Effects::default(),
            written: 0,
            room: if start.super_segments { 64_000 } else { 0 },
            limiter: None,
            prng,
            super_segments: start.super_segments,
            timestamps: start.timestamps,
            accurate: start.accurate.is_some(),
            window: start.window,
            first: Vec::new(),
        };
        (bench, segment)
    }

    /// A call with the surroundings.
    pub fn call<R>(
        &mut self,
        f: impl FnOnce(&mut Tcb<AnyController>, &mut Env<'_, Log>) -> R,
    ) -> R {
        let mut env = Env {
            now: self.now,
            id: ConnId { slot: 1, generation: 1 },
            limits: &self.limits,
            prng: &mut self.prng,
            counters: &mut self.counters,
            observer: &mut self.log,
            pool: &self.pool,
            super_segments: self.super_segments,
            lags: &Lags::NONE,
            ceiling: None,
        };
        f(&mut self.tcb, &mut env)
    }

    fn arrive(&mut self, mut segment: Segment) -> Vec<Out> {
        if self.ended.is_some() {
            return Vec::new();
        }
        let effects = self.call(|tcb, env| tcb.handle_segment(env, &mut segment));
        self.take(effects)
    }

    /// Takes note of effects; what leaves because the connection ended.
    pub fn take(&mut self, effects: Effects) -> Vec<Out> {
        let mut out = Vec::new();
        if let Some(ended) = effects.ended {
            assert!(self.ended.is_none(), "ended twice");
            self.ended = Some(ended.reason());
            if let Some(reset) = effects.reset.as_deref() {
                out.push(self.read_out(reset.clone().without_payload()));
            }
            if ended.waits() {
                let (record, word) = self.call(|tcb, env| tcb.time_wait(env, ended));
                self.time_wait = Some(record);
                out.extend(word.reply().map(|reply| self.read_out(reply.without_payload())));
            }
        }
        self.effects = effects;
        self.check();
        out
    }

    fn read_out(&self, outgoing: Outgoing) -> Out {
        let Outgoing { reply, payload, gso_octets, .. } = outgoing;
        let base = (ISS + 1, IRS + 1);
        let sack = &reply.options.sack;
        Out {
            flags: reply.header.flags,
            seq: distance(reply.header.seq, base.0),
            ack: distance(reply.header.ack, base.1),
            window: reply.header.window.0,
            payload: payload.to_vec(),
            urgent: reply.header.urgent,
            gso: gso_octets,
            stamps: reply.options.timestamps.map(|t| (t.value, t.echo)),
            sack: sack
                .iter()
                .map(|b| (distance(b.left, base.1), distance(b.right, base.1)))
                .collect(),
            dscp: reply.dscp,
            ecn: reply.ecn,
            hop_limit: reply.hop_limit,
            mss: reply.options.mss,
            accurate: reply.options.accurate_ecn,
            user_timeout: reply.options.user_timeout,
            at: self.now.since(BIRTH).as_millis(),
        }
    }

    /// Everything it wants to send now.
    pub fn drain(&mut self) -> Vec<Out> {
        let mut out = Vec::new();
        while self.ended.is_none() {
            let room = SendRoom { largest_payload_octets: self.room };
            match self.call(|tcb, env| tcb.poll_segment(env, &room)) {
                PollSegment::Segment(segment) => {
                    let segment = self.read_out(segment);
                    self.check_out(&segment);
                    out.push(segment);
                }
                PollSegment::Wait(until) => {
                    assert!(until > self.now, "waits for the past");
                    assert!(self.tcb.next_deadline(self.now).is_some_and(|next| next <= until));
                    break;
                }
                PollSegment::Blocked(limiter) => {
                    self.limiter = Some(limiter);
                    break;
                }
            }
            assert!(out.len() < 20_000, "never stops: {:?}", out.last());
        }
        self.check();
        out
    }

    /// What holds of every segment.
    fn check_out(&self, out: &Out) {
        let mss = self.tcb.send_mss() as usize;
        assert!(
            out.len() <= mss
                || out.gso.is_some_and(|gso| usize::from(gso) <= mss)
                || self.is_mtu_probe(out),
            "{out:?}"
        );
        assert_eq!(out.mss, None, "MUST-65");
        assert_eq!(out.stamps.is_some(), self.timestamps, "7323-6");
        for (i, octet) in out.payload.iter().enumerate() {
            assert_eq!(*octet, pattern(out.seq + i as i64), "stream");
        }
    }

    /// The path MTU probe outstanding.
    fn is_mtu_probe(&self, out: &Out) -> bool {
        let probe =
            self.tcb.mtu.probe().map(|(from, to)| (distance(from, ISS + 1), distance(to, ISS + 1)));
        probe == Some((out.seq, out.seq + out.len() as i64)) && out.gso.is_none()
    }

    /// What holds after every call.
    pub fn check(&self) {
        if self.ended.is_none() {
            super::pair::invariants(&self.tcb, self.now);
        }
    }

    /// A plain acknowledgement of everything we sent, from where the peer stands.
    pub fn peer(&self) -> Peer {
        Peer {
            flags: Flags::ACK,
            seq: self.received(),
            ack: self.sent(),
            window: self.window,
            payload: Vec::new(),
            urgent: 0,
            stamps: None,
            sack: Vec::new(),
            wire_segments: 1,
            ecn: Ecn::NotCapable,
            accurate: None,
            user_timeout: None,
        }
        .ace(if self.accurate { 5 } else { 0 })
    }
    pub fn peer_at(&self, seq: i64) -> Peer {
        Peer { seq, ..self.peer() }
    }
    pub fn peer_acks(&self, ack: i64) -> Peer {
        Peer { ack, ..self.peer() }
    }

    /// The peer's segment arrives, nothing is polled yet.
    pub fn give(&mut self, peer: Peer) -> Vec<Out> {
        let segment = self.segment(&peer);
        self.arrive(segment)
    }
    /// The peer's segment arrives; what leaves at once.
    pub fn send(&mut self, peer: Peer) -> Vec<Out> {
        let mut out = self.give(peer);
        out.extend(self.drain());
        out
    }

    pub fn segment(&self, peer: &Peer) -> Segment {
        let header = Header {
            seq: at(IRS + 1, peer.seq),
            ack: at(ISS + 1, peer.ack),
            flags: peer.flags,
            window: WireWindow(peer.window),
            urgent: peer.urgent,
            ..Header::default()
        };
        let clock = self.peer_clock();
        let usual = self.timestamps.then_some((clock, 0));
        let mut options = Options {
            timestamps: peer
                .stamps
                .unwrap_or(usual)
                .map(|(value, echo)| Timestamps { value, echo }),
            accurate_ecn: peer.accurate,
            user_timeout: peer.user_timeout,
            ..Options::default()
        };
        for &(left, right) in &peer.sack {
            let block = SackBlock { left: at(ISS + 1, left), right: at(ISS + 1, right) };
            assert!(options.sack.push(block));
        }
        let mut payload = Chain::new();
        for part in peer.payload.chunks(1900) {
            let mut frame = self.pool.take(usertcp_frame::Class::Full, 100).unwrap();
            assert_eq!(frame.extend(part), part.len());
            payload.push_back(frame.into_slice());
        }
        let wire_segments = peer.wire_segments;
        Segment { header, options, payload, ecn: peer.ecn, wire_segments }
    }

    /// The peer's timestamp clock.
    pub fn peer_clock(&self) -> u32 {
        PEER_CLOCK.wrapping_add(self.now.since(BIRTH).as_millis() as u32)
    }
    /// Our timestamp clock.
    pub fn our_clock(&self) -> u32 {
        timestamp_clock(self.now, OFFSET)
    }

    /// Writes the pattern.
    pub fn put(&mut self, octets: usize) -> usize {
        let first = self.written;
        let data: Vec<u8> = (0..octets).map(|i| pattern(first + i as i64)).collect();
        let taken = self.call(|tcb, env| tcb.write(env, &data));
        self.written += taken as i64;
        self.check();
        taken
    }
    /// The same, saying something of the end.
    pub fn write_with(&mut self, octets: usize, end: WriteEnd) -> Vec<Out> {
        let first = self.written;
        let data: Vec<u8> = (0..octets).map(|i| pattern(first + i as i64)).collect();
        let taken = self.call(|tcb, env| tcb.write_with(env, &data, end));
        assert_eq!(taken, octets);
        self.written += octets as i64;
        self.drain()
    }
    pub fn write(&mut self, octets: usize) -> Vec<Out> {
        assert_eq!(self.put(octets), octets);
        self.drain()
    }
    /// Reads and verifies; how many octets.
    pub fn read(&mut self, most: usize) -> usize {
        let mut buffer = std::vec![0; most];
        let first = self.received() - i64::from(self.tcb.readable_octets()) - self.fin_received();
        let (outcome, effects) = self.call(|tcb, env| tcb.read(env, &mut buffer));
        let count = match outcome {
            ReadOutcome::Octets(count) => count,
            ReadOutcome::Nothing | ReadOutcome::End => 0,
        };
        for (i, octet) in buffer[..count].iter().enumerate() {
            assert_eq!(*octet, pattern(first + i as i64), "delivered stream");
        }
        let _ = self.take(effects);
        count
    }
    fn fin_received(&self) -> i64 {
        i64::from(self.tcb.halves.recv() == RecvHalf::Closed)
    }
    pub fn at_end(&mut self) -> bool {
        let (outcome, effects) = self.call(|tcb, env| tcb.read(env, &mut [0; 1]));
        let _ = self.take(effects);
        outcome == ReadOutcome::End
    }
    pub fn shutdown(&mut self) -> Vec<Out> {
        let effects = self.call(|tcb, env| tcb.shutdown_write(env));
        self.after(effects)
    }
    pub fn close(&mut self) -> Vec<Out> {
        let effects = self.call(|tcb, env| tcb.close(env));
        self.after(effects)
    }
    pub fn abort(&mut self) -> Vec<Out> {
        let effects = self.call(|tcb, env| tcb.abort(env));
        self.after(effects)
    }
    pub fn set(&mut self, change: impl FnOnce(&mut Settings)) -> Vec<Out> {
        let mut settings = *self.tcb.settings();
        change(&mut settings);
        let effects = self.call(|tcb, env| tcb.set_settings(env, std::rc::Rc::new(settings)));
        self.after(effects)
    }
    pub fn signal(&mut self, seq: i64, kind: SignalKind) {
        let signal = Signal { seq: at(ISS + 1, seq), kind };
        let effects = self.call(|tcb, env| tcb.handle_signal(env, &signal));
        let _ = self.take(effects);
    }
    fn after(&mut self, effects: Effects) -> Vec<Out> {
        let mut out = self.take(effects);
        out.extend(self.drain());
        out
    }

    /// Time passes; every deadline is kept. What left.
    pub fn pass(&mut self, millis: u64) -> Vec<Out> {
        let end = self.now + Span::from_millis(millis);
        let mut out = Vec::new();
        let mut same = 0;
        while let Some(next) = self.deadline().filter(|next| *next <= end) {
            same = if next > self.now { 0 } else { same + 1 };
            assert!(same < 50, "a deadline that does not move on");
            self.now = self.now.max(next);
            let effects = self.call(|tcb, env| tcb.handle_deadline(env));
            out.extend(self.after(effects));
        }
        self.now = end;
        out
    }
    pub fn deadline(&self) -> Option<Instant> {
        if self.ended.is_some() { None } else { self.tcb.next_deadline(self.now) }
    }
    /// Milliseconds since birth.
    pub fn clock(&self) -> u64 {
        self.now.since(BIRTH).as_millis()
    }

    /// RCV.NXT as an offset.
    pub fn received(&self) -> i64 {
        distance(self.tcb.rcv_nxt(), IRS + 1)
    }
    /// SND.NXT as an offset.
    pub fn sent(&self) -> i64 {
        distance(self.tcb.snd.nxt, ISS + 1)
    }
    /// SND.UNA as an offset.
    pub fn una(&self) -> i64 {
        distance(self.tcb.snd.una, ISS + 1)
    }
    /// Right edge of our window as an offset.
    pub fn edge(&self) -> i64 {
        distance(self.tcb.advertise.edge(), IRS + 1)
    }
    pub fn state(&self) -> StateName {
        self.tcb.halves.state()
    }
    pub fn info(&self) -> Info {
        self.tcb.info(self.now)
    }
    pub fn dropped(&self, reason: DropReason) -> usize {
        self.log.0.iter().filter(|event| **event == Event::Dropped(reason)).count()
    }
    /// Octets in and out until the quick acknowledgements of the beginning are used up.
    pub fn warm_up(&mut self) {
        for _ in 0..20 {
            let data = self.peer().data(10);
            let _ = self.send(data);
            let _ = self.pass(100);
            assert_eq!(self.read(100), 10);
        }
    }
}
