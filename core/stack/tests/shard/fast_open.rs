//! Fast Open: a shard and a peer made by hand (RFC 7413).

mod by_peers;
mod ours;

use crate::hand::{Hand, PEER, Wire, wire};
use usertcp_base::{Limits, ListenerId, SharedKey};
use usertcp_stack::{FastOpenListen, Listen, Profile, Read};
use usertcp_wire::tcp::{Cookie, Flags, Options};

fn listening(limits: Limits, setup: Option<FastOpenListen>) -> (Hand, ListenerId) {
    let mut hand = Hand::new(limits);
    let listen = Listen { local: None, port: Some(80), backlog: 500, profile: Profile::default() };
    let listener = hand.shard.listen(&listen).unwrap();
    hand.shard.set_fast_open(listener, setup);
    (hand, listener)
}

fn fast(pending: u32) -> Option<FastOpenListen> {
    Some(FastOpenListen { pending, without_cookie: false })
}

fn options(cookie: Option<Cookie>) -> Options {
    Options { mss: Some(1000), sack_permitted: true, fast_open: cookie, ..Options::default() }
}

/// A SYN from a port of the peer, number 5000.
fn syn(port: u16, cookie: Option<Cookie>, data: &[u8]) -> Wire {
    wire(Flags::SYN, 5000, 0).by(PEER, port).with_options(options(cookie)).with_payload(data)
}

/// The cookie that the shard gives the peer.
fn cookie_of(hand: &mut Hand) -> Cookie {
    let answer = hand.give(&syn(900, Some(Cookie::REQUEST), b"")).remove(0);
    let reset = wire(Flags::RST, 5001, 0).by(PEER, 900);
    assert_eq!(hand.give(&reset).len(), 0);
    answer.options.fast_open.expect("a cookie")
}

fn read(hand: &mut Hand, conn: usertcp_base::ConnId) -> Vec<u8> {
    let mut buffer = [0; 4000];
    match hand.shard.read(hand.now, conn, &mut buffer) {
        Ok(Read::Data(count)) => buffer[..count].to_vec(),
        other => panic!("{other:?}"),
    }
}

fn key(octet: u8) -> SharedKey {
    SharedKey::from_octets([octet; 16])
}
