//! One shard, its applications, scripted peers, and the judge.
//!
//! Owns: how a packet gets in, that everything is drained after each step, the bounds that hold
//! after each step, and that nothing is left at the end.
//! Must not know: which attack it is.

use crate::choice::Choice;
use crate::forge::{Forged, content};
use crate::judge::{Holder, Judge, written};
use crate::peer::{FlowEnds, Peer};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::collections::HashMap;
use std::sync::OnceLock;
use usertcp_base::{
    ConnId, FlowKey, Instant, Limits, ListenerId, LocalIndex, Prng, Secrets, Seq, Span,
};
use usertcp_cc::{Algorithm, AnyController};
use usertcp_device::{DeviceFacts, Medium, RxBatch, TxBatch};
use usertcp_frame::{Chain, ChecksumState, Class, FrameSlice, Packet, PoolConfig};
use usertcp_ip::{Cidr, remote_address};
use usertcp_sim::view::{View, on_the_wire};
use usertcp_stack::{
    Connect, FastOpenListen, Listen, Profile, Read, Shard, ShardConfig, ShardEvent, isn,
};
use usertcp_tcp::Settings;
use usertcp_wire::tcp::{Flags, Options, Timestamps};

/// Where the shard listens.
pub const PORT: u16 = 80;
/// The first peer's port.
pub const PEER_PORT: u16 = 1000;
/// When everything begins.
pub const START: Instant = Instant::from_millis(1_000_000);
/// MTU of the shard's interface.
pub const MTU: u16 = 1500;
/// Packets one step may bring about: more is a storm.
const MOST_PACKETS: usize = 100_000;
/// Deadlines one step may bring about.
const MOST_TURNS: usize = 100_000;

/// How an arena starts.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Bounds.
    pub limits: Limits,
    /// Memory.
    pub pool_octets: usize,
    /// The device cuts super-packets.
    pub offload: bool,
    /// Profile of everything.
    pub settings: Settings,
    /// Congestion control.
    pub algorithm: Algorithm,
    /// Connections that may wait to be accepted.
    pub backlog: u32,
    /// Listeners take data on SYNs (RFC 7413), and how.
    pub fast_open: Option<FastOpenListen>,
    /// The first connection's own numbers begin just below 2^32.
    pub wrapping: bool,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            limits: Limits { connections: 256, hot_connections: 128, ..Limits::default() },
            pool_octets: 8 << 20,
            offload: false,
            settings: Settings::default(),
            algorithm: Algorithm::Cubic,
            backlog: 16,
            fast_open: None,
            wrapping: false,
        }
    }
}

/// What an application does about messages that arrive whole ([`Shard::poll_message`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Messages {
    /// It waits for events, and reads when it likes.
    #[default]
    Leaves,
    /// It takes them, and reads what does not come so.
    Takes,
    /// It also accepts at once, answers each with up to 199 octets, and closes its side behind the last.
    Answers,
}

/// A connection as its application sees it.
#[derive(Clone, Debug)]
pub struct Handle {
    /// The handle, which may be stale.
    pub conn: ConnId,
    /// The flow.
    pub ends: FlowEnds,
    /// Octets written.
    pub written: u32,
    /// Octets read.
    pub read: u32,
    /// Where the peer's data may begin, as far as was read; `None` before the first octet.
    starts: Option<Vec<Seq>>,
    /// Its end was told.
    pub over: bool,
}

/// The arena.
pub struct Arena {
    /// The shard.
    pub shard: Shard<AnyController, ()>,
    /// The time.
    pub now: Instant,
    /// Peers.
    pub peers: Vec<Peer>,
    /// Applications.
    pub handles: Vec<Handle>,
    /// Listeners.
    pub listeners: Vec<ListenerId>,
    /// Slices an application holds on to.
    pub held: Vec<FrameSlice>,
    /// What the applications do about messages.
    pub messages: Messages,
    /// Look at every segment. Off for floods: a look costs a walk over all connections.
    pub judging: bool,
    /// Packets and octets that went in and came out.
    pub traffic: Traffic,
    profile: Profile<AnyController>,
    backlog: u32,
    fast_open: Option<FastOpenListen>,
    judge: Judge,
    limits: Limits,
}

