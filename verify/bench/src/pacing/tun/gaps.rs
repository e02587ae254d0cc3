//! The core that the stack's thread runs on: when nobody had it.
//!
//! Owns: a thread on that core that sleeps for a fifth of a millisecond at a time, before the stack's in line, and by how
//! much it woke late. Must not know: packets, limits.
//!
//! What the stack computes never makes it late: it goes first. So when it is, the kernel was at work on that core where
//! it lets nobody in, or what runs the kernel gave the core to somebody else, and a packet that was due meanwhile could not leave,
//! whoever was to send it. The same is true of a call of the device that takes as long as hundreds do. As the stack's own calls
//! of the device are the kernel's work too, what is excused is rather too much than too little.

use crate::machine;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant as Clock};

const SLEEP: Duration = Duration::from_micros(200);
/// Later than this is late: to wake takes some microseconds, and so does a call of the device that nobody interrupts.
const LATE: Duration = Duration::from_micros(50);

/// When nobody had the core, in microseconds since a moment: apart, in order.
#[derive(Clone, Debug, Default)]
pub struct Gaps(Vec<Range<u32>>);

/// The thread. It ends with this.
pub struct Sentry {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<Option<Gaps>>>,
}

impl Sentry {
    /// Moments are told since `begun`.
    pub fn begin(begun: Clock) -> Sentry {
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        Sentry { over, thread: Some(std::thread::spawn(move || watch(begun, &ends))) }
    }

    /// `None`: the thread could not go before the stack's.
    pub fn end(mut self) -> Option<Gaps> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.take()?.join().ok().flatten()
    }
}

impl Drop for Sentry {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn watch(begun: Clock, over: &AtomicBool) -> Option<Gaps> {
    if !machine::go_first_on_first_core() {
        return None;
    }
    let mut gaps = Vec::new();
    sleep_until(over, SLEEP, |due, woke| {
        if woke.saturating_duration_since(due) > LATE {
            let micros = |at: Clock| at.saturating_duration_since(begun).as_micros() as u32;
            gaps.push(micros(due)..micros(woke));
        }
    });
    Some(Gaps(gaps))
}

/// Sleeps for `span` at a time until it is over, and tells when each sleep was to end and when it did.
pub fn sleep_until(over: &AtomicBool, span: Duration, mut woken: impl FnMut(Clock, Clock)) {
    while !over.load(Ordering::Relaxed) {
        let due = Clock::now() + span;
        std::thread::sleep(span);
        woken(due, Clock::now());
    }
}

impl Gaps {
    /// These and other spans, which are in order too; where they overlap it is one gap.
    pub fn and(self, others: Vec<Range<u32>>) -> Gaps {
        let mut all = self.0;
        all.extend(others);
        all.sort_by_key(|gap| gap.start);
        let mut apart: Vec<Range<u32>> = Vec::with_capacity(all.len());
        for gap in all {
            match apart.last_mut().filter(|last| gap.start <= last.end) {
                Some(last) => last.end = last.end.max(gap.end),
                None => apart.push(gap),
            }
        }
        Gaps(apart)
    }

    /// Of a span: how many, the longest, and all together, in microseconds.
    pub fn within(&self, span: &Range<u32>) -> (usize, u32, u64) {
        let inside = self.0.iter().filter(|gap| span.contains(&gap.start));
        inside.fold((0, 0, 0), |(count, longest, all), gap| {
            let micros = gap.end - gap.start;
            (count + 1, longest.max(micros), all + u64::from(micros))
        })
    }

    /// How much of the time before each of these moments was in gaps, in microseconds. They are in order.
    pub fn before(&self, moments: impl Iterator<Item = u64>) -> Vec<u64> {
        let (mut gaps, mut whole) = (self.0.iter().peekable(), 0);
        moments
            .map(|at| {
                while let Some(gap) = gaps.next_if(|gap| u64::from(gap.end) <= at) {
                    whole += u64::from(gap.end - gap.start);
                }
                whole + gaps.peek().map_or(0, |gap| at.saturating_sub(gap.start.into()))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_in_gaps_is_counted_up_to_each_moment() {
        let gaps = Gaps(vec![10..20, 30..35]);
        let moments = [0, 10, 12, 20, 29, 33, 40, 40];
        assert_eq!(gaps.before(moments.into_iter()), [0, 0, 2, 10, 10, 13, 15, 15]);
        assert_eq!(gaps.within(&(0..30)), (1, 10, 10));
        assert_eq!(gaps.within(&(5..31)), (2, 10, 15));
        let both = gaps.and(vec![5..11, 15..17, 40..41]);
        assert_eq!(both.0, [5..20, 30..35, 40..41]);
        assert_eq!(Gaps::default().before([7].into_iter()), [0]);
    }
}
