//! Several shards of one stack, behind queues that lead packets anywhere.

use crate::hand::{OURS, PEER, wire};
use crate::pair::{TestShard, address, assert_empty, config, pattern, plain, read_all, to};
use core::net::IpAddr;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use usertcp_base::{ConnId, DropReason, Instant, Limits, ListenerId, Span};
use usertcp_device::{
    DeviceFacts, FlowEnd, Packet, Queue, RxBatch, SteerRule, TxBatch, WaitHandle,
};
use usertcp_frame::FramePool;
use usertcp_stack::{Connect, ConnectError, Listen, Profile, Seat, Shard, ShardConfig};
use usertcp_wire::tcp::Flags;

const SHARDS: u16 = 3;
const RULE: SteerRule = SteerRule::new([3, 5], SHARDS);

type Line = Rc<RefCell<VecDeque<Packet>>>;

/// A queue with an end in the test's hand.
struct Port {
    inward: Line,
    outward: Line,
}

impl Queue for Port {
    fn facts(&self) -> DeviceFacts {
        plain()
    }
    fn receive(&mut self, _: &FramePool, into: &mut RxBatch) -> usize {
        let before = into.len();
        while !into.is_full()
            && let Some(packet) = self.inward.borrow_mut().pop_front()
        {
            into.push(packet).unwrap();
        }
        into.len() - before
    }
    fn transmit(&mut self, from: &mut TxBatch) -> usize {
        let count = from.len();
        while let Some(packet) = from.pop() {
            self.outward.borrow_mut().push_back(packet);
        }
        count
    }
    fn wait_handle(&self) -> Option<WaitHandle> {
        None
    }
}

/// A client of one shard, and a server of three whose queues get packets in turn.
struct Cluster {
    client: TestShard,
    client_port: Port,
    shards: Vec<TestShard>,
    ports: Vec<Port>,
    listeners: Vec<ListenerId>,
    accepted: Vec<Vec<ConnId>>,
    /// Packets the rings between shards have room for.
    ring_packets: usize,
    now: Instant,
    next: usize,
}

impl Cluster {
    fn new() -> Cluster {
        let line = Line::default;
        let mut shards: Vec<_> = (0..SHARDS).map(|index| shard(1, index)).collect();
        let listen =
            Listen { local: None, port: Some(80), backlog: 1000, profile: Profile::default() };
        let listeners = shards.iter_mut().map(|shard| shard.listen(&listen).unwrap()).collect();
        let port = || Port { inward: line(), outward: line() };
        Cluster {
            client: Shard::new(config(2, plain(), Limits::default()), (), Instant::ZERO).unwrap(),
            client_port: port(),
            accepted: shards.iter().map(|_| Vec::new()).collect(),
            ports: shards.iter().map(|_| port()).collect(),
            shards,
            listeners,
            ring_packets: usize::MAX,
            now: Instant::from_millis(200_000),
            next: 0,
        }
    }

    fn settle(&mut self) {
        loop {
            let mut moved = self.client.turn(self.now, &mut self.client_port).received;
            while self.client.poll_event().is_some() {}
            // The wire knows nothing of flows.
            let sent: Vec<_> = self.client_port.outward.borrow_mut().drain(..).collect();
            for packet in sent {
                self.ports[self.next % self.ports.len()].inward.borrow_mut().push_back(packet);
                self.next += 1;
                moved += 1;
            }
            for index in 0..self.shards.len() {
                moved += self.shards[index].turn(self.now, &mut self.ports[index]).received;
                moved += self.pass_on(index);
                while self.shards[index].poll_event().is_some() {}
                while let Some(conn) = self.shards[index].accept(self.listeners[index]) {
                    self.accepted[index].push(conn);
                }
                let sent: Vec<_> = self.ports[index].outward.borrow_mut().drain(..).collect();
                moved += sent.len();
                self.client_port.inward.borrow_mut().extend(sent);
            }
            if moved == 0 {
                return;
            }
        }
    }

    /// What the runtime does: from a shard's hand to the owner's.
    fn pass_on(&mut self, from: usize) -> usize {
        let mut passed = 0;
        while let Some((owner, packet)) = self.shards[from].poll_elsewhere() {
            assert_ne!(usize::from(owner), from);
            if passed == self.ring_packets {
                self.shards[from].drop_elsewhere(self.now);
                continue;
            }
            passed += 1;
            self.shards[usize::from(owner)].handle_steered(self.now, packet);
        }
        passed
    }

