//! Parts that need something around them: a layer, a table, a flight. Owns: what is around them.
//! Must not know: how they are timed.

use std::hint::black_box;
use std::net::Ipv4Addr;
use usertcp_base::{FlowKey, Instant, Limits, LocalIndex, Prng, RemoteAddr, Secrets, Seq, Span};
use usertcp_cc::{Algorithm, AnyController, PathStart};
use usertcp_frame::{Chain, Class, FramePool, Packet};
use usertcp_ip::{Input, Ip, IpConfig, Outgoing, remote_address};
use usertcp_stack::demux::Demux;
use usertcp_tcp::MarkReport;
use usertcp_tcp::recovery::{AckInput, Recovery, RecoverySettings, RecoveryStart};
use usertcp_wire::ipv4;

const MSS: u32 = 1448;
const OURS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const THEIRS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);

/// An IP layer, a packet for it, and a flow it may send on.
pub struct Layer {
    ip: Ip,
    packet: Packet,
    flow: FlowKey,
}

impl Layer {
    /// A layer of one address; `None` when the pool or the layer refuses, which is a fault.
    pub fn new(pool: &FramePool) -> Option<Layer> {
        let config = IpConfig {
            addresses: vec!["10.0.0.1/24".parse().ok()?],
            mtu: 1500,
            limits: Limits::default(),
            secrets: Secrets::from_seed([5; 32])?,
        };
        let header = ipv4::Header {
            dscp: 0,
            ecn: usertcp_base::Ecn::NotCapable,
            total_octets: 1500,
            identification: 7,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
            ttl: 64,
            protocol: 6,
            source: THEIRS,
            destination: OURS,
        };
        let mut frame = pool.take(Class::Full, 0)?;
        frame.extend(&ipv4::emit(&header));
        let mut segment = vec![0; 1480];
        segment[12] = 8 << 4;
        frame.extend(&segment);
        let mut chain = Chain::new();
        chain.push_back(frame.into_slice());
        let ip = Ip::new(config);
        let local = ip.local_index(OURS.into())?;
        let flow = FlowKey { remote: remote_address(THEIRS.into()), local, ..FlowKey::default() };
        Some(Layer { ip, packet: Packet::plain(chain), flow })
    }

    /// A packet in; whether it was TCP.
    pub fn input(&mut self, pool: &FramePool) -> bool {
        let packet = black_box(self.packet.clone());
        matches!(self.ip.input(Instant::from_millis(1), packet, pool), Input::Tcp(_))
    }

    /// A header out; whether it was written.
    pub fn output(&mut self, pool: &FramePool) -> bool {
        let Some(frame) = pool.take_control(64) else { return false };
        let mut slice = frame.into_slice();
        let written = self.ip.output(&self.flow, &Outgoing::default(), 1000, &mut slice);
        black_box(&slice);
        written.is_ok()
    }
}

/// A full table of connections, and strangers that look for theirs.
pub struct Strangers {
    demux: Demux,
    next: u32,
}

fn key(number: u32) -> FlowKey {
    let mut remote = [0; 16];
    remote[12..].copy_from_slice(&number.to_be_bytes());
    FlowKey { remote: RemoteAddr(remote), local: LocalIndex(0), remote_port: 1024, local_port: 80 }
}

impl Strangers {
    /// Among `count` connections.
    pub fn among(count: u32) -> Option<Strangers> {
        let mut demux = Demux::new(&Secrets::from_seed([6; 32])?);
        (0..count).all(|index| demux.insert(&key(index), index, key)).then_some(())?;
        Some(Strangers { demux, next: count })
    }

    /// The next stranger is looked for.
    pub fn look(&mut self) -> Option<u32> {
        self.next = self.next.wrapping_add(1).max(2_000_000);
        self.demux.find(&key(self.next), |index| (key(index) == key(self.next)).then_some(index))
    }
}

/// A sender with a hundred thousand segments in flight, whose peer reports four random blocks at a
/// time (AT-8).
pub struct RandomBlocks {
    recovery: Recovery,
    cc: AnyController,
    prng: Prng,
    now: Instant,
}

impl RandomBlocks {
    /// Nothing reported yet.
    pub fn new() -> RandomBlocks {
        let now = Instant::from_millis(10_000);
        let rtt = Some(Span::from_millis(100));
        let start = RecoveryStart {
            now,
            una: Seq(0),
            mss: MSS,
            sack: true,
            timestamps: false,
            rtt,
            handshake_timed_out: false,
            earlier_rtt: None,
            reorders: false,
        };
        let path =
            PathStart { now, mss_octets: MSS, rtt, handshake_lost: false, threshold_octets: None };
        let mut recovery = Recovery::new(&RecoverySettings::default(), &start);
        for _ in 0..100_000 {
            recovery.on_sent(now, MSS, MSS, false);
        }
        let cc = AnyController::start_with(Algorithm::Cubic, &path);
        RandomBlocks { recovery, cc, prng: Prng::from_seed(1), now: now + Span::from_millis(100) }
    }

    /// One acknowledgement.
    pub fn acknowledge(&mut self) -> u32 {
        let blocks: [_; 4] = std::array::from_fn(|_| {
            let left = 1 + self.prng.below(99_990) as u32;
            let right = left + 1 + self.prng.below(4) as u32;
            (Seq(left * MSS), Seq(right * MSS))
        });
        let input = AckInput {
            ack: Seq(0),
            sack: &blocks,
            echoed_at: None,
            window_changed: false,
            has_payload: false,
            new_data_ready: false,
            mss: MSS,
            marks: MarkReport::default(),
            mtu_probe: None,
        };
        let outcome = self.recovery.on_ack(self.now, &input, &mut self.cc, &mut self.prng);
        outcome.newly_sacked_octets
    }
}
