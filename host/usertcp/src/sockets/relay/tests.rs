use super::{PATIENCE, RING_EVERY, Relay, Relays, Roundup, Via, Waiting};
use crate::runtime::commands::lock;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Wake, Waker};
use usertcp_base::{Instant, Span};

#[derive(Default)]
struct Count(AtomicU32);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Count {
    fn times(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A hub's relays, of which there is one, whose task is counted instead of polled.
fn relays() -> (Relays, Arc<Relay>, Arc<Count>) {
    let relays = Relays::default();
    let relay = Arc::new(Relay::default());
    let task = Arc::new(Count::default());
    lock(&relay.state).task = Some(Waker::from(Arc::clone(&task)));
    lock(&relays.list).relays.push(Arc::clone(&relay));
    (relays, relay, task)
}

fn waiting(task: &Arc<Count>, via: u8) -> Waiting {
    let mut waiting = Waiting::default();
    waiting.add(&Waker::from(Arc::clone(task)), Via(via)).wake();
    waiting
}

fn at(micros: u64) -> Instant {
    Instant::from_micros(1 << 33) + Span::from_micros(micros)
}

#[test]
fn a_round_wakes_one_relay_and_those_without_one() {
    let (relays, relay, task) = relays();
    let (mine, other) = (Arc::new(Count::default()), Arc::new(Count::default()));
    let mut woken = Roundup::default();
    for _ in 0..5 {
        woken.add(waiting(&mine, 1));
    }
    woken.add(waiting(&other, 0));
    woken.add(Waiting::default());
    assert_eq!((mine.times(), other.times(), task.times()), (0, 1, 0));
    assert!(!relays.ring_can_wait());
    assert_eq!(woken.send(&relays, at(0)), Some(PATIENCE));
    assert_eq!((mine.times(), task.times()), (0, 1));
    // While it is at it, it need not be woken again, and answers need not ring, but for some.
    woken.add(waiting(&mine, 1));
    assert_eq!(woken.send(&relays, at(10)), Some(PATIENCE));
    assert_eq!(task.times(), 1);
    let rings = (0..10 * RING_EVERY).filter(|_| !relays.ring_can_wait()).count();
    assert_eq!(rings, 10);
    assert_eq!(lock(&relay.state).waiting.len(), 6);
}

#[test]
fn tasks_of_two_runtimes_have_no_relay_in_common() {
    let (_relays, _relay, _) = relays();
    let (one, other) = (Arc::new(Count::default()), Arc::new(Count::default()));
    let mut both = waiting(&one, 1);
    both.add(&Waker::from(Arc::clone(&other)), Via(2)).wake();
    Roundup::default().add(both);
    assert_eq!((one.times(), other.times()), (1, 1));
}

#[test]
fn patience_ends() {
    let (relays, relay, task) = relays();
    let mine = Arc::new(Count::default());
    let mut woken = Roundup::default();
    woken.add(waiting(&mine, 1));
    assert_eq!(woken.send(&relays, at(0)), Some(PATIENCE));
    assert_eq!(woken.send(&relays, at(999)), Some(PATIENCE));
    assert_eq!(mine.times(), 0);
    // The relay stands still: its tasks are woken from here, the inbox is looked at once more, and
    // answers ring again.
    assert_eq!(woken.send(&relays, at(1000)), Some(Span::ZERO));
    assert_eq!(mine.times(), 1);
    assert!(!relays.ring_can_wait());
    assert_eq!(woken.send(&relays, at(1001)), None);
    // It gets nothing more until it was polled.
    woken.add(waiting(&mine, 1));
    assert_eq!(woken.send(&relays, at(1002)), None);
    assert_eq!((mine.times(), task.times()), (2, 1));
    lock(&relay.state).stalled = false;
    woken.add(waiting(&mine, 1));
    assert_eq!(woken.send(&relays, at(1003)), Some(PATIENCE));
    assert_eq!((mine.times(), task.times()), (2, 2));
}

#[test]
fn a_relay_that_ends_leaves_nobody_asleep() {
    let (relays, relay, _) = relays();
    let mine = Arc::new(Count::default());
    let mut woken = Roundup::default();
    woken.add(waiting(&mine, 1));
    assert!(woken.send(&relays, at(0)).is_some());
    relay.end(&relays);
    assert_eq!(mine.times(), 1);
    assert!(!relays.ring_can_wait());
    woken.add(waiting(&mine, 1));
    assert_eq!(woken.send(&relays, at(1)), None);
    assert_eq!(mine.times(), 2);
    woken.add(waiting(&mine, 1));
    woken.wake_all();
    assert_eq!(mine.times(), 3);
}

/// The protocol of the rings, every interleaving of it: two tasks that answer, the relay that closes the
/// batch, the worker that sleeps when nothing rang. Every access is sequentially consistent in the code, so
/// that interleavings are all there is.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Model {
    filled: bool,
    open: bool,
    rung: bool,
    asleep: bool,
    /// Wake-ups written to the worker's counter.
    counter: u32,
    /// Where each is in its steps: task, task, relay, worker.
    at: [u8; 4],
}

/// What of the protocol is left out, to see that the model can fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Without {
    Nothing,
    RelaysRing,
    WorkersSecondLook,
}