    fn run(&mut self, span: Span) {
        let end = self.now + span;
        self.settle();
        loop {
            let all = self.shards.iter().chain([&self.client]);
            match all.filter_map(|shard| shard.next_deadline()).min() {
                Some(next) if next <= end => self.now = next.max(self.now),
                _ => break,
            }
            self.settle();
        }
        self.now = end;
        self.settle();
    }

    fn counted(&self, count: impl Fn(&TestShard) -> u64) -> u64 {
        self.shards.iter().map(count).sum()
    }
}

fn shard(host: u8, index: u16) -> TestShard {
    let seat = Some(Seat { rule: RULE, index });
    let config = ShardConfig { seat, ..config(host, plain(), Limits::default()) };
    Shard::new(config, (), Instant::ZERO).unwrap()
}

fn owner(remote: IpAddr, remote_port: u16, local: IpAddr, local_port: u16) -> u16 {
    let end = |address, port| FlowEnd { address, port };
    RULE.owner(end(remote, remote_port), end(local, local_port))
}

#[test]
fn streams_complete_whatever_queue_their_packets_come_by() {
    let mut cluster = Cluster::new();
    let to = to(address(1), 80);
    let clients: Vec<_> =
        (0..60).map(|_| cluster.client.connect(cluster.now, &to).unwrap()).collect();
    cluster.run(Span::from_millis(10));
    let octets = pattern(20_000);
    for conn in &clients {
        assert_eq!(cluster.client.write(cluster.now, *conn, &octets), Ok(octets.len()));
        cluster.client.shutdown_write(cluster.now, *conn).unwrap();
    }
    cluster.run(Span::from_secs(2));
    let mut total = 0;
    for index in 0..cluster.shards.len() {
        let accepted = std::mem::take(&mut cluster.accepted[index]);
        assert!(accepted.len() > 8, "each shard carries some of 60: {}", accepted.len());
        total += accepted.len();
        for conn in accepted {
            let shard = &mut cluster.shards[index];
            let info = shard.info(cluster.now, conn).unwrap();
            let (local, remote) = (info.local, info.remote);
            let place = owner(remote.ip(), remote.port(), local.ip(), local.port());
            assert_eq!(usize::from(place), index);
            assert!(read_all(shard, cluster.now, conn).unwrap() == octets);
            shard.close(cluster.now, conn).unwrap();
        }
    }
    assert_eq!(total, 60);
    for conn in clients {
        cluster.client.close(cluster.now, conn).unwrap();
    }
    cluster.run(Span::from_secs(120));
    cluster.shards.iter().for_each(assert_empty);
    let out = cluster.counted(|shard| shard.counters().steered_out);
    let steered = cluster.counted(|shard| shard.counters().steered_in);
    let packets = cluster.counted(|shard| shard.counters().packets_in);
    assert_eq!(out, steered);
    // About two in three arrive at the wrong one.
    assert!(steered * 2 > packets && steered < packets, "{steered} of {packets}");
    assert_eq!(packets, cluster.client.counters().packets_out);
    assert_eq!(cluster.counted(|shard| shard.counters().dropped_total()), 0);
    assert_eq!(cluster.counted(|shard| shard.counters().resets_out), 0);
}

#[test]
fn a_full_ring_drops_and_counts() {
    let mut cluster = Cluster::new();
    cluster.ring_packets = 1;
    let client = cluster.client.connect(cluster.now, &to(address(1), 80)).unwrap();
    cluster.run(Span::from_secs(1));
    let octets = pattern(100_000);
    assert_eq!(cluster.client.write(cluster.now, client, &octets), Ok(octets.len()));
    cluster.run(Span::from_secs(60));
    let index = cluster.accepted.iter().position(|accepted| !accepted.is_empty()).unwrap();
    let conn = cluster.accepted[index][0];
    assert!(read_all(&mut cluster.shards[index], cluster.now, conn).unwrap() == octets);
    let dropped = cluster.counted(|shard| shard.counters().dropped(DropReason::SteerFull));
    let out = cluster.counted(|shard| shard.counters().steered_out);
    let steered = cluster.counted(|shard| shard.counters().steered_in);
    assert!(dropped > 0);
    assert_eq!(out, steered);
    let packets = cluster.counted(|shard| shard.counters().packets_in);
    assert_eq!(packets + dropped, cluster.client.counters().packets_out);
}

