//! Every interleaving of an application that parks, a peer that acts, and the worker's rounds, on the code
//! itself: all of it is steps that nothing divides (a critical section, an event, a turn), so that their
//! orders are all there is.

use crate::engine::Engine;
use crate::engine::fake::Fake;
use crate::native::{ConnectOptions, Context, ContextState, Handler, ListenAt, ListenOptions};
use crate::runtime::doorbell::Doorbell;
use crate::sockets::driver::Driver;
use crate::sockets::hub::Hub;
use crate::sockets::idle::{IdleStreams, ParkRefusal, Parked, Resumed};
use crate::sockets::stream::TcpStream;
use std::future::Future;
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Poll, Wake, Waker};
use usertcp_base::{ConnId, Instant, Limits};
use usertcp_frame::Chain;

const BUDGET: usize = 4 << 20;
const TAG: u32 = 0xF00D_F00D;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Op {
    // The application.
    Write,
    Park,
    Take,
    /// Drops the future of the take, done or not.
    LeaveTake,
    DropLot,
    // The peer.
    Send,
    Finish,
    Reset,
    // The worker.
    Events,
    Turn,
    Stop,
}

#[derive(Default)]
struct Count(AtomicU32);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

type Take = Pin<Box<dyn Future<Output = std::io::Result<Option<Resumed>>>>>;

struct World {
    engine: Fake,
    driver: Driver,
    state: ContextState,
    near: ConnId,
    far: ConnId,
    stream: Option<TcpStream>,
    refused: Option<ParkRefusal>,
    parked: Option<Parked>,
    idle: Option<Arc<IdleStreams>>,
    take: Option<Take>,
    /// Who waits for the lot from the beginning.
    waiter: Arc<Count>,
    sent: Vec<u8>,
    written: Vec<u8>,
}

fn now() -> Instant {
    Instant::from_micros(1 << 33)
}

impl World {
    fn new() -> World {
        let hub =
            Arc::new(Hub::new(Arc::new(Doorbell::new().unwrap()), BUDGET, &Limits::default()));
        let idle = IdleStreams::at(vec![&hub]).unwrap();
        let mut engine = Fake::new(BUDGET);
        let listener = engine
            .listen(usertcp_base::Instant::ZERO, ListenAt::port(80), &ListenOptions::default())
            .unwrap();
        let near = engine.connect(now(), at(80), &ConnectOptions::default()).unwrap();
        let far = engine.accept(listener).unwrap();
        let mut world = World {
            engine,
            driver: Driver::new(hub, true),
            state: ContextState::default(),
            near,
            far,
            stream: None,
            refused: None,
            parked: None,
            idle: Some(Arc::new(idle)),
            take: None,
            waiter: Arc::default(),
            sent: Vec::new(),
            written: Vec::new(),
        };
        world.with(|driver, context| driver.on_start(context));
        world.stream =
            world.with(|driver, context| driver.adopt(context, near)).map(TcpStream::new);
        world.settle();
        assert!(world.poll_next().is_pending());
        world
    }