impl Model {
    fn ring(&mut self) -> bool {
        // One atomic exchange each: `rung`, then `asleep`; between them others may act.
        !std::mem::replace(&mut self.rung, true)
    }

    fn wake(&mut self) {
        if std::mem::replace(&mut self.asleep, false) {
            self.counter += 1;
        }
    }

    /// The next step of `who`; `None`: it is done, or sleeps.
    fn step(&self, who: usize, without: Without) -> Option<Model> {
        let mut next = self.clone();
        let to = match (who, self.at[who]) {
            // A task answers.
            (0 | 1, 0) => {
                next.filled = true;
                1
            }
            (0 | 1, 1) => {
                if self.open {
                    4
                } else {
                    2
                }
            }
            // The relay closes.
            (2, 0) => {
                next.open = false;
                1
            }
            (2, 1) => {
                if self.filled && without != Without::RelaysRing {
                    2
                } else {
                    4
                }
            }
            (0..=2, 2) => {
                if next.ring() {
                    3
                } else {
                    4
                }
            }
            (0..=2, 3) => {
                next.wake();
                4
            }
            // The worker: takes the ring, looks at the inbox, lies down, looks at the ring again.
            (3, 0) => {
                next.rung = false;
                1
            }
            (3, 1) => {
                next.filled = false;
                2
            }
            (3, 2) => {
                next.asleep = true;
                3
            }
            (3, 3) => {
                if self.rung && without != Without::WorkersSecondLook {
                    next.asleep = false;
                    0
                } else {
                    4
                }
            }
            // It sleeps until the counter is written.
            (3, 4) if self.counter > 0 => {
                next.counter -= 1;
                0
            }
            _ => return None,
        };
        next.at[who] = to;
        Some(next)
    }

    /// Nobody moves any more, and an answer is left.
    fn is_lost(&self, without: Without) -> bool {
        (0..4).all(|who| self.step(who, without).is_none()) && self.filled
    }
}

fn loses(without: Without) -> bool {
    let start =
        Model { filled: false, open: true, rung: false, asleep: false, counter: 0, at: [0; 4] };
    let (mut seen, mut todo) = (HashSet::new(), vec![start]);
    while let Some(state) = todo.pop() {
        if !seen.insert(state.clone()) {
            continue;
        }
        if state.is_lost(without) {
            return true;
        }
        todo.extend((0..4).filter_map(|who| state.step(who, without)));
    }
    assert!(seen.len() > 100);
    false
}

#[test]
fn no_interleaving_loses_an_answer() {
    assert!(!loses(Without::Nothing));
    assert!(loses(Without::RelaysRing));
    assert!(loses(Without::WorkersSecondLook));
}
