//! Empty frames at hand for writers on other threads.
//!
//! Owns: a few lent frames of each class, and who waits for one.
//! Must not know: the pool (the driver fills the stash), streams.

use crate::runtime::commands::lock;
use crate::sockets::wakers::Wakers;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;
use usertcp_frame::{Class, FramePool, LentFrame};
use usertcp_tcp::HEADROOM_OCTETS;

/// How many frames of each class are kept at hand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StashSize {
    pub(crate) small: usize,
    pub(crate) full: usize,
    pub(crate) large: usize,
}

impl StashSize {
    /// What suits a budget of `octets`: an eighth of it at most.
    pub(crate) fn for_budget(octets: usize) -> StashSize {
        StashSize {
            small: (octets / 8 / 8 / 256).clamp(4, 64),
            full: (octets / 8 / 4 / 2112).clamp(2, 128),
            large: (octets / 8 / 2 / 67_584).min(16),
        }
    }
}

/// A write of so many octets, or more, is put into large frames: below it, half of one would be
/// wasted.
pub(crate) const BULK_OCTETS: usize = 32 << 10;

/// What a writer needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    /// Octets to be copied.
    pub(crate) octets: usize,
    /// Large frames are best.
    pub(crate) bulk: bool,
    /// Octets that will be put in each frame at most.
    pub(crate) each: usize,
}

/// Frames for one write.
pub(crate) type Frames = arrayvec::ArrayVec<LentFrame, 32>;

/// The stash of one stack.
#[derive(Debug)]
pub(crate) struct Stash {
    shelves: Mutex<Shelves>,
    low: AtomicBool,
    size: StashSize,
}

#[derive(Debug, Default)]
struct Shelves {
    small: Vec<LentFrame>,
    full: Vec<LentFrame>,
    large: Vec<LentFrame>,
    waiting: Wakers,
}

impl Stash {
    /// An empty one, which is low.
    pub(crate) fn new(size: StashSize) -> Stash {
        Stash { shelves: Mutex::default(), low: AtomicBool::new(true), size }
    }

    /// Frames for what `order` describes, with room for all of it or for a part. `None`: there is
    /// none; a waker that was given will be woken when there is. Ring the doorbell then.
    pub(crate) fn take(&self, order: Order, waker: Option<&Waker>) -> Option<Frames> {
        let mut frames = Frames::new();
        let mut crowd = Wakers::default();
        {
            let mut shelves = lock(&self.shelves);
            let mut left = order.octets;
            while left > 0 && !frames.is_full() {
                let Some(frame) = shelves.pick(left, order.bulk) else { break };
                left = left.saturating_sub(frame.tailroom().min(order.each));
                frames.push(frame);
            }
            if shelves.is_low(&self.size) {
                self.low.store(true, Ordering::Release);
            }
            if let (true, Some(waker)) = (frames.is_empty(), waker) {
                crowd = shelves.waiting.add(waker);
            }
        }
        crowd.wake();
        if frames.is_empty() { None } else { Some(frames) }
    }

    /// One frame with as much room as there is, for `octets`.
    pub(crate) fn take_one(&self, octets: usize, waker: &Waker) -> Option<LentFrame> {
        let bulk = octets + HEADROOM_OCTETS > FramePool::data_octets(Class::Full);
        // One octet is asked for, so that one frame comes.
        let octets = if bulk { 1 } else { octets };
        self.take(Order { octets, bulk, each: usize::MAX }, Some(waker))?.pop()
    }

    /// Whether there is a frame; if not, the waker is woken when there is. Ring the doorbell then.
    pub(crate) fn poll_ready(&self, waker: &Waker) -> bool {
        let crowd = {
            let mut shelves = lock(&self.shelves);
            if !shelves.is_empty() {
                return true;
            }
            self.low.store(true, Ordering::Release);
            shelves.waiting.add(waker)
        };
        crowd.wake();
        false
    }

    /// Whether the driver should fill it.
    pub(crate) fn is_low(&self) -> bool {
        self.low.load(Ordering::Acquire)
    }

