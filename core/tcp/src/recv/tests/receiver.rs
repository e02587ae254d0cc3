use super::{BASES, chain, pool, pool_of, stream};
use crate::recv::advertise::Advertise;
use crate::recv::receiver::{DataOutcome, Intake, Receiver};
use crate::recv::urgent::UrgentOutcome;
use usertcp_base::{DropReason, Scale, Seq, WireWindow};
use usertcp_frame::{Chain, Class, FramePool};

fn give(
    receiver: &mut Receiver,
    pool: &FramePool,
    buffer: u32,
    seq: Seq,
    chain: Chain,
    fin: bool,
) -> (DataOutcome, u64) {
    let mut copied = 0;
    let edge = receiver.nxt() + buffer;
    let mut intake = Intake { edge, buffer, ranges: 512, pool, copied: &mut copied };
    (receiver.on_data(seq, chain, fin, &mut intake), copied)
}

fn delivered(octets: u32, fin_reached: bool, filled_gap: bool) -> DataOutcome {
    DataOutcome::Delivered { octets, fin_reached, filled_gap }
}

// proves SHLD-31, E-12: 1, 3, 2 with overlaps
#[test]
fn segments_out_of_order_are_kept() {
    for base in BASES {
        let (pool, base) = (pool(), Seq(base));
        let mut receiver = Receiver::new(base);
        let mut send = |from: u32, len: usize| {
            let chain = chain(&pool, &stream(u64::from(from), len));
            give(&mut receiver, &pool, 65_536, base + from, chain, false).0
        };
        assert_eq!(send(0, 100), delivered(100, false, false));
        assert_eq!(send(200, 100), DataOutcome::OutOfOrder);
        assert_eq!(send(250, 100), DataOutcome::OutOfOrder);
        assert_eq!(send(210, 20), DataOutcome::Duplicate);
        assert_eq!(send(50, 160), delivered(250, false, true));
        assert_eq!(send(0, 350), DataOutcome::Duplicate);
        let mut out = [0; 400];
        assert_eq!(receiver.peek(10, &mut out), 340);
        assert_eq!(receiver.read(&mut out), 350);
        assert_eq!(out.get(..350), Some(&stream(0, 350)[..]));
        assert!(receiver.is_empty() && receiver.charge() == 0);
        assert_eq!(receiver.nxt(), base + 350);
    }
}

// proves E-12, 7323-5: nothing past the right edge is stored
#[test]
fn the_window_is_respected() {
    let pool = pool();
    let mut receiver = Receiver::new(Seq(0));
    let data = |len| chain(&pool, &stream(0, len));
    let (outcome, _) = give(&mut receiver, &pool, 1000, Seq(900), data(200), false);
    assert_eq!((outcome, receiver.held().octets()), (DataOutcome::OutOfOrder, 100));
    let (outcome, _) = give(&mut receiver, &pool, 1000, Seq(1000), data(10), false);
    assert_eq!(outcome, DataOutcome::Refused(DropReason::BeyondWindow));
    // a FIN whose data are cut is cut too
    let (outcome, _) = give(&mut receiver, &pool, 1000, Seq(0), data(1001), true);
    assert_eq!(outcome, delivered(1000, false, true));
    let (outcome, _) = give(&mut receiver, &pool, 0, Seq(1000), data(1), true);
    assert_eq!(outcome, DataOutcome::Refused(DropReason::BeyondWindow));
}

// proves E-21: a FIN acts when everything before it is there
#[test]
fn the_fin_waits_for_its_turn() {
    let pool = pool();
    let start = Seq(u32::MAX - 120);
    let mut receiver = Receiver::new(start);
    let mut send = |from: u32, len: usize, fin| {
        let chain = chain(&pool, &stream(u64::from(from), len));
        give(&mut receiver, &pool, 65_536, start + from, chain, fin).0
    };
    assert_eq!(send(100, 50, true), DataOutcome::OutOfOrder);
    // after it nothing is taken, nor is another one
    assert_eq!(send(150, 10, false), DataOutcome::Refused(DropReason::DataAfterFin));
    assert_eq!(send(160, 0, true), DataOutcome::Refused(DropReason::DataAfterFin));
    assert_eq!(send(100, 60, false), DataOutcome::Duplicate);
    assert_eq!(send(0, 100, false), delivered(150, true, true));
    assert_eq!(send(100, 50, true), DataOutcome::Duplicate);
    assert_eq!(send(151, 5, false), DataOutcome::Refused(DropReason::DataAfterFin));
    assert_eq!(receiver.nxt(), start + 151);
    assert!(receiver.is_finished());
    let mut out = [0; 200];
    assert_eq!(receiver.read(&mut out), 150);
}