/// Sums at the IP level, and of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets in.
    pub packets_in: u64,
    /// Octets in.
    pub octets_in: u64,
    /// Packets out.
    pub packets_out: u64,
    /// Octets out.
    pub octets_out: u64,
    /// Resets out.
    pub resets_out: u64,
    /// Messages taken whole.
    pub messages_taken: u64,
    /// Of those, answered with one look.
    pub messages_answered: u64,
}

/// The shard's address.
pub const fn ours(v6: bool) -> IpAddr {
    if v6 {
        IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1))
    } else {
        IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1))
    }
}

/// A peer's address.
pub const fn theirs(v6: bool, host: u8) -> IpAddr {
    if v6 {
        IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 1, host as u16))
    } else {
        IpAddr::V4(Ipv4Addr::new(10, 0, 1, host))
    }
}

/// What a modern peer offers.
pub fn modern() -> Options {
    Options {
        mss: Some(1460),
        scale: Some(7),
        sack_permitted: true,
        timestamps: Some(Timestamps { value: 1, echo: 0 }),
        ..Options::default()
    }
}

fn entropy(wrapping: bool) -> [u8; 32] {
    static NEAR_WRAP: OnceLock<[u8; 32]> = OnceLock::new();
    if !wrapping {
        return [7; 32];
    }
    *NEAR_WRAP.get_or_init(|| {
        let flow = FlowKey {
            remote: remote_address(theirs(false, 1)),
            local: LocalIndex(0),
            remote_port: PEER_PORT,
            local_port: PORT,
        };
        let mut prng = Prng::from_seed(1);
        loop {
            let mut seed = [0; 32];
            for chunk in seed.chunks_exact_mut(8) {
                chunk.copy_from_slice(&prng.next_u64().to_le_bytes());
            }
            let Some(secrets) = Secrets::from_seed(seed) else { continue };
            if isn::Numbers::of(&secrets, &flow, START).initial_sequence.0 > u32::MAX - 4000 {
                return seed;
            }
        }
    })
}

impl Arena {
    /// A shard with one listener.
    pub fn new(setup: &Setup) -> Arena {
        let facts = if setup.offload {
            DeviceFacts::offloading(Medium::Ip, MTU)
        } else {
            DeviceFacts::plain(Medium::Ip, MTU)
        };
        let cidr = |v6, prefix| match Cidr::new(ours(v6), prefix) {
            Ok(cidr) => cidr,
            Err(error) => panic!("{error:?}"),
        };
        let addresses = vec![cidr(false, 8), cidr(true, 64)];
        let mut config = ShardConfig::new(addresses, entropy(setup.wrapping), facts);
        config.pool = PoolConfig { octets: setup.pool_octets, ..PoolConfig::default() };
        config.limits = setup.limits.clone();
        let shard = match Shard::new(config, (), START) {
            Ok(shard) => shard,
            Err(error) => panic!("{error:?}"),
        };
        let controller = match setup.algorithm {
            Algorithm::Reno => |start: &_| AnyController::start_with(Algorithm::Reno, start),
            Algorithm::Cubic => |start: &_| AnyController::start_with(Algorithm::Cubic, start),
        };
        let mut arena = Arena {
            shard,
            now: START,
            peers: Vec::new(),
            handles: Vec::new(),
            listeners: Vec::new(),
            held: Vec::new(),
            messages: Messages::default(),
            judging: true,
            traffic: Traffic::default(),
            profile: Profile { settings: setup.settings, controller },
            backlog: setup.backlog,
            fast_open: setup.fast_open,
            judge: Judge::new(MTU, setup.limits.smallest_mss_octets),
            limits: setup.limits.clone(),
        };
        arena.listen(Some(PORT));
        arena
    }

    /// A further listener.
    pub fn listen(&mut self, port: Option<u16>) {
        let listen = Listen { local: None, port, backlog: self.backlog, profile: self.profile };
        if let Ok(listener) = self.shard.listen(&listen) {
            self.shard.set_fast_open(listener, self.fast_open);
            self.listeners.push(listener);
        }
    }

