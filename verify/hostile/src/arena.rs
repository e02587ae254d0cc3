//! One shard, its applications, scripted peers, and the judge.
//!
//! Owns: how a packet gets in, that everything is drained after each step, the bounds that hold
//! after each step, and that nothing is left at the end. How it begins is in `setup`, what applications do in
//! `application`.
//! Must not know: which attack it is.

mod application;
mod setup;

pub use application::{Handle, Messages};
pub use setup::{MTU, PEER_PORT, PORT, START, Setup, modern, ours, theirs};

use crate::choice::Choice;
use crate::forge::Forged;
use crate::judge::{Holder, Judge};
use crate::peer::{FlowEnds, Peer};
use std::collections::HashMap;
use usertcp_base::{ConnId, Instant, Limits, ListenerId, Seq, Span};
use usertcp_cc::AnyController;
use usertcp_device::{RxBatch, TxBatch};
use usertcp_frame::{Chain, ChecksumState, Class, FrameSlice, Packet};
use usertcp_sim::view::{View, on_the_wire};
use usertcp_stack::{FastOpenListen, Profile, Shard};
use usertcp_wire::tcp::{Flags, Options};

/// Packets one step may bring about: more is a storm.
const MOST_PACKETS: usize = 100_000;
/// Deadlines one step may bring about.
const MOST_TURNS: usize = 100_000;

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

impl Arena {
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
