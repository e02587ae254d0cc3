//! Properties of the whole receive side over random runs.

use super::{chain, octet, pool_of, stream};
use crate::recv::advertise::Advertise;
use crate::recv::receiver::{DataOutcome, Intake, Receiver};
use crate::recv::window_check::{Acceptability, Extent, check};
use proptest::prelude::*;
use usertcp_base::{Scale, Seq, WireWindow};

#[derive(Clone, Debug)]
enum Op {
    /// A segment somewhere around the window.
    Segment {
        ahead: i32,
        len: u32,
    },
    /// The segment that is waited for.
    Next {
        len: u32,
    },
    Read {
        len: usize,
    },
    Slice,
    Ack,
    Renege,
    Buffer(u32),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (-3000i32..9000, 0u32..3000).prop_map(|(ahead, len)| Op::Segment { ahead, len }),
        4 => (0u32..3000).prop_map(|len| Op::Next { len }),
        2 => (1u32..8).prop_map(|len| Op::Next { len }),
        3 => (0usize..5000).prop_map(|len| Op::Read { len }),
        1 => Just(Op::Slice),
        4 => Just(Op::Ack),
        1 => Just(Op::Renege),
        1 => (2000u32..200_000).prop_map(Op::Buffer),
    ]
}

struct Run {
    base: Seq,
    end: u64,
    receiver: Receiver,
    advertise: Advertise,
    buffer: u32,
    read: u64,
}

impl Run {
    fn position(&self) -> u64 {
        u64::from(self.receiver.nxt().0.wrapping_sub(self.base.0))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    // proves SHLD-14, E-12, E-21, SHLD-31: what is read is a prefix of what was sent, the edge
    // never moves left, memory stays bounded, nothing leaks
    #[test]
    fn random_runs_keep_their_promises(
        base: u32,
        shift in 0u8..=14,
        pool_octets in prop_oneof![Just(1usize << 20), Just(16 << 20)],
        ops in prop::collection::vec(op(), 1..200),
    ) {
        let pool = pool_of(pool_octets);
        let base = Seq(base);
        let mut run = Run {
            base,
            end: 60_000,
            receiver: Receiver::new(base),
            advertise: Advertise::new(
                base, WireWindow(20_000), Scale::NONE, Scale::clamped(shift)),
            buffer: 20_000,
            read: 0,
        };
        let mut peer_edge = run.advertise.edge();
        let mut copied = 0u64;
        for op in ops {
            let at = run.position();
            let segment = match op {
                Op::Segment { ahead, len } => Some((at.saturating_add_signed(i64::from(ahead)), len)),
                Op::Next { len } => Some((at, len)),
                _ => None,
            };
            if let Some((from, len)) = segment {
                let from = from.min(run.end);
                let len = u64::from(len).min(run.end - from);
                let fin = from + len == run.end;
                let seq = base + from as u32;
                let extent = Extent { seq, octets: len as u32, syn: false, fin };
                let window = run.advertise.window(run.receiver.nxt());
                if check(&extent, &window) != Acceptability::Accept {
                    continue;
                }
                let payload = chain(&pool, &stream(from, len as usize));
                run.advertise.on_arrival(len as u32, payload.charge());
                let mut intake = Intake {
                    edge: run.advertise.edge(), buffer: run.buffer, ranges: 16,
                    pool: &pool, copied: &mut copied,
                };
                let before = run.receiver.nxt();
                let outcome = run.receiver.on_data(seq, payload, fin, &mut intake);
                let moved = run.receiver.nxt().since(before);
                match outcome {
                    DataOutcome::Delivered { octets, fin_reached, .. } => {
                        prop_assert_eq!(octets + u32::from(fin_reached), moved);
                        prop_assert_eq!(fin_reached, run.position() == run.end + 1);
                    }
                    _ => prop_assert_eq!(moved, 0),
                }
                prop_assert!(!run.receiver.nxt().after(run.advertise.edge()));
                if let Some(highest) = run.receiver.held().highest() {
                    prop_assert!(!highest.after(run.advertise.edge()));
                }
            }
            match op {
                Op::Read { len } => {
                    let mut out = std::vec![0; len];
                    let got = run.receiver.read(&mut out);
                    prop_assert_eq!(&out[..got], &stream(run.read, got)[..]);
                    run.read += got as u64;
                }
                Op::Slice => if let Some(slice) = run.receiver.read_slice() {
                    prop_assert!(slice.iter().zip(run.read..).all(|(o, p)| *o == octet(p)));
                    run.read += slice.len() as u64;
                },
                Op::Ack => {
                    let holding = run.receiver.holding(run.buffer);
                    let field = run.advertise.announce(run.receiver.nxt(), &holding, 1460);
                    let edge = run.receiver.nxt() + run.advertise.scale().octets(field);
                    // the FIN took the last number of a window that had one left
                    prop_assert!(!edge.before(peer_edge));
                    peer_edge = edge;
                    for block in run.receiver.take_sack_blocks(3) {
                        prop_assert!(block.0.before(block.1));
                    }
                }
                Op::Renege => { run.receiver.renege(); }
                Op::Buffer(octets) => run.buffer = octets,
                _ => {}
            }
            let queued: u32 = run.receiver.slices().map(|slice| slice.len() as u32).sum();
            prop_assert_eq!(queued, run.receiver.queued());
            prop_assert!(run.receiver.charge() >= run.receiver.queued() + run.receiver.held().octets());
        }
        let Run { receiver, .. } = run;
        drop(receiver);
        prop_assert_eq!(pool.stats().used_octets, 0);
    }
}