    /// A peer of its own address and port, which has not spoken yet.
    pub fn add_peer(&mut self, v6: bool, host: u8, port: u16, isn: Seq, offered: Options) -> usize {
        let ends = ((theirs(v6, host), port), (ours(v6), PORT));
        self.peers.push(Peer::new(ends, isn, offered));
        self.peers.len() - 1
    }

    /// A SYN of one more peer.
    pub fn add_syn(&mut self, host: u8) -> Forged {
        let peer = self.add_peer(false, host, PEER_PORT, Seq(7_000), modern());
        self.peers[peer].synchronise()
    }

    /// The peer opens a connection by the book.
    pub fn open(&mut self, peer: usize) {
        let syn = self.peers[peer].synchronise();
        self.give(&syn);
        let ack = self.peers[peer].polite(Flags::NONE, 0);
        self.give(&ack);
    }

    /// A peer with everything modern, open; and the handle it was accepted with.
    pub fn opened(&mut self, host: u8) -> (usize, ConnId) {
        let peer = self.add_peer(false, host, PEER_PORT, Seq(7_000), modern());
        self.open(peer);
        match self.accept() {
            Some(conn) => (peer, conn),
            None => panic!("nobody was accepted"),
        }
    }

    /// The application takes what waits at any listener.
    pub fn accept(&mut self) -> Option<ConnId> {
        let shard = &mut self.shard;
        let conn = self.listeners.iter().find_map(|listener| shard.accept(*listener))?;
        self.own(conn);
        Some(conn)
    }

    /// The application opens a connection to a peer.
    pub fn connect(&mut self, remote: (IpAddr, u16), local_port: Option<u16>) -> Option<ConnId> {
        let (remote, remote_port) = remote;
        let to = Connect { remote, remote_port, local: None, local_port, profile: self.profile };
        let conn = self.shard.connect(self.now, &to).ok()?;
        self.own(conn);
        self.settle();
        Some(conn)
    }

    fn own(&mut self, conn: ConnId) {
        let Ok(info) = self.shard.info(self.now, conn) else { return };
        let pair = |address: core::net::SocketAddr| (address.ip(), address.port());
        let ends = (pair(info.remote), pair(info.local));
        self.handles.push(Handle { conn, ends, written: 0, read: 0, starts: None, over: false });
    }

    /// A forged segment arrives.
    pub fn give(&mut self, forged: &Forged) {
        self.give_packet(&forged.packet());
    }

    /// A packet arrives, and everything it brings about happens.
    pub fn give_packet(&mut self, octets: &[u8]) {
        self.give_as(octets, ChecksumState::Unverified, &mut Choice::new(&[]));
    }

    /// A packet arrives with the device's word for its checksum, in pieces of sizes chosen.
    pub fn give_as(&mut self, octets: &[u8], checksum: ChecksumState, sizes: &mut Choice<'_>) {
        let mut batch = RxBatch::new(1);
        if self.put(&mut batch, octets, checksum, sizes) {
            self.shard.handle_frames(self.now, &mut batch);
            self.settle();
        }
    }

    /// Segments arrive in one burst, as a device hands them over.
    pub fn give_burst(&mut self, burst: &[Forged], checksum: ChecksumState) {
        let mut batch = RxBatch::new(burst.len());
        for forged in burst {
            self.put(&mut batch, &forged.packet(), checksum, &mut Choice::new(&[]));
        }
        self.shard.handle_frames(self.now, &mut batch);
        self.settle();
    }

    /// Puts a packet into a burst; whether there was a frame for it.
    fn put(
        &mut self,
        batch: &mut RxBatch,
        octets: &[u8],
        checksum: ChecksumState,
        sizes: &mut Choice<'_>,
    ) -> bool {
        self.note_given(octets);
        self.traffic.packets_in += 1;
        self.traffic.octets_in += octets.len() as u64;
        let Some(chain) = self.in_frames(octets, sizes) else { return false };
        let mut packet = Packet::plain(chain);
        packet.offload.checksum = checksum;
        assert!(batch.push(packet).is_ok());
        true
    }

