//! A whole run from one seed: hosts, link, faults, workload, and the verdict.
//! Owns: how a seed becomes a scenario. Must not know: how a stack works.

use crate::host::Host;
use crate::link::{Link, LinkConfig, LinkCounts};
use crate::middlebox::Middlebox;
use crate::stream::Plan;
use crate::world::{Recording, World};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use usertcp_base::{
    CloseReason, FlowKey, Instant, Limits, LocalIndex, Parking, Prng, Rate, Secrets, Span,
};
use usertcp_cc::{Algorithm, AnyController};
use usertcp_device::{DeviceFacts, Medium};
use usertcp_frame::PoolConfig;
use usertcp_ip::{Cidr, remote_address};
use usertcp_stack::{Connect, FastOpenListen, FirstData, Listen, Profile, ShardConfig, isn};
use usertcp_tcp::{AccurateInfo, EcnMode, EcnOption, Settings};

/// Everything a run is determined by.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The seed it came from.
    pub seed: u64,
    /// IPv6 rather than IPv4.
    pub v6: bool,
    /// Initial sequence numbers of both ends lie just below 2^32.
    pub wrapping: bool,
    /// The link, each way.
    pub links: [LinkConfig; 2],
    /// MTU of each host's interface.
    pub mtu: u16,
    /// Links tell senders of packets that are too big; else they drop them without a word.
    pub signals: bool,
    /// So long after the start the links carry this MTU instead.
    pub change: Option<(Span, u16)>,
    /// Which host's device cuts super-packets.
    pub offload: [bool; 2],
    /// Congestion control of each host.
    pub algorithms: [Algorithm; 2],
    /// Settings of each host.
    pub settings: [Settings; 2],
    /// Receive buffer each host starts with, and the most it grows to, octets.
    pub receive_buffers: [(u32, u32); 2],
    /// How host 0 opens (RFC 7413).
    pub fast_open: FastOpen,
    /// What each end of each connection does.
    pub plans: Vec<[Plan; 2]>,
    /// Virtual time it may take.
    pub longest: Span,
    /// When idle connections are parked.
    pub parking: Parking,
    /// What else is mixed in: [`Scenario::mixed`].
    pub mix: Option<crate::mixed::Mix>,
    /// Print every segment.
    pub trace: bool,
}

/// Fast Open in a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FastOpen {
    /// None.
    Off,
    /// Asked for, at a listener that takes it.
    Asks,
    /// With a cookie from an earlier connection.
    Knows,
    /// The same, at a listener that takes it no more.
    KnowsInVain,
}

/// What a run showed.
#[derive(Clone, Debug)]
pub struct Report {
    /// Virtual time until both ends were done.
    pub took: Span,
    /// Wire segments judged.
    pub segments: u64,
    /// Segments sent again, both hosts.
    pub retransmitted: u64,
    /// Retransmissions that were not needed.
    pub spurious: u64,
    /// Timeouts.
    pub timeouts: u64,
    /// Connections of host 0 whose SYN's data was acknowledged by the SYN-ACK, and not.
    pub fast_opens: (u64, u64),
    /// Packets of host 0 that its link marked.
    pub marked: u64,
    /// Most octets that waited in that link at a time.
    pub longest_queue_octets: u64,
    /// Accurate ECN of the connection that ended first, at each end.
    pub ecn: [Option<AccurateInfo>; 2],
    /// What that link did.
    pub link: LinkCounts,
    /// Times a connection was parked.
    pub parked: u64,
}

const PORT: u16 = 80;
const CLIENT_PORT: u16 = 50_000;
const START: Instant = Instant::from_millis(1_000_000);

