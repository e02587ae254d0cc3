//! What an application says of its writes, and how much it may write: records, more to come, buffers
//! of its own size, the low-water mark; closing the reading side; the manner of Linux.

use super::bench::*;
use crate::*;
use usertcp_base::{Limiter, Rate, Span};
use usertcp_frame::{Class, FramePool, FrameSlice};
use usertcp_wire::tcp::Flags;

/// A short message is written as any other is, or not at all: where there is a queue or a low-water mark, or
/// the connection is not plain.
#[test]
fn a_short_write_is_a_write() {
    let least = FramePool::data_octets(Class::Small) - HEADROOM_OCTETS;
    let lying = |bench: &Bench| {
        let front = bench.tcb.queue.front().map(|front| (front.headroom(), front.to_vec()));
        (front, bench.tcb.queue.slice_count(), bench.tcb.wants.write)
    };
    for octets in [0, 1, 64, least, least + 1, 1000] {
        let data: std::vec::Vec<u8> = (0..octets).map(|at| at as u8).collect();
        let mut bench = Start::modern().go();
        let taken = bench.call(|tcb, env| tcb.write_short(env.pool, &data));
        assert_eq!(taken, octets > 0 && octets <= least, "{octets}");
        if !taken {
            assert_eq!(lying(&bench), (None, 0, false));
            continue;
        }
        let again = bench.call(|tcb, env| tcb.write_short(env.pool, &data));
        assert!(!again, "not behind others");
        let mut other = Start::modern().go();
        assert_eq!(other.call(|tcb, env| tcb.write_with(env, &data, WriteEnd::Open)), octets);
        assert_eq!(lying(&bench), lying(&other));
    }
    type Set = fn(&mut Settings);
    let limits: [Set; 3] = [
        |settings| settings.unsent_low_water_octets = 50,
        |settings| settings.send_buffer_octets = 50,
        // Nothing that is plain.
        |settings| settings.cork = true,
    ];
    for limit in limits {
        let mut bench = Start::modern().with(limit).go();
        assert!(!bench.call(|tcb, env| tcb.write_short(env.pool, &[1; 60])));
    }
}

/// However little the limits let a send queue hold, there is room for a short message in an empty one, and for no second.
#[test]
fn a_short_message_has_room_whatever_the_limits() {
    let short = (FramePool::data_octets(Class::Small) - HEADROOM_OCTETS) as u32;
    let mut start = Start::modern();
    (start.limits.send_buffer_octets, start.limits.send_buffer_start_octets) = (50, 20);
    let mut bench = start.go();
    assert_eq!(bench.call(|tcb, env| tcb.send_room(env.limits, env.pool)), short);
    assert!(bench.call(|tcb, env| tcb.write_short(env.pool, &[7; 100])));
    let rest = bench.call(|tcb, env| tcb.write_with(env, &[7; 100], WriteEnd::Open));
    assert_eq!(rest as u32, short - 100);
}

/// Behind many octets in one frame the few that follow are the start of as many: they get a frame that holds those too.
#[test]
fn what_follows_a_long_run_gets_a_large_frame() {
    let mut bench = Start { super_segments: true, ..Start::default() }.go();
    let classes = |bench: &Bench| -> std::vec::Vec<u32> {
        bench.tcb.queue.slices().map(FrameSlice::charge).collect()
    };
    let charge = |class| FramePool::frame_octets(class) as u32;
    let [small, full, large] = [Class::Small, Class::Full, Class::Large].map(charge);
    // What begins a queue is as long as it is.
    bench.put(100);
    assert_eq!(classes(&bench), [small]);
    bench.put(1000);
    assert_eq!(classes(&bench), [small, full]);
    bench.put(40_000);
    assert_eq!(classes(&bench), [small, full, large]);
    // As many as fill the frame, and a few.
    let left = FramePool::data_octets(Class::Large) - 160 - bench.tcb.queue.back().unwrap().len();
    bench.put(left + 50);
    assert_eq!(classes(&bench), [small, full, large, large]);
    bench.put(20_000);
    assert_eq!(classes(&bench), [small, full, large, large]);
    assert_eq!(bench.tcb.queue.back().unwrap().len(), 20_050);
}

fn spans_and_pushes(out: &[Out]) -> std::vec::Vec<(i64, usize, bool)> {
    out.iter().map(|out| (out.seq, out.len(), out.has(Flags::PSH))).collect()
}