    /// The judge is to know of a packet that goes in by another way, in fragments for example.
    pub fn note_given(&mut self, octets: &[u8]) {
        if self.judging
            && let Some(Ok(view)) = View::parse(octets)
        {
            let payload = &octets[view.payload_at..][..view.payload_octets as usize];
            self.judge.on_given(&view, payload);
        }
    }

    fn in_frames(&self, octets: &[u8], sizes: &mut Choice<'_>) -> Option<Chain> {
        let mut chain = Chain::new();
        let mut rest = octets;
        while !rest.is_empty() {
            let class = sizes.of([Class::Full, Class::Small, Class::Full, Class::Large]);
            let most = match sizes.below(4) {
                0 => usize::MAX,
                _ => 1 + sizes.below(100) as usize,
            };
            let mut frame = self.shard.pool().take(class, sizes.below(64) as usize)?;
            let taken = frame.extend(&rest[..rest.len().min(most)]);
            rest = &rest[taken..];
            chain.push_back(frame.into_slice());
        }
        Some(chain)
    }

    /// Time passes without a packet.
    pub fn pass(&mut self, span: Span) {
        self.now = self.now + span;
        if span >= Span::from_secs(1_000_000) {
            // Timestamps compare within 2^31 milliseconds only.
            self.judge.forget_stamps();
        }
        self.settle();
    }

    /// Time passes from deadline to deadline, as a real driver would see it.
    pub fn run(&mut self, span: Span) {
        let end = self.now + span;
        for _ in 0..MOST_TURNS {
            match self.shard.next_deadline() {
                Some(next) if next <= end => self.now = next.max(self.now),
                _ => {
                    self.now = end;
                    return self.settle();
                }
            }
            self.settle();
        }
        panic!("too many deadlines in {span:?}: {:?}", self.shard.usage());
    }

    /// Handles what is due, drains packets and events, and checks every bound.
    pub fn settle(&mut self) {
        let mut turns = 0;
        while !self.shard.handle_deadlines(self.now, 1024) {
            turns += 1;
            if turns == 999 {
                for conn in self.shard.connections() {
                    eprintln!("{conn:?} {:?}", self.shard.info(self.now, conn));
                }
            }
            assert!(
                turns < 1000,
                "deadlines without end at {:?}: next {:?} {:?}",
                self.now,
                self.shard.next_deadline(),
                self.shard.usage()
            );
        }
        self.drain();
        self.check();
    }

    /// Events are told and packets leave, until there are none of either.
    fn drain(&mut self) {
        let mut packets = 0;
        loop {
            self.tell();
            let sent = self.transmit();
            packets += sent;
            assert!(packets < MOST_PACKETS, "a storm at {:?}", self.now);
            if sent == 0 {
                return;
            }
        }
    }

    /// How many packets left.
    fn transmit(&mut self) -> usize {
        let mut packets = 0;
        let mut batch = TxBatch::new(64);
        loop {
            let holders = if self.judging { self.holders() } else { HashMap::new() };
            self.shard.poll_transmit(self.now, &mut batch);
            if batch.is_empty() {
                if self.judging {
                    self.judge.retain(&holders);
                }
                return packets;
            }
            packets += batch.len();
            assert!(packets < MOST_PACKETS, "a storm at {:?}", self.now);
            while let Some(packet) = batch.pop() {
                for octets in on_the_wire(&packet) {
                    self.look(&octets, &holders);
                }
            }
        }
    }

    /// Tells the applications what happened.
    fn tell(&mut self) {
        loop {
            while self.messages != Messages::Leaves && self.take_message() {}
            match self.shard.poll_event() {
                Some(ShardEvent::Closed { conn, .. }) => {
                    for handle in self.handles.iter_mut().filter(|handle| handle.conn == conn) {
                        handle.over = true;
                    }
                }
                Some(ShardEvent::Accepted { .. }) if self.messages == Messages::Answers => {
                    self.accept();
                }
                Some(ShardEvent::Readable(conn)) if self.messages != Messages::Leaves => {
                    self.read_all(conn);
                }
                Some(_) => {}
                None => return,
            }
        }
    }

