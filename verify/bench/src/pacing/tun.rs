//! Limits over TUN: many streams of one stack, whose peer is the kernel, in real time.
//!
//! Owns: the limits and groups, the application that writes, the verdict.
//! Must not know: how windows are judged (`precision`), how the kernel's side reads (`reader`).
//!
//! A packet's moment is the one at which the stack hands it to the device. So what is seen is the stack and its
//! thread's turns, without the reader's. A thread that gets no processor cannot send: what the machine
//! did to the stack's thread, and to another one that does nothing but sleep for a millisecond at a time, is
//! told beside the figures.

mod reader;
mod watch;

use super::lab::Left;
use super::precision::{self, Found};
use crate::idle::Quantiles;
use crate::json::Json;
use crate::machine;
use crate::table::Table;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant as Clock};
use usertcp::{
    ConnId, Context, Counters, DropReason, Handler, KernelCidr, Limits, ListenAt, ListenOptions,
    ShardEvent, Stack, Tun, TunConfig,
};
use usertcp_base::{Instant, Rate};
use watch::{Log, Round, Watch, Watched};

const PORT: u16 = 7;
/// Octets of the packets that are counted.
const MTU: u32 = 1500;
const LOWEST: f64 = 100e3;
const HIGHEST: f64 = 100e6;
/// The lowest limits are spread over so much, as a part.
const SPREAD: f64 = 0.1;
/// Nothing is judged of the beginning, when all streams begin at once.
const FIRST: Duration = Duration::from_secs(3);
const BLOCK: [u8; 4 * 1448] = [0x5A; 4 * 1448];
/// A limited stream's packets that are not acknowledged yet: the kernel may take 200 ms for that.
const BUFFER: Duration = Duration::from_millis(200);
const LEAST_BUFFER: u32 = 2 * BLOCK.len() as u32;

/// How many streams, for how long, and what they may send together.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub streams: usize,
    pub seconds: u64,
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
}

impl Writers {
    fn begin(&mut self, context: &mut Context<'_>) {
        let parts = self.senders.parts();
        for (at, (conn, part)) in self.conns.iter().zip(&parts).enumerate() {
            let Some(mut settings) = context.settings(*conn) else { continue };
            if let Some(limit) = self.senders.limits.get(at) {
                settings.rate_limit = *limit;
            }
            settings.send_buffer_octets = buffer_octets(*part);
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
            write(context, *conn);
        }
        let _ = self.ready.send(std::mem::take(&mut self.ports));
    }
}

fn buffer_octets(limit: Rate) -> u32 {
    let octets = limit.octets_per_second() as f64 * BUFFER.as_secs_f64();
    (octets as u32).max(LEAST_BUFFER).next_multiple_of(BLOCK.len() as u32)
}

fn write(context: &mut Context<'_>, conn: ConnId) {
    while context.write(conn, &BLOCK).is_ok_and(|taken| taken == BLOCK.len()) {}
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
            ShardEvent::Writable(conn) => write(context, conn),
            ShardEvent::PeerClosed(conn) | ShardEvent::Closed { conn, .. } => context.abort(conn),
            _ => {}
        }
    }
    fn on_stop(&mut self, _: &mut Context<'_>) {}
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
    megabits_per_second: f64,
    packets_per_second: f64,
    noise: Quantiles,
    log: Log,
    counters: Counters,
}

/// Measures streams with a limit each.
pub fn measure(wanted: &Wanted) -> Result<Kept, String> {
    run(&Senders { limits: limits(wanted), groups: Vec::new() }, wanted.seconds, wanted.poll[0])
}

/// The same of rates that streams share.
pub fn measure_groups(seconds: u64, poll: Duration) -> Result<Kept, String> {
    let group = |megabits: u64, weights: &[u16]| Shared {
        rate: Rate::from_bits_per_second(megabits * 1_000_000),
        weights: weights.to_vec(),
    };
    let groups = vec![group(50, &[1; 10]), group(30, &[1, 2, 4, 8]), group(10, &[3, 5])];
    run(&Senders { limits: Vec::new(), groups }, seconds, poll)
}

fn run(senders: &Senders, seconds: u64, poll: Duration) -> Result<Kept, String> {
    let streams = senders.len();
    let ((to, log), (ready, ports)) = (channel(), channel());
    let begun = Clock::now();
    let (conns, own) = (Vec::new(), Vec::new());
    let writers = Writers { senders: senders.clone(), conns, ports: own, ready };
    let judged = Arc::new(AtomicBool::new(false));
    let watch = Watch { begun, judged: Arc::clone(&judged), to };
    let stack = start(streams, poll, writers, watch)?;
    // The stack's thread has the first core for itself.
    machine::leave_first_core();
    let to = (Ipv4Addr::new(10, 211, 90, 2), PORT);
    let readers = reader::connect(streams, to, senders.fast())?;
    let ports = ports
        .recv_timeout(Duration::from_secs(30))
        .map_err(|_| "not all connections were accepted")?;
    readers.read(FIRST)?;
    let from = begun.elapsed().as_micros() as u32;
    judged.store(true, Ordering::Relaxed);
    let noise = readers.read(Duration::from_secs(seconds).saturating_sub(FIRST))?;
    judged.store(false, Ordering::Relaxed);
    let last = begun.elapsed().as_micros() as u32;
    let counters = stack.counters();
    drop((readers, stack));
    let mut log = log.recv().map_err(|_| "the stack's thread is gone")?;
    let left = by_stream(&mut log, &ports, from..last);
    let all = || left.iter().flatten();
    let span = f64::from(last.saturating_sub(from)) / 1e6;
    let octets = all().map(|one| u64::from(one.octets)).sum::<u64>();
    Ok(Kept {
        decades: decades(&senders.limits, &left),
        groups: groups(senders, &left),
        megabits_per_second: octets as f64 * 8.0 / 1e6 / span,
        packets_per_second: all().count() as f64 / span,
        noise,
        log,
        counters,
    })
}