impl Scenario {
    /// The scenario of `seed`: loss, reordering, duplication, corruption and a small MTU in every
    /// combination, over all kinds of paths.
    pub fn from_seed(seed: u64) -> Scenario {
        let mut prng = Prng::from_seed(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5EED);
        let v6 = prng.below(2) == 1;
        let link = faulty_link(&mut prng, v6);
        let back = LinkConfig { rate: link.rate, delay: link.delay, ..faulty_link(&mut prng, v6) };
        let octets = 1 << (8 + prng.below(10));
        let count = 1 + prng.below(3) as usize;
        let mut scenario = Scenario {
            seed,
            v6,
            wrapping: prng.below(2) == 0,
            links: [link, back],
            mtu: 1500,
            signals: true,
            change: None,
            offload: [prng.below(2) == 0, prng.below(2) == 0],
            algorithms: [algorithm(&mut prng), algorithm(&mut prng)],
            settings: [settings(&mut prng), settings(&mut prng)],
            receive_buffers: [receive_buffer(&mut prng), receive_buffer(&mut prng)],
            fast_open: FastOpen::Off,
            plans: (0..count).map(|_| [plan(&mut prng, octets), plan(&mut prng, octets)]).collect(),
            longest: Span::from_secs(3600),
            parking: Parking::AtRest,
            mix: None,
            trace: false,
        };
        scenario.mix_ecn();
        scenario.mix_fast_open();
        scenario
    }

    /// ECN of both hosts, and links that mark. From numbers of its own, so that the rest of a seed's
    /// scenario is what it was before there was ECN.
    fn mix_ecn(&mut self) {
        let mut prng = Prng::from_seed(self.seed ^ 0x3168_8311);
        for settings in &mut self.settings {
            settings.ecn =
                [EcnMode::Off, EcnMode::Accept, EcnMode::Ask, EcnMode::Ask][prng.below(4) as usize];
        }
        self.mix_accurate_ecn();
        for link in &mut self.links {
            if prng.below(2) == 0 {
                link.mark = [1000, 20_000, 300_000, 1_000_000][prng.below(4) as usize];
            }
            if prng.below(2) == 0 {
                link.mark_beyond_octets = prng.below(link.queue_octets);
            }
        }
    }

    /// Accurate ECN in two seeds of three, in one of these beside a box that does not know it. Again
    /// from numbers of its own.
    fn mix_accurate_ecn(&mut self) {
        let mut prng = Prng::from_seed(self.seed ^ 0x9768_0174);
        if prng.below(3) == 0 {
            return;
        }
        let modes = [EcnMode::AcceptAccurate, EcnMode::AskClassic, EcnMode::AskAccurate];
        let options =
            [EcnOption::Never, EcnOption::Least, EcnOption::WhenChanged, EcnOption::Persist];
        for settings in &mut self.settings {
            if prng.below(4) != 0 {
                settings.ecn = modes[prng.below(3) as usize];
            }
            settings.ecn_option = options[prng.below(4) as usize];
        }
        self.settings[0].ecn =
            if prng.below(2) == 0 { EcnMode::AskAccurate } else { self.settings[0].ecn };
        let boxes = [
            Middlebox::StripsOption,
            Middlebox::ZeroesOption,
            Middlebox::ClearsAce,
            Middlebox::ClearsFlags,
            Middlebox::DropsSyn,
            Middlebox::Bleaches,
        ];
        if prng.below(2) == 0 {
            self.links[prng.below(2) as usize].middlebox = boxes[prng.below(6) as usize];
        }
    }

    /// Fast Open, from numbers of its own too.
    fn mix_fast_open(&mut self) {
        use FastOpen::{Asks, Knows, KnowsInVain, Off};
        let mut prng = Prng::from_seed(self.seed ^ 0x7413);
        self.fast_open =
            [Off, Off, Off, Asks, Knows, Knows, Knows, KnowsInVain][prng.below(8) as usize];
    }

