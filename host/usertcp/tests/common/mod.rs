//! What the tests of two stacks share.
#![allow(dead_code)]

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use usertcp::memory::{PipeConfig, pair};
use usertcp::{Builder, ParkError, ParkRefusal, Parked, Stack, TcpListener, TcpStream};

/// No step of a test takes longer on a machine that is not broken.
pub const PATIENCE: Duration = Duration::from_secs(120);

pub fn stacks() -> (Stack, Stack) {
    stacks_over(PipeConfig::default())
}

pub fn stacks_over(config: PipeConfig) -> (Stack, Stack) {
    stacks_with(config, 64 << 20)
}

pub fn stacks_with(config: PipeConfig, octets: usize) -> (Stack, Stack) {
    stacks_built(config, |builder| builder.memory_budget(octets))
}

/// Two stacks at 10.0.0.1 and 10.0.0.2.
pub fn stacks_built(config: PipeConfig, also: impl Fn(Builder) -> Builder) -> (Stack, Stack) {
    let (one, other) = pair(config);
    let start = |name: &str, end, address: &str, seed| {
        let builder = Stack::builder().name(name).memory(end).seed([seed; 32]);
        also(builder.address(address.parse().unwrap())).start().unwrap()
    };
    (start("left", one, "10.0.0.1/24", 1), start("right", other, "10.0.0.2/24", 2))
}

/// A port of the right stack.
pub fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 2], port))
}

pub async fn open(from: &Stack, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let to = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(from, to), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

/// Answers with its tag all that has come, and parks the stream when there is no more: the server of the tests of
/// idle streams.
pub async fn answer<S: AsyncWrite + Unpin>(
    mut stream: S,
    tag: u32,
    try_read: impl Fn(&S, &mut [u8]) -> io::Result<usize>,
    park: impl FnOnce(S, u32) -> Result<Parked, ParkError<S>>,
) {
    let mut buffer = [0; 64];
    loop {
        match try_read(&stream, &mut buffer) {
            Ok(0) => return,
            Ok(count) => {
                let line = format!("{tag}:{}", String::from_utf8_lossy(&buffer[..count]));
                if stream.write_all(line.as_bytes()).await.is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(_) => return,
        }
    }
    if let Err(error) = park(stream, tag) {
        assert_ne!(error.refusal, ParkRefusal::Foreign);
    }
}

/// xorshift: a generator whose every octet depends on its place.
pub fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Length and a checksum that tells any change of content or order.
pub type Sum = (usize, u64);

fn add(sum: &mut Sum, octets: &[u8]) {
    for octet in octets {
        sum.1 = (sum.1 ^ u64::from(*octet)).wrapping_mul(0x0000_0100_0000_01B3).rotate_left(5);
    }
    sum.0 += octets.len();
}

/// Writes pseudo-random octets in pieces of many sizes, then FIN.
pub async fn send(to: &mut (impl AsyncWrite + Unpin), total: usize, seed: u64) -> Sum {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut block = vec![0; 256 << 10];
    for eight in block.chunks_exact_mut(8) {
        eight.copy_from_slice(&next(&mut state).to_le_bytes());
    }
    let mut sum = (0, 0);
    while sum.0 < total {
        let from = next(&mut state) as usize % (128 << 10);
        let most = if sum.0 < 1 << 20 { 5_000 } else { 128 << 10 };
        let count = (1 + next(&mut state) as usize % most).min(total - sum.0);
        let piece = &block[from..from + count];
        to.write_all(piece).await.unwrap();
        add(&mut sum, piece);
    }
    to.shutdown().await.unwrap();
    sum
}

pub async fn receive(from: &mut (impl AsyncRead + Unpin)) -> Sum {
    let mut buffer = vec![0; 100_000];
    let mut sum = (0, 0);
    loop {
        let count = from.read(&mut buffer).await.unwrap();
        if count == 0 {
            return sum;
        }
        add(&mut sum, &buffer[..count]);
    }
}

/// Sends back what comes until the peer is done or gone.
pub async fn echo(stream: TcpStream) {
    let (mut reader, mut writer) = stream.into_split();
    match tokio::io::copy(&mut reader, &mut writer).await {
        Ok(_) => writer.shutdown().await.unwrap_or(()),
        Err(error) => assert_ne!(error.kind(), ErrorKind::InvalidData),
    }
}
