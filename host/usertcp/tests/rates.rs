//! Rates that streams share, through the Tokio face. How exactly they are kept is a test of the shard
//! (`core/stack/tests/shard/pacing`); here it is that they reach it, and that names are right.
#![allow(clippy::unwrap_used)] // helpers of tests are not tests to the lint

mod common;

use common::*;
use std::io::ErrorKind;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use usertcp::memory::{PipeConfig, pair_of};
use usertcp::{Limiter, ListenOptions, Rate, Stack, TcpListener, TcpStream};

/// Writes until it is dropped.
fn keep_writing(stream: TcpStream) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let (mut reader, mut writer) = stream.into_split();
        let block = vec![7; 16 << 10];
        let mut nothing = [0; 1];
        loop {
            tokio::select! {
                done = writer.write_all(&block) => if done.is_err() { return },
                _ = reader.read(&mut nothing) => return,
            }
        }
    })
}

/// Reads so much; how long it took.
async fn read(stream: &mut TcpStream, octets: usize) -> Duration {
    let begun = Instant::now();
    let mut buffer = vec![0; 1 << 16];
    let mut left = octets;
    while left > 0 {
        let most = left.min(buffer.len());
        left -= stream.read(&mut buffer[..most]).await.unwrap();
    }
    begun.elapsed()
}

