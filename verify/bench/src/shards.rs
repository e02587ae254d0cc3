//! `shards`: what a second core adds.
//!
//! Owns: two stacks per thread, joined by wires in memory; one thread and several of them in turn; the
//! ratio. Must not know: the system's devices, the other benches.
//!
//! Each thread has a shard of a server and a shard of a client. With several threads they have seats: every
//! packet's place is computed, and the client's shards open from ports whose flows are the server's shard's at
//! the same index, as a device that follows the rule would lead them. With one there is no seat. So the ratio
//! has in it what steering costs, and what cores take from each other.

use crate::Outcome;
use crate::machine;
use crate::stats::Spread;
use crate::table::Table;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Barrier;
use std::time::{Duration, Instant as SystemInstant};
use usertcp_base::{ConnId, Instant, Limits, ListenerId};
use usertcp_cc::AnyController;
use usertcp_device::{DeviceFacts, Medium, PipeEnd, SteerRule, pipe};
use usertcp_frame::PoolConfig;
use usertcp_ip::Cidr;
use usertcp_stack::{Connect, Listen, Profile, Read, Seat, Shard, ShardConfig, ShardEvent};

/// What `help` prints.
const HELP: &str = "\
Usage: usertcp-bench shards [OPTIONS]

  --shards N        threads, each a core's worth of server and client            [2]
  --connections N   of each thread                                               [100]
  --rounds N        each measures one thread and then all of them                [5]
  --seconds S       measured time of one run                                     [1]
";

const MESSAGE: usize = 64;

struct Options {
    shards: u16,
    connections: u32,
    rounds: u32,
    seconds: f64,
}

/// Reads `words`, measures, prints.
pub fn run(words: impl Iterator<Item = String>) -> Result<Outcome, String> {
    let Some(options) = read(words)? else {
        print!("{HELP}");
        return Ok(Outcome::Done);
    };
    let several = format!("{} shards", options.shards);
    let mut rates = [Vec::new(), Vec::new()];
    let mut by_cpu = [Vec::new(), Vec::new()];
    let mut ratios = [Vec::new(), Vec::new()];
    for round in 0..options.rounds {
        let one = measure(&options, 1, round as usize)?;
        let all = measure(&options, options.shards, 0)?;
        for (place, measured) in [&one, &all].into_iter().enumerate() {
            rates[place].push(measured.rate / 1e3);
            by_cpu[place].push(measured.rate_by_cpu / 1e3);
        }
        ratios[0].push(all.rate / one.rate);
        ratios[1].push(all.rate_by_cpu / one.rate_by_cpu);
    }
    let text = |values: &[f64]| Spread::of(values).map_or("none".into(), |spread| spread.text());
    let mut table = Table::new(&["thousand requests/s", "1 shard", &several, "ratio"], 1);
    for (name, values, ratio) in
        [("by the clock", &rates, &ratios[0]), ("by the threads' CPU time", &by_cpu, &ratios[1])]
    {
        table.push(vec![name.into(), text(&values[0]), text(&values[1]), text(ratio)]);
    }
    println!(
        "usertcp {}: request and answer of {MESSAGE} octets on {} connections a thread, both ends there,\n\
         {} x {} s, in turn; median [least..most]\n\n{}",
        machine::revision(),
        options.connections,
        options.rounds,
        options.seconds,
        table.text()
    );
    Ok(Outcome::Done)
}

fn read(mut words: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options { shards: 2, connections: 100, rounds: 5, seconds: 1.0 };
    while let Some(word) = words.next() {
        if matches!(word.as_str(), "help" | "--help" | "-h") {
            return Ok(None);
        }
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        let wrong = || format!("{word}: {value} will not do");
        match word.as_str() {
            "--shards" => options.shards = value.parse().map_err(|_| wrong())?,
            "--connections" => options.connections = value.parse().map_err(|_| wrong())?,
            "--rounds" => options.rounds = value.parse().map_err(|_| wrong())?,
            "--seconds" => options.seconds = value.parse().map_err(|_| wrong())?,
            _ => return Err(format!("shards has no option {word}")),
        }
    }
    let sound = (2..=256).contains(&options.shards)
        && (1..=20_000).contains(&options.connections)
        && options.rounds > 0
        && (0.05..3600.0).contains(&options.seconds);
    if sound { Ok(Some(options)) } else { Err("2 to 256 shards, 1 to 20000 connections".into()) }
}

