//! Protected connections between two shards: TCP-AO and MD5.

use crate::hand::{Hand, PEER, wire};
use crate::pair::{Pair, assert_empty, pattern, plain};
use core::net::IpAddr;
use usertcp_base::{DropReason, Limits, Span};
use usertcp_device::{DeviceFacts, Medium, RxBatch};
use usertcp_frame::{Chain, Packet};
use usertcp_stack::{
    AuthAlgorithm, AuthInfo, AuthKey, KeyError, KeyKind, MasterKey, Scope, ShardEvent,
};
use usertcp_wire::tcp::{Flags, Options};

fn master(secret: &str) -> MasterKey {
    MasterKey::new(secret.as_bytes()).unwrap()
}

fn ao(peer: IpAddr, send_id: u8, receive_id: u8, secret: &str) -> AuthKey {
    let kind = KeyKind::Ao {
        send_id,
        receive_id,
        algorithm: AuthAlgorithm::AesCmac,
        cover_options: true,
        master: master(secret),
    };
    AuthKey { scope: Scope::host(peer), kind }
}

fn md5(peer: IpAddr, secret: &str) -> AuthKey {
    AuthKey { scope: Scope::host(peer), kind: KeyKind::Md5(master(secret)) }
}

/// A device that cuts super-segments, as TUN does.
fn cutting() -> DeviceFacts {
    DeviceFacts::offloading(Medium::Ip, 1500)
}

enum Kind {
    Ao,
    Md5,
}

fn protected(mut pair: Pair, kind: &Kind, near: &str, far: &str) -> Pair {
    let (client, server) = (pair.client.address, pair.server.address);
    let (one, two) = match kind {
        Kind::Ao => (ao(server, 7, 8, near), ao(client, 8, 7, far)),
        Kind::Md5 => (md5(server, near), md5(client, far)),
    };
    pair.client.shard.add_auth_key(one).unwrap();
    pair.server.shard.add_auth_key(two).unwrap();
    pair
}

// proves 5925-1, 2385-1: over both families, with and without a device that cuts
#[test]
fn protected_connections_carry_their_streams() {
    for kind in [Kind::Ao, Kind::Md5] {
        for make in [|| Pair::new(), || Pair::v6(plain()), || Pair::v6(cutting())] {
            let mut pair = protected(make(), &kind, "secret", "secret");
            let listener = pair.listen(4);
            let (client, server) = pair.open(listener);
            let expected = match kind {
                Kind::Ao => AuthInfo::Ao { send_id: 7, next_receive_id: 8 },
                Kind::Md5 => AuthInfo::Md5,
            };
            assert_eq!(pair.client.shard.auth_info(client), Some(expected));
            let data = pattern(300_000);
            assert_eq!(pair.send(client, server, &data), data);
            assert_eq!(pair.client.resent(pair.now, client), 0);
            let _ = pair.client.shard.close(pair.now, client);
            pair.settle();
            let _ = pair.server.shard.close(pair.now, server);
            pair.run(Span::from_secs(130));
            assert_empty(&pair.client.shard);
            assert_empty(&pair.server.shard);
        }
    }
}

// proves 5925-4, 2385-1
#[test]
fn with_another_key_or_none_nothing_opens() {
    for kind in [Kind::Ao, Kind::Md5] {
        let mut pair = protected(Pair::new(), &kind, "secret", "other");
        let _ = pair.listen(4);
        let client = pair.connect();
        pair.run(Span::from_secs(10));
        assert_eq!(pair.server.shard.usage().anchors, 0);
        assert!(pair.server.shard.counters().dropped(DropReason::AuthMismatch) >= 3);
        assert_eq!(pair.server.packets_sent, 0, "silently");
        pair.client.shard.abort(pair.now, client);
    }
    let mut pair = Pair::new();
    let peer = pair.client.address;
    pair.server.shard.add_auth_key(ao(peer, 8, 7, "secret")).unwrap();
    let _ = pair.listen(4);
    let _ = pair.connect();
    pair.run(Span::from_secs(10));
    assert!(pair.server.shard.counters().dropped(DropReason::AuthMissing) >= 3);
    assert_eq!(pair.server.packets_sent, 0);
}

