//! `micro`: what the smallest parts cost. Owns: the loops and their timing.
//! Must not know: what the parts are used for.

mod parts;

use crate::Outcome;
use crate::stats::Spread;
use crate::table::Table;
use parts::{Layer, RandomBlocks, Strangers};
use std::hint::black_box;
use std::time::Instant;
use usertcp_base::{Seq, WireWindow};
use usertcp_frame::{Class, FramePool, PoolConfig};
use usertcp_wire::checksum;
use usertcp_wire::tcp::{self, EmitChecksum, Flags, Header, Options, SackBlock, Timestamps};

/// Batches a part is timed in.
const BATCHES: usize = 15;
/// Time of one batch, in nanoseconds.
const BATCH_NANOS: f64 = 5e6;

/// Times each part and prints a table.
pub fn run() -> Outcome {
    let mut table = Table::new(&["part", "ns", "GB/s"], 1);
    let mut line = |name: String, octets: Option<usize>, spread: Spread| {
        let rate = octets
            .map_or_else(String::new, |octets| format!("{:.1}", octets as f64 / spread.median));
        table.push(vec![name, spread.text(), rate]);
    };
    let engine = usertcp_device_linux::checksum::engine();
    for octets in [64, 84, 256, 1448, 65_536] {
        let data = vec![0x5A; octets];
        let mut target = vec![0; octets];
        let vectors = time(|| engine.sum(black_box(&data)));
        line(format!("the host's engine, {octets} octets"), Some(octets), vectors);
        let sum = time(|| checksum::sum(black_box(&data)));
        line(format!("checksum::sum, {octets} octets"), Some(octets), sum);
        let copy = time(|| checksum::copy_and_sum(black_box(&mut target), black_box(&data)));
        line(format!("checksum::copy_and_sum, {octets} octets"), Some(octets), copy);
    }
    worst_copies(&mut line);
    let pool = FramePool::new(&PoolConfig::default());
    for (name, class) in [("small", Class::Small), ("full", Class::Full), ("large", Class::Large)] {
        let spread = time(|| pool.take(black_box(class), 64));
        line(format!("frame taken and dropped, {name}"), None, spread);
    }
    let header = header();
    let options =
        Options { timestamps: Some(Timestamps { value: 7, echo: 9 }), ..Options::default() };
    let mut segment = [0; 60];
    let emit = time(|| {
        tcp::emit(&mut segment, black_box(&header), black_box(&options), EmitChecksum::Full(1234))
    });
    line("tcp header with timestamps emitted".into(), None, emit);
    let written = tcp::emit(&mut segment, &header, &options, EmitChecksum::Full(1234));
    let parse = time(|| tcp::parse(black_box(&segment[..written]), written));
    line("tcp header with timestamps parsed".into(), None, parse);
    let block = SackBlock { left: Seq(1), right: Seq(9) };
    let sack = Options { sack: [block; 3].into_iter().collect(), ..options };
    let written = tcp::emit(&mut segment, &header, &sack, EmitChecksum::Full(1234));
    let parse = time(|| tcp::parse(black_box(&segment[..written]), written));
    line("tcp header with timestamps and three blocks parsed".into(), None, parse);
    segment[12] = 15 << 4;
    segment[20..].fill(1);
    let parse = time(|| tcp::parse(black_box(&segment), segment.len()));
    line("tcp header with forty NOPs parsed (PR-6)".into(), None, parse);
    around(&pool, &mut line);
    print!("{}", table.text());
    Outcome::Done
}

/// What needs something around it.
fn around(pool: &FramePool, line: &mut impl FnMut(String, Option<usize>, Spread)) {
    if let Some(mut layer) = Layer::new(pool) {
        line("IPv4 packet taken in".into(), None, time(|| layer.input(pool)));
        line("IPv4 header written, frame included".into(), None, time(|| layer.output(pool)));
    }
    for count in [1000, 1_000_000] {
        if let Some(mut strangers) = Strangers::among(count) {
            let spread = time(|| strangers.look());
            line(format!("a stranger among {count} connections (BG-1)"), None, spread);
        }
    }
    let mut blocks = RandomBlocks::new();
    let spread = time(|| blocks.acknowledge());
    line("four random blocks, 100,000 segments in flight (AT-8)".into(), None, spread);
}

fn header() -> Header {
    Header {
        source_port: 80,
        destination_port: 40_000,
        seq: Seq(1),
        ack: Seq(2),
        flags: Flags::ACK,
        window: WireWindow(1000),
        urgent: 0,
    }
}

/// Nanoseconds of one call.
fn time<T>(mut part: impl FnMut() -> T) -> Spread {
    let mut batch = |calls: u64| {
        let began = Instant::now();
        for _ in 0..calls {
            black_box(part());
        }
        began.elapsed().as_nanos() as f64 / calls as f64
    };
    let calls = (BATCH_NANOS / batch(1000).max(0.1)).max(1.0) as u64;
    let times: Vec<f64> = (0..BATCHES).map(|_| batch(calls)).collect();
    Spread::of(&times).unwrap_or(Spread { median: 0.0, min: 0.0, max: 0.0 })
}

/// Copies whose target begins 16 octets behind the source, both counted from the beginning of their pages.
fn worst_copies(line: &mut impl FnMut(String, Option<usize>, Spread)) {
    const PAGE: usize = 4096;
    const OCTETS: usize = 65_536;
    let (from, mut to) = (vec![0x5A; OCTETS + PAGE], vec![0; OCTETS + 2 * PAGE]);
    let source = &from[..OCTETS];
    let behind = (source.as_ptr() as usize + 16).wrapping_sub(to.as_ptr() as usize) % PAGE;
    let target = &mut to[behind..behind + OCTETS];
    let whole = time(|| black_box(&mut *target).copy_from_slice(black_box(source)));
    line(format!("copied by one call, {OCTETS} octets"), Some(OCTETS), whole);
    let steps = time(|| usertcp_frame::copy(black_box(&mut *target), black_box(source)));
    line(format!("frame::copy, {OCTETS} octets"), Some(OCTETS), steps);
}
