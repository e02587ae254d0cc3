//! What a stack under test starts with. Owns: addresses, device, limits, settings of new sockets.
//! Must not know: sockets, scripts, how commands are written.

use core::net::IpAddr;
use usertcp_base::Limits;
use usertcp_cc::Algorithm;
use usertcp_device::{DeviceFacts, Medium};
use usertcp_frame::PoolConfig;
use usertcp_ip::Cidr;
use usertcp_stack::ShardConfig;
use usertcp_tcp::Settings;

/// Memory for packets and queues.
const POOL_OCTETS: usize = 24 << 20;
/// Connections of a script at most.
const CONNECTIONS: u32 = 64;

/// What a stack starts with.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// Our addresses, with the length of their network's prefix.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Octets of the largest packet.
    pub mtu: u16,
    /// What sockets start with.
    pub settings: Settings,
    /// Their congestion control.
    pub algorithm: Algorithm,
    /// Bounds.
    pub limits: Limits,
    /// The device cuts bursts into packets.
    pub segmentation: bool,
    /// Added to an MTU of a command: what the header of the family is longer than IPv4's.
    pub family_octets: u16,
}

impl Defaults {
    /// The stack's own defaults, with a receive buffer as large as the field's scripts assume.
    pub fn new(addresses: Vec<(IpAddr, u8)>, mtu: u16) -> Defaults {
        let limits = Limits {
            connections: CONNECTIONS,
            hot_connections: CONNECTIONS,
            receive_buffer_octets: 15_728_640,
            ..Limits::default()
        };
        Defaults {
            addresses,
            mtu,
            settings: Settings::default(),
            algorithm: Algorithm::default(),
            limits,
            segmentation: false,
            family_octets: 0,
        }
    }

    /// From now on in the manner of Linux, over a device that cuts bursts.
    pub fn use_linux(&mut self) {
        self.settings = Settings { ecn: self.settings.ecn, ..Settings::linux() };
        self.segmentation = true;
    }

    /// The MTU a command names.
    pub fn set_mtu(&mut self, mtu: u16) {
        self.mtu = mtu.saturating_add(self.family_octets);
    }

    /// Whether a stack with these cannot take over what `other` says while it runs.
    pub fn needs_restart(&self, other: &Defaults) -> bool {
        let bounds = |all: &Defaults| format!("{:?}", all.limits);
        (self.mtu, self.segmentation) != (other.mtu, other.segmentation)
            || bounds(self) != bounds(other)
    }

    /// The configuration of a shard.
    pub fn shard(&self) -> Result<ShardConfig, String> {
        let cidr = |(address, prefix): &(IpAddr, u8)| {
            Cidr::new(*address, *prefix).map_err(|error| format!("address: {error:?}"))
        };
        let addresses = self.addresses.iter().map(cidr).collect::<Result<Vec<_>, _>>()?;
        let facts = if self.segmentation {
            DeviceFacts::offloading(Medium::Ip, self.mtu)
        } else {
            DeviceFacts::plain(Medium::Ip, self.mtu)
        };
        let mut config = ShardConfig::new(addresses, [7; 32], facts);
        config.pool = PoolConfig { octets: POOL_OCTETS, ..PoolConfig::default() };
        config.limits = self.limits.clone();
        Ok(config)
    }
}
