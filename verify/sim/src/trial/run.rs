//! The course of a trial. Owns: the order of everything that happens, and the onlookers.
//! Must not know: what the figures are for.

use super::Trial;
use super::ends::End;
use super::figures::{Figures, FlowFigures, FlowMoment, Moment};
use super::repairs::{Passing, Repairs};
use crate::link::Link;
use crate::oracle::Oracle;
use crate::scenario::address;
use std::collections::VecDeque;
use usertcp_base::{ConnId, Instant, Limits, Prng, Seq, Span};
use usertcp_cc::{Algorithm, AnyController};
use usertcp_device::{DeviceFacts, Medium};
use usertcp_frame::PoolConfig;
use usertcp_ip::Cidr;
use usertcp_stack::{Connect, Listen, Profile, ShardConfig};
use usertcp_tcp::{EcnMode, Settings};

const START: Instant = Instant::from_millis(1_000_000);
const PORT: u16 = 80;
const FIRST_PORT: u16 = 40_000;
/// Flows start within this part of a second, so that none is in step with another.
const STARTS_WITHIN: Span = Span::from_millis(200);

/// A flow on its way.
struct Course {
    starts: Instant,
    conn: Option<ConnId>,
    repairs: Repairs,
    /// Acknowledgements on the flow's own way, and when they arrive.
    detour: VecDeque<(Instant, Vec<u8>)>,
    octets_at_half: u64,
}

struct Run<'a> {
    trial: &'a Trial,
    now: Instant,
    sender: End,
    receiver: End,
    ahead: Link,
    back: Link,
    oracle: Oracle,
    courses: Vec<Course>,
    sent: u64,
    needless: u64,
    halved: bool,
    moments: Vec<Moment>,
}

/// Runs a trial to its end.
pub fn run(trial: &Trial) -> Result<Figures, String> {
    let mut run = Run::new(trial)?;
    while run.now < run.end() {
        run.settle()?;
        if run.receiver.read.iter().sum::<u64>() >= trial.most_octets {
            break;
        }
        run.now = run.next_moment();
    }
    run.note();
    Ok(run.figures())
}