    /// The application reads what is there, which is judged.
    fn read_all(&mut self, conn: ConnId) {
        let Some(handle) = self.handles.iter_mut().find(|handle| handle.conn == conn) else {
            return;
        };
        let mut buffer = [0; 4096];
        while let Ok(Read::Data(count)) = self.shard.read(self.now, conn, &mut buffer) {
            let starts = self.judge.starts(&handle.ends).filter(|_| self.judging);
            handle.judge(&buffer[..count], starts);
        }
    }

    /// An application takes the next message, which is judged, and perhaps answers; whether there was one.
    fn take_message(&mut self) -> bool {
        let Some(mut message) = self.shard.poll_message(self.now) else { return false };
        self.traffic.messages_taken += 1;
        let conn = message.stream.id();
        let Some(handle) = self.handles.iter_mut().find(|handle| handle.conn == conn) else {
            panic!("a message of {conn:?}, which nobody accepted");
        };
        let starts = self.judge.starts(&handle.ends).filter(|_| self.judging);
        handle.judge(&message.octets, starts);
        if self.messages != Messages::Answers {
            return true;
        }
        let (octets, last) = (message.octets.len() % 200, message.last);
        let answer: Vec<u8> = (0..octets as u32).map(|at| written(handle.written + at)).collect();
        let taken = if message.stream.write_short(&answer) {
            self.traffic.messages_answered += 1;
            octets
        } else {
            self.shard.write(self.now, conn, &answer).unwrap_or(0)
        };
        handle.written += taken as u32;
        if last {
            let _ = self.shard.shutdown_write(self.now, conn);
        }
        true
    }

    /// Connections with a TCB by flow.
    fn holders(&self) -> HashMap<FlowEnds, Holder> {
        let mut holders = HashMap::new();
        for conn in self.shard.connections() {
            let Ok(info) = self.shard.info(self.now, conn) else { continue };
            let pair = |address: core::net::SocketAddr| (address.ip(), address.port());
            if let Some(figures) = info.figures {
                holders.insert((pair(info.remote), pair(info.local)), Holder { conn, figures });
            }
        }
        holders
    }

    fn look(&mut self, octets: &[u8], holders: &HashMap<FlowEnds, Holder>) {
        self.traffic.packets_out += 1;
        self.traffic.octets_out += octets.len() as u64;
        let view = match View::parse(octets) {
            None => return,
            Some(Ok(view)) => view,
            Some(Err(reason)) => panic!("the shard sent what nobody can read: {reason:?}"),
        };
        self.traffic.resets_out += u64::from(view.has(Flags::RST));
        let ends = (view.destination, view.source);
        if self.judging {
            self.judge.on_sent(octets, &view, holders.get(&ends));
        }
        let room = self.peers.len() < 32;
        match self.peers.iter_mut().find(|peer| peer.ends == ends) {
            Some(peer) => peer.on_sent(&view),
            // The application calls: somebody is there.
            None if view.header.flags == Flags::SYN && room => {
                let isn = Seq(view.header.seq.0.wrapping_mul(31));
                let mut peer = Peer::new(ends, isn, modern());
                peer.on_sent(&view);
                self.peers.push(peer);
            }
            None => {}
        }
    }

    fn check(&self) {
        let usage = self.shard.usage();
        assert!(usage.anchors <= self.limits.connections, "{usage:?}");
        assert!(usage.tcbs <= self.limits.hot_connections, "{usage:?}");
        assert!(usage.time_waits <= self.limits.time_wait.min(usage.anchors), "{usage:?}");
        assert!(usage.timers <= usage.anchors && usage.demux <= usage.anchors, "{usage:?}");
        let stats = self.shard.pool().stats();
        assert!(stats.used_octets <= stats.budget_octets, "{stats:?}");
        if let Some(next) = self.shard.next_deadline() {
            assert!(next > self.now, "due at {next:?} still at {:?}", self.now);
        }
    }