    fn with<T>(&mut self, act: impl FnOnce(&mut Driver, &mut Context<'_>) -> T) -> T {
        let World { engine, driver, state, .. } = self;
        act(driver, &mut Context { engine, now: now(), state })
    }

    fn poll_next(&mut self) -> Poll<std::io::Result<Resumed>> {
        let waker = Waker::from(Arc::clone(&self.waiter));
        let idle = self.idle.as_ref().unwrap();
        idle.poll_next(&mut std::task::Context::from_waker(&waker))
    }

    fn poll_take(&mut self) -> Option<std::io::Result<Option<Resumed>>> {
        let mut context = std::task::Context::from_waker(Waker::noop());
        match self.take.as_mut()?.as_mut().poll(&mut context) {
            Poll::Ready(taken) => {
                self.take = None;
                Some(taken)
            }
            Poll::Pending => None,
        }
    }

    fn act(&mut self, op: Op) {
        match op {
            Op::Write => {
                let stream = self.stream.as_ref().unwrap();
                if stream.try_write(b"q").is_ok() {
                    self.written.push(b'q');
                }
            }
            Op::Park => {
                let stream = self.stream.take().unwrap();
                match self.idle.as_ref().unwrap().park(stream, TAG) {
                    Ok(parked) => self.parked = Some(parked),
                    Err(error) => {
                        (self.stream, self.refused) = (Some(error.stream), Some(error.refusal))
                    }
                }
            }
            Op::Take => {
                let (idle, parked) = (self.idle.clone().unwrap(), self.parked);
                if let Some(parked) = parked {
                    self.take = Some(Box::pin(async move { idle.take(parked).await }));
                    assert!(self.poll_take().is_none());
                }
            }
            Op::LeaveTake => self.take = None,
            Op::DropLot => self.idle = None,
            Op::Send => {
                let octet = b'a' + self.sent.len() as u8;
                let slice = self.engine.pool().copy_of(&[octet], 0).unwrap();
                if let Ok(rest) = self.engine.write_chain(now(), self.far, Chain::from(slice)) {
                    assert!(rest.is_empty());
                    self.sent.push(octet);
                }
            }
            Op::Finish => self.engine.shutdown_write(now(), self.far).unwrap(),
            Op::Reset => self.engine.abort(now(), self.far),
            Op::Events => {
                while let Some(event) = self.engine.poll_event() {
                    self.with(|driver, context| driver.on_event(context, event));
                }
            }
            Op::Turn => self.with(|driver, context| driver.on_turn(context)),
            Op::Stop => self.with(|driver, context| driver.on_stop(context)),
        }
    }

    fn settle(&mut self) {
        for _ in 0..6 {
            self.act(Op::Events);
            self.act(Op::Turn);
        }
    }

    /// The stream, wherever it came back; `None`: it is parked.
    fn back(&mut self) -> Option<TcpStream> {
        if let Some(stream) = self.stream.take() {
            return Some(stream);
        }
        let woken = self.waiter.0.load(Ordering::Relaxed) > 0;
        match self.poll_next() {
            Poll::Ready(resumed) => {
                let Resumed { stream, tag } = resumed.unwrap();
                assert_eq!(tag, TAG);
                assert!(woken, "who waited was told");
                Some(stream)
            }
            Poll::Pending => None,
        }
    }

    /// All that can be read at the moment, and what comes then.
    fn read(&self, stream: &TcpStream) -> (Vec<u8>, Result<usize, ErrorKind>) {
        let (mut all, mut buffer) = (Vec::new(), [0; 16]);
        loop {
            match stream.try_read(&mut buffer) {
                Ok(0) => return (all, Ok(0)),
                Ok(count) => all.extend_from_slice(&buffer[..count]),
                Err(error) => return (all, Err(error.kind())),
            }
        }
    }

    fn peer_read(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while let Ok(crate::engine::Read::Data(slice)) = self.engine.read_slice(now(), self.far) {
            all.extend_from_slice(&slice);
        }
        all
    }

    /// Nothing is left of anything.
    fn end(mut self) {
        self.stream = None;
        self.take = None;
        self.idle = None;
        self.engine.abort(now(), self.far);
        self.settle();
        let left = self.engine.next_connection(None);
        let World { engine, driver, .. } = self;
        assert!(driver.entries.iter().next().is_none());
        assert!(left.is_none(), "{left:?}");
        drop(driver);
        engine.pool().reclaim();
        assert_eq!(engine.pool().stats().used_octets, 0);
    }
}

fn at(port: u16) -> std::net::SocketAddr {
    ([10, 0, 0, 1], port).into()
}

/// Calls `check` after every interleaving of `rows`; how many there were.
fn interleave(rows: &[&[Op]], check: &mut impl FnMut(World, &[Op])) -> u32 {
    fn go(rows: &mut [&[Op]], order: &mut Vec<Op>, check: &mut impl FnMut(World, &[Op])) -> u32 {
        let mut count = 0;
        for row in 0..rows.len() {
            let whole = rows[row];
            let Some((first, rest)) = whole.split_first() else { continue };
            rows[row] = rest;
            order.push(*first);
            count += go(rows, order, check);
            order.pop();
            rows[row] = whole;
        }
        if count > 0 {
            return count;
        }
        let mut world = World::new();
        order.iter().for_each(|op| world.act(*op));
        check(world, order);
        1
    }
    go(&mut rows.to_vec(), &mut Vec::new(), check)
}

const WORKER: &[Op] = &[Op::Events, Op::Turn, Op::Events, Op::Turn];

#[test]
fn data_that_crosses_a_park_brings_the_stream_back_with_all_of_it() {
    let rows: &[&[Op]] = &[&[Op::Write, Op::Park], &[Op::Send, Op::Send], WORKER];
    let count = interleave(rows, &mut |mut world, order| {
        world.settle();
        let stream = world.back().unwrap_or_else(|| panic!("lost: {order:?}"));
        let (data, then) = world.read(&stream);
        assert_eq!((&data, then), (&world.sent, Err(ErrorKind::WouldBlock)), "{order:?}");
        assert_eq!(world.peer_read(), world.written, "{order:?}");
        // It is a stream like any other, and may be parked again.
        assert_eq!(stream.try_write(b"again").unwrap(), 5);
        (world.stream, world.sent) = (Some(stream), Vec::new());
        world.act(Op::Park);
        world.settle();
        assert_eq!(world.peer_read(), b"again");
        assert!(world.back().is_none(), "{order:?}");
        assert_eq!(world.idle.as_ref().unwrap().len(), 1);
        assert!(world.driver.entries.iter().next().is_none(), "no cell while parked");
        world.act(Op::Send);
        world.settle();
        let stream = world.back().expect("woken");
        assert_eq!(world.read(&stream).0, world.sent);
        assert!(world.idle.as_ref().unwrap().is_empty());
        drop(stream);
        world.end();
    });
    assert_eq!(count, 420);
}

#[test]
fn an_end_that_crosses_a_park_is_found_by_the_first_read_after_it() {
    for last in [Op::Finish, Op::Reset] {
        let rows: &[&[Op]] = &[&[Op::Write, Op::Park], &[Op::Send, last], WORKER];
        let mut refusals = [0; 3];
        let count = interleave(rows, &mut |mut world, order| {
            world.settle();
            match world.refused {
                None => refusals[0] += 1,
                Some(ParkRefusal::HalfClosed) => refusals[1] += 1,
                Some(_) => refusals[2] += 1,
            }
            let stream = world.back().unwrap_or_else(|| panic!("lost: {order:?}"));
            let end = if last == Op::Finish { Ok(0) } else { Err(ErrorKind::ConnectionReset) };
            assert_eq!(world.read(&stream), (world.sent.clone(), end), "{order:?}");
            drop(stream);
            world.end();
        });
        assert_eq!(count, 420);
        // Known at the time of the park in some, and not in others.
        let by_kind = usize::from(last == Op::Reset) + 1;
        assert!(refusals[0] > 0 && refusals[by_kind] > 0, "{refusals:?}");
        assert_eq!(refusals.iter().sum::<u32>(), 420);
    }
}

#[test]
fn a_stream_that_is_taken_comes_back_once() {
    let rows: &[&[Op]] = &[&[Op::Write, Op::Park, Op::Take], &[Op::Send], WORKER];
    let mut by_take = 0;
    let count = interleave(rows, &mut |mut world, order| {
        world.settle();
        let taken = world.poll_take().expect("answered").unwrap();
        let resumed = world.back();
        assert!(taken.is_some() != resumed.is_some(), "{order:?}");
        by_take += u32::from(taken.is_some());
        let stream = taken.map(|resumed| resumed.stream).or(resumed).unwrap();
        let sent = world.sent.clone();
        assert_eq!(world.read(&stream), (sent, Err(ErrorKind::WouldBlock)), "{order:?}");
        assert!(world.idle.as_ref().unwrap().is_empty());
        drop(stream);
        world.end();
    });
    assert_eq!(count, 280);
    assert!(by_take > 0 && by_take < count, "{by_take}");
}

#[test]
fn a_take_that_is_given_up_leaves_the_stream_where_it_was() {
    let rows: &[&[Op]] = &[&[Op::Park, Op::Take, Op::LeaveTake], WORKER];
    let count = interleave(rows, &mut |mut world, order| {
        world.settle();
        assert!(world.back().is_none(), "{order:?}");
        assert_eq!(world.idle.as_ref().unwrap().len(), 1, "{order:?}");
        world.act(Op::Send);
        world.settle();
        let stream = world.back().unwrap_or_else(|| panic!("lost: {order:?}"));
        assert_eq!(world.read(&stream).0, world.sent);
        drop(stream);
        world.end();
    });
    assert_eq!(count, 35);
}

#[test]
fn a_dropped_lot_closes_its_streams_whatever_is_under_way() {
    let rows: &[&[Op]] = &[&[Op::Write, Op::Park, Op::DropLot], &[Op::Send], WORKER];
    let count = interleave(rows, &mut |mut world, order| {
        world.settle();
        // Closed, or reset because of what nobody read.
        let (near, far) = (world.near, world.far);
        assert!(world.engine.token(near).is_none(), "{order:?}");
        let reset =
            world.engine.info(now(), far).is_none_or(|info| info.state == crate::StateName::Closed);
        let read = world.peer_read();
        assert!(reset || read == world.written, "{order:?}");
        let end = world.engine.read_slice(now(), far);
        assert!(reset || matches!(end, Ok(crate::engine::Read::End)), "{order:?}");
        world.end();
    });
    assert_eq!(count, 280);
}

#[test]
fn the_end_of_the_stack_is_told_and_closes_what_is_parked() {
    let worker = &[Op::Events, Op::Turn, Op::Stop, Op::Turn, Op::Events, Op::Turn];
    let rows: &[&[Op]] = &[&[Op::Write, Op::Park], &[Op::Send], worker];
    let count = interleave(rows, &mut |mut world, order| {
        world.settle();
        let lost = loop {
            match world.poll_next() {
                Poll::Ready(Ok(resumed)) => drop(resumed),
                Poll::Ready(Err(error)) => break error,
                Poll::Pending => panic!("waits for ever: {order:?}"),
            }
        };
        assert_eq!(lost.kind(), ErrorKind::ConnectionAborted);
        assert!(world.waiter.0.load(Ordering::Relaxed) > 0, "{order:?}");
        drop(world.stream.take());
        // What is not parked the worker resets after the linger time.
        if world.engine.token(world.near).is_some() {
            let place = world.engine.token(world.near).unwrap();
            assert!(world.driver.entries.get_mut(place).is_some(), "{order:?}");
            assert!(!world.driver.is_parked(world.near), "{order:?}");
        }
    });
    assert_eq!(count, 252);
}

#[test]
fn streams_that_wake_together_wait_without_cells_until_there_is_room() {
    let hub = Arc::new(Hub::new(Arc::new(Doorbell::new().unwrap()), BUDGET, &Limits::default()));
    let idle = IdleStreams::at(vec![&hub]).unwrap();
    let other = IdleStreams::at(vec![&hub]).unwrap();
    let mut engine = Fake::new(BUDGET);
    let listener = engine
        .listen(usertcp_base::Instant::ZERO, ListenAt::port(80), &ListenOptions::default())
        .unwrap();
    let (mut driver, mut state) = (Driver::new(hub, true), ContextState::default());
    let mut fars = Vec::new();
    for tag in 0..500 {
        let near = engine.connect(now(), at(80), &ConnectOptions::default()).unwrap();
        fars.push(engine.accept(listener).unwrap());
        let context = &mut Context { engine: &mut engine, now: now(), state: &mut state };
        let handle = driver.adopt(context, near).unwrap();
        let lot = if tag % 10 == 0 { &other } else { &idle };
        lot.park(TcpStream::new(handle), tag).unwrap();
    }
    let round = |engine: &mut Fake, driver: &mut Driver, state: &mut ContextState| {
        while let Some(event) = engine.poll_event() {
            driver.on_event(&mut Context { engine, now: now(), state }, event);
        }
        driver.on_turn(&mut Context { engine, now: now(), state });
        driver.entries.iter().count()
    };
    assert_eq!(round(&mut engine, &mut driver, &mut state), 0);
    assert_eq!((idle.len(), other.len()), (450, 50));
    for far in fars {
        let slice = engine.pool().copy_of(b"x", 0).unwrap();
        assert!(engine.write_chain(now(), far, Chain::from(slice)).unwrap().is_empty());
    }
    let mut most = 0;
    let mut context = std::task::Context::from_waker(Waker::noop());
    for (lot, own) in [(&idle, false), (&other, true)] {
        let mut tags = Vec::new();
        loop {
            most = most.max(round(&mut engine, &mut driver, &mut state));
            let Poll::Ready(resumed) = lot.poll_next(&mut context) else { break };
            let Resumed { stream, tag } = resumed.unwrap();
            assert_eq!(stream.try_read(&mut [0; 8]).unwrap(), 1);
            tags.push(tag);
        }
        // In the order in which they woke, in each lot its own.
        let expected: Vec<_> = (0..500).filter(|tag| (tag % 10 == 0) == own).collect();
        assert_eq!(tags, expected);
    }
    assert!(most <= 64 + 50 + 2, "{most} cells");
    assert!(idle.is_empty() && other.is_empty());
}
