//! Limits over TUN: many streams of one stack, whose peer is the kernel, in real time.
//!
//! Owns: the limits and groups, how long is looked, the application that writes.
//! Must not know: how windows are judged (`precision`), how the kernel's side reads (`reader`), what is asked (`report`).
//!
//! A packet's moment is the one at which the stack hands it to the device. So what is seen is the stack and its
//! thread's turns, without the reader's. A thread that gets no processor cannot send: what the machine
//! did to the stack's thread, and to another one that does nothing but sleep for a millisecond at a time, is
//! told beside the figures.

mod gaps;
mod reader;
mod report;
mod watch;

use super::lab::Left;
use super::precision::{self, Found};
use crate::idle::Quantiles;
use crate::machine;
use gaps::Sentry;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant as Clock};
use usertcp::{
    ConnId, Context, Counters, Handler, KernelCidr, Limiter, Limits, ListenAt, ListenOptions,
    ShardEvent, Stack, Tun, TunConfig,
};
use usertcp_base::{Instant, Rate, Span};
use usertcp_tcp::release_octets;
use watch::{Log, Watch, Watched};

const PORT: u16 = 7;
/// MTUs: TUN's largest, and the least that every host takes (RFC 791 §3.2).
pub const MTUS: std::ops::RangeInclusive<u16> = 576..=u16::MAX;
/// Headers of a packet with data: IPv4, TCP, timestamps.
const HEADERS: u16 = 52;
const LOWEST: f64 = 100e3;
const HIGHEST: f64 = 100e6;
/// The lowest limits are spread over so much, as a part.
const SPREAD: f64 = 0.1;
/// Nothing is judged of the beginning, when all streams begin at once: of the usual MTU. With larger packets the slow
/// ones come due together for longer.
const FIRST_SECONDS: u64 = 3;
/// The slowest stream is judged for so many of its windows, in hundredths: many windows overlap in the last fifth.
const WINDOWS_HUNDREDTHS: u64 = 120;
/// Of the usual MTU, of the run with groups; their slowest member has four windows in it.
const GROUP_SECONDS: u64 = 15;
const USUAL_MTU: u16 = 1500;
/// More packets than leave by the limits, per cent: some are not full.
const PACKETS_PER_CENT: u64 = 150;
/// Packets of which the moment is kept at most, twelve octets each.
const MOST_PACKETS: u64 = 100_000_000;
/// What an application has at hand, and how many packets it writes at a time.
static BLOCK: [u8; BLOCK_PACKETS * (u16::MAX - HEADERS) as usize] = [0x5A; _];
const BLOCK_PACKETS: usize = 4;
/// A limited stream's packets that are not acknowledged yet: the kernel may take 200 ms for that.
const BUFFER: Duration = Duration::from_millis(200);

/// How many streams, for how long, and what they may send together.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub streams: usize,
    /// Else as long as the slowest needs.
    pub seconds: Option<u64>,
    /// Octets of the largest packet.
    pub mtu: u16,
    pub total_bits_per_second: f64,
    /// The stack's thread polls for so long before it sleeps, and with groups.
    pub poll: [Duration; 2],
}

/// A rate that some streams share, each by its weight.
#[derive(Clone, Debug)]
struct Shared {
    rate: Rate,
    weights: Vec<u16>,
}

/// Who sends: streams with a limit each, then the members of groups.
#[derive(Clone, Debug, Default)]
struct Senders {
    limits: Vec<Rate>,
    groups: Vec<Shared>,
    mtu: u16,
}

impl Senders {
    fn len(&self) -> usize {
        self.limits.len() + self.groups.iter().map(|group| group.weights.len()).sum::<usize>()
    }
    /// What each may send, at least.
    fn parts(&self) -> Vec<Rate> {
        let of = |group: &Shared| {
            let all: u64 = group.weights.iter().map(|weight| u64::from(*weight)).sum();
            let rate = group.rate.octets_per_second();
            let part = |weight: &u16| Rate::from_octets_per_second(rate * u64::from(*weight) / all);
            group.weights.iter().map(part).collect::<Vec<_>>()
        };
        self.limits.iter().copied().chain(self.groups.iter().flat_map(of)).collect()
    }
    /// Packets that leave in so long, if all are full.
    fn packets(&self, seconds: u64) -> u64 {
        let limits = self.limits.iter().chain(self.groups.iter().map(|group| &group.rate));
        let octets: u64 = limits.map(|rate| rate.octets_per_second()).sum();
        octets.saturating_mul(seconds) / u64::from(self.mtu)
    }
    /// What is written at a time: whole packets.
    fn block(&self) -> &'static [u8] {
        &BLOCK[..BLOCK_PACKETS * usize::from(self.mtu - HEADERS)]
    }
    /// Octets that a stream may have written and not acknowledged.
    fn buffer_octets(&self, limit: Rate) -> u32 {
        let octets = limit.octets_per_second() as f64 * BUFFER.as_secs_f64();
        let block = self.block().len() as u32;
        (octets as u32).max(2 * block).next_multiple_of(block)
    }
    /// How many of the last are to be read often.
    fn fast(&self) -> usize {
        let fast = |rate: &Rate| rate.octets_per_second() * 8 >= FAST;
        self.parts().iter().rev().take_while(|rate| fast(rate)).count()
    }
}

