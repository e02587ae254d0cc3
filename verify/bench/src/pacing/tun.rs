//! Limits over TUN: many streams of one stack, whose peer is the kernel, in real time.
//!
//! Owns: the limits, the sockets that read, the look at every packet where it leaves for the device.
//! Must not know: how windows are judged (`precision`).
//!
//! A packet's moment is the one at which the stack hands it to the device. So what is seen is the stack and its
//! thread's turns, without the reader's. A thread that gets no processor cannot send: beside the
//! streams another thread does nothing but sleep for a millisecond at a time, and how late it wakes is
//! what the machine did to us.

use super::lab::Left;
use super::precision::{self, Found};
use crate::idle::Quantiles;
use crate::json::Json;
use crate::kernel::{Epoll, own_network};
use crate::table::Table;
use std::io::Read as _;
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant as Clock};
use usertcp::{
    ConnId, Context, Counters, DeviceFacts, DropReason, FramePool, Handler, KernelCidr, Limits,
    ListenAt, ListenOptions, Queue, ShardEvent, Stack, Tun, TunConfig,
};
use usertcp_base::{Instant, Rate};
use usertcp_device::{BindError, RxBatch, TxBatch, WaitHandle};
use usertcp_frame::Packet;

const PORT: u16 = 7;
/// Octets of the packets that are counted.
const MTU: u32 = 1500;
const LOWEST: f64 = 100e3;
const HIGHEST: f64 = 10e6;
/// Nothing is judged of the beginning, when all streams begin at once.
const FIRST: Duration = Duration::from_secs(3);
const BLOCK: [u8; 4 * 1448] = [0x5A; 4 * 1448];
/// A limited stream's packets that are not acknowledged yet: what a reader takes that waits for a
/// processor.
const BUFFER: Duration = Duration::from_millis(40);
/// What a timer is late by beyond this is not made up for (`usertcp_tcp`).
const LATE_NANOS: u64 = 10_000_000;

/// How many streams, for how long, and what they may send together.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub streams: usize,
    pub seconds: u64,
    pub total_bits_per_second: f64,
}

/// A packet with data: when, and so many octets of packets on the wire.
struct Seen {
    port: u16,
    at_micros: u32,
    octets: u32,
}

/// A queue whose packets are looked at as they leave.
struct Watched<Q> {
    inner: Q,
    begun: Clock,
    seen: Vec<Seen>,
    to: Sender<Vec<Seen>>,
}

impl<Q: Queue> Queue for Watched<Q> {
    fn facts(&self) -> DeviceFacts {
        self.inner.facts()
    }
    fn bind(&mut self, pool: &FramePool) -> Result<(), BindError> {
        self.inner.bind(pool)
    }
    fn receive(&mut self, pool: &FramePool, into: &mut RxBatch) -> usize {
        self.inner.receive(pool, into)
    }
    fn transmit(&mut self, from: &mut TxBatch) -> usize {
        let at_micros = self.begun.elapsed().as_micros() as u32;
        let before = self.seen.len();
        let mut counted = Vec::with_capacity(from.len());
        for packet in from.iter() {
            self.seen.extend(look(packet, at_micros));
            counted.push(self.seen.len());
        }
        let taken = self.inner.transmit(from);
        // What stays will be asked about again.
        self.seen.truncate(taken.checked_sub(1).map_or(before, |last| counted[last]));
        taken
    }
    fn wait_handle(&self) -> Option<WaitHandle> {
        self.inner.wait_handle()
    }
    fn has_waiting(&self) -> bool {
        self.inner.has_waiting()
    }
}

impl<Q> Drop for Watched<Q> {
    fn drop(&mut self) {
        let _ = self.to.send(std::mem::take(&mut self.seen));
    }
}

/// What is noted of a packet of IPv4; nothing where it carries no data.
fn look(packet: &Packet, at_micros: u32) -> Option<Seen> {
    let front = packet.octets.slices().next()?;
    let octets: &[u8; 33] = front.first_chunk()?;
    if octets[0] != 0x45 || octets[9] != 6 {
        return None;
    }
    let headers = 20 + u32::from(octets[32] >> 4) * 4;
    let payload = (packet.octets.len() as u32).checked_sub(headers).filter(|octets| *octets > 0)?;
    let each = packet.offload.gso.map_or(payload, |gso| u32::from(gso.segment_octets));
    let port = u16::from_be_bytes([octets[22], octets[23]]);
    Some(Seen { port, at_micros, octets: payload + headers * payload.div_ceil(each.max(1)) })
}

/// Accepts all, and then writes to all without end.
struct Writers {
    limits: Vec<Rate>,
    conns: Vec<ConnId>,
    ports: Vec<u16>,
    ready: Sender<Vec<u16>>,
}

impl Writers {
    fn begin(&mut self, context: &mut Context<'_>) {
        for (conn, limit) in self.conns.iter().zip(&self.limits) {
            let Some(mut settings) = context.settings(*conn) else { continue };
            settings.rate_limit = *limit;
            settings.send_buffer_octets = buffer_octets(*limit);
            let _ = context.set_settings(*conn, &settings);
            write(context, *conn);
        }
        let _ = self.ready.send(std::mem::take(&mut self.ports));
    }
}

