//! The same path in virtual time, usertcp at both ends: what happens is a function of the seed.
//! Owns: two simulated hosts and the loop between them. Must not know: clocks, devices.
#![allow(clippy::float_arithmetic)] // figures for people

use crate::compare::{describe, write_samples};
use crate::end::Sample;
use crate::options::Options;
use crate::path::{Nanos, Offered, Path};
use crate::watch::Watch;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;
use usertcp::{Cidr, DeviceFacts, Settings};
use usertcp_base::{ConnId, Instant, Limits, Span};
use usertcp_sim::host::Host;
use usertcp_sim::signal::too_big;
use usertcp_sim::stream::{Plan, Stream};
use usertcp_stack::{Connect, Listen, Profile, ShardConfig};

const PORT: u16 = 80;
const CLIENT_PORT: u16 = 50_000;
const SEEDS: (u64, u64) = (0x11, 0x22);
const SAMPLE_NANOS: Nanos = 20_000_000;
/// The shard's clock does not start at zero.
const START_MICROS: u64 = 1_000_000_000;

/// One transfer in virtual time.
pub struct Simulation {
    hosts: [Host; 2],
    paths: [Path; 2],
    watch: Watch,
    now: Nanos,
    conn: ConnId,
}

/// Runs the rounds of `options` and prints them.
///
/// # Errors
/// A stack that does not start, or wrong octets.
pub fn run(options: &Options) -> Result<(), String> {
    println!("path: {} (virtual time)", describe(options));
    println!(
        "{:>5}  {:>9} {:>9} {:>7} {:>9} {:>9}",
        "seed", "Mbit/s", "resent %", "lost", "needless", "timeouts"
    );
    for round in 0..options.rounds {
        let seed = options.seed + u64::from(round);
        let mut simulation = Simulation::new(options, seed)?;
        let end = u64::try_from(options.seconds.as_nanos()).unwrap_or(Nanos::MAX);
        let mut samples = Vec::new();
        let mut sampled = 0;
        while simulation.step(end) {
            if options.samples.is_some() && simulation.now >= sampled {
                sampled = simulation.now + SAMPLE_NANOS;
                samples.extend(simulation.sample());
            }
        }
        if let Some(directory) = &options.samples {
            write_samples(&directory.join(format!("virtual-{seed}.tsv")), &samples)?;
        }
        let counts = simulation.paths[0].counts();
        let counters = simulation.hosts[0].shard.counters();
        println!(
            "{seed:>5}  {:>9.3} {:>9.3} {:>7} {:>9} {:>9}",
            simulation.received()? as f64 * 8e-6 / options.seconds.as_secs_f64(),
            simulation.watch.resent_percent(),
            counts.lost + counts.overflowed + counts.too_big,
            counters.spurious_retransmissions,
            counters.timeouts,
        );
    }
    Ok(())
}

impl Simulation {
    /// Two hosts, and the first one's SYN on its way.
    ///
    /// # Errors
    /// A stack that does not start.
    pub fn new(options: &Options, seed: u64) -> Result<Simulation, String> {
        let v6 = options.host.v6;
        let now = Instant::from_micros(START_MICROS);
        let mut hosts = [0, 1].map(|side| Host::new(config(side, options), now, side as u64 + 1));
        let mut settings = Settings::default();
        if options.host.ecn {
            settings.ecn = usertcp::EcnMode::Ask;
        }
        let profile = Profile { settings, ..Profile::default() };
        let listen = Listen { local: None, port: Some(PORT), backlog: 16, profile };
        hosts[1].shard.listen(&listen).map_err(|error| format!("listen: {error:?}"))?;
        let connect = Connect {
            remote: address(1, v6),
            remote_port: PORT,
            local: None,
            local_port: Some(CLIENT_PORT),
            profile,
        };
        let conn = hosts[0].shard.connect(now, &connect).map_err(|e| format!("connect: {e:?}"))?;
        let reads = Plan {
            octets: 0,
            write_most: 1,
            read_most: 256 << 10,
            pause: 0,
            pause_most: Span::from_micros(1),
            silence: 0,
            silence_most: Span::ZERO,
        };
        let writes = Plan { octets: u64::MAX / 2, write_most: 64 << 10, ..reads };
        hosts[0].streams.insert(conn, Stream::new(writes, SEEDS.0, SEEDS.1));
        hosts[1].accept_seeds.insert(CLIENT_PORT, (reads, SEEDS.1, SEEDS.0));
        let paths = [Path::new(options.paths[0], seed), Path::new(options.paths[1], !seed)];
        Ok(Simulation { hosts, paths, watch: Watch::default(), now: 0, conn })
    }

