//! One shard, and a peer whose packets are made by hand.

use crate::pair::{TestShard, config, plain};
use core::net::Ipv4Addr;
use usertcp_base::{Ecn, Instant, Limits, Seq, WireWindow};
use usertcp_device::{RxBatch, TxBatch};
use usertcp_frame::{Chain, FramePool, Packet, PoolConfig};
use usertcp_stack::{Shard, ShardEvent};
use usertcp_wire::tcp::{self, EmitChecksum, Flags, Header, Options};
use usertcp_wire::{checksum, ipv4};

pub const OURS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);

/// A segment as it goes over the wire.
#[derive(Clone, Debug)]
pub struct Wire {
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
    pub header: Header,
    pub options: Options,
    pub payload: Vec<u8>,
}

/// A segment from the peer's port 1000 to our port 80.
pub fn wire(flags: Flags, seq: u32, ack: u32) -> Wire {
    Wire {
        source: PEER,
        destination: OURS,
        header: Header {
            source_port: 1000,
            destination_port: 80,
            seq: Seq(seq),
            ack: Seq(ack),
            flags,
            window: WireWindow(60_000),
            urgent: 0,
        },
        options: Options::default(),
        payload: Vec::new(),
    }
}

impl Wire {
    pub fn by(mut self, source: Ipv4Addr, port: u16) -> Wire {
        self.source = source;
        self.header.source_port = port;
        self
    }
    pub fn towards(mut self, port: u16) -> Wire {
        self.header.destination_port = port;
        self
    }
    pub fn with_payload(mut self, payload: &[u8]) -> Wire {
        self.payload = payload.to_vec();
        self
    }
    pub fn with_options(mut self, options: Options) -> Wire {
        self.options = options;
        self
    }

    pub fn octets(&self) -> Vec<u8> {
        let mut segment = vec![0; tcp::header_len(&self.options, self.header.flags)];
        let length = segment.len() + self.payload.len();
        let (source, destination) = (self.source.octets(), self.destination.octets());
        let pseudo = checksum::pseudo_v4(source, destination, tcp::PROTOCOL, length as u32);
        let sum = EmitChecksum::Full(pseudo + checksum::sum(&self.payload));
        tcp::emit(&mut segment, &self.header, &self.options, sum);
        let mut packet = ipv4::emit(&ipv4::Header {
            dscp: 0,
            ecn: Ecn::NotCapable,
            total_octets: (20 + length) as u16,
            identification: 0,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
            ttl: 64,
            protocol: tcp::PROTOCOL,
            source: self.source,
            destination: self.destination,
        })
        .to_vec();
        packet.extend(segment);
        packet.extend(&self.payload);
        packet
    }

    pub fn parse(packet: &Packet) -> Wire {
        let octets = packet.octets.to_vec();
        let (ip, ip_octets) = ipv4::parse(&octets, octets.len()).expect("sound IPv4");
        let segment = &octets[ip_octets..];
        let pseudo = checksum::pseudo_v4(
            ip.source.octets(),
            ip.destination.octets(),
            tcp::PROTOCOL,
            segment.len() as u32,
        );
        assert_eq!(checksum::finish(pseudo + checksum::sum(segment)), 0, "checksum sent");
        let (header, options, header_octets) = tcp::parse(segment, segment.len()).expect("sound");
        Wire {
            source: ip.source,
            destination: ip.destination,
            header,
            options,
            payload: segment[header_octets..].to_vec(),
        }
    }
}

/// The shard under test.
pub struct Hand {
    pub shard: TestShard,
    pub now: Instant,
    pub events: Vec<ShardEvent>,
    pool: FramePool,
}

impl Hand {
    pub fn new(limits: Limits) -> Hand {
        let shard = Shard::new(config(1, plain(), limits), (), Instant::ZERO).unwrap();
        let pool = FramePool::new(&PoolConfig::default());
        Hand { shard, now: Instant::from_millis(200_000), events: Vec::new(), pool }
    }

    /// What the shard answers to a packet.
    pub fn give_octets(&mut self, octets: &[u8]) -> Vec<Wire> {
        self.give_front(octets, octets.len())
    }

    /// The same, the packet being the first so many octets of what is in its frame.
    pub fn give_front(&mut self, octets: &[u8], packet_octets: usize) -> Vec<Wire> {
        let mut batch = RxBatch::new(1);
        let mut chain = Chain::from(self.pool.copy_of(octets, 0).unwrap());
        chain.truncate(packet_octets);
        batch.push(Packet::plain(chain)).unwrap();
        self.shard.handle_frames(self.now, &mut batch);
        self.sent()
    }

    pub fn give(&mut self, segment: &Wire) -> Vec<Wire> {
        self.give_octets(&segment.octets())
    }

    /// Lets time pass up to `now`; what the shard sends meanwhile, with its time.
    pub fn run_until(&mut self, end: Instant) -> Vec<(Instant, Wire)> {
        let mut all = Vec::new();
        while let Some(next) = self.shard.next_deadline().filter(|next| *next <= end) {
            self.now = next.max(self.now);
            assert!(self.shard.handle_deadlines(self.now, 1_000_000));
            let now = self.now;
            all.extend(self.sent().into_iter().map(|segment| (now, segment)));
        }
        self.now = end;
        all
    }

    pub fn sent(&mut self) -> Vec<Wire> {
        let mut out = Vec::new();
        let mut batch = TxBatch::new(64);
        loop {
            self.shard.poll_transmit(self.now, &mut batch);
            if batch.is_empty() {
                break;
            }
            while let Some(packet) = batch.pop() {
                out.push(Wire::parse(&packet));
            }
        }
        while let Some(event) = self.shard.poll_event() {
            self.events.push(event);
        }
        out
    }

    /// The packets that are to be sent now, as a device gets them.
    pub fn packets(&mut self) -> Vec<Packet> {
        let mut batch = TxBatch::new(64);
        self.shard.poll_transmit(self.now, &mut batch);
        core::iter::from_fn(|| batch.pop()).collect()
    }

    /// Opens a connection from the peer's `port`: our sequence number after the handshake.
    pub fn open(&mut self, port: u16) -> Seq {
        let syn = wire(Flags::SYN, 5000, 0).by(PEER, port);
        let answer = self.give(&syn).remove(0);
        assert_eq!(answer.header.flags, Flags::SYN | Flags::ACK);
        let ack = wire(Flags::ACK, 5001, answer.header.seq.0.wrapping_add(1)).by(PEER, port);
        assert_eq!(self.give(&ack).len(), 0);
        answer.header.seq + 1
    }
}
