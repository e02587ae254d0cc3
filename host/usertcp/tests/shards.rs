//! A stack of several shards, over a wire that knows nothing of flows: packets come by the wrong queue
//! as often as by the right one.
#![allow(clippy::unwrap_used)] // helpers of tests are not tests to the lint

mod common;

use common::*;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;
use std::time::Duration;
use usertcp::memory::{PipeConfig, pair_of};
use usertcp::{
    Chain, ConnId, ConnectOptions, Context, DropReason, Handler, ListenAt, ListenOptions, Read,
    ShardEvent, Snapshot, Stack, TcpListener, TcpStream,
};

fn builder(host: u8, shards: u16) -> usertcp::Builder {
    let address = format!("10.0.0.{host}/24").parse().unwrap();
    Stack::builder().address(address).shards(shards).memory_budget(64 << 20)
}

/// A stack of `near` shards at .1 and one of `far` at .2.
fn stacks(config: PipeConfig, near: u16, far: u16) -> (Stack, Stack) {
    let ends = pair_of(config, (near.into(), far.into()));
    let one = builder(1, near).memory_queues(ends.0).start().unwrap();
    (one, builder(2, far).memory_queues(ends.1).start().unwrap())
}

fn assert_steered(shards: &[Snapshot], what: &str) {
    for (index, shard) in shards.iter().enumerate() {
        let counters = &shard.counters;
        println!(
            "{what} {index}: {} packets, {} came by another queue, {} sent on, {} segments in, {} opens",
            counters.packets_in,
            counters.steered_in,
            counters.steered_out,
            counters.segments_in,
            counters.passive_opens + counters.active_opens
        );
        assert!(counters.steered_in > 0 && counters.steered_out > 0);
        assert!(counters.passive_opens + counters.active_opens > 0, "it carries load");
        assert_eq!(counters.dropped(DropReason::SteerFull), 0);
    }
}

/// Waits until no packet has moved for a while: what is on its way from one shard to another when they
/// end is still counted at the end.
async fn quiet(stack: &Stack) {
    let moved = |stack: &Stack| {
        let counters = stack.snapshot().counters;
        (counters.packets_in, counters.packets_out, counters.steered_in, counters.steered_out)
    };
    let (mut before, mut same) = (moved(stack), 0);
    let resting = async {
        // What a snapshot says is up to 50 ms old.
        while same < 4 {
            tokio::time::sleep(Duration::from_millis(60)).await;
            let now = moved(stack);
            same = if now == before { same + 1 } else { 0 };
            before = now;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, resting).await.is_ok(), "packets that never stop");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_of_all_shards_come_out_of_one_listener() {
    // Three at one end and two at the other; with super-segments, and with packets.
    for offload in [true, false] {
        let (left, right) = stacks(PipeConfig { mtu: 1500, offload }, 3, 2);
        assert_eq!((left.shards(), right.shards()), (3, 2));
        let listener = TcpListener::bind(&right, at(0)).await.unwrap();
        let at = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(echo(stream));
            }
        });
        let clients = (0..40u64).map(|seed| {
            let left = left.clone();
            tokio::spawn(async move {
                let stream = TcpStream::connect(&left, at).await.unwrap();
                let (mut reader, mut writer) = stream.into_split();
                let sent = tokio::spawn(async move { send(&mut writer, 200_000, seed).await });
                let back = receive(&mut reader).await;
                assert_eq!(sent.await.unwrap(), back);
            })
        });
        for client in clients.collect::<Vec<_>>() {
            tokio::time::timeout(PATIENCE, client).await.expect("stuck").unwrap();
        }
        quiet(&left).await;
        left.shutdown();
        right.shutdown();
        server.await.unwrap();
        assert_steered(&left.snapshots(), "left");
        assert_steered(&right.snapshots(), "right");
        assert_eq!(right.counters().passive_opens, 40);
        assert_eq!(left.counters().active_opens, 40);
        let memory = left.snapshot().memory;
        assert_eq!((memory.used_octets, memory.lent), (0, 0), "{memory:?}");
    }
}