impl<'a> Run<'a> {
    fn new(trial: &'a Trial) -> Result<Run<'a>, String> {
        let mut prng = Prng::from_seed(trial.seed ^ 0x0071_21A1);
        let flows = trial.flows.len();
        let mut receiver = End::new(config(trial, 1, &mut prng), flows, FIRST_PORT, START);
        let listen = Listen {
            local: None,
            port: Some(PORT),
            backlog: 1024,
            profile: profile(trial, Algorithm::default()),
        };
        receiver.shard.listen(&listen).map_err(|error| format!("listen: {error:?}"))?;
        let within = STARTS_WITHIN.as_micros().min(trial.lasts.as_micros() / 20);
        let course = |index: usize| Course {
            // The first at once: a flow alone starts at the start.
            starts: if index == 0 { START } else { START + Span::from_micros(prng.below(within)) },
            conn: None,
            repairs: Repairs::default(),
            detour: VecDeque::new(),
            octets_at_half: 0,
        };
        let courses = (0..flows).map(course).collect();
        let mut oracle = Oracle::default();
        for side in 0..2 {
            oracle.mtu.insert(address(side, false), 1500);
        }
        Ok(Run {
            trial,
            now: START,
            sender: End::new(config(trial, 0, &mut prng), flows, FIRST_PORT, START),
            receiver,
            ahead: Link::new(trial.ahead(), trial.seed),
            back: Link::new(trial.back(), trial.seed ^ 0xBAC4),
            oracle,
            courses,
            sent: 0,
            needless: 0,
            halved: false,
            moments: Vec::new(),
        })
    }

    /// Everything that is due now. Links take time, so nothing done here arrives here.
    fn settle(&mut self) -> Result<(), String> {
        let now = self.now;
        self.note();
        while let Some(packet) = self.ahead.poll(now) {
            self.receiver.queue.deliver(packet);
        }
        while let Some(packet) = self.back.poll(now) {
            self.route(packet);
        }
        for course in &mut self.courses {
            while course.detour.front().is_some_and(|(at, _)| *at <= now) {
                let Some((_, packet)) = course.detour.pop_front() else { break };
                self.sender.queue.deliver(packet);
            }
        }
        let opened = self.open()?;
        if opened || self.sender.is_due(now) {
            self.sender.run(now);
            while let Some(packet) = self.sender.queue.leaving.pop_front() {
                self.send(packet);
            }
        }
        if self.receiver.is_due(now) {
            self.receiver.run(now);
            while let Some(packet) = self.receiver.queue.leaving.pop_front() {
                self.oracle.observe(now, &packet);
                let _ = self.back.offer(now, packet);
            }
        }
        let problem = self.sender.problem.take().or(self.receiver.problem.take());
        match (self.oracle.violations().first(), problem) {
            (Some(first), _) => Err(format!("not legal: {first}")),
            (None, Some(problem)) => Err(problem),
            (None, None) => Ok(()),
        }
    }

    /// Opens the flows whose time has come.
    fn open(&mut self) -> Result<bool, String> {
        let mut opened = false;
        for (index, course) in self.courses.iter_mut().enumerate() {
            if course.conn.is_some() || course.starts > self.now {
                continue;
            }
            let connect = Connect {
                remote: address(1, false),
                remote_port: PORT,
                local: None,
                local_port: Some(FIRST_PORT + index as u16),
                profile: profile(self.trial, self.trial.flows[index].algorithm),
            };
            let conn = self.sender.shard.connect(self.now, &connect);
            course.conn = Some(conn.map_err(|error| format!("connect: {error:?}"))?);
            opened = true;
        }
        Ok(opened)
    }

    /// A packet of the sender enters the bottleneck.
    fn send(&mut self, packet: Vec<u8>) {
        self.oracle.observe(self.now, &packet);
        let segment = data_segment(&packet);
        let dropped = |link: &Link| link.counts().lost + link.counts().overflowed;
        let before = dropped(&self.ahead);
        let _ = self.ahead.offer(self.now, packet);
        let Some((port, seq, octets)) = segment else { return };
        let passing = Passing { seq, octets, dropped: dropped(&self.ahead) > before };
        self.sent += 1;
        if let Some(course) = self.courses.get_mut(usize::from(port.wrapping_sub(FIRST_PORT))) {
            self.needless += u64::from(course.repairs.observe(&passing));
        }
    }

    /// An acknowledgement has passed the way all share.
    fn route(&mut self, packet: Vec<u8>) {
        let port = u16::from_be_bytes([packet[22], packet[23]]);
        let flow = usize::from(port.wrapping_sub(FIRST_PORT));
        match self.trial.flows.get(flow).map(|flow| flow.detour) {
            Some(detour) if !detour.is_zero() => {
                self.courses[flow].detour.push_back((self.now + detour, packet));
            }
            _ => self.sender.queue.deliver(packet),
        }
    }

    fn end(&self) -> Instant {
        START + self.trial.lasts
    }

    fn half(&self) -> Instant {
        START + self.trial.lasts.divided_by(2)
    }

    /// When the next moment is to be noted.
    fn next_note(&self) -> Option<Instant> {
        let count = u64::from(self.trial.moments);
        let noted = self.moments.len() as u64;
        (noted < count).then(|| {
            let micros = self.trial.lasts.as_micros() * (noted + 1) / count;
            START + Span::from_micros(micros)
        })
    }

    fn note(&mut self) {
        if !self.halved && self.now >= self.half() {
            self.halved = true;
            for (course, read) in self.courses.iter_mut().zip(&self.receiver.read) {
                course.octets_at_half = *read;
            }
        }
        while let Some(at) = self.next_note().filter(|at| *at <= self.now) {
            let flows = self.courses.iter().zip(&self.receiver.read);
            let flows = flows.map(|(course, read)| FlowMoment {
                octets: *read,
                window_octets: figures_of(&self.sender, self.now, course.conn)
                    .map_or(0, |figures| figures.congestion_window_octets),
            });
            let moment = Moment {
                at: at.since(START),
                queue_octets: self.ahead.waiting(self.now),
                flows: flows.collect(),
            };
            self.moments.push(moment);
        }
    }

    /// When something happens next; the end at the latest.
    fn next_moment(&self) -> Instant {
        let starts = self.courses.iter().filter(|course| course.conn.is_none());
        let detours = self.courses.iter().filter_map(|course| course.detour.front());
        let candidates = [
            self.ahead.next_arrival(),
            self.back.next_arrival(),
            self.sender.shard.next_deadline(),
            self.receiver.shard.next_deadline(),
            detours.map(|(at, _)| *at).min(),
            starts.map(|course| course.starts).min(),
            (!self.halved).then(|| self.half()),
            self.next_note(),
        ];
        candidates.into_iter().flatten().fold(self.end(), Instant::min).max(self.now)
    }

    fn figures(self) -> Figures {
        let flows = self.courses.iter().zip(&self.receiver.read).map(|(course, read)| {
            let info = figures_of(&self.sender, self.now, course.conn);
            FlowFigures {
                octets: *read,
                late_octets: if self.halved { read - course.octets_at_half } else { 0 },
                resent: info.map_or(0, |info| info.retransmissions.into()),
                spurious: info.map_or(0, |info| info.spurious_retransmissions.into()),
                timeouts: info.map_or(0, |info| info.timeouts.into()),
            }
        });
        Figures {
            flows: flows.collect(),
            lasted: self.now.since(START),
            late: self.now.since(self.half()),
            sent: self.sent,
            needless: self.needless,
            link: self.ahead.counts(),
            moments: self.moments,
        }
    }
}

fn figures_of(end: &End, now: Instant, conn: Option<ConnId>) -> Option<usertcp_tcp::Info> {
    end.shard.info(now, conn?).ok()?.figures
}

/// Source port, sequence number and octets of an IPv4 packet without options that carries data.
fn data_segment(packet: &[u8]) -> Option<(u16, Seq, u32)> {
    let tcp = packet.get(20..)?;
    let word = |at: usize| Some([*tcp.get(at)?, *tcp.get(at + 1)?]);
    let header = usize::from(*tcp.get(12)? >> 4) * 4;
    let octets = tcp.len().checked_sub(header)?;
    let ([a, b], [c, d]) = (word(4)?, word(6)?);
    let seq = Seq(u32::from_be_bytes([a, b, c, d]));
    (octets > 0).then_some((u16::from_be_bytes(word(0)?), seq, octets as u32))
}

fn profile(trial: &Trial, algorithm: Algorithm) -> Profile<AnyController> {
    let ecn = if trial.ecn { EcnMode::Ask } else { EcnMode::Accept };
    Profile {
        settings: Settings { ecn, ..Settings::default() },
        controller: match algorithm {
            Algorithm::Reno => |start| AnyController::start_with(Algorithm::Reno, start),
            Algorithm::Cubic => |start| AnyController::start_with(Algorithm::Cubic, start),
        },
    }
}

/// A host whose buffers never limit: what is measured is recovery and congestion control.
fn config(trial: &Trial, side: usize, prng: &mut Prng) -> ShardConfig {
    let mut seed = [0; 32];
    for chunk in seed.chunks_exact_mut(8) {
        chunk.copy_from_slice(&prng.next_u64().to_le_bytes());
    }
    let longest = trial.flows.iter().map(|flow| flow.detour).max().unwrap_or(Span::ZERO);
    let path = trial
        .rate
        .octets_in(trial.rtt.saturating_add(longest))
        .saturating_add(trial.buffer_octets());
    let window = path.saturating_mul(4).clamp(6 << 20, 1 << 30);
    let cidr = match Cidr::new(address(side, false), 24) {
        Ok(cidr) => cidr,
        Err(error) => panic!("{error:?}"),
    };
    let facts = DeviceFacts::plain(Medium::Ip, 1500);
    let mut config = ShardConfig::new(vec![cidr], seed, facts);
    let pool =
        (64 << 20) + path.saturating_mul(8).min(8 << 30) + (trial.flows.len() as u64) * (2 << 20);
    config.pool = PoolConfig { octets: pool as usize, ..PoolConfig::default() };
    config.limits = Limits {
        connections: 256,
        hot_connections: 256,
        embryo_source_share: 1,
        receive_buffer_octets: window as u32,
        send_buffer_octets: window as u32,
        ..Limits::default()
    };
    config
}
