//! Calls of the application: MUST-41 to MUST-46, stale handles, closing a listener.

use crate::pair::{Pair, address, assert_empty, pattern, plain, to};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use usertcp_base::observe::CloseReason;
use usertcp_base::{ConnId, Instant, Limits, Span};
use usertcp_cc::Reno;
use usertcp_ip::Cidr;
use usertcp_stack::{
    ConnError, Connect, ConnectError, Listen, ListenError, Profile, Shard, ShardConfig, ShardEvent,
    StartError,
};

fn listen(local: Option<IpAddr>, port: Option<u16>) -> Listen<Reno> {
    Listen { local, port, backlog: 5, profile: Profile::default() }
}

/// AT-19.
#[test]
fn no_entropy_no_shard() {
    let config = ShardConfig::new(vec![], [0; 32], plain());
    assert_eq!(
        Shard::<Reno, ()>::new(config, (), Instant::ZERO).err(),
        Some(StartError::NoEntropy)
    );
}

/// MUST-41.
#[test]
fn a_second_listen_is_an_error_and_disturbs_nothing() {
    let mut pair = Pair::new();
    let listener = pair.listen(5);
    let (client, server) = pair.open(listener);
    let shard = &mut pair.server.shard;
    assert_eq!(shard.listen(&listen(None, Some(80))), Err(ListenError::InUse));
    assert_eq!(shard.listen(&listen(Some(address(77)), Some(1))), Err(ListenError::NotOurs));
    assert_eq!(pair.send(client, server, b"still here"), b"still here");
}

#[test]
fn a_listener_may_leave_the_port_to_us_or_take_every_port() {
    let mut pair = Pair::new();
    let shard = &mut pair.server.shard;
    let free = shard.listen(&listen(None, Some(0))).unwrap();
    let port = shard.listener_info(free).unwrap().port.unwrap();
    assert_ne!(port, 0);
    let every = shard.listen(&listen(Some(address(2)), None)).unwrap();
    for (port, listener) in [(port, free), (7777, every)] {
        let to = to(pair.server.address, port);
        pair.client.shard.connect(pair.now, &to).unwrap();
        pair.settle();
        assert_eq!(pair.server.shard.listener_info(listener).unwrap().waiting, 1);
        let conn = pair.server.shard.accept(listener).unwrap();
        let info = pair.server.shard.info(pair.now, conn).unwrap();
        assert_eq!(info.local.port(), port, "the original destination");
    }
}

/// MUST-32, MUST-33.
#[test]
fn urgent_data_is_announced() {
    let mut pair = Pair::new();
    let listener = pair.listen(5);
    let (client, server) = pair.open(listener);
    pair.client.shard.write(pair.now, client, b"now!").unwrap();
    pair.client.shard.mark_urgent(pair.now, client).unwrap();
    pair.settle();
    assert_eq!(pair.server.count(|event| *event == ShardEvent::Urgent(server)), 1);
    assert_eq!(pair.server.shard.readable_octets(server), Ok((4, 4)));
    pair.server.shard.read(pair.now, server, &mut [0; 3]).unwrap();
    assert_eq!(pair.server.shard.readable_octets(server), Ok((1, 1)));
}

#[test]
fn a_token_stays_with_its_connection_while_the_application_holds_it() {
    let mut pair = Pair::new();
    let listener = pair.listen(5);
    let client = pair.connect();
    assert!(pair.client.shard.set_token(client, 7), "while it is being opened");
    pair.settle();
    let waits = pair.server.events.iter().find_map(|event| match event {
        ShardEvent::Accepted { conn, .. } => Some(*conn),
        _ => None,
    });
    let waits = waits.expect("a connection waits");
    assert!(!pair.server.shard.set_token(waits, 1), "nobody has accepted it");
    assert_eq!(pair.server.shard.token(waits), None);
    let server = pair.server.shard.accept(listener).unwrap();
    assert_eq!(pair.server.shard.token(server), Some(0));
    assert!(pair.server.shard.set_token(server, u32::MAX));
    assert_eq!(pair.send(client, server, b"hello"), b"hello");
    assert_eq!(pair.client.shard.token(client), Some(7));
    pair.client.shard.abort(pair.now, client);
    pair.settle();
    assert_eq!(pair.client.shard.token(client), None);
    assert!(!pair.client.shard.set_token(client, 8));
    // Over, but still held.
    assert_eq!(pair.server.shard.token(server), Some(u32::MAX));
    pair.server.shard.close(pair.now, server).unwrap();
    assert_eq!(pair.server.shard.token(server), None);
}

