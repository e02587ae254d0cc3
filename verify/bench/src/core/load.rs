//! A client and a server application on two shards. Owns: what they do on each event.
//! Must not know: how long they are let run, or what is made of the counts.

use super::pattern::Pattern;
use super::workload::Workload;
use core::net::{IpAddr, Ipv4Addr};
use std::time;
use usertcp_base::{ConnId, Instant, Limits, ListenerId};
use usertcp_cc::AnyController;
use usertcp_device::{PipeEnd, pipe};
use usertcp_frame::{Chain, Class, FrameSlice, PoolConfig};
use usertcp_ip::Cidr;
use usertcp_stack::{Connect, Listen, Message, Profile, Read, Shard, ShardConfig, ShardEvent};

/// What the two do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The client sends without end; every octet is copied in by the writer and out by the reader.
    Bulk,
    /// The client sends frames of its own without end; the reader takes frames.
    Lent,
    /// The client sends a message and waits for it to come back, again and again.
    Echo,
    /// The same once per connection; the server closes.
    Short,
}

impl Kind {
    /// Whether it is about octets rather than messages.
    pub fn is_bulk(self) -> bool {
        matches!(self, Kind::Bulk | Kind::Lent)
    }
}

/// How a load is run.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// What the shards take the time from.
    pub clock: Clock,
    /// Every octet is one of a pattern, and looked at where it arrives.
    pub verify: bool,
    /// Octets of each send and receive buffer; 0: they size themselves.
    pub buffer_octets: u32,
}

/// What the shards take the time from.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The time since then.
    Real(time::Instant),
    /// What the work done would take, so that a slow observer does not make timers expire.
    Virtual,
}

const PORT: u16 = 80;
/// Octets of a message.
const MESSAGE: usize = 64;
/// Octets the application reads or writes at a time.
const BUFFER: usize = 64 << 10;
/// Octets of a frame that is lent: full segments, so that few are cut.
const LENT: usize = 45 * 1448;
/// Messages under way at the same time at most: with more, the wait is longer than the least
/// retransmission timeout.
const UNDER_WAY: usize = 10_000;
/// Connections from one address, of the some 64,000 its ports would allow.
const PER_ADDRESS: u32 = 50_000;
/// Packets on their way in one direction at most.
const WIRE: usize = 1024;

type TheShard = Shard<AnyController, ()>;

struct End {
    shard: TheShard,
    queue: PipeEnd,
}

/// Both, running.
pub struct Load {
    kind: Kind,
    client: End,
    server: End,
    listener: ListenerId,
    profile: Profile<AnyController>,
    clock: Clock,
    now: Instant,
    steps: u64,
    buffer: Vec<u8>,
    /// What is asked where nobody looks at it.
    request: [u8; MESSAGE],
    lent: Option<FrameSlice>,
    pattern: Option<Pattern>,
    /// Whether there are more connections than messages under way: then all of them are here, and
    /// whose turn it is.
    in_turns: bool,
    clients: Vec<ConnId>,
    next: usize,
    /// Octets the server read.
    pub octets: u64,
    /// Messages the client got back.
    pub messages: u64,
    /// The first thing that went wrong.
    pub problem: Option<String>,
}

impl Load {
    /// Two shards over a wire, and connections between them.
    pub fn start(workload: &Workload, manner: Manner) -> Result<Load, String> {
        let Workload { kind, connections, facts, .. } = *workload;
        let (near, far) = pipe(facts, WIRE);
        let client = End::new(1, workload, near)?;
        let mut server = End::new(0, workload, far)?;
        let mut profile = Profile::default();
        profile.settings.no_delay = true;
        profile.settings.send_buffer_octets = manner.buffer_octets;
        profile.settings.receive_buffer_octets = manner.buffer_octets;
        let listen =
            Listen { local: None, port: Some(PORT), backlog: connections.max(1024), profile };
        let listener = server.shard.listen(&listen).map_err(|error| format!("{error:?}"))?;
        let pattern = manner.verify.then(Pattern::default);
        let lent = (kind == Kind::Lent).then(|| lent(&client.shard, pattern.as_ref()));
        let mut load = Load {
            kind,
            client,
            server,
            listener,
            profile,
            clock: manner.clock,
            now: Instant::ZERO,
            steps: 0,
            buffer: vec![0x5A; BUFFER],
            request: [0x5A; MESSAGE],
            lent: lent.transpose()?,
            pattern,
            in_turns: connections as usize > UNDER_WAY,
            clients: Vec::new(),
            next: 0,
            octets: 0,
            messages: 0,
            problem: None,
        };
        load.dial_all(connections)?;
        Ok(load)
    }

