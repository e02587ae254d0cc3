//! Streams of one thread: two stacks inside one runtime, joined by a pipe in memory.
#![allow(clippy::unwrap_used)] // helpers of tests are not tests to the lint

mod common;

use common::{PATIENCE, at, next, receive, send};
use std::cell::Cell;
use std::future::Future;
use std::io::ErrorKind;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::{JoinHandle, spawn_local, yield_now};
use tokio::time::{sleep, timeout};
use usertcp::memory::{PipeConfig, ThreadPipe, pair};
use usertcp::{
    Class, CloseReason, Ended, ListenOptions, LocalDriver, LocalListener, LocalStack, LocalStream,
    Stack, StateName, TcpListener, TcpStream,
};

/// Runs a test to its end in a runtime of one thread.
fn run<T>(test: impl Future<Output = T>) -> T {
    let mut builder = Builder::new_current_thread();
    let runtime = builder.enable_all().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(async { timeout(PATIENCE, test).await.unwrap() })
}

fn stack(end: ThreadPipe, address: &str, seed: u8) -> (LocalStack, LocalDriver) {
    let builder = Stack::builder().memory(end).seed([seed; 32]).address(address.parse().unwrap());
    builder.start_local().unwrap()
}

/// Two stacks at 10.0.0.1 and 10.0.0.2, driven.
struct Two {
    left: LocalStack,
    right: LocalStack,
    left_driver: JoinHandle<()>,
    right_driver: JoinHandle<()>,
}

fn two() -> Two {
    let (one, other) = pair(PipeConfig::default());
    let (left, left_driver) = stack(one, "10.0.0.1/24", 1);
    let (right, right_driver) = stack(other, "10.0.0.2/24", 2);
    let (left_driver, right_driver) = (spawn_local(left_driver), spawn_local(right_driver));
    Two { left, right, left_driver, right_driver }
}

async fn open(from: &LocalStack, listener: &LocalListener) -> (LocalStream, LocalStream) {
    let to = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(LocalStream::connect(from, to), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

/// Two stacks and one connection between them.
async fn joined() -> (Two, LocalStream, LocalStream) {
    let two = two();
    let listener = LocalListener::bind(&two.right, at(80)).unwrap();
    let (near, far) = open(&two.left, &listener).await;
    (two, near, far)
}

async fn echo(stream: LocalStream) {
    let (mut reader, mut writer) = stream.into_split();
    tokio::io::copy(&mut reader, &mut writer).await.unwrap();
    writer.shutdown().await.unwrap();
}

#[test]
fn octets_go_both_ways_at_once() {
    run(async {
        let (_two, mut near, mut far) = joined().await;
        let total = 8 << 20;
        let (mut near_read, mut near_write) = near.split();
        let (mut far_read, mut far_write) = far.split();
        let (sent, came, sent_back, came_back) = tokio::join!(
            send(&mut near_write, total, 1),
            receive(&mut far_read),
            send(&mut far_write, total, 2),
            receive(&mut near_read),
        );
        assert_eq!(sent, came);
        assert_eq!(sent_back, came_back);
    });
}

#[test]
fn a_local_stack_talks_to_one_with_a_thread_of_its_own() {
    let (one, other) = pair(PipeConfig::default());
    let threaded = Stack::builder().memory(other).address("10.0.0.2/24".parse().unwrap());
    let threaded = threaded.start().unwrap();
    run(async {
        let (local, driver) = stack(one, "10.0.0.1/24", 1);
        spawn_local(driver);
        let listener = TcpListener::bind(&threaded, at(80)).await.unwrap();
        let (near, far) = tokio::join!(LocalStream::connect(&local, at(80)), listener.accept());
        let (near, far): (_, TcpStream) = (near.unwrap(), far.unwrap().0);
        let echo = spawn_local(common::echo(far));
        let (mut reader, mut writer) = near.into_split();
        let (sent, came) = tokio::join!(send(&mut writer, 4 << 20, 3), receive(&mut reader));
        assert_eq!(sent, came);
        echo.await.unwrap();
    });
}

#[test]
fn a_local_set_will_do() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let set = tokio::task::LocalSet::new();
    set.block_on(&runtime, async {
        let (_two, mut near, far) = joined().await;
        spawn_local(echo(far));
        near.write_all(b"hello").await.unwrap();
        near.shutdown().await.unwrap();
        let mut answer = Vec::new();
        near.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"hello");
    });
}