#[test]
fn a_bare_fin_is_enough() {
    let pool = pool();
    let mut receiver = Receiver::new(Seq(u32::MAX));
    let (outcome, _) = give(&mut receiver, &pool, 1000, Seq(u32::MAX), Chain::new(), true);
    assert_eq!(outcome, delivered(0, true, false));
    assert_eq!(receiver.nxt(), Seq(0));
    let (outcome, _) = give(&mut receiver, &pool, 1000, Seq(u32::MAX), Chain::new(), true);
    assert_eq!(outcome, DataOutcome::Duplicate);
}

// proves MUST-30, MUST-33, MUST-62: what is still urgent, exactly; the stream keeps the octet
#[test]
fn urgent_data_stay_in_the_stream() {
    let pool = pool();
    let mut receiver = Receiver::new(Seq(u32::MAX - 3));
    let seq = receiver.nxt();
    assert_eq!(receiver.on_urgent(seq, 3), UrgentOutcome::Advanced);
    let (outcome, _) = give(&mut receiver, &pool, 1000, seq, chain(&pool, &stream(0, 10)), false);
    assert_eq!(outcome, delivered(10, false, false));
    assert_eq!(receiver.on_urgent(seq, 3), UrgentOutcome::Unchanged);
    for left in [3u32, 2, 1, 0, 0] {
        assert_eq!(receiver.urgent_octets(), left);
        assert_eq!(receiver.read(&mut [0; 1]), 1);
    }
    assert_eq!(receiver.on_urgent(seq, 3), UrgentOutcome::Unchanged);
    // proves AT-27: a mark beyond the FIN ends at the FIN
    assert_eq!(receiver.on_urgent(seq + 10, 5000), UrgentOutcome::Advanced);
    let (outcome, _) = give(&mut receiver, &pool, 1000, seq + 10, Chain::new(), true);
    assert_eq!(outcome, delivered(0, true, false));
    assert_eq!(receiver.urgent_octets(), 5);
    assert_eq!(receiver.read(&mut [0; 10]), 5);
    assert_eq!(receiver.urgent_octets(), 0);
    assert_eq!(receiver.on_urgent(receiver.nxt(), 9), UrgentOutcome::Unchanged);
}

// proves AT-7: one octet at every second number; memory stays within twice the window
#[test]
fn tiny_segments_are_charged_what_they_take() {
    for buffer in [16u32 << 10, 64 << 10, 1 << 20, 4 << 20] {
        let pool = pool();
        let mut receiver = Receiver::new(Seq(0));
        let mut most = 0;
        for at in (2..buffer).step_by(2) {
            let _ = give(&mut receiver, &pool, buffer, Seq(at), chain(&pool, &[1]), false);
            most = most.max(receiver.charge());
            assert!(receiver.charge() <= 2 * buffer);
        }
        assert!(pool.stats().used_octets <= 2 * buffer as usize + (256 << 10));
        // what is next in order is taken all the same, and the stream goes on
        let data = chain(&pool, &stream(0, 1000));
        let (outcome, _) = give(&mut receiver, &pool, buffer, Seq(0), data, false);
        assert!(matches!(outcome, DataOutcome::Delivered { .. }), "{buffer} {most}");
        assert!(receiver.charge() <= 2 * buffer);
    }
}

// a reader that does not read and a peer that sends octet by octet: compacted, then refused
#[test]
fn tiny_segments_in_order_are_compacted() {
    let pool = pool();
    let buffer = 64u32 << 10;
    let mut receiver = Receiver::new(Seq(0));
    let (mut copied, mut position) = (0, 0u64);
    loop {
        let seq = receiver.nxt();
        let (outcome, more) =
            give(&mut receiver, &pool, buffer, seq, chain(&pool, &stream(position, 1)), false);
        copied += more;
        assert!(receiver.charge() <= 2 * buffer);
        match outcome {
            DataOutcome::Delivered { octets: 1, .. } => position += 1,
            DataOutcome::Refused(DropReason::ReceiveMemory) => break,
            other => panic!("{other:?}"),
        }
        assert!(position < 200_000);
    }
    // it took most of a buffer's worth although every octet came in 2 KiB
    assert!(position > u64::from(buffer) / 2, "{position}");
    assert!(copied > 0);
    let mut out = std::vec![0; 200_000];
    assert_eq!(receiver.read(&mut out) as u64, position);
    assert_eq!(out.get(..position as usize), Some(&stream(0, position as usize)[..]));
    assert_eq!((receiver.charge(), pool.stats().used_octets), (0, 0));
}

