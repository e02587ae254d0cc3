//! Tiny segments and fragments: AT-7, AT-18.

use usertcp_base::{DropReason, Ecn, Limits, Seq, Span};
use usertcp_hostile::arena::{Arena, PEER_PORT, PORT, Setup, modern, ours, theirs};
use usertcp_hostile::forge::{self, Forged, Part};
use usertcp_wire::tcp::Flags;

// proves AT-7
#[test]
fn every_second_octet_of_a_large_window_costs_at_most_twice_the_window() {
    let limits = Limits {
        connections: 8,
        hot_connections: 8,
        receive_buffer_start_octets: 1 << 20,
        reassembly_ranges: 1 << 16,
        ..Limits::default()
    };
    for pool_octets in [64 << 20, 2 << 20] {
        let setup = Setup { limits: limits.clone(), pool_octets, ..Setup::default() };
        let mut arena = Arena::new(&setup);
        let (peer, conn) = arena.opened(1);
        arena.judging = false;
        let first = arena.peers[peer].next;
        let window = 1 << 20;
        for at in 0..60_000_u32 {
            // Spread over the window, in no order.
            let place = at.wrapping_mul(40_503) % (window / 2 - 1) * 2 + 1;
            let forged = arena.peers[peer].polite(Flags::NONE, 0);
            arena.give(&forged.at(first + place, arena.peers[peer].their_next).carrying(1));
        }
        let figures = arena.shard.info(arena.now, conn).unwrap().figures.unwrap();
        assert!(figures.out_of_order_octets >= 500, "{figures:?}");
        assert!(figures.memory_octets <= 2 * window, "{figures:?}");
        arena.end();
    }
}

// proves AT-7
#[test]
fn the_whole_stream_arrives_through_tiny_segments_backwards() {
    let mut arena = Arena::new(&Setup::default());
    let (peer, conn) = arena.opened(1);
    let index = arena.index_of(conn);
    let first = arena.peers[peer].next;
    for at in (0..100_u32).rev() {
        let forged = arena.peers[peer].polite(Flags::NONE, 0);
        arena.give(&forged.at(first + at, arena.peers[peer].their_next).carrying(1));
    }
    assert_eq!(arena.read(index, 5000), 100);
    arena.end();
}

/// A SYN in fragments cut at `cuts`, as packets.
fn cut(identification: u32, cuts: &[usize], octets: usize) -> Vec<Vec<u8>> {
    let source = (theirs(false, 7), PEER_PORT + identification as u16);
    let syn = Forged::new(source, (ours(false), PORT), Flags::SYN)
        .at(Seq(1), Seq(0))
        .with(modern())
        .carrying(octets);
    let body = syn.segment();
    let edges: Vec<usize> = [0].iter().chain(cuts).copied().chain([body.len()]).collect();
    edges
        .windows(2)
        .map(|edge| {
            let part = Part { identification, offset: edge[0] as u16, more: edge[1] < body.len() };
            forge::part(source.0, ours(false), 6, &body[edge[0]..edge[1]], Ecn::NotCapable, part)
        })
        .collect()
}

// proves AT-18
#[test]
fn a_datagram_in_any_order_of_fragments_opens_and_an_overlap_kills_it() {
    let mut arena = Arena::new(&Setup::default());
    let mut pieces = cut(1, &[64, 128, 256], 400);
    pieces.reverse();
    for piece in &pieces {
        arena.give_packet(piece);
    }
    assert_eq!(arena.shard.usage().anchors, 1);
    let (good, other) = (cut(2, &[64, 128], 400), cut(2, &[72, 136], 400));
    for piece in [&good[0], &other[1], &good[1], &good[2]] {
        arena.give_packet(piece);
    }
    assert_eq!(arena.shard.usage().anchors, 1, "overlapping fragments became a datagram");
    assert!(arena.shard.counters().dropped(DropReason::FragmentOverlap) >= 1);
    arena.end();
}

// proves AT-18
#[test]
fn a_first_fragment_without_the_whole_header_is_dropped() {
    let mut arena = Arena::new(&Setup::default());
    for (number, size) in [8, 16].into_iter().enumerate() {
        for piece in cut(10 + number as u32, &[size], 100) {
            arena.give_packet(&piece);
        }
    }
    assert_eq!(arena.shard.usage().anchors, 0);
    assert!(arena.shard.counters().dropped(DropReason::FragmentTiny) >= 2);
    arena.end();
}

// proves AT-18
#[test]
fn endless_fragments_stay_within_their_bounds() {
    let setup = Setup { pool_octets: 32 << 20, ..Setup::default() };
    let mut arena = Arena::new(&setup);
    arena.judging = false;
    let limits = arena.shard.limits().clone();
    for v6 in [false, true] {
        for number in 0..30_000_u32 {
            let source = theirs(v6, (number % 200) as u8);
            let part = Part {
                identification: number / 3,
                offset: (number % 100 * 648) as u16 & !7,
                more: number % 7 != 0,
            };
            let body = vec![number as u8; 648];
            let octets = forge::part(source, ours(v6), 6, &body, Ecn::NotCapable, part);
            arena.give_packet(&octets);
            if number % 500 == 0 {
                let held = arena.shard.ip().stats().fragment_octets;
                assert!(held <= limits.fragment_octets as usize, "{held}");
            }
        }
        // One source alone has its share.
        arena.run(Span::from_secs(61));
        for number in 0..2000_u32 {
            let part = Part { identification: number, offset: 8, more: true };
            let body = [0; 1000];
            let octets = forge::part(theirs(v6, 1), ours(v6), 6, &body, Ecn::NotCapable, part);
            arena.give_packet(&octets);
        }
        let held = arena.shard.ip().stats().fragment_octets;
        assert!(held <= limits.fragment_octets_per_source as usize, "{held}");
        arena.run(Span::from_secs(61));
        assert_eq!(arena.shard.ip().stats().incomplete, 0);
    }
    arena.end();
}

// proves BG-6: a cap for all and one for each. The default cap is 64 MiB, not a share of RAM
// (docs/decisions/0001).
#[test]
fn buffers_of_all_stay_under_the_cap_and_of_one_under_twice_its_window() {
    const WINDOW: u32 = 128 << 10;
    for piece in [1, 100, 1400] {
        let mut arena = Arena::new(&Setup { pool_octets: 4 << 20, ..Setup::default() });
        arena.judging = false;
        let opened: Vec<_> = (1..=64).map(|host| arena.opened(host)).collect();
        let budget = arena.shard.pool().stats().budget_octets;
        assert!(budget <= 4 << 20);
        // In order and behind a gap in turn, more than all windows hold, and nobody reads.
        let first: Vec<Seq> = opened.iter().map(|(peer, _)| arena.peers[*peer].next).collect();
        for round in 0..400_u32 {
            for (&(peer, conn), first) in opened.iter().zip(&first) {
                let place = (round / 2 + round % 2 * 64) * piece as u32;
                let forged = arena.peers[peer].polite(Flags::NONE, 0);
                let at = (*first + place, arena.peers[peer].their_next);
                arena.give(&forged.at(at.0, at.1).carrying(piece));
                if round % 40 == 0 {
                    let figures = arena.shard.info(arena.now, conn).unwrap().figures.unwrap();
                    assert!(figures.memory_octets <= 2 * WINDOW, "{figures:?}");
                }
            }
            let stats = arena.shard.pool().stats();
            assert!(stats.used_octets <= budget && stats.peak_octets <= budget, "{stats:?}");
        }
        arena.end();
    }
}
