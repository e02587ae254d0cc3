//! The stack, its virtual clock, and calls that wait. Owns: when time passes, who wakes whom.
//! Must not know: C, foreign memory.
//!
//! Time passes only when the program sleeps, reads the clock (a microsecond a reading: it spins on
//! it), waits for a packet, or waits in a call with nobody else to go on. A call that waits is tried
//! again by whoever moves the stack, at the very moment at which it can end; its thread truly
//! sleeps meanwhile, and its next reading of the clock is that moment.

use crate::descriptors::Descriptors;
use crate::flags::{Flags, prefix};
use core::net::IpAddr;
use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use usertcp_base::{Instant, Span};
use usertcp_conformance::posix::commands::{self, Ran};
use usertcp_conformance::posix::errno::Errno;
use usertcp_conformance::posix::{Posix, Status};

/// Time zero of the program's clock, seconds since 1970.
const EPOCH: u64 = 1_700_000_000;
/// When the stack starts.
const START: Instant = Instant::from_millis(1_000_000);
/// A packet is waited for as long as this: longer than the longest timer, keep-alive's two hours.
const LONGEST: Span = Span::from_secs(3 * 3600);

/// One attempt of a call: what it came to, and when it ends by itself.
pub type Attempt = Box<dyn FnMut(&mut Posix) -> (Status, Option<Instant>) + Send>;

struct Waiter {
    id: u64,
    thread: ThreadId,
    attempt: Attempt,
    deadline: Option<Instant>,
}

/// The stack and what is around it.
pub struct World {
    /// The sockets.
    pub posix: Posix,
    /// Their numbers.
    pub descriptors: Descriptors,
    waiters: Vec<Waiter>,
    /// Calls that ended and whose threads do not know it yet.
    ended: HashMap<u64, Status>,
    /// What the next reading of the clock by a thread is.
    readings: HashMap<ThreadId, Instant>,
    /// The thread that runs the script.
    main: ThreadId,
    calls: u64,
}

// Not safely: the stack is of one thread, and the program calls from two. A thread for the stack
// would be the safe way, but then a call that does not wait would sleep too, waiting for its answer,
// and whether a thread sleeps is how the program tells that a call waits.
// SAFETY: what is not Send in it are counts of references that are not atomic and memory that they
// guard. All of these references are inside the world: its functions hand out octets, numbers and
// times only. So they are only ever touched by the thread that holds the one lock.
unsafe impl Send for World {}

static WORLD: Mutex<Option<World>> = Mutex::new(None);
static ENDED: Condvar = Condvar::new();
/// Commands that came before the stack was there.
static EARLY: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn locked<T>(cell: &Mutex<T>) -> MutexGuard<'_, T> {
    cell.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A new stack, in the place of an older one.
pub fn start(flags: Flags) -> Result<(), String> {
    // Initial sequence numbers follow a clock of 4 us steps.
    let start = START + Span::from_millis(flags.seed.wrapping_mul(7919) % 16_000_000);
    let mut posix = Posix::new(flags.defaults(), start)?;
    for command in locked(&EARLY).drain(..) {
        ran(commands::run(&mut posix, &command))?;
    }
    *locked(&WORLD) = Some(World {
        posix,
        descriptors: Descriptors::default(),
        waiters: Vec::new(),
        ended: HashMap::new(),
        readings: HashMap::new(),
        main: std::thread::current().id(),
        calls: 0,
    });
    Ok(())
}

/// The program is done with the stack.
pub fn stop() {
    *locked(&WORLD) = None;
}

/// A setting, now or when there is a stack.
pub fn command(text: &str) -> Result<(), String> {
    match &mut *locked(&WORLD) {
        Some(world) => ran(commands::run(&mut world.posix, text)),
        None => {
            locked(&EARLY).push(text.to_string());
            Ok(())
        }
    }
}

fn ran(ran: Ran) -> Result<(), String> {
    match ran {
        Ran::Done(_) => Ok(()),
        Ran::Failed(what) => Err(format!("a way to do `{what}`")),
        Ran::Missing(what) => Err(what),
    }
}

/// Does `work` on the world; `None`: there is none.
pub fn with<T>(work: impl FnOnce(&mut World) -> T) -> Option<T> {
    let mut guard = locked(&WORLD);
    let world = guard.as_mut()?;
    let out = work(world);
    world.try_waiters();
    Some(out)
}

