//! One pacer for every limit, in virtual time, seen from the wire (DESIGN §6.2, issue 5).

mod lab;
mod shared;

use lab::{Lab, judge};
use usertcp_base::{Limiter, Rate, Span};
use usertcp_tcp::{LEAST_RELEASE_OCTETS, release_octets};

/// Limits from 100 kbit/s to 100 Mbit/s, all different, more of the low ones.
fn limit(at: u64, count: u64) -> Rate {
    let part = 99_900_000 * u128::from(at).pow(3) / u128::from(count - 1).pow(3);
    Rate::from_bits_per_second(100_000 + part as u64)
}

/// What a stream may be ahead: two releases of whole packets.
fn quantum(rate: Rate) -> i64 {
    i64::from(2 * release_octets(rate).max(LEAST_RELEASE_OCTETS).next_multiple_of(1500))
}

#[test]
fn every_stream_keeps_its_limit_in_every_window() {
    keep_their_limits(1000, false);
}

#[test]
fn ten_thousand_streams_keep_their_limits_in_every_window() {
    keep_their_limits(10_000, false);
}

// What a limit lets leave is written then: the same packets, and nothing lies in memory in between.
#[test]
fn who_writes_when_due_keeps_its_limit_in_every_window() {
    keep_their_limits(1000, true);
}

fn keep_their_limits(streams: u64, when_due: bool) {
    const PACKETS: u64 = 540;
    let mut lab = Lab::new(streams as u32, Span::ZERO);
    lab.open_with(streams as usize, |connect| {
        connect.profile.settings.write_when_due = when_due;
    });
    let begin = lab.now();
    for at in 0..streams {
        let conn = lab.streams[at as usize].conn;
        lab.near.shard.set_rate(begin, conn, limit(at, streams)).unwrap();
        lab.want(at as usize, PACKETS * 1448);
    }
    lab.run(Span::from_millis(20));
    for stream in &lab.streams[..(streams * 9 / 10) as usize] {
        let figures = lab.near.shard.info(lab.now(), stream.conn).unwrap().figures.unwrap();
        assert_eq!(figures.limiter, Limiter::Rate);
        // Back-pressure: no more than the buffer waits, whatever the application has.
        let most = if when_due { 0 } else { 32 << 10 };
        assert!(figures.send_queue_octets <= most, "{}", figures.send_queue_octets);
        assert!(stream.wants > 0 || stream.written == PACKETS * 1448);
    }
    lab.run(Span::from_secs(70));
    let mut windows = 0;
    for (at, stream) in lab.streams.iter().enumerate() {
        let rate = limit(at as u64, streams);
        let left = &lab.near.queue.left[&stream.port];
        let found = judge(left, rate.octets_per_second());
        assert!(found.off <= 1000, "stream {at}, {rate:?}: {found:?}");
        assert!(found.ahead <= quantum(rate), "stream {at}, {rate:?}: {found:?}");
        windows += found.windows;
    }
    assert!(windows > streams * 500, "{windows}");
    // Nothing was dropped, sent twice, or kept.
    assert_eq!(lab.received, streams * PACKETS * 1448);
    for shard in [&lab.near.shard, &lab.far.shard] {
        assert_eq!(shard.counters().segments_retransmitted, 0);
        assert_eq!(shard.counters().dropped_total(), 0);
        assert_eq!(shard.pool().stats().used_octets, 0);
    }
    assert_eq!(lab.near.shard.counters().payload_octets_out, streams * PACKETS * 1448);
    assert_eq!(lab.near.shard.usage().timers, 0, "no second timer, and none left");
}

#[test]
fn another_limit_holds_at_once_up_and_down() {
    let mut lab = Lab::new(1, Span::ZERO);
    lab.open(1);
    lab.want(0, 1 << 40);
    let conn = lab.streams[0].conn;
    for kilobits in [100u64, 50_000, 200, 8_000, 100] {
        let rate = Rate::from_bits_per_second(kilobits * 1000);
        lab.near.shard.set_rate(lab.now(), conn, rate).unwrap();
        lab.near.queue.left.clear();
        let from = lab.now();
        // So long that some fifty packets leave.
        let span = Span::from_micros(600_000_000 / kilobits);
        lab.run(span);
        let asked = rate.octets_in(span) as i64;
        let sent = lab.sent_since(0, from) as i64;
        assert!((sent - asked).abs() <= quantum(rate), "{kilobits} kbit/s: {sent} of {asked}");
        let found = judge(&lab.near.queue.left[&lab.streams[0].port], rate.octets_per_second());
        assert!(found.ahead <= quantum(rate), "{kilobits} kbit/s: {found:?}");
        let info = lab.near.shard.info(lab.now(), conn).unwrap().figures.unwrap();
        assert_eq!((info.limiter, info.rate_limit), (Limiter::Rate, rate));
    }
    lab.streams[0].wants = 2 << 20;
    lab.near.shard.set_rate(lab.now(), conn, Rate::UNLIMITED).unwrap();
    let from = lab.now();
    lab.run(Span::from_millis(1));
    assert!(lab.sent_since(0, from) > 1 << 20, "no limit any more");
}

