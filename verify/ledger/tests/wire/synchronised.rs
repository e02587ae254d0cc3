//! Rows about connections that are open.

use crate::forge::listening;
use crate::hand::{Hand, OURS, PEER, Wire, wire};
use usertcp_base::observe::CloseReason;
use usertcp_base::{ConnId, Ecn, Seq, Span};
use usertcp_stack::{Read, ShardEvent};
use usertcp_wire::tcp::Flags;
use usertcp_wire::{checksum, ipv4};

fn opened() -> (Hand, ConnId, u32) {
    let (mut hand, listener) = listening();
    let una = hand.open(1000);
    let conn = hand.shard.accept(listener).unwrap();
    (hand, conn, una.0)
}

// proves SHLD-2
#[test]
fn a_reset_with_text_is_a_reset() {
    let (mut hand, conn, una) = opened();
    let reset = wire(Flags::RST | Flags::ACK, 5001, una).with_payload(&[0x41; 20]);
    assert_eq!(hand.give(&reset).len(), 0);
    let closed = ShardEvent::Closed { conn, reason: CloseReason::Reset };
    assert!(hand.events.contains(&closed));
    let read = hand.shard.read(hand.now, conn, &mut [0; 32]);
    assert!(read.is_err(), "no text of it is delivered: {read:?}");
}

/// In-window resets off the mark, one every 100 ms for five seconds; how many were challenged.
fn challenged(hand: &mut Hand, port: u16) -> usize {
    let mut challenges = 0;
    for number in 0..50 {
        let blind = wire(Flags::RST, 5100 + number, 0).by(PEER, port);
        challenges += hand.give(&blind).len();
        hand.run_until(hand.now + Span::from_millis(100));
    }
    challenges
}

// proves AT-4, 5961-6
#[test]
fn a_spent_budget_of_challenges_is_not_seen_by_another_connection() {
    let (mut hand, _) = listening();
    hand.open(1000);
    hand.open(1001);
    let alone = challenged(&mut hand, 1001);
    assert!((1..=10).contains(&alone), "{alone}");
    let (mut hand, _) = listening();
    hand.open(1000);
    hand.open(1001);
    // Both at once: the first connection's budget is gone before the second asks.
    let mut beside = 0;
    for number in 0..50 {
        for extra in 0..10 {
            hand.give(&wire(Flags::RST, 6000 + number * 10 + extra, 0).by(PEER, 1000));
        }
        beside += hand.give(&wire(Flags::RST, 5100 + number, 0).by(PEER, 1001)).len();
        hand.run_until(hand.now + Span::from_millis(100));
    }
    assert_eq!(beside, alone);
}

/// "Fragmentation needed" from the peer's side about `quoted`, with the next hop's `mtu`.
fn too_big(mtu: u16, quoted: &Wire) -> Vec<u8> {
    let mut message = vec![3, 4, 0, 0, 0, 0];
    message.extend(mtu.to_be_bytes());
    message.extend(&quoted.octets()[..28]);
    let sum = checksum::finish(checksum::sum(&message));
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut packet = ipv4::emit(&ipv4::Header {
        dscp: 0,
        ecn: Ecn::NotCapable,
        total_octets: 20 + message.len() as u16,
        identification: 0,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset: 0,
        ttl: 64,
        protocol: 1,
        source: PEER,
        destination: OURS,
    })
    .to_vec();
    packet.extend(message);
    packet
}

// proves IC-8, IC-4, IC-7, P-6, P-9, MUST-54
#[test]
fn a_path_once_found_smaller_stays_smaller_and_the_announced_mss_does_not() {
    let (mut hand, listener) = listening();
    let offered = usertcp_wire::tcp::Options { mss: Some(1460), ..Default::default() };
    let answer = hand.give(&wire(Flags::SYN, 5000, 0).with_options(offered)).remove(0);
    let mut una = answer.header.seq.0.wrapping_add(1);
    hand.give(&wire(Flags::ACK, 5001, una));
    let conn = hand.shard.accept(listener).unwrap();
    hand.shard.write(hand.now, conn, &[1; 1460]).unwrap();
    let lost = hand.sent().remove(0);
    assert_eq!(lost.payload.len(), 1460);
    hand.give_octets(&too_big(1000, &lost));
    let again = hand.run_until(hand.now + Span::from_secs(2));
    assert_eq!(again[0].1.payload.len(), 960, "after a timeout it is believed");
    let mut largest = 0;
    for second in 0..310 {
        for _ in 0..100 {
            hand.give(&wire(Flags::ACK, 5001, una));
            let end = hand.shard.info(hand.now, conn).unwrap().figures.unwrap();
            if end.send_queue_octets == 0 {
                break;
            }
            for sent in hand.run_until(hand.now + Span::from_millis(1000)) {
                let end = sent.1.header.seq + sent.1.payload.len() as u32;
                una = Seq(una).latest(end).0;
                largest = largest.max(sent.1.payload.len());
            }
        }
        hand.shard.write(hand.now, conn, &[2; 3000]).unwrap();
        for sent in hand.sent() {
            una = Seq(una).latest(sent.header.seq + sent.payload.len() as u32).0;
            largest = largest.max(sent.payload.len());
        }
        if second % 100 == 50 {
            // Larger claims raise nothing.
            hand.give_octets(&too_big(1400, &lost));
        }
        hand.give(&wire(Flags::ACK, 5001, una));
        hand.now = hand.now + Span::from_secs(1);
    }
    assert_eq!(largest, 960);
    let info = hand.shard.info(hand.now, conn).unwrap().figures.unwrap();
    assert!(info.octets_acknowledged >= 309 * 3000, "{}", info.octets_acknowledged);
    let other = hand.give(&wire(Flags::SYN, 1, 0).by(PEER, 1001)).remove(0);
    assert_eq!(other.options.mss, Some(1460), "what we can receive is another matter");
}

// proves MAY-8, MUST-66, E-11
#[test]
fn a_window_may_stay_closed_for_a_day() {
    let (mut hand, conn, una) = opened();
    let (mut seq, mut window) = (5001_u32, u32::MAX);
    for _ in 0..1000 {
        let data = wire(Flags::ACK, seq, una).with_payload(&[9; 1000]);
        let mut answers = hand.give(&data);
        let later = hand.run_until(hand.now + Span::from_millis(50));
        answers.extend(later.into_iter().map(|sent| sent.1));
        let Some(last) = answers.last() else { continue };
        seq = last.header.ack.0;
        window = u32::from(last.header.window.0);
        if window == 0 {
            break;
        }
    }
    assert_eq!(window, 0, "nobody reads");
    for _ in 0..24 * 12 {
        hand.run_until(hand.now + Span::from_secs(300));
        let probe = wire(Flags::ACK, seq, una).with_payload(&[9]);
        let answer = hand.give(&probe).remove(0);
        assert_eq!((answer.header.ack.0, answer.header.window.0), (seq, 0));
    }
    let mut buffer = [0; 4096];
    let read = hand.shard.read(hand.now, conn, &mut buffer);
    assert!(matches!(read, Ok(Read::Data(4096))), "{read:?}");
    // A closed window takes a reset all the same.
    hand.give(&wire(Flags::RST, seq, 0));
    let closed = ShardEvent::Closed { conn, reason: CloseReason::Reset };
    assert!(hand.events.contains(&closed));
}