fn buffer_octets(limit: Rate) -> u32 {
    let octets = limit.octets_per_second() as f64 * BUFFER.as_secs_f64();
    (octets as u32).max(BLOCK.len() as u32).next_multiple_of(BLOCK.len() as u32)
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
                    if self.conns.len() == self.limits.len() {
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

/// Beyond it one in a thousand is above 1 Mbit/s.
const MOST: i32 = 700;

/// Limits from 100 kbit/s to 10 Mbit/s, more of the lower ones the less they may be together.
fn limits(wanted: &Wanted) -> Vec<Rate> {
    let last = (wanted.streams.max(2) - 1) as f64;
    let at = |at: usize, power: i32| {
        (LOWEST * (HIGHEST / LOWEST).powf((at as f64 / last).powi(power))).round()
    };
    let sum = |power: &i32| (0..wanted.streams).map(|one| at(one, *power)).sum::<f64>();
    let power = (1..MOST).find(|power| sum(power) <= wanted.total_bits_per_second).unwrap_or(MOST);
    (0..wanted.streams).map(|one| Rate::from_bits_per_second(at(one, power) as u64)).collect()
}

/// What was found.
pub struct Kept {
    decades: Vec<(String, Vec<Found>)>,
    megabits_per_second: f64,
    packets_per_second: f64,
    noise: Quantiles,
    counters: Counters,
}

/// Measures.
pub fn measure(wanted: &Wanted) -> Result<Kept, String> {
    own_network()?;
    let limits = limits(wanted);
    let ((to, seen), (ready, ports)) = (channel(), channel());
    let begun = Clock::now();
    let writers = Writers { limits: limits.clone(), conns: Vec::new(), ports: Vec::new(), ready };
    let stack = start(wanted.streams, writers, begun, to)?;
    let readers = connect(wanted.streams)?;
    let (noise, first) = read(&readers, &ports, wanted.seconds)?;
    let last = begun.elapsed();
    let counters = stack.counters();
    drop((readers, stack));
    let seen = seen.recv().map_err(|_| "the stack's thread is gone")?;
    let (ports, from) = (first.0, (first.1.duration_since(begun) + FIRST).as_micros() as u32);
    let mut index = vec![usize::MAX; 1 << 16];
    for (at, port) in ports.iter().enumerate() {
        index[usize::from(*port)] = at;
    }
    let mut left: Vec<Vec<Left>> = vec![Vec::new(); wanted.streams];
    let (mut packets, mut octets) = (0u64, 0u64);
    for one in seen.iter().filter(|one| (from..last.as_micros() as u32).contains(&one.at_micros)) {
        let at = Instant::from_micros(u64::from(one.at_micros));
        if let Some(left) = left.get_mut(index[usize::from(one.port)]) {
            let count = one.octets.div_ceil(MTU).max(1);
            left.extend((0..count).map(|_| Left { at, octets: one.octets / count }));
            packets += u64::from(count);
            octets += u64::from(one.octets);
        }
    }
    let span = (last.as_micros() as u32).saturating_sub(from) as f64 / 1e6;
    let names = ["100 kbit/s to 1 Mbit/s", "1 to 10 Mbit/s"];
    let mut decades: Vec<_> = names.iter().map(|name| ((*name).to_owned(), Vec::new())).collect();
    for (rate, left) in limits.iter().zip(&left) {
        let fast = rate.octets_per_second() * 8 >= 1_000_000;
        decades[usize::from(fast)].1.push(precision::judge(left, *rate, precision::WINDOW));
    }
    Ok(Kept {
        decades,
        megabits_per_second: octets as f64 * 8.0 / 1e6 / span,
        packets_per_second: packets as f64 / span,
        noise,
        counters,
    })
}

fn start(
    streams: usize,
    writers: Writers,
    begun: Clock,
    to: Sender<Vec<Seen>>,
) -> Result<Stack, String> {
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
        Ok(Watched { inner: queue, begun, seen: Vec::new(), to })
    };
    Stack::builder()
        .address("10.211.90.2/24".parse().map_err(|_| "an address")?)
        .limits(limits)
        .memory_budget((64 << 20) + streams * (64 << 10))
        .linger(Duration::ZERO)
        .queue(make)
        .run_native(writers)
        .map_err(|error| format!("a stack over TUN: {error}"))
}

fn connect(streams: usize) -> Result<Vec<TcpStream>, String> {
    (0..streams)
        .map(|_| {
            TcpStream::connect((Ipv4Addr::new(10, 211, 90, 2), PORT))
                .map_err(|error| format!("the kernel's connect: {error}"))
        })
        .collect()
}

/// Reads as it comes, from the moment that all have begun. Ports by stream, and that moment.
#[allow(clippy::type_complexity)]
fn read(
    readers: &[TcpStream],
    ports: &Receiver<Vec<u16>>,
    seconds: u64,
) -> Result<(Quantiles, (Vec<u16>, Clock)), String> {
    let failed = |error: std::io::Error| format!("reading: {error}");
    let epoll = Epoll::new().map_err(failed)?;
    for (at, reader) in readers.iter().enumerate() {
        epoll.watch(reader, at as u64).map_err(failed)?;
    }
    let ports = ports
        .recv_timeout(Duration::from_secs(30))
        .map_err(|_| "not all connections were accepted")?;
    let (first, over) = (Clock::now(), Arc::new(AtomicBool::new(false)));
    let sleeper = std::thread::spawn({
        let over = Arc::clone(&over);
        move || lateness(&over)
    });
    let mut buffer = vec![0; 64 << 10];
    while first.elapsed() < Duration::from_secs(seconds) {
        for at in epoll.wait().map_err(failed)? {
            let mut reader = readers.get(at as usize).ok_or("no such socket")?;
            reader.read(&mut buffer).map_err(failed)?;
        }
    }
    over.store(true, Ordering::Relaxed);
    let noise = sleeper.join().map_err(|_| "the sleeping thread is gone")?;
    Ok((noise, (ports, first)))
}

/// Nanoseconds by which sleeps of a millisecond end late.
fn lateness(over: &AtomicBool) -> Quantiles {
    const SLEEP: Duration = Duration::from_millis(1);
    let mut late = Quantiles::new();
    while !over.load(Ordering::Relaxed) {
        let began = Clock::now();
        std::thread::sleep(SLEEP);
        late.add(began.elapsed().saturating_sub(SLEEP).as_nanos() as u64);
    }
    late
}

impl Kept {
    /// The tables.
    pub fn text(&self) -> String {
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
            let most = |of: fn(&Found) -> f64| found.iter().map(of).fold(0.0, f64::max);
            table.push(vec![
                name.clone(),
                found.len().to_string(),
                judged.len().to_string(),
                off.iter().filter(|off| **off <= 1.0).count().to_string(),
                format!("{:.2} %", off.last().unwrap_or(&0.0)),
                format!("{:.2} %", off.get(off.len() / 2).unwrap_or(&0.0)),
                format!("{:.2} quanta", most(|found| found.line)),
                format!("{:.2} quanta", most(|found| found.ahead)),
            ]);
        }
        let ms = |nanos: u64| nanos as f64 / 1e6;
        format!(
            "limits over TUN, seen where packets leave for the device: {:.0} Mbit/s, {:.0} packets a second\n\n{}\n\
             a thread beside them that sleeps for a millisecond at a time woke {:.2} ms late (median), {:.1} ms \
             (of a thousand the worst), {:.1} ms (at most)\n\
             sent again: {}; dropped by the pool {}, by the device {}",
            self.megabits_per_second,
            self.packets_per_second,
            table.text(),
            ms(self.noise.at(500_000)),
            ms(self.noise.at(999_000)),
            ms(self.noise.max()),
            self.counters.segments_retransmitted,
            self.counters.dropped(DropReason::PoolEmpty),
            self.counters.dropped(DropReason::DeviceRefused),
        )
    }

    /// What is not as asked. Where the machine kept threads waiting for longer than is made up for, it is
    /// not ours to say.
    pub fn problem(&self) -> Option<String> {
        if self.noise.max() > LATE_NANOS {
            return None;
        }
        let all = || self.decades.iter().flat_map(|(_, found)| found);
        let off = all().map(|found| found.off).fold(0.0, f64::max);
        let line = all().map(|found| found.line).fold(0.0, f64::max);
        (off > 1.0 || line > 1.0)
            .then(|| format!("over TUN: {off:.2} % off, {line:.2} quanta ahead"))
    }

    /// The figures.
    pub fn json(&self) -> Json {
        let line = |(name, found): &(String, Vec<Found>)| {
            let most = |of: fn(&Found) -> f64| found.iter().map(of).fold(0.0, f64::max);
            let within = found.iter().filter(|one| one.windows > 0 && one.off <= 1.0).count();
            Json::Object(vec![
                ("limits", Json::text(name.as_str())),
                ("streams", (found.len() as u32).into()),
                ("within_one_per_cent", (within as u32).into()),
                ("off_per_cent", most(|found| found.off).into()),
                ("ahead_of_line_quanta", most(|found| found.line).into()),
                ("ahead_in_window_quanta", most(|found| found.ahead).into()),
            ])
        };
        Json::Object(vec![
            ("megabits_per_second", self.megabits_per_second.into()),
            ("packets_per_second", self.packets_per_second.into()),
            ("late_ms_at_most", (self.noise.max() as f64 / 1e6).into()),
            ("decades", Json::List(self.decades.iter().map(line).collect())),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_fit_their_sum() {
        for (streams, total) in [(100, 1e9), (10_000, 1.2e9), (10_000, 5e9)] {
            let wanted = Wanted { streams, seconds: 1, total_bits_per_second: total };
            let bits: Vec<u64> =
                limits(&wanted).iter().map(|rate| rate.octets_per_second() * 8).collect();
            assert_eq!((bits[0], bits[streams - 1]), (100_000, 10_000_000));
            assert!(bits.is_sorted());
            let sum = bits.iter().sum::<u64>() as f64;
            assert!(sum <= total && (sum > total / 3.0 || streams == 100), "{sum}");
        }
    }
}