#[tokio::test]
async fn a_given_local_port_decides_the_shard() {
    let (left, right) = stacks(PipeConfig::default(), 3, 2);
    let listener = TcpListener::bind(&right, at(80)).await.unwrap();
    let mut held = Vec::new();
    for port in 5000..5300 {
        let options = ConnectOptions { local_port: Some(port), ..ConnectOptions::default() };
        let (near, far) =
            tokio::join!(TcpStream::connect_with(&left, at(80), options), listener.accept());
        let (near, (far, from)) = (near.unwrap(), far.unwrap());
        assert_eq!(near.local_addr().unwrap().port(), port);
        assert_eq!(from.port(), port);
        held.push((near, far));
    }
    let rows = left.connections(1000).await.unwrap();
    assert_eq!(rows.len(), 300);
    for shard in 0..3 {
        assert!(rows.iter().filter(|row| row.shard == shard).count() > 2);
    }
    assert_eq!(left.connections(7).await.unwrap().len(), 7);
    // The port of a listener is taken at every shard, and free at every shard when it is gone.
    let again = TcpListener::bind(&right, at(80)).await;
    assert_eq!(again.unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    drop(listener);
    let _listener = TcpListener::bind(&right, at(80)).await.unwrap();
}

/// Which threads were told of which flow.
type Seen = Arc<Mutex<HashMap<SocketAddr, Vec<ThreadId>>>>;

/// Sends back what comes, and notes the thread it does it on.
struct Noting {
    seen: Seen,
    remotes: HashMap<ConnId, SocketAddr>,
}

impl Noting {
    fn note(&self, conn: ConnId) {
        let Some(remote) = self.remotes.get(&conn) else { return };
        let mut seen = self.seen.lock().unwrap();
        let threads = seen.entry(*remote).or_default();
        let this = std::thread::current().id();
        if !threads.contains(&this) {
            threads.push(this);
        }
    }

    fn echo(&self, context: &mut Context<'_>, conn: ConnId) {
        self.note(conn);
        while context.send_room(conn) > 0 {
            match context.read_slice(conn) {
                Ok(Read::Data(slice)) => {
                    let rest = context.write_chain(conn, Chain::from(slice));
                    assert!(rest.unwrap().is_empty());
                }
                Ok(Read::End) => return context.close(conn),
                _ => return,
            }
        }
    }
}

impl Handler for Noting {
    fn on_start(&mut self, context: &mut Context<'_>) {
        context.listen(ListenAt::port(80), &ListenOptions::default()).unwrap();
    }

    fn on_event(&mut self, context: &mut Context<'_>, event: ShardEvent) {
        match event {
            ShardEvent::Accepted { listener, .. } => {
                while let Some(conn) = context.accept(listener) {
                    self.remotes.insert(conn, context.info(conn).unwrap().remote);
                    self.echo(context, conn);
                }
            }
            ShardEvent::Readable(conn) | ShardEvent::Writable(conn) => self.echo(context, conn),
            ShardEvent::Closed { conn, .. } => {
                self.note(conn);
                context.close(conn);
            }
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_connection_is_touched_by_two_threads() {
    let ends = pair_of(PipeConfig::default(), (1, 2));
    let seen = Seen::default();
    let noted = Arc::clone(&seen);
    let make = move |_| Noting { seen: Arc::clone(&noted), remotes: HashMap::new() };
    let server = builder(2, 2).memory_queues(ends.1).run_native_each(make).unwrap();
    let client = builder(1, 1).memory_queues(ends.0).start().unwrap();
    for seed in 0..60 {
        let stream = TcpStream::connect(&client, at(80)).await.unwrap();
        let (mut reader, mut writer) = stream.into_split();
        let sent = tokio::spawn(async move { send(&mut writer, 30_000, seed).await });
        assert_eq!(receive(&mut reader).await, sent.await.unwrap());
    }
    client.shutdown();
    server.shutdown();
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 60);
    assert!(seen.values().all(|threads| threads.len() == 1), "{seen:?}");
    let threads: std::collections::HashSet<_> = seen.values().map(|threads| threads[0]).collect();
    assert_eq!(threads.len(), 2, "both served");
    assert_steered(&server.snapshots(), "server");
}

#[test]
fn several_shards_want_several_of_everything() {
    let kind = |result: std::io::Result<Stack>| result.unwrap_err().kind();
    let invalid = std::io::ErrorKind::InvalidInput;
    let ends = || pair_of(PipeConfig::default(), (2, 1)).0;
    // Queues, handlers, observers; and no stack of none.
    assert_eq!(kind(builder(1, 3).memory_queues(ends()).start()), invalid);
    let noting = || Noting { seen: Seen::default(), remotes: HashMap::new() };
    assert_eq!(kind(builder(1, 2).memory_queues(ends()).run_native(noting())), invalid);
    assert_eq!(kind(builder(1, 2).memory_queues(ends()).observer(()).start()), invalid);
    assert_eq!(kind(builder(1, 0).memory_queues(ends()).start()), invalid);
    let linger = Duration::from_secs(60);
    let built = builder(1, 2).memory_queues(ends()).pin(true).linger(linger);
    let stack = built.observer_each(|_| ()).start().unwrap();
    let names = stack.run_each_blocking(|_| std::thread::current().name().map(str::to_owned));
    let name = |index: usize| Some(format!("usertcp-{index}"));
    assert_eq!(names.unwrap(), [name(0), name(1)]);
    assert!(stack.is_running());
    let begun = std::time::Instant::now();
    stack.shutdown();
    assert!(begun.elapsed() < linger / 2, "nothing was open: no linger");
    assert!(!stack.is_running());
}
