//! Two shards on an Ethernet: neighbours, gateways, and what a connection learns when nobody answers.

use crate::pair::*;
use core::net::{IpAddr, Ipv6Addr};
use usertcp_base::{DropReason, Instant, Limits, Span};
use usertcp_device::{DeviceFacts, Medium, PipeEnd, Queue, RxBatch, SteerRule, TxBatch, pipe};
use usertcp_frame::{Chain, FramePool, Packet, PoolConfig};
use usertcp_ip::{Cidr, Reachability};
use usertcp_stack::{ConnectError, Seat, Shard, ShardConfig};

fn mac(host: u8) -> [u8; 6] {
    [2, 0, 0, 0, 0, host]
}

fn facts(host: u8, offloads: bool) -> DeviceFacts {
    let medium = Medium::Ethernet { mac: mac(host) };
    if offloads { DeviceFacts::offloading(medium, 1500) } else { DeviceFacts::plain(medium, 1500) }
}

fn v6(host: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xDB8, 0, 0, 0, 0, 0, host))
}

fn shard_config(host: u8, offloads: bool) -> ShardConfig {
    let mut config = config(host, facts(host, offloads), Limits::default());
    config.addresses.push(Cidr::new(v6(host.into()), 64).unwrap());
    config
}

/// Two ends whose frames begin with an Ethernet header; over IPv6 if wanted.
fn ethernet(offloads: bool, six: bool) -> Pair {
    let mut pair = Pair::with(facts(1, offloads), Limits::default(), 4096);
    for (end, host) in [(&mut pair.client, 1), (&mut pair.server, 2)] {
        end.shard = Shard::new(shard_config(host, offloads), (), Instant::ZERO).unwrap();
        if six {
            end.address = v6(host.into());
        }
    }
    pair
}

#[test]
fn a_stream_passes_with_and_without_offloads_over_both_families() {
    for (offloads, six) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut pair = ethernet(offloads, six);
        let listener = pair.listen(8);
        let (client, server) = pair.open(listener);
        let sent = pattern(300_000);
        assert_eq!(pair.send(client, server, &sent), sent);
        let (near, far) = (pair.client.address, pair.server.address);
        let seen = |end: &End, of| end.shard.link().unwrap().neighbour(of);
        assert_eq!(seen(&pair.client, far), Some((Reachability::Reachable, mac(2))));
        // The server was asked, and asked back when its address for the client was to be checked.
        assert!(seen(&pair.server, near).is_some_and(|(_, at)| at == mac(1)));
        for end in [&pair.client, &pair.server] {
            let drops = end.shard.counters().dropped_total();
            let quiet = end.shard.counters().dropped(DropReason::NeighbourIgnored);
            assert_eq!(drops, quiet, "only what each says of itself at the start");
            assert_eq!(end.resent(pair.now, if end.address == near { client } else { server }), 0);
        }
    }
}

