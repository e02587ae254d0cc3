//! A peer that says anything. Nothing panics, no poll goes on for ever, and what holds after every
//! call (`pair::invariants`, `Bench::check_out`) holds here too.

use super::bench::*;
use crate::*;
use proptest::prelude::*;
use std::vec::Vec;
use usertcp_wire::tcp::Flags;

/// What happens next. Numbers are relative to where the connection stands.
#[derive(Clone, Debug)]
enum Next {
    Segment { flags: u16, seq: i64, ack: i64, window: u16, octets: usize, rest: Rest },
    Write(usize),
    Read(usize),
    Pass(u64),
    Shutdown,
    TooBig(i64, u16),
}

/// The rarer parts of a segment.
#[derive(Clone, Debug)]
struct Rest {
    urgent: u16,
    sack: Vec<(i64, i64)>,
    stamps: Option<(u32, u32)>,
    wire_segments: u16,
}

fn near() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => Just(0i64),
        3 => -3..3i64,
        3 => -3000..3000i64,
        1 => -100_000..100_000i64,
        1 => any::<i32>().prop_map(i64::from),
    ]
}

fn rest() -> impl Strategy<Value = Rest> {
    let sack = prop::collection::vec((near(), 0..3000i64), 0..4)
        .prop_map(|blocks| blocks.into_iter().map(|(left, len)| (left, left + len)).collect());
    let stamps = prop::option::of((any::<u32>(), any::<u32>()));
    (any::<u16>(), sack, stamps, 0..5u16).prop_map(|(urgent, sack, stamps, wire_segments)| Rest {
        urgent,
        sack,
        stamps,
        wire_segments,
    })
}

fn next() -> impl Strategy<Value = Next> {
    // Mostly ACK, now and then anything; a window that is often nothing.
    let flags = prop_oneof![8 => Just(16u16), 3 => Just(24), 1 => Just(17), 1 => 0..512u16];
    let window = prop_oneof![2 => Just(0u16), 2 => 0..2000u16, 3 => any::<u16>()];
    let octets = prop_oneof![4 => Just(0usize), 3 => 0..1500usize, 1 => 0..40_000usize];
    prop_oneof![
        12 => (flags, near(), near(), window, octets, rest()).prop_map(
            |(flags, seq, ack, window, octets, rest)| Next::Segment {
                flags, seq, ack, window, octets, rest
            }
        ),
        3 => (1..30_000usize).prop_map(Next::Write),
        3 => (1..30_000usize).prop_map(Next::Read),
        3 => prop_oneof![4 => 0..500u64, 1 => 0..100_000u64].prop_map(Next::Pass),
        1 => Just(Next::Shutdown),
        1 => (near(), any::<u16>()).prop_map(|(seq, octets)| Next::TooBig(seq, octets)),
    ]
}

fn happen(bench: &mut Bench, next: Next) {
    match next {
        Next::Segment { flags, seq, ack, window, octets, rest } => {
            let usual = bench.peer();
            let (una, base) = (bench.una(), usual.seq);
            let mut peer = bench.peer_at(base + seq).data(octets).window(window);
            peer.flags = Flags::from_bits(flags);
            peer.ack = if ack < 0 { una - ack.min(0).abs() } else { usual.ack - ack };
            peer.urgent = rest.urgent;
            peer.wire_segments = rest.wire_segments;
            peer.sack = rest.sack.iter().map(|(l, r)| (una + l, una + r)).collect();
            if let Some((value, echo)) = rest.stamps.filter(|_| window % 4 == 0) {
                peer = peer.stamps(value, echo);
            }
            let _ = bench.send(peer);
        }
        Next::Write(octets) => {
            let _ = bench.put(octets);
            let _ = bench.drain();
        }
        Next::Read(octets) => {
            let _ = bench.read(octets);
            let _ = bench.drain();
        }
        Next::Pass(millis) => {
            let _ = bench.pass(millis);
        }
        Next::Shutdown => {
            let _ = bench.shutdown();
        }
        Next::TooBig(seq, segment_octets) => {
            bench.signal(bench.una() + seq, SignalKind::TooBig { segment_octets });
        }
    }
}

proptest! {
    // proves BG-7, AT-41 (its share), 2018-7, MUST-34
    #[test]
    fn nothing_a_peer_says_breaks_anything(
        kind in 0..16u8,
        steps in prop::collection::vec(next(), 1..80),
    ) {
        let (super_segments, cubic) = (kind & 1 != 0, kind & 2 != 0);
        let start = if kind & 4 != 0 { Start::modern() } else { Start::default() };
        let fixed_window = if cubic { None } else { Some(1 << 20) };
        let sack = kind & 8 != 0;
        let mut bench = Start { super_segments, fixed_window, sack, ..start }.go();
        for step in steps {
            if bench.ended.is_some() {
                break;
            }
            happen(&mut bench, step);
        }
    }
}
