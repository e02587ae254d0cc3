//! Segments that are decided on as one and cut here: how their packets lie in memory.

use crate::hand::{Hand, Wire, wire};
use usertcp_base::{ConnId, Limits, Seq, Span};
use usertcp_cc::Reno;
use usertcp_frame::Packet;
use usertcp_stack::{Listen, Profile};
use usertcp_tcp::MtuProbing;
use usertcp_wire::tcp::{Flags, Options, Timestamps};

const MSS: usize = 1388;

/// A connection whose peer takes timestamps; where our data begins, and our clock.
fn open(hand: &mut Hand) -> (ConnId, Seq, u32) {
    let mut profile = Profile::<Reno>::default();
    // A first flight that vanishes as a whole would be taken for too large.
    profile.settings.mtu_probing = MtuProbing::Off;
    profile.settings.no_delay = true;
    let listen = Listen { local: None, port: Some(80), backlog: 1, profile };
    let listener = hand.shard.listen(&listen).unwrap();
    let stamps = |value, echo| Options {
        timestamps: Some(Timestamps { value, echo }),
        ..Options::default()
    };
    let offered = Options { mss: Some(1400), sack_permitted: true, ..stamps(100, 0) };
    let answer = hand.give(&wire(Flags::SYN, 5000, 0).with_options(offered)).remove(0);
    let (start, clock) = (answer.header.seq + 1, answer.options.timestamps.unwrap().value);
    let ack = wire(Flags::ACK, 5001, start.0).with_options(stamps(101, clock));
    assert_eq!(hand.give(&ack).len(), 0);
    (hand.shard.accept(listener).unwrap(), start, clock)
}

fn octets(packets: &[Packet]) -> Vec<Vec<u8>> {
    packets.iter().map(|packet| packet.octets.to_vec()).collect()
}

/// Checks packets of full segments from `seq` on against what was written.
fn check(packets: &[Packet], start: Seq, from: Seq, written: &[u8]) {
    let mut at = from;
    for packet in packets {
        let Wire { header, payload, .. } = Wire::parse(packet);
        let offset = at.since(start) as usize;
        assert_eq!((header.seq, &payload[..]), (at, &written[offset..offset + payload.len()]));
        at += payload.len() as u32;
    }
}

/// A packet in the device's hands stays as it is, whatever is sent meanwhile, and its frame takes headers
/// again when it has left.
#[test]
fn a_packet_is_one_slice_until_it_is_sent_again_while_it_is_on_its_way() {
    let mut hand = Hand::new(Limits::default());
    let (conn, start, clock) = open(&mut hand);
    let written: Vec<u8> = (0..5 * MSS).map(|at| (at * 7 / 3) as u8).collect();
    assert_eq!(hand.shard.write(hand.now, conn, &written), Ok(written.len()));
    let copied = hand.shard.pool().stats().octets_copied;
    let first = hand.packets();
    assert_eq!(first.len(), 5);
    assert!(first.iter().all(|packet| packet.octets.slice_count() == 1));
    check(&first, start, start, &written);
    let before = octets(&first);

    // The first is lost: all that was sent is sent again, one by one, while the device holds the packets.
    let end = hand.now + Span::from_secs(2);
    let late = hand.run_until(end);
    let again: Vec<_> = late.iter().filter(|(_, wire)| wire.header.seq == start).collect();
    assert!(!again.is_empty() && again.iter().all(|(_, wire)| wire.payload == written[..MSS]));
    assert_eq!(octets(&first), before, "what the device holds is as it was");

    // The peer has the first two, and the device has let go: the rest may be cut again.
    drop(first);
    let options =
        Options { timestamps: Some(Timestamps { value: 3000, echo: clock }), ..Options::default() };
    let acked = start + 2 * MSS as u32;
    let resent = hand.give(&wire(Flags::ACK, 5001, acked.0).with_options(options));
    for Wire { header, payload, .. } in &resent {
        let offset = header.seq.since(start) as usize;
        assert_eq!(payload[..], written[offset..offset + payload.len()]);
    }
    assert!(
        hand.shard.pool().stats().octets_copied - copied < 2 * MSS as u64,
        "nothing was copied"
    );
}

