//! SYNs with payload (RFC 7413 §4.2).

use super::*;

// proves 7413-7, 3168-6
#[test]
fn a_syn_ack_may_acknowledge_any_part_of_the_syns_payload() {
    for acked in 0..=100 {
        let mut bench = asking(EcnMode::Ask);
        bench.handshake = bench.handshake.with_syn_octets(100);
        let out = bench.handshake.synchronise(bench.now, &bench.settings);
        assert_eq!((out.header.seq, out.header.ack), (ISS, Seq(0)));
        let answer = Flags::SYN | Flags::ACK | Flags::ECE;
        match bench.arrive(segment(answer, PEER, ISS + 1 + acked)) {
            HandshakeOutcome::Established(opening) => {
                assert_eq!(u32::from(opening.syn_octets_acked), acked);
                // What is sent again must not be ECN-capable.
                let ecn = if acked == 100 { EcnAgreed::Both } else { EcnAgreed::EchoOnly };
                assert_eq!(opening.agreed.ecn, ecn);
            }
            other => panic!("{other:?}"),
        }
    }
    for wrong in [ISS - 1, ISS, ISS + 102, ISS + 66_000] {
        let mut bench = Bench::new(true);
        bench.handshake = bench.handshake.with_syn_octets(100);
        match bench.arrive(segment(Flags::SYN | Flags::ACK, PEER, wrong)) {
            HandshakeOutcome::Reply(reply) => {
                assert_eq!((reply.header.flags, reply.header.seq), (Flags::RST, wrong));
            }
            other => panic!("{other:?}"),
        }
    }
    // Likewise after both sent a SYN.
    let mut bench = Bench::new(true);
    bench.handshake = bench.handshake.with_syn_octets(100);
    assert!(matches!(bench.arrive(syn()), HandshakeOutcome::Reply(_)));
    match bench.with_timestamp(segment(Flags::ACK, PEER + 1, ISS + 51)) {
        HandshakeOutcome::Established(opening) => assert_eq!(opening.syn_octets_acked, 50),
        other => panic!("{other:?}"),
    }
}

/// A handshake of a fast open that took 100 octets, and has sent 500 since.
fn early() -> Bench {
    let mut bench = Bench::new(false);
    bench.handshake = bench.handshake.with_syn_octets(100);
    bench
}

impl Bench {
    fn arrive_early(&mut self, mut segment: Segment) -> HandshakeOutcome {
        segment.options.timestamps = Some(Timestamps { value: 78, echo: 1009 });
        let nxt = ISS + 501;
        self.handshake.handle_fast_open_segment(self.now, &mut segment, &self.settings, nxt)
    }
}

// proves 7413-2
#[test]
fn a_syn_ack_acknowledges_what_was_taken_and_keeps_the_right_edge() {
    let (plain, bench) = (Bench::new(false), early());
    let plain = plain.handshake.synchronise(bench.now, &bench.settings).header;
    let mut bench = bench;
    let reply = bench.handshake.synchronise(bench.now, &bench.settings);
    assert_eq!(reply.header.ack, PEER + 101);
    let edge = |ack: Seq, window: WireWindow| ack + u32::from(window.0);
    assert_eq!(edge(reply.header.ack, reply.header.window), edge(plain.ack, plain.window));
    // The same for the peer's SYN again, and when it is lost.
    let again = match bench.arrive_early(syn()) {
        HandshakeOutcome::Reply(reply) => reply,
        other => panic!("{other:?}"),
    };
    assert_eq!(again.header.ack, PEER + 101);
    bench.now = bench.handshake.deadline(bench.now);
    match bench.handshake.handle_deadline(bench.now, &bench.settings, &bench.limits) {
        HandshakeDeadline::Retransmit { reply, .. } => assert_eq!(reply.header.ack, PEER + 101),
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_what_was_sent_can_be_acknowledged_before_the_handshake_ends() {
    for acked in [0, 1, 499, 500] {
        let outcome = early().arrive_early(segment(Flags::ACK, PEER + 101, ISS + 1 + acked));
        match outcome {
            HandshakeOutcome::Established(opening) => {
                assert_eq!((opening.syn_octets_acked, opening.active), (0, false));
            }
            other => panic!("{other:?}"),
        }
    }
    for ack in [ISS - 1, ISS, ISS + 502, ISS + 100_000] {
        match early().arrive_early(segment(Flags::ACK, PEER + 101, ack)) {
            HandshakeOutcome::Reply(reply) => {
                assert_eq!((reply.header.flags, reply.header.seq), (Flags::RST, ack));
            }
            other => panic!("{other:?}"),
        }
    }
    // A reset is exact behind what was taken.
    let reset = |seq| early().arrive_early(segment(Flags::RST, seq, Seq(0)));
    assert!(matches!(reset(PEER + 101), HandshakeOutcome::Forgotten));
    assert!(matches!(reset(PEER + 102), HandshakeOutcome::Challenge(..)));
    let before = reset(PEER + 1);
    assert!(matches!(before, HandshakeOutcome::Ignored(DropReason::ResetOutOfWindow)));
    let old = early().arrive_early(segment(Flags::ACK, PEER + 50, ISS + 1));
    assert!(matches!(old, HandshakeOutcome::Challenge(_, DropReason::OutOfWindow)));
}

// proves 9768-3: an answer that says "none", and holds to it
#[test]
fn a_fast_open_has_no_accurate_ecn() {
    let asks = Flags::AE | Flags::CWR | Flags::ECE;
    for (flags, classic) in [(asks, false), (Flags::CWR | Flags::ECE, true)] {
        let mut bench = answering(EcnMode::AcceptAccurate, flags);
        bench.handshake = bench.handshake.with_syn_octets(10);
        let reply = bench.handshake.synchronise(bench.now, &bench.settings);
        let (ece, agreed) =
            if classic { (Flags::ECE, EcnAgreed::Both) } else { (Flags::NONE, EcnAgreed::Off) };
        assert_eq!(reply.header.flags, Flags::SYN | Flags::ACK | ece);
        assert_eq!(reply.options.accurate_ecn, None);
        assert_eq!(bench.handshake.fast_opening().agreed.ecn, agreed);
        let third = segment(Flags::ACK, PEER + 11, ISS + 1);
        assert_eq!(established(bench.with_timestamp(third)), agreed);
    }
}

// proves 7413-7: the same for accurate feedback
#[test]
fn what_a_syn_ack_left_of_a_syns_payload_is_not_ecn_capable() {
    for (acked, capable) in [(100, true), (99, false)] {
        let mut bench = asking(EcnMode::AskAccurate);
        bench.handshake = bench.handshake.with_syn_octets(100);
        // "Not-ECT seen on the SYN".
        let answer = segment(Flags::SYN | Flags::ACK | Flags::CWR, PEER, ISS + 1 + acked);
        match bench.with_timestamp(answer) {
            HandshakeOutcome::Established(Opening {
                agreed: Agreed { ecn: EcnAgreed::Accurate(start), .. },
                ..
            }) => assert_eq!(start.capable, capable),
            other => panic!("{other:?}"),
        }
    }
}