/// Makes a call that may wait, and waits.
pub fn wait(mut attempt: Attempt) -> Status {
    let mut guard = locked(&WORLD);
    let Some(world) = guard.as_mut() else { return Status::Error(Errno::EBADF) };
    let (status, deadline) = attempt(&mut world.posix);
    world.try_waiters();
    if status != Status::Blocked {
        return status;
    }
    let thread = std::thread::current().id();
    if thread == world.main {
        return world.wait_alone(attempt, deadline);
    }
    world.calls += 1;
    let id = world.calls;
    world.waiters.push(Waiter { id, thread, attempt, deadline });
    loop {
        guard = ENDED.wait(guard).unwrap_or_else(PoisonError::into_inner);
        let Some(world) = guard.as_mut() else { return Status::Error(Errno::EBADF) };
        if let Some(status) = world.ended.remove(&id) {
            return status;
        }
    }
}

impl World {
    /// Tries the calls that wait; those that ended are told so, with the time.
    fn try_waiters(&mut self) {
        let now = self.posix.machine.now;
        let (posix, ended, readings) = (&mut self.posix, &mut self.ended, &mut self.readings);
        let before = self.waiters.len();
        self.waiters.retain_mut(|waiter| {
            let (status, deadline) = (waiter.attempt)(posix);
            waiter.deadline = deadline;
            if status == Status::Blocked {
                return true;
            }
            ended.insert(waiter.id, status);
            readings.insert(waiter.thread, now);
            false
        });
        if self.waiters.len() < before {
            ENDED.notify_all();
        }
    }

    /// One step towards `limit`; false when it is reached.
    fn step(&mut self, limit: Instant) -> bool {
        let deadlines = self.waiters.iter().filter_map(|waiter| waiter.deadline);
        let next = deadlines.min().map_or(limit, |deadline| deadline.min(limit));
        let stepped = self.posix.step(next);
        self.try_waiters();
        stepped || next < limit
    }

    /// Time passes.
    pub fn pass(&mut self, span: Span) {
        let until = self.posix.machine.now + span;
        while self.step(until) {}
    }

    /// The program's clock, microseconds since 1970, read by this thread.
    pub fn read_clock(&mut self) -> u64 {
        let now = match self.readings.remove(&std::thread::current().id()) {
            Some(stamp) => stamp,
            None => {
                self.pass(Span::from_micros(1));
                self.posix.machine.now
            }
        };
        self.clock(now)
    }

    /// A moment on the program's clock.
    pub fn clock(&self, moment: Instant) -> u64 {
        EPOCH * 1_000_000 + moment.since(self.posix.machine.start).as_micros()
    }

    /// The next packet that left the stack, waited for, with its time.
    pub fn next_packet(&mut self) -> Option<(u64, Vec<u8>)> {
        let until = self.posix.machine.now + LONGEST;
        while self.posix.machine.sent.is_empty() && self.step(until) {}
        let (at, octets) = self.posix.machine.sent.pop_front()?;
        Some((self.clock(at), octets))
    }

    /// The script's own thread waits: nobody else would make time pass.
    fn wait_alone(&mut self, mut attempt: Attempt, mut deadline: Option<Instant>) -> Status {
        let until = self.posix.machine.now + LONGEST;
        loop {
            let next = deadline.map_or(until, |deadline| deadline.min(until));
            let more = self.step(next) || next < until;
            let (status, later) = attempt(&mut self.posix);
            deadline = later;
            if status != Status::Blocked {
                return status;
            }
            if !more {
                eprintln!("usertcp: a call without an end time waits for what never comes");
                return Status::Error(Errno::EINTR);
            }
        }
    }

    /// Takes a number of the system for one of ours.
    pub fn hand_out(&mut self, ours: i32) -> Result<i32, Errno> {
        let (number, gone) = self.descriptors.hand_out(ours).map_err(|_| Errno::ENOMEM)?;
        if let Some(gone) = gone {
            // Closed behind our back: closed for the stack too, whatever that says.
            let _ = self.posix.close(gone);
        }
        Ok(number)
    }

    /// Ours behind a number, -1 when it is none: the stack calls that a bad one.
    pub fn ours(&self, number: i32) -> i32 {
        self.descriptors.ours(number).unwrap_or(-1)
    }

    /// An address turns out to be ours.
    pub fn learn(&mut self, address: IpAddr) {
        if address.is_unspecified() {
            return;
        }
        for gone in self.descriptors.take_gone() {
            let _ = self.posix.close(gone);
        }
        if let Err(why) = self.posix.add_address(address, prefix(address)) {
            eprintln!("usertcp: {why}; --so_flags=local=ADDRESS names one");
        }
    }
}
