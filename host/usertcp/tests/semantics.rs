//! What a program sees of a stream's life: the same with the kernel's sockets, `TcpStream` and `LocalStream`.
//!
//! Not the same, and not here: the kernel tells how a connection ended once, and then of a closed one; ours tells
//! it each time, also to `shutdown`. Tokio waits for something to read before it reads nothing. What was reset
//! before it was accepted is accepted from the kernel, and need not be from us.
#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests are not tests to the lint

mod common;

use common::*;
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use usertcp::memory::{PipeConfig, pair};
use usertcp::{LocalListener, LocalStack, LocalStream, Stack, TcpListener, TcpStream};

/// Sockets of one kind.
trait Face {
    type Stream: AsyncRead + AsyncWrite + Unpin;
    type Listener;
    async fn listen(&self) -> (Self::Listener, SocketAddr);
    async fn accept(&self, at: &Self::Listener) -> io::Result<Self::Stream>;
    async fn connect(&self, to: SocketAddr) -> io::Result<Self::Stream>;
    fn abort(&self, stream: Self::Stream);
    fn nodelay(&self, stream: &Self::Stream) -> io::Result<()>;
    fn try_read(&self, stream: &Self::Stream, buffer: &mut [u8]) -> io::Result<usize>;
    fn try_write(&self, stream: &Self::Stream, buffer: &[u8]) -> io::Result<usize>;
}

/// What streams and listeners of all kinds call alike.
macro_rules! same_calls {
    () => {
        async fn accept(&self, at: &Self::Listener) -> io::Result<Self::Stream> {
            Ok(at.accept().await?.0)
        }
        fn nodelay(&self, stream: &Self::Stream) -> io::Result<()> {
            stream.set_nodelay(true)
        }
        fn try_read(&self, stream: &Self::Stream, buffer: &mut [u8]) -> io::Result<usize> {
            stream.try_read(buffer)
        }
        fn try_write(&self, stream: &Self::Stream, buffer: &[u8]) -> io::Result<usize> {
            stream.try_write(buffer)
        }
    };
}

struct Kernel;

impl Face for Kernel {
    type Stream = tokio::net::TcpStream;
    type Listener = tokio::net::TcpListener;
    async fn listen(&self) -> (Self::Listener, SocketAddr) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        (listener, at)
    }
    async fn connect(&self, to: SocketAddr) -> io::Result<Self::Stream> {
        tokio::net::TcpStream::connect(to).await
    }
    fn abort(&self, stream: Self::Stream) {
        #[allow(deprecated)] // it never blocks with zero
        stream.set_linger(Some(Duration::ZERO)).unwrap();
    }
    same_calls!();
}

struct Threads(Stack, Stack);

impl Face for Threads {
    type Stream = TcpStream;
    type Listener = TcpListener;
    async fn listen(&self) -> (Self::Listener, SocketAddr) {
        let listener = TcpListener::bind(&self.1, at(0)).await.unwrap();
        let at = listener.local_addr().unwrap();
        (listener, at)
    }
    async fn connect(&self, to: SocketAddr) -> io::Result<Self::Stream> {
        TcpStream::connect(&self.0, to).await
    }
    fn abort(&self, stream: Self::Stream) {
        stream.abort();
    }
    same_calls!();
}

struct Local(LocalStack, LocalStack);

impl Face for Local {
    type Stream = LocalStream;
    type Listener = LocalListener;
    async fn listen(&self) -> (Self::Listener, SocketAddr) {
        let listener = LocalListener::bind(&self.1, at(0)).unwrap();
        let at = listener.local_addr().unwrap();
        (listener, at)
    }
    async fn connect(&self, to: SocketAddr) -> io::Result<Self::Stream> {
        LocalStream::connect(&self.0, to).await
    }
    fn abort(&self, stream: Self::Stream) {
        stream.abort();
    }
    same_calls!();
}

/// What was seen, step by step.
#[derive(Default)]
struct Seen(Vec<String>);

