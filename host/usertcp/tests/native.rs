//! The native face: handlers on the stacks' own threads, no task and no lock per connection.
#![allow(clippy::unwrap_used)] // helpers of tests are not tests to the lint

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use usertcp::memory::{PipeConfig, pair};
use usertcp::{
    ConnId, ConnectOptions, Context, Handler, ListenAt, ListenOptions, Read, ShardEvent, Span,
    Stack, TcpStream, WriteEnd,
};

/// Sends back what comes, as it lies in its frames.
struct Echo;

impl Handler for Echo {
    fn on_start(&mut self, context: &mut Context<'_>) {
        context.listen(ListenAt::port(7), &ListenOptions::default()).unwrap();
    }

    fn on_event(&mut self, context: &mut Context<'_>, event: ShardEvent) {
        match event {
            ShardEvent::Accepted { listener, .. } => {
                while let Some(conn) = context.accept(listener) {
                    echo(context, conn);
                }
            }
            ShardEvent::Readable(conn) | ShardEvent::Writable(conn) => echo(context, conn),
            ShardEvent::Closed { conn, .. } => context.close(conn),
            _ => {}
        }
    }
}

fn echo(context: &mut Context<'_>, conn: ConnId) {
    while context.send_room(conn) > 0 {
        match context.read_slice(conn) {
            Ok(Read::Data(slice)) => {
                let mut chain = usertcp::Chain::default();
                chain.push_back(slice);
                assert!(context.write_chain(conn, chain).unwrap().is_empty());
            }
            Ok(Read::End) => return context.close(conn),
            _ => return,
        }
    }
}

/// Asks on many connections, and counts what comes back.
struct Asker {
    answered: Arc<AtomicU64>,
    woken: Arc<AtomicU64>,
}

impl Handler for Asker {
    fn on_start(&mut self, context: &mut Context<'_>) {
        for _ in 0..100 {
            context.connect(([10, 0, 0, 2], 7).into(), &ConnectOptions::default()).unwrap();
        }
        context.wake_after(Span::from_millis(20));
    }

    fn on_event(&mut self, context: &mut Context<'_>, event: ShardEvent) {
        match event {
            ShardEvent::Connected(conn) => {
                assert_eq!(context.write(conn, b"ping").unwrap(), 4);
                context.shutdown_write(conn).unwrap();
            }
            ShardEvent::Readable(conn) => {
                let mut buffer = [0; 16];
                while let Ok(Read::Data(count)) = context.read(conn, &mut buffer) {
                    self.answered.fetch_add(count as u64, Ordering::Relaxed);
                }
            }
            ShardEvent::Closed { conn, .. } => context.close(conn),
            _ => {}
        }
    }