#[test]
fn connections_are_visited_one_after_the_other_while_they_go() {
    let mut pair = Pair::new();
    pair.listen(5);
    let opened: Vec<_> = (0..5).map(|_| pair.connect()).collect();
    pair.settle();
    let shard = &mut pair.client.shard;
    let (mut at, mut seen) = (shard.next_connection(None), Vec::new());
    while let Some(conn) = at {
        seen.push(conn);
        if seen.len() % 2 == 0 {
            shard.abort(pair.now, conn);
        }
        at = shard.next_connection(Some(conn));
    }
    assert_eq!(seen, opened);
    let left: Vec<_> = shard.connections().collect();
    assert_eq!(left, [opened[0], opened[2], opened[4]]);
    assert_eq!(shard.next_connection(Some(opened[0])), Some(opened[2]));
    assert_eq!(shard.next_connection(Some(opened[4])), None);
}

/// MUST-42.
#[test]
fn listening_is_possible_beside_an_active_open() {
    let mut pair = Pair::new();
    let from = Connect { local_port: Some(5555), ..to(pair.server.address, 9) };
    pair.client.shard.connect(pair.now, &from).unwrap();
    let own = pair.client.shard.listen(&listen(None, Some(5555))).unwrap();
    let back = to(pair.client.address, 5555);
    pair.server.shard.connect(pair.now, &back).unwrap();
    pair.settle();
    assert!(pair.client.shard.accept(own).is_some());
}

/// MUST-43, MUST-44.
#[test]
fn the_local_address_is_the_one_asked_for_or_the_networks_choice() {
    let cidr = |host, octets| Cidr::new(IpAddr::V4(Ipv4Addr::new(10, host, 0, 1)), octets).unwrap();
    let config = ShardConfig::new(vec![cidr(1, 16), cidr(2, 16)], [1; 32], plain());
    let mut shard = Shard::<Reno, ()>::new(config, (), Instant::ZERO).unwrap();
    let remote = IpAddr::V4(Ipv4Addr::new(10, 2, 3, 4));
    let chosen = shard.connect(Instant::ZERO, &to(remote, 80)).unwrap();
    let info = shard.info(Instant::ZERO, chosen).unwrap();
    assert_eq!(info.local.ip(), IpAddr::V4(Ipv4Addr::new(10, 2, 0, 1)));
    let asked = IpAddr::V4(Ipv4Addr::new(10, 1, 0, 1));
    let from = Connect { local: Some(asked), ..to(remote, 80) };
    let conn = shard.connect(Instant::ZERO, &from).unwrap();
    assert_eq!(shard.info(Instant::ZERO, conn).unwrap().local.ip(), asked);
    let foreign = Connect { local: Some(remote), ..to(remote, 80) };
    assert_eq!(shard.connect(Instant::ZERO, &foreign), Err(ConnectError::Local));
    let v6 = to(IpAddr::V6("2001:db8::1".parse().unwrap()), 80);
    assert_eq!(shard.connect(Instant::ZERO, &v6), Err(ConnectError::Local));
    // Whatever was asked for last.
    let (near, broadcast) = (Ipv4Addr::new(10, 1, 3, 4), Ipv4Addr::new(10, 1, 255, 255));
    let ours = |host| Ok(IpAddr::V4(Ipv4Addr::new(10, host, 0, 1)));
    for (to, expected) in [
        (to(remote, 80), ours(2)),
        (Connect { local: Some(asked), ..to(remote, 80) }, ours(1)),
        (to(remote, 80), ours(2)),
        (to(remote, 80), ours(2)),
        (to(near.into(), 80), ours(1)),
        (to(broadcast.into(), 80), Err(ConnectError::Remote)),
        (to(near.into(), 0), Err(ConnectError::Remote)),
        (Connect { local: Some(remote), ..to(near.into(), 80) }, Err(ConnectError::Local)),
        (to(near.into(), 80), ours(1)),
    ] {
        let conn = shard.connect(Instant::ZERO, &to);
        assert_eq!(conn.map(|conn| shard.info(Instant::ZERO, conn).unwrap().local.ip()), expected);
    }
}

