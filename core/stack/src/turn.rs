//! One turn of a shard (DESIGN §9.1).
//!
//! Owns: the order receive, handle, expire, transmit, and that each step is bounded.
//! Must not know: who calls, how it sleeps.

use crate::egress::Left;
use crate::shard::Shard;
use crate::usual::{AHEAD, BURST, CROWD};
use alloc::boxed::Box;
use usertcp_base::{Instant, Observer};
#[cfg(debug_assertions)]
use usertcp_cc::AnyController;
use usertcp_cc::CongestionController;
#[cfg(debug_assertions)]
use usertcp_device::PipeEnd;
use usertcp_device::{Queue, RxBatch, TxBatch};

/// What a turn leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Turn {
    /// When to come back at the latest, if nothing arrives before.
    pub next: Option<Instant>,
    /// A budget was used up: come back at once.
    pub more: bool,
    /// Packets wait for the device, which takes no more at present.
    pub device_full: bool,
    /// Packets received.
    pub received: usize,
    /// Packets sent.
    pub sent: usize,
}

/// What the last part of a turn leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Departure {
    /// A budget was used up: come back at once.
    pub more: bool,
    /// Packets wait for the device, which takes no more at present.
    pub device_full: bool,
    /// Packets sent.
    pub sent: usize,
}

/// What the first part of a turn leaves.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// A budget was used up: come back at once, after the flush.
    pub more: bool,
    /// Packets received.
    pub received: usize,
}

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// One turn: [`Shard::receive`] and [`Shard::flush`] in one. Drain [`Shard::poll_event`]
    /// afterwards; what the application does then is sent by the next turn, or by another flush.
    pub fn turn(&mut self, now: Instant, queue: &mut impl Queue) -> Turn {
        let Arrival { more, received } = self.receive(now, queue);
        let Departure { more: more_to_send, device_full, sent } = self.flush(now, queue);
        let next = self.next_deadline();
        Turn { next, more: more | more_to_send, device_full, received, sent }
    }

    /// The first part of a turn: takes a burst from the device, handles it and what is due. Drain
    /// [`Shard::poll_event`] and let the application act before [`Shard::flush`]: what it answers
    /// carries the acknowledgements then, and what it reads keeps the window open.
    #[inline(always)] // in one place of a program
    pub fn receive(&mut self, now: Instant, queue: &mut impl Queue) -> Arrival {
        debug_assert!(self.common.unusual || !self.is_anything_unusual());
        self.common.pool.reclaim();
        // It is unusual too that memory is short.
        if self.common.unusual || self.common.pool.is_tight() {
            self.shed(now);
        }
        // It is there: it is taken nowhere else.
        let mut burst = self.rx.take().unwrap_or_else(|| Box::new(RxBatch::new(1)));
        let received = queue.receive(&self.common.pool, &mut burst);
        debug_assert_eq!(received, burst.len());
        match self.common.unusual {
            true => self.sort(now, &mut burst),
            false => self.begin_usual_burst(received),
        }
        if received > 1 && self.table.busy() >= CROWD {
            self.handle_crowd(now, &mut burst);
        } else {
            if received >= BURST && self.table.len() >= CROWD {
                self.look_ahead_to_open(burst.as_slice());
            }
            // Where they lie: each is looked at, and what it carries is taken out.
            let mut packets = burst.as_mut_slice();
            while !packets.is_empty() {
                let rest = self.handle_first(now, packets);
                if rest.is_empty() {
                    break;
                }
                packets = self.gather_run(rest);
            }
        }
        burst.forget_emptied();
        self.handle_gathered(now);
        let mut more = received >= burst.capacity();
        put_back(&mut self.rx, burst);
        if self.may_be_due(now) {
            more |= !self.handle_deadlines(now, self.common.limits.deadlines_per_turn);
        }
        if more {
            let counters = &mut self.common.counters;
            counters.turns_cut = counters.turns_cut.wrapping_add(1);
        }
        Arrival { more, received }
    }

    /// Takes out of a burst what is for the link, or for another shard. What is left begins.
    #[inline(never)]
    fn sort(&mut self, now: Instant, burst: &mut RxBatch) {
        if self.link.is_some() {
            self.link_burst(now, burst);
        }
        if self.seat.is_some() {
            self.steer(now, burst);
        }
        self.begin_burst(burst.len());
    }

    /// A burst while there are more connections than the caches hold: memory is waited for once for
    /// several packets.
    #[inline(never)]
    fn handle_crowd(&mut self, now: Instant, burst: &mut RxBatch) {
        for packets in burst.as_mut_slice().chunks_mut(AHEAD) {
            self.look_ahead(packets);
            self.handle_some_of_crowd(now, packets);
        }
    }

    /// The last part of a turn: gives the device what there is to send. Who is going to sleep asks for
    /// [`Shard::next_deadline`] then.
    #[inline(always)] // as above: what of its result nobody asks is not computed
    pub fn flush(&mut self, now: Instant, queue: &mut impl Queue) -> Departure {
        // It is there: it is taken nowhere else.
        let mut batch = self.tx.take().unwrap_or_else(|| Box::new(TxBatch::new(1)));
        let left = self.fill(now, &mut batch);
        let sent = queue.transmit(&mut batch);
        let device_full = !batch.is_empty();
        put_back(&mut self.tx, batch);
        let mut more = left == Left::Some && !self.transmit.is_empty();
        if self.common.unusual {
            more |= left != Left::NoFrame && self.look_for_the_unusual();
        }
        debug_assert!(self.common.unusual || !self.is_anything_unusual());
        Departure { more: more && !device_full, device_full, sent }
    }

    /// Whether what is unusual is still there; and whether packets wait that are complete.
    #[inline(never)]
    fn look_for_the_unusual(&mut self) -> bool {
        self.common.unusual = self.is_anything_unusual();
        !self.outbox.is_empty() || self.link_has_frames()
    }
}

/// Puts a batch where it was taken from.
#[inline(always)] // one store
fn put_back<T>(place: &mut Option<Box<T>>, batch: Box<T>) {
    debug_assert!(place.is_none(), "it was taken");
    // So there is nothing to be dropped.
    core::mem::forget(place.replace(batch));
}

/// The shard nearly everybody has is compiled with this crate where little is optimised: rustc shares it then with what
/// uses it, which would each compile all of it again.
#[cfg(debug_assertions)]
#[used]
static USUAL: (TurnPart<Arrival>, TurnPart<Departure>) = (Shard::receive, Shard::flush);

#[cfg(debug_assertions)]
type TurnPart<T> = fn(&mut Shard<AnyController, ()>, Instant, &mut PipeEnd) -> T;