/// No segment crosses the end of a record, and what is in front of it waits for nothing.
#[test]
fn a_record_ends_a_segment() {
    let mut bench = Start { fixed_window: Some(2000), ..Start::default() }.go();
    assert_eq!(spans(&bench.write_with(2400, WriteEnd::Open)), [(0, 1000), (1000, 1000)]);
    assert_eq!(spans(&bench.write_with(1400, WriteEnd::Record)), []);
    assert_eq!(spans(&bench.write_with(2000, WriteEnd::Open)), []);
    let mut out = bench.send(bench.peer());
    out.extend(bench.send(bench.peer()));
    out.extend(bench.send(bench.peer()));
    let expected = [
        (2000, 1000, false),
        // The record ends at 3800.
        (3000, 800, true),
        (3800, 1000, false),
        (4800, 1000, true),
    ];
    assert_eq!(spans_and_pushes(&out), expected);
    let _ = bench.send(bench.peer());
    assert_eq!(bench.tcb.rare.record_after(bench.tcb.snd.una - 1), None);
}

/// A record is sent again as the same segment.
#[test]
fn a_record_sent_again_still_ends_there() {
    let mut bench = Start { fixed_window: Some(10_000), ..Start::default() }.go();
    let _ = bench.write_with(300, WriteEnd::Record);
    assert_eq!(spans(&bench.write_with(1000, WriteEnd::Open)), [(300, 1000)]);
    let again = bench.pass(1000);
    assert_eq!(spans_and_pushes(&again)[0], (0, 300, true));
}

/// MSG_MORE: a partial segment waits for the next write, or 200 ms; full ones do not.
#[test]
fn more_to_come_holds_a_partial_segment() {
    let mut bench = Start::default().go();
    assert_eq!(spans(&bench.write_with(1300, WriteEnd::More)), [(0, 1000)]);
    assert_eq!(spans(&bench.write_with(100, WriteEnd::Open)), [(1000, 400)]);
    let _ = bench.send(bench.peer());
    assert_eq!(spans(&bench.write_with(10, WriteEnd::More)), []);
    assert_eq!(spans(&bench.pass(199)), []);
    assert_eq!(spans(&bench.pass(2)), [(1400, 10)]);
}

/// Frames of the application's own end the wait as any write does.
#[test]
fn a_chain_ends_the_wait_for_more() {
    let mut bench = Start::default().go();
    assert_eq!(spans(&bench.write_with(10, WriteEnd::More)), []);
    assert!(bench.tcb.rare.has_more());
    let rest: std::vec::Vec<u8> = (10..18).map(pattern).collect();
    let mut frame = bench.pool.take(usertcp_frame::Class::Small, 120).expect("memory");
    assert_eq!(frame.extend(&rest), 8);
    let mut chain = usertcp_frame::Chain::default();
    chain.push_back(frame.into_slice());
    assert!(bench.call(|tcb, env| tcb.write_chain(env, chain)).is_ok());
    bench.written += 8;
    assert_eq!(spans(&bench.drain()), [(0, 18)]);
}

/// A buffer of the application's size is kept, whatever the window does.
#[test]
fn a_send_buffer_of_a_fixed_size() {
    let mut bench = Start::default().with(|s| s.send_buffer_octets = 5000).go();
    assert_eq!(bench.put(100_000), 5000);
    let _ = bench.drain();
    let _ = bench.send(bench.peer());
    assert_eq!(bench.put(100_000), 5000);
}

/// Not more than the mark waits to be sent, and a writer is woken below half of it.
#[test]
fn the_low_water_mark_of_unsent_octets() {
    let start = Start { fixed_window: Some(10_000), ..Start::default() };
    let mut bench = start.with(|s| s.unsent_low_water_octets = 8000).go();
    assert_eq!(bench.put(10_000), 8000);
    assert_eq!(bench.drain().len(), 8);
    assert_eq!(bench.put(100_000), 8000);
    assert_eq!(bench.drain().len(), 2);
    assert_eq!(bench.put(100_000), 2000);
    let _ = bench.send(bench.peer_acks(4000));
    let writable = bench.tcb.poll_writable(&bench.limits, &bench.pool);
    assert!(!writable && !bench.effects.writable, "4000 octets wait, half of the mark");
    let _ = bench.send(bench.peer_acks(5000));
    assert!(bench.tcb.poll_writable(&bench.limits, &bench.pool), "3000 wait");
}