#[test]
fn what_nobody_fetches_is_bounded() {
    let mut cluster = Cluster::new();
    let pool = cluster.client.pool().clone();
    for n in 0..20_000u32 {
        let source = core::net::Ipv4Addr::from(0x0A01_0000 + n);
        let octets = wire(Flags::SYN, 5000, 0).by(source, 1000).octets();
        let packet = Packet::plain(pool.copy_of(&octets, 0).unwrap().into());
        cluster.ports[0].inward.borrow_mut().push_back(packet);
        if n % 200 == 199 {
            cluster.shards[0].turn(cluster.now, &mut cluster.ports[0]);
        }
    }
    let counters = cluster.shards[0].counters().clone();
    let dropped = counters.dropped(DropReason::SteerFull);
    assert_eq!(counters.steered_out, 4096);
    assert_eq!(counters.packets_in + counters.steered_out + dropped, 20_000);
    assert!(dropped > 8000);
    let fetched = std::iter::from_fn(|| cluster.shards[0].poll_elsewhere()).count();
    assert_eq!(fetched, 4096);
}

#[test]
fn an_open_uses_ports_whose_answers_come_to_its_shard() {
    for index in 0..SHARDS {
        let mut shard = shard(1, index);
        for n in 0..200u8 {
            let remote = address(2 + n);
            let conn = shard.connect(Instant::from_millis(1), &to(remote, 443)).unwrap();
            let info = shard.info(Instant::from_millis(1), conn).unwrap();
            assert_eq!(owner(remote, 443, info.local.ip(), info.local.port()), index);
        }
    }
}

#[test]
fn an_open_from_a_port_of_another_shard_says_whose_it_is() {
    let ours = owner(address(9), 443, address(1), 5000);
    let connect = |shard: &mut TestShard| {
        let to = Connect { local_port: Some(5000), ..to(address(9), 443) };
        shard.connect(Instant::from_millis(1), &to)
    };
    for index in 0..SHARDS {
        let outcome = connect(&mut shard(1, index));
        match index == ours {
            true => assert!(outcome.is_ok()),
            false => assert_eq!(outcome, Err(ConnectError::Elsewhere(ours))),
        }
    }
}

/// Cuts an IPv4 packet in two behind `octets` octets of payload.
fn cut(packet: &[u8], octets: usize) -> [Vec<u8>; 2] {
    use usertcp_wire::ipv4;
    let (header, header_octets) = ipv4::parse(packet, packet.len()).unwrap();
    let payload = &packet[header_octets..];
    let part = |range: core::ops::Range<usize>| {
        let header = ipv4::Header {
            dont_fragment: false,
            identification: 9,
            total_octets: (header_octets + range.len()) as u16,
            fragment_offset: range.start as u16,
            more_fragments: range.end < payload.len(),
            ..header
        };
        [&ipv4::emit(&header)[..], &payload[range]].concat()
    };
    [part(0..octets), part(octets..payload.len())]
}

#[test]
fn a_segment_in_fragments_reaches_its_owner() {
    let meet = RULE.fragments_owner(PEER.into(), OURS.into());
    // A port whose flow belongs elsewhere than where fragments meet.
    let port = (1000..).find(|port| owner(PEER.into(), *port, OURS.into(), 80) != meet).unwrap();
    let place = owner(PEER.into(), port, OURS.into(), 80);
    let mut cluster = Cluster::new();
    let pool = cluster.client.pool().clone();
    let give = |cluster: &mut Cluster, index: usize, octets: &[u8]| {
        let packet = Packet::plain(pool.copy_of(octets, 0).unwrap().into());
        cluster.ports[index].inward.borrow_mut().push_back(packet);
        cluster.settle();
    };
    give(&mut cluster, 0, &wire(Flags::SYN, 5000, 0).by(PEER, port).octets());
    let embryos = |cluster: &Cluster, index: u16| {
        let index = usize::from(index);
        cluster.shards[index].listener_info(cluster.listeners[index]).unwrap().half_open
    };
    assert_eq!(embryos(&cluster, place), 1);
    // The one number a half-open connection takes a reset with.
    let reset = wire(Flags::RST, 5001, 0).by(PEER, port).with_payload(&[0; 60]).octets();
    let parts = cut(&reset, 40);
    for (index, part) in parts.iter().enumerate() {
        give(&mut cluster, index, part);
    }
    assert_eq!(embryos(&cluster, place), 0, "the reset has arrived, in its two fragments");
    let steered = cluster.shards[usize::from(place)].counters().steered_in;
    assert!(steered >= 1);
    let others = cluster.shards.iter().map(|shard| shard.counters().dropped_total());
    assert_eq!(others.sum::<u64>(), 0);
}

#[test]
fn a_lone_shard_has_no_seat() {
    let seat = Some(Seat { rule: SteerRule::new([1, 2], 1), index: 0 });
    let config = ShardConfig { seat, ..config(1, plain(), Limits::default()) };
    let shard: TestShard = Shard::new(config, (), Instant::ZERO).unwrap();
    assert_eq!(shard.seat(), None);
}