    /// Fills it from `pool`. What is returned is to be woken. True with it: somebody waits still,
    /// and nothing but time will help.
    pub(crate) fn fill(&self, pool: &FramePool) -> (Wakers, bool) {
        // Under pressure the rest of the pool is for what arrives.
        let tight = pool.is_tight();
        let mut shelves = lock(&self.shelves);
        self.low.store(false, Ordering::Relaxed);
        shelves.fill(pool, &self.size, tight);
        if shelves.is_empty() {
            let waited_for = !shelves.waiting.is_empty();
            self.low.store(true, Ordering::Relaxed);
            return (Wakers::default(), waited_for);
        }
        (shelves.waiting.take(), false)
    }

    /// Empties it; who waits is to be woken, to find that the stack is gone.
    pub(crate) fn close(&self) -> Wakers {
        let shelves = std::mem::take(&mut *lock(&self.shelves));
        let Shelves { small, full, large, waiting } = shelves;
        drop((small, full, large));
        waiting
    }
}

impl Shelves {
    fn pick(&mut self, octets: usize, bulk: bool) -> Option<LentFrame> {
        if bulk {
            return self.large.pop().or_else(|| self.full.pop()).or_else(|| self.small.pop());
        }
        if octets + HEADROOM_OCTETS <= FramePool::data_octets(Class::Small) {
            return self.small.pop().or_else(|| self.full.pop()).or_else(|| self.large.pop());
        }
        self.full.pop().or_else(|| self.large.pop()).or_else(|| self.small.pop())
    }

    fn is_low(&self, size: &StashSize) -> bool {
        let below_half = |shelf: &Vec<LentFrame>, most: usize| shelf.len() * 2 < most;
        below_half(&self.small, size.small)
            || below_half(&self.full, size.full)
            || below_half(&self.large, size.large)
    }

    fn is_empty(&self) -> bool {
        self.small.is_empty() && self.full.is_empty() && self.large.is_empty()
    }

    fn fill(&mut self, pool: &FramePool, size: &StashSize, tight: bool) {
        let scale = |most: usize| if tight { most.min(4) } else { most };
        let large = if tight { 0 } else { size.large };
        let rows = [
            (&mut self.small, Class::Small, scale(size.small)),
            (&mut self.full, Class::Full, scale(size.full)),
            (&mut self.large, Class::Large, large),
        ];
        for (shelf, class, most) in rows {
            while shelf.len() < most {
                let Some(frame) = pool.take(class, HEADROOM_OCTETS) else { break };
                shelf.push(frame.lend_mut());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use usertcp_frame::PoolConfig;

    #[test]
    fn frames_fit_the_write_and_come_home() {
        let pool = FramePool::new(&PoolConfig { octets: 8 << 20, reserve_small: 264 });
        let stash = Stash::new(StashSize::for_budget(8 << 20));
        assert!(stash.is_low());
        let order = |octets| Order { octets, bulk: octets > BULK_OCTETS, each: usize::MAX };
        assert!(stash.take(order(1), None).is_none());
        let (wakers, stuck) = stash.fill(&pool);
        assert!(wakers.is_empty() && !stuck && !stash.is_low());
        for (octets, most) in [(1, 1), (256, 2), (8192, 5), (65_536, 2), (200_000, 32)] {
            let frames = stash.take(order(octets), None).unwrap();
            assert!(frames.len() <= most, "{octets}: {}", frames.len());
        }
        stash.close().wake();
        pool.reclaim();
        assert_eq!(pool.stats().used_octets, 0);
    }

    #[test]
    fn an_empty_pool_leaves_the_writer_waiting() {
        let pool = FramePool::new(&PoolConfig { octets: 1 << 20, reserve_small: 264 });
        let mut all = Vec::new();
        while let Some(frame) = pool.take(Class::Small, 0) {
            all.push(frame);
        }
        let stash = Stash::new(StashSize::for_budget(1 << 20));
        assert!(stash.take_one(1, Waker::noop()).is_none());
        assert!(stash.fill(&pool).1);
        drop(all);
        let (wakers, stuck) = stash.fill(&pool);
        assert!(!wakers.is_empty() && !stuck);
    }
}
