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
        }
    }

    /// The configuration of a shard.
    pub fn shard(&self) -> Result<ShardConfig, String> {
        let cidr = |(address, prefix): &(IpAddr, u8)| {
            Cidr::new(*address, *prefix).map_err(|error| format!("address: {error:?}"))
        };
        let addresses = self.addresses.iter().map(cidr).collect::<Result<Vec<_>, _>>()?;
        let facts = DeviceFacts::plain(Medium::Ip, self.mtu);
        let mut config = ShardConfig::new(addresses, [7; 32], facts);
        config.pool = PoolConfig { octets: POOL_OCTETS, ..PoolConfig::default() };
        config.limits = self.limits.clone();
        Ok(config)
    }
}
