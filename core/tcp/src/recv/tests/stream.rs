//! Properties of the whole receive side over random runs.

use super::{chain, octet, pool_of, stream};
use crate::recv::advertise::Advertise;
use crate::recv::receiver::{DataOutcome, Intake, Receiver};
use crate::recv::window_check::{Acceptability, Extent, check};
use proptest::prelude::*;
use usertcp_base::{Scale, Seq, WireWindow};
use usertcp_frame::FramePool;

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
    peer_edge: Seq,
    buffer: u32,
    read: u64,
}

impl Run {
    fn new(base: Seq, scale: Scale) -> Run {
        let advertise = Advertise::new(base, WireWindow(20_000), Scale::NONE, scale);
        Run {
            base,
            end: 60_000,
            receiver: Receiver::new(base),
            peer_edge: advertise.edge(),
            advertise,
            buffer: 20_000,
            read: 0,
        }
    }

    fn position(&self) -> u64 {
        u64::from(self.receiver.nxt().0.wrapping_sub(self.base.0))
    }

    /// A segment of the stream arrives; its last one carries the FIN.
    fn arrive(&mut self, pool: &FramePool, from: u64, len: u32) {
        let from = from.min(self.end);
        let len = u64::from(len).min(self.end - from);
        let fin = from + len == self.end;
        let seq = self.base + from as u32;
        let extent = Extent { seq, octets: len as u32, syn: false, fin };
        let window = self.advertise.window(self.receiver.nxt());
        if check(&extent, &window) != Acceptability::Accept {
            return;
        }
        let payload = chain(pool, &stream(from, len as usize));
        self.advertise.on_arrival(len as u32, payload.charge());
        let (edge, mut copied) = (self.advertise.edge(), 0);
        let mut intake =
            Intake { edge, buffer: self.buffer, ranges: 16, pool, copied: &mut copied };
        let before = self.receiver.nxt();
        let outcome = self.receiver.on_data(seq, payload, fin, &mut intake);
        let moved = self.receiver.nxt().since(before);
        match outcome {
            DataOutcome::Delivered { octets, fin_reached, .. } => {
                assert_eq!(octets + u32::from(fin_reached), moved);
                assert_eq!(fin_reached, self.position() == self.end + 1);
            }
            _ => assert_eq!(moved, 0),
        }
        assert!(!self.receiver.nxt().after(edge));
        assert!(self.receiver.held().highest().is_none_or(|highest| !highest.after(edge)));
    }

    fn acknowledge(&mut self) {
        let nxt = self.receiver.nxt();
        let holding = self.receiver.holding(self.buffer);
        let field = self.advertise.announce(nxt, &holding, 1460);
        let edge = nxt + self.advertise.scale().octets(field);
        assert!(!edge.before(self.peer_edge));
        self.peer_edge = edge;
        for block in self.receiver.take_sack_blocks(3) {
            assert!(block.0.before(block.1));
        }
    }

    fn read(&mut self, len: usize) {
        let mut out = std::vec![0; len];
        let got = self.receiver.read(&mut out);
        assert_eq!(&out[..got], &stream(self.read, got)[..]);
        self.read += got as u64;
    }

    fn check_account(&self) {
        let queued: u32 = self.receiver.slices().map(|slice| slice.len() as u32).sum();
        assert_eq!(queued, self.receiver.queued());
        assert!(self.receiver.charge() >= queued + self.receiver.held().octets());
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
        let mut run = Run::new(Seq(base), Scale::clamped(shift));
        for op in ops {
            let at = run.position();
            match op {
                Op::Segment { ahead, len } => {
                    run.arrive(&pool, at.saturating_add_signed(i64::from(ahead)), len);
                }
                Op::Next { len } => run.arrive(&pool, at, len),
                Op::Read { len } => run.read(len),
                Op::Slice => if let Some(slice) = run.receiver.read_slice() {
                    assert!(slice.iter().zip(run.read..).all(|(o, p)| *o == octet(p)));
                    run.read += slice.len() as u64;
                },
                Op::Ack => run.acknowledge(),
                Op::Renege => { run.receiver.renege(); }
                Op::Buffer(octets) => run.buffer = octets,
            }
            run.check_account();
        }
        drop(run);
        prop_assert_eq!(pool.stats().used_octets, 0);
    }
}