/// What a limit lets leave is written when it does, and nothing waits in between.
#[test]
fn who_writes_when_due_leaves_nothing_to_wait() {
    let limit = Rate::from_octets_per_second(10_000);
    let start = Start { fixed_window: Some(100_000), ..Start::modern() };
    let mut bench = start
        .with(|settings| {
            settings.rate_limit = limit;
            settings.write_when_due = true;
        })
        .go();
    bench.room = 16 << 10;
    let mss = bench.tcb.send_mss() as usize;
    let packet = mss + 20 + 32;
    let release = LEAST_RELEASE_OCTETS as usize / packet * mss;
    assert_eq!(bench.put(20_000), release, "one release of whole segments");
    assert_eq!(bench.put(20_000), 0);
    let mut out = bench.drain();
    // What a stream that was idle is made up for.
    assert_eq!(bench.put(20_000), release);
    out.extend(bench.drain());
    for _ in 0..40 {
        assert_eq!(bench.put(20_000), 0, "nothing before the next one is due");
        assert_eq!(bench.tcb.unsent_octets(), 0);
        assert_eq!(bench.info().limiter, Limiter::Rate);
        let _ = bench.send(bench.peer());
        assert!(!bench.effects.writable, "an acknowledgement makes room, but it is not due");
        let due = bench.deadline().expect("the application waits for it");
        let waits = due.since(bench.now).as_micros().div_ceil(1000);
        let sent = bench.pass(waits);
        assert!(sent.is_empty() && bench.effects.writable, "{sent:?}");
        assert_eq!(bench.put(20_000), release);
        out.extend(bench.drain());
    }
    let packets: usize = out.iter().map(|out| out.len().div_ceil(mss)).sum();
    let octets = packets * packet;
    let last = out.last().expect("segments").at;
    let asked = limit.octets_in(Span::from_millis(last)) as usize;
    assert!(octets.abs_diff(asked) <= 2 * release + 2 * packet, "{octets} of {asked} in {last} ms");
    // Who stops comes to rest.
    let _ = bench.send(bench.peer());
    let _ = bench.pass(1000);
    assert_eq!(bench.info().limiter, Limiter::Application);
}

/// Without a limit of its own nothing is due at any time.
#[test]
fn without_a_limit_there_is_nothing_to_write_when_due() {
    let mut bench = Start::default().with(|settings| settings.write_when_due = true).go();
    let room = bench.put(1 << 20);
    assert_eq!(room, Start::default().go().put(1 << 20));
}

// proves SHLD-3: also for an application that shut both directions without letting go
#[test]
fn data_after_both_directions_were_shut_is_reset() {
    let mut bench = Start::default().go();
    bench.tcb.shutdown_read();
    let out = bench.send(bench.peer().data(100));
    assert!(out.iter().all(|out| !out.has(Flags::RST)), "the peer may still send: {out:?}");
    let _ = bench.shutdown();
    let out = bench.send(bench.peer().data(100));
    assert!(out.iter().any(|out| out.has(Flags::RST)), "{out:?}");
    assert_eq!(bench.ended, Some(usertcp_base::CloseReason::Aborted));
}

/// As Linux: a burst is a millisecond of the rate and ends in PSH; the first acknowledgement that is
/// delayed waits the whole delay.
#[test]
fn the_manner_of_linux() {
    let start = Start { super_segments: true, fixed_window: Some(7000), ..Start::default() };
    let mut bench = start.with(|s| s.manner = Manner::Linux).go();
    let out = bench.write(20_000);
    assert_eq!(out.iter().map(Out::len).sum::<usize>(), 7000);
    assert!(out.iter().all(|out| out.has(Flags::PSH) == (out.len() > 1000)), "{out:?}");
    assert_eq!(bench.tcb.ack_settings().shortest, Span::from_millis(40));
}

/// A data segment after an idle time keeps the window if that was asked for.
#[test]
fn no_restart_after_idle() {
    for (restart, kept) in [(true, false), (false, true)] {
        let mut bench = Start::cubic().with(|s| s.restart_after_idle = restart).go();
        for _ in 0..4 {
            let _ = bench.write(20_000);
            let _ = bench.send(bench.peer());
            let _ = bench.send(bench.peer());
        }
        let before = bench.info().congestion_window_octets;
        let _ = bench.pass(20_000);
        let _ = bench.write(10);
        assert_eq!(bench.info().congestion_window_octets == before, kept, "{before}");
    }
}

/// Without tail probes the retransmission timer is all there is.
#[test]
fn no_tail_probe() {
    for (probe, expected) in [(true, 1), (false, 0)] {
        let mut bench = Start::sack().with(|s| s.tail_probe = probe).go();
        let _ = bench.write(3000);
        let _ = bench.pass(230);
        assert_eq!(bench.counters.tail_probes, expected);
    }
}