    /// A bulk transfer from host 0 to host 1 over this link, and nothing else going wrong.
    pub fn bulk(seed: u64, link: LinkConfig, octets: u64, algorithm: Algorithm) -> Scenario {
        let quiet = Plan {
            octets: 0,
            write_most: 1,
            read_most: 256 << 10,
            pause: 0,
            pause_most: Span::from_micros(1),
            silence: 0,
            silence_most: Span::ZERO,
        };
        let sender = Plan { octets, write_most: 128 << 10, ..quiet };
        let back = LinkConfig { loss: 0, reorder: 0, duplicate: 0, corrupt: 0, ..link };
        Scenario {
            seed,
            v6: false,
            wrapping: false,
            links: [link, back],
            mtu: 1500,
            signals: true,
            change: None,
            offload: [false, false],
            algorithms: [algorithm, algorithm],
            settings: [Settings::default(); 2],
            receive_buffers: [(128 << 10, 6 << 20); 2],
            fast_open: FastOpen::Off,
            plans: vec![[sender, quiet]],
            longest: Span::from_secs(3600),
            parking: Parking::AtRest,
            mix: None,
            trace: false,
        }
    }

    /// The same with silences of up to half a minute between reads and writes, and keep-alive probes in
    /// every second one of them.
    pub fn with_silences(mut self) -> Scenario {
        let mut prng = Prng::from_seed(self.seed ^ 0x51_1E4C);
        // One connection: whose turn it is at one moment is nobody's promise.
        self.plans.truncate(1);
        for plan in self.plans.iter_mut().flatten() {
            plan.octets = plan.octets.min(64 << 10);
            plan.write_most = plan.write_most.max(2048);
            plan.pause = 30_000 + prng.below(200_000) as u32;
            plan.pause_most = Span::from_millis(1 + prng.below(3000));
            plan.silence = 100_000 + prng.below(400_000) as u32;
            plan.silence_most = Span::from_millis(1 + prng.below(30_000));
        }
        for settings in &mut self.settings {
            settings.keep_alive.enabled = prng.below(2) == 0;
            settings.keep_alive.idle = Span::from_secs(2 + prng.below(10));
            settings.keep_alive.interval = Span::from_secs(1 + prng.below(3));
            settings.keep_alive.probes = 30;
        }
        self.longest = Span::from_secs(36_000);
        self
    }

    /// Runs it. The error tells what was wrong, with the seed.
    pub fn run(&self) -> Result<Report, String> {
        self.run_in(self.world()).map(|(report, _)| report)
    }

    /// The same, and all that was sent.
    pub fn run_recording(&self) -> Result<(Report, Recording), String> {
        let mut world = self.world();
        world.recording = Some(Recording::new());
        self.run_in(world)
    }

    fn run_in(&self, mut world: World) -> Result<(Report, Recording), String> {
        self.open(&mut world)?;
        let start = world.now;
        let expected = self.plans.len() * 2;
        if let Some((after, mtu)) = self.change {
            world.run_until(start + after, |_| false);
            world.links.iter_mut().for_each(|link| link.change_mtu(mtu));
        }
        let done = world.run_until(start + self.longest, |world| {
            !world.oracle.violations().is_empty()
                || world.hosts.iter().map(|host| host.finished.len()).sum::<usize>() >= expected
        });
        let took = world.now.since(start);
        self.judge(&world, done, took)?;
        let report = report(&world, took);
        world.drain(Span::from_secs(600));
        self.judge_leaks(&world)?;
        Ok((report, world.recording.take().unwrap_or_default()))
    }

    pub(crate) fn world(&self) -> World {
        let start = self.start();
        let hosts = [0, 1].map(|side| {
            let config = self.config(side);
            Host::new(config, start, self.seed ^ (side as u64 + 1))
        });
        let links = [0, 1]
            .map(|side| Link::new(self.links[side], self.seed.wrapping_add(side as u64 * 77)));
        let mut world = World::new(start, hosts, links);
        world.oracle.trace = self.trace;
        world.signals = self.signals;
        for side in 0..2 {
            world.oracle.mtu.insert(address(side, self.v6), self.mtu);
        }
        world
    }

