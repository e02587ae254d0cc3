//! Sockets over a shard that is not one: what they do by themselves.

use crate::Stack;
use crate::engine::fake::Fake;
use crate::runtime::launch::{self, Parts, Seat};
use crate::runtime::worker::{Control, Manners};
use crate::sockets::driver::Driver;
use crate::sockets::hub::Hub;
use crate::{TcpListener, TcpStream};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use usertcp_base::{Limits, Span};
use usertcp_device::{DeviceFacts, Medium};

fn stack(octets: usize) -> Stack {
    let control = launch::controls(1).unwrap().remove(0);
    let hub = Arc::new(Hub::new(Arc::clone(&control.doorbell), octets, &Limits::default()));
    let driver_hub = Arc::clone(&hub);
    let manners = Manners { busy_poll: Span::ZERO, linger: Span::from_millis(200) };
    let make = move |_: &Control| {
        let device = DeviceFacts::offloading(Medium::Ip, 1500);
        let handler = Driver::new(driver_hub, true);
        Ok(Parts { engine: Box::new(Fake::new(octets)), device, handler })
    };
    let seat = Seat { name: "fake".into(), control, hub: Some(hub), make };
    launch::launch(vec![seat], manners).unwrap()
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], port))
}

async fn pair(stack: &Stack, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let (near, far) =
        tokio::join!(TcpStream::connect(stack, listener.local_addr().unwrap()), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

fn pattern(from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(|n| (n ^ n >> 8 ^ n >> 16) as u8).collect()
}

async fn write_pattern(stream: &mut (impl AsyncWriteExt + Unpin), total: usize) {
    let (mut sent, mut step) = (0, 1);
    while sent < total {
        let count = step.min(total - sent);
        stream.write_all(&pattern(sent, count)).await.unwrap();
        sent += count;
        step = (step * 7 + 3) % 150_000 + 1;
    }
    stream.shutdown().await.unwrap();
}

async fn read_pattern(stream: &mut (impl AsyncReadExt + Unpin), total: usize) {
    let (mut seen, mut step) = (0, 1);
    let mut buffer = vec![0; 200_000];
    loop {
        let count = stream.read(&mut buffer[..step]).await.unwrap();
        if count == 0 {
            break;
        }
        assert!(buffer[..count] == pattern(seen, count), "at {seen}");
        seen += count;
        step = (step * 5 + 1) % 199_999 + 1;
    }
    assert_eq!(seen, total);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_octets_arrive_both_ways_in_order() {
    let stack = stack(16 << 20);
    let listener = TcpListener::bind(&stack, at(80)).await.unwrap();
    let (near, far) = pair(&stack, &listener).await;
    const TOTAL: usize = 8 << 20;
    let (mut near_read, mut near_write) = near.into_split();
    let (mut far_read, mut far_write) = far.into_split();
    let tasks = [
        tokio::spawn(async move { write_pattern(&mut near_write, TOTAL).await }),
        tokio::spawn(async move { write_pattern(&mut far_write, TOTAL).await }),
        tokio::spawn(async move { read_pattern(&mut near_read, TOTAL).await }),
        tokio::spawn(async move { read_pattern(&mut far_read, TOTAL).await }),
    ];
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_streams_share_a_small_pool() {
    let stack = stack(4 << 20);
    let listener = Arc::new(TcpListener::bind(&stack, at(80)).await.unwrap());
    let mut tasks = Vec::new();
    for _ in 0..20 {
        let (near, far) = pair(&stack, &listener).await;
        let (mut reader, mut writer) = near.into_split();
        tasks.push(tokio::spawn(async move { write_pattern(&mut writer, 300_000).await }));
        tasks.push(tokio::spawn(async move { read_pattern(&mut reader, 300_000).await }));
        tasks.push(tokio::spawn(async move {
            let (mut reader, mut writer) = far.into_split();
            tokio::io::copy(&mut reader, &mut writer).await.unwrap();
            writer.shutdown().await.unwrap();
        }));
    }
    for task in tasks {
        tokio::time::timeout(Duration::from_secs(60), task).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn no_copy_on_the_whole_way() {
    let stack = stack(8 << 20);
    let listener = TcpListener::bind(&stack, at(80)).await.unwrap();
    let (first, relay_in) = pair(&stack, &listener).await;
    let (relay_out, last) = pair(&stack, &listener).await;
    let relay = tokio::spawn(async move {
        while let Some(buffer) = relay_in.read_owned().await.unwrap() {
            relay_out.write_owned(buffer).await.unwrap();
        }
        relay_out.shutdown_write().await.unwrap();
        (relay_in, relay_out)
    });
    let sender = tokio::spawn(async move {
        let mut sent = 0;
        while sent < 1 << 20 {
            let mut buffer = first.reserve(60_000).await.unwrap();
            let count = buffer.extend(&pattern(sent, ((1 << 20) - sent).min(60_000)));
            assert!(count > 0);
            first.write_owned(buffer).await.unwrap();
            sent += count;
        }
        first.shutdown_write().await.unwrap();
        first
    });
    let mut seen = 0;
    while let Some(buffer) = last.read_owned().await.unwrap() {
        let bytes = bytes::Bytes::from(buffer);
        assert!(bytes == pattern(seen, bytes.len()));
        seen += bytes.len();
    }
    assert_eq!(seen, 1 << 20);
    drop((relay.await.unwrap(), sender.await.unwrap()));
}

#[tokio::test]
async fn refused_reset_shut_and_gone_have_their_kinds() {
    let stack = stack(8 << 20);
    let refused = TcpStream::connect(&stack, at(81)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    let listener = TcpListener::bind(&stack, at(80)).await.unwrap();
    let again = TcpListener::bind(&stack, at(80)).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AddrInUse);

    let (near, mut far) = pair(&stack, &listener).await;
    far.write_all(b"last words").await.unwrap();
    near.readable().await.unwrap();
    far.abort();
    let mut near = near;
    let mut all = Vec::new();
    let reset = near.read_to_end(&mut all).await.unwrap_err();
    assert_eq!((reset.kind(), &all[..]), (ErrorKind::ConnectionReset, &b"last words"[..]));
    assert_eq!(near.write(b"x").await.unwrap_err().kind(), ErrorKind::ConnectionReset);

    let (mut near, mut far) = pair(&stack, &listener).await;
    near.write_all(b"half").await.unwrap();
    near.shutdown().await.unwrap();
    assert_eq!(near.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    let mut all = Vec::new();
    far.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, b"half");
    far.write_all(b"other half").await.unwrap();
    drop(far);
    let mut all = Vec::new();
    near.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, b"other half");

    let (mut near, _far) = pair(&stack, &listener).await;
    stack.shutdown();
    assert_eq!(near.read(&mut [0; 8]).await.unwrap_err().kind(), ErrorKind::ConnectionAborted);
    assert_eq!(listener.accept().await.unwrap_err().kind(), ErrorKind::NetworkDown);
    let late = TcpStream::connect(&stack, at(80)).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::ConnectionAborted);
}

#[tokio::test]
async fn try_calls_never_wait() {
    let stack = stack(8 << 20);
    let listener = TcpListener::bind(&stack, at(80)).await.unwrap();
    let (near, far) = pair(&stack, &listener).await;
    assert_eq!(far.try_read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
    let mut sent = 0;
    loop {
        match near.try_write(&pattern(sent, 10_000)) {
            Ok(count) => sent += count,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                if tokio::time::timeout(Duration::from_millis(50), near.writable()).await.is_err() {
                    break;
                }
            }
        }
    }
    let (mut seen, mut one, mut two) = (0, [0; 3000], [0; 5000]);
    while seen < sent {
        far.readable().await.unwrap();
        let mut buffers = [std::io::IoSliceMut::new(&mut one), std::io::IoSliceMut::new(&mut two)];
        let count = far.try_read_vectored(&mut buffers).unwrap();
        let both: Vec<u8> = one.iter().chain(&two).copied().take(count).collect();
        assert!(both == pattern(seen, count));
        seen += count;
    }
    near.writable().await.unwrap();
    assert_eq!(near.counters().octets_written, sent as u64);
    assert_eq!(far.counters().octets_read, sent as u64);
}

#[tokio::test]
async fn a_dropped_listener_resets_what_waits() {
    let stack = stack(8 << 20);
    let listener = TcpListener::bind(&stack, at(80)).await.unwrap();
    let mut waiting = Vec::new();
    for _ in 0..100 {
        waiting.push(TcpStream::connect(&stack, at(80)).await.unwrap());
    }
    drop(listener);
    for mut stream in waiting {
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
    let refused = TcpStream::connect(&stack, at(80)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    TcpListener::bind(&stack, at(80)).await.unwrap();
}
