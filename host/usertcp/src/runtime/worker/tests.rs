//! The order of a round, on a machine that writes down what it is asked.

use super::*;
use crate::engine::fake::{Asked, Burst, Fake};
use crate::runtime::launch::controls;
use std::cell::RefCell;
use std::rc::Rc;
use usertcp_base::ConnId;

/// Writes down what it is told.
struct Told(Rc<RefCell<Vec<Asked>>>);

impl Handler for Told {
    fn on_event(&mut self, _: &mut Context<'_>, event: ShardEvent) {
        self.0.borrow_mut().push(Asked::Told(event));
    }
}

fn readable(slot: u32) -> ShardEvent {
    ShardEvent::Readable(ConnId { slot, generation: 1 })
}

/// A burst that brings something to read to one connection, whose slot is the number of packets.
fn burst(received: usize, more: bool, waits: bool) -> Burst {
    Burst { received, events: vec![readable(received as u32)], more, waits }
}

/// A worker whose device has those bursts, and what it will ask.
fn worker(
    bursts: impl IntoIterator<Item = Burst>,
    busy_poll: Span,
) -> (Worker<Told>, Rc<RefCell<Vec<Asked>>>) {
    let mut engine = Fake::new(1 << 20);
    engine.bursts.extend(bursts);
    worker_of(engine, busy_poll)
}

fn worker_of(engine: Fake, busy_poll: Span) -> (Worker<Told>, Rc<RefCell<Vec<Asked>>>) {
    let asked = Rc::clone(&engine.asked);
    let control = controls(1).unwrap().remove(0);
    let manners = Manners { busy_poll, linger: Span::ZERO };
    (Worker::new(Box::new(engine), Told(Rc::clone(&asked)), control, manners), asked)
}

/// What one round asks while the device has those bursts, and whether it wants another round at once.
fn round(bursts: impl IntoIterator<Item = Burst>) -> (Vec<Asked>, bool) {
    let (mut worker, asked) = worker(bursts, Span::ZERO);
    let Round { happened, again, .. } = worker.round(false);
    assert!(happened);
    (asked.take(), again)
}

/// What is asked of bursts of these sizes: the application reads what one brought before the next comes, and
/// nothing leaves before all are there.
fn in_order(sizes: &[usize]) -> Vec<Asked> {
    let each = |size: &usize| [Asked::Receive(*size), Asked::Told(readable(*size as u32))];
    sizes.iter().flat_map(each).chain([Asked::Flush]).collect()
}

#[test]
fn bursts_are_taken_in_one_by_one_before_anything_leaves() {
    // The device that knows of more, the budget that was used up, and the device that knows of nothing.
    let bursts = [burst(8, false, true), burst(9, true, false), burst(7, false, false)];
    assert_eq!(round(bursts), (in_order(&[8, 9, 7]), false));
}

#[test]
fn a_device_that_knows_of_nothing_is_not_asked_again() {
    let bursts = [burst(3, false, false), burst(4, false, false)];
    assert_eq!(round(bursts), (in_order(&[3]), false));
}

#[test]
fn a_round_takes_in_so_many_packets_and_so_many_bursts() {
    // As many packets as are enough, in two bursts: the third waits for the next round.
    let (one, two) = (ROUND_PACKETS - 1, 1);
    let bursts = [burst(one, true, true), burst(two, true, true), burst(5, false, false)];
    assert_eq!(round(bursts), (in_order(&[one, two]), true));
    // As many bursts as are enough, of a packet each.
    let bursts = (0..2 * ROUND_BURSTS).map(|_| burst(1, false, true));
    assert_eq!(round(bursts), (in_order(&vec![1; ROUND_BURSTS as usize]), true));
}

/// What is asked between two rounds.
#[test]
fn a_sleep_sends_what_was_flushed_and_without_one_it_is_sent_off() {
    let pause = |busy_poll: Span, rung: bool, again: bool, due: bool| {
        let (mut worker, asked) = worker([], busy_poll);
        let mut waiter = Waiter::new(None);
        let now = worker.control.clock.now();
        if rung {
            worker.control.doorbell.ring();
        }
        worker.context.wake_at = Some(if due { now } else { now + Span::from_millis(1) });
        worker.pause(&mut waiter, &Round { now, happened: false, again, device_full: false });
        asked.take()
    };
    let spins = Span::from_secs(1);
    assert_eq!(pause(Span::ZERO, false, false, false), [], "it slept");
    assert_eq!(pause(Span::ZERO, false, true, false), [Asked::SendOff], "another round at once");
    assert_eq!(pause(Span::ZERO, false, false, true), [Asked::SendOff], "a deadline is due");
    assert_eq!(pause(Span::ZERO, true, false, false), [Asked::SendOff], "the bell rang");
    assert_eq!(pause(spins, false, false, false), [Asked::SendOff], "it looks on");
}

/// When packets were at the device is told once, as soon as the clock is read again: before a sleep, or by the next round.
#[test]
fn when_packets_were_at_the_device_is_told_once() {
    let two_rounds = |sends: usize, again: bool| {
        let mut engine = Fake::new(1 << 20);
        engine.sends = sends;
        let (mut worker, asked) = worker_of(engine, Span::ZERO);
        let round = worker.round(false);
        let flushed = round.now;
        worker.context.wake_at = Some(worker.control.clock.now() + Span::from_millis(1));
        worker.pause(&mut Waiter::new(None), &Round { again, ..round });
        let _ = worker.round(false);
        (asked.take(), Asked::TellLag(flushed))
    };
    use Asked::{Flush, Receive, SendOff};
    let (asked, told) = two_rounds(1, true);
    assert_eq!(asked, [Receive(0), Flush, SendOff, told, Receive(0), Flush]);
    let (asked, told) = two_rounds(1, false);
    assert_eq!(asked, [Receive(0), Flush, told, Receive(0), Flush], "it slept");
    let (asked, _) = two_rounds(0, false);
    assert_eq!(asked, [Receive(0), Flush, Receive(0), Flush], "nothing left");
}

#[test]
fn what_was_flushed_at_the_end_is_sent_off() {
    let (mut worker, asked) = worker([], Span::ZERO);
    worker.control.stop.store(true, Ordering::Release);
    worker.control.doorbell.ring();
    worker.run();
    let asked = asked.take();
    assert_eq!((asked.first(), asked.last()), (Some(&Asked::DeferSends), Some(&Asked::SendOff)));
}