    fn start(&self) -> Instant {
        self.mix.map_or(START, |mix| mix.start)
    }

    fn config(&self, side: usize) -> ShardConfig {
        let facts = if self.offload[side] {
            DeviceFacts::offloading(Medium::Ip, self.mtu)
        } else {
            DeviceFacts::plain(Medium::Ip, self.mtu)
        };
        let prefix = if self.v6 { 64 } else { 24 };
        let addresses = vec![cidr(address(side, self.v6), prefix)];
        let mut config = ShardConfig::new(addresses, self.seed_near_wrap(side), facts);
        config.pool = PoolConfig {
            octets: self.mix.map_or(24 << 20, |mix| mix.pool_octets),
            ..PoolConfig::default()
        };
        let (start, most) = self.receive_buffers[side];
        let limits = Limits::default();
        config.limits = Limits {
            connections: 64,
            hot_connections: 64,
            receive_buffer_start_octets: start,
            receive_buffer_octets: most,
            parking: self.parking,
            syn_ack_retries: self.mix.map_or(limits.syn_ack_retries, |_| u8::MAX),
            // A host asleep keeps its windows closed for longer than memory that is short allows (RFC 6429 §4).
            zero_window_grace: self.mix.map_or(limits.zero_window_grace, |_| Span::MAX),
            ..limits
        };
        config
    }

    /// Secrets whose first initial sequence number lies within 64 KiB below 2^32, found by trying.
    fn seed_near_wrap(&self, side: usize) -> [u8; 32] {
        let flow = FlowKey {
            remote: remote_address(address(1 - side, self.v6)),
            local: LocalIndex(0),
            remote_port: if side == 0 { PORT } else { CLIENT_PORT },
            local_port: if side == 0 { CLIENT_PORT } else { PORT },
        };
        let mut prng = Prng::from_seed(self.seed ^ 0xABCD ^ side as u64);
        loop {
            let mut seed = [0; 32];
            for chunk in seed.chunks_exact_mut(8) {
                chunk.copy_from_slice(&prng.next_u64().to_le_bytes());
            }
            let Some(secrets) = Secrets::from_seed(seed) else { continue };
            let first = isn::Numbers::of(&secrets, &flow, self.start()).initial_sequence;
            if !self.wrapping || first.0 > u32::MAX - (64 << 10) {
                return seed;
            }
        }
    }

    pub(crate) fn open(&self, world: &mut World) -> Result<(), String> {
        let profile = |side: usize| Profile {
            settings: self.settings[side],
            controller: match self.algorithms[side] {
                Algorithm::Reno => |start| AnyController::start_with(Algorithm::Reno, start),
                _ => |start| AnyController::start_with(Algorithm::Cubic, start),
            },
        };
        let now = world.now;
        let listen = Listen { local: None, port: Some(PORT), backlog: 16, profile: profile(1) };
        let listener = world.hosts[1].shard.listen(&listen);
        let listener = listener.map_err(|error| format!("listen: {error:?}"))?;
        if self.fast_open != FastOpen::Off {
            world.hosts[1].shard.set_fast_open(listener, Some(FastOpenListen::default()));
        }
        if matches!(self.fast_open, FastOpen::Knows | FastOpen::KnowsInVain) {
            self.get_cookie(world, profile(0))?;
        }
        if self.fast_open == FastOpen::KnowsInVain {
            world.hosts[1].shard.set_fast_open(listener, None);
        }
        for (index, plans) in self.plans.iter().enumerate() {
            let seeds = (self.seed ^ 0x11 ^ index as u64, self.seed ^ 0x22 ^ ((index as u64) << 8));
            let connect = Connect {
                remote: address(1, self.v6),
                remote_port: PORT,
                local: None,
                local_port: Some(CLIENT_PORT + index as u16),
                profile: profile(0),
            };
            let host = &mut world.hosts[0];
            let stream = crate::stream::Stream::new(plans[0], seeds.0, seeds.1);
            host.connect(now, &connect, stream, self.fast_open != FastOpen::Off)
                .map_err(|error| format!("connect: {error:?}"))?;
            // Streams are matched to connections by arrival; equal plans and seeds keep that sound.
            world.hosts[1]
                .accept_seeds
                .insert(CLIENT_PORT + index as u16, (plans[1], seeds.1, seeds.0));
        }
        Ok(())
    }