// For 20 ms the sender has no processor. If packets of its were on their way to the device meanwhile, it is told that they came
// late: then one release follows at once, and not what is made up for besides. Who did not leave then loses nothing.
#[test]
fn what_came_late_to_the_device_counts_when_it_came() {
    for (told, before, releases) in [(false, 0, 2), (true, 0, 1), (true, 200, 2)] {
        let mut lab = Lab::new(1, Span::ZERO);
        lab.open(1);
        lab.want(0, 1 << 40);
        let rate = Rate::from_bits_per_second(10_000_000);
        lab.near.shard.set_rate(lab.now(), lab.streams[0].conn, rate).unwrap();
        lab.run(Span::from_millis(500));
        lab.near.queue.left.clear();
        while lab.near.queue.left.is_empty() {
            lab.run(Span::from_micros(64));
        }
        let left = lab.near.queue.left[&lab.streams[0].port][0].at;
        let late = left + Span::from_millis(20);
        lab.clock.set(late);
        if told {
            lab.near.shard.tell_lag(left - Span::from_micros(before), late);
        }
        lab.near.queue.left.clear();
        lab.run(Span::from_millis(1));
        let left = &lab.near.queue.left[&lab.streams[0].port];
        assert_eq!(left.len(), 2 * releases, "{told}, {before}");
    }
}

// One decision and one deadline for two packets, and no longer burst than one acknowledgement answers.
#[test]
fn packets_leave_in_pairs_where_the_device_does_not_cut() {
    for kilobits in [1000, 100_000] {
        let mut lab = Lab::new(1, Span::ZERO);
        lab.open(1);
        lab.want(0, 1 << 40);
        let rate = Rate::from_bits_per_second(kilobits * 1000);
        lab.near.shard.set_rate(lab.now(), lab.streams[0].conn, rate).unwrap();
        lab.run(Span::from_millis(500));
        lab.near.queue.left.clear();
        lab.run(Span::from_micros(2_400_000_000 / kilobits));
        let left = &lab.near.queue.left[&lab.streams[0].port];
        let together: Vec<usize> =
            left.chunk_by(|one, next| one.at == next.at).map(<[_]>::len).collect();
        assert!((99..=101).contains(&together.len()), "{together:?}");
        assert!(together.iter().all(|packets| *packets == 2), "{kilobits} kbit/s: {together:?}");
    }
}

// Two waits for one packet: the longer one is what counts, and its name is told.
#[test]
fn limited_and_congested_a_stream_obeys_the_lower() {
    // 20 ms and back: a window of ten segments is some 2.9 Mbit/s at first, and grows.
    let mut lab = Lab::new(1, Span::from_millis(20));
    let slow = Rate::from_bits_per_second(1_000_000);
    lab.open_with(1, |connect| connect.profile.settings.send_buffer_octets = 4 << 20);
    let conn = lab.streams[0].conn;
    let shares = |lab: &Lab| {
        let figures = lab.near.shard.info(lab.now(), conn).unwrap().figures.unwrap();
        (figures.limiter, figures.limited, figures.congestion_window_octets)
    };
    lab.near.shard.set_rate(lab.now(), conn, slow).unwrap();
    lab.want(0, 1 << 40);
    let from = lab.now();
    lab.run(Span::from_secs(4));
    let (limiter, limited, _) = shares(&lab);
    let sent = lab.sent_since(0, from);
    assert!(sent.abs_diff(500_000) < 6000, "{sent}");
    assert_eq!(limiter, Limiter::Rate);
    let spent =
        |limited: &[Span; Limiter::COUNT], which: Limiter| limited[which as usize].as_millis();
    assert!(spent(&limited, Limiter::Rate) > 3900, "{limited:?}");
    // The limit is out of reach now: the window decides, though the limit is still there.
    let fast = Rate::from_bits_per_second(1_000_000_000);
    lab.near.shard.set_rate(lab.now(), conn, fast).unwrap();
    let from = lab.now();
    lab.run(Span::from_millis(200));
    let (limiter, later, window) = shares(&lab);
    assert_eq!(limiter, Limiter::Congestion, "{later:?}");
    let congested = spent(&later, Limiter::Congestion) - spent(&limited, Limiter::Congestion);
    assert!(congested > 150, "{later:?}");
    let sent = lab.sent_since(0, from);
    let most = u64::from(window) * 6;
    assert!(sent < most && sent > 100_000, "{sent} octets, window {window}");
}

// A writer that keeps writing has no more room than without a limit; what waits is not moved anywhere else.
#[test]
fn back_pressure_reaches_the_writer() {
    let mut lab = Lab::new(4, Span::ZERO);
    lab.open(4);
    let begin = lab.now();
    let group =
        lab.near.shard.create_rate_group(begin, Rate::from_octets_per_second(1000)).unwrap();
    lab.near
        .shard
        .set_rate(begin, lab.streams[0].conn, Rate::from_octets_per_second(1000))
        .unwrap();
    lab.near.shard.join_rate_group(begin, lab.streams[1].conn, group, 1).unwrap();
    lab.near.shard.join_rate_group(begin, lab.streams[2].conn, group, 3).unwrap();
    (0..3).for_each(|at| lab.want(at, 1 << 30));
    for _ in 0..50 {
        lab.run(Span::from_secs(1));
        for stream in &lab.streams[..3] {
            let queued = lab.near.shard.info(lab.now(), stream.conn).unwrap().figures.unwrap();
            assert!(queued.send_queue_octets <= 32 << 10, "{}", queued.send_queue_octets);
        }
    }
    let used = lab.near.shard.pool().stats().used_octets;
    assert!(used < 3 * (64 << 10), "{used}");
}