#[test]
fn half_closed_both_orders() {
    run(async {
        let (_two, mut near, mut far) = joined().await;
        near.write_all(b"request").await.unwrap();
        near.shutdown().await.unwrap();
        let mut request = Vec::new();
        far.read_to_end(&mut request).await.unwrap();
        assert_eq!(request, b"request");
        assert_eq!(far.info().unwrap().state, StateName::CloseWait);
        far.write_all(b"answer").await.unwrap();
        assert_eq!(near.write(b"more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        drop(far);
        let mut answer = Vec::new();
        near.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"answer");
        // The end is found as often as it is looked for.
        assert_eq!(near.read(&mut [0; 8]).await.unwrap(), 0);
        near.readable().await.unwrap();
    });
}

#[test]
fn a_writer_waits_for_a_slow_reader() {
    run(async {
        let (_two, mut near, mut far) = joined().await;
        let block = vec![7; 64 << 10];
        let mut written = 0;
        // Until nothing moves: what is written next stays in this end.
        loop {
            match near.try_write(&block) {
                Ok(octets) => written += octets,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    if timeout(Duration::from_millis(300), near.writable()).await.is_err() {
                        break;
                    }
                }
            }
        }
        assert!(written > 128 << 10, "{written}");
        let writer = spawn_local(async move {
            near.writable().await.unwrap();
            near.write_all(&[8; 1000]).await.unwrap();
            near.shutdown().await.unwrap();
        });
        let mut all = Vec::new();
        far.read_to_end(&mut all).await.unwrap();
        writer.await.unwrap();
        assert_eq!(all.len(), written + 1000);
        assert!(all[..written].iter().all(|octet| *octet == 7));
        assert!(all[written..].iter().all(|octet| *octet == 8));
    });
}

#[test]
fn three_hundred_streams_at_once() {
    run(async {
        let two = two();
        let listener = LocalListener::bind(&two.right, at(80)).unwrap();
        let server = spawn_local(async move {
            for _ in 0..300 {
                spawn_local(echo(listener.accept().await.unwrap().0));
            }
        });
        let mut clients = Vec::new();
        for number in 0..300u32 {
            let mut stream = LocalStream::connect(&two.left, at(80)).await.unwrap();
            clients.push(spawn_local(async move {
                for round in 0..20u32 {
                    let message = (number * 1000 + round).to_be_bytes();
                    stream.write_all(&message).await.unwrap();
                    let mut answer = [0; 4];
                    stream.read_exact(&mut answer).await.unwrap();
                    assert_eq!(answer, message);
                }
            }));
        }
        for client in clients {
            client.await.unwrap();
        }
        server.await.unwrap();
        assert_eq!(two.right.counters().passive_opens, 300);
    });
}

#[test]
fn a_read_that_is_given_up_takes_nothing() {
    run(async {
        let (_two, mut near, mut far) = joined().await;
        for round in 0..20u8 {
            let mut buffer = [0; 4];
            tokio::select! {
                biased;
                _ = far.read(&mut buffer) => panic!("nothing was sent"),
                () = yield_now() => {}
            }
            near.write_all(&[round; 4]).await.unwrap();
            far.read_exact(&mut buffer).await.unwrap();
            assert_eq!(buffer, [round; 4]);
        }
    });
}

