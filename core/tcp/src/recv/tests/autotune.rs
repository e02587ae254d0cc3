use crate::recv::autotune::{Autotune, Bounds, Resized};
use usertcp_base::{Instant, Seq, Span};

const BOUNDS: Bounds = Bounds { largest: 6 << 20, mss: 1460, tight: false };

/// A sender in slow start: twice as much in every round trip, read at once. Returns the smallest
/// ratio of buffer to what the next round brings, in percent.
fn slow_start(bounds: &Bounds, rounds: u32) -> (Autotune, u32) {
    let rtt = Span::from_millis(50);
    let mut now = Instant::from_millis(1000);
    let mut tune = Autotune::new(now, 128 << 10);
    tune.on_echo(rtt);
    let (mut octets, mut least) = (10 * 1460u32, u32::MAX);
    for _ in 0..rounds {
        for _ in 0..10 {
            now = now + Span::from_millis(5);
            let _ = tune.on_copied(now, octets / 10, bounds);
        }
        octets = octets.saturating_mul(2).min(4 << 20);
        least = least.min(tune.buffer() / (octets / 100).max(1));
    }
    (tune, least)
}

#[test]
fn the_buffer_stays_ahead_of_slow_start() {
    let (tune, least) = slow_start(&BOUNDS, 12);
    assert!(least >= 100, "{least} %");
    assert_eq!(tune.buffer(), 6 << 20);
}

#[test]
fn a_slow_stream_keeps_a_small_buffer() {
    let mut now = Instant::from_millis(1000);
    let mut tune = Autotune::new(now, 128 << 10);
    tune.on_echo(Span::from_millis(50));
    for _ in 0..1000 {
        now = now + Span::from_millis(60);
        assert_eq!(tune.on_copied(now, 3000, &BOUNDS), Resized::Same);
    }
    assert_eq!(tune.buffer(), 128 << 10);
}

#[test]
fn it_never_shrinks_by_itself() {
    let mut tune = Autotune::new(Instant::ZERO, 128 << 10);
    tune.on_echo(Span::from_millis(50));
    // more than a quarter of the buffer in a round, but not what would need a larger one
    assert_eq!(tune.on_copied(Instant::from_millis(60), 33_000, &BOUNDS), Resized::Same);
    assert_eq!(tune.buffer(), 128 << 10);
}

#[test]
fn shortage_and_limits_bound_it() {
    let (tune, _) = slow_start(&Bounds { tight: true, ..BOUNDS }, 12);
    assert_eq!(tune.buffer(), 128 << 10);
    let (tune, _) = slow_start(&Bounds { largest: 200_000, ..BOUNDS }, 12);
    assert_eq!(tune.buffer(), 200_000);
    let (mut tune, _) = slow_start(&BOUNDS, 12);
    tune.shrink(64 << 10);
    let smaller = tune.buffer();
    assert!(smaller <= 6 << 20);
    tune.shrink(64 << 10);
    assert!(tune.buffer() < smaller && tune.buffer() >= 64 << 10);
}

#[test]
fn without_timestamps_a_window_is_a_round() {
    let mut tune = Autotune::new(Instant::ZERO, 128 << 10);
    let (mut now, mut nxt) = (Instant::from_millis(10), Seq(u32::MAX - 70_000));
    tune.on_data(now, nxt, 65_536);
    // a window takes 30 ms to arrive
    for _ in 0..64 {
        nxt += 1024;
        now = now + Span::from_micros(30_000 / 64);
        tune.on_data(now, nxt, 65_536);
    }
    let rtt = tune.rtt().unwrap();
    assert!(rtt >= Span::from_millis(29) && rtt <= Span::from_millis(31));
    // a slower window is not believed, a faster one is
    for _ in 0..70 {
        nxt += 1024;
        now = now + Span::from_millis(5);
        tune.on_data(now, nxt, 65_536);
    }
    assert_eq!(tune.rtt(), Some(rtt));
}

#[test]
fn echoes_fall_at_once_and_rise_slowly() {
    let mut tune = Autotune::new(Instant::ZERO, 1);
    assert_eq!(tune.rtt(), None);
    tune.on_echo(Span::from_millis(80));
    tune.on_echo(Span::from_millis(8));
    assert_eq!(tune.rtt(), Some(Span::from_millis(8)));
    tune.on_echo(Span::from_millis(16));
    assert_eq!(tune.rtt(), Some(Span::from_millis(9)));
    tune.on_echo(Span::ZERO);
    assert_eq!(tune.rtt(), Some(Span::from_micros(1)));
    tune.on_echo(Span::MAX);
}