/// What holds the connections of a stack that are held by a shared rate.
async fn holders(stack: &Stack) -> Vec<Limiter> {
    let rows = stack.connections(100).await.unwrap();
    let limiters = rows.iter().filter_map(|row| row.info.as_ref()).map(|info| info.limiter);
    limiters.filter(|limiter| limiter.is_shared()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_holds_its_members_and_says_so() {
    let (left, right) = stacks();
    let listener = TcpListener::bind(&right, at(80)).await.unwrap();
    let group = left.create_rate_group(500_000).await.unwrap();
    let mut readers = Vec::new();
    let mut writers = Vec::new();
    for weight in [1, 3] {
        let (near, far) = open(&left, &listener).await;
        near.join_rate_group(&group, weight).unwrap();
        // Another option leaves it where it is.
        near.set_nodelay(true).unwrap();
        writers.push(keep_writing(near));
        readers.push(far);
    }
    let (one, other) = readers.split_at_mut(1);
    let took = tokio::join!(read(&mut one[0], 50_000), read(&mut other[0], 150_000));
    // 200,000 octets and their headers at 500,000 a second.
    assert!(took.0 > Duration::from_millis(350), "{took:?}");
    assert!(took.1 > Duration::from_millis(300), "{took:?}");
    assert_eq!(holders(&left).await, [Limiter::GroupRate; 2]);
    let info = group.info().await.unwrap();
    assert_eq!((info.rate.octets_per_second(), info.waiting_weight), (500_000, 4));
    assert!(info.octets > 200_000);

    // Much faster at once; then none at all.
    group.set_rate(Some(50_000_000)).await.unwrap();
    let took = tokio::join!(read(&mut one[0], 1 << 20), read(&mut other[0], 1 << 20));
    assert!(took.0 < Duration::from_secs(2) && took.1 < Duration::from_secs(2), "{took:?}");
    let again = group.clone();
    group.remove().await.unwrap();
    assert_eq!(again.info().await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(again.set_rate(None).await.unwrap_err().kind(), ErrorKind::NotFound);
    tokio::join!(read(&mut one[0], 1 << 20), read(&mut other[0], 1 << 20));
    assert_eq!(holders(&left).await, []);
    // A group of one stack is none of another's.
    let foreign = right.create_rate_group(1000).await.unwrap();
    let (near, _far) = open(&left, &listener).await;
    assert_eq!(near.join_rate_group(&foreign, 1).unwrap_err().kind(), ErrorKind::InvalidInput);
    near.leave_rate_group().unwrap();
    drop(readers);
    for writer in writers {
        tokio::time::timeout(PATIENCE, writer).await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_and_a_stack_have_rates_of_all_their_streams() {
    let (left, right) = stacks_built(PipeConfig::default(), |builder| {
        builder.memory_budget(64 << 20).total_rate_limit(2_000_000)
    });
    let options = ListenOptions {
        shared_rate: Some(Rate::from_octets_per_second(400_000)),
        ..ListenOptions::default()
    };
    let listener = TcpListener::bind_with(&right, at(80), options).await.unwrap();
    let mut readers = Vec::new();
    for _ in 0..2 {
        let (near, far) = open(&left, &listener).await;
        drop(keep_writing(far));
        readers.push(near);
    }
    let (one, other) = readers.split_at_mut(1);
    let took = tokio::join!(read(&mut one[0], 100_000), read(&mut other[0], 100_000));
    assert!(took.0 > Duration::from_millis(400), "{took:?}");
    assert_eq!(holders(&right).await, [Limiter::ListenerRate; 2]);
    listener.set_shared_rate(Some(100_000_000)).await.unwrap();
    let took = tokio::join!(read(&mut one[0], 400_000), read(&mut other[0], 400_000));
    assert!(took.0 > Duration::from_millis(300), "the stack's own is the lower now: {took:?}");
    assert!(holders(&right).await.contains(&Limiter::ShardRate));
    right.set_total_rate_limit(None).await.unwrap();
    listener.set_shared_rate(None).await.unwrap();
    tokio::join!(read(&mut one[0], 1 << 20), read(&mut other[0], 1 << 20));
    assert_eq!(holders(&right).await, []);
}

// Whatever the application has to say, little of it lies in the stack, and the limit is used all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_writes_when_due_has_little_in_the_stack_and_the_whole_rate() {
    let (left, right) = stacks_built(PipeConfig::default(), |builder| {
        builder.memory_budget(64 << 20).rate_limit(1_000_000).write_when_due(true)
    });
    let listener = TcpListener::bind(&right, at(80)).await.unwrap();
    let (mut near, far) = open(&left, &listener).await;
    drop(keep_writing(far));
    read(&mut near, 100_000).await;
    let queued = right.connections(10).await.unwrap()[0].info.unwrap().send_queue_octets;
    assert!(queued <= 16 << 10, "{queued}");
    let took = read(&mut near, 300_000).await;
    assert!(took > Duration::from_millis(150) && took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shards_begin_with_even_parts_of_a_rate() {
    let ends = pair_of(PipeConfig::default(), (2, 1));
    let builder = |host: u8, shards: u16| {
        let address = format!("10.0.0.{host}/24").parse().unwrap();
        Stack::builder().address(address).shards(shards).memory_budget(64 << 20)
    };
    let near = builder(1, 2).memory_queues(ends.0).total_rate_limit(900_001).start().unwrap();
    let far = builder(2, 1).memory_queues(ends.1).start().unwrap();
    let rates = near.run_each(|shard| shard.shard_rate().octets_per_second()).await.unwrap();
    assert_eq!(rates, [450_000, 450_000]);
    let group = near.create_rate_group(300_000).await.unwrap();
    assert_eq!(group.info().await.unwrap().rate.octets_per_second(), 300_000);
    let listener = TcpListener::bind(&far, at(80)).await.unwrap();
    let (mut readers, mut writers) = (Vec::new(), Vec::new());
    // In turn at each shard.
    for _ in 0..4 {
        let (one, other) = open(&near, &listener).await;
        one.join_rate_group(&group, 1).unwrap();
        writers.push(keep_writing(one));
        readers.push(other);
    }
    for reader in &mut readers {
        read(reader, 20_000).await;
    }
    assert_eq!(holders(&near).await, [Limiter::GroupRate; 4]);
    let weights = near.run_each(|shard| shard.connections().len()).await.unwrap();
    assert_eq!(weights, [2, 2]);
}
