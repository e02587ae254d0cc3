//! Rows about the opening of a connection.

use crate::forge::listening;
use crate::hand::{Hand, OURS, PEER, Wire, wire};
use crate::pair::{config, plain, to};
use core::net::{IpAddr, Ipv4Addr};
use usertcp_base::{Instant, Limits, Seq, Span};
use usertcp_cc::Reno;
use usertcp_ip::Cidr;
use usertcp_stack::{Listen, Profile, Read, Shard};
use usertcp_wire::tcp::{Flags, Options, Timestamps};

fn stamped(value: u32) -> Options {
    let timestamps = Some(Timestamps { value, echo: 0 });
    Options { mss: Some(1460), timestamps, ..Options::default() }
}

// proves E-5, H-8
#[test]
fn text_of_the_handshake_is_delivered_after_it_only() {
    let (mut hand, listener) = listening();
    let answer = hand.give(&wire(Flags::SYN, 5000, 0).with_payload(b"0123456789")).remove(0);
    assert_eq!(answer.header.flags, Flags::SYN | Flags::ACK);
    assert_eq!(answer.header.ack, Seq(5001), "kept is nothing, so nothing is acknowledged");
    assert_eq!(hand.shard.accept(listener), None);
    assert_eq!(hand.shard.usage().tcbs, 0);
    let una = answer.header.seq.0.wrapping_add(1);
    hand.give(&wire(Flags::ACK | Flags::PSH, 5001, una).with_payload(b"0123456789"));
    let conn = hand.shard.accept(listener).expect("open");
    let mut buffer = [0; 32];
    assert_eq!(hand.shard.read(hand.now, conn, &mut buffer), Ok(Read::Data(10)));
    assert_eq!(&buffer[..10], b"0123456789");
}

// proves 7323-4, 7323-1
#[test]
fn scaling_that_one_side_offers_is_none() {
    let (mut hand, listener) = listening();
    let answer = hand.give(&wire(Flags::SYN, 5000, 0)).remove(0);
    assert_eq!(answer.options.scale, None);
    hand.give(&wire(Flags::ACK, 5001, answer.header.seq.0.wrapping_add(1)));
    let conn = hand.shard.accept(listener).unwrap();
    let scales = |hand: &Hand, conn| {
        hand.shard.info(hand.now, conn).unwrap().figures.map(|figures| figures.scales)
    };
    assert_eq!(scales(&hand, conn), Some((0, 0)));
    // The other way round: ours is offered, the peer's answer has none.
    let conn = hand.shard.connect(hand.now, &to(IpAddr::V4(PEER), 1000)).unwrap();
    let syn = hand.sent().remove(0);
    assert!(syn.options.scale.is_some_and(|shift| shift > 0));
    let answer = wire(Flags::SYN | Flags::ACK, 7000, syn.header.seq.0.wrapping_add(1));
    hand.give(&answer.towards(syn.header.source_port));
    assert_eq!(scales(&hand, conn), Some((0, 0)));
}

// proves 7323-16, AT-24, MUST-9
#[test]
fn clocks_and_numbers_of_flows_at_one_instant_are_unrelated() {
    let (mut hand, _) = listening();
    let (mut clocks, mut numbers) = ([0; 16], [0; 16]);
    for number in 0..480_u16 {
        let source = Ipv4Addr::new(172, 16, (number >> 8) as u8, number as u8);
        let syn = wire(Flags::SYN, 5000, 0).by(source, 1024).with_options(stamped(1));
        let answer = hand.give(&syn).remove(0);
        let value = answer.options.timestamps.unwrap().value;
        clocks[(value >> 28) as usize] += 1;
        numbers[(answer.header.seq.0 >> 28) as usize] += 1;
    }
    // Thirty in each of sixteen parts of the circle; a shared clock would fill one.
    assert!(clocks.iter().all(|count| (10..60).contains(count)), "{clocks:?}");
    assert!(numbers.iter().all(|count| (10..60).contains(count)), "{numbers:?}");
}

// proves 7323-16, 7323-15, MUST-8
#[test]
fn the_clock_and_the_number_of_one_flow_go_on() {
    let (mut hand, _) = listening();
    let syn = wire(Flags::SYN, 5000, 0).with_options(stamped(1));
    let first = hand.give(&syn).remove(0);
    hand.give(&wire(Flags::RST, 5001, 0));
    assert_eq!(hand.shard.usage().anchors, 0, "the half-open record is gone");
    hand.run_until(hand.now + Span::from_secs(10));
    let second = hand.give(&syn).remove(0);
    let value = |answer: &Wire| answer.options.timestamps.unwrap().value;
    let ticks = value(&second).wrapping_sub(value(&first));
    assert!(ticks.abs_diff(10_000) <= 1, "{ticks}");
    let grown = second.header.seq.since(first.header.seq);
    assert!(grown.abs_diff(2_500_000) <= 25_000, "{grown}");
}

// proves H-7, MUST-45
#[test]
fn everything_leaves_from_the_address_the_peer_used() {
    let second = Ipv4Addr::new(10, 0, 0, 3);
    let mut hand = Hand::new(Limits::default());
    let mut config = config(1, plain(), Limits::default());
    config.addresses.push(Cidr::new(IpAddr::V4(second), 24).unwrap());
    hand.shard = Shard::new(config, (), Instant::ZERO).unwrap();
    let profile = Profile::<Reno>::default();
    let listen = Listen { local: None, port: Some(80), backlog: 8, profile };
    let listener = hand.shard.listen(&listen).unwrap();
    for (address, port) in [(second, 2000), (OURS, 2001), (second, 2002)] {
        let from_peer = |flags, seq, ack| {
            let mut segment = wire(flags, seq, ack).by(PEER, port);
            segment.destination = address;
            segment
        };
        let answer = hand.give(&from_peer(Flags::SYN, 5000, 0)).remove(0);
        let mut una = answer.header.seq.0.wrapping_add(1);
        let mut all = vec![answer];
        all.extend(hand.give(&from_peer(Flags::ACK, 5001, una)));
        let conn = hand.shard.accept(listener).unwrap();
        hand.shard.write(hand.now, conn, &[7; 3000]).unwrap();
        all.extend(hand.sent());
        una = una.wrapping_add(3000);
        all.extend(hand.give(&from_peer(Flags::ACK, 5001, una).with_payload(b"data")));
        all.extend(hand.run_until(hand.now + Span::from_secs(1)).into_iter().map(|sent| sent.1));
        hand.shard.abort(hand.now, conn);
        all.extend(hand.sent());
        assert!(all.len() >= 5, "{}", all.len());
        assert!(all.iter().all(|sent| (sent.source, sent.destination) == (address, PEER)));
    }
}

// proves 7323-7, H-3
#[test]
fn resets_for_strangers_have_no_options() {
    let mut hand = Hand::new(Limits::default());
    for flags in [Flags::SYN, Flags::ACK, Flags::ACK | Flags::FIN] {
        let answer = hand.give(&wire(flags, 5000, 77).with_options(stamped(9))).remove(0);
        assert!(answer.header.flags.contains(Flags::RST));
        assert_eq!(answer.options, Options::default());
        assert!(answer.payload.is_empty());
    }
}