    /// A connection before all others, in no time and without faults, that brings host 0 a cookie.
    fn get_cookie(&self, world: &mut World, profile: Profile<AnyController>) -> Result<(), String> {
        let connect = Connect {
            remote: address(1, self.v6),
            remote_port: PORT,
            local: None,
            local_port: Some(CLIENT_PORT - 1),
            profile,
        };
        let (now, nothing) = (world.now, FirstData { octets: &[], without_cookie: false });
        let asked = world.hosts[0].shard.connect_with(now, &connect, nothing);
        let (conn, _) = asked.map_err(|error| format!("asking for a cookie: {error:?}"))?;
        world.exchange_at_once();
        world.hosts[0].shard.abort(now, conn);
        world.exchange_at_once();
        for host in &mut world.hosts {
            host.over.clear();
        }
        match world.hosts[0].shard.fast_open_room(now, &connect, false) {
            Some(_) => Ok(()),
            None => Err("no cookie was given".to_string()),
        }
    }

    pub(crate) fn judge(&self, world: &World, done: bool, took: Span) -> Result<(), String> {
        let seed = self.seed;
        if let Some(first) = world.oracle.violations().first() {
            return Err(format!("seed {seed}: not legal: {first}"));
        }
        for (side, host) in world.hosts.iter().enumerate() {
            for over in &host.over {
                if over.reason != CloseReason::Normal {
                    return Err(format!("seed {seed}: host {side}: ended by {:?}", over.reason));
                }
            }
            for stream in host.finished.iter().chain(host.streams.values()) {
                if let Some(at) = stream.corrupt_at {
                    return Err(format!("seed {seed}: host {side}: wrong octet at {at}"));
                }
            }
        }
        if !done {
            let stuck: Vec<String> =
                world.hosts.iter().map(|host| describe(host, world.now)).collect();
            return Err(format!("seed {seed}: no end after {took:?}: {stuck:#?}"));
        }
        for (side, host) in world.hosts.iter().enumerate() {
            let total: u64 = host.finished.iter().map(|stream| stream.read).sum();
            let wanted: u64 = self.plans.iter().map(|plans| plans[1 - side].octets).sum();
            if total != wanted {
                return Err(format!("seed {seed}: host {side} read {total} of {wanted}"));
            }
        }
        Ok(())
    }

    pub(crate) fn judge_leaks(&self, world: &World) -> Result<(), String> {
        for (side, host) in world.hosts.iter().enumerate() {
            let (usage, pool) = (host.shard.usage(), host.shard.pool().stats());
            let left = (usage.anchors, usage.tcbs, usage.timers, usage.demux);
            if left != (0, 0, 0, 0) || pool.used_octets != 0 {
                return Err(format!(
                    "seed {}: host {side}: left behind: {usage:?}, frames {} octets",
                    self.seed, pool.used_octets
                ));
            }
        }
        Ok(())
    }
}

pub(crate) fn report(world: &World, took: Span) -> Report {
    let counters = [0, 1].map(|side| world.hosts[side].shard.counters().clone());
    let sum = |pick: fn(&usertcp_base::Counters) -> u64| counters.iter().map(pick).sum();
    Report {
        took,
        segments: world.oracle.segments(),
        retransmitted: sum(|counters| counters.segments_retransmitted),
        spurious: sum(|counters| counters.spurious_retransmissions),
        timeouts: sum(|counters| counters.timeouts),
        fast_opens: (counters[0].fast_opens_out, counters[0].fast_opens_failed),
        marked: world.links[0].counts().marked,
        longest_queue_octets: world.links[0].counts().longest_queue_octets,
        ecn: [0, 1].map(|side| world.hosts[side].finished.first().and_then(|stream| stream.ecn)),
        link: world.links[0].counts(),
        parked: sum(|counters| counters.parked),
    }
}

