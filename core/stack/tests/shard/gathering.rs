//! Packets that continue each other: whether they come in one burst or one by one is the same.

use crate::pair::{Pair, pattern, plain, read_all};
use usertcp_base::{ConnId, Counters, Limits, Span};
use usertcp_device::{Packet, Queue, RxBatch, TxBatch};
use usertcp_frame::Chain;

/// Octets of a segment.
const MSS: usize = 1448;
/// Packets of a burst, all of full length.
const PACKETS: usize = 9;

/// A pair that has a wide window, the two ends of a connection, and a burst of packets on its way.
fn burst(by_v6: bool) -> (Pair, ConnId, ConnId, Vec<Packet>) {
    let mut pair =
        if by_v6 { Pair::v6(plain()) } else { Pair::with(plain(), Limits::default(), 512) };
    let listener = pair.listen(1);
    let (client, server) = pair.open(listener);
    let first = pattern(400_000);
    assert_eq!(pair.send(client, server, &first), first);
    pair.run(Span::from_millis(100));
    let mss = pair.client.shard.info(pair.now, client).unwrap().figures.unwrap().send_mss_octets;
    let octets = pattern(PACKETS * mss as usize);
    assert_eq!(pair.client.shard.write(pair.now, client, &octets), Ok(octets.len()));
    pair.client.shard.flush(pair.now, &mut pair.client.queue);
    let mut batch = RxBatch::new(64);
    assert_eq!(pair.server.queue.receive(pair.server.shard.pool(), &mut batch), PACKETS);
    let packets = core::iter::from_fn(|| batch.pop()).collect();
    (pair, client, server, packets)
}

/// What the server made of it.
#[derive(PartialEq, Debug)]
struct Outcome {
    read: Vec<u8>,
    counters: Counters,
}

/// Gives the server the packets of a burst, one of them as `change` makes it, in bursts of `together`.
fn outcome(by_v6: bool, together: usize, which: usize, change: impl Fn(&mut [u8])) -> Outcome {
    let (mut pair, _, server, mut packets) = burst(by_v6);
    let mut changed = packets[which].octets.to_vec();
    change(&mut changed);
    let slice = pair.client.shard.pool().copy_of(&changed, 0).unwrap();
    packets[which].octets = Chain::from(slice);
    let before = pair.server.shard.counters().packets_in;
    let mut packets = packets.into_iter().peekable();
    while packets.peek().is_some() {
        let mut batch = TxBatch::new(together);
        packets.by_ref().take(together).for_each(|packet| batch.push(packet).unwrap());
        pair.client.queue.transmit(&mut batch);
        let _ = pair.server.shard.receive(pair.now, &mut pair.server.queue);
    }
    let after = pair.server.shard.counters().clone();
    assert_eq!(after.packets_in - before, PACKETS as u64);
    let read = read_all(&mut pair.server.shard, pair.now, server).unwrap();
    Outcome { read, counters: after }
}

#[test]
fn a_burst_is_what_its_packets_are() {
    for by_v6 in [false, true] {
        let unchanged = |together| outcome(by_v6, together, 0, |_| {});
        let one_by_one = unchanged(1);
        assert!(one_by_one.read.len() > (PACKETS - 1) * MSS);
        assert_eq!(one_by_one.read, pattern(one_by_one.read.len()));
        for together in [2, 5, PACKETS] {
            assert_eq!(unchanged(together), one_by_one);
        }
    }
}

/// Whatever octet is another than it was sent, the packet is not taken for the one expected: the first, one in
/// the middle, the last.
#[test]
fn a_packet_that_is_not_as_sent_is_found_in_a_burst_as_alone() {
    for by_v6 in [false, true] {
        let header_octets = if by_v6 { 72 } else { 52 };
        for which in [0, 1, 5, PACKETS - 1] {
            for at in (0..header_octets).chain([header_octets + 700, header_octets + 1399]) {
                let flip = |octets: &mut [u8]| octets[at] ^= 0x41;
                let together = outcome(by_v6, PACKETS, which, flip);
                let one_by_one = outcome(by_v6, 1, which, flip);
                assert_eq!(together, one_by_one, "{which} {at}");
            }
        }
    }
}

/// A burst whose packets lie in slices that end behind so many octets each.
fn outcome_of_slices(ends: &[usize]) -> Outcome {
    let (mut pair, _, server, packets) = burst(false);
    let pool = pair.client.shard.pool().clone();
    let mut batch = TxBatch::new(PACKETS);
    for packet in packets {
        let mut rest = packet.octets.clone();
        let mut octets = Chain::new();
        for end in ends {
            let front = rest.split_to(*end);
            octets.push_back(pool.copy_of(&front.to_vec(), 0).unwrap());
        }
        octets.push_back(pool.copy_of(&rest.to_vec(), 0).unwrap());
        assert_eq!(octets.slice_count(), ends.len() + 1);
        batch.push(Packet { octets, ..packet }).unwrap();
    }
    pair.client.queue.transmit(&mut batch);
    let _ = pair.server.shard.receive(pair.now, &mut pair.server.queue);
    let read = read_all(&mut pair.server.shard, pair.now, server).unwrap();
    Outcome { read, counters: pair.server.shard.counters().clone() }
}

#[test]
fn however_packets_lie_in_memory_they_continue_each_other() {
    let whole = outcome_of_slices(&[]);
    assert_eq!(whole, outcome(false, PACKETS, 0, |_| {}));
    for ends in [&[52][..], &[53], &[700], &[52, 1000], &[80, 1, 1]] {
        assert_eq!(outcome_of_slices(ends), whole, "{ends:?}");
    }
}