    /// The application writes `octets` of its stream; how many were taken.
    pub fn write(&mut self, index: usize, octets: usize) -> usize {
        let Some(handle) = self.handles.get_mut(index) else { return 0 };
        let data: Vec<u8> = (0..octets as u32).map(|at| written(handle.written + at)).collect();
        let taken = self.shard.write(self.now, handle.conn, &data).unwrap_or(0);
        handle.written += taken as u32;
        self.settle();
        taken
    }

    /// The same in frames of the application's own.
    pub fn write_chain(&mut self, index: usize, octets: usize, piece: usize) {
        let Some(handle) = self.handles.get_mut(index) else { return };
        let data: Vec<u8> = (0..octets as u32).map(|at| written(handle.written + at)).collect();
        let mut chain = Chain::new();
        for piece in data.chunks(piece.clamp(1, 1900)) {
            let Some(slice) = self.shard.pool().copy_of(piece, 120) else { return };
            chain.push_back(slice);
        }
        if self.shard.write_chain(self.now, handle.conn, chain).is_ok() {
            handle.written += octets as u32;
        }
        self.settle();
    }

    /// The application reads up to `most` octets, which are judged.
    pub fn read(&mut self, index: usize, most: usize) -> usize {
        let Some(handle) = self.handles.get_mut(index) else { return 0 };
        let mut buffer = vec![0; most];
        let count = match self.shard.read(self.now, handle.conn, &mut buffer) {
            Ok(Read::Data(count)) => count,
            _ => 0,
        };
        let starts = self.judge.starts(&handle.ends).filter(|_| self.judging);
        handle.judge(&buffer[..count], starts);
        self.settle();
        count
    }

    /// The application takes one slice, and keeps it or not.
    pub fn read_slice(&mut self, index: usize, keep: bool) {
        let Some(handle) = self.handles.get_mut(index) else { return };
        if let Ok(Read::Data(slice)) = self.shard.read_slice(self.now, handle.conn) {
            let starts = self.judge.starts(&handle.ends).filter(|_| self.judging);
            handle.judge(&slice, starts);
            if keep && self.held.len() < 64 {
                self.held.push(slice);
            }
        }
        self.settle();
    }

    /// The handle's index.
    pub fn index_of(&self, conn: ConnId) -> usize {
        self.handles.iter().position(|handle| handle.conn == conn).unwrap_or(usize::MAX)
    }

    /// Everybody lets go, peers fall silent, time passes: nothing may be left.
    pub fn end(&mut self) {
        self.held.clear();
        for listener in core::mem::take(&mut self.listeners) {
            self.shard.close_listener(self.now, listener);
        }
        for handle in &self.handles {
            let _ = self.shard.close(self.now, handle.conn);
        }
        self.settle();
        self.run(Span::from_secs(4000));
        let (usage, stats) = (self.shard.usage(), self.shard.pool().stats());
        let left = (usage.anchors, usage.tcbs, usage.timers, usage.demux, usage.listeners);
        let conns: Vec<_> =
            self.shard.connections().map(|conn| self.shard.info(self.now, conn)).collect();
        assert!(left == (0, 0, 0, 0, 0), "left behind: {usage:?} {conns:?}");
        assert!(stats.used_octets == 0, "frames left behind: {stats:?}");
        assert!(self.shard.ip().stats().incomplete == 0, "fragments left behind");
    }
}

impl Handle {
    /// What was read must be what any peer would have sent at these numbers.
    fn judge(&mut self, octets: &[u8], starts: Option<Vec<Seq>>) {
        let Some(all) = starts else {
            self.read = self.read.wrapping_add(octets.len() as u32);
            return;
        };
        if octets.is_empty() {
            return;
        }
        let mut starts = self.starts.take().unwrap_or(all);
        starts.retain(|start| {
            let first = *start + self.read;
            octets.iter().enumerate().all(|(at, octet)| *octet == content(first + at as u32))
        });
        assert!(!starts.is_empty(), "read what nobody sent, at {}: {octets:?}", self.read);
        self.read = self.read.wrapping_add(octets.len() as u32);
        self.starts = Some(starts);
    }
}
