//! What a shard is started with, and what a listener or an active open is given.
//!
//! Owns: `ShardConfig`, `Profile`, the errors of the calls that take them.
//! Must not know: how they are used.
//! Implements: the parameters of RFC 9293 §3.9.1.1 (MUST-43).

use crate::ports;
use crate::steer::Seat;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::ops::RangeInclusive;
use usertcp_base::{Limits, Rate};
use usertcp_cc::{CongestionController, PathStart};
use usertcp_device::DeviceFacts;
use usertcp_frame::PoolConfig;
use usertcp_ip::Cidr;
use usertcp_tcp::{Settings, SettingsShelf};
use usertcp_wire::checksum;

/// How a shard starts. No number of the protocol is here: those are in [`Limits`].
#[derive(Clone, Debug)]
pub struct ShardConfig {
    /// Our addresses, each with the length of its network's prefix.
    pub addresses: Vec<Cidr>,
    /// Ethernet only: who carries packets to other networks, the first of each family.
    pub gateways: Vec<IpAddr>,
    /// Entropy. All zeros is refused: it means that there was none (AT-19).
    pub seed: [u8; 32],
    /// Every bound.
    pub limits: Limits,
    /// Memory for packets and queues.
    pub pool: PoolConfig,
    /// Local ports for active opens that name none.
    pub ports: RangeInclusive<u16>,
    /// What the device does, and its MTU.
    pub device: DeviceFacts,
    /// Packets taken from the device in one turn.
    pub receive_batch: u16,
    /// Packets that wait for the device.
    pub transmit_batch: u16,
    /// How checksums of long payloads are computed.
    pub checksum: checksum::Engine,
    /// What all connections may send together: octets per second of packets that carry data, headers
    /// from IP on included. [`crate::Shard::set_shard_rate`] changes it.
    pub rate: Rate,
    /// Its place among several shards of one stack; `None`: it is the only one.
    pub seat: Option<Seat>,
}

impl ShardConfig {
    /// A configuration with the defaults for everything that has one.
    pub fn new(addresses: Vec<Cidr>, seed: [u8; 32], device: DeviceFacts) -> ShardConfig {
        ShardConfig {
            addresses,
            gateways: Vec::new(),
            seed,
            limits: Limits::default(),
            pool: PoolConfig::default(),
            ports: ports::DEFAULT_RANGE,
            device,
            receive_batch: 256,
            transmit_batch: 256,
            checksum: checksum::Engine::PORTABLE,
            rate: Rate::UNLIMITED,
            seat: None,
        }
    }
}

/// What a connection is born with: a listener's for what it accepts, or one active open's.
pub struct Profile<C> {
    /// Settings; the application may change them later.
    pub settings: Settings,
    /// Starts its congestion controller.
    pub controller: fn(&PathStart) -> C,
}

impl<C: CongestionController> Default for Profile<C> {
    fn default() -> Self {
        Profile { settings: Settings::default(), controller: C::start }
    }
}

impl<C> Clone for Profile<C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Profile<C> {}

/// The same, with settings that are shared by all that have equal ones.
pub(crate) struct Birth<C> {
    pub settings: Rc<Settings>,
    pub controller: fn(&PathStart) -> C,
}

impl<C> Birth<C> {
    /// Of a profile.
    pub(crate) fn of(profile: &Profile<C>, shelf: &mut SettingsShelf) -> Birth<C> {
        Birth { settings: shelf.share(&profile.settings), controller: profile.controller }
    }
}

impl<C> Clone for Birth<C> {
    fn clone(&self) -> Self {
        Birth { settings: Rc::clone(&self.settings), controller: self.controller }
    }
}

impl<C> core::fmt::Debug for Birth<C> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Birth").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl<C> core::fmt::Debug for Profile<C> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Profile").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Where and how to listen.
#[derive(Debug)]
pub struct Listen<C> {
    /// One of our addresses, or any.
    pub local: Option<IpAddr>,
    /// A port; zero for one that is free, which [`crate::Shard::listener_info`] tells; `None` for
    /// every port.
    pub port: Option<u16>,
    /// Connections that may wait to be accepted; zero counts as one.
    pub backlog: u32,
    /// What accepted connections start with.
    pub profile: Profile<C>,
}

/// Where and how to connect.
#[derive(Debug)]
pub struct Connect<C> {
    /// The peer's address.
    pub remote: IpAddr,
    /// The peer's port.
    pub remote_port: u16,
    /// One of our addresses (MUST-43), or the one the network chooses (MUST-44).
    pub local: Option<IpAddr>,
    /// A local port, or one that is free.
    pub local_port: Option<u16>,
    /// What the connection starts with.
    pub profile: Profile<C>,
}

/// Why a shard does not start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StartError {
    /// The seed is all zeros.
    NoEntropy,
}

/// Why a listener does not listen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ListenError {
    /// Another listener has this address and port (MUST-41), or no port is free.
    InUse,
    /// Not an address of ours.
    NotOurs,
}

/// Why an active open does not begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConnectError {
    /// Nobody can be at that address: unspecified, multicast, broadcast (MUST-46); or port zero.
    Remote,
    /// The local address is not ours, or of the other family; or no address of ours reaches there, or
    /// no gateway.
    Local,
    /// The four-tuple is in use, or no port is free.
    InUse,
    /// A limit of the stack: connections.
    Limit,
    /// With the local port that was asked for, the flow belongs to this shard of the stack.
    Elsewhere(u16),
}
