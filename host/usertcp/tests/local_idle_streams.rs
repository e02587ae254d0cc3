//! Streams of one thread that own no task: parked, resumed, taken, dropped.
#![allow(clippy::expect_used, clippy::unwrap_used)] // helpers of tests are not tests to the lint

mod common;

use common::{PATIENCE, answer, at, next};
use std::cell::Cell;
use std::collections::HashMap;
use std::future::Future;
use std::io::ErrorKind;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::{JoinHandle, spawn_local, yield_now};
use tokio::time::timeout;
use usertcp::memory::{PipeConfig, pair};
use usertcp::{
    KeepAlive, LocalDriver, LocalIdleStreams, LocalListener, LocalStack, LocalStream, ParkRefusal,
    Parked, Resumed, Span, Stack,
};

fn run<T>(test: impl Future<Output = T>) -> T {
    let mut builder = Builder::new_current_thread();
    let runtime = builder.enable_all().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(async { timeout(PATIENCE, test).await.unwrap() })
}

/// Two stacks at 10.0.0.1 and 10.0.0.2, driven; the right one can be made to stand still.
struct Two {
    left: LocalStack,
    right: LocalStack,
    left_stands: Rc<Cell<bool>>,
    left_driver: JoinHandle<()>,
    right_driver: JoinHandle<()>,
}

struct Stoppable(LocalDriver, Rc<Cell<bool>>);

impl Future for Stoppable {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.1.get() { Poll::Pending } else { Pin::new(&mut self.0).poll(context) }
    }
}

fn two() -> Two {
    let (one, other) = pair(PipeConfig::default());
    let start = |end, address: &str, seed| {
        let builder = Stack::builder().memory(end).seed([seed; 32]).memory_budget(128 << 20);
        builder.address(address.parse().unwrap()).start_local().unwrap()
    };
    let (left, left_driver) = start(one, "10.0.0.1/24", 1);
    let (right, right_driver) = start(other, "10.0.0.2/24", 2);
    let left_stands = Rc::new(Cell::new(false));
    let left_driver = spawn_local(Stoppable(left_driver, Rc::clone(&left_stands)));
    Two { left, right, left_stands, left_driver, right_driver: spawn_local(right_driver) }
}

