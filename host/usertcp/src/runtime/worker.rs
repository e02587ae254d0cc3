//! The thread's loop.
//!
//! Owns: the order of a round (turn, events, commands), when to sleep and for how long, the end.
//! Must not know: sockets; what a handler does.

use crate::engine::{Arrival, Engine, ShardEvent};
use crate::metrics::Published;
use crate::native::{Context, ContextState, Handler, next_held};
use crate::runtime::clock::Clock;
use crate::runtime::commands::Inbox;
use crate::runtime::doorbell::Doorbell;
use crate::runtime::mates::Mates;
use crate::runtime::wait::Waiter;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ThreadId;
use usertcp_base::{Instant, Span};

/// Something for the worker to do.
pub(crate) type Call = Box<dyn FnOnce(&mut Context<'_>) + Send>;

/// What the worker shares with the handles of its stack.
pub(crate) struct Control {
    pub(crate) doorbell: Arc<Doorbell>,
    pub(crate) calls: Inbox<Call>,
    pub(crate) wake: AtomicBool,
    pub(crate) stop: AtomicBool,
    pub(crate) published: Published,
    pub(crate) clock: Clock,
    /// The workers of the same stack, this one among them.
    pub(crate) mates: Arc<Mates>,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").field("doorbell", &self.doorbell).finish_non_exhaustive()
    }
}

/// How the worker behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manners {
    /// How long it looks for work before it sleeps; zero: not at all.
    pub(crate) busy_poll: Span,
    /// How long connections may take to close when the stack is shut down.
    pub(crate) linger: Span,
}

/// Rounds in a row that may find a deadline due and nothing to do. More is somebody's mistake, and
/// must not become a busy loop.
const IDLE_ROUNDS: u32 = 64;
/// The sleep after that.
const REST: Span = Span::from_micros(200);

/// Bursts, and packets, that are taken in before anything leaves: an acknowledgement serves for several bursts
/// of super-packets, and a system call of the device for all answers.
const ROUND_BURSTS: u32 = 16;
const ROUND_PACKETS: usize = 256;

/// Connections reset between two flushes at the end.
const ABORTS: u32 = 256;

/// When to try again what a full device, or frames on other threads, did not allow.
const RETRY: Span = Span::from_millis(1);

/// A stack's machine, its handler, and what drives them.
pub(crate) struct Worker<H: Handler> {
    engine: Box<dyn Engine>,
    handler: H,
    control: Arc<Control>,
    manners: Manners,
    context: ContextState,
    calls: Vec<Call>,
    /// When the wait for closing connections ends.
    stopping: Option<Instant>,
    /// The mates know that it is done.
    left: bool,
    /// The one thread that ever touches its connections.
    thread: ThreadId,
    /// When something last happened.
    active: Instant,
    /// The moment of packets that left for the device, until it is known when they were there.
    flushed: Option<Instant>,
    idle_rounds: u32,
}

/// How a round went.
struct Round {
    now: Instant,
    /// Something happened.
    happened: bool,
    /// Work is left: another round at once.
    again: bool,
    /// Packets wait for the device.
    device_full: bool,
}

impl<H: Handler> Worker<H> {
    pub(crate) fn new(
        engine: Box<dyn Engine>,
        handler: H,
        control: Arc<Control>,
        manners: Manners,
    ) -> Worker<H> {
        let active = control.clock.now();
        Worker {
            engine,
            handler,
            control,
            manners,
            context: ContextState::default(),
            calls: Vec::new(),
            stopping: None,
            left: false,
            thread: std::thread::current().id(),
            active,
            flushed: None,
            idle_rounds: 0,
        }
    }