/// Requests answered in a second, by all threads.
struct Measured {
    rate: f64,
    /// What they would answer if nobody else used their cores.
    rate_by_cpu: f64,
}

fn measure(options: &Options, threads: u16, first_core: usize) -> Result<Measured, String> {
    let start = Barrier::new(usize::from(threads));
    let work = |index: u16| -> Result<(f64, f64), String> {
        pin(first_core + usize::from(index))?;
        let ready = Load::start(index, threads, options.connections).and_then(|mut load| {
            load.run_for(options.seconds / 4.0)?;
            Ok(load)
        });
        // Also when it is not: the others wait.
        start.wait();
        let mut load = ready?;
        let (before, begun) = (load.answers, SystemInstant::now());
        let spent = machine::thread_cpu_seconds();
        load.run_for(options.seconds)?;
        let spent = machine::thread_cpu_seconds() - spent;
        let answers = (load.answers - before) as f64;
        let (rate, by_cpu) = (answers / begun.elapsed().as_secs_f64(), answers / spent);
        load.check()?;
        Ok((rate, by_cpu))
    };
    let results: Vec<_> = std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..threads).map(|index| scope.spawn(move || work(index))).collect();
        threads.into_iter().map(|thread| thread.join()).collect()
    });
    let mut sum = Measured { rate: 0.0, rate_by_cpu: 0.0 };
    for result in results {
        let (rate, by_cpu) = result.map_err(|_| "a thread panicked".to_owned())??;
        sum.rate += rate;
        sum.rate_by_cpu += by_cpu;
    }
    Ok(sum)
}

/// Keeps this thread on a core.
#[allow(unsafe_code)]
fn pin(core: usize) -> Result<(), String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // Not safely: std does not choose cores.
    // SAFETY: an all-zero set is a valid one, CPU_SET writes inside it, and the call reads it.
    let result = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core % cores, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set)
    };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error().to_string()) }
}

/// One thread's two ends.
struct Load {
    client: End,
    server: End,
    listener: ListenerId,
    started: SystemInstant,
    answers: u64,
    /// The message of each connection, by slot: how often it went round.
    rounds: Vec<u32>,
    conns: Vec<ConnId>,
}

struct End {
    shard: Shard<AnyController, ()>,
    queue: PipeEnd,
}

impl Load {
    fn start(index: u16, shards: u16, connections: u32) -> Result<Load, String> {
        let (near, far) = pipe(DeviceFacts::plain(Medium::Ip, 1500), 4096);
        let seat = (shards > 1).then(|| Seat { rule: SteerRule::new([17, 19], shards), index });
        let client = End::new(1, seat, near)?;
        let mut server = End::new(2, seat, far)?;
        let profile = profile();
        let listen = Listen { local: None, port: Some(80), backlog: connections.max(16), profile };
        let listener = server.shard.listen(&listen).map_err(|error| format!("{error:?}"))?;
        let started = SystemInstant::now();
        let (rounds, conns) = (Vec::new(), Vec::new());
        let mut load = Load { client, server, listener, started, answers: 0, rounds, conns };
        for _ in 0..connections {
            load.connect()?;
        }
        load.run_for(0.01)?;
        for conn in load.conns.clone() {
            load.ask(conn)?;
        }
        Ok(load)
    }

    fn now(&self) -> Instant {
        let micros = self.started.elapsed().as_micros();
        Instant::from_micros((1 << 33) + u64::try_from(micros).unwrap_or(u64::MAX >> 1))
    }

    fn connect(&mut self) -> Result<(), String> {
        let to = Connect {
            remote: address(2),
            remote_port: 80,
            local: None,
            local_port: None,
            profile: profile(),
        };
        let conn = self.client.shard.connect(self.now(), &to);
        self.conns.push(conn.map_err(|error| format!("connecting: {error:?}"))?);
        self.step()
    }