/// A short message leaves in the frame into which it was written, and is copied only while the device still holds that.
#[test]
fn a_short_message_is_sent_where_it_lies() {
    let mut hand = Hand::new(Limits::default());
    let (conn, start, clock) = open(&mut hand);
    let written: [u8; 100] = core::array::from_fn(|at| (at * 7 / 3) as u8);
    let copied = hand.shard.counters().octets_copied;
    assert_eq!(hand.shard.write(hand.now, conn, &written), Ok(written.len()));
    let first = hand.packets();
    assert_eq!((first.len(), first[0].octets.slice_count()), (1, 1));
    check(&first, start, start, &written);
    assert_eq!(hand.shard.counters().octets_copied, copied, "no copy");
    let before = octets(&first);

    // The next one is not the first in flight: its octets are copied behind its headers.
    assert_eq!(hand.shard.write(hand.now, conn, &written), Ok(written.len()));
    let next = hand.packets();
    assert_eq!((next.len(), next[0].octets.slice_count()), (1, 1));
    check(&next, start, start + 100, &[&written[..], &written[..]].concat());
    assert_eq!(hand.shard.counters().octets_copied - copied, 100);

    // They are lost, and sent again while the device holds them.
    let end = hand.now + Span::from_secs(2);
    let late = hand.run_until(end);
    let again: Vec<_> = late.iter().filter(|(_, wire)| wire.header.seq == start).collect();
    assert!(!again.is_empty() && again.iter().all(|(_, wire)| wire.payload[..100] == written));
    assert_eq!(octets(&first), before, "what the device holds is as it was");

    // What comes when all is acknowledged is the first in flight again.
    let options =
        Options { timestamps: Some(Timestamps { value: 3000, echo: clock }), ..Options::default() };
    let acked = start + 200;
    hand.give(&wire(Flags::ACK, 5001, acked.0).with_options(options));
    let copied = hand.shard.counters().octets_copied;
    assert_eq!(hand.shard.write(hand.now, conn, &written), Ok(written.len()));
    assert_eq!(hand.packets().len(), 1);
    assert_eq!(hand.shard.counters().octets_copied, copied, "no copy");
}

/// A frame that the application has lent takes no headers: it may be read elsewhere.
#[test]
fn what_is_lent_is_followed_by_nothing_and_preceded_by_nothing() {
    let mut hand = Hand::new(Limits::default());
    let (conn, start, _) = open(&mut hand);
    let written: Vec<u8> = (0..4 * MSS).map(|at| (at * 5 / 3) as u8).collect();
    let lent = hand.shard.pool().copy_of(&written, 200).unwrap();
    hand.shard.write_chain(hand.now, conn, lent.clone().into()).unwrap();
    let packets = hand.packets();
    assert_eq!(packets.len(), 4);
    assert!(packets.iter().all(|packet| packet.octets.slice_count() == 2));
    check(&packets, start, start, &written);
    assert_eq!(lent[..], written[..]);
}

/// Slices that are shorter and longer than segments, none of which may be written: segments that lie in one of them and such
/// that lie in several come out in order.
#[test]
fn segments_lie_in_what_is_lent_wherever_its_slices_end() {
    let mut hand = Hand::new(Limits::default());
    let (conn, start, _) = open(&mut hand);
    let written: Vec<u8> = (0..9 * MSS).map(|at| (at * 5 / 3) as u8).collect();
    let mut rest = &written[..];
    let mut lent = Vec::new();
    for octets in [2 * MSS + 10, 100, 60, 2 * MSS, MSS - 170, MSS, written.len()] {
        let (slice, behind) = rest.split_at(octets.min(rest.len()));
        lent.push(hand.shard.pool().copy_of(slice, 0).unwrap());
        rest = behind;
    }
    hand.shard.write_chain(hand.now, conn, lent.iter().cloned().collect()).unwrap();
    let packets = hand.packets();
    assert_eq!(packets.len(), 9);
    check(&packets, start, start, &written);
    let slices: Vec<_> = packets.iter().map(|packet| packet.octets.slice_count()).collect();
    assert_eq!(slices, [2, 2, 5, 2, 3, 2, 2, 2, 2]);
}