    fn on_wake(&mut self, _: &mut Context<'_>) {
        self.woken.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn handlers_talk_to_each_other() {
    let (one, other) = pair(PipeConfig::default());
    let server = Stack::builder().address("10.0.0.2/24".parse().unwrap()).memory(other);
    let server = server.run_native(Echo).unwrap();
    let (answered, woken) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let asker = Asker { answered: Arc::clone(&answered), woken: Arc::clone(&woken) };
    let client = Stack::builder().address("10.0.0.1/24".parse().unwrap()).memory(one);
    let client = client.run_native(asker).unwrap();
    for _ in 0..500 {
        if answered.load(Ordering::Relaxed) == 400 && woken.load(Ordering::Relaxed) == 1 {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(answered.load(Ordering::Relaxed), 400);
    assert_eq!(woken.load(Ordering::Relaxed), 1);
    client.wake();
    // Calls run after what was asked before them.
    let conns = client.run_blocking(|context| context.connections().len()).unwrap();
    assert!(conns <= 200);
    assert!(woken.load(Ordering::Relaxed) >= 1);
    client.shutdown();
    server.shutdown();
    assert_eq!(server.counters().passive_opens, 100);
    assert!(client.run_blocking(|_| ()).is_err());
    let memory = server.snapshot().memory;
    assert_eq!((memory.used_octets, memory.lent), (0, 0), "{memory:?}");
}

/// Writes `ping`, a record in two writes, and `!`, all in one turn.
struct Records;

impl Handler for Records {
    fn on_start(&mut self, context: &mut Context<'_>) {
        context.connect(([10, 0, 0, 2], 9).into(), &ConnectOptions::default()).unwrap();
    }
    fn on_event(&mut self, context: &mut Context<'_>, event: ShardEvent) {
        match event {
            ShardEvent::Connected(conn) => {
                assert_eq!(context.write_with(conn, b"pi", WriteEnd::More).unwrap(), 2);
                assert_eq!(context.write_with(conn, b"ng", WriteEnd::Record).unwrap(), 2);
                assert_eq!(context.write(conn, b"!").unwrap(), 1);
                context.shutdown_write(conn).unwrap();
            }
            ShardEvent::Closed { conn, .. } => context.close(conn),
            _ => {}
        }
    }
}

/// Keeps what comes, a segment's payload an item.
struct Segments(Arc<Mutex<Vec<Vec<u8>>>>);

impl Handler for Segments {
    fn on_start(&mut self, context: &mut Context<'_>) {
        context.listen(ListenAt::port(9), &ListenOptions::default()).unwrap();
    }
    fn on_event(&mut self, context: &mut Context<'_>, event: ShardEvent) {
        let conn = match event {
            ShardEvent::Accepted { listener, .. } => context.accept(listener).unwrap(),
            ShardEvent::Readable(conn) => conn,
            _ => return,
        };
        loop {
            match context.read_slice(conn) {
                Ok(Read::Data(slice)) => self.0.lock().unwrap().push(slice.to_vec()),
                Ok(Read::End) => {
                    self.0.lock().unwrap().push(Vec::new());
                    return context.close(conn);
                }
                _ => return,
            }
        }
    }
}

#[test]
fn a_record_is_a_segment_of_its_own() {
    let (one, other) = pair(PipeConfig::default());
    let seen = Arc::default();
    let server = Stack::builder().address("10.0.0.2/24".parse().unwrap()).memory(other);
    let server = server.run_native(Segments(Arc::clone(&seen))).unwrap();
    let client = Stack::builder().address("10.0.0.1/24".parse().unwrap()).memory(one);
    let client = client.run_native(Records).unwrap();
    for _ in 0..500 {
        if seen.lock().unwrap().last().is_some_and(Vec::is_empty) {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(*seen.lock().unwrap(), [b"ping".to_vec(), b"!".to_vec(), Vec::new()]);
    client.shutdown();
    server.shutdown();
}

/// Counts the octets of each connection, in a table of its own that tokens are the indices of.
#[derive(Default)]
struct Tally {
    octets: Vec<usize>,
    over: Arc<Mutex<Vec<usize>>>,
}

impl Handler for Tally {
    fn on_start(&mut self, context: &mut Context<'_>) {
        context.listen(ListenAt::port(7), &ListenOptions::default()).unwrap();
        let nobody = ConnId { slot: 0, generation: 0 };
        assert!(!context.set_token(nobody, 1));
        assert_eq!((context.token(nobody), context.next_connection(None)), (None, None));
    }

    fn on_event(&mut self, context: &mut Context<'_>, event: ShardEvent) {
        if let ShardEvent::Accepted { listener, .. } = event {
            while let Some(conn) = context.accept(listener) {
                assert_eq!(context.token(conn), Some(0));
                assert!(context.set_token(conn, self.octets.len() as u32));
                self.octets.push(0);
            }
        }
        let (ShardEvent::Readable(conn) | ShardEvent::Closed { conn, .. }) = event else { return };
        let index = context.token(conn).unwrap() as usize;
        let mut buffer = [0; 64];
        loop {
            match context.read(conn, &mut buffer) {
                Ok(Read::Data(octets)) => self.octets[index] += octets,
                Ok(Read::End) => {
                    self.over.lock().unwrap().push(self.octets[index]);
                    context.close(conn);
                    return assert_eq!(context.token(conn), None);
                }
                _ => return,
            }
        }
    }
}

#[tokio::test]
async fn a_handler_finds_what_it_knows_by_its_own_token() {
    let (one, other) = pair(PipeConfig::default());
    let tally = Tally::default();
    let over = Arc::clone(&tally.over);
    let server = Stack::builder().address("10.0.0.2/24".parse().unwrap()).memory(other);
    let server = server.run_native(tally).unwrap();
    let client = Stack::builder().address("10.0.0.1/24".parse().unwrap()).memory(one);
    let client = client.start().unwrap();
    let mut streams = Vec::new();
    for _ in 0..20 {
        let stream = TcpStream::connect(&client, ([10, 0, 0, 2], 7).into()).await;
        streams.push(stream.unwrap());
    }
    for (length, stream) in streams.iter_mut().enumerate().rev() {
        stream.write_all(&vec![1; length]).await.unwrap();
        stream.shutdown().await.unwrap();
        // The server closes too: every length was counted.
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
    }
    let mut seen = over.lock().unwrap().clone();
    seen.sort_unstable();
    assert_eq!(seen, (0..20).collect::<Vec<_>>());
    // A stack that serves sockets keeps tokens for them.
    let refused = client.run(|context| {
        let conn = context.next_connection(None)?;
        Some(context.set_token(conn, 1))
    });
    assert_ne!(refused.await.unwrap(), Some(true));
    server.shutdown();
}

#[test]
fn a_panicking_handler_leaves_no_one_waiting() {
    struct Panics;
    impl Handler for Panics {
        fn on_event(&mut self, _: &mut Context<'_>, _: ShardEvent) {}
        fn on_wake(&mut self, _: &mut Context<'_>) {
            panic!("on purpose");
        }
    }
    let (one, _other) = pair(PipeConfig::default());
    let stack = Stack::builder().address("10.0.0.1/24".parse().unwrap()).memory(one);
    let stack = stack.run_native(Panics).unwrap();
    stack.wake();
    for _ in 0..500 {
        if stack.run_blocking(|_| ()).is_err() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the stack goes on after its handler died");
}

#[test]
fn a_stack_that_cannot_start_says_why() {
    let kind = |result: std::io::Result<Stack>| result.unwrap_err().kind();
    let (one, _other) = pair(PipeConfig::default());
    assert_eq!(kind(Stack::builder().memory(one).start()), std::io::ErrorKind::InvalidInput);
    let address = || Stack::builder().address("10.0.0.1/24".parse().unwrap());
    assert_eq!(kind(address().start()), std::io::ErrorKind::InvalidInput);
    let broken = address().queue(|| -> std::io::Result<usertcp::memory::ThreadPipe> {
        Err(std::io::ErrorKind::NotFound.into())
    });
    assert_eq!(kind(broken.start()), std::io::ErrorKind::NotFound);
}