/// Packets by stream; what was seen is given back.
fn by_stream(log: &mut Log, ports: &[u16], judged: std::ops::Range<u32>) -> Vec<Vec<Left>> {
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
            let count = one.octets.div_ceil(MTU).max(1);
            left.extend((0..count).map(|_| Left { at, octets: one.octets / count }));
        }
    }
    left
}

fn decades(limits: &[Rate], left: &[Vec<Left>]) -> Vec<(String, Vec<Found>)> {
    if limits.is_empty() {
        return Vec::new();
    }
    let names = ["100 kbit/s to 1 Mbit/s", "1 to 10 Mbit/s", "10 to 100 Mbit/s"];
    let mut decades: Vec<_> = names.iter().map(|name| ((*name).to_owned(), Vec::new())).collect();
    for (rate, left) in limits.iter().zip(left) {
        let decade = (rate.octets_per_second() * 8 / LOWEST as u64).checked_ilog10();
        let decade = decade.unwrap_or(0).min(2) as usize;
        decades[decade].1.push(precision::judge(left, *rate, precision::WINDOW));
    }
    decades
}

fn groups(senders: &Senders, left: &[Vec<Left>]) -> Vec<(Shared, Found, Vec<Found>)> {
    let mut members = senders.parts().into_iter().zip(left).skip(senders.limits.len());
    let of = |group: &Shared| {
        let members: Vec<_> = members.by_ref().take(group.weights.len()).collect();
        let mut all: Vec<Left> = members.iter().flat_map(|(_, left)| *left).copied().collect();
        all.sort_by_key(|left| left.at);
        let judge = |left: &[Left], rate| precision::judge(left, rate, precision::WINDOW);
        let each = members.iter().map(|(part, left)| judge(left, *part)).collect();
        (group.clone(), judge(&all, group.rate), each)
    };
    senders.groups.iter().map(of).collect()
}

