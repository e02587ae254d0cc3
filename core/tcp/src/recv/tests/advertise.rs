use crate::recv::advertise::{Advertise, Holding};
use proptest::prelude::*;
use usertcp_base::{Scale, Seq, WireWindow};

const MSS: u16 = 1460;

fn holding(buffer: u32, queued: u32) -> Holding {
    Holding { buffer, queued, held: 0, charge: queued }
}

fn fresh(nxt: Seq, window: u16, shift: u8) -> Advertise {
    Advertise::new(nxt, WireWindow(window), Scale::NONE, Scale::clamped(shift))
}

// proves 7323-2: the window of a SYN is not scaled, the next one is
#[test]
fn the_first_window_is_unscaled() {
    let mut advertise = fresh(Seq(1), 65_535, 7);
    assert_eq!(advertise.edge(), Seq(65_536));
    let field = advertise.announce(Seq(1), &holding(1 << 20, 0), MSS);
    assert_eq!(field, WireWindow(8192));
    assert_eq!(advertise.edge(), Seq(1) + (1 << 20));
}

// proves MUST-39: a full buffer read octet by octet opens by min(half the buffer, MSS) at least
#[test]
fn silly_windows_are_avoided() {
    for (buffer, shift) in [(65_536u32, 0u8), (1000, 0), (65_536, 2), (1 << 20, 5)] {
        let mut nxt = Seq(u32::MAX - 10);
        let mut advertise = fresh(nxt, 0, shift);
        advertise.announce(nxt, &holding(buffer, 0), MSS);
        // the peer fills it
        nxt = advertise.edge();
        let step = (buffer / 2).min(u32::from(MSS));
        for read in 0..buffer.min(10_000) {
            let before = advertise.edge();
            let now = holding(buffer, buffer - read);
            let due = advertise.update_due(nxt, &now, MSS);
            advertise.announce(nxt, &now, MSS);
            let moved = advertise.edge().since(before);
            assert!(moved == 0 || moved >= step, "{buffer} {shift} {moved}");
            assert!(moved == 0 || due || before != nxt);
        }
        // proves H-2: a full segment can be offered again
        assert!(advertise.edge().since(nxt) >= step);
    }
}

// payload takes four times its size, and half the buffer is no whole number of units.
#[test]
fn a_closed_window_opens_again_whatever_the_buffer() {
    for buffer in 64..3000 {
        let nxt = Seq(1000);
        let mut advertise = fresh(nxt, 0, 4);
        for _ in 0..100 {
            advertise.on_arrival(16, 2112);
        }
        let all_read = holding(buffer, 0);
        assert!(advertise.update_due(nxt, &all_read, 1460), "{buffer}");
        assert!(!advertise.is_update_far(nxt, buffer, 1460), "{buffer}");
        assert!(advertise.announce(nxt, &all_read, 1460).0 > 0, "{buffer}");
    }
}

// an update is sent from a closed window as soon as a segment fits, and not for every read
#[test]
fn window_updates_are_few() {
    let (nxt, buffer) = (Seq(1), 1 << 20);
    let mut closed = fresh(nxt, 0, 7);
    assert!(!closed.update_due(nxt, &holding(buffer, buffer - 1000), MSS));
    assert!(closed.update_due(nxt, &holding(buffer, buffer - 2000), MSS));
    closed.announce(nxt, &holding(buffer, buffer / 2), MSS);
    // half is offered: two segments more are no news, a quarter is
    assert!(!closed.update_due(nxt, &holding(buffer, buffer / 2 - 3000), MSS));
    assert!(closed.update_due(nxt, &holding(buffer, buffer / 4 - 3000), MSS));
    // with a small buffer two segments are
    let mut small = fresh(nxt, 0, 0);
    small.announce(nxt, &holding(8 * 1460, 4 * 1460), MSS);
    assert!(small.update_due(nxt, &holding(8 * 1460, 1460), MSS));
    // and when the peer has less than two segments left, or not even one
    let narrow = fresh(nxt, 500, 0);
    assert!(!narrow.update_due(nxt, &holding(2000, 600), MSS));
    assert!(narrow.update_due(nxt, &holding(2000, 400), MSS));
    assert!(!narrow.update_due(nxt, &holding(buffer, buffer - 1900), MSS));
    assert!(narrow.update_due(nxt, &holding(buffer, buffer - 2000), MSS));
    let mut short = fresh(nxt, 2000, 7);
    assert!(short.update_due(nxt, &holding(buffer, buffer - 6000), MSS));
    short.announce(nxt, &holding(buffer, 0), MSS);
    assert!(!short.update_due(nxt, &holding(buffer, 0), MSS));
}