#[test]
fn pings_are_answered_and_the_reply_finds_its_way() {
    let facts = facts(2, false);
    let (mut near, far) = pipe(facts, 64);
    let mut server = Server::new(shard_config(2, false), far);
    server.turn();
    drain(&mut near);
    let mut echo = vec![0x45, 0, 0, 36, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    let sum = usertcp_wire::checksum::finish(usertcp_wire::checksum::sum(&echo));
    echo[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut message = vec![8, 0, 0, 0, 0, 7, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8];
    let sum = usertcp_wire::checksum::finish(usertcp_wire::checksum::sum(&message));
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    echo.extend(&message);
    let header = [&mac(2)[..], &mac(1), &[0x08, 0x00]].concat();
    send(&mut near, &[&header[..], &echo].concat());
    server.turn();
    // It does not know where 10.0.0.1 is: it asks, and the reply waits.
    let asked = drain(&mut near);
    assert_eq!(asked.len(), 1);
    assert_eq!((&asked[0][..6], &asked[0][12..14]), (&[0xFF; 6][..], &[0x08, 0x06][..]));
    let mut answer = [&mac(2)[..], &mac(1), &[8, 6, 0, 1, 8, 0, 6, 4, 0, 2], &mac(1)].concat();
    answer.extend([10, 0, 0, 1].iter().chain(&mac(2)).chain(&[10, 0, 0, 2]));
    send(&mut near, &answer);
    server.turn();
    let reply = drain(&mut near);
    assert_eq!(reply.len(), 1);
    assert_eq!(reply[0][..14], [&mac(1)[..], &mac(2), &[8, 0]].concat()[..]);
    assert_eq!((reply[0][34], &reply[0][42..]), (0, &[1, 2, 3, 4, 5, 6, 7, 8][..]));
}

#[test]
fn a_neighbour_who_does_not_answer_costs_three_questions_and_nothing_stays() {
    let (mut near, far) = pipe(facts(1, false), 4096);
    let mut client = Server::new(shard_config(1, false), far);
    client.run(Span::from_secs(2));
    drain(&mut near);
    client.shard.connect(client.now, &to(address(9), 80)).unwrap();
    client.run(Span::from_millis(2_900));
    let questions = drain(&mut near);
    assert_eq!(questions.len(), 3, "{questions:?}");
    assert!(questions.iter().all(|frame| frame[12..14] == [8, 6] && frame[38..] == [10, 0, 0, 9]));
    client.run(Span::from_millis(200));
    // The SYN, and its first retransmission, as RFC 1122 §2.3.2.2 has it.
    let counters = client.shard.counters();
    assert_eq!(counters.dropped(DropReason::NeighbourUnreachable), 2);
    client.run(Span::from_secs(600));
    drain(&mut near);
    assert_eq!(client.shard.link().unwrap().stats().neighbours, 0);
    assert_eq!(client.shard.pool().stats().used_octets, 0);
}

#[test]
fn peers_of_other_networks_are_reached_by_the_gateway() {
    let far_away: IpAddr = "198.51.100.7".parse().unwrap();
    let (near, far) = pipe(facts(1, false), 4096);
    let mut config = shard_config(1, false);
    config.gateways = vec![address(2)];
    let mut pair = ethernet(false, false);
    pair.client.shard = Shard::new(config, (), Instant::ZERO).unwrap();
    // The gateway is the other shard itself: it has the far address beside its own.
    let mut gateway = shard_config(2, false);
    gateway.addresses.push(Cidr::new(far_away, 32).unwrap());
    pair.server.shard = Shard::new(gateway, (), Instant::ZERO).unwrap();
    (pair.client.queue, pair.server.queue) = (near, far);
    let listener = pair.listen(8);
    let elsewhere = to("2001:db8:7::7".parse().unwrap(), SERVER_PORT);
    let refused = pair.client.shard.connect(pair.now, &elsewhere);
    assert_eq!(refused.unwrap_err(), ConnectError::Local, "no gateway of that family");
    let client = pair.client.shard.connect(pair.now, &to(far_away, SERVER_PORT)).unwrap();
    pair.settle();
    let server = pair.server.shard.accept(listener).expect("a connection waits");
    assert_eq!(pair.send(client, server, b"by the gateway"), b"by the gateway");
    let link = pair.client.shard.link().unwrap();
    assert_eq!(link.neighbour(address(2)), Some((Reachability::Reachable, mac(2))));
    assert_eq!(link.neighbour(far_away), None);
}

/// A frame is taken apart before it is led to its shard: what goes on is a packet.
#[test]
fn frames_for_another_shard_go_on_without_their_header() {
    let rule = SteerRule::new([3, 5], 2);
    let (mut near, far) = pipe(facts(2, false), 64);
    let seat = Some(Seat { rule, index: 0 });
    let mut server = Server::new(ShardConfig { seat, ..shard_config(2, false) }, far);
    server.turn();
    drain(&mut near);
    let (mut here, mut elsewhere) = (0, 0);
    for port in 0..64u16 {
        let mut packet = vec![0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        let sum = usertcp_wire::checksum::finish(usertcp_wire::checksum::sum(&packet));
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet.extend([9, port as u8, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 1, 0, 0, 0, 0, 0]);
        let header = [&mac(2)[..], &mac(1), &[0x08, 0x00]].concat();
        send(&mut near, &[&header[..], &packet].concat());
        let before = server.shard.counters().packets_in;
        server.turn();
        match server.shard.poll_elsewhere() {
            Some((owner, led)) => {
                assert_eq!((owner, led.octets.to_vec()), (1, packet));
                assert_eq!(server.shard.counters().packets_in, before);
                elsewhere += 1;
            }
            None => {
                assert_eq!(server.shard.counters().packets_in, before + 1);
                here += 1;
            }
        }
    }
    assert!(here > 8 && elsewhere > 8, "{here} {elsewhere}");
}

#[test]
fn a_device_of_packets_has_no_link() {
    assert!(Pair::new().client.shard.link().is_none());
}

/// One shard at the end of a pipe.
struct Server {
    shard: TestShard,
    queue: PipeEnd,
    now: Instant,
}

impl Server {
    fn new(config: ShardConfig, queue: PipeEnd) -> Server {
        Server { shard: Shard::new(config, (), Instant::ZERO).unwrap(), queue, now: Instant::ZERO }
    }

    fn turn(&mut self) {
        while self.shard.turn(self.now, &mut self.queue).more {}
        while self.shard.poll_event().is_some() {}
    }

    fn run(&mut self, span: Span) {
        let end = self.now + span;
        self.turn();
        while let Some(next) = self.shard.next_deadline().filter(|next| *next <= end) {
            self.now = next.max(self.now);
            self.turn();
        }
        self.now = end;
        self.turn();
    }
}

fn send(end: &mut PipeEnd, frame: &[u8]) {
    let pool = FramePool::new(&PoolConfig::default());
    let mut batch = TxBatch::new(1);
    batch.push(Packet::plain(Chain::from(pool.copy_of(frame, 0).unwrap()))).unwrap();
    assert_eq!(end.transmit(&mut batch), 1);
}

fn drain(end: &mut PipeEnd) -> Vec<Vec<u8>> {
    let pool = FramePool::new(&PoolConfig::default());
    let mut batch = RxBatch::new(64);
    end.receive(&pool, &mut batch);
    std::iter::from_fn(|| batch.pop()).map(|packet| packet.octets.to_vec()).collect()
}
