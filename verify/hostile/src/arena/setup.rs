//! How an arena begins: its shard, its bounds, the addresses in it.
//!
//! Owns: what can be chosen of it, and the secrets by which sequence numbers begin where they are wanted.
//! Must not know: what happens in it.

use super::{Arena, Messages, Traffic};
use crate::judge::Judge;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::OnceLock;
use usertcp_base::{FlowKey, Instant, Limits, LocalIndex, Prng, Secrets};
use usertcp_cc::{Algorithm, AnyController};
use usertcp_device::{DeviceFacts, Medium};
use usertcp_frame::PoolConfig;
use usertcp_ip::{Cidr, remote_address};
use usertcp_stack::{FastOpenListen, Profile, Shard, ShardConfig, isn};
use usertcp_tcp::Settings;
use usertcp_wire::tcp::{Options, Timestamps};

/// Where the shard listens.
pub const PORT: u16 = 80;
/// The first peer's port.
pub const PEER_PORT: u16 = 1000;
/// When everything begins.
pub const START: Instant = Instant::from_millis(1_000_000);
/// MTU of the shard's interface.
pub const MTU: u16 = 1500;
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

/// The shard's secrets.
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
}