/// MUST-46.
#[test]
fn nobody_can_be_at_these_addresses() {
    let mut pair = Pair::new();
    let v4 = |a, b, c, d| IpAddr::V4(Ipv4Addr::new(a, b, c, d));
    let impossible = [
        v4(255, 255, 255, 255),
        v4(224, 0, 0, 1),
        v4(0, 0, 0, 0),
        v4(10, 0, 0, 255),
        IpAddr::V6("ff02::1".parse().unwrap()),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    ];
    for remote in impossible {
        let outcome = pair.client.shard.connect(pair.now, &to(remote, 80));
        assert_eq!(outcome, Err(ConnectError::Remote), "{remote}");
    }
    let portless = to(pair.server.address, 0);
    assert_eq!(pair.client.shard.connect(pair.now, &portless), Err(ConnectError::Remote));
    pair.settle();
    assert_eq!(pair.client.packets_sent, 0);
}

#[test]
fn a_four_tuple_is_used_once() {
    let mut pair = Pair::new();
    pair.listen(5);
    let from = Connect { local_port: Some(4000), ..to(pair.server.address, 80) };
    pair.client.shard.connect(pair.now, &from).unwrap();
    assert_eq!(pair.client.shard.connect(pair.now, &from), Err(ConnectError::InUse));
    let other = Connect { local_port: Some(4000), ..to(pair.server.address, 81) };
    assert!(pair.client.shard.connect(pair.now, &other).is_ok());
}

#[test]
fn a_stale_handle_is_an_error_and_not_another_connection() {
    let mut pair = Pair::new();
    let listener = pair.listen(5);
    let (first, _) = pair.open(listener);
    pair.client.shard.abort(pair.now, first);
    pair.settle();
    let (second, _) = pair.open(listener);
    assert_eq!(second.slot, first.slot);
    let (shard, now) = (&mut pair.client.shard, pair.now);
    assert_eq!(shard.write(now, first, b"x"), Err(ConnError::Stale));
    assert_eq!(shard.read(now, first, &mut [0; 4]), Err(ConnError::Stale));
    assert_eq!(shard.close(now, first), Err(ConnError::Stale));
    assert!(shard.info(now, first).is_err());
    shard.abort(now, ConnId { slot: 77, generation: 3 });
    assert!(shard.info(now, second).is_ok());
}

#[test]
fn closing_a_listener_resets_what_waits_and_keeps_what_was_accepted() {
    let mut pair = Pair::new();
    let listener = pair.listen(5);
    let (kept, server) = pair.open(listener);
    let waiting = pair.connect();
    pair.settle();
    pair.server.shard.close_listener(pair.now, listener);
    pair.settle();
    assert!(pair.client.saw(ShardEvent::Closed { conn: waiting, reason: CloseReason::Reset }));
    assert_eq!(pair.send(kept, server, b"on"), b"on");
    let late = pair.connect();
    pair.settle();
    assert!(pair.client.saw(ShardEvent::Closed { conn: late, reason: CloseReason::Refused }));
}

#[test]
fn closing_while_opening_leaves_nothing() {
    let mut pair = Pair::new();
    let client = pair.connect();
    pair.client.shard.close(pair.now, client).unwrap();
    pair.run(Span::from_secs(1));
    assert_empty(&pair.client.shard);
}

#[test]
fn options_are_inherited_and_changed() {
    let mut pair = Pair::new();
    let mut profile = Profile::<Reno>::default();
    profile.settings.hop_limit = 7;
    let at = Listen { local: None, port: Some(80), backlog: 5, profile };
    let listener = pair.server.shard.listen(&at).unwrap();
    let (_, server) = pair.open(listener);
    let shard = &mut pair.server.shard;
    assert_eq!(shard.settings(server).unwrap().hop_limit, 7);
    shard.set_option(pair.now, server, |settings| settings.no_delay = true).unwrap();
    let settings = shard.settings(server).unwrap();
    assert!(settings.no_delay && settings.hop_limit == 7);
}