    fn dial_all(&mut self, connections: u32) -> Result<(), String> {
        for opened in 0..connections {
            self.connect(opened / PER_ADDRESS);
            if opened % 64 == 63 {
                self.step();
            }
        }
        if self.in_turns {
            while self.clients.len() < connections as usize && self.problem.is_none() {
                self.step();
            }
            for at in 0..UNDER_WAY {
                self.next = at;
                self.ask(self.clients[at]);
            }
        }
        self.problem.clone().map_or(Ok(()), Err)
    }

    /// A turn of each.
    pub fn step(&mut self) {
        self.now = match self.clock {
            Clock::Real(began) => {
                Instant::from_micros(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX))
            }
            // A packet takes half a microsecond; a turn without one is not for nothing either.
            Clock::Virtual => Instant::from_micros(self.steps + self.packets() / 2),
        };
        self.steps += 1;
        let _ = self.client.shard.receive(self.now, &mut self.client.queue);
        self.drain_client();
        self.client.shard.flush(self.now, &mut self.client.queue);
        let _ = self.server.shard.receive(self.now, &mut self.server.queue);
        self.drain_server();
        self.server.shard.flush(self.now, &mut self.server.queue);
    }

    /// What the client's application does with what arrived: an answer that came whole is looked at where it lies,
    /// and the next request is written at once.
    fn drain_client(&mut self) {
        loop {
            while let Some(message) = self.client.shard.poll_message(self.now) {
                let Message { octets, last, mut stream } = message;
                let conn = stream.id();
                if !is_answer(&self.pattern, conn, &octets) {
                    return self.fail("a wrong answer".into());
                }
                self.messages += 1;
                if self.kind != Kind::Echo {
                    if last {
                        let closed = stream.close();
                        drop(octets);
                        self.on_last(conn, closed);
                    }
                } else if self.in_turns {
                    drop(octets);
                    self.ask_next();
                } else if !stream.write_short(request(&mut self.pattern, &self.request, conn)) {
                    return self.fail("a request was not taken".into());
                }
            }
            let Some(event) = self.client.shard.poll_event() else { return };
            self.on_client(event);
        }
    }

    /// The same of the server's, which sends back what came.
    fn drain_server(&mut self) {
        // Octets of the other kinds are not messages.
        let talks = !self.kind.is_bulk();
        loop {
            while talks && let Some(message) = self.server.shard.poll_message(self.now) {
                let Message { octets, mut stream, .. } = message;
                self.octets += octets.len() as u64;
                let request = octets.first_chunk::<MESSAGE>();
                let whole = request.filter(|_| octets.len() == MESSAGE);
                if !whole.is_some_and(|request| stream.write_short(request)) {
                    return self.fail("an answer was not taken".into());
                }
                let conn = stream.id();
                if self.kind == Kind::Short && !stream.close() {
                    let _ = self.server.shard.close(self.now, conn);
                }
            }
            let Some(event) = self.server.shard.poll_event() else { return };
            self.on_server(event);
        }
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

    /// Octets that were copied on both sides: in and out of frames, and inside the stack.
    pub fn copied(&self) -> u64 {
        let copied =
            |end: &End| end.shard.pool().stats().octets_copied + end.shard.counters().octets_copied;
        copied(&self.client) + copied(&self.server)
    }

    fn fail(&mut self, what: String) {
        self.problem.get_or_insert(what);
    }

    fn connect(&mut self, address_index: u32) {
        let to = Connect {
            remote: address(0, 0),
            remote_port: PORT,
            local: Some(address(1, address_index)),
            local_port: None,
            profile: self.profile,
        };
        if let Err(error) = self.client.shard.connect(self.now, &to) {
            self.fail(format!("connecting: {error:?}"));
        }
    }

    fn on_client(&mut self, event: ShardEvent) {
        match event {
            ShardEvent::Connected(conn) => match self.kind {
                Kind::Bulk => self.fill(conn),
                Kind::Lent => self.lend(conn),
                // Whose turn it is is seen when all are there.
                Kind::Echo if self.in_turns => self.clients.push(conn),
                Kind::Echo | Kind::Short => self.ask(conn),
            },
            ShardEvent::Writable(conn) => match self.kind {
                Kind::Bulk => self.fill(conn),
                Kind::Lent => self.lend(conn),
                Kind::Echo | Kind::Short => {}
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
            let octets = match &self.pattern {
                Some(pattern) => pattern.next(conn, BUFFER),
                None => &self.buffer,
            };
            match self.client.shard.write(self.now, conn, octets) {
                Ok(0) => return,
                Ok(taken) => {
                    if let Some(pattern) = &mut self.pattern {
                        pattern.sent(conn, taken);
                    }
                }
                Err(error) => return self.fail(format!("writing: {error:?}")),
            }
        }
    }

    fn lend(&mut self, conn: ConnId) {
        let Some(frame) = &self.lent else { return };
        loop {
            let mut chain = Chain::default();
            chain.push_back(frame.slice(..));
            match self.client.shard.write_chain(self.now, conn, chain) {
                Ok(()) => {}
                Err(refused) => {
                    if let Some(error) = refused.error {
                        self.fail(format!("lending: {error:?}"));
                    }
                    return;
                }
            }
        }
    }

    fn ask(&mut self, conn: ConnId) {
        let octets = request(&mut self.pattern, &self.request, conn);
        match self.client.shard.write(self.now, conn, octets) {
            Ok(MESSAGE) => {}
            other => self.fail(format!("asking: {other:?}")),
        }
    }

    /// The next request, by whoever's turn it is.
    fn ask_next(&mut self) {
        self.next = (self.next + 1) % self.clients.len();
        self.ask(self.clients[self.next]);
    }

    fn on_message(&mut self, conn: ConnId, message: &[u8]) {
        if !is_answer(&self.pattern, conn, message) {
            return self.fail("a wrong answer".into());
        }
        self.messages += 1;
        match self.kind {
            Kind::Echo if self.in_turns => self.ask_next(),
            Kind::Echo => self.ask(conn),
            _ => {}
        }
    }

    fn on_answer(&mut self, conn: ConnId) {
        let mut message = [0; 2 * MESSAGE];
        loop {
            match self.client.shard.read(self.now, conn, &mut message) {
                Ok(Read::Data(octets)) => self.on_message(conn, &message[..octets]),
                Ok(Read::Nothing) => return,
                Ok(Read::End) if self.kind == Kind::Short => return self.on_end(conn),
                other => return self.fail(format!("an answer: {other:?}")),
            }
        }
    }

    /// A short connection was closed by the server: the next one.
    fn on_end(&mut self, conn: ConnId) {
        self.on_last(conn, false);
    }

    /// The same, and the connection is `closed` on our side too, or that is still to be done.
    fn on_last(&mut self, conn: ConnId, closed: bool) {
        if let Some(pattern) = &mut self.pattern {
            pattern.forget(conn);
        }
        if !closed {
            // The error case is a record that is gone already: nothing is left to close.
            let _ = self.client.shard.close(self.now, conn);
        }
        self.connect(0);
    }

    fn on_server(&mut self, event: ShardEvent) {
        match event {
            ShardEvent::Accepted { .. } => {
                self.server.shard.accept(self.listener);
            }
            ShardEvent::Readable(conn) => match self.kind {
                Kind::Bulk => self.drain(conn),
                Kind::Lent => self.take(conn),
                Kind::Echo | Kind::Short => self.serve(conn),
            },
            _ => {}
        }
    }

    fn drain(&mut self, conn: ConnId) {
        loop {
            match self.server.shard.read(self.now, conn, &mut self.buffer) {
                Ok(Read::Data(octets)) => {
                    self.octets += octets as u64;
                    let arrived = &self.buffer[..octets];
                    if !self.pattern.as_mut().is_none_or(|pattern| pattern.arrives(conn, arrived)) {
                        return self.fail("wrong octets arrived".into());
                    }
                }
                Ok(Read::Nothing | Read::End) => return,
                Err(error) => return self.fail(format!("reading: {error:?}")),
            }
        }
    }

    fn take(&mut self, conn: ConnId) {
        loop {
            match self.server.shard.read_slice(self.now, conn) {
                Ok(Read::Data(slice)) => {
                    self.octets += slice.len() as u64;
                    if !self.pattern.as_mut().is_none_or(|pattern| pattern.arrives(conn, &slice)) {
                        return self.fail("wrong octets arrived".into());
                    }
                }
                Ok(Read::Nothing | Read::End) => return,
                Err(error) => return self.fail(format!("reading: {error:?}")),
            }
        }
    }

    fn serve(&mut self, conn: ConnId) {
        loop {
            match self.server.shard.read(self.now, conn, &mut self.buffer) {
                Ok(Read::Data(octets)) => {
                    self.answer(conn, octets);
                    if self.kind == Kind::Short {
                        return;
                    }
                }
                Ok(Read::Nothing | Read::End) => return,
                Err(error) => return self.fail(format!("reading: {error:?}")),
            }
        }
    }

    /// Sends back what is in the buffer.
    fn answer(&mut self, conn: ConnId, octets: usize) {
        self.octets += octets as u64;
        let written = self.server.shard.write(self.now, conn, &self.buffer[..octets]);
        if written != Ok(octets) {
            return self.fail(format!("answering: {written:?}"));
        }
        if self.kind == Kind::Short {
            let _ = self.server.shard.close(self.now, conn);
        }
    }
}

/// The next request of a connection, or whatever octets of its length.
fn request<'a>(pattern: &'a mut Option<Pattern>, any: &'a [u8; MESSAGE], conn: ConnId) -> &'a [u8] {
    match pattern {
        Some(pattern) => {
            pattern.sent(conn, MESSAGE);
            pattern.last(conn, MESSAGE)
        }
        None => any,
    }
}

/// Whether a message is the answer to the connection's last request.
fn is_answer(pattern: &Option<Pattern>, conn: ConnId, message: &[u8]) -> bool {
    let right = |pattern: &Pattern| pattern.last(conn, MESSAGE) == message;
    message.len() == MESSAGE && pattern.as_ref().is_none_or(right)
}

impl End {
    fn new(side: u8, workload: &Workload, queue: PipeEnd) -> Result<End, String> {
        let Workload { connections, facts, time_waits, .. } = *workload;
        let count = if side == 0 { 1 } else { connections.div_ceil(PER_ADDRESS) };
        let cidr =
            |index| Cidr::new(address(side, index), 16).map_err(|error| format!("{error:?}"));
        let addresses = (0..count).map(cidr).collect::<Result<Vec<_>, _>>()?;
        let default = Limits::default();
        let limits = Limits {
            embryo_source_share: 1,
            connections: default.connections.max(connections + 10_000),
            hot_connections: default.hot_connections.max(connections + 10_000),
            time_wait: time_waits.unwrap_or(default.time_wait),
            ..default
        };
        let config = ShardConfig {
            limits,
            pool: PoolConfig { octets: 256 << 20, ..PoolConfig::default() },
            ports: 1024..=65_535,
            checksum: usertcp_device_linux::checksum::engine(),
            ..ShardConfig::new(addresses, [side + 1; 32], facts)
        };
        let shard = Shard::new(config, (), Instant::ZERO).map_err(|error| format!("{error:?}"))?;
        Ok(End { shard, queue })
    }
}

fn address(side: u8, index: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 1 + side, 1 + index as u8))
}

/// The frame that is lent again and again.
fn lent(shard: &TheShard, pattern: Option<&Pattern>) -> Result<FrameSlice, String> {
    let mut frame = shard.pool().take(Class::Large, 128).ok_or("no frame to lend")?;
    let octets = match pattern {
        Some(pattern) => pattern.first(LENT),
        None => &[0x5A; LENT],
    };
    if frame.extend(octets) != LENT {
        return Err("the frame to lend is too small".into());
    }
    Ok(frame.into_slice())
}
