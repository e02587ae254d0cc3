//! A stack over AF_XDP on a veth pair, with the kernel's own TCP at the other end. Needs root.
#![allow(clippy::unwrap_used)] // helpers of tests are not tests to the lint

mod common;

use common::*;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener as KernelListener, TcpStream as KernelStream};
use std::process::Command;
use usertcp::xdp::{XdpConfig, check_permission};
use usertcp::{Stack, TcpListener, TcpStream};

/// Runs `test` with a stack at .2 and fd00::2 of one end of a pair, the kernel at .1 of the other, all
/// in a network namespace of its own: threads have that of the thread that starts them.
fn beside_the_kernel<F: Future<Output = ()>>(
    mtu: u16,
    test: impl FnOnce(Stack) -> F + Send + 'static,
) {
    if let Err(error) = check_permission() {
        // Past the capture of output: a test that did not run must be seen.
        let _ = writeln!(std::io::stderr(), "SKIPPED: {error}");
        return;
    }
    let thread = std::thread::spawn(move || {
        // The safe name of what only a thread with shared memory or files must be careful with.
        #[allow(deprecated)]
        rustix::thread::unshare(rustix::thread::UnshareFlags::NEWNET).unwrap();
        for words in [
            "link add kern0 type veth peer name ours0",
            &format!("link set kern0 mtu {mtu} up"),
            &format!("link set ours0 mtu {mtu} up"),
            "address add 10.9.0.1/24 dev kern0",
            "address add fd00:9::1/64 dev kern0 nodad",
            "link set lo up",
        ] {
            assert!(Command::new("ip").args(words.split(' ')).status().unwrap().success());
        }
        let config = XdpConfig { interface: "ours0".into(), ..XdpConfig::default() };
        let addresses = ["10.9.0.2/24", "fd00:9::2/64"].map(|text| text.parse().unwrap());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let stack = Stack::builder().addresses(addresses).xdp(config).start().unwrap();
            tokio::time::timeout(PATIENCE, test(stack)).await.unwrap();
        });
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// The kernel sends 8 MiB to our echo and reads them back.
async fn echo_to_the_kernel(stack: Stack) {
    for at in ["10.9.0.2:7", "[fd00:9::2]:7"] {
        let listener = TcpListener::bind(&stack, at.parse().unwrap()).await.unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(echo(stream));
            }
        });
    }
    let client = tokio::task::spawn_blocking(|| {
        for to in ["10.9.0.2:7", "[fd00:9::2]:7"] {
            let mut stream = KernelStream::connect(to).unwrap();
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
            assert!(back == octets, "{to}");
        }
        let refused = KernelStream::connect("10.9.0.2:8").unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    });
    client.await.unwrap();
}

#[test]
fn the_kernel_talks_to_our_listener() {
    beside_the_kernel(1500, echo_to_the_kernel);
}

#[test]
fn and_in_packets_of_several_frames() {
    beside_the_kernel(9000, echo_to_the_kernel);
}

#[test]
fn we_connect_to_the_kernel() {
    beside_the_kernel(1500, |stack| async move {
        let kernel = KernelListener::bind("10.9.0.1:0").unwrap();
        let at: SocketAddr = kernel.local_addr().unwrap();
        let server = tokio::task::spawn_blocking(move || {
            let (mut stream, _) = kernel.accept().unwrap();
            let mut all = Vec::new();
            stream.read_to_end(&mut all).unwrap();
            all
        });
        let mut stream = TcpStream::connect(&stack, at).await.unwrap();
        let sum = send(&mut stream, 4 << 20, 9).await;
        let all = server.await.unwrap();
        assert_eq!(all.len(), sum.0);
        assert_eq!(receive(&mut &all[..]).await, sum);
        assert_eq!(receive(&mut stream).await.0, 0);
    });
}
