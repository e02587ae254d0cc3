//! Streams under several runtimes, and under none: whoever waits is woken.
#![allow(clippy::unwrap_used)] // helpers of tests are not tests to the lint

mod common;

use common::*;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::runtime::{Builder, Runtime};
use usertcp::{Stack, TcpListener, TcpStream};

fn current() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The least executor there is.
fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park_timeout(PATIENCE),
        }
    }
}

async fn ping(stream: &mut TcpStream, rounds: u32) {
    for round in 0..rounds {
        stream.write_all(&round.to_be_bytes()).await.unwrap();
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, round.to_be_bytes());
    }
}

/// Sixty-four streams of one runtime of one thread: bursts of tasks, each woken through the relay.
#[test]
fn many_tasks_of_one_thread() {
    let (left, right) = stacks();
    current().block_on(async {
        let listener = TcpListener::bind(&right, at(80)).await.unwrap();
        let server = tokio::spawn(async move {
            for _ in 0..64 {
                tokio::spawn(echo(listener.accept().await.unwrap().0));
            }
        });
        let clients: Vec<_> = (0..64)
            .map(|_| {
                let left = left.clone();
                tokio::spawn(async move {
                    let mut stream = TcpStream::connect(&left, at(80)).await.unwrap();
                    ping(&mut stream, 200).await;
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
        server.await.unwrap();
    });
}

async fn echoing(left: &Stack, right: &Stack) -> TcpStream {
    let listener = TcpListener::bind(right, at(80)).await.unwrap();
    let (near, far) = open(left, &listener).await;
    tokio::spawn(echo(far));
    near
}

/// Without a runtime, on a thread of a runtime that meanwhile stands still.
#[test]
fn a_thread_that_waits_inside_of_a_runtime_is_woken() {
    let (left, right) = stacks();
    let server = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut near = server.block_on(echoing(&left, &right));
    current().block_on(async {
        // A relay is there, and known.
        near = tokio::spawn(async move {
            ping(&mut near, 20).await;
            near
        })
        .await
        .unwrap();
        block_on(ping(&mut near, 200));
    });
}

/// A stream polled in the name of a runtime that nobody drives.
struct InTheNameOf<'a>(&'a Runtime, TcpStream);

impl AsyncRead for InTheNameOf<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let _named = self.0.enter();
        Pin::new(&mut self.1).poll_read(context, buffer)
    }
}

#[test]
fn a_relay_that_stands_still_costs_patience_and_no_wake_up() {
    let (left, right) = stacks();
    let server = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let near = server.block_on(echoing(&left, &right));
    let still: &'static Runtime = Box::leak(Box::new(current()));
    let task = async move {
        let mut near = near;
        ping(&mut near, 20).await;
        let mut near = InTheNameOf(still, near);
        for round in 0..50u32 {
            near.1.write_all(&round.to_be_bytes()).await.unwrap();
            let mut answer = [0; 4];
            near.read_exact(&mut answer).await.unwrap();
            assert_eq!(answer, round.to_be_bytes());
        }
    };
    current()
        .block_on(async move { tokio::time::timeout(PATIENCE, tokio::spawn(task)).await })
        .unwrap()
        .unwrap();
}

/// A runtime goes while its relay is there; the stream lives on in another.
#[test]
fn streams_outlive_runtimes() {
    let (left, right) = stacks();
    let server = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut near = server.block_on(echoing(&left, &right));
    for _ in 0..40 {
        let runtime = current();
        near = runtime.block_on(async move {
            tokio::spawn(async move {
                ping(&mut near, 5).await;
                near
            })
            .await
            .unwrap()
        });
        // A task that waits when its runtime goes.
        let listener = runtime.block_on(TcpListener::bind(&right, at(81))).unwrap();
        runtime.spawn(async move { listener.accept().await.map(drop) });
        runtime.block_on(poll_fn(|_| Poll::Ready(())));
    }
    block_on(ping(&mut near, 5));
}
