//! Options that we do not use: skipped on every segment, in every state, and never sent.

use crate::forge::{kinds, listening, raw, with_area};
use crate::hand::{PEER, Wire, wire};
use crate::pair::to;
use core::net::IpAddr;
use usertcp_base::Limits;
use usertcp_base::observe::CloseReason;
use usertcp_stack::{Read, ShardEvent};
use usertcp_wire::tcp::Flags;

/// MSS, then the option in question, then a window scale.
fn syn_area(kind: u8, len: u8) -> Vec<u8> {
    let mut area = vec![2, 4, 5, 0xB4, kind, len];
    area.resize(4 + usize::from(len), 0xA5);
    area.extend([3, 3, 7]);
    area
}

// proves OPT-6..7, OPT-9..18, OPT-20..27, OPT-30, OPT-31…33, OPT-35…68, OPT-69, OPT-70
// proves OPT-76…78, OPT-253..255, PR-1, MUST-6, 6247-1, 8684-1, 6994-1, 8547-1, 7413-6
#[test]
fn kinds_we_do_not_use_are_skipped_on_a_syn_and_not_echoed() {
    let used = |kind: u8| matches!(kind, 2..=5 | 8);
    for kind in (2..=255).filter(|kind| !used(*kind)) {
        for len in [2, 3, 6, 10, 18] {
            let (mut hand, listener) = listening();
            let packet = with_area(&wire(Flags::SYN, 5000, 0), &syn_area(kind, len));
            let answer = hand.give_octets(&packet).remove(0);
            assert_eq!(answer.header.flags, Flags::SYN | Flags::ACK, "kind {kind} length {len}");
            assert_eq!(answer.header.ack.0, 5001);
            let options = answer.options;
            assert!(options.mss.is_some() && options.scale.is_some(), "the neighbours count");
            assert!(options.fast_open.is_none() && options.authentication.is_none());
            assert_eq!(options.accurate_ecn, None);
            hand.give(&wire(Flags::ACK, 5001, answer.header.seq.0.wrapping_add(1)));
            let conn = hand.shard.accept(listener).expect("an ordinary connection");
            let figures = hand.shard.info(hand.now, conn).unwrap().figures.unwrap();
            assert_eq!((figures.send_mss_octets, figures.scales.0), (1460, 7));
        }
    }
}

// proves 7413-6, OPT-6..7, OPT-9..18, 6247-1, 6994-1, FL-4…6
#[test]
fn our_own_syn_carries_four_options_and_no_others() {
    let mut hand = crate::hand::Hand::new(Limits::default());
    hand.shard.connect(hand.now, &to(IpAddr::V4(PEER), 80)).unwrap();
    let syn = raw(&mut hand).remove(0);
    assert_eq!(kinds(&syn), [2, 4, 8, 1, 3]);
    assert_eq!(syn[32] & 0x0F, 0, "reserved bits and AE");
    assert_eq!(syn[33], 2, "SYN and nothing else");
}

/// The same peer twice, once with `area` in every segment after the SYN: what the shard answers
/// to each segment, what was read, and how it ended.
fn conversation(area: &[u8]) -> (Vec<Vec<Wire>>, Vec<u8>, Vec<ShardEvent>) {
    let (mut hand, listener) = listening();
    let syn_ack = hand.give(&wire(Flags::SYN, 5000, 0)).remove(0);
    let una = syn_ack.header.seq.0.wrapping_add(1);
    let mut answers = Vec::new();
    let mut give = |hand: &mut crate::hand::Hand, segment: Wire| {
        answers.push(hand.give_octets(&with_area(&segment, area)));
    };
    give(&mut hand, wire(Flags::ACK, 5001, una));
    let conn = hand.shard.accept(listener).expect("open");
    give(&mut hand, wire(Flags::ACK | Flags::PSH, 5001, una).with_payload(b"first"));
    give(&mut hand, wire(Flags::ACK, 5006, una));
    give(&mut hand, wire(Flags::ACK, 5016, una).with_payload(b"later"));
    give(&mut hand, wire(Flags::ACK, 5006, una).with_payload(b"0123456789"));
    give(&mut hand, wire(Flags::ACK | Flags::FIN, 5021, una));
    let mut buffer = [0; 64];
    let mut text = Vec::new();
    while let Ok(Read::Data(octets)) = hand.shard.read(hand.now, conn, &mut buffer) {
        text.extend(&buffer[..octets]);
    }
    give(&mut hand, wire(Flags::RST, 5022, 0));
    let closed = ShardEvent::Closed { conn, reason: CloseReason::Reset };
    assert!(hand.events.contains(&closed), "{:?}", hand.events);
    (answers, text, hand.events)
}

// proves MUST-5, 8684-2, PR-1, PR-4, 6994-1, 2018-1
#[test]
fn options_on_any_segment_change_nothing() {
    let plain = conversation(&[]);
    assert_eq!(plain.1, b"first0123456789later");
    let mut areas = vec![
        vec![1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0],
        vec![1, 1, 1, 1],
        vec![200, 10, 1, 2, 3, 4, 5, 6, 7, 8],
        vec![2, 4, 0, 88, 3, 3, 14, 4, 2],
        vec![253, 4, 0xF9, 0x89, 254, 2],
    ];
    // All subtypes of kind 30.
    areas.extend((0..16).map(|subtype| vec![30, 8, subtype << 4, 0, 1, 2, 3, 4]));
    for area in areas {
        let found = conversation(&area);
        assert_eq!((&found.1, &found.2), (&plain.1, &plain.2), "{area:?}");
        for (found, plain) in found.0.iter().flatten().zip(plain.0.iter().flatten()) {
            assert_eq!(found.header, plain.header, "{area:?}");
            assert_eq!(found.options, plain.options, "{area:?}");
        }
        assert_eq!(found.0.len(), plain.0.len());
    }
}
