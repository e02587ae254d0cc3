//! Streams that own no task: parked, resumed, taken, dropped, over real stacks.
#![allow(clippy::expect_used, clippy::unwrap_used)] // helpers of tests are not tests to the lint

mod common;

use common::*;
use std::collections::HashMap;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use usertcp::memory::{PipeConfig, pair_of};
use usertcp::{
    IdleStreams, KeepAlive, ParkRefusal, Parked, Resumed, Span, Stack, TcpListener, TcpStream,
};

async fn next(idle: &IdleStreams) -> Resumed {
    timeout(PATIENCE, idle.next()).await.expect("stuck").unwrap()
}

async fn ask(stream: &mut TcpStream, question: &str, tag: u32) {
    stream.write_all(question.as_bytes()).await.unwrap();
    let expected = format!("{tag}:{question}");
    let mut answer = vec![0; expected.len()];
    timeout(PATIENCE, stream.read_exact(&mut answer)).await.expect("stuck").unwrap();
    assert_eq!(String::from_utf8(answer).unwrap(), expected);
}

/// Parks `count` accepted streams with their order as tag. The peers' ends, in that order.
async fn park_many(
    client: &Stack,
    listener: &TcpListener,
    idle: &IdleStreams,
    count: u32,
) -> Vec<(TcpStream, Parked)> {
    let mut near = HashMap::new();
    let mut all = Vec::new();
    for tag in 0..count {
        let stream = TcpStream::connect(client, at(80)).await.unwrap();
        near.insert(stream.local_addr().unwrap(), stream);
        let (far, from) = listener.accept().await.unwrap();
        let parked = idle.park(far, tag).unwrap();
        all.push((near.remove(&from).unwrap(), parked));
    }
    assert_eq!(idle.len(), count as usize);
    all
}

fn serve(idle: &Arc<IdleStreams>) -> tokio::task::JoinHandle<()> {
    let idle = Arc::clone(idle);
    tokio::spawn(async move {
        while let Ok(Resumed { stream, tag }) = idle.next().await {
            let park = |stream, tag| idle.park(stream, tag);
            answer(stream, tag, TcpStream::try_read, park).await;
        }
    })
}

