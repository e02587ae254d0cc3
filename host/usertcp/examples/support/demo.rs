//! A server and its clients in one process: opens them, lets them rest, talks to some, says what it takes.
#![allow(clippy::float_arithmetic)] // for people to read

use super::peers::{self, Script, Told};
use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use usertcp::{Counters, IdleStreams, Limits, ListenOptions, LocalIdleStreams, LocalStack, Stack};

/// What a demonstration is to do.
#[derive(Clone, Copy, Debug)]
pub struct Demo {
    /// Streams.
    pub count: u32,
    /// Of these, chosen at random, so many are spoken to.
    pub talk: u32,
    /// Says how far it is.
    pub verbose: bool,
}

/// What it took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// Resident memory of the process before the first stream, when all were idle, and after the talk.
    pub resident: [u64; 3],
    /// The most it had at any time.
    pub peak: u64,
    pub opening: Duration,
    pub talking: Duration,
    pub answered: u64,
    /// What clients had to say again, because the server had dropped it.
    pub repeated: u64,
    /// Resets, ends and answers that were not expected.
    pub wrong: u64,
}

impl Outcome {
    /// Octets for each of `count` streams, all there is in the process: core, host, program, clients.
    pub fn each(&self, count: u32) -> f64 {
        self.resident[1].saturating_sub(self.resident[0]) as f64 / f64::from(count)
    }

    pub fn print(&self, demo: &Demo) {
        let mb = |octets: u64| octets as f64 / 1e6;
        println!(
            "{} streams open in {:.1} s; the process has {:.1} MB, {:.1} before: {:.1} octets a stream",
            demo.count,
            self.opening.as_secs_f64(),
            mb(self.resident[1]),
            mb(self.resident[0]),
            self.each(demo.count),
        );
        println!(
            "{} spoken to and answered in {:.2} s, {:.1} us each; {:.1} MB after, {:.1} at most; {} said twice, {} wrong",
            self.answered,
            self.talking.as_secs_f64(),
            self.talking.as_secs_f64() * 1e6 / f64::from(demo.talk.max(1)),
            mb(self.resident[2]),
            mb(self.peak),
            self.repeated,
            self.wrong,
        );
    }
}

/// A stack for so many streams.
pub fn builder(count: u32) -> usertcp::Builder {
    let limits =
        Limits { connections: count + 1024, hot_connections: count + 1024, ..Limits::default() };
    let [a, b, c, d] = peers::SERVER.0;
    let address = format!("{a}.{b}.{c}.{d}/8").parse();
    let builder = Stack::builder().limits(limits).memory_budget(64 << 20).linger(Duration::ZERO);
    match address {
        Ok(address) => builder.address(address),
        Err(_) => builder,
    }
}

/// How the server of a demonstration listens, at [`peers::SERVER`].
pub fn listening() -> ListenOptions {
    ListenOptions { backlog: 8192, ..ListenOptions::default() }
}

/// A server that runs already.
pub trait Served {
    /// Its clients have something to say.
    fn wake(&self);
    /// Streams that own no task.
    fn resting(&self) -> u64;
    /// What its stack counted.
    fn counters(&self) -> Counters;
}

impl Served for (&Stack, &IdleStreams) {
    fn wake(&self) {
        self.0.wake();
    }
    fn resting(&self) -> u64 {
        self.1.len() as u64
    }
    fn counters(&self) -> Counters {
        self.0.counters()
    }
}

impl Served for (&LocalStack, &LocalIdleStreams) {
    fn wake(&self) {
        self.0.run(|_| ());
    }
    fn resting(&self) -> u64 {
        self.1.len() as u64
    }
    fn counters(&self) -> Counters {
        self.0.counters()
    }
}