// proves 5925-4: a reset with perfect numbers, without a code
#[test]
fn a_forged_reset_changes_nothing() {
    let mut pair = protected(Pair::new(), &Kind::Ao, "secret", "secret");
    let listener = pair.listen(4);
    let (client, server) = pair.open(listener);
    let data = pattern(10);
    assert_eq!(pair.send(client, server, &data), data);
    let before = pair.server.shard.counters().dropped(DropReason::AuthMissing);
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (pair.client.address, pair.server.address)
    else {
        panic!("IPv4")
    };
    let port = pair.server.shard.info(pair.now, server).unwrap().remote.port();
    for seq in 0..50 {
        let mut forged = wire(Flags::RST, seq << 26, 0).by(source, port);
        forged.destination = destination;
        let octets = pair.server.shard.pool().copy_of(&forged.octets(), 0).unwrap();
        let mut batch = RxBatch::new(1);
        batch.push(Packet::plain(Chain::from(octets))).unwrap();
        pair.server.shard.handle_frames(pair.now, &mut batch);
    }
    let after = pair.server.shard.counters().dropped(DropReason::AuthMissing);
    assert_eq!(after - before, 50);
    assert_eq!(pair.send(client, server, &data), data);
}

// proves 5925-5
#[test]
fn keys_roll_in_the_middle_of_a_transfer() {
    let mut pair = protected(Pair::new(), &Kind::Ao, "secret", "secret");
    let (near, far) = (pair.client.address, pair.server.address);
    let listener = pair.listen(4);
    let (client, server) = pair.open(listener);
    let data = pattern(100_000);
    assert_eq!(pair.send(client, server, &data), data);
    pair.client.shard.add_auth_key(ao(far, 17, 18, "next")).unwrap();
    pair.server.shard.add_auth_key(ao(near, 18, 17, "next")).unwrap();
    pair.server.shard.ask_for_auth_key(server, 17).unwrap();
    assert_eq!(pair.send(client, server, &data), data);
    let info = pair.client.shard.auth_info(client);
    assert_eq!(info, Some(AuthInfo::Ao { send_id: 17, next_receive_id: 8 }));
    assert_eq!(pair.send(client, server, &data), data);
    assert_eq!(pair.server.shard.ask_for_auth_key(server, 99), Err(KeyError::Unknown));
    assert_eq!(pair.client.resent(pair.now, client), 0);
}

// proves 5925-6: half-open records are full, and still no cookie
#[test]
fn a_protected_peer_gets_no_cookie() {
    let limits = Limits { embryos_per_listener: 0, ..Limits::default() };
    let mut pair = protected(Pair::with(plain(), limits, 64), &Kind::Ao, "secret", "secret");
    let _ = pair.listen(4);
    let _ = pair.connect();
    pair.settle();
    assert_eq!(pair.server.shard.counters().cookies_out, 0);
    assert_eq!(pair.server.packets_sent, 0);
    assert!(pair.server.shard.counters().dropped(DropReason::EmbryoLimit) > 0);
}

// proves 5925-6: an error that ends an ordinary attempt
#[test]
fn what_is_not_signed_ends_no_attempt() {
    let mut hand = Hand::new(Limits::default());
    hand.shard.add_auth_key(ao(IpAddr::V4(PEER), 7, 8, "secret")).unwrap();
    let conn = hand.shard.connect(hand.now, &crate::pair::to(IpAddr::V4(PEER), 80)).unwrap();
    let syn = hand.sent().remove(0);
    assert!(syn.options.authentication.is_some());
    hand.give_octets(&crate::signals::unreachable(3, &syn));
    assert_eq!(hand.events, [ShardEvent::SoftError(conn)]);
    let mut reset = wire(Flags::RST | Flags::ACK, 0, syn.header.seq.0.wrapping_add(1));
    reset.header.source_port = 80;
    reset.header.destination_port = syn.header.source_port;
    hand.give(&reset.with_options(Options::default()));
    assert_eq!(hand.shard.counters().dropped(DropReason::AuthMissing), 1);
    assert_eq!(hand.events, [ShardEvent::SoftError(conn)], "still opening");
}

#[test]
fn strangers_with_a_key_are_not_answered_unsigned() {
    let mut hand = Hand::new(Limits::default());
    hand.shard.add_auth_key(ao(IpAddr::V4(PEER), 7, 8, "secret")).unwrap();
    for flags in [Flags::SYN, Flags::ACK, Flags::RST] {
        hand.give(&wire(flags, 5, 5));
    }
    assert!(hand.sent().is_empty());
    assert_eq!(hand.shard.counters().dropped(DropReason::AuthMissing), 3);
}
