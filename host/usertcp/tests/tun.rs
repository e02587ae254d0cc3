//! A stack over TUN, with the kernel's own TCP as its peer. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests are not tests to the lint

mod common;

use common::*;
use std::future::Future;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener as KernelListener, TcpStream as KernelStream};
use std::time::Duration;
use usertcp::{
    Builder, Device, LocalListener, LocalStream, OpenError, Stack, SteerRule, TcpListener,
    TcpStream, Tun, TunConfig, TunHandle,
};

/// The stack at .2, the kernel at .1 of a network of this test's own; `None` without permission.
fn stack(name: &str, network: u8) -> Option<Stack> {
    let (builder, tun) = described(name, network);
    started(builder.tun(tun))
}

fn described(name: &str, network: u8) -> (Builder, TunConfig) {
    let address = |host: u8| format!("10.211.{network}.{host}/24");
    let tun = TunConfig {
        name: name.into(),
        addresses: vec![address(1).parse().unwrap()],
        ..TunConfig::default()
    };
    (Stack::builder().address(address(2).parse().unwrap()), tun)
}

fn started(builder: Builder) -> Option<Stack> {
    match builder.start() {
        Ok(stack) => Some(stack),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => skipped(&error),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => skipped(&error),
        Err(error) => panic!("{error}"),
    }
}