#[test]
fn several_tasks_wait_for_one_stream() {
    run(async {
        let (_two, mut near, far) = joined().await;
        let far = Rc::new(far);
        let waiting: Vec<_> = (0..40)
            .map(|_| {
                let far = Rc::clone(&far);
                spawn_local(async move { far.readable().await.unwrap() })
            })
            .collect();
        yield_now().await;
        near.write_all(b"x").await.unwrap();
        for task in waiting {
            task.await.unwrap();
        }
        let mut buffer = [0; 8];
        assert_eq!(far.try_read(&mut buffer).unwrap(), 1);
        assert_eq!(far.try_read(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn the_backlog_waits_to_be_accepted() {
    run(async {
        let two = two();
        let options = ListenOptions { backlog: 8, ..ListenOptions::default() };
        let listener = LocalListener::bind_with(&two.right, at(80), options).unwrap();
        let mut near = Vec::new();
        for _ in 0..8 {
            near.push(LocalStream::connect(&two.left, at(80)).await.unwrap());
        }
        let mut ports = Vec::new();
        for _ in 0..8 {
            let (stream, peer) = listener.accept().await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), peer);
            ports.push(peer.port());
        }
        let expected: Vec<_> = near.iter().map(|near| near.local_addr().unwrap().port()).collect();
        assert_eq!(ports, expected);
        tokio::select! {
            biased;
            _ = listener.accept() => panic!("nobody else came"),
            () = yield_now() => {}
        }
        let (_ninth, accepted) = open(&two.left, &listener).await;
        assert_eq!(accepted.local_addr().unwrap(), at(80));
    });
}

#[test]
fn a_dropped_listener_resets_and_refuses() {
    run(async {
        let two = two();
        let listener = LocalListener::bind(&two.right, at(80)).unwrap();
        let used = LocalListener::bind(&two.right, at(80)).unwrap_err();
        assert_eq!(used.kind(), ErrorKind::AddrInUse);
        let mut waiting = LocalStream::connect(&two.left, at(80)).await.unwrap();
        drop(listener);
        let error = waiting.read(&mut [0; 1]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let inner = error.get_ref().unwrap().downcast_ref::<Ended>();
        assert_eq!(inner, Some(&Ended(CloseReason::Reset)));
        let refused = LocalStream::connect(&two.left, at(80)).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_connect_that_is_given_up_leaves_nothing() {
    run(async {
        let two = two();
        let nowhere = ([10, 0, 0, 77], 80).into();
        let attempt = timeout(Duration::from_millis(20), LocalStream::connect(&two.left, nowhere));
        assert!(attempt.await.is_err());
        yield_now().await;
        assert_eq!(two.left.connections(10).len(), 0);
    });
}

#[test]
fn the_first_data_goes_with_the_handshake() {
    run(async {
        let two = two();
        let options = ListenOptions { fast_open: Some(Default::default()), ..Default::default() };
        let listener = LocalListener::bind_with(&two.right, at(80), options).unwrap();
        for _ in 0..2 {
            let first = b"first of all";
            let near = LocalStream::connect_with_data(&two.left, at(80), Default::default(), first);
            let (near, far) = tokio::join!(near, listener.accept());
            let ((mut near, taken), (mut far, _)) = (near.unwrap(), far.unwrap());
            near.write_all(&first[taken..]).await.unwrap();
            near.shutdown().await.unwrap();
            let mut all = Vec::new();
            far.read_to_end(&mut all).await.unwrap();
            assert_eq!(all, first);
        }
        // The first brought a cookie, the second used it.
        assert_eq!(two.left.counters().fast_opens_out, 1);
        assert_eq!(two.right.counters().fast_opens_in, 1);
    });
}

#[test]
fn data_unread_makes_it_a_reset() {
    run(async {
        let (_two, mut near, far) = joined().await;
        near.write_all(b"nobody reads this").await.unwrap();
        far.readable().await.unwrap();
        drop(far);
        let error = near.read(&mut [0; 1]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let (_two, near, mut far) = joined().await;
        near.abort();
        assert_eq!(far.read(&mut [0; 1]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn halves_in_two_tasks_and_together_again() {
    run(async {
        let (_two, near, far) = joined().await;
        let (near_reader, near_writer) = near.into_split();
        let (mut far_reader, far_writer) = far.into_split();
        let mixed = near_reader.reunite(far_writer).unwrap_err();
        let (near_reader, far_writer) = (mixed.0, mixed.1);
        let mut near = near_reader.reunite(near_writer).unwrap();
        assert_eq!(near.peer_addr().unwrap(), at(80));
        let reading = spawn_local(async move {
            let mut all = Vec::new();
            far_reader.read_to_end(&mut all).await.unwrap();
            all
        });
        near.write_all(b"to the end").await.unwrap();
        // A writing half that goes sends FIN; the reading half reads on.
        drop(far_writer);
        assert_eq!(near.read(&mut [0; 1]).await.unwrap(), 0);
        near.shutdown().await.unwrap();
        assert_eq!(reading.await.unwrap(), b"to the end");
    });
}

#[test]
fn frames_move_without_a_copy() {
    run(async {
        let (two, near, far) = joined().await;
        let mut frame = two.left.frame(Class::Full).unwrap();
        frame.extend(b"one frame");
        near.write_chain(frame.into_slice().into()).await.unwrap();
        let slice = far.read_slice().await.unwrap().unwrap();
        assert_eq!(&slice[..], b"one frame");
        // What was received goes back as it is.
        far.write_chain(slice.into()).await.unwrap();
        let back = near.read_slice().await.unwrap().unwrap();
        assert_eq!(&back[..], b"one frame");
        drop(near);
        assert!(far.read_slice().await.unwrap().is_none());
    });
}

#[test]
fn vectored_writes_are_one_stream() {
    run(async {
        let (_two, mut near, mut far) = joined().await;
        let parts = [&b"head"[..], b"", b" and ", b"body"].map(std::io::IoSlice::new);
        assert_eq!(near.write_vectored(&parts).await.unwrap(), 13);
        let mut all = [0; 13];
        far.read_exact(&mut all).await.unwrap();
        assert_eq!(&all, b"head and body");
        assert_eq!(near.write(b"").await.unwrap(), 0);
    });
}

#[test]
fn options_reach_the_connection() {
    run(async {
        let (_two, near, _far) = joined().await;
        near.set_nodelay(true).unwrap();
        near.set_hop_limit(9).unwrap();
        assert!(near.nodelay().unwrap());
        assert_eq!(near.settings().hop_limit, 9);
        assert_eq!(near.set_dscp(64).unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn a_shutdown_delivers_what_was_written() {
    run(async {
        let (two, mut near, mut far) = joined().await;
        let listener = LocalListener::bind(&two.left, ([10, 0, 0, 1], 80).into()).unwrap();
        near.write_all(&vec![1; 100_000]).await.unwrap();
        two.left.shutdown();
        for error in [
            near.read(&mut [0; 1]).await.unwrap_err(),
            near.write(b"more").await.unwrap_err(),
            LocalStream::connect(&two.left, at(80)).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::ConnectionAborted, "{error}");
        }
        // Not `ConnectionAborted`, by which loops that accept go on at once.
        let accepted = listener.accept().await.map(drop);
        assert_eq!(accepted.unwrap_err().kind(), ErrorKind::NetworkDown);
        let mut all = Vec::new();
        far.read_to_end(&mut all).await.unwrap();
        assert_eq!(all.len(), 100_000);
        drop(far);
        two.left_driver.await.unwrap();
        // The last handle does the same.
        drop((near, listener, two.left));
        drop(two.right);
        two.right_driver.await.unwrap();
    });
}

#[test]
fn readers_learn_that_the_stack_is_shut_down() {
    run(async {
        let (two, mut near, far) = joined().await;
        let reading = spawn_local(async move { near.read(&mut [0; 1]).await.unwrap_err().kind() });
        yield_now().await;
        two.left.shutdown();
        assert_eq!(reading.await.unwrap(), ErrorKind::ConnectionAborted);
        drop(far);
        two.left_driver.await.unwrap();
    });
}

#[test]
fn a_driver_that_goes_takes_all_with_it() {
    run(async {
        let (two, mut near, mut far) = joined().await;
        let reading = spawn_local(async move { near.read(&mut [0; 1]).await.unwrap_err().kind() });
        yield_now().await;
        two.left_driver.abort();
        assert_eq!(reading.await.unwrap(), ErrorKind::ConnectionAborted);
        assert_eq!(far.read(&mut [0; 1]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        let late = LocalStream::connect(&two.left, at(80)).await.unwrap_err();
        assert_eq!(late.kind(), ErrorKind::ConnectionAborted);
    });
}

/// A driver that can be made to stand still.
struct Stoppable(LocalDriver, Rc<Cell<bool>>);

impl Future for Stoppable {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.1.get() { Poll::Pending } else { Pin::new(&mut self.0).poll(context) }
    }
}

#[test]
fn a_peer_that_falls_silent_is_given_up_in_time() {
    run(async {
        let (one, other) = pair(PipeConfig::default());
        let (left, left_driver) = stack(one, "10.0.0.1/24", 1);
        let (right, right_driver) = stack(other, "10.0.0.2/24", 2);
        let still = Rc::new(Cell::new(false));
        spawn_local(left_driver);
        spawn_local(Stoppable(right_driver, Rc::clone(&still)));
        let listener = LocalListener::bind(&right, at(80)).unwrap();
        let (mut near, _far) = open(&left, &listener).await;
        still.set(true);
        near.set_user_timeout(Some(Duration::from_millis(500))).unwrap();
        near.write_all(b"is anybody there?").await.unwrap();
        let error = near.read(&mut [0; 1]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    });
}

/// Processor time of this thread, and how often it gave the processor up, which a thread that sleeps does
/// once a sleep.
fn used() -> (u64, u64) {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/thread-self/{file}")).unwrap();
    let cpu = read("schedstat").split(' ').next().unwrap().parse().unwrap();
    let status = read("status");
    let line = status.lines().find(|line| line.starts_with("voluntary")).unwrap();
    (cpu, line.split_whitespace().nth(1).unwrap().parse().unwrap())
}

#[test]
fn an_idle_stack_sleeps() {
    run(async {
        let two = two();
        let listener = LocalListener::bind(&two.right, at(80)).unwrap();
        let mut streams = Vec::new();
        for _ in 0..20 {
            let (mut near, mut far) = open(&two.left, &listener).await;
            near.write_all(b"here I am").await.unwrap();
            far.read_exact(&mut [0; 9]).await.unwrap();
            streams.push((near, far));
        }
        // Delayed acknowledgements.
        sleep(Duration::from_millis(400)).await;
        let before = used();
        sleep(Duration::from_millis(500)).await;
        let (cpu, sleeps) = used();
        assert!(sleeps - before.1 < 20, "{} sleeps", sleeps - before.1);
        assert!(cpu - before.0 < 20_000_000, "{} ns", cpu - before.0);
        // It wakes as well as it sleeps.
        for (near, far) in &mut streams {
            near.write_all(b"still").await.unwrap();
            far.read_exact(&mut [0; 5]).await.unwrap();
        }
    });
}

/// Tasks that write, read, yield, sleep and give up as a generator says; every octet arrives.
#[test]
fn no_wake_up_is_lost() {
    run(async {
        let two = two();
        let listener = LocalListener::bind(&two.right, at(80)).unwrap();
        let mut tasks = Vec::new();
        for seed in 1..=16u64 {
            let (near, far) = open(&two.left, &listener).await;
            let (mut near_read, mut near_write) = near.into_split();
            tasks.push(spawn_local(echo_with_pauses(far, seed)));
            tasks.push(spawn_local(async move {
                send(&mut near_write, 300_000, seed).await;
            }));
            tasks.push(spawn_local(async move {
                assert_eq!(receive(&mut near_read).await.0, 300_000);
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    });
}

async fn echo_with_pauses(mut stream: LocalStream, seed: u64) {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut buffer = vec![0; 20_000];
    loop {
        let most = 1 + next(&mut state) as usize % buffer.len();
        let count = match timeout(Duration::from_micros(50), stream.read(&mut buffer[..most])).await
        {
            Ok(read) => read.unwrap(),
            Err(_) => continue,
        };
        if count == 0 {
            return stream.shutdown().await.unwrap();
        }
        match next(&mut state) % 8 {
            0 => sleep(Duration::from_millis(1)).await,
            1..=3 => yield_now().await,
            _ => {}
        }
        stream.write_all(&buffer[..count]).await.unwrap();
    }
}