// a tight pool compacts from the first octet on
#[test]
fn a_tight_pool_compacts_at_once() {
    let pool = pool_of(1 << 20);
    let mut hog = Chain::new();
    while !pool.is_tight() {
        hog.append(chain(&pool, &[0]));
    }
    let mut receiver = Receiver::new(Seq(0));
    let mut copied = 0;
    for at in [0u32, 1, 2, 10, 11, 13, 12] {
        let data = chain(&pool, &stream(u64::from(at), 1));
        copied += give(&mut receiver, &pool, 1 << 20, Seq(at), data, false).1;
    }
    assert_eq!(copied, 7, "each octet once");
    assert!(receiver.charge() < 2048);
    let data = chain(&pool, &stream(3, 7));
    let _ = give(&mut receiver, &pool, 1 << 20, Seq(3), data, false);
    let mut out = [0; 14];
    assert_eq!(receiver.read(&mut out), 14);
    assert_eq!(out.as_slice(), stream(0, 14));
}

// slices are handed out without a copy, and the account follows
#[test]
fn slices_can_be_taken() {
    let pool = pool();
    let mut receiver = Receiver::new(Seq(0));
    let (_, copied) =
        give(&mut receiver, &pool, 65_536, Seq(0), chain(&pool, &stream(0, 3000)), false);
    assert_eq!(copied, 0);
    assert_eq!(receiver.slices().count(), 3);
    assert_eq!(receiver.read(&mut [0; 100]), 100);
    let first = receiver.read_slice().unwrap();
    assert_eq!(&first[..], &stream(100, 1348)[..]);
    assert_eq!(receiver.queued(), 3000 - 1448);
    drop(first);
    while receiver.read_slice().is_some() {}
    assert_eq!((receiver.charge(), pool.stats().used_octets), (0, 0));
}

/// Payloads of 2,900 octets in frames of 64 KiB, as a device that merges segments may bring them.
fn in_large_frames(pool: &FramePool, position: u64) -> Chain {
    let mut frame = pool.take(Class::Large, 66).unwrap();
    assert_eq!(frame.extend(&stream(position, 2900)), 2900);
    Chain::from(frame.into_slice())
}

// a window that was offered can be filled, however the device wastes its frames
#[test]
fn large_frames_are_compacted_before_anything_is_refused() {
    let (pool, buffer, mut copied) = (pool(), 128u32 << 10, 0);
    let mut receiver = Receiver::new(Seq(0));
    let mut advertise = Advertise::new(Seq(0), WireWindow(65_535), Scale::NONE, Scale::clamped(2));
    let mut position = 0u64;
    loop {
        let seq = receiver.nxt();
        let data = in_large_frames(&pool, position);
        advertise.on_arrival(2900, data.charge());
        let edge = advertise.edge();
        if edge.since(seq) < 2900 {
            break;
        }
        let mut intake = Intake { edge, buffer, ranges: 512, pool: &pool, copied: &mut copied };
        let outcome = receiver.on_data(seq, data, false, &mut intake);
        assert_eq!(outcome, delivered(2900, false, false));
        position += 2900;
        advertise.announce(receiver.nxt(), &receiver.holding(buffer), 1460);
    }
    assert!(position >= 60_000, "{position}");
    assert!(copied > 0 && receiver.charge() <= 2 * buffer);
    let mut out = std::vec![0; 200_000];
    assert_eq!(receiver.read(&mut out) as u64, position);
    assert_eq!(out.get(..position as usize), Some(&stream(0, position as usize)[..]));
}

// what waits out of order makes room for what is next
#[test]
fn held_data_give_way() {
    let (pool, buffer) = (pool(), 16u32 << 10);
    let mut receiver = Receiver::new(Seq(0));
    for at in [2896u32, 5792, 8688] {
        let data = chain(&pool, &stream(u64::from(at), 1448));
        let _ = give(&mut receiver, &pool, buffer, Seq(at), data, false);
    }
    let held = receiver.held().charge();
    let slim = held / 2;
    let data = chain(&pool, &stream(0, 1448));
    let (outcome, _) = give(&mut receiver, &pool, slim, Seq(0), data, false);
    assert_eq!(outcome, delivered(1448, false, true));
    assert!(receiver.charge() <= 2 * slim);
    assert!(receiver.held().charge() < held && !receiver.held().is_empty());
}

// two slices of one frame with something between them: the frame counts until both are read
#[test]
fn a_shared_frame_is_counted_once() {
    let pool = pool();
    let whole = chain(&pool, &stream(0, 150)).pop_front().unwrap();
    let mut data = Chain::from(whole.slice(0..50));
    data.push_back(whole.slice(100..150));
    let one = whole.charge();
    drop(whole);
    let mut receiver = Receiver::new(Seq(0));
    let (outcome, _) = give(&mut receiver, &pool, 65_536, Seq(0), data, false);
    assert_eq!(outcome, delivered(100, false, false));
    assert_eq!(receiver.charge(), one);
    assert_eq!(receiver.read(&mut [0; 60]), 60);
    assert_eq!(receiver.charge(), one);
    assert!(receiver.read_slice().is_some());
    assert_eq!(receiver.charge(), 0);
}