/// Bits a second from which a stream's socket is read often: those of the others take two seconds' worth.
const FAST: u64 = 250_000;

/// Accepts all, and then writes to all without end.
struct Writers {
    senders: Senders,
    conns: Vec<ConnId>,
    ports: Vec<u16>,
    ready: Sender<Vec<u16>>,
    ends: Sender<Vec<Limited>>,
}

/// How long a stream waited for whom, by [`Limiter::NAMES`].
type Limited = [Span; Limiter::COUNT];

impl Writers {
    fn begin(&mut self, context: &mut Context<'_>) {
        let parts = self.senders.parts();
        for (at, (conn, part)) in self.conns.iter().zip(&parts).enumerate() {
            let Some(mut settings) = context.settings(*conn) else { continue };
            if let Some(limit) = self.senders.limits.get(at) {
                settings.rate_limit = *limit;
            }
            settings.send_buffer_octets = self.senders.buffer_octets(*part);
            let _ = context.set_settings(*conn, &settings);
        }
        let mut members = self.conns.iter().skip(self.senders.limits.len());
        for Shared { rate, weights } in &self.senders.groups {
            // Without a group nothing is limited, and that is found.
            let Ok(group) = context.create_rate_group(*rate) else { continue };
            for (weight, conn) in weights.iter().zip(&mut members) {
                let _ = context.join_rate_group(*conn, group, *weight);
            }
        }
        for conn in &self.conns {
            self.write(context, *conn);
        }
        let _ = self.ready.send(std::mem::take(&mut self.ports));
    }
    fn write(&self, context: &mut Context<'_>, conn: ConnId) {
        let block = self.senders.block();
        while context.write(conn, block).is_ok_and(|taken| taken == block.len()) {}
    }
}

impl Handler for Writers {
    fn on_start(&mut self, context: &mut Context<'_>) {
        let options = ListenOptions { backlog: 16_384, ..ListenOptions::default() };
        // Without a listener nobody connects, and that is reported.
        let _ = context.listen(ListenAt::port(PORT), &options);
    }
    fn on_event(&mut self, context: &mut Context<'_>, event: ShardEvent) {
        match event {
            ShardEvent::Accepted { listener, .. } => {
                while let Some(conn) = context.accept(listener) {
                    self.ports.push(context.info(conn).map_or(0, |info| info.remote.port()));
                    self.conns.push(conn);
                    if self.conns.len() == self.senders.len() {
                        self.begin(context);
                    }
                }
            }
            ShardEvent::Writable(conn) => self.write(context, conn),
            ShardEvent::PeerClosed(conn) | ShardEvent::Closed { conn, .. } => context.abort(conn),
            _ => {}
        }
    }
    fn on_stop(&mut self, context: &mut Context<'_>) {
        let figures = |conn: &ConnId| context.info(*conn).and_then(|info| info.figures);
        let limited = |conn| figures(conn).map_or([Span::ZERO; _], |figures| figures.limited);
        let _ = self.ends.send(self.conns.iter().map(limited).collect());
    }
}

/// Limits from 100 kbit/s to 100 Mbit/s: the n-th of the fastest has a power of n less than the first, the others between
/// 100 and 110 kbit/s. The power is the least that lets all be within their total, if one does.
fn limits(wanted: &Wanted) -> Vec<Rate> {
    let last = wanted.streams.max(2) - 1;
    let at = |at: usize, power: f64| {
        let slow = LOWEST * (1.0 + SPREAD * at as f64 / last as f64);
        f64::max(slow, HIGHEST * ((last - at + 1) as f64).powf(-power)).round()
    };
    let sum = |power: f64| (0..=last).map(|one| at(one, power)).sum::<f64>();
    let powers = || (10..400).map(|hundredths| f64::from(hundredths) / 100.0);
    let power = powers().find(|power| sum(*power) <= wanted.total_bits_per_second).unwrap_or(4.0);
    (0..=last).map(|one| Rate::from_bits_per_second(at(one, power) as u64)).collect()
}

