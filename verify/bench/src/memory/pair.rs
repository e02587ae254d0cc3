//! Two shards joined in memory, in virtual time. Owns: bringing many connections into one state.
//! Must not know: what is measured in that state.

use core::net::{IpAddr, Ipv4Addr};
use usertcp_base::{ConnId, Instant, Limits, ListenerId, Span};
use usertcp_cc::AnyController;
use usertcp_device::{DeviceFacts, Medium, PipeEnd, Queue, RxBatch, pipe};
use usertcp_ip::Cidr;
use usertcp_stack::{Connect, Listen, Profile, Read, Shard, ShardConfig, ShardEvent};

const SERVER_PORT: u16 = 80;
/// Connections that are under way at the same time: as many TCBs there are at most where only
/// TIME-WAIT records are to remain.
pub const BATCH: u32 = 64;
/// Octets that go each way on every connection before it is idle.
const MESSAGE: [u8; 64] = [7; 64];

/// One end.
pub struct End {
    /// The shard.
    pub shard: Shard<AnyController, ()>,
    queue: PipeEnd,
}

/// Both ends, the time, and a port that the server listens on.
pub struct Pair {
    /// Opens actively.
    pub client: End,
    /// Opens passively.
    pub server: End,
    now: Instant,
    listener: ListenerId,
}

impl Pair {
    /// Two shards for `connections` records each, `hot` of them with a TCB.
    pub fn new(connections: u32, hot: u32) -> Result<Pair, String> {
        let facts = DeviceFacts::plain(Medium::Ip, 1500);
        let (near, far) = pipe(facts, 4096);
        let limits = Limits {
            connections,
            hot_connections: hot,
            embryos_per_listener: connections,
            embryo_source_share: 1, // all of them
            time_wait: connections,
            ..Limits::default()
        };
        let client = End::new(1, facts, limits.clone(), near)?;
        let mut server = End::new(2, facts, limits, far)?;
        let listen = Listen {
            local: None,
            port: Some(SERVER_PORT),
            backlog: connections,
            profile: Profile::default(),
        };
        let listener = server.shard.listen(&listen).map_err(|error| format!("{error:?}"))?;
        Ok(Pair { client, server, now: Instant::ZERO, listener })
    }

    /// `count` connections that carried a message each way and have nothing to do now.
    pub fn establish(&mut self, count: u32) -> Result<(), String> {
        self.in_batches(count, |pair, batch| pair.converse(batch).map(drop))?;
        // Nothing is owed any more, and nobody has been silent for long enough to be parked.
        self.pass(Span::from_millis(100))
    }

    /// The same, and then silent for so long that they are parked.
    pub fn park(&mut self, count: u32) -> Result<(), String> {
        self.in_batches(count, |pair, batch| {
            pair.converse(batch)?;
            pair.pass(Span::from_secs(5))
        })
    }

    /// `count` half-open records at the server: the client never sees an answer.
    pub fn half_open(&mut self, count: u32) -> Result<(), String> {
        let mut unseen = RxBatch::new(256);
        self.in_batches(count, |pair, batch| {
            for _ in 0..batch {
                pair.connect()?;
            }
            pair.client.turn(pair.now);
            while pair.server.turn(pair.now) {}
            while pair.client.queue.receive(pair.client.shard.pool(), &mut unseen) > 0 {
                while unseen.pop().is_some() {}
            }
            Ok(())
        })
    }

    /// `count` connections closed by the client first, which keeps them in TIME-WAIT.
    pub fn close(&mut self, count: u32) -> Result<(), String> {
        self.in_batches(count, |pair, batch| {
            let both = pair.converse(batch)?;
            let now = pair.now;
            for (client, _) in &both {
                pair.client.shard.close(now, *client).map_err(|error| format!("{error:?}"))?;
            }
            pair.settle()?;
            for (_, server) in &both {
                pair.server.shard.close(now, *server).map_err(|error| format!("{error:?}"))?;
            }
            pair.settle()
        })
    }

    fn in_batches(
        &mut self,
        count: u32,
        mut each: impl FnMut(&mut Pair, u32) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut left = count;
        while left > 0 {
            let batch = left.min(BATCH);
            each(self, batch)?;
            left -= batch;
        }
        Ok(())
    }

    /// Opens some connections, sends a message over each and back. Both handles of each.
    fn converse(&mut self, count: u32) -> Result<Vec<(ConnId, ConnId)>, String> {
        let failed = |error| format!("{error:?}");
        let mut both = Vec::new();
        // One by one, so that the order of accepting is the order of connecting.
        for _ in 0..count {
            let client = self.connect()?;
            self.settle()?;
            let server = self.server.shard.accept(self.listener).ok_or("nothing to accept")?;
            both.push((client, server));
        }
        let mut buffer = [0; 128];
        for (client, _) in &both {
            self.client.shard.write(self.now, *client, &MESSAGE).map_err(failed)?;
        }
        self.settle()?;
        for (_, server) in &both {
            let read = self.server.shard.read(self.now, *server, &mut buffer).map_err(failed)?;
            if read != Read::Data(MESSAGE.len()) {
                return Err(format!("the server read {read:?}"));
            }
            self.server.shard.write(self.now, *server, &MESSAGE).map_err(failed)?;
        }
        self.settle()?;
        for (client, _) in &both {
            let read = self.client.shard.read(self.now, *client, &mut buffer).map_err(failed)?;
            if read != Read::Data(MESSAGE.len()) {
                return Err(format!("the client read {read:?}"));
            }
        }
        self.pass(Span::from_millis(1))?;
        Ok(both)
    }

    fn connect(&mut self) -> Result<ConnId, String> {
        let to = Connect {
            remote: address(2),
            remote_port: SERVER_PORT,
            local: None,
            local_port: None,
            profile: Profile::default(),
        };
        self.client.shard.connect(self.now, &to).map_err(|error| format!("connect: {error:?}"))
    }

    /// Turns until nothing moves at this moment.
    fn settle(&mut self) -> Result<(), String> {
        for _ in 0..10_000 {
            if !(self.client.turn(self.now) | self.server.turn(self.now)) {
                return Ok(());
            }
        }
        Err("the two never come to rest".into())
    }

    /// Lets time pass from deadline to deadline.
    fn pass(&mut self, span: Span) -> Result<(), String> {
        let end = self.now + span;
        self.settle()?;
        loop {
            let deadlines = [self.client.shard.next_deadline(), self.server.shard.next_deadline()];
            match deadlines.into_iter().flatten().min() {
                Some(next) if next <= end => self.now = next.max(self.now),
                _ => break,
            }
            self.settle()?;
        }
        self.now = end;
        self.settle()
    }
}

impl End {
    fn new(host: u8, facts: DeviceFacts, limits: Limits, queue: PipeEnd) -> Result<End, String> {
        let cidr = Cidr::new(address(host), 24).map_err(|error| format!("{error:?}"))?;
        let config = ShardConfig {
            limits,
            ports: 1024..=65_535,
            ..ShardConfig::new(vec![cidr], [host; 32], facts)
        };
        let shard = Shard::new(config, (), Instant::ZERO).map_err(|error| format!("{error:?}"))?;
        Ok(End { shard, queue })
    }

    fn turn(&mut self, now: Instant) -> bool {
        let turn = self.shard.turn(now, &mut self.queue);
        while let Some(event) = self.shard.poll_event() {
            debug_assert!(!matches!(event, ShardEvent::PathSuspect(_)), "{event:?}");
        }
        turn.received + turn.sent > 0 || turn.more
    }
}

fn address(host: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, host))
}
