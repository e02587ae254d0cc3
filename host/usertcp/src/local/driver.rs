//! The task that drives a local stack.
//!
//! Owns: the order of a round (flush, receive, events, wake), when to sleep and what ends the sleep.
//! Must not know: what the woken tasks do.
//!
//! A round that told somebody something yields: the driver queues behind the tasks it woke, and goes on
//! with the flush of what they wrote. The runtime must take its tasks in order for that, as Tokio's
//! current-thread runtimes and `LocalSet` do; another order costs packets, not correctness.
//!
//! The device is waited for by edges (Tokio's registrations are): so the driver sleeps only after a
//! receipt that found nothing, which is where the next edge begins.

use crate::local::state::{Shared, State};
use crate::local::timer::Timer;
use crate::local::watch::Watch;
use crate::lots::Swept;
use crate::runtime::wait::borrow;
use crate::sockets::wakers::Wakers;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use usertcp_base::{Instant, Span};

/// Rounds in a row that may find a deadline due and nothing to do.
const IDLE_ROUNDS: u32 = 64;
/// When to try again what nobody will tell of: a full device, frames that are short, a device whose
/// descriptor failed.
const RETRY: Span = Span::from_millis(1);

/// Drives a [`LocalStack`](crate::LocalStack): spawn it on the stack's own thread
/// (`tokio::task::spawn_local`).
///
/// It ends when the stack has been shut down, or its last handle dropped, and its connections are
/// closed or the linger time has passed; or when it finds that the device is gone, as a TUN interface that was
/// removed. Dropping it before resets what is open; streams and listeners
/// fail then.
#[must_use = "a stack does nothing without its driver"]
pub struct LocalDriver {
    device: Option<Watch>,
    bell: Watch,
    timer: Timer,
    busy_poll: Span,
    told: Vec<Wakers>,
    /// When something last happened.
    active: Instant,
    idle_rounds: u32,
    /// The doorbell was told that nobody is awake.
    lying: bool,
    /// The last field: the device goes after its registration.
    shared: Rc<Shared>,
}

/// What a round leaves to do.
enum Next {
    /// Tasks were woken, or work is left.
    Again,
    /// Nothing, until this moment at the latest.
    Sleep(Instant, Option<Instant>),
    /// All is closed.
    Over,
}

impl LocalDriver {
    pub(crate) fn new(shared: Rc<Shared>, busy_poll: Span) -> io::Result<LocalDriver> {
        let handle = shared.call(|state, _| state.engine.wait_handle());
        let device = handle.map(|handle| Watch::of(borrow(handle))).transpose()?;
        Ok(LocalDriver {
            device,
            bell: Watch::of(shared.doorbell.descriptor())?,
            timer: Timer::new()?,
            active: shared.clock.now(),
            busy_poll,
            told: Vec::new(),
            idle_rounds: 0,
            lying: false,
            shared,
        })
    }

    fn round(&mut self) -> Next {
        let LocalDriver { shared, told, active, busy_poll, idle_rounds, .. } = self;
        let mut now = shared.clock.now();
        shared.call(|state, _| {
            state.turn = Some(now);
            let swept = state.sweep(now);
            if std::mem::take(&mut state.acted) {
                // What the tasks wrote since the last round.
                let turn = state.engine.flush(now);
                if turn.sent > 0 {
                    // To send a burst takes longer than round-trip times are sharp.
                    let flushed = std::mem::replace(&mut now, shared.clock.now());
                    state.engine.tell_lag(flushed, now);
                    state.turn = Some(now);
                }
            }
            let arrival = state.engine.receive(now);
            if state.drain_events(told) {
                state.acted = true;
                (*active, *idle_rounds) = (now, 0);
                return Next::Again;
            }
            let turn = state.engine.flush(now);
            if turn.sent > 0 {
                state.engine.tell_lag(now, shared.clock.now());
            }
            let told_late = state.drain_events(told);
            if arrival.received > 0 || turn.sent > 0 {
                (*active, *idle_rounds) = (now, 0);
            }
            if state.is_closed(now) || state.engine.device_is_gone() {
                return Next::Over;
            }
            let busy = arrival.received > 0 || now.since(*active) < *busy_poll;
            let sweeps = matches!(swept, Swept::More);
            if told_late || busy || arrival.more || turn.more || sweeps {
                return Next::Again;
            }
            let soon = (turn.device_full || lacks_frames(state)).then(|| now + RETRY);
            let later = if let Swept::Later(span) = swept { Some(now + span) } else { None };
            let deadlines = [state.engine.next_deadline(), soon, later, state.stopping];
            Next::Sleep(now, deadlines.into_iter().flatten().min())
        })
    }

    /// Arranges to be polled when something happens. False: at once.
    fn sleep(
        &mut self,
        context: &mut Context<'_>,
        now: Instant,
        deadline: Option<Instant>,
    ) -> bool {
        let mut deadline = deadline;
        if deadline.is_some_and(|at| at <= now) {
            // Due, and the round found nothing to do: more than a few are somebody's mistake, and must
            // not become a busy loop.
            self.idle_rounds += 1;
            if self.idle_rounds < IDLE_ROUNDS {
                return false;
            }
            deadline = Some(now + RETRY);
        }
        if !self.shared.doorbell.lie_down() {
            return false;
        }
        self.lying = true;
        let rest = self.bell.wait(context);
        if !self.device.as_ref().is_none_or(|device| device.wait(context)) || !rest {
            // A descriptor that failed is always ready: it is asked again in good time.
            let soon = now + RETRY;
            deadline = Some(deadline.map_or(soon, |at| at.min(soon)));
        }
        if let Some(deadline) = deadline {
            self.timer.wait(context, now, deadline);
        }
        let waker = context.waker().clone();
        let old = self.shared.call(|state, _| {
            state.turn = None;
            state.driver.replace(waker)
        });
        drop(old);
        true
    }
}

/// Whether frames are short and some are lent: when those come home, nobody tells.
fn lacks_frames(state: &State) -> bool {
    let pool = state.engine.pool();
    pool.is_tight() && pool.stats().lent > 0
}

impl State {
    fn is_closed(&self, now: Instant) -> bool {
        self.stopping.is_some_and(|end| self.engine.live() == 0 || now >= end)
    }
}

impl Future for LocalDriver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let driver = &mut *self;
        if std::mem::take(&mut driver.lying) {
            // Whether the bell's counter is readable is not known here; to read it costs a call only if
            // somebody rang.
            driver.shared.doorbell.get_up(false);
        }
        driver.shared.doorbell.take_rung();
        let next = driver.round();
        driver.told.drain(..).for_each(Wakers::wake);
        match next {
            Next::Over => {
                driver.finish();
                return Poll::Ready(());
            }
            Next::Again => context.waker().wake_by_ref(),
            Next::Sleep(now, deadline) => {
                if !driver.sleep(context, now, deadline) {
                    context.waker().wake_by_ref();
                }
            }
        }
        Poll::Pending
    }
}

impl LocalDriver {
    /// Resets what did not close, and sends the last packets.
    fn finish(&mut self) {
        self.shared.end();
        self.shared.call(|state, now| {
            state.abort_all(now);
            for _ in 0..IDLE_ROUNDS {
                if !state.engine.flush(now).more {
                    break;
                }
            }
            while state.engine.poll_event().is_some() {}
        });
    }
}

impl Drop for LocalDriver {
    fn drop(&mut self) {
        if !self.shared.call(|state, _| state.gone) {
            self.finish();
        }
    }
}
