//! Two shards at the ends of a pipe, in virtual time.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use usertcp_base::{ConnId, Instant, Limits, ListenerId, Span};
use usertcp_cc::Reno;
use usertcp_device::{DeviceFacts, Medium, PipeEnd, pipe};
use usertcp_ip::Cidr;
use usertcp_stack::{
    ConnError, Connect, Listen, Profile, Read, Shard, ShardConfig, ShardEvent, Usage,
};

pub type TestShard = Shard<Reno, ()>;

pub const SERVER_PORT: u16 = 80;

/// One end: a shard, its queue, and what it was told.
pub struct End {
    pub shard: TestShard,
    pub queue: PipeEnd,
    pub address: IpAddr,
    pub events: Vec<ShardEvent>,
    pub packets_sent: usize,
}

/// Both ends and the time.
pub struct Pair {
    pub client: End,
    pub server: End,
    pub now: Instant,
}

pub fn address(host: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, host))
}

pub fn config(host: u8, facts: DeviceFacts, limits: Limits) -> ShardConfig {
    let cidr = Cidr::new(address(host), 24).unwrap();
    ShardConfig { limits, ..ShardConfig::new(vec![cidr], [host; 32], facts) }
}

pub fn plain() -> DeviceFacts {
    DeviceFacts::plain(Medium::Ip, 1500)
}

impl End {
    fn new(config: ShardConfig, host: u8, queue: PipeEnd) -> End {
        let shard = Shard::new(config, (), Instant::ZERO).unwrap();
        End { shard, queue, address: address(host), events: Vec::new(), packets_sent: 0 }
    }

    fn turn(&mut self, now: Instant) -> bool {
        let turn = self.shard.turn(now, &mut self.queue);
        self.packets_sent += turn.sent;
        while let Some(event) = self.shard.poll_event() {
            self.events.push(event);
        }
        turn.received + turn.sent > 0 || turn.more
    }

    pub fn count(&self, wanted: impl Fn(&ShardEvent) -> bool) -> usize {
        self.events.iter().filter(|event| wanted(event)).count()
    }

    /// Segments the connection sent again.
    pub fn resent(&self, now: Instant, id: ConnId) -> u32 {
        self.shard.info(now, id).unwrap().figures.unwrap().retransmissions
    }

    pub fn saw(&self, event: ShardEvent) -> bool {
        self.events.contains(&event)
    }
}

impl Pair {
    pub fn new() -> Pair {
        Pair::with(plain(), Limits::default(), 4096)
    }

    /// Both have an IPv6 address beside the other, and use it.
    pub fn v6(facts: DeviceFacts) -> Pair {
        let mut pair = Pair::with(facts, Limits::default(), 4096);
        for (end, host) in [(&mut pair.client, 1), (&mut pair.server, 2)] {
            let address = IpAddr::V6(Ipv6Addr::new(0x2001, 0xDB8, 0, 0, 0, 0, 0, host));
            let mut config = config(host as u8, facts, Limits::default());
            config.addresses.push(Cidr::new(address, 64).unwrap());
            end.shard = Shard::new(config, (), Instant::ZERO).unwrap();
            end.address = address;
        }
        pair
    }

    pub fn with(facts: DeviceFacts, limits: Limits, capacity: usize) -> Pair {
        let (near, far) = pipe(facts, capacity);
        Pair {
            client: End::new(config(1, facts, limits.clone()), 1, near),
            server: End::new(config(2, facts, limits), 2, far),
            now: Instant::ZERO,
        }
    }

    /// Turns until nothing moves at this moment.
    pub fn settle(&mut self) {
        for _ in 0..100_000 {
            let moved = self.client.turn(self.now) | self.server.turn(self.now);
            if !moved {
                return;
            }
        }
        panic!("the two never come to rest");
    }

    /// Lets time pass from deadline to deadline.
    pub fn run(&mut self, span: Span) {
        let end = self.now + span;
        self.settle();
        loop {
            let deadlines = [self.client.shard.next_deadline(), self.server.shard.next_deadline()];
            match deadlines.into_iter().flatten().min() {
                Some(next) if next <= end => self.now = next.max(self.now),
                _ => break,
            }
            self.settle();
        }
        self.now = end;
        self.settle();
    }

    pub fn listen(&mut self, backlog: u32) -> ListenerId {
        let listen =
            Listen { local: None, port: Some(SERVER_PORT), backlog, profile: Profile::default() };
        self.server.shard.listen(&listen).unwrap()
    }

    pub fn connect(&mut self) -> ConnId {
        let to = to(self.server.address, SERVER_PORT);
        self.client.shard.connect(self.now, &to).unwrap()
    }

    /// A connection, open at both ends: the client's and the server's handle.
    pub fn open(&mut self, listener: ListenerId) -> (ConnId, ConnId) {
        let client = self.connect();
        self.settle();
        let server = self.server.shard.accept(listener).expect("a connection waits");
        (client, server)
    }

    /// Sends `octets` from client to server and reads them there.
    pub fn send(&mut self, client: ConnId, server: ConnId, octets: &[u8]) -> Vec<u8> {
        let mut sent = 0;
        let mut got = Vec::new();
        for _ in 0..100_000 {
            sent += self.client.shard.write(self.now, client, &octets[sent..]).unwrap();
            self.run(Span::from_millis(1));
            got.extend(read_all(&mut self.server.shard, self.now, server).unwrap());
            if got.len() == octets.len() {
                break;
            }
        }
        got
    }
}

pub fn to(remote: IpAddr, remote_port: u16) -> Connect<Reno> {
    Connect { remote, remote_port, local: None, local_port: None, profile: Profile::default() }
}

/// Everything that can be read now.
pub fn read_all(shard: &mut TestShard, now: Instant, id: ConnId) -> Result<Vec<u8>, ConnError> {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    while let Read::Data(octets) = shard.read(now, id, &mut buffer)? {
        all.extend_from_slice(&buffer[..octets]);
    }
    Ok(all)
}

/// Octets that tell where they belong.
pub fn pattern(octets: usize) -> Vec<u8> {
    (0..octets).map(|at| (at % 251) as u8).collect()
}

/// Nothing is left of any connection: no record, no timer, no frame.
pub fn assert_empty(shard: &TestShard) {
    let committed_anchors = shard.usage().committed_anchors;
    let Usage { listeners, hosts, .. } = shard.usage();
    assert_eq!(shard.usage(), Usage { committed_anchors, listeners, hosts, ..Usage::default() });
    let stats = shard.pool().stats();
    assert_eq!(stats.used_octets, 0, "{stats:?}");
}