#[test]
fn writable_comes_once_there_is_room_and_only_when_it_was_missed() {
    let limits = Limits {
        send_buffer_octets: 20_000,
        send_buffer_start_octets: 20_000,
        ..Limits::default()
    };
    let mut pair = Pair::with(plain(), limits, 4096);
    let listener = pair.listen(5);
    let (client, server) = pair.open(listener);
    pair.run(Span::from_millis(1));
    let writable = |pair: &Pair| pair.client.count(|e| *e == ShardEvent::Writable(client));
    assert_eq!(writable(&pair), 0);
    let data = pattern(50_000);
    let taken = pair.client.shard.write(pair.now, client, &data).unwrap();
    assert!(taken < data.len());
    pair.run(Span::from_millis(100));
    assert_eq!(writable(&pair), 1);
    assert_eq!(pair.server.count(|e| *e == ShardEvent::Accepted { listener, conn: server }), 1);
    pair.run(Span::from_secs(10));
    assert_eq!(writable(&pair), 1);
}

/// What arrived whole comes with its event and nothing else does, in turn; the rest is left to the other calls, and each
/// notice is told once.
#[test]
fn a_message_comes_with_its_event() {
    let mut pair = Pair::new();
    let listener = pair.listen(5);
    let (one, first) = pair.open(listener);
    let (other, second) = pair.open(listener);
    pair.settle();
    let now = pair.now;
    assert!(pair.server.shard.poll_message(now).is_none());
    pair.client.shard.write(now, one, b"question").unwrap();
    pair.client.shard.write(now, other, b"another").unwrap();
    let _ = pair.client.shard.flush(now, &mut pair.client.queue);
    let _ = pair.server.shard.receive(now, &mut pair.server.queue);
    let shard = &mut pair.server.shard;
    let message = shard.poll_message(now).unwrap();
    assert!(!message.last);
    assert_eq!((message.stream.id(), &message.octets[..]), (first, &b"question"[..]));
    assert_eq!(shard.poll_event(), Some(ShardEvent::Readable(second)), "as before");
    assert!(shard.poll_message(now).is_none(), "it was told");
    assert_eq!(shard.poll_event(), None);
    assert_eq!(shard.readable_octets(first), Ok((0, 0)));
    assert_eq!(shard.readable_octets(second), Ok((7, 0)));
}

/// A short answer is written where the message was found: it arrives as any other, and what is not short, or not the
/// first that waits, is for the other call.
#[test]
fn a_message_is_answered_where_it_was_found() {
    let mut pair = Pair::new();
    let listener = pair.listen(5);
    let (client, server) = pair.open(listener);
    pair.settle();
    let mut buffer = [0; 16];
    for round in 0..20 {
        pair.client.shard.write(pair.now, client, b"question").unwrap();
        let _ = pair.client.shard.flush(pair.now, &mut pair.client.queue);
        let _ = pair.server.shard.receive(pair.now, &mut pair.server.queue);
        if round % 2 == 1 {
            // Its acknowledgement was looked at already: it does not wait to transmit any more.
            let _ = pair.server.shard.flush(pair.now, &mut pair.server.queue);
        }
        let mut message = pair.server.shard.poll_message(pair.now).unwrap();
        assert_eq!((message.stream.id(), &message.octets[..]), (server, &b"question"[..]));
        assert!(!message.stream.write_short(&[7; 2000]), "it is not short");
        assert!(message.stream.write_short(&message.octets[..5]));
        assert!(!message.stream.write_short(b"more"), "something waits");
        drop(message);
        assert_eq!(pair.server.shard.write(pair.now, server, b"more"), Ok(4));
        pair.run(Span::from_millis(1));
        let read = pair.client.shard.read(pair.now, client, &mut buffer);
        assert_eq!(read, Ok(usertcp_stack::Read::Data(9)));
        assert_eq!(&buffer[..9], b"questmore");
    }
}

/// What is read last before all is quiet is not taken so: the read ends with a look at when the connection may rest.
#[test]
fn the_last_message_before_a_silence_is_told_by_its_event() {
    let mut pair = Pair::new();
    let listener = pair.listen(5);
    let (client, server) = pair.open(listener);
    pair.settle();
    pair.client.shard.write(pair.now, client, b"question").unwrap();
    let _ = pair.client.shard.flush(pair.now, &mut pair.client.queue);
    let _ = pair.server.shard.receive(pair.now, &mut pair.server.queue);
    pair.run(Span::from_secs(1));
    let shard = &mut pair.server.shard;
    assert!(shard.poll_message(pair.now).is_none());
    assert_eq!(shard.readable_octets(server), Ok((8, 0)));
}