async fn until(what: impl Fn() -> bool) {
    let wait = async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("stuck");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_parked_streams_answer_and_end() {
    const COUNT: u32 = 10_000;
    let (left, right) =
        stacks_built(Default::default(), |builder| builder.memory_budget(128 << 20));
    let listener = TcpListener::bind(&right, at(80)).await.unwrap();
    let idle = Arc::new(IdleStreams::new(&right).unwrap());
    let mut peers = park_many(&left, &listener, &idle, COUNT).await;
    let server = serve(&idle);
    let mut state = 7;
    for round in 0..2000 {
        let index = next_of(&mut state, COUNT);
        ask(&mut peers[index as usize].0, &format!("question {round}"), index).await;
    }
    // A burst on many at once: more than there is room for at a time.
    for index in (0..COUNT).step_by(5) {
        peers[index as usize].0.write_all(b"all").await.unwrap();
    }
    for index in (0..COUNT).step_by(5) {
        let expected = format!("{index}:all");
        let mut answer = vec![0; expected.len()];
        let stream = &mut peers[index as usize].0;
        timeout(PATIENCE, stream.read_exact(&mut answer)).await.expect("stuck").unwrap();
        assert_eq!(answer, expected.as_bytes());
    }
    until(|| idle.len() == COUNT as usize).await;
    // Half of them go: most in good order, some not (a stack sends no more than 1,000 resets a second).
    let mut kept = Vec::new();
    for (index, (stream, _)) in peers.into_iter().enumerate() {
        match index % 20 {
            0..9 => drop(stream),
            9 => stream.abort(),
            _ => kept.push(stream),
        }
    }
    until(|| idle.len() == COUNT as usize / 2).await;
    drop(kept);
    until(|| idle.is_empty()).await;
    left.shutdown();
    right.shutdown();
    server.await.unwrap();
    for stack in [left, right] {
        let memory = stack.snapshot().memory;
        assert_eq!((memory.used_octets, memory.lent), (0, 0), "{memory:?}");
    }
}

fn next_of(state: &mut u64, count: u32) -> u32 {
    (common::next(state) % u64::from(count)) as u32
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parked_streams_of_several_shards() {
    let ends = pair_of(PipeConfig::default(), (1, 3));
    let builder = |host: u8, shards: u16| {
        let address = format!("10.0.0.{host}/24").parse().unwrap();
        Stack::builder().address(address).shards(shards).seed([host; 32])
    };
    let left = builder(1, 1).memory_queues(ends.0).start().unwrap();
    let right = builder(2, 3).memory_queues(ends.1).start().unwrap();
    let listener = TcpListener::bind(&right, at(80)).await.unwrap();
    let idle = Arc::new(IdleStreams::new(&right).unwrap());
    let mut peers = park_many(&left, &listener, &idle, 300).await;
    let server = serve(&idle);
    let mut state = 3;
    for round in 0..600 {
        let index = next_of(&mut state, 300);
        ask(&mut peers[index as usize].0, &format!("question {round}"), index).await;
    }
    until(|| idle.len() == 300).await;
    // Taken by will, from whatever shard, and written to.
    let mut shards = std::collections::HashSet::new();
    let mut parked_again = Vec::new();
    for tag in 0..300 {
        // Its name is good again although most were spoken to, and parked anew, since.
        if let Some(Resumed { mut stream, tag: kept }) =
            idle.take(peers[tag as usize].1).await.unwrap()
        {
            assert_eq!(kept, tag);
            stream.write_all(b"pushed").await.unwrap();
            let mut pushed = [0; 6];
            peers[tag as usize].0.read_exact(&mut pushed).await.unwrap();
            assert_eq!(&pushed, b"pushed");
            parked_again.push(idle.park(stream, kept).unwrap());
        }
    }
    for row in right.connections(1000).await.unwrap() {
        shards.insert(row.shard);
    }
    assert_eq!(shards.len(), 3);
    assert_eq!(parked_again.len(), 300);
    assert_eq!(idle.len(), 300);
    right.shutdown();
    server.await.unwrap();
    left.shutdown();
}

#[tokio::test]
async fn refused_and_given_back() {
    let (left, right) = stacks();
    let listener = TcpListener::bind(&right, at(80)).await.unwrap();
    let idle = IdleStreams::new(&right).unwrap();
    let (near, far) = open(&left, &listener).await;
    let error = idle.park(near, 1).unwrap_err();
    assert_eq!(error.refusal, ParkRefusal::Foreign);
    let mut near = error.stream;
    // The peer has closed, and that is known.
    near.write_all(b"last").await.unwrap();
    near.shutdown().await.unwrap();
    let mut far = far;
    let mut all = Vec::new();
    far.read_to_end(&mut all).await.unwrap();
    let error = idle.park(far, 2).unwrap_err();
    assert_eq!((error.refusal, &all[..]), (ParkRefusal::HalfClosed, &b"last"[..]));
    let mut far = error.stream;
    far.write_all(b"answer").await.unwrap();
    drop(far);
    near.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, b"lastanswer");
    // This side has.
    let (_near, mut far) = open(&left, &listener).await;
    far.shutdown().await.unwrap();
    assert_eq!(idle.park(far, 3).unwrap_err().refusal, ParkRefusal::HalfClosed);
    // Reset.
    let (near, mut far) = open(&left, &listener).await;
    near.abort();
    assert_eq!(far.read(&mut [0; 1]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    let error = idle.park(far, 4).unwrap_err();
    assert_eq!(error.to_string(), "the connection is over");
    assert!(idle.is_empty());
    // Native handlers have no streams.
    let (one, _other) = usertcp::memory::pair(PipeConfig::default());
    struct Nothing;
    impl usertcp::Handler for Nothing {
        fn on_event(&mut self, _: &mut usertcp::Context<'_>, _: usertcp::ShardEvent) {}
    }
    let native = Stack::builder().address("10.0.0.9/24".parse().unwrap()).memory(one);
    let native = native.run_native(Nothing).unwrap();
    assert_eq!(IdleStreams::new(&native).unwrap_err().kind(), ErrorKind::Unsupported);
    // 127 lots at once, and as many again when those are gone.
    for _ in 0..3 {
        let lots: Vec<_> = (0..126).map(|_| IdleStreams::new(&right).unwrap()).collect();
        assert_eq!(IdleStreams::new(&right).unwrap_err().kind(), ErrorKind::OutOfMemory);
        drop(lots);
        // The worker lets go of them one after the other.
        let free = || IdleStreams::new(&right).is_ok_and(|lot| lot.is_empty());
        until(free).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn what_was_unread_and_unsent_survives_the_park() {
    let (left, right) = stacks();
    let listener = TcpListener::bind(&right, at(80)).await.unwrap();
    let idle = IdleStreams::new(&right).unwrap();
    let (mut near, mut far) = open(&left, &listener).await;
    // Two lines have come, and one was read.
    near.write_all(b"one.two.").await.unwrap();
    let mut line = [0; 4];
    far.read_exact(&mut line).await.unwrap();
    far.set_nodelay(true).unwrap();
    idle.park(far, 5).unwrap();
    let Resumed { stream: mut far, tag } = next(&idle).await;
    far.read_exact(&mut line).await.unwrap();
    assert_eq!((&line, tag), (b"two.", 5));
    assert!(far.settings().no_delay, "settings are the connection's");
    // More is written than there is room for, and the stream parked at once: the rest is sent while it is.
    let big = vec![7; 600_000];
    let mut written = 0;
    while written < big.len() {
        far.writable().await.unwrap();
        match far.try_write(&big[written..]) {
            Ok(count) => written += count,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                break;
            }
        }
    }
    assert!(written > 10_000);
    idle.park(far, 6).unwrap();
    let mut got = vec![0; written];
    timeout(PATIENCE, near.read_exact(&mut got)).await.expect("stuck").unwrap();
    assert!(got.iter().all(|octet| *octet == 7));
    near.write_all(b"thanks").await.unwrap();
    let Resumed { stream: mut far, tag } = next(&idle).await;
    let mut thanks = [0; 6];
    far.read_exact(&mut thanks).await.unwrap();
    assert_eq!((&thanks, tag), (b"thanks", 6));
    // A writer that had no credit when it parked has some when it is back.
    far.write_all(&vec![8; 200_000]).await.unwrap();
    drop(far);
    let mut rest = Vec::new();
    near.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest.len(), 200_000);
}

#[tokio::test]
async fn a_parked_stream_that_breaks_is_resumed_and_tells_why() {
    let (left, right) = stacks();
    let listener = TcpListener::bind(&right, at(80)).await.unwrap();
    let idle = IdleStreams::new(&right).unwrap();
    let mut peers = park_many(&left, &listener, &idle, 3).await;
    let (last, _) = peers.pop().unwrap();
    last.abort();
    let Resumed { mut stream, tag } = next(&idle).await;
    assert_eq!(tag, 2);
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(stream.write(b"x").await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    let (last, _) = peers.pop().unwrap();
    drop(last);
    let Resumed { mut stream, tag } = next(&idle).await;
    assert_eq!((stream.read(&mut [0; 1]).await.unwrap(), tag), (0, 1));
    assert_eq!(idle.len(), 1);
}

#[tokio::test]
async fn keep_alive_stays_in_force_while_parked() {
    let (left, right) = stacks();
    let listener = TcpListener::bind(&right, at(80)).await.unwrap();
    let idle = IdleStreams::new(&right).unwrap();
    let (_near, far) = open(&left, &listener).await;
    let (idle_time, interval) = (Span::from_millis(300), Span::from_millis(100));
    let keep_alive = KeepAlive { enabled: true, idle: idle_time, interval, probes: 3 };
    far.set_keepalive(Some(keep_alive)).unwrap();
    idle.park(far, 9).unwrap();
    // The peer stops answering.
    let (release, stalled) = std::sync::mpsc::channel::<()>();
    let silent = left.clone();
    let stall = std::thread::spawn(move || silent.run_blocking(move |_| stalled.recv().is_ok()));
    let Resumed { mut stream, tag } = next(&idle).await;
    assert_eq!(tag, 9);
    let error = stream.read(&mut [0; 1]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    drop(release);
    stall.join().unwrap().unwrap();
}

#[tokio::test]
async fn dropping_the_lot_closes_its_streams_and_no_others() {
    let (left, right) = stacks();
    let listener = TcpListener::bind(&right, at(80)).await.unwrap();
    let idle = IdleStreams::new(&right).unwrap();
    let other = IdleStreams::new(&right).unwrap();
    let peers = park_many(&left, &listener, &idle, 1500).await;
    let (mut apart, far) = open(&left, &listener).await;
    other.park(far, 0).unwrap();
    let (mut held, mut far) = open(&left, &listener).await;
    drop(idle);
    for (mut stream, _) in peers {
        let end = timeout(PATIENCE, stream.read(&mut [0; 1])).await.expect("stuck");
        assert_eq!(end.unwrap(), 0, "in good order");
    }
    apart.write_all(b"here").await.unwrap();
    assert_eq!(next(&other).await.tag, 0);
    held.write_all(b"here").await.unwrap();
    far.read_exact(&mut [0; 4]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_while_streams_are_parked_and_parking() {
    for round in 0..10 {
        let (left, right) = stacks();
        let listener = TcpListener::bind(&right, at(80)).await.unwrap();
        let idle = Arc::new(IdleStreams::new(&right).unwrap());
        let peers = park_many(&left, &listener, &idle, 100).await;
        let server = serve(&idle);
        let mut talkers = Vec::new();
        for (tag, (mut stream, _)) in (0..).zip(peers) {
            talkers.push(tokio::spawn(async move {
                for number in 0.. {
                    let line = format!("{tag}:{number}");
                    let mut buffer = vec![0; line.len()];
                    if stream.write_all(number.to_string().as_bytes()).await.is_err()
                        || stream.read_exact(&mut buffer).await.is_err()
                    {
                        return;
                    }
                    assert_eq!(buffer, line.as_bytes());
                }
            }));
        }
        tokio::time::sleep(Duration::from_millis(5 + round * 3)).await;
        let ending = right.clone();
        tokio::task::spawn_blocking(move || ending.shutdown()).await.unwrap();
        for talker in talkers {
            timeout(PATIENCE, talker).await.expect("stuck").unwrap();
        }
        timeout(PATIENCE, server).await.expect("stuck").unwrap();
        assert_eq!(idle.next().await.unwrap_err().kind(), ErrorKind::ConnectionAborted);
        let error = IdleStreams::new(&right).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
        left.shutdown();
    }
}

#[tokio::test]
async fn a_lot_without_streams_learns_that_the_stack_is_gone() {
    let (_left, right) = stacks();
    let idle = Arc::new(IdleStreams::new(&right).unwrap());
    let waits = Arc::clone(&idle);
    let waiter = tokio::spawn(async move { waits.next().await });
    tokio::time::sleep(Duration::from_millis(20)).await;
    tokio::task::spawn_blocking(move || right.shutdown()).await.unwrap();
    let end = timeout(PATIENCE, waiter).await.expect("stuck").unwrap();
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionAborted);
}