impl Seen {
    fn note<T: std::fmt::Debug>(&mut self, what: &str, result: io::Result<T>) {
        self.0.push(match result {
            Ok(value) => format!("{what}: {value:?}"),
            Err(error) => format!("{what}: {:?}", error.kind()),
        });
    }
    async fn read(&mut self, from: &mut (impl AsyncRead + Unpin)) {
        let mut buffer = [0; 64];
        let read = from.read(&mut buffer).await;
        self.note("read", read.map(|count| String::from_utf8_lossy(&buffer[..count]).into_owned()));
    }
    async fn write(&mut self, to: &mut (impl AsyncWrite + Unpin), octets: &[u8]) {
        let written = to.write(octets).await;
        self.note("write", written);
    }
    async fn shut(&mut self, to: &mut (impl AsyncWrite + Unpin)) {
        let shut = to.shutdown().await;
        self.note("shutdown", shut);
    }
}

/// Long enough for what was sent to arrive and be seen.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}

async fn both<F: Face>(face: &F) -> (F::Stream, F::Stream) {
    let (listener, to) = face.listen().await;
    let (near, far) = tokio::join!(face.connect(to), face.accept(&listener));
    (near.unwrap(), far.unwrap())
}

async fn lives<F: Face>(face: &F) -> Vec<(&'static str, Vec<String>)> {
    let mut all = Vec::new();
    macro_rules! scene {
        ($name:literal, |$seen:ident| $body:block) => {{
            let mut $seen = Seen::default();
            let body = async { $body };
            if tokio::time::timeout(Duration::from_secs(10), body).await.is_err() {
                $seen.0.push("STUCK".into());
            }
            all.push(($name, $seen.0));
        }};
    }
    scene!("half close", |seen| {
        let (mut near, mut far) = both(face).await;
        seen.write(&mut near, b"ask").await;
        seen.shut(&mut near).await;
        seen.shut(&mut near).await;
        seen.write(&mut near, b"x").await;
        seen.write(&mut near, b"").await;
        seen.read(&mut far).await;
        seen.read(&mut far).await;
        seen.read(&mut far).await;
        seen.write(&mut far, b"answer").await;
        seen.read(&mut near).await;
        seen.shut(&mut far).await;
        seen.read(&mut near).await;
        seen.read(&mut near).await;
        pause().await;
        seen.read(&mut far).await;
        seen.write(&mut far, b"x").await;
        seen.write(&mut far, b"").await;
        seen.shut(&mut far).await;
        seen.note("nodelay", face.nodelay(&far));
        seen.note("nodelay", face.nodelay(&near));
    });
    scene!("data, then reset", |seen| {
        let (mut near, mut far) = both(face).await;
        seen.write(&mut near, b"abc").await;
        pause().await;
        face.abort(near);
        pause().await;
        seen.read(&mut far).await;
        seen.read(&mut far).await;
        seen.note("nodelay", face.nodelay(&far));
    });
    scene!("reset, write first", |seen| {
        let (near, mut far) = both(face).await;
        face.abort(near);
        pause().await;
        seen.note("nodelay", face.nodelay(&far));
        seen.write(&mut far, b"x").await;
    });
    scene!("reset while reading", |seen| {
        let (near, mut far) = both(face).await;
        let ((), ()) = tokio::join!(seen.read(&mut far), async {
            pause().await;
            face.abort(near);
        });
    });
    scene!("peer closed", |seen| {
        let (near, mut far) = both(face).await;
        drop(near);
        pause().await;
        seen.read(&mut far).await;
        seen.write(&mut far, b"x").await;
        pause().await;
        seen.write(&mut far, b"x").await;
        seen.read(&mut far).await;
    });
    scene!("peer closed, nothing read here", |seen| {
        let (mut near, mut far) = both(face).await;
        seen.write(&mut near, b"abc").await;
        drop(near);
        pause().await;
        seen.write(&mut far, b"x").await;
        pause().await;
        seen.write(&mut far, b"x").await;
        seen.read(&mut far).await;
        seen.read(&mut far).await;
    });
    scene!("closed with data unread", |seen| {
        let (mut near, mut far) = both(face).await;
        seen.write(&mut near, b"abc").await;
        seen.write(&mut far, b"for you").await;
        pause().await;
        drop(far);
        pause().await;
        seen.read(&mut near).await;
        seen.read(&mut near).await;
    });
    scene!("shut, then data comes, then closed", |seen| {
        let (mut near, mut far) = both(face).await;
        seen.shut(&mut near).await;
        seen.write(&mut far, b"unread").await;
        pause().await;
        drop(near);
        pause().await;
        seen.read(&mut far).await;
        seen.write(&mut far, b"x").await;
    });
    scene!("refused", |seen| {
        let (listener, to) = face.listen().await;
        drop(listener);
        pause().await;
        seen.note("connect", face.connect(to).await.map(drop));
    });
    scene!("a listener dropped with streams waiting", |seen| {
        let (listener, to) = face.listen().await;
        let mut near = face.connect(to).await.unwrap();
        seen.write(&mut near, b"x").await;
        pause().await;
        drop(listener);
        pause().await;
        seen.read(&mut near).await;
        seen.note("connect", face.connect(to).await.map(drop));
    });
    scene!("closed before accept", |seen| {
        let (listener, to) = face.listen().await;
        let mut near = face.connect(to).await.unwrap();
        seen.write(&mut near, b"abc").await;
        seen.shut(&mut near).await;
        pause().await;
        let mut far = face.accept(&listener).await.unwrap();
        seen.read(&mut far).await;
        seen.read(&mut far).await;
        seen.write(&mut far, b"answer").await;
        seen.read(&mut near).await;
    });
    scene!("nothing asked for", |seen| {
        let (mut near, mut far) = both(face).await;
        seen.write(&mut near, b"").await;
        let parts =
            [IoSlice::new(b""), IoSlice::new(b"one"), IoSlice::new(b""), IoSlice::new(b"two")];
        let written = near.write_vectored(&parts).await;
        seen.note("write", written);
        seen.read(&mut far).await;
        let written = near.write_vectored(&[]).await;
        seen.note("write", written);
        seen.note("try_read", face.try_read(&far, &mut [0; 8]));
        seen.note("try_write", face.try_write(&far, b"12"));
        seen.read(&mut near).await;
    });
    scene!("a read given up, then another", |seen| {
        let (mut near, mut far) = both(face).await;
        let mut buffer = [0; 8];
        for _ in 0..100 {
            let given_up = tokio::time::timeout(Duration::ZERO, far.read(&mut buffer)).await;
            assert!(given_up.is_err());
        }
        let ((), ()) = tokio::join!(seen.read(&mut far), async {
            pause().await;
            near.write_all(b"late").await.unwrap();
        });
    });
    scene!("both close at once", |seen| {
        let (mut near, mut far) = both(face).await;
        let (a, b) = tokio::join!(near.shutdown(), far.shutdown());
        seen.note("shutdown", a);
        seen.note("shutdown", b);
        seen.read(&mut near).await;
        seen.read(&mut far).await;
    });
    scene!("a write that waits when the peer resets", |seen| {
        let (mut near, far) = both(face).await;
        let written = tokio::join!(near.write_all(&[7; 32 << 20]), async {
            pause().await;
            face.abort(far);
        });
        seen.note("write_all", written.0);
    });
    scene!("a write that waits when the peer closes with data unread", |seen| {
        let (mut near, far) = both(face).await;
        let written = tokio::join!(near.write_all(&[7; 32 << 20]), async {
            pause().await;
            drop(far);
        });
        seen.note("write_all", written.0);
    });
    all
}

