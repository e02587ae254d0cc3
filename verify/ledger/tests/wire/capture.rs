//! Rows about what a capture of a whole transfer looks like.

use crate::forge::{kinds, listening, raw};
use crate::hand::{PEER, wire};
use std::collections::{BTreeMap, BTreeSet};
use usertcp_base::Span;
use usertcp_wire::tcp::{Flags, Options, Timestamps};

/// The field of four octets at `at`.
fn long(packet: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]])
}

fn short(packet: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([packet[at], packet[at + 1]])
}

fn payload(packet: &[u8]) -> usize {
    packet.len() - 20 - usize::from(packet[32] >> 4) * 4
}

/// All packets of a transfer of `octets` octets to a peer with timestamps, handshake included.
fn capture(octets: usize) -> Vec<Vec<u8>> {
    let (mut hand, listener) = listening();
    let mut clock = 100;
    let mut stamps = |echo| {
        clock += 1;
        let timestamps = Some(Timestamps { value: clock, echo });
        Options { timestamps, ..Options::default() }
    };
    let offered = Options { mss: Some(1460), scale: Some(7), ..stamps(0) };
    let answer = hand.give(&wire(Flags::SYN, 5000, 0).with_options(offered)).remove(0);
    let (iss, echo) = (answer.header.seq.0, answer.options.timestamps.unwrap().value);
    hand.now = hand.now + Span::from_millis(10);
    hand.give(&wire(Flags::ACK, 5001, iss.wrapping_add(1)).with_options(stamps(echo)));
    let conn = hand.shard.accept(listener).expect("open");
    let (mut written, mut una) = (0, iss.wrapping_add(1));
    let data = vec![3; 8192];
    let mut packets = Vec::new();
    while una != iss.wrapping_add(1).wrapping_add(octets as u32) {
        let most = data.len().min(octets - written);
        written += hand.shard.write(hand.now, conn, &data[..most]).unwrap();
        let mut newest = None;
        for packet in raw(&mut hand) {
            let end = long(&packet, 24).wrapping_add(payload(&packet) as u32);
            newest = Some((end, long(&packet, 44)));
            packets.push(packet);
        }
        if let Some((end, echo)) = newest {
            una = end;
            let ack = wire(Flags::ACK, 5001, una).with_options(stamps(echo));
            let octets = ack.octets();
            hand.now = hand.now + Span::from_millis(10);
            give_silently(&mut hand, &octets);
        } else {
            let next = hand.shard.next_deadline().expect("something is to come");
            hand.now = hand.now.max(next);
            assert!(hand.shard.handle_deadlines(hand.now, 1_000_000));
        }
    }
    hand.shard.close(hand.now, conn).unwrap();
    packets.extend(raw(&mut hand));
    packets
}

/// Hands a packet in without taking what leaves.
fn give_silently(hand: &mut crate::hand::Hand, octets: &[u8]) {
    use usertcp_device::RxBatch;
    use usertcp_frame::{Chain, FramePool, Packet, PoolConfig};
    let pool = FramePool::new(&PoolConfig::default());
    let mut batch = RxBatch::new(1);
    let slice = pool.copy_of(octets, 0).unwrap();
    assert!(batch.push(Packet::plain(Chain::from(slice))).is_ok());
    hand.shard.handle_frames(hand.now, &mut batch);
}

// proves RC-1, RC-2, RC-3, RC-4, RC-5, I-6, I-7, 7323-6, 8311-1, 9331-1, SHLD-28, PR-8
#[test]
fn the_headers_of_a_bulk_transfer_are_regular() {
    let packets = capture(4_000_000);
    assert!(packets.len() > 2700, "{}", packets.len());
    let distinct = |of: &dyn Fn(&[u8]) -> Vec<u8>| {
        packets.iter().map(|packet| of(packet)).collect::<BTreeSet<_>>()
    };
    // Version, header length, type of service (so no ECT), ID, DF, TTL, protocol, addresses, ports.
    let constant = distinct(&|packet| [&packet[..2], &packet[4..10], &packet[12..24]].concat());
    assert_eq!(constant.len(), 1, "{constant:?}");
    let first = constant.first().unwrap();
    assert_eq!(first[..8], [0x45, 0, 0, 0, 0x40, 0, 64, 6], "Not-ECT, ID 0, DF, TTL 64, TCP");
    assert_eq!(first[12..16], PEER.octets());
    // One layout of options, and the fields not in use are zero.
    assert_eq!(distinct(&kinds), [vec![1, 1, 8]].into());
    for packet in &packets {
        assert_eq!(packet[32] & 0x0F, 0, "reserved bits");
        assert_eq!(packet[33] & 0xE0, 0, "CWR, ECE, URG");
        assert_eq!(short(packet, 38), 0, "urgent pointer");
    }
    // Equal steps: full segments but for the last.
    let mut steps = BTreeMap::new();
    for pair in packets.windows(2) {
        *steps.entry(long(&pair[1], 24).wrapping_sub(long(&pair[0], 24))).or_insert(0) += 1;
    }
    assert!(steps[&1448] * 100 >= (packets.len() - 1) * 95, "{steps:?}");
    let windows: BTreeSet<u16> = packets.iter().map(|packet| short(packet, 34)).collect();
    assert!(windows.len() <= 2, "{windows:?}");
    for pair in packets.windows(2) {
        let step = long(&pair[1], 44).wrapping_sub(long(&pair[0], 44));
        assert!(step <= 100, "the clock of the timestamps jumps by {step}");
    }
}
