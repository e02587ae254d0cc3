//! A client and a server application on two shards. Owns: what they do on each event.
//! Must not know: how long they are let run, or what is made of the counts.

use super::wire::{WireEnd, wire};
use core::net::{IpAddr, Ipv4Addr};
use std::time;
use usertcp_base::{ConnId, Instant, Limits, ListenerId};
use usertcp_cc::AnyController;
use usertcp_device::DeviceFacts;
use usertcp_frame::PoolConfig;
use usertcp_ip::Cidr;
use usertcp_stack::{Connect, Listen, Profile, Read, Shard, ShardConfig, ShardEvent};

/// What the two do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The client sends without end.
    Bulk,
    /// The client sends a message and waits for it to come back, again and again.
    Echo,
    /// The same once per connection; the server closes.
    Short,
}

const PORT: u16 = 80;
/// Octets of a message.
pub const MESSAGE: usize = 64;
/// Octets the application reads or writes at a time.
const BUFFER: usize = 128 << 10;

type TheShard = Shard<AnyController, ()>;

struct End {
    shard: TheShard,
    queue: WireEnd,
}

/// Both, running.
pub struct Load {
    kind: Kind,
    client: End,
    server: End,
    listener: ListenerId,
    began: time::Instant,
    now: Instant,
    buffer: Vec<u8>,
    /// Octets the server read.
    pub octets: u64,
    /// Messages the client got back.
    pub messages: u64,
    /// The first thing that went wrong.
    pub problem: Option<String>,
}

impl Load {
    /// Two shards over a wire that is as `facts` say, and `connections` between them.
    pub fn start(kind: Kind, connections: u32, facts: DeviceFacts) -> Result<Load, String> {
        let (near, far) = wire(facts);
        let client = End::new(1, facts, near)?;
        let mut server = End::new(2, facts, far)?;
        let profile = profile();
        let listen =
            Listen { local: None, port: Some(PORT), backlog: connections.max(1024), profile };
        let listener = server.shard.listen(&listen).map_err(|error| format!("{error:?}"))?;
        let mut load = Load {
            kind,
            client,
            server,
            listener,
            began: time::Instant::now(),
            now: Instant::ZERO,
            buffer: vec![0x5A; BUFFER],
            octets: 0,
            messages: 0,
            problem: None,
        };
        for opened in 0..connections {
            load.connect();
            if opened % 64 == 63 {
                load.step();
            }
        }
        Ok(load)
    }

    /// A turn of each.
    pub fn step(&mut self) {
        let micros = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.now = Instant::from_micros(micros);
        let _ = self.client.shard.receive(self.now, &mut self.client.queue);
        while let Some(event) = self.client.shard.poll_event() {
            self.on_client(event);
        }
        self.client.shard.flush(self.now, &mut self.client.queue);
        let _ = self.server.shard.receive(self.now, &mut self.server.queue);
        while let Some(event) = self.server.shard.poll_event() {
            self.on_server(event);
        }
        self.server.shard.flush(self.now, &mut self.server.queue);
    }

    /// Segments that either side sent again.
    pub fn sent_again(&self) -> u64 {
        let again = |end: &End| end.shard.counters().segments_retransmitted;
        again(&self.client) + again(&self.server)
    }

    /// Packets that both sides sent.
    pub fn packets(&self) -> u64 {
        let out = |end: &End| end.shard.counters().packets_out;
        out(&self.client) + out(&self.server)
    }

    fn fail(&mut self, what: String) {
        self.problem.get_or_insert(what);
    }

    fn connect(&mut self) {
        let to = Connect {
            remote: address(2),
            remote_port: PORT,
            local: None,
            local_port: None,
            profile: profile(),
        };
        if let Err(error) = self.client.shard.connect(self.now, &to) {
            self.fail(format!("connecting: {error:?}"));
        }
    }

    fn on_client(&mut self, event: ShardEvent) {
        match event {
            ShardEvent::Connected(conn) | ShardEvent::Writable(conn) => match self.kind {
                Kind::Bulk => self.fill(conn),
                Kind::Echo | Kind::Short => self.ask(conn),
            },
            ShardEvent::Readable(conn) => self.on_answer(conn),
            ShardEvent::Closed { conn, reason } if self.kind != Kind::Short => {
                self.fail(format!("{conn:?} ended: {reason:?}"));
            }
            _ => {}
        }
    }

    fn fill(&mut self, conn: ConnId) {
        loop {
            match self.client.shard.write(self.now, conn, &self.buffer) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) => return self.fail(format!("writing: {error:?}")),
            }
        }
    }

    fn ask(&mut self, conn: ConnId) {
        match self.client.shard.write(self.now, conn, &self.buffer[..MESSAGE]) {
            Ok(MESSAGE) => {}
            other => self.fail(format!("asking: {other:?}")),
        }
    }

    fn on_answer(&mut self, conn: ConnId) {
        let mut message = [0; 2 * MESSAGE];
        loop {
            match self.client.shard.read(self.now, conn, &mut message) {
                Ok(Read::Data(MESSAGE)) => {
                    self.messages += 1;
                    if self.kind == Kind::Echo {
                        self.ask(conn);
                    }
                }
                Ok(Read::Nothing) => return,
                Ok(Read::End) if self.kind == Kind::Short => {
                    // The error case is a record that is gone already: nothing is left to close.
                    let _ = self.client.shard.close(self.now, conn);
                    return self.connect();
                }
                other => return self.fail(format!("an answer: {other:?}")),
            }
        }
    }

    fn on_server(&mut self, event: ShardEvent) {
        match event {
            ShardEvent::Accepted { .. } => {
                self.server.shard.accept(self.listener);
            }
            ShardEvent::Readable(conn) => self.serve(conn),
            _ => {}
        }
    }

    fn serve(&mut self, conn: ConnId) {
        loop {
            match self.server.shard.read(self.now, conn, &mut self.buffer) {
                Ok(Read::Data(octets)) => {
                    self.octets += octets as u64;
                    if self.kind == Kind::Bulk {
                        continue;
                    }
                    let written = self.server.shard.write(self.now, conn, &self.buffer[..octets]);
                    if written != Ok(octets) {
                        return self.fail(format!("answering: {written:?}"));
                    }
                    if self.kind == Kind::Short {
                        let _ = self.server.shard.close(self.now, conn);
                        return;
                    }
                }
                Ok(Read::Nothing | Read::End) => return,
                Err(error) => return self.fail(format!("reading: {error:?}")),
            }
        }
    }
}

impl End {
    fn new(host: u8, facts: DeviceFacts, queue: WireEnd) -> Result<End, String> {
        let cidr = Cidr::new(address(host), 24).map_err(|error| format!("{error:?}"))?;
        let config = ShardConfig {
            limits: Limits { embryo_source_share: 1, ..Limits::default() },
            pool: PoolConfig { octets: 256 << 20, ..PoolConfig::default() },
            ports: 1024..=65_535,
            ..ShardConfig::new(vec![cidr], [host; 32], facts)
        };
        let shard = Shard::new(config, (), Instant::ZERO).map_err(|error| format!("{error:?}"))?;
        Ok(End { shard, queue })
    }
}

fn profile() -> Profile<AnyController> {
    let mut profile = Profile::default();
    profile.settings.no_delay = true;
    profile
}

fn address(host: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, host))
}