async fn expected() -> Vec<(&'static str, Vec<String>)> {
    lives(&Kernel).await
}

fn compare(expected: &[(&str, Vec<String>)], found: &[(&str, Vec<String>)]) {
    let mut differs = false;
    for ((name, kernel), (_, ours)) in expected.iter().zip(found) {
        if kernel != ours {
            differs = true;
            println!("{name}:\n  kernel {kernel:?}\n  ours   {ours:?}");
        }
    }
    assert!(!differs);
}

async fn patiently<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("stuck")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_live_as_the_kernels_do() {
    let (near, far) = stacks();
    let found = patiently(lives(&Threads(near, far))).await;
    compare(&patiently(expected()).await, &found);
}

#[tokio::test]
async fn local_streams_live_as_the_kernels_do() {
    let (one, other) = pair(PipeConfig::default());
    let start = |end, address: &str, seed| {
        let builder = Stack::builder().memory(end).seed([seed; 32]);
        builder.address(address.parse().unwrap()).start_local().unwrap()
    };
    let (near, first) = start(one, "10.0.0.1/24", 1);
    let (far, second) = start(other, "10.0.0.2/24", 2);
    let tasks = tokio::task::LocalSet::new();
    tasks.spawn_local(first);
    tasks.spawn_local(second);
    let found = tasks.run_until(patiently(lives(&Local(near, far)))).await;
    compare(&patiently(expected()).await, &found);
}