/// What was found.
pub struct Kept {
    decades: Vec<(String, Vec<Found>)>,
    /// Groups, and their members.
    groups: Vec<(Shared, Found, Vec<Found>)>,
    /// Of those that are read often: the largest part of a stream's time in which it waited for something that is no
    /// rate, by [`Limiter::NAMES`], per cent.
    slowed: Vec<(&'static str, f64)>,
    mtu: u16,
    /// Judged.
    seconds: f64,
    megabits_per_second: f64,
    packets_per_second: f64,
    noise: Quantiles,
    /// When nobody had the stack's core: how often, the longest, and all together, in microseconds. `None`: not known.
    gaps: Option<(usize, u32, u64)>,
    log: Log,
    counters: Counters,
}

/// How long nobody had the core before each of some packets; empty where that is not known.
type Taken<'a> = &'a dyn Fn(&[Left]) -> Vec<u64>;

/// Measures streams with a limit each.
pub fn measure(wanted: &Wanted) -> Result<Kept, String> {
    let limits = limits(wanted);
    let seconds = wanted.seconds.unwrap_or_else(|| seconds(&limits, wanted.mtu));
    let senders = Senders { limits, groups: Vec::new(), mtu: wanted.mtu };
    run("limits, seconds", &senders, seconds, wanted.poll[0])
}

/// The same of rates that streams share.
pub fn measure_groups(wanted: &Wanted) -> Result<Kept, String> {
    let group = |megabits: u64, weights: &[u16]| Shared {
        rate: Rate::from_bits_per_second(megabits * 1_000_000),
        weights: weights.to_vec(),
    };
    let groups = vec![group(50, &[1; 10]), group(30, &[1, 2, 4, 8]), group(10, &[3, 5])];
    let senders = Senders { limits: Vec::new(), groups, mtu: wanted.mtu };
    let seconds = by_mtu(GROUP_SECONDS, wanted.mtu).min(wanted.seconds.unwrap_or(u64::MAX));
    run("groups, seconds", &senders, seconds, wanted.poll[1])
}

/// Of an MTU, what takes `seconds` of the usual one, and that at least.
fn by_mtu(seconds: u64, mtu: u16) -> u64 {
    (seconds * u64::from(mtu.max(USUAL_MTU))).div_ceil(USUAL_MTU.into())
}

fn first_seconds(mtu: u16) -> u64 {
    by_mtu(FIRST_SECONDS, mtu)
}

/// How long the slowest takes for its windows, after what is not judged.
fn seconds(limits: &[Rate], mtu: u16) -> u64 {
    let slowest = limits.iter().map(|rate| rate.octets_per_second()).min().unwrap_or(1).max(1);
    let window = precision::WINDOW as u64 * u64::from(mtu);
    first_seconds(mtu) + (window * WINDOWS_HUNDREDTHS / 100).div_ceil(slowest)
}

fn run(what: &str, senders: &Senders, seconds: u64, poll: Duration) -> Result<Kept, String> {
    let (streams, first) = (senders.len(), first_seconds(senders.mtu));
    if seconds <= first {
        return Err(format!(
            "of {seconds} s nothing is judged: the first {first} are the beginning"
        ));
    }
    let packets = senders.packets(seconds).saturating_mul(PACKETS_PER_CENT) / 100 + 100_000;
    if packets > MOST_PACKETS {
        return Err(format!(
            "{seconds} s at these limits are up to {packets} packets, of which {MOST_PACKETS} can be kept in memory"
        ));
    }
    let ((to, log), (ready, ports)) = (channel(), channel());
    let begun = Clock::now();
    let (conns, own) = (Vec::new(), Vec::new());
    let (ends, limited) = channel();
    let writers = Writers { senders: senders.clone(), conns, ports: own, ready, ends };
    let judged = Arc::new(AtomicBool::new(false));
    let watch = Watch { begun, judged: Arc::clone(&judged), most_packets: packets as usize, to };
    let stack = start(senders, poll, writers, watch)?;
    let sentry = Sentry::begin(begun);
    // The stack's thread has the first core for itself.
    machine::leave_first_core();
    let to = (Ipv4Addr::new(10, 211, 90, 2), PORT);
    let readers = reader::connect(streams, to, senders.fast())?;
    let ports = ports
        .recv_timeout(Duration::from_secs(30))
        .map_err(|_| "not all connections were accepted")?;
    let first = Duration::from_secs(first);
    readers.read("the beginning, seconds", first)?;
    let from = begun.elapsed().as_micros() as u32;
    judged.store(true, Ordering::Relaxed);
    let noise = readers.read(what, Duration::from_secs(seconds).saturating_sub(first))?;
    judged.store(false, Ordering::Relaxed);
    let last = begun.elapsed().as_micros() as u32;
    let gaps = sentry.end();
    let counters = stack.counters();
    drop((readers, stack));
    let mut log = log.recv().map_err(|_| "the stack's thread is gone")?;
    let gaps = gaps.map(|gaps| gaps.and(std::mem::take(&mut log.long_calls)));
    let limited = limited.recv().map_err(|_| "the stack's thread is gone")?;
    let left = by_stream(&mut log, &ports, from..last, senders.mtu.into());
    let taken = |left: &[Left]| {
        let moments = left.iter().map(|one| one.at.as_micros());
        gaps.as_ref().map(|gaps| gaps.before(moments)).unwrap_or_default()
    };
    let all = || left.iter().flatten();
    let span = f64::from(last.saturating_sub(from)) / 1e6;
    let octets = all().map(|one| u64::from(one.octets)).sum::<u64>();
    Ok(Kept {
        decades: decades(senders, &left, &taken),
        groups: groups(senders, &left, &taken),
        gaps: gaps.map(|gaps| gaps.within(&(from..last))),
        slowed: slowed(&limited, senders.fast()),
        mtu: senders.mtu,
        seconds: span,
        megabits_per_second: octets as f64 * 8.0 / 1e6 / span,
        packets_per_second: all().count() as f64 / span,
        noise,
        log,
        counters,
    })
}

/// Packets by stream; what was seen is given back.
fn by_stream(
    log: &mut Log,
    ports: &[u16],
    judged: std::ops::Range<u32>,
    mtu: u32,
) -> Vec<Vec<Left>> {
    let mut index = vec![usize::MAX; 1 << 16];
    for (at, port) in ports.iter().enumerate() {
        index[usize::from(*port)] = at;
    }
    let mut left: Vec<Vec<Left>> = vec![Vec::new(); ports.len()];
    for one in std::mem::take(&mut log.seen) {
        if let Some(left) = left.get_mut(index[usize::from(one.port)])
            && judged.contains(&one.at_micros)
        {
            let at = Instant::from_micros(u64::from(one.at_micros));
            let count = one.octets.div_ceil(mtu).max(1);
            left.extend((0..count).map(|_| Left { at, octets: one.octets / count }));
        }
    }
    left
}

fn slowed(limited: &[Limited], fast: usize) -> Vec<(&'static str, f64)> {
    let fast = &limited[limited.len().saturating_sub(fast)..];
    let part = |one: &Limited, at: usize| {
        let all: u64 = one.iter().map(|span| span.as_micros()).sum();
        one[at].as_micros() as f64 * 100.0 / all.max(1) as f64
    };
    [Limiter::Application, Limiter::PeerWindow, Limiter::Congestion]
        .map(|limiter| {
            let parts = fast.iter().map(|one| part(one, limiter as usize));
            (Limiter::NAMES[limiter as usize], parts.fold(0.0, f64::max))
        })
        .to_vec()
}

fn decades(senders: &Senders, left: &[Vec<Left>], taken: Taken<'_>) -> Vec<(String, Vec<Found>)> {
    let limits = &senders.limits;
    if limits.is_empty() {
        return Vec::new();
    }
    let names = ["100 kbit/s to 1 Mbit/s", "1 to 10 Mbit/s", "10 to 100 Mbit/s"];
    let mut decades: Vec<_> = names.iter().map(|name| ((*name).to_owned(), Vec::new())).collect();
    for (rate, left) in limits.iter().zip(left) {
        let decade = (rate.octets_per_second() * 8 / LOWEST as u64).checked_ilog10();
        let decade = decade.unwrap_or(0).min(2) as usize;
        let quantum = precision::quantum(release_octets(*rate), senders.mtu.into());
        let found = precision::judge(left, *rate, quantum, precision::WINDOW, &taken(left));
        decades[decade].1.push(found);
    }
    decades
}

fn groups(
    senders: &Senders,
    left: &[Vec<Left>],
    taken: Taken<'_>,
) -> Vec<(Shared, Found, Vec<Found>)> {
    let mut members = senders.parts().into_iter().zip(left).skip(senders.limits.len());
    let of = |group: &Shared| {
        let members: Vec<_> = members.by_ref().take(group.weights.len()).collect();
        let mut all: Vec<Left> = members.iter().flat_map(|(_, left)| *left).copied().collect();
        all.sort_by_key(|left| left.at);
        // A group releases two packets at least.
        let release = |rate| release_octets(rate).max(2 * u32::from(senders.mtu));
        let judge = |left: &[Left], rate| {
            let quantum = precision::quantum(release(rate), senders.mtu.into());
            precision::judge(left, rate, quantum, precision::WINDOW, &taken(left))
        };
        let each = members.iter().map(|(part, left)| judge(left, *part)).collect();
        (group.clone(), judge(&all, group.rate), each)
    };
    senders.groups.iter().map(of).collect()
}

fn start(
    senders: &Senders,
    poll: Duration,
    writers: Writers,
    watch: Watch,
) -> Result<Stack, String> {
    let streams = senders.len();
    // What the slow ones may have written lies in frames of up to twice its size, and that is less than half of this:
    // where memory is tight the stack takes less of a fast one than its limit needs.
    let each = (44 * senders.block().len() / BLOCK_PACKETS).max(64 << 10);
    let address = KernelCidr::new(Ipv4Addr::new(10, 211, 90, 1).into(), 24);
    let config = TunConfig {
        name: "pacing0".into(),
        mtu: senders.mtu,
        addresses: address.into_iter().collect(),
        ..TunConfig::default()
    };
    let room = streams as u32 + 64;
    let limits = Limits { connections: room, hot_connections: room, ..Limits::default() };
    let make = move || {
        let handle = Tun::open(&config)?.handles.pop();
        let queue = handle.ok_or_else(|| std::io::Error::other("no queue"))?.into_queue();
        Ok(Watched::new(queue, watch))
    };
    Stack::builder()
        .address("10.211.90.2/24".parse().map_err(|_| "an address")?)
        .limits(limits)
        .memory_budget((64 << 20) + streams * each)
        .linger(Duration::ZERO)
        .pin(true)
        .busy_poll(poll)
        .queue(make)
        .run_native(writers)
        .map_err(|error| format!("a stack over TUN: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_fit_their_sum() {
        // Few streams, or a large sum, have no need of the lowest.
        for (streams, total, lowest) in
            [(100, 1e9, 3_630_776), (10_000, 1.4e9, 100_000), (10_000, 5e9, 144_544)]
        {
            let wanted = Wanted {
                streams,
                seconds: None,
                mtu: 1500,
                total_bits_per_second: total,
                poll: [Duration::ZERO; 2],
            };
            let bits: Vec<u64> =
                limits(&wanted).iter().map(|rate| rate.octets_per_second() * 8).collect();
            assert_eq!((bits[0], bits[streams - 1]), (lowest, 100_000_000));
            assert!(bits.is_sorted());
            let sum = bits.iter().sum::<u64>() as f64;
            assert!(sum <= total && sum > total * 0.9, "{sum}");
        }
    }

    // 500 packets at 100 kbit/s are 60 s of 1,500 octets and 360 s of 9,000; the number of packets is the same.
    #[test]
    fn time_follows_from_the_packets_size() {
        let limits = [100_000, 100_000_000].map(Rate::from_bits_per_second).to_vec();
        for (mtu, wanted) in [(576, 31), (1500, 75), (9000, 450), (u16::MAX, 3278)] {
            assert_eq!(seconds(&limits, mtu), wanted, "{mtu}");
            let senders = Senders { limits: limits.clone(), groups: Vec::new(), mtu };
            let packets = senders.packets(wanted - first_seconds(mtu));
            assert!((600_600..=615_000).contains(&packets), "{packets} of {mtu}");
        }
    }

    #[test]
    fn writes_are_whole_packets() {
        let rate = Rate::from_bits_per_second;
        for (mtu, payload) in [(576, 524), (1500, 1448), (9000, 8948), (u16::MAX, 65_483)] {
            let senders = Senders { mtu, ..Senders::default() };
            assert_eq!(senders.block().len(), 4 * payload);
            assert_eq!(senders.buffer_octets(rate(100_000)) as usize, 8 * payload);
            let fast = senders.buffer_octets(rate(100_000_000)) as usize;
            assert!(fast >= 2_500_000 && fast.is_multiple_of(4 * payload), "{fast}");
        }
    }

    #[test]
    fn parts_of_a_group_are_by_weight() {
        let rate = Rate::from_octets_per_second;
        let senders = Senders {
            limits: vec![rate(7)],
            groups: vec![Shared { rate: rate(900), weights: vec![1, 3, 5] }],
            mtu: 1500,
        };
        assert_eq!(senders.parts(), [rate(7), rate(100), rate(300), rate(500)]);
        assert_eq!(senders.len(), 4);
    }
}