fn skipped(error: &std::io::Error) -> Option<Stack> {
    println!("NOT RUN: no TUN device here: {error}");
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kernel_talks_to_our_listener() {
    let Some(stack) = stack("utcptest0", 77) else { return };
    let listener = TcpListener::bind(&stack, "0.0.0.0:7".parse().unwrap()).await.unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(echo(stream));
        }
    });
    let client = tokio::task::spawn_blocking(|| {
        let mut stream = KernelStream::connect("10.211.77.2:7").unwrap();
        let octets: Vec<u8> = (0..8 << 20).map(|n: u32| (n ^ n >> 9) as u8).collect();
        let mut writer = stream.try_clone().unwrap();
        let sent = octets.clone();
        let sender = std::thread::spawn(move || {
            writer.write_all(&sent).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap();
        sender.join().unwrap();
        assert!(back == octets);
        let refused = KernelStream::connect("10.211.77.2:8").unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    });
    tokio::time::timeout(PATIENCE, client).await.expect("stuck").unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn we_connect_to_the_kernel() {
    let Some(stack) = stack("utcptest1", 78) else { return };
    let kernel = KernelListener::bind("10.211.78.1:0").unwrap();
    let at: SocketAddr = kernel.local_addr().unwrap();
    let server = tokio::task::spawn_blocking(move || {
        let (mut stream, _) = kernel.accept().unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        all
    });
    let mut stream = TcpStream::connect(&stack, at).await.unwrap();
    let sum = send(&mut stream, 4 << 20, 9).await;
    let all = tokio::time::timeout(PATIENCE, server).await.expect("stuck").unwrap();
    assert_eq!(all.len(), sum.0);
    assert_eq!(receive(&mut &all[..]).await, sum);
    assert_eq!(receive(&mut stream).await.0, 0);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(stack.snapshot().connections, 0);
}

/// A device that leaves it to the kernel by which queue a flow comes.
struct Unsteered(TunConfig);

impl Device for Unsteered {
    type Handle = TunHandle;
    type Error = OpenError;
    fn open(self, rule: &SteerRule) -> Result<Vec<TunHandle>, OpenError> {
        Ok(Tun::open(&TunConfig { queues: rule.shards(), ..self.0 })?.handles)
    }
}

/// Streams both ways between the kernel and two shards; what each counted.
async fn two_shards_serve(stack: Stack, network: u8) -> Vec<usertcp::Snapshot> {
    const STREAMS: usize = 48;
    let listener = TcpListener::bind(&stack, "0.0.0.0:7".parse().unwrap()).await.unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(echo(stream));
        }
    });
    let at = SocketAddr::from(([10, 211, network, 2], 7));
    let clients = (0..STREAMS).map(|seed| {
        tokio::spawn(async move {
            let stream = tokio::net::TcpStream::connect(at).await.unwrap();
            let (mut reader, mut writer) = stream.into_split();
            let sent = tokio::spawn(async move { send(&mut writer, 300_000, seed as u64).await });
            assert_eq!(receive(&mut reader).await, sent.await.unwrap());
        })
    });
    let clients: Vec<_> = clients.collect();
    // Opens of our own meanwhile.
    let kernel = KernelListener::bind(SocketAddr::from(([10, 211, network, 1], 0))).unwrap();
    let at = kernel.local_addr().unwrap();
    let sink = tokio::task::spawn_blocking(move || {
        for _ in 0..STREAMS {
            let (mut stream, _) = kernel.accept().unwrap();
            let mut all = Vec::new();
            stream.read_to_end(&mut all).unwrap();
            stream.write_all(&all).unwrap();
        }
    });
    for seed in 0..STREAMS {
        let mut stream = TcpStream::connect(&stack, at).await.unwrap();
        let sum = send(&mut stream, 20_000, seed as u64).await;
        assert_eq!(receive(&mut stream).await, sum);
    }
    for client in clients {
        tokio::time::timeout(PATIENCE, client).await.expect("stuck").unwrap();
    }
    sink.await.unwrap();
    stack.shutdown();
    let shards = stack.snapshots();
    for (index, shard) in shards.iter().enumerate() {
        let counters = &shard.counters;
        println!(
            "shard {index}: {} packets in, {} of them by the other queue; {} accepted, {} opened",
            counters.packets_in, counters.steered_in, counters.passive_opens, counters.active_opens
        );
        assert!(counters.passive_opens > 8 && counters.active_opens == STREAMS as u64 / 2);
        assert_eq!(counters.resets_out, 0);
    }
    assert_eq!(stack.counters().passive_opens, STREAMS as u64);
    shards
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kernel_leads_flows_to_their_shards() {
    let (builder, tun) = described("utcptest2", 79);
    let Some(stack) = started(builder.shards(2).tun(tun)) else { return };
    let shards = two_shards_serve(stack, 79).await;
    // ICMP of version 6 and such may come by any.
    let steered: u64 = shards.iter().map(|shard| shard.counters.steered_in).sum();
    assert_eq!(steered, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shards_pass_on_what_the_kernel_leads_elsewhere() {
    let (builder, tun) = described("utcptest3", 80);
    let Some(stack) = started(builder.shards(2).device(Unsteered(tun))) else { return };
    let shards = two_shards_serve(stack, 80).await;
    let steered: u64 = shards.iter().map(|shard| shard.counters.steered_in).sum();
    assert!(steered > 0);
}

/// The rest of the test on a thread, and a runtime, in a network namespace of its own.
#[allow(unsafe_code)]
fn in_namespace<T: Future<Output = ()>>(test: impl FnOnce() -> T + Send + 'static) {
    use rustix::thread::{UnshareFlags, unshare_unsafe};
    let thread = std::thread::spawn(move || {
        // Threads of the runtime are made by this one, in its namespace.
        // Not safely: std knows no namespaces.
        // SAFETY: it changes this thread's network namespace and nothing in memory; no descriptor table.
        if unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.is_err() {
            return println!("NOT RUN: no network namespaces here");
        }
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        runtime.worker_threads(2).enable_all().build().unwrap().block_on(test());
    });
    thread.join().unwrap();
}

fn ip(words: &str) {
    let run = std::process::Command::new("ip").args(words.split(' ')).output().unwrap();
    assert!(run.status.success(), "ip {words}: {}", String::from_utf8_lossy(&run.stderr));
}

#[test]
fn two_shards_serve_an_ethernet() {
    in_namespace(|| async {
        ip("link set lo up");
        ip("link add near type veth peer name far");
        ip("address add 10.211.81.1/24 dev near");
        ip("link set near up");
        ip("link set far up");
        let config = usertcp::PacketConfig { interface: "far".into(), ..Default::default() };
        let builder = Stack::builder().address("10.211.81.2/24".parse().unwrap());
        let Some(stack) = started(builder.shards(2).packet(config)) else { return };
        let shards = two_shards_serve(stack, 81).await;
        let steered: u64 = shards.iter().map(|shard| shard.counters.steered_in).sum();
        let packets: u64 = shards.iter().map(|shard| shard.counters.packets_in).sum();
        // Answers about neighbours go to both.
        assert!(steered * 50 < packets, "{steered} of {packets}");
    });
}

/// Octets a second of packets that carry so much payload a second, in packets of 1500.
#[allow(clippy::float_arithmetic)]
fn on_the_wire(payload: f64) -> f64 {
    payload * 1500.0 / 1448.0
}

// Seen by the kernel, which reads as it comes: no stream gets more than its limit from the moment at which it is
// set on, whoever is late. How much less is the machine's affair, and printed: a thread that gets no processor for
// more than ten milliseconds cannot make up for it.
#[test]
#[allow(clippy::float_arithmetic)]
fn a_hundred_limits_are_kept_over_tun() {
    const STREAMS: u64 = 100;
    const BURST: usize = 8000;
    // From 100 kbit/s to 10 Mbit/s, in octets.
    let limit = |at: u64| 12_500 + 1_237_500 * at * at * at / 99 / 99 / 99;
    in_namespace(move || async move {
        let Some(stack) = stack("utcptest5", 82) else { return };
        let listener = TcpListener::bind(&stack, "0.0.0.0:7".parse().unwrap()).await.unwrap();
        let mut clients = Vec::new();
        for at in 0..STREAMS {
            let mut client = KernelStream::connect("10.211.82.2:7").unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            let limited = std::time::Instant::now();
            stream.set_rate_limit(Some(limit(at))).unwrap();
            tokio::spawn(async move {
                let mut stream = stream;
                let block = vec![1; 32 << 10];
                use tokio::io::AsyncWriteExt;
                while stream.write_all(&block).await.is_ok() {}
            });
            client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            clients.push(std::thread::spawn(move || {
                let mut buffer = vec![0; 64 << 10];
                // The beginning is a burst by right.
                client.read_exact(&mut [0; BURST]).unwrap();
                let begun = std::time::Instant::now();
                let (mut octets, mut took) = (0u64, Duration::ZERO);
                while took < Duration::from_secs(4) {
                    octets += client.read(&mut buffer).unwrap() as u64;
                    took = begun.elapsed();
                }
                let rate = on_the_wire(octets as f64 / took.as_secs_f64());
                (rate, on_the_wire(octets as f64) / limited.elapsed().as_secs_f64())
            }));
        }
        let rates: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        let mut off = Vec::new();
        for (at, (rate, since_limited)) in rates.into_iter().enumerate() {
            let asked = limit(at as u64) as f64;
            off.push((rate / asked - 1.0) * 100.0);
            // Two releases more and ten milliseconds made up for, in four seconds at least.
            let most = asked * (4.01 / 4.0) + 2.0 * 6000.0 / 4.0;
            assert!(
                since_limited <= most,
                "stream {at}: {since_limited:.0} octets a second, limit {asked}"
            );
        }
        off.sort_by(f64::total_cmp);
        let within = off.iter().filter(|off| off.abs() <= 1.0).count();
        println!(
            "{STREAMS} limits over TUN: {within} within 1 %; least {:.2} %, median {:.2} %, most {:.2} %",
            off[0],
            off[off.len() / 2],
            off[off.len() - 1]
        );
        let counters = stack.counters();
        assert_eq!(counters.dropped(usertcp::DropReason::PoolEmpty), 0);
        assert_eq!(counters.dropped(usertcp::DropReason::DeviceRefused), 0);
    });
}

/// `ip link` with these words.
fn ip_link(words: &[&str]) {
    let status = std::process::Command::new("ip").arg("link").args(words).status().unwrap();
    assert!(status.success(), "{words:?}");
}

/// An interface that is down for a while loses packets; one that is removed ends the stack.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stack_ends_with_its_interface() {
    let Some(stack) = stack("utcptest8", 86) else { return };
    let listener = TcpListener::bind(&stack, "0.0.0.0:7".parse().unwrap()).await.unwrap();
    ip_link(&["set", "utcptest8", "down"]);
    ip_link(&["set", "utcptest8", "up"]);
    let client = tokio::task::spawn_blocking(|| KernelStream::connect("10.211.86.2:7").unwrap());
    let (mut stream, _) = tokio::time::timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    let client = client.await.unwrap();
    ip_link(&["del", "utcptest8"]);
    let mut buffer = [0; 8];
    let read = tokio::io::AsyncReadExt::read(&mut stream, &mut buffer);
    let read = tokio::time::timeout(PATIENCE, read).await.expect("nobody told the reader");
    assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::ConnectionAborted);
    let accepted = tokio::time::timeout(PATIENCE, listener.accept()).await.expect("stuck");
    assert_eq!(accepted.unwrap_err().kind(), std::io::ErrorKind::NetworkDown);
    tokio::task::spawn_blocking(move || {
        stack.shutdown();
        assert!(!stack.is_running());
    })
    .await
    .unwrap();
    drop(client);
}

#[tokio::test]
async fn a_local_stack_ends_with_its_interface() {
    let (builder, tun) = described("utcptest9", 87);
    let (stack, driver) = match builder.tun(tun).start_local() {
        Ok(both) => both,
        Err(error) => return drop(skipped(&error)),
    };
    let local = tokio::task::LocalSet::new();
    let ends = async {
        let driver = tokio::task::spawn_local(driver);
        let listener = LocalListener::bind(&stack, ([0, 0, 0, 0], 7).into()).unwrap();
        tokio::task::yield_now().await;
        ip_link(&["del", "utcptest9"]);
        // The kernel tells it to who asks; the driver asks when there is something to do.
        let connected = LocalStream::connect(&stack, ([10, 211, 87, 1], 7).into()).await;
        assert_eq!(connected.unwrap_err().kind(), std::io::ErrorKind::ConnectionAborted);
        assert_eq!(listener.accept().await.unwrap_err().kind(), std::io::ErrorKind::NetworkDown);
        driver.await.unwrap();
    };
    tokio::time::timeout(PATIENCE, local.run_until(ends)).await.expect("stuck");
}
