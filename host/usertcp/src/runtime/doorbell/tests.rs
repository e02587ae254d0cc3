use super::Doorbell;
use crate::runtime::wait::Waiter;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[test]
fn a_ring_before_sleep_forbids_it() {
    let bell = Doorbell::new().unwrap();
    bell.ring();
    assert!(!bell.lie_down());
    assert!(bell.take_rung());
    assert!(!bell.take_rung());
    assert!(bell.lie_down());
    bell.get_up(false);
}

#[test]
fn a_ring_in_sleep_ends_it() {
    let bell = Arc::new(Doorbell::new().unwrap());
    let ringer = {
        let bell = Arc::clone(&bell);
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(30));
            bell.ring();
        })
    };
    let begun = Instant::now();
    assert!(bell.lie_down());
    let woken = Waiter::new(None).sleep(&bell, Some(10_000_000_000));
    bell.get_up(woken.doorbell);
    assert!(woken.doorbell && bell.take_rung());
    assert!(begun.elapsed() < Duration::from_secs(5));
    ringer.join().unwrap();
}

/// Ringers hand in one unit of work at a time and wait until it is done; the worker sleeps as
/// deep as it can. One lost wake-up makes a sleep run into its timeout, which is counted.
#[test]
fn no_ring_is_lost() {
    const RINGERS: u64 = 3;
    const ROUNDS: u64 = 4000;
    let bell = Arc::new(Doorbell::new().unwrap());
    let asked = Arc::new(AtomicU64::new(0));
    let done = Arc::new(AtomicU64::new(0));
    let ringers: Vec<_> = (0..RINGERS)
        .map(|seed| {
            let (bell, asked, done) = (Arc::clone(&bell), Arc::clone(&asked), Arc::clone(&done));
            std::thread::spawn(move || {
                let mut random = seed + 1;
                for _ in 0..ROUNDS {
                    let mine = asked.fetch_add(1, Ordering::Relaxed) + 1;
                    bell.ring();
                    while done.load(Ordering::Acquire) < mine {
                        std::thread::yield_now();
                    }
                    random = random.wrapping_mul(6364136223846793005).wrapping_add(1);
                    for _ in 0..(random >> 60) {
                        std::thread::yield_now();
                    }
                }
            })
        })
        .collect();
    let mut waiter = Waiter::new(None);
    let mut timeouts = 0;
    while done.load(Ordering::Relaxed) < RINGERS * ROUNDS {
        bell.take_rung();
        done.store(asked.load(Ordering::Relaxed), Ordering::Release);
        if done.load(Ordering::Relaxed) < RINGERS * ROUNDS && bell.lie_down() {
            let begun = Instant::now();
            let woken = waiter.sleep(&bell, Some(2_000_000_000));
            bell.get_up(woken.doorbell);
            timeouts += u32::from(begun.elapsed() >= Duration::from_secs(2));
        }
    }
    for ringer in ringers {
        ringer.join().unwrap();
    }
    assert_eq!(timeouts, 0);
}
