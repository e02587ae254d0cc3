//! The short ways of packets against the general one, which padding behind the IP packet forces: two
//! shards with one seed, the same segments, and whatever they say must be the same.

use crate::hand::{Hand, Wire, wire};
use proptest::prelude::*;
use usertcp_base::{ConnId, Limits, Seq, Span, WireWindow};
use usertcp_cc::Reno;
use usertcp_stack::{Listen, Profile};
use usertcp_wire::tcp::{Flags, Options, Timestamps};

/// What happens next.
#[derive(Clone, Debug)]
struct Step {
    /// Octets from where the peer's next segment should begin: before, there, or after.
    seq_offset: i32,
    /// Octets from what was sent to us.
    ack_offset: i32,
    payload_octets: usize,
    window: u16,
    shape: Shape,
    /// What the application writes, and whether it reads.
    written_octets: usize,
    reads: bool,
    pause_ms: u16,
}

/// What the segment is beside data and acknowledgement.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Shape {
    Usual,
    Push,
    OldTimestamp,
    FutureEcho,
    NoTimestamps,
    Fin,
    Rst,
    Syn,
    Urgent,
    WrongChecksum,
    Stranger,
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        20 => Just(Shape::Usual),
        10 => Just(Shape::Push),
        1 => Just(Shape::OldTimestamp),
        1 => Just(Shape::FutureEcho),
        1 => Just(Shape::NoTimestamps),
        1 => Just(Shape::Fin),
        1 => Just(Shape::Rst),
        1 => Just(Shape::Syn),
        1 => Just(Shape::Urgent),
        1 => Just(Shape::WrongChecksum),
        1 => Just(Shape::Stranger),
    ]
}

fn offset() -> impl Strategy<Value = i32> {
    prop_oneof![12 => Just(0), 1 => -3000..3000_i32]
}

fn step() -> impl Strategy<Value = Step> {
    (
        offset(),
        offset(),
        0..1400_usize,
        any::<u16>(),
        shape(),
        0..4000_usize,
        any::<bool>(),
        0..300_u16,
    )
        .prop_map(
            |(
                seq_offset,
                ack_offset,
                payload_octets,
                window,
                shape,
                written_octets,
                reads,
                pause_ms,
            )| Step {
                seq_offset,
                ack_offset,
                payload_octets,
                window,
                shape,
                written_octets,
                reads,
                pause_ms,
            },
        )
}

/// A shard with one connection.
struct Side {
    hand: Hand,
    conn: ConnId,
    /// Whether its packets are padded.
    padded: bool,
    /// What it said last: where its data ends, and its clock.
    end: Seq,
    clock: u32,
}

fn stamps(value: u32, echo: u32) -> Options {
    Options { timestamps: Some(Timestamps { value, echo }), ..Options::default() }
}

impl Side {
    fn open(padded: bool) -> Side {
        let mut hand = Hand::new(Limits::default());
        let profile = Profile::<Reno>::default();
        let listen = Listen { local: None, port: Some(80), backlog: 1, profile };
        let listener = hand.shard.listen(&listen).unwrap();
        let offered =
            Options { mss: Some(1400), scale: Some(2), sack_permitted: true, ..stamps(100, 0) };
        let answer = hand.give(&wire(Flags::SYN, 5000, 0).with_options(offered)).remove(0);
        let (end, clock) = (answer.header.seq + 1, answer.options.timestamps.unwrap().value);
        let ack = wire(Flags::ACK, 5001, end.0).with_options(stamps(101, clock));
        assert_eq!(hand.give(&ack).len(), 0);
        let conn = hand.shard.accept(listener).unwrap();
        Side { hand, conn, padded, end, clock }
    }

    /// All that is to be seen from outside after the step.
    fn take(&mut self, step: &Step, segment: &[u8]) -> String {
        let now = self.hand.now + Span::from_millis(u64::from(step.pause_ms));
        let late = self.hand.run_until(now);
        let written = self.hand.shard.write(now, self.conn, &vec![7; step.written_octets]);
        let mut sent = self.hand.sent();
        // In frames of the same size, whether padded or not.
        let octets = [segment, &[0]].concat();
        sent.extend(self.hand.give_front(&octets, segment.len() + usize::from(self.padded)));
        let mut buffer = [0; 5000];
        let read = step.reads.then(|| self.hand.shard.read(now, self.conn, &mut buffer));
        let runs = buffer.chunk_by(|one, next| one == next).map(|run| (run[0], run.len()));
        let runs: Vec<_> = runs.collect();
        sent.extend(self.hand.sent());
        for wire in late.iter().map(|(_, wire)| wire).chain(&sent) {
            self.note(wire);
        }
        let events = core::mem::take(&mut self.hand.events);
        let info = self.hand.shard.info(now, self.conn);
        let next = self.hand.shard.next_deadline();
        let counters = self.hand.shard.counters();
        format!(
            "{written:?} {late:?} {sent:?} {read:?} {runs:?} {events:?} {info:?} {next:?} {counters:?}"
        )
    }

    fn note(&mut self, wire: &Wire) {
        let end = wire.header.seq + wire.payload.len() as u32;
        if wire.header.destination_port == 1000 && end.after(self.end) {
            self.end = end;
        }
        if let Some(stamps) = wire.options.timestamps {
            self.clock = stamps.value;
        }
    }
}

/// The segment of a step, when the peer has sent up to `next`.
fn segment(step: &Step, side: &Side, next: Seq, value: u32) -> Vec<u8> {
    let flags = match step.shape {
        Shape::Push => Flags::ACK | Flags::PSH,
        Shape::Fin => Flags::ACK | Flags::FIN,
        Shape::Rst => Flags::ACK | Flags::RST,
        Shape::Syn => Flags::ACK | Flags::SYN,
        Shape::Urgent => Flags::ACK | Flags::URG,
        _ => Flags::ACK,
    };
    let options = match step.shape {
        Shape::NoTimestamps => Options::default(),
        Shape::OldTimestamp => stamps(value.wrapping_sub(50_000), side.clock),
        Shape::FutureEcho => stamps(value, side.clock.wrapping_add(50_000)),
        _ => stamps(value, side.clock),
    };
    let seq = next.0.wrapping_add_signed(step.seq_offset);
    let ack = side.end.0.wrapping_add_signed(step.ack_offset);
    let payload = vec![step.payload_octets as u8; step.payload_octets];
    let mut wire = wire(flags, seq, ack).with_options(options).with_payload(&payload);
    wire.header.window = WireWindow(step.window);
    wire.header.urgent = u16::from(step.shape == Shape::Urgent);
    if step.shape == Shape::Stranger {
        wire.header.source_port = 1001;
    }
    let mut octets = wire.octets();
    if step.shape == Shape::WrongChecksum {
        octets[36] ^= 1;
    }
    octets
}

proptest! {
    #[test]
    fn they_make_of_a_segment_what_the_general_way_makes(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let (mut short, mut general) = (Side::open(false), Side::open(true));
        let mut next = Seq(5001);
        for (at, step) in steps.iter().enumerate() {
            let octets = segment(step, &short, next, 200 + at as u32);
            prop_assert_eq!(short.take(step, &octets), general.take(step, &octets), "{:?}", step);
            let arrived = step.seq_offset == 0
                && !matches!(step.shape, Shape::WrongChecksum | Shape::Stranger | Shape::OldTimestamp);
            if arrived {
                next += step.payload_octets as u32;
            }
        }
    }
}