    /// Runs until the stack is shut down.
    pub(crate) fn run(&mut self) {
        Waiter::sharpen();
        let mut waiter = Waiter::new(self.engine.wait_handle());
        self.engine.defer_sends();
        let now = self.control.clock.now();
        self.with_handler(now, |handler, context| handler.on_start(context));
        loop {
            let rung = self.control.doorbell.take_rung();
            let round = self.round(rung);
            if self.is_over(round.now) {
                return self.finish();
            }
            if round.happened || round.again {
                self.active = round.now;
                self.idle_rounds = 0;
            }
            self.pause(&mut waiter, &round);
        }
    }

    /// Between two rounds. What the last one flushed leaves: a sleep sends it, by the one system
    /// call that both take.
    fn pause(&mut self, waiter: &mut Waiter, round: &Round) {
        let spins = !round.again && round.now.since(self.active) < self.manners.busy_poll;
        if !round.again && !spins && self.sleep(waiter, round) {
            return;
        }
        self.engine.send_off();
        if spins {
            // Where threads are more than cores, what we wait for may need this one.
            std::thread::yield_now();
        }
    }

    fn round(&mut self, rung: bool) -> Round {
        // The compiler sees to it (a shard is not `Send`); this is for whoever makes it so.
        debug_assert_eq!(std::thread::current().id(), self.thread);
        let (now, Arrival { more, received }) = self.take_in();
        let mut happened = self.events(now) | (received > 0);
        let due = self.context.wake_at.is_some_and(|at| at <= now);
        if rung || due {
            happened |= self.commands(now, due);
        }
        self.context.acted = false;
        self.with_handler(now, |handler, context| handler.on_turn(context));
        happened |= std::mem::take(&mut self.context.acted);
        // The handler acted before anything leaves: its answers carry the acknowledgements, and
        // what it has read keeps the window open. The device is not asked again, unless it knows
        // without a system call: if it has more, the sleep ends as it begins.
        // What leaves is paced by when it leaves, and a burst took its time.
        let now = if happened { self.control.clock.now() } else { now };
        let flushed = self.engine.flush(now);
        if flushed.sent > 0 {
            self.flushed = Some(now);
        }
        let again = more | flushed.more | self.events(now) | self.engine.has_waiting();
        self.control.published.offer(now, &*self.engine);
        Round { now, happened, again, device_full: flushed.device_full }
    }

    /// Receives what is there, also if that is more than a burst, and what came meanwhile if that costs nothing to
    /// know. The application reads what a burst brought before the next comes. When the last was, and
    /// what they were together; its events are still to be told.
    fn take_in(&mut self) -> (Instant, Arrival) {
        let mut now = self.control.clock.now();
        self.tell_lag(now);
        let mut all = self.engine.receive(now);
        for _ in 1..ROUND_BURSTS {
            if all.received >= ROUND_PACKETS {
                break;
            }
            self.events(now);
            let waits = all.more || self.engine.has_waiting();
            if !waits {
                break;
            }
            now = self.control.clock.now();
            let Arrival { more, received } = self.engine.receive(now);
            all = Arrival { more, received: all.received + received };
        }
        (now, all)
    }

    /// Whether frames are short and other threads have some: when those come home, nobody rings.
    fn lacks_frames(&self) -> bool {
        let pool = self.engine.pool();
        pool.is_tight() && pool.stats().lent > 0
    }

    fn events(&mut self, now: Instant) -> bool {
        let mut any = false;
        while let Some(event) = self.engine.poll_event() {
            any = true;
            self.event(now, event);
        }
        any
    }

    fn event(&mut self, now: Instant, event: ShardEvent) {
        self.with_handler(now, |handler, context| handler.on_event(context, event));
    }

    /// Does what other threads asked for; whether they did.
    fn commands(&mut self, now: Instant, due: bool) -> bool {
        let mut happened = false;
        if self.control.stop.load(Ordering::Acquire) && self.stopping.is_none() {
            happened = true;
            self.begin_stop(now);
        }
        self.control.calls.take(&mut self.calls);
        let mut calls = std::mem::take(&mut self.calls);
        for call in calls.drain(..) {
            happened = true;
            self.with_handler(now, |_, context| call(context));
        }
        self.calls = calls;
        let asked = self.control.wake.swap(false, Ordering::AcqRel);
        if due || asked {
            happened = true;
            self.context.wake_at = self.context.wake_at.filter(|at| *at > now);
            self.with_handler(now, |handler, context| handler.on_wake(context));
        }
        happened
    }