/// Opens `demo.count` streams to a server that parks them, and talks to some.
pub async fn run(
    demo: &Demo,
    server: impl Served,
    told: &Told,
    before: u64,
) -> io::Result<Outcome> {
    let server = &server;
    let mut outcome = Outcome { resident: [before, 0, 0], ..Outcome::default() };
    let begun = Instant::now();
    told.open.store(true, Ordering::Release);
    let count = u64::from(demo.count);
    wait(demo, "open", server, || told.welcomed.load(Ordering::Relaxed), count).await;
    wait(demo, "parked", server, || server.resting(), count).await;
    outcome.opening = begun.elapsed();
    // The stack gives control blocks back after a second of silence.
    let rest = Duration::from_millis(if demo.verbose { 2500 } else { 0 });
    tokio::time::sleep(rest).await;
    outcome.resident[1] = resident_octets();
    let begun = Instant::now();
    let chosen = choose(demo);
    if let Ok(mut ask) = told.ask.lock() {
        ask.extend(&chosen);
    }
    wait(demo, "answered", server, || told.answered.load(Ordering::Relaxed), u64::from(demo.talk))
        .await;
    outcome.talking = begun.elapsed();
    wait(demo, "parked again", server, || server.resting(), count).await;
    tokio::time::sleep(rest).await;
    outcome.resident[2] = resident_octets();
    outcome.peak = peak_octets();
    outcome.answered = told.answered.load(Ordering::Relaxed);
    outcome.repeated = told.repeated.load(Ordering::Relaxed);
    outcome.wrong = told.wrong.load(Ordering::Relaxed);
    Ok(outcome)
}

/// `demo.talk` clients, each once.
pub fn choose(demo: &Demo) -> Vec<u32> {
    let (mut seen, mut state) = (HashSet::new(), 0x2545_F491_4F6C_DD1D_u64);
    while (seen.len() as u32) < demo.talk.min(demo.count) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        seen.insert((state % u64::from(demo.count)) as u32);
    }
    seen.into_iter().collect()
}

/// Waits until `now` says `all`; every second a line says how far it is.
async fn wait(demo: &Demo, what: &str, server: &impl Served, now: impl Fn() -> u64, all: u64) {
    let begun = Instant::now();
    let said = AtomicU64::new(1);
    while now() < all {
        server.wake();
        tokio::time::sleep(Duration::from_millis(2)).await;
        let seconds = begun.elapsed().as_secs();
        if demo.verbose && seconds >= said.load(Ordering::Relaxed) {
            said.store(seconds + 1, Ordering::Relaxed);
            println!("{} of {all} {what}, {} MB", now(), resident_octets() / 1_000_000);
        }
    }
}

/// Resident memory of this process.
pub fn resident_octets() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|line| line.split(' ').nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

/// The most it was so far.
fn peak_octets() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// What both examples accept on their command lines.
pub fn arguments() -> (Option<u32>, Vec<String>) {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let mut count = None;
    if let Some(at) = words.iter().position(|word| word == "--demo") {
        words.remove(at);
        let given = if at < words.len() { words.remove(at).parse().ok() } else { None };
        count = Some(given.unwrap_or(100_000).clamp(1, peers::MOST));
    }
    (count, words)
}

/// A stack behind a TUN device: the server's address, the device's name, the kernel's address with its network.
pub fn over_tun(
    words: &[String],
) -> Result<(usertcp::Builder, std::net::SocketAddr), Box<dyn std::error::Error>> {
    let [address, name, kernel_side] = words else {
        return Err("either --demo COUNT, or ADDRESS:PORT TUN KERNEL_ADDRESS/PREFIX".into());
    };
    let address: std::net::SocketAddr = address.parse()?;
    let kernel_side: usertcp::KernelCidr = kernel_side.parse()?;
    let tun = usertcp::TunConfig {
        name: name.clone(),
        addresses: vec![kernel_side],
        ..usertcp::TunConfig::default()
    };
    let network = format!("{}/24", address.ip()).parse().map_err(|_| "no address")?;
    Ok((Stack::builder().tun(tun).address(network), address))
}

/// A demonstration's stack and what its clients tell.
pub fn with_clients(demo: &Demo, script: impl Script) -> (usertcp::Builder, Arc<Told>) {
    let told = Arc::new(Told::default());
    (peers::clients_of(builder(demo.count), demo.count, script, &told), told)
}

/// Says once a second, where it is another than before, how many streams rest and what became of their control
/// blocks. Never ends.
pub async fn watch(server: impl Served) {
    let mut said = (0, 0, 0);
    loop {
        let counters = server.counters();
        let now = (server.resting(), counters.parked, counters.activated);
        if now != said {
            println!("{} streams without a task; parked {}, woken {}", now.0, now.1, now.2);
            said = now;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
