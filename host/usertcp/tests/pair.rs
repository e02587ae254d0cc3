//! Two stacks of one process, joined by a pipe between their threads.
#![allow(clippy::unwrap_used)] // helpers of tests are not tests to the lint

mod common;

use common::*;
use std::io::{ErrorKind, IoSlice};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use usertcp::{
    ConnectOptions, FastOpenListen, KeepAlive, ListenOptions, SharedKey, TcpListener, TcpStream,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_mebibytes_both_ways_at_once() {
    const TOTAL: usize = 64 << 20;
    let (left, right) = stacks();
    let listener = TcpListener::bind(&right, at(80)).await.unwrap();
    let (near, far) = open(&left, &listener).await;
    let begun = Instant::now();
    let (mut near_read, mut near_write) = near.into_split();
    let (mut far_read, mut far_write) = far.into_split();
    let tasks = [
        tokio::spawn(async move { send(&mut near_write, TOTAL, 1).await }),
        tokio::spawn(async move { send(&mut far_write, TOTAL, 2).await }),
        tokio::spawn(async move { receive(&mut near_read).await }),
        tokio::spawn(async move { receive(&mut far_read).await }),
    ];
    let mut sums = Vec::new();
    for task in tasks {
        sums.push(tokio::time::timeout(PATIENCE, task).await.expect("stuck").unwrap());
    }
    assert_eq!(sums[0], sums[3]);
    assert_eq!(sums[1], sums[2]);
    assert_eq!(sums[0].0, TOTAL);
    println!("2 x {TOTAL} octets in {:?}", begun.elapsed());
    let counters = left.counters();
    // A thread that gets no processor for a while looks like a lost tail to its peer; more than
    // that would be a fault.
    assert!(counters.segments_retransmitted < 100, "{counters:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_streams_at_once() {
    let (left, right) = stacks();
    let listener = TcpListener::bind(&right, at(80)).await.unwrap();
    let server = tokio::spawn(async move {
        for _ in 0..500 {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(echo(stream));
        }
    });
    let mut tasks = Vec::new();
    for number in 0..500u64 {
        let left = left.clone();
        tasks.push(tokio::spawn(async move {
            let stream = TcpStream::connect(&left, at(80)).await.unwrap();
            let (mut reader, mut writer) = stream.into_split();
            let sender = tokio::spawn(async move { send(&mut writer, 100_000, number).await });
            let received = receive(&mut reader).await;
            assert_eq!(received, sender.await.unwrap());
        }));
    }
    for task in tasks {
        tokio::time::timeout(PATIENCE, task).await.expect("stuck").unwrap();
    }
    server.await.unwrap();
    drop(right);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_offloads() {
    let config = usertcp::memory::PipeConfig { mtu: 1280, offload: false };
    let (left, right) = stacks_over(config);
    let listener = TcpListener::bind(&right, at(80)).await.unwrap();
    let (near, mut far) = open(&left, &listener).await;
    let (_reader, mut writer) = near.into_split();
    let sender = tokio::spawn(async move { send(&mut writer, 8 << 20, 5).await });
    let received = tokio::time::timeout(PATIENCE, receive(&mut far)).await.expect("stuck");
    assert_eq!(received, sender.await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn little_memory_is_slow_and_correct() {
    let (left, right) = stacks_with(Default::default(), 6 << 20);
    let listener = TcpListener::bind(&right, at(80)).await.unwrap();
    let mut tasks = Vec::new();
    for number in 0..20 {
        let (near, far) = open(&left, &listener).await;
        tokio::spawn(echo(far));
        tasks.push(tokio::spawn(async move {
            let (mut reader, mut writer) = near.into_split();
            let sender = tokio::spawn(async move { send(&mut writer, 1 << 20, number).await });
            assert_eq!(receive(&mut reader).await, sender.await.unwrap());
        }));
    }
    for task in tasks {
        tokio::time::timeout(PATIENCE, task).await.expect("stuck").unwrap();
    }
    let memory = right.snapshot().memory;
    assert!(memory.peak_octets <= memory.budget_octets);
}

#[tokio::test]
async fn half_closed_both_orders() {
    let (left, right) = stacks();
    let listener = TcpListener::bind(&right, at(80)).await.unwrap();
    let (mut near, mut far) = open(&left, &listener).await;
    near.write_all(b"question").await.unwrap();
    near.shutdown().await.unwrap();
    assert_eq!(near.write(b"more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    let mut question = Vec::new();
    far.read_to_end(&mut question).await.unwrap();
    assert_eq!(question, b"question");
    tokio::time::sleep(Duration::from_millis(20)).await;
    far.write_all(b"a long answer").await.unwrap();
    drop(far);
    let mut answer = Vec::new();
    near.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"a long answer");
}

#[tokio::test]
async fn errors_have_their_kinds() {
    let (left, right) = stacks();
    let refused = TcpStream::connect(&left, at(81)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    let nobody = TcpStream::connect(&left, ([0, 0, 0, 0], 80).into()).await.unwrap_err();
    assert_eq!(nobody.kind(), ErrorKind::InvalidInput);

    let listener = TcpListener::bind(&right, at(80)).await.unwrap();
    let again = TcpListener::bind(&right, at(80)).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AddrInUse);
    let elsewhere = TcpListener::bind(&right, ([10, 9, 9, 9], 80).into()).await.unwrap_err();
    assert_eq!(elsewhere.kind(), ErrorKind::AddrNotAvailable);

    let (mut near, far) = open(&left, &listener).await;
    far.abort();
    let reset = near.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
    let ended = reset.get_ref().and_then(|inner| inner.downcast_ref::<usertcp::Ended>());
    assert_eq!(ended.unwrap().0, usertcp::CloseReason::Reset);

    // Unread data makes a drop a reset (RFC 9293, SHLD-3).
    let (mut near, far) = open(&left, &listener).await;
    near.write_all(b"nobody reads this").await.unwrap();
    far.readable().await.unwrap();
    drop(far);
    let reset = near.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_dropped_listener_resets_and_refuses() {
    let (left, right) = stacks();
    let listener = TcpListener::bind(&right, at(80)).await.unwrap();
    let mut waiting = Vec::new();
    for _ in 0..100 {
        waiting.push(TcpStream::connect(&left, at(80)).await.unwrap());
    }
    drop(listener);
    for stream in &mut waiting {
        let end = tokio::time::timeout(PATIENCE, stream.read(&mut [0; 1])).await.expect("stuck");
        assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
    let refused = TcpStream::connect(&left, at(80)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    TcpListener::bind(&right, at(80)).await.unwrap();
}

#[tokio::test]
async fn a_connect_that_is_given_up_leaves_nothing() {
    let (left, right) = stacks();
    // The pipe's other end is dead: nobody answers.
    right.shutdown();
    let attempt = TcpStream::connect(&left, at(80));
    assert!(tokio::time::timeout(Duration::from_millis(50), attempt).await.is_err());
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(left.connections(10).await.unwrap().is_empty());
}

#[tokio::test]
async fn vectored_and_owned() {
    let (left, right) = stacks();
    let listener = TcpListener::bind(&right, at(80)).await.unwrap();
    let (mut near, far) = open(&left, &listener).await;
    let parts =
        [IoSlice::new(b"one "), IoSlice::new(b""), IoSlice::new(b"two "), IoSlice::new(b"three")];
    assert_eq!(near.write_vectored(&parts).await.unwrap(), 13);
    let mut buffer = near.reserve(6).await.unwrap();
    assert_eq!(buffer.extend(b" four!"), 6);
    near.write_owned(buffer).await.unwrap();
    near.shutdown().await.unwrap();
    let mut all = Vec::new();
    while let Some(piece) = far.read_owned().await.unwrap() {
        // Back over the other stack's stream as it is: the same stack, no copy.
        all.extend_from_slice(&piece);
        far.write_owned(piece).await.unwrap();
    }
    assert_eq!(all, b"one two three four!");
    far.shutdown_write().await.unwrap();
    let mut back = Vec::new();
    near.read_to_end(&mut back).await.unwrap();
    assert_eq!(back, all);

    let foreign = near.reserve(10).await;
    assert_eq!(foreign.unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn options_reach_the_connection() {
    let (left, right) = stacks();
    let listener = TcpListener::bind(&right, at(80)).await.unwrap();
    let (mut near, mut far) = open(&left, &listener).await;
    near.set_nodelay(true).unwrap();
    near.set_keepalive(Some(KeepAlive::default())).unwrap();
    near.set_user_timeout(Some(Duration::from_secs(9))).unwrap();
    near.set_hop_limit(7).unwrap();
    assert_eq!(near.set_dscp(64).unwrap_err().kind(), ErrorKind::InvalidInput);
    near.set_rate_limit(Some(1_000_000)).unwrap();
    assert!(near.nodelay().unwrap());
    let info = near.info().await.unwrap();
    assert_eq!(info.remote, far.local_addr().unwrap());
    assert_eq!(info.local, far.peer_addr().unwrap());
    assert_eq!(info.figures.unwrap().rate_limit.octets_per_second(), 1_000_000);

    let begun = Instant::now();
    let writer = tokio::spawn(async move {
        near.write_all(&vec![0; 300_000]).await.unwrap();
        near
    });
    far.read_exact(&mut vec![0; 300_000]).await.unwrap();
    let took = begun.elapsed();
    assert!(took > Duration::from_millis(150) && took < Duration::from_secs(2), "{took:?}");
    let rows = left.connections(10).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert!(rows[0].info.unwrap().octets_acknowledged > 100_000);
    drop(writer.await.unwrap());
}

/// Held back while corked, and there when the cork is out.
#[tokio::test]
async fn a_cork_holds_a_partial_segment() {
    let (left, right) = stacks();
    let listener = TcpListener::bind(&right, at(80)).await.unwrap();
    let (mut near, mut far) = open(&left, &listener).await;
    near.set_nodelay(true).unwrap();
    let mut seen_waiting = false;
    // A machine that stands still for 200 ms between the two lines sees nothing wait: again, then.
    for _ in 0..20 {
        near.set_cork(true).unwrap();
        near.write_all(b"hello").await.unwrap();
        seen_waiting |= near.info().await.unwrap().figures.unwrap().unsent_octets == 5;
        near.set_cork(false).unwrap();
        let mut buffer = [0; 5];
        far.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"hello");
    }
    assert!(seen_waiting);
    assert_eq!(near.info().await.unwrap().figures.unwrap().unsent_octets, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_in_the_middle_of_everything() {
    let (left, right) = stacks();
    let listener = TcpListener::bind(&right, at(80)).await.unwrap();
    let mut tasks = Vec::new();
    for number in 0..8 {
        let (near, far) = open(&left, &listener).await;
        tokio::spawn(echo(far));
        tasks.push(tokio::spawn(async move {
            let (mut reader, mut writer) = near.into_split();
            let sender = tokio::spawn(async move {
                let octets = vec![number as u8; 100_000];
                while writer.write_all(&octets).await.is_ok() {}
            });
            let mut sink = vec![0; 65_536];
            while matches!(reader.read(&mut sink).await, Ok(count) if count > 0) {}
            sender.await.unwrap();
        }));
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let begun = Instant::now();
    let left = tokio::task::spawn_blocking(move || {
        left.shutdown();
        left
    });
    let left = left.await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    for task in tasks {
        tokio::time::timeout(PATIENCE, task).await.expect("stuck").unwrap();
    }
    let late = TcpStream::connect(&left, at(80)).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::ConnectionAborted);
    assert!(!left.is_running() && right.is_running());
    assert_eq!(left.snapshot().connections, 0);
}

#[tokio::test]
async fn what_was_written_before_the_end_arrives() {
    let (left, right) = stacks();
    let listener = TcpListener::bind(&right, at(80)).await.unwrap();
    let (mut near, mut far) = open(&left, &listener).await;
    near.write_all(&vec![7; 1 << 20]).await.unwrap();
    let reader = tokio::spawn(async move {
        let mut all = Vec::new();
        far.read_to_end(&mut all).await.map(|_| all.len())
    });
    drop(near);
    tokio::task::spawn_blocking(move || drop(left)).await.unwrap();
    assert_eq!(reader.await.unwrap().unwrap(), 1 << 20);
}

#[tokio::test]
async fn one_listener_at_every_port() {
    let (left, right) = stacks();
    let options = usertcp::ListenOptions::default();
    let all = TcpListener::bind_at(&right, Default::default(), options).await.unwrap();
    let free = TcpListener::bind(&right, at(0)).await.unwrap();
    assert_ne!(free.local_addr().unwrap().port(), 0);
    let near = TcpStream::connect(&left, at(4711)).await.unwrap();
    let (far, peer) = all.accept().await.unwrap();
    assert_eq!(far.local_addr().unwrap(), at(4711));
    assert_eq!(peer, near.local_addr().unwrap());
    let (near, _far) = open(&left, &free).await;
    assert_eq!(near.peer_addr().unwrap(), free.local_addr().unwrap());
}

/// Every wait is short of something that only the other side brings; one wake-up lost, and a
/// round does not end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_wake_up_is_lost() {
    let (left, right) = stacks();
    let listener = Arc::new(TcpListener::bind(&right, at(80)).await.unwrap());
    let mut tasks = Vec::new();
    for number in 0..16u64 {
        let (mut near, mut far) = open(&left, &listener).await;
        near.set_nodelay(true).unwrap();
        far.set_nodelay(true).unwrap();
        tasks.push(tokio::spawn(async move {
            let mut random = number + 1;
            let (mut here, mut there) = ([0u8; 400], [0u8; 400]);
            for round in 0..400 {
                let size = 1 + next(&mut random) as usize % 400;
                here[..size].fill(round as u8);
                near.write_all(&here[..size]).await.unwrap();
                pause(next(&mut random)).await;
                far.read_exact(&mut there[..size]).await.unwrap();
                assert_eq!(here[..size], there[..size]);
                far.write_all(&there[..1]).await.unwrap();
                pause(next(&mut random)).await;
                near.readable().await.unwrap();
                near.read_exact(&mut here[..1]).await.unwrap();
            }
        }));
    }
    for task in tasks {
        tokio::time::timeout(PATIENCE, task).await.expect("a wake-up was lost").unwrap();
    }
}

async fn pause(random: u64) {
    for _ in 0..random % 4 {
        tokio::task::yield_now().await;
    }
    if random.is_multiple_of(97) {
        tokio::time::sleep(Duration::from_micros(random % 1500)).await;
    }
}

// proves 7413-2, 7413-5
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_data_goes_with_the_syn_once_a_cookie_is_known() {
    let (left, right) = stacks();
    let fast_open = Some(FastOpenListen::default());
    let options = ListenOptions { fast_open, ..ListenOptions::default() };
    let listener = TcpListener::bind_with(&right, at(80), options).await.unwrap();
    for round in 0..4_u64 {
        let opening =
            TcpStream::connect_with_data(&left, at(80), ConnectOptions::default(), b"question");
        let (opened, accepted) = tokio::join!(opening, listener.accept());
        let ((mut near, taken), (mut far, _)) = (opened.unwrap(), accepted.unwrap());
        assert_eq!(taken, 8);
        let mut question = [0; 8];
        far.read_exact(&mut question).await.unwrap();
        assert_eq!(&question, b"question");
        far.write_all(b"answer").await.unwrap();
        far.shutdown().await.unwrap();
        let mut answer = Vec::new();
        near.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"answer");
        // A new key: the cookie is still good, and exchanged; the time after it is as before.
        if round == 1 {
            let key = SharedKey::from_octets([7; 16]);
            right.run(move |context| context.rotate_fast_open_key(key)).await.unwrap();
        }
        let taken = right.run(|context| context.counters().fast_opens_in).await.unwrap();
        assert_eq!(taken, round);
    }
    let counters = left.run(|context| context.counters().clone()).await.unwrap();
    assert_eq!((counters.fast_opens_out, counters.fast_opens_failed), (3, 0));
    // Without the option nothing of the kind happens.
    let plain = TcpListener::bind(&right, at(81)).await.unwrap();
    let opening = TcpStream::connect_with_data(&left, at(81), ConnectOptions::default(), b"q");
    let (opened, accepted) = tokio::join!(opening, plain.accept());
    let (_near, mut far) = (opened.unwrap(), accepted.unwrap().0);
    assert_eq!(far.read_u8().await.unwrap(), b'q');
    assert_eq!(right.run(|context| context.counters().fast_opens_in).await.unwrap(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_first_data_than_there_is_room_for_is_taken_in_part() {
    let (left, right) = stacks();
    let listener = TcpListener::bind(&right, at(80)).await.unwrap();
    let data = vec![9; 1 << 20];
    let opening = TcpStream::connect_with_data(&left, at(80), ConnectOptions::default(), &data);
    let (opened, accepted) = tokio::join!(opening, listener.accept());
    let ((mut near, taken), (mut far, _)) = (opened.unwrap(), accepted.unwrap());
    assert!(taken > 0 && taken < data.len(), "{taken}");
    let rest = data[taken..].to_vec();
    let writer = tokio::spawn(async move {
        near.write_all(&rest).await.unwrap();
        near.shutdown().await.unwrap();
        near
    });
    let mut got = Vec::new();
    tokio::time::timeout(PATIENCE, far.read_to_end(&mut got)).await.expect("stuck").unwrap();
    assert!(got == data);
    writer.await.unwrap();
    // Nobody there: the error is that of any other attempt.
    let refused =
        TcpStream::connect_with_data(&left, at(99), ConnectOptions::default(), b"q").await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}
