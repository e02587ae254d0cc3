//! A stack over TUN, with the kernel's own TCP as its peer. Needs root.
#![allow(clippy::unwrap_used)] // helpers of tests are not tests to the lint

mod common;

use common::*;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener as KernelListener, TcpStream as KernelStream};
use std::time::Duration;
use usertcp::{Stack, TcpListener, TcpStream, TunConfig};

/// The stack at .2, the kernel at .1 of a network of this test's own; `None` without permission.
fn stack(name: &str, network: u8) -> Option<Stack> {
    let address = |host: u8| format!("10.211.{network}.{host}/24");
    let tun = TunConfig {
        name: name.into(),
        addresses: vec![address(1).parse().unwrap()],
        ..TunConfig::default()
    };
    match Stack::builder().address(address(2).parse().unwrap()).tun(tun).start() {
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