    fn with_handler(&mut self, now: Instant, act: impl FnOnce(&mut H, &mut Context<'_>)) {
        let mut context = Context { engine: &mut *self.engine, now, state: &mut self.context };
        act(&mut self.handler, &mut context);
    }

    /// What left last is at the device by now, where a sleep does not send it.
    fn tell_lag(&mut self, now: Instant) {
        if let Some(flushed) = self.flushed.take() {
            self.engine.tell_lag(flushed, now);
        }
    }

    /// Whether it slept, if only for a look: there may be a reason not to.
    fn sleep(&mut self, waiter: &mut Waiter, round: &Round) -> bool {
        let publish = self.control.published.due();
        let soon = (round.device_full || self.lacks_frames()).then(|| round.now + RETRY);
        let next = self.engine.next_deadline();
        let deadlines = [next, soon, self.context.wake_at, publish, self.stopping];
        let deadline = deadlines.into_iter().flatten().min();
        let now = self.control.clock.now();
        self.tell_lag(now);
        let left = match deadline {
            Some(at) if at <= now && self.idle_rounds < IDLE_ROUNDS => {
                self.idle_rounds += 1;
                return false;
            }
            Some(at) if at <= now => Some(REST),
            Some(at) => Some(at.since(now)),
            None => None,
        };
        // The clock rounds down to the microsecond, so the wait ends at the deadline or after it,
        // and the next round finds it due.
        let nanos = left.map(|span| span.as_micros().saturating_mul(1000));
        let sleeps = self.control.doorbell.lie_down();
        if sleeps {
            let woken = waiter.sleep(&self.control.doorbell, nanos);
            self.control.doorbell.get_up(woken.doorbell);
            self.idle_rounds = 0;
        }
        sleeps
    }

    fn begin_stop(&mut self, now: Instant) {
        self.stopping = Some(now + self.manners.linger);
        self.with_handler(now, |handler, context| handler.on_stop(context));
    }

    fn is_over(&mut self, now: Instant) -> bool {
        if self.engine.device_is_gone() {
            // Nobody can be reached: there is nothing to wait for.
            if self.stopping.is_none() {
                self.begin_stop(now);
            }
            return true;
        }
        let Some(end) = self.stopping else { return false };
        if self.engine.live() == 0 {
            self.leave();
        }
        self.control.mates.are_done() || now >= end
    }

    fn leave(&mut self) {
        if !std::mem::replace(&mut self.left, true) {
            self.control.mates.leave();
        }
    }

    /// Resets what did not close in time, and sends the last packets.
    fn finish(&mut self) {
        let now = self.control.clock.now();
        let (mut last, mut aborted) = (None, 0_u32);
        while let Some(conn) = next_held(&*self.engine, last) {
            last = Some(conn);
            self.engine.abort(now, conn);
            aborted += 1;
            if aborted.is_multiple_of(ABORTS) {
                // Resets take frames until they are sent.
                self.engine.flush(now);
            }
        }
        for _ in 0..IDLE_ROUNDS {
            let turn = self.engine.turn(self.control.clock.now());
            self.events(now);
            if !turn.more {
                break;
            }
        }
        self.engine.send_off();
        self.control.published.offer_last(&*self.engine);
    }
}

impl<H: Handler> Drop for Worker<H> {
    /// Also when a handler panicked: who waits for an answer learns that there will be none.
    fn drop(&mut self) {
        self.leave();
        drop(self.control.calls.close());
    }
}

#[cfg(test)]
mod tests;
