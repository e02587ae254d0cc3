//! Connections whose flows share a place among the recent ones.

use crate::hand::{Hand, Wire, wire};
use core::net::Ipv4Addr;
use usertcp_base::{ConnId, Limits, ListenerId, Seq};
use usertcp_cc::Reno;
use usertcp_stack::{Listen, Profile, Read};
use usertcp_wire::tcp::{Flags, Options, Timestamps};

/// The same ports, and the same end of the address.
const PEERS: [Ipv4Addr; 3] =
    [Ipv4Addr::new(10, 0, 0, 9), Ipv4Addr::new(10, 1, 0, 9), Ipv4Addr::new(10, 2, 0, 9)];

struct Peer {
    source: Ipv4Addr,
    conn: ConnId,
    /// Where its next octet stands, and the end of what we sent it.
    next: Seq,
    end: Seq,
    clock: u32,
}

fn stamps(value: u32, echo: u32) -> Options {
    Options { timestamps: Some(Timestamps { value, echo }), ..Options::default() }
}

impl Peer {
    fn open(hand: &mut Hand, listener: ListenerId, source: Ipv4Addr, isn: u32) -> Peer {
        let offered = Options { mss: Some(1400), sack_permitted: true, ..stamps(100, 0) };
        let syn = wire(Flags::SYN, isn, 0).with_options(offered).by(source, 1000);
        let answer: Wire = hand.give(&syn).remove(0);
        assert_eq!(answer.destination, source);
        let (end, clock) = (answer.header.seq + 1, answer.options.timestamps.unwrap().value);
        let next = Seq(isn + 1);
        let ack = wire(Flags::ACK, next.0, end.0).with_options(stamps(101, clock));
        assert_eq!(hand.give(&ack.by(source, 1000)).len(), 0);
        let conn = hand.shard.accept(listener).unwrap();
        Peer { source, conn, next, end, clock }
    }

    /// It says something of the usual shape, which its connection alone must read.
    fn say(&mut self, hand: &mut Hand, octet: u8) {
        let data = [octet; 90];
        let segment = wire(Flags::ACK | Flags::PSH, self.next.0, self.end.0)
            .with_options(stamps(102, self.clock))
            .with_payload(&data)
            .by(self.source, 1000);
        for answer in hand.give(&segment) {
            assert_eq!(answer.destination, self.source);
        }
        self.next += 90;
        let mut read = [0; 200];
        assert_eq!(hand.shard.read(hand.now, self.conn, &mut read), Ok(Read::Data(90)));
        assert_eq!(read[..90], data);
        assert_eq!(hand.shard.read(hand.now, self.conn, &mut read), Ok(Read::Nothing));
    }
}

#[test]
fn flows_of_one_place_are_not_taken_for_each_other() {
    let mut hand = Hand::new(Limits::default());
    let profile = Profile::<Reno>::default();
    let listen = Listen { local: None, port: Some(80), backlog: 8, profile };
    let listener = hand.shard.listen(&listen).unwrap();
    let open = |hand: &mut Hand, source, isn| Peer::open(hand, listener, source, isn);
    let mut peers = PEERS.map(|source| open(&mut hand, source, 5000));
    for round in 0..10 {
        for (peer, octet) in peers.iter_mut().zip(round * 3..) {
            peer.say(&mut hand, octet);
            peer.say(&mut hand, octet + 100);
        }
    }
    // One goes, and what was noted of it is nobody's: not while it is kept for its application, nor when
    // another has its record, nor when it comes again.
    let [first, gone, last] = &mut peers;
    let reset = wire(Flags::RST, gone.next.0, 0).with_options(stamps(103, gone.clock));
    assert_eq!(hand.give(&reset.by(gone.source, 1000)).len(), 0);
    let late = wire(Flags::ACK, gone.next.0, gone.end.0).with_options(stamps(104, gone.clock));
    let late = late.with_payload(&[9; 90]).by(gone.source, 1000);
    let answer = hand.give(&late).remove(0);
    assert!(answer.header.flags.contains(Flags::RST), "nobody is there: {answer:?}");
    hand.shard.abort(hand.now, gone.conn);
    let mut other = open(&mut hand, Ipv4Addr::new(10, 3, 0, 9), 9000);
    assert_eq!(other.conn.slot, gone.conn.slot, "the record is used again");
    assert!(hand.give(&late).remove(0).header.flags.contains(Flags::RST));
    let mut again = open(&mut hand, gone.source, 700_000);
    for (octet, peer) in [first, &mut again, last, &mut other].into_iter().enumerate() {
        peer.say(&mut hand, octet as u8);
        peer.say(&mut hand, octet as u8 + 50);
    }
}