fn describe(host: &Host, now: Instant) -> String {
    let streams: Vec<String> = host
        .streams
        .iter()
        .map(|(conn, stream)| {
            format!(
                "written {} of {}, read {}, shut {}, ended {}: {:?}",
                stream.written,
                stream.plan.octets,
                stream.read,
                stream.shut,
                stream.ended,
                host.shard.info(now, *conn),
            )
        })
        .collect();
    format!("{streams:?} {:?}", host.shard.usage())
}

/// The address of host `side`.
pub fn address(side: usize, v6: bool) -> IpAddr {
    let last = side as u8 + 1;
    if v6 {
        IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, u16::from(last)))
    } else {
        IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))
    }
}

fn faulty_link(prng: &mut Prng, v6: bool) -> LinkConfig {
    let mut pick = |most: u32| {
        if prng.below(3) == 0 { 0 } else { prng.below(u64::from(most)) as u32 }
    };
    let (loss, reorder, duplicate, corrupt) =
        (pick(80_000), pick(150_000), pick(50_000), pick(20_000));
    let delay = [50, 500, 5_000, 20_000, 80_000][prng.below(5) as usize];
    let rate = [0, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000][prng.below(5) as usize];
    let mtu = match (prng.below(3), v6) {
        (0, false) => 576 + prng.below(900) as u16,
        (0, true) => 1280 + prng.below(200) as u16,
        _ => 1500,
    };
    LinkConfig {
        delay: Span::from_micros(delay),
        jitter: Span::from_micros(prng.below(delay / 4 + 1)),
        rate: if rate == 0 { Rate::UNLIMITED } else { Rate::from_bits_per_second(rate) },
        queue_octets: 15_000 + prng.below(500_000),
        loss,
        reorder,
        reorder_by: Span::from_micros(prng.below(delay * 2) + 1),
        overtaken: 0,
        overtaken_by: 0,
        duplicate,
        corrupt,
        mark: 0,
        mark_beyond_octets: u64::MAX,
        mtu,
        middlebox: Middlebox::Transparent,
    }
}

/// Half the hosts have so little room that the peer's window is what limits.
fn receive_buffer(prng: &mut Prng) -> (u32, u32) {
    let start =
        [2 << 10, 6 << 10, 20 << 10, 128 << 10, 128 << 10, 128 << 10][prng.below(6) as usize];
    let most = if prng.below(2) == 0 { start } else { start.max(64 << 10) * 8 };
    (start, most)
}

fn algorithm(prng: &mut Prng) -> Algorithm {
    if prng.below(2) == 0 { Algorithm::Cubic } else { Algorithm::Reno }
}

fn settings(prng: &mut Prng) -> Settings {
    let mut often = || prng.below(4) != 0;
    Settings {
        no_delay: often(),
        timestamps: often(),
        sack: often(),
        window_scaling: often(),
        ..Settings::default()
    }
}

fn plan(prng: &mut Prng, most: u64) -> Plan {
    Plan {
        octets: prng.below(most),
        write_most: 1 << prng.below(16),
        read_most: 1 << (6 + prng.below(12)),
        pause: if prng.below(4) == 0 { 50_000 } else { 0 },
        pause_most: Span::from_millis(prng.below(500) + 1),
        silence: 0,
        silence_most: Span::ZERO,
    }
}

fn cidr(address: IpAddr, prefix: u8) -> Cidr {
    match Cidr::new(address, prefix) {
        Ok(cidr) => cidr,
        Err(error) => panic!("{address}/{prefix}: {error:?}"),
    }
}