/// What a connection brings that nobody has accepted yet is not read for somebody who may not know of it.
#[test]
fn a_message_waits_until_its_connection_is_accepted() {
    let mut pair = Pair::new();
    let listener = pair.listen(5);
    let client = pair.connect();
    pair.settle();
    pair.client.shard.write(pair.now, client, b"question").unwrap();
    let _ = pair.client.shard.flush(pair.now, &mut pair.client.queue);
    let _ = pair.server.shard.receive(pair.now, &mut pair.server.queue);
    let shard = &mut pair.server.shard;
    assert!(shard.poll_message(pair.now).is_none());
    let server = shard.accept(listener).unwrap();
    let message = shard.poll_message(pair.now).unwrap();
    assert_eq!((message.stream.id(), &message.octets[..]), (server, &b"question"[..]));
}

/// Octets with the end behind them come so too, and say that they are the last: the end is told by no event then, but a
/// read finds it.
#[test]
fn the_last_message_says_so() {
    let mut pair = Pair::new();
    let listener = pair.listen(5);
    let (client, server) = pair.open(listener);
    pair.settle();
    let (now, mut buffer) = (pair.now, [0; 16]);
    pair.client.shard.write(now, client, b"goodbye").unwrap();
    pair.client.shard.shutdown_write(now, client).unwrap();
    let _ = pair.client.shard.flush(now, &mut pair.client.queue);
    let _ = pair.server.shard.receive(now, &mut pair.server.queue);
    let shard = &mut pair.server.shard;
    let mut message = shard.poll_message(now).unwrap();
    assert_eq!((&message.octets[..], message.last), (&b"goodbye"[..], true));
    assert!(!message.stream.write_short(b"goodbye"), "it is for the other call");
    drop(message);
    assert_eq!(shard.poll_event(), None);
    assert_eq!(shard.read(now, server, &mut buffer), Ok(usertcp_stack::Read::End));
    assert_eq!(shard.write(now, server, b"goodbye"), Ok(7));
    assert_eq!(shard.close(now, server), Ok(()));
    pair.run(Span::from_millis(1));
    let read = pair.client.shard.read(pair.now, client, &mut buffer);
    assert_eq!(read, Ok(usertcp_stack::Read::Data(7)));
    let read = pair.client.shard.read(pair.now, client, &mut buffer);
    assert_eq!(read, Ok(usertcp_stack::Read::End));
}

/// Whoever has a message at hand lets go of its connection there: what was answered is still delivered, and the end behind
/// it.
#[test]
fn a_connection_is_closed_where_its_message_was_found() {
    let mut pair = Pair::new();
    let listener = pair.listen(5);
    let (client, server) = pair.open(listener);
    pair.settle();
    let mut buffer = [0; 16];
    pair.client.shard.write(pair.now, client, b"question").unwrap();
    let _ = pair.client.shard.flush(pair.now, &mut pair.client.queue);
    let _ = pair.server.shard.receive(pair.now, &mut pair.server.queue);
    let mut message = pair.server.shard.poll_message(pair.now).unwrap();
    assert!(message.stream.write_short(b"goodbye") && message.stream.close());
    assert_eq!(pair.server.shard.close(pair.now, server), Err(usertcp_stack::ConnError::Stale));
    let _ = pair.server.shard.flush(pair.now, &mut pair.server.queue);
    let _ = pair.client.shard.receive(pair.now, &mut pair.client.queue);
    let message = pair.client.shard.poll_message(pair.now).unwrap();
    assert_eq!((&message.octets[..], message.last), (&b"goodbye"[..], true));
    assert!(message.stream.close());
    pair.run(Span::from_millis(1));
    assert_eq!(pair.client.shard.connections().count(), 0);
    assert_eq!(pair.server.shard.connections().count(), 1, "TIME-WAIT");
    let _ = pair.client.shard.read(pair.now, client, &mut buffer).unwrap_err();
}