async fn open(from: &LocalStack, listener: &LocalListener) -> (LocalStream, LocalStream) {
    let (near, far) = tokio::join!(LocalStream::connect(from, at(80)), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

/// Parks `count` accepted streams with their order as tag. The peers' ends, in that order.
async fn park_many(
    two: &Two,
    listener: &LocalListener,
    idle: &LocalIdleStreams,
    count: u32,
) -> Vec<(LocalStream, Parked)> {
    let mut near = HashMap::new();
    let mut all = Vec::new();
    for tag in 0..count {
        let stream = LocalStream::connect(&two.left, at(80)).await.unwrap();
        near.insert(stream.local_addr().unwrap(), stream);
        let (far, from) = listener.accept().await.unwrap();
        all.push((near.remove(&from).unwrap(), idle.park(far, tag).unwrap()));
    }
    assert_eq!(idle.len(), count as usize);
    all
}

fn serve(idle: &Rc<LocalIdleStreams>) -> JoinHandle<()> {
    let idle = Rc::clone(idle);
    spawn_local(async move {
        while let Ok(Resumed { stream, tag }) = idle.next().await {
            let park = |stream, tag| idle.park(stream, tag);
            answer(stream, tag, LocalStream::try_read, park).await;
        }
    })
}

async fn hear(stream: &mut LocalStream, expected: &str) {
    let mut octets = vec![0; expected.len()];
    stream.read_exact(&mut octets).await.unwrap();
    assert_eq!(String::from_utf8(octets).unwrap(), expected);
}

async fn until(what: impl Fn() -> bool) {
    while !what() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn ten_thousand_parked_streams_answer_and_end() {
    const COUNT: u32 = 10_000;
    run(async {
        let two = two();
        let listener = LocalListener::bind(&two.right, at(80)).unwrap();
        let idle = Rc::new(LocalIdleStreams::new(&two.right).unwrap());
        let mut peers = park_many(&two, &listener, &idle, COUNT).await;
        let server = serve(&idle);
        let mut state = 7;
        for round in 0..2000 {
            let index = (next(&mut state) % u64::from(COUNT)) as u32;
            let stream = &mut peers[index as usize].0;
            stream.write_all(format!("question {round}").as_bytes()).await.unwrap();
            hear(stream, &format!("{index}:question {round}")).await;
        }
        // A burst on many at once.
        for index in (0..COUNT).step_by(5) {
            peers[index as usize].0.write_all(b"all").await.unwrap();
        }
        for index in (0..COUNT).step_by(5) {
            hear(&mut peers[index as usize].0, &format!("{index}:all")).await;
        }
        until(|| idle.len() == COUNT as usize).await;
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
        two.right.shutdown();
        server.await.unwrap();
        two.left.shutdown();
        let Two { left, right, left_driver, right_driver, .. } = two;
        left_driver.await.unwrap();
        right_driver.await.unwrap();
        for stack in [left, right] {
            let memory = stack.snapshot().memory;
            assert_eq!((memory.used_octets, memory.lent), (0, 0), "{memory:?}");
        }
    });
}

#[test]
fn taken_by_will_with_its_tag_and_named_for_life() {
    run(async {
        let two = two();
        let listener = LocalListener::bind(&two.right, at(80)).unwrap();
        let idle = LocalIdleStreams::new(&two.right).unwrap();
        let other = LocalIdleStreams::new(&two.right).unwrap();
        let mut peers = park_many(&two, &listener, &idle, 100).await;
        for _ in 0..2 {
            for (tag, (near, parked)) in (0..).zip(&mut peers) {
                assert!(other.take(*parked).unwrap().is_none(), "it is in another lot");
                let Resumed { mut stream, tag: kept } = idle.take(*parked).unwrap().unwrap();
                assert_eq!((kept, idle.len()), (tag, 99));
                assert!(idle.take(*parked).unwrap().is_none(), "it is back");
                stream.write_all(b"pushed").await.unwrap();
                assert_eq!(idle.park(stream, kept).unwrap(), *parked);
                hear(near, "pushed").await;
            }
        }
        // One that has something to read is `next`'s.
        let (near, parked) = &mut peers[42];
        near.write_all(b"x").await.unwrap();
        let resumed = idle.next().await.unwrap();
        assert_eq!(resumed.tag, 42);
        // Unread, it is due again at once, and not to be taken.
        let again = idle.park(resumed.stream, 43).unwrap();
        assert_eq!(again, *parked);
        assert!(idle.take(again).unwrap().is_none());
        assert_eq!(idle.next().await.unwrap().tag, 43);
        // A connection that somebody ended below, and whose slot is another's, is nobody's.
        let (_, parked) = peers[7];
        two.right.run(|context| context.abort(conn_of(context, peers[7].0.local_addr().unwrap())));
        assert!(idle.take(parked).unwrap().is_none());
    });
}

/// The connection whose peer is there.
fn conn_of(context: &usertcp::Context<'_>, peer: std::net::SocketAddr) -> usertcp::ConnId {
    let mut conn = context.next_connection(None);
    while let Some(id) = conn {
        if context.info(id).is_some_and(|info| info.remote == peer) {
            return id;
        }
        conn = context.next_connection(conn);
    }
    panic!("no such connection");
}

#[test]
fn refused_and_given_back() {
    run(async {
        let two = two();
        let listener = LocalListener::bind(&two.right, at(80)).unwrap();
        let idle = LocalIdleStreams::new(&two.right).unwrap();
        let (near, mut far) = open(&two.left, &listener).await;
        let error = idle.park(near, 1).unwrap_err();
        assert_eq!(error.refusal, ParkRefusal::Foreign);
        let mut near = error.stream;
        near.write_all(b"last").await.unwrap();
        near.shutdown().await.unwrap();
        let mut all = Vec::new();
        far.read_to_end(&mut all).await.unwrap();
        let error = idle.park(far, 2).unwrap_err();
        assert_eq!((error.refusal, &all[..]), (ParkRefusal::HalfClosed, &b"last"[..]));
        let mut far = error.stream;
        far.write_all(b"answer").await.unwrap();
        drop(far);
        near.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"lastanswer");
        let (_near, mut far) = open(&two.left, &listener).await;
        far.shutdown().await.unwrap();
        assert_eq!(idle.park(far, 3).unwrap_err().refusal, ParkRefusal::HalfClosed);
        let (near, mut far) = open(&two.left, &listener).await;
        near.abort();
        assert_eq!(far.read(&mut [0; 1]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(idle.park(far, 4).unwrap_err().refusal, ParkRefusal::Over);
        assert!(idle.is_empty());
        // 127 lots at once, and as many again when those are gone.
        for _ in 0..3 {
            let lots: Vec<_> =
                (0..126).map(|_| LocalIdleStreams::new(&two.right).unwrap()).collect();
            let refused = LocalIdleStreams::new(&two.right).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::OutOfMemory);
            drop(lots);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
}

#[test]
fn what_was_unread_and_unsent_survives_the_park() {
    run(async {
        let two = two();
        let listener = LocalListener::bind(&two.right, at(80)).unwrap();
        let idle = LocalIdleStreams::new(&two.right).unwrap();
        let (mut near, mut far) = open(&two.left, &listener).await;
        near.write_all(b"one.two.").await.unwrap();
        hear(&mut far, "one.").await;
        far.set_nodelay(true).unwrap();
        idle.park(far, 5).unwrap();
        let Resumed { stream: mut far, tag } = idle.next().await.unwrap();
        hear(&mut far, "two.").await;
        assert_eq!(tag, 5);
        assert!(far.settings().no_delay, "settings are the connection's");
        // Written until there is no room, and parked at once: it is sent all the same.
        let big = vec![7; 600_000];
        let mut written = 0;
        while let Ok(count) = far.try_write(&big[written..]) {
            written += count;
        }
        assert!(written > 10_000);
        idle.park(far, 6).unwrap();
        let mut got = vec![0; written];
        near.read_exact(&mut got).await.unwrap();
        assert!(got.iter().all(|octet| *octet == 7));
        near.write_all(b"thanks").await.unwrap();
        let Resumed { stream: mut far, tag } = idle.next().await.unwrap();
        hear(&mut far, "thanks").await;
        assert_eq!(tag, 6);
        // A writer that found no room when it parked finds it when it is back, and waits as ever.
        let writer = spawn_local(async move { far.write_all(&vec![8; 200_000]).await.unwrap() });
        let mut rest = Vec::new();
        near.read_to_end(&mut rest).await.unwrap();
        writer.await.unwrap();
        assert_eq!(rest.len(), 200_000);
    });
}

#[test]
fn a_parked_stream_that_ends_or_breaks_is_resumed_and_tells_why() {
    run(async {
        let two = two();
        let listener = LocalListener::bind(&two.right, at(80)).unwrap();
        let idle = LocalIdleStreams::new(&two.right).unwrap();
        let mut peers = park_many(&two, &listener, &idle, 4).await;
        peers.pop().unwrap().0.abort();
        let Resumed { mut stream, tag } = idle.next().await.unwrap();
        assert_eq!(tag, 3);
        stream.readable().await.unwrap();
        stream.writable().await.unwrap();
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(stream.write(b"x").await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(idle.park(stream, 0).unwrap_err().refusal, ParkRefusal::Over);
        drop(peers.pop());
        let Resumed { mut stream, tag } = idle.next().await.unwrap();
        assert_eq!((stream.read(&mut [0; 1]).await.unwrap(), tag), (0, 2));
        // Data and end together: both are found.
        let (mut last, _) = peers.pop().unwrap();
        last.write_all(b"goodbye").await.unwrap();
        drop(last);
        let Resumed { mut stream, tag } = idle.next().await.unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        assert_eq!((&all[..], tag), (&b"goodbye"[..], 1));
        assert_eq!(idle.len(), 1);
    });
}

#[test]
fn keep_alive_stays_in_force_while_parked() {
    run(async {
        let two = two();
        let listener = LocalListener::bind(&two.right, at(80)).unwrap();
        let idle = LocalIdleStreams::new(&two.right).unwrap();
        let (_near, far) = open(&two.left, &listener).await;
        let (idle_time, interval) = (Span::from_millis(300), Span::from_millis(100));
        let keep_alive = KeepAlive { enabled: true, idle: idle_time, interval, probes: 3 };
        far.set_keepalive(Some(keep_alive)).unwrap();
        idle.park(far, 9).unwrap();
        two.left_stands.set(true);
        let Resumed { mut stream, tag } = idle.next().await.unwrap();
        assert_eq!(tag, 9);
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap_err().kind(), ErrorKind::TimedOut);
    });
}

#[test]
fn dropping_the_lot_closes_its_streams_and_no_others() {
    run(async {
        let two = two();
        let listener = LocalListener::bind(&two.right, at(80)).unwrap();
        let idle = LocalIdleStreams::new(&two.right).unwrap();
        let other = LocalIdleStreams::new(&two.right).unwrap();
        let mut peers = park_many(&two, &listener, &idle, 3000).await;
        let (mut apart, far) = open(&two.left, &listener).await;
        other.park(far, 0).unwrap();
        let (mut held, mut far) = open(&two.left, &listener).await;
        // One has something to read that nobody will.
        peers[5].0.write_all(b"hello?").await.unwrap();
        until(|| peers[5].0.info().unwrap().figures.unwrap().octets_acknowledged >= 6).await;
        drop(idle);
        for (index, (mut stream, _)) in peers.into_iter().enumerate() {
            match stream.read(&mut [0; 1]).await {
                Ok(count) => assert_eq!((count, index == 5), (0, false)),
                Err(error) => {
                    assert_eq!((error.kind(), index), (ErrorKind::ConnectionReset, 5));
                }
            }
        }
        apart.write_all(b"here").await.unwrap();
        assert_eq!(other.next().await.unwrap().tag, 0);
        held.write_all(b"here").await.unwrap();
        hear(&mut far, "here").await;
    });
}

#[test]
fn a_shutdown_closes_what_is_parked_and_tells_who_waits() {
    run(async {
        let two = two();
        let listener = LocalListener::bind(&two.right, at(80)).unwrap();
        let idle = Rc::new(LocalIdleStreams::new(&two.right).unwrap());
        let peers = park_many(&two, &listener, &idle, 3000).await;
        let waits = Rc::clone(&idle);
        let waiter = spawn_local(async move { waits.next().await.unwrap_err().kind() });
        yield_now().await;
        let parked = peers[0].1;
        two.right.shutdown();
        assert_eq!(waiter.await.unwrap(), ErrorKind::ConnectionAborted);
        assert_eq!(idle.next().await.unwrap_err().kind(), ErrorKind::ConnectionAborted);
        assert_eq!(idle.take(parked).unwrap_err().kind(), ErrorKind::ConnectionAborted);
        let refused = LocalIdleStreams::new(&two.right).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionAborted);
        for (mut stream, _) in peers {
            assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0, "in good order");
        }
        two.right_driver.await.unwrap();
    });
}

#[test]
fn every_waiting_task_is_told_and_a_dropped_one_loses_nothing() {
    run(async {
        let two = two();
        let listener = LocalListener::bind(&two.right, at(80)).unwrap();
        let idle = Rc::new(LocalIdleStreams::new(&two.right).unwrap());
        let mut peers = park_many(&two, &listener, &idle, 40).await;
        let tasks: Vec<_> = (0..40)
            .map(|_| {
                let idle = Rc::clone(&idle);
                spawn_local(async move { idle.next().await.unwrap().tag })
            })
            .collect();
        yield_now().await;
        tokio::select! {
            biased;
            _ = idle.next() => panic!("nothing was sent"),
            () = yield_now() => {}
        }
        for (stream, _) in &mut peers {
            stream.write_all(b"x").await.unwrap();
        }
        let mut tags = Vec::new();
        for task in tasks {
            tags.push(task.await.unwrap());
        }
        tags.sort_unstable();
        assert_eq!(tags, (0..40).collect::<Vec<_>>());
    });
}
