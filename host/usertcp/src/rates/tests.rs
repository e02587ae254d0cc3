//! Rates that move between threads. What is reached is waited for; what must not be exceeded is asserted.
#![allow(clippy::unwrap_used)] // helpers of tests are not tests to the lint

use super::*;
use crate::memory::{PipeConfig, pair_of};
use crate::{Builder, ListenOptions, TcpListener};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// Two stacks at .1, of two shards, and .2, of one.
fn stacks(also: impl Fn(Builder) -> Builder) -> (Stack, Stack) {
    let ends = pair_of(PipeConfig::default(), (2, 1));
    let builder = |host: u8, shards| {
        let address = format!("10.0.0.{host}/24").parse().unwrap();
        Stack::builder().address(address).shards(shards).memory_budget(64 << 20)
    };
    let left = also(builder(1, 2).memory_queues(ends.0)).start().unwrap();
    (left, builder(2, 1).memory_queues(ends.1).start().unwrap())
}

/// Reads until there is no more.
fn drain(mut stream: TcpStream) {
    tokio::spawn(async move {
        let mut buffer = vec![0; 1 << 16];
        while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
    });
}

fn keep_writing(mut stream: TcpStream) -> JoinHandle<()> {
    tokio::spawn(async move {
        let block = vec![7; 16 << 10];
        while stream.write_all(&block).await.is_ok() {}
    })
}

/// Streams from `left`, by shard, three of each at least; their peers read.
async fn open(left: &Stack, right: &Stack) -> [Vec<TcpStream>; 2] {
    let listener = TcpListener::bind(right, ([10, 0, 0, 2], 80).into()).await.unwrap();
    let mut streams = [Vec::new(), Vec::new()];
    while streams.iter().any(|some| some.len() < 3) {
        let near = TcpStream::connect(left, ([10, 0, 0, 2], 80).into()).await.unwrap();
        drain(listener.accept().await.unwrap().0);
        streams[left.shard_of(near.hub()).unwrap()].push(near);
    }
    streams
}

/// Waits until the parts of the shards are so.
async fn until(stack: &Stack, rates: &[SharedRate], what: impl Fn([u64; 2]) -> bool) {
    let mut last = [0; 2];
    let wait = async {
        loop {
            for (index, rate) in rates.iter().copied().enumerate() {
                let part = stack.run_on(index, move |shard| match rate {
                    SharedRate::Group(group) => shard.rate_group_info(group).unwrap().rate,
                    SharedRate::Listener(id) => shard.listener_rate_info(id).unwrap().rate,
                    SharedRate::Shard => shard.shard_rate(),
                });
                last[index] = part.await.unwrap().octets_per_second();
            }
            if what(last) {
                return;
            }
            sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(timeout(Duration::from_secs(60), wait).await.is_ok(), "stuck at {last:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_moves_to_the_shard_whose_streams_send() {
    const RATE: u64 = 1_000_000;
    let (left, right) = stacks(|builder| builder);
    let [here, there] = open(&left, &right).await;
    let begun = Instant::now();
    let group = left.create_rate_group(RATE).await.unwrap();
    let rates = group.rates();
    let join = |streams: Vec<TcpStream>, weight| {
        let group = group.clone();
        let member = move |stream: TcpStream| {
            stream.join_rate_group(&group, weight).unwrap();
            keep_writing(stream)
        };
        streams.into_iter().take(3).map(member).collect::<Vec<_>>()
    };
    // All on one of two shards.
    let first = join(here, 1);
    until(&left, &rates, |[here, _]| here > RATE * 96 / 100).await;
    assert_eq!(group.info().await.unwrap().rate.octets_per_second(), RATE);
    // On both, by weight.
    let second = join(there, 3);
    let near = |part: u64, ideal: u64| part.abs_diff(ideal) <= ideal / 8;
    until(&left, &rates, |[here, there]| near(here, RATE / 4) && near(there, RATE * 3 / 4)).await;
    // On the other alone.
    first.iter().for_each(JoinHandle::abort);
    until(&left, &rates, |[_, there]| there > RATE * 96 / 100).await;
    // Never more than the whole, whoever had it: but for what each may send at once, and a late timer's due.
    let info = group.info().await.unwrap();
    let most = RATE * u64::try_from(begun.elapsed().as_millis()).unwrap() / 1000;
    let ahead = 2 * (RATE / 100 + 2 * 3000);
    assert!(info.octets <= most + ahead, "{} of {most}", info.octets);
    assert!(info.octets > 0);
    // A change begins anew with even parts, and moves as well.
    group.set_rate(Some(2 * RATE)).await.unwrap();
    until(&left, &rates, |[_, there]| there > 2 * RATE * 96 / 100).await;
    group.set_rate(None).await.unwrap();
    assert!(group.info().await.unwrap().rate.is_unlimited());
    second.iter().for_each(JoinHandle::abort);
    group.remove().await.unwrap();
    left.shutdown();
    right.shutdown();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rates_of_a_stack_and_of_a_listener_move_too() {
    const RATE: u64 = 1_000_000;
    let (left, right) = stacks(|builder| builder.total_rate_limit(RATE));
    let [here, _there] = open(&left, &right).await;
    let writers: Vec<_> = here.into_iter().take(2).map(keep_writing).collect();
    until(&left, &[SharedRate::Shard; 2], |[here, _]| here > RATE * 96 / 100).await;
    writers.iter().for_each(JoinHandle::abort);
    left.set_total_rate_limit(None).await.unwrap();
    // A listener at both shards of which one accepts a stream that is sent much.
    let rate = Some(Rate::from_octets_per_second(RATE));
    let options = ListenOptions { shared_rate: rate, ..ListenOptions::default() };
    let at = ([10, 0, 0, 1], 81).into();
    let listener = TcpListener::bind_with(&left, at, options).await.unwrap();
    drain(TcpStream::connect(&right, at).await.unwrap());
    let far = listener.accept().await.unwrap().0;
    let shard = left.shard_of(far.hub()).unwrap();
    let writer = keep_writing(far);
    let rates = listener.rates();
    until(&left, &rates, |parts| parts[shard] > RATE * 96 / 100).await;
    writer.abort();
    left.shutdown();
    right.shutdown();
}
