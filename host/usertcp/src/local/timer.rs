//! The driver's alarm: a timer descriptor, because the runtime's own timers are no finer than a
//! millisecond and pacing is.
//! Owns: when it will go off. Must not know: what for.

use crate::local::watch::Watch;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use rustix::time::{timerfd_create, timerfd_settime};
use std::io;
use std::task::Context;
use usertcp_base::{Instant, Span};

/// Goes off at the moment set, or before: deadlines mostly move later, and setting costs a system
/// call.
pub(crate) struct Timer {
    watch: Watch,
    /// When it goes off, if that is still to come.
    armed: Option<Instant>,
}

impl Timer {
    /// A timer that is not set. Call it inside of the runtime.
    pub(crate) fn new() -> io::Result<Timer> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let watch = Watch::new(timerfd_create(TimerfdClockId::Monotonic, flags)?)?;
        Ok(Timer { watch, armed: None })
    }

    /// It is `now`; the task is to be polled at `deadline` or before.
    pub(crate) fn wait(&mut self, context: &mut Context<'_>, now: Instant, deadline: Instant) {
        self.armed = self.armed.filter(|at| *at > now && *at <= deadline);
        if self.armed.is_none() {
            // The clock rounds down to the microsecond, so one more is never early.
            self.set(deadline.since(now).max(Span::from_micros(1)));
            self.armed = Some(deadline);
        }
        // Readiness of the time before is stale: the moment it told of was seen.
        let _ = self.watch.wait(context);
    }

    fn set(&self, span: Span) {
        let micros = span.as_micros();
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let value = Timespec {
            tv_sec: i64::try_from(micros / 1_000_000).unwrap_or(i64::MAX),
            tv_nsec: (micros % 1_000_000) as i64 * 1000,
        };
        let setting = Itimerspec { it_interval: zero, it_value: value };
        // It can fail for a descriptor that is no timer, or a time that is none.
        let _ = timerfd_settime(self.watch.descriptor(), TimerfdTimerFlags::empty(), &setting);
    }
}