    /// Everything of one moment. False when nothing more happens before `end`.
    pub fn step(&mut self, end: Nanos) -> bool {
        let now = Instant::from_micros(START_MICROS + self.now / 1000);
        for side in 0..2 {
            while let Some((_, packet)) = self.paths[side].poll(self.now) {
                self.hosts[1 - side].deliver(packet);
            }
        }
        for side in 0..2 {
            self.hosts[side].run(now);
            while let Some(packet) = self.hosts[side].queue.leaving.pop_front() {
                self.send(side, packet);
            }
        }
        let wakes = self
            .hosts
            .iter()
            .filter_map(Host::next_wake)
            .map(|at| at.as_micros().saturating_sub(START_MICROS).saturating_mul(1000));
        let next = self.paths.iter().filter_map(Path::next_arrival).chain(wakes).min();
        match next {
            Some(next) if next <= end => {
                // A shard sees whole microseconds.
                self.now = next.max(self.now).div_ceil(1000) * 1000;
                true
            }
            _ => false,
        }
    }

    fn send(&mut self, side: usize, packet: Vec<u8>) {
        if side == 0 {
            self.watch.observe(&packet);
        }
        let mtu = self.paths[side].config().mtu;
        let quote = if packet.len() > mtu { packet.clone() } else { Vec::new() };
        if self.paths[side].offer(self.now, packet) == Offered::TooBig {
            let mtu = u16::try_from(mtu).unwrap_or(u16::MAX);
            self.hosts[side].deliver(too_big(&quote, mtu));
        }
    }

    /// Octets that the receiver read.
    ///
    /// # Errors
    /// They were not what was written.
    pub fn received(&self) -> Result<u64, String> {
        let streams = &self.hosts[1].streams;
        match streams.values().find_map(|stream| stream.corrupt_at) {
            Some(at) => Err(format!("wrong octet at {at}")),
            None => Ok(streams.values().map(|stream| stream.read).sum()),
        }
    }

    /// Packets the sender sent again, in percent.
    pub fn resent_percent(&self) -> f64 {
        self.watch.resent_percent()
    }

    fn sample(&self) -> Option<Sample> {
        let now = Instant::from_micros(START_MICROS + self.now / 1000);
        let info = self.hosts[0].shard.info(now, self.conn).ok()?.figures?;
        Some(Sample::of(Duration::from_nanos(self.now), &info))
    }
}

fn config(side: usize, options: &Options) -> ShardConfig {
    let v6 = options.host.v6;
    let facts = DeviceFacts::offloading(usertcp_device::Medium::Ip, options.host.mtu);
    let cidr = match Cidr::new(address(side, v6), if v6 { 64 } else { 24 }) {
        Ok(cidr) => cidr,
        Err(error) => panic!("{error:?}"),
    };
    let mut config = ShardConfig::new(vec![cidr], [side as u8 + 1; 32], facts);
    config.limits = Limits { connections: 64, hot_connections: 64, ..Limits::default() };
    config
}

fn address(side: usize, v6: bool) -> IpAddr {
    let last = side as u8 + 1;
    if v6 {
        Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, u16::from(last)).into()
    } else {
        Ipv4Addr::new(10, 0, 0, last).into()
    }
}