// payload that wastes memory makes the window smaller, but never the offer
#[test]
fn expensive_payload_shrinks_the_window() {
    let nxt = Seq(9);
    let mut advertise = fresh(nxt, 0, 7);
    let buffer = 1 << 20;
    let cheap = advertise.space(&holding(buffer, 0));
    assert_eq!(cheap, buffer);
    for _ in 0..100 {
        advertise.on_arrival(100, 2048);
    }
    let dear = advertise.space(&holding(buffer, 0));
    assert_eq!(dear, buffer / 2);
    // what waits out of order was paid for and lies inside the window
    let waiting = Holding { buffer, queued: 0, held: 50_000, charge: 50_000 * 40 };
    assert!(advertise.space(&waiting) >= 50_000);
    for _ in 0..100 {
        advertise.on_arrival(1448, 2048);
    }
    assert!(advertise.space(&holding(buffer, 0)) > buffer - buffer / 16);
    advertise.on_arrival(0, 2048);
    advertise.on_arrival(1, u32::MAX);
    assert!(advertise.space(&Holding::default()) == 0);
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Arrive(u32),
    Read(u32),
    Announce,
    Resize(u32),
    Held(u32),
    Charge(u32),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (1u32..4000).prop_map(Op::Arrive),
        1 => (1u32..10).prop_map(Op::Arrive),
        2 => (0u32..20_000).prop_map(Op::Read),
        4 => Just(Op::Announce),
        1 => (1000u32..2_000_000).prop_map(Op::Resize),
        1 => (0u32..100_000).prop_map(Op::Held),
        1 => (0u32..3_000_000).prop_map(Op::Charge),
    ]
}

proptest! {
    // proves SHLD-14, 7323-5: ACK plus window as the peer computes it never decreases, with any
    // scale, while the buffer is resized and memory comes and goes
    #[test]
    fn the_right_edge_never_moves_left(
        base: u32, shift in 0u8..=14, first: u16, ops in prop::collection::vec(op(), 1..300),
    ) {
        let scale = Scale::clamped(shift);
        let mut nxt = Seq(base);
        let mut advertise = Advertise::new(nxt, WireWindow(first), Scale::NONE, scale);
        let mut peer_edge = advertise.edge();
        let mut holding = Holding { buffer: 128 << 10, ..Holding::default() };
        for op in ops {
            match op {
                Op::Arrive(octets) => {
                    let octets = octets.min(advertise.edge().since(nxt));
                    nxt += octets;
                    holding.queued += octets;
                    advertise.on_arrival(octets, octets.max(2048));
                }
                Op::Read(octets) => holding.queued = holding.queued.saturating_sub(octets),
                Op::Resize(buffer) => holding.buffer = buffer,
                Op::Held(octets) => holding.held = octets,
                Op::Charge(octets) => holding.charge = octets,
                Op::Announce => {
                    let field = advertise.announce(nxt, &holding, MSS);
                    let edge = nxt + scale.octets(field);
                    prop_assert!(!edge.before(peer_edge));
                    peer_edge = edge;
                }
            }
            prop_assert_eq!(advertise.edge(), peer_edge);
        }
    }
}

proptest! {
    // Found by multiplying, an update is due exactly where dividing finds it: by two segments when there is
    // less than that left or they are a quarter of the buffer, by half the buffer, by one step when there
    // is no room for a segment.
    #[test]
    fn an_update_is_due_where_the_space_says_so(
        offered in 0..200_000u32,
        buffer in prop_oneof![
            0..8u32, 1000..10_000u32, 30_000..400_000u32, u32::MAX / 2 - 9..u32::MAX / 2 + 9,
        ],
        nothing_held in any::<bool>(),
        queued in 0..300_000u32,
        held in 0..100_000u32,
        charge in 0..800_000u32,
        cost in 1..=1024u32,
        mss in 1..=9000u16,
        shift in 0..=14u8,
    ) {
        let nxt = Seq(u32::MAX - 1000);
        let mut advertise = fresh(nxt, 0, shift);
        advertise.set_edge(nxt + offered);
        // From par towards what this payload costs.
        for _ in 0..40 {
            advertise.on_arrival(256, cost);
        }
        // What is held lies inside of what is offered.
        let now = match nothing_held {
            true => Holding { buffer, ..Holding::default() },
            false => Holding { buffer, queued, held: held.min(offered), charge },
        };
        let scale = advertise.scale();
        let growth = scale.octets(scale.field(advertise.space(&now))).saturating_sub(offered);
        let (one, half) = (u32::from(mss), buffer / 2);
        let due = growth >= half.min(one).max(1)
            && (offered < one
                || growth >= half
                || (growth >= 2 * one && (offered < 2 * one || growth >= half / 2)));
        prop_assert_eq!(advertise.update_due(nxt, &now, mss), due);
    }
}

proptest! {
    // what is known with a few looks less is the same
    #[test]
    fn a_window_is_surely_full_whoever_asks(
        window in any::<u16>(),
        shift in 0..8u8,
        arrivals in 0..60,
        cheap in any::<bool>(),
        buffer in 2 * u32::from(MSS)..1 << 20,
        read in 0..100_000u32,
    ) {
        let mut advertise = fresh(Seq(7), window, shift);
        for _ in 0..arrivals {
            advertise.on_arrival(if cheap { 200 } else { 20 }, 288);
        }
        let nxt = Seq(7) + read;
        let full = advertise.surely_full(nxt, buffer, MSS);
        prop_assert_eq!(advertise.is_surely_full(nxt, buffer, MSS), full.is_some());
        if let Some(offered) = full {
            let mut other = advertise;
            prop_assert_eq!(advertise.stay(nxt), other.stay_beyond(nxt, offered));
            prop_assert_eq!(advertise, other);
        }
    }
}