    fn run_for(&mut self, seconds: f64) -> Result<(), String> {
        let end = SystemInstant::now() + Duration::from_secs_f64(seconds);
        while SystemInstant::now() < end {
            for _ in 0..16 {
                self.step()?;
            }
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), String> {
        let now = self.now();
        let _ = self.client.shard.receive(now, &mut self.client.queue);
        while let Some(event) = self.client.shard.poll_event() {
            match event {
                ShardEvent::Readable(conn) => self.on_answer(now, conn)?,
                ShardEvent::Closed { reason, .. } => return Err(format!("ended: {reason:?}")),
                _ => {}
            }
        }
        self.client.shard.flush(now, &mut self.client.queue);
        let _ = self.server.shard.receive(now, &mut self.server.queue);
        while let Some(event) = self.server.shard.poll_event() {
            match event {
                ShardEvent::Accepted { .. } => drop(self.server.shard.accept(self.listener)),
                ShardEvent::Readable(conn) => self.serve(now, conn)?,
                _ => {}
            }
        }
        self.server.shard.flush(now, &mut self.server.queue);
        Ok(())
    }

    fn ask(&mut self, conn: ConnId) -> Result<(), String> {
        let slot = conn.slot as usize;
        if self.rounds.len() <= slot {
            self.rounds.resize(slot + 1, 0);
        }
        self.rounds[slot] = self.rounds[slot].wrapping_add(1);
        let message = message(conn.slot, self.rounds[slot]);
        match self.client.shard.write(self.now(), conn, &message) {
            Ok(MESSAGE) => Ok(()),
            other => Err(format!("asking: {other:?}")),
        }
    }

    fn on_answer(&mut self, now: Instant, conn: ConnId) -> Result<(), String> {
        let mut octets = [0; 2 * MESSAGE];
        loop {
            match self.client.shard.read(now, conn, &mut octets) {
                Ok(Read::Data(MESSAGE)) => {
                    let round = self.rounds.get(conn.slot as usize).copied().unwrap_or(0);
                    if octets[..MESSAGE] != message(conn.slot, round) {
                        return Err("an answer is not what was asked".into());
                    }
                    self.answers += 1;
                    self.ask(conn)?;
                }
                Ok(Read::Nothing) => return Ok(()),
                other => return Err(format!("an answer: {other:?}")),
            }
        }
    }

    fn serve(&mut self, now: Instant, conn: ConnId) -> Result<(), String> {
        let mut octets = [0; 2 * MESSAGE];
        loop {
            match self.server.shard.read(now, conn, &mut octets) {
                Ok(Read::Data(count)) => {
                    let written = self.server.shard.write(now, conn, &octets[..count]);
                    if written != Ok(count) {
                        return Err(format!("answering: {written:?}"));
                    }
                }
                Ok(Read::Nothing) => return Ok(()),
                other => return Err(format!("a request: {other:?}")),
            }
        }
    }

    /// Every packet came to the shard it belongs to.
    fn check(&mut self) -> Result<(), String> {
        let counters = [self.client.shard.counters(), self.server.shard.counters()];
        let steered: u64 = counters.iter().map(|counters| counters.steered_out).sum();
        if steered > 0 { Err(format!("{steered} packets of another shard")) } else { Ok(()) }
    }
}

impl End {
    fn new(host: u8, seat: Option<Seat>, queue: PipeEnd) -> Result<End, String> {
        let cidr = Cidr::new(address(host), 24).map_err(|error| format!("{error:?}"))?;
        let config = ShardConfig {
            limits: Limits { embryo_source_share: 1, ..Limits::default() },
            pool: PoolConfig { octets: 64 << 20, ..PoolConfig::default() },
            ports: 1024..=65_535,
            seat,
            ..ShardConfig::new(vec![cidr], [host; 32], DeviceFacts::plain(Medium::Ip, 1500))
        };
        let now = Instant::from_micros(1 << 33);
        let shard = Shard::new(config, (), now).map_err(|error| format!("{error:?}"))?;
        Ok(End { shard, queue })
    }
}

/// What a connection asks in one of its rounds.
fn message(slot: u32, round: u32) -> [u8; MESSAGE] {
    let mut octets = [0; MESSAGE];
    for (place, word) in octets.chunks_exact_mut(8).zip(0u64..) {
        let value = u64::from(slot) << 32 | u64::from(round);
        place.copy_from_slice(&value.wrapping_mul(2 * word + 1).to_le_bytes());
    }
    octets
}

fn profile() -> Profile<AnyController> {
    let mut profile = Profile::default();
    profile.settings.no_delay = true;
    profile
}

fn address(host: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, host))
}