fn start(streams: usize, poll: Duration, writers: Writers, watch: Watch) -> Result<Stack, String> {
    let address = KernelCidr::new(Ipv4Addr::new(10, 211, 90, 1).into(), 24);
    let config = TunConfig {
        name: "pacing0".into(),
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
        .memory_budget((64 << 20) + streams * (64 << 10))
        .linger(Duration::ZERO)
        .pin(true)
        .busy_poll(poll)
        .queue(make)
        .run_native(writers)
        .map_err(|error| format!("a stack over TUN: {error}"))
}

/// What a round did.
fn told(round: &Round) -> String {
    let Round { micros, receiving_micros: receiving, sending_micros: sending, came, left } = *round;
    let own = micros.saturating_sub(receiving + sending);
    let ms = |micros: u32| f64::from(micros) / 1e3;
    format!(
        "{:.2} ms: {came} packets came in {:.2}, {left} left in {:.2}, the stack and the application {:.2}",
        ms(micros),
        ms(receiving),
        ms(sending),
        ms(own)
    )
}

/// Deviation that is asked for, per cent: of a limit or a group's rate, and of a member's part of it.
const LIMIT_OFF: f64 = 1.0;
const WEIGHT_OFF: f64 = 3.0;

fn most(found: &[Found], of: fn(&Found) -> f64) -> f64 {
    found.iter().map(of).fold(0.0, f64::max)
}

impl Kept {
    /// The tables.
    pub fn text(&self) -> String {
        let ms = |nanos: u64| nanos as f64 / 1e6;
        let late = |late: &Quantiles| {
            let (half, thousand) = (ms(late.at(500_000)), ms(late.at(999_000)));
            format!(
                "{half:.2} ms (median), {thousand:.2} ms (of a thousand the worst), {:.1} ms (at most)",
                ms(late.max())
            )
        };
        let busy = self.log.busy.as_secs_f64() / self.log.since.as_secs_f64() * 100.0;
        format!(
            "seen where packets leave for the device: {:.0} Mbit/s, {:.0} packets a second\n\n{}\n\
             the stack's thread: {busy:.0} % busy; a round took {}; in it the machine kept the processor for {}\n\
             the longest {}; of the beginning, in which the application fills all queues, and the end {}\n\
             a thread beside it that sleeps for a millisecond at a time woke late by {}\n\
             sent again: {}; dropped by the pool {}, by the device {}",
            self.megabits_per_second,
            self.packets_per_second,
            if self.groups.is_empty() { self.limits_table() } else { self.groups_table() }.text(),
            late(&self.log.rounds),
            late(&self.log.taken),
            told(&self.log.longest),
            told(&self.log.ends),
            late(&self.noise),
            self.counters.segments_retransmitted,
            self.counters.dropped(DropReason::PoolEmpty),
            self.counters.dropped(DropReason::DeviceRefused),
        )
    }

    fn limits_table(&self) -> Table {
        let header = [
            "limits",
            "streams",
            "judged",
            "within 1 %",
            "off at most",
            "off, median",
            "ahead of its line",
            "ahead in any window",
        ];
        let mut table = Table::new(&header, 1);
        for (name, found) in &self.decades {
            let judged: Vec<&Found> = found.iter().filter(|found| found.windows > 0).collect();
            let mut off: Vec<f64> = judged.iter().map(|found| found.off).collect();
            off.sort_by(f64::total_cmp);
            table.push(vec![
                name.clone(),
                found.len().to_string(),
                judged.len().to_string(),
                off.iter().filter(|off| **off <= LIMIT_OFF).count().to_string(),
                format!("{:.2} %", off.last().unwrap_or(&0.0)),
                format!("{:.2} %", off.get(off.len() / 2).unwrap_or(&0.0)),
                format!("{:.2} quanta", most(found, |found| found.line)),
                format!("{:.2} quanta", most(found, |found| found.ahead)),
            ]);
        }
        table
    }

    fn groups_table(&self) -> Table {
        let header =
            ["group", "weights", "off at most", "ahead in any window", "members off at most"];
        let mut table = Table::new(&header, 2);
        for (group, found, members) in &self.groups {
            table.push(vec![
                format!("{} Mbit/s", group.rate.octets_per_second() * 8 / 1_000_000),
                format!("{:?}", group.weights),
                format!("{:.2} %", found.off),
                format!("{:.2} quanta", found.ahead),
                format!("{:.2} %", most(members, |found| found.off)),
            ]);
        }
        table
    }

    /// What is not as asked.
    pub fn problem(&self) -> Option<String> {
        let mut problems = Vec::new();
        for (name, found) in &self.decades {
            let (off, ahead) = (most(found, |found| found.off), most(found, |found| found.ahead));
            if off > LIMIT_OFF || ahead > 1.0 {
                problems.push(format!("{name}: {off:.2} % off, {ahead:.2} quanta ahead"));
            }
        }
        for (group, found, members) in &self.groups {
            let weights = most(members, |found| found.off);
            if found.off > LIMIT_OFF || found.ahead > 1.0 || weights > WEIGHT_OFF {
                let Found { off, ahead, .. } = found;
                problems.push(format!(
                    "group of {:?}: {off:.2} % off, {ahead:.2} quanta ahead, a part {weights:.2} % off",
                    group.weights
                ));
            }
        }
        (!problems.is_empty()).then(|| format!("over TUN: {}", problems.join("; ")))
    }

    /// The figures.
    pub fn json(&self) -> Json {
        let figures = |found: &[Found]| {
            let within = found.iter().filter(|one| one.windows > 0 && one.off <= LIMIT_OFF).count();
            vec![
                ("streams", (found.len() as u32).into()),
                ("within_one_per_cent", (within as u32).into()),
                ("off_per_cent", most(found, |found| found.off).into()),
                ("ahead_of_line_quanta", most(found, |found| found.line).into()),
                ("ahead_in_window_quanta", most(found, |found| found.ahead).into()),
            ]
        };
        let decade = |(name, found): &(String, Vec<Found>)| {
            let mut members = vec![("limits", Json::text(name.as_str()))];
            members.extend(figures(found));
            Json::Object(members)
        };
        let group = |(group, found, members): &(Shared, Found, Vec<Found>)| {
            Json::Object(vec![
                ("octets_per_second", (group.rate.octets_per_second() as f64).into()),
                ("group", Json::Object(figures(std::slice::from_ref(found)))),
                ("members", Json::Object(figures(members))),
            ])
        };
        Json::Object(vec![
            ("megabits_per_second", self.megabits_per_second.into()),
            ("packets_per_second", self.packets_per_second.into()),
            ("late_ms_at_most", (self.noise.max() as f64 / 1e6).into()),
            ("round_ms_at_most", (self.log.rounds.max() as f64 / 1e6).into()),
            ("taken_ms_at_most", (self.log.taken.max() as f64 / 1e6).into()),
            ("decades", Json::List(self.decades.iter().map(decade).collect())),
            ("groups", Json::List(self.groups.iter().map(group).collect())),
        ])
    }
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
                seconds: 1,
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

    #[test]
    fn parts_of_a_group_are_by_weight() {
        let rate = Rate::from_octets_per_second;
        let senders = Senders {
            limits: vec![rate(7)],
            groups: vec![Shared { rate: rate(900), weights: vec![1, 3, 5] }],
        };
        assert_eq!(senders.parts(), [rate(7), rate(100), rate(300), rate(500)]);
        assert_eq!(senders.len(), 4);
    }
}
