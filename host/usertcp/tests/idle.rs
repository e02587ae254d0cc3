//! A stack that has nothing to do does nothing.
#![allow(clippy::unwrap_used)] // helpers of tests are not tests to the lint

mod common;

use common::*;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use usertcp::TcpListener;

/// Processor time of this process's threads named `name`, in nanoseconds.
fn used(name: &str) -> u64 {
    let mut total = 0;
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let read = |file: &str| std::fs::read_to_string(task.path().join(file)).unwrap_or_default();
        if read("comm").trim() == name {
            let on_cpu = read("schedstat");
            total += on_cpu.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    total
}

#[tokio::test]
async fn the_threads_sleep_while_streams_are_idle() {
    // A name of their own: other tests of this process have threads too.
    let (left, right) = stacks_built(Default::default(), |builder| builder.name("idle"));
    let listener = TcpListener::bind(&right, at(80)).await.unwrap();
    let mut streams = Vec::new();
    for _ in 0..50 {
        let (mut near, mut far) = open(&left, &listener).await;
        near.write_all(b"here I am").await.unwrap();
        far.read_exact(&mut [0; 9]).await.unwrap();
        streams.push((near, far));
    }
    // Delayed acknowledgements and the last publication of counters.
    tokio::time::sleep(Duration::from_millis(400)).await;
    let (before, begun) = (used("idle"), Instant::now());
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (used, time) = (used("idle") - before, begun.elapsed().as_nanos() as u64);
    println!("idle for {time} ns: both threads together used {used} ns");
    assert!(before > 0 && used * 100 < time);
}

/// One small message and its answer: what waking threads costs. Printed, not judged: the machine
/// decides.
#[tokio::test]
async fn a_round_trip_is_measured() {
    for busy_poll in [Duration::ZERO, Duration::from_micros(200)] {
        round_trips(busy_poll).await;
    }
}

async fn round_trips(busy_poll: Duration) {
    const ROUNDS: u32 = 5000;
    let (left, right) = stacks_built(Default::default(), |builder| builder.busy_poll(busy_poll));
    let listener = TcpListener::bind(&right, at(80)).await.unwrap();
    let (mut near, far) = open(&left, &listener).await;
    near.set_nodelay(true).unwrap();
    far.set_nodelay(true).unwrap();
    tokio::spawn(echo(far));
    let begun = Instant::now();
    for _ in 0..ROUNDS {
        near.write_all(&[1; 64]).await.unwrap();
        near.read_exact(&mut [0; 64]).await.unwrap();
    }
    let each = begun.elapsed() / ROUNDS;
    println!("round trip of 64 octets through two stacks, busy poll {busy_poll:?}: {each:?}");
}
