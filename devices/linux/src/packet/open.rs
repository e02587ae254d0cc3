//! Opening packet sockets.
//! Owns: the configuration, the order of steps, what an error at each step means.
//! Must not know: how packets are read.

use super::error::OpenError;
use super::filter;
use super::queue::PacketQueue;
use super::sys::{self, Membership, Spread};
use crate::steer;
use crate::tun::address::Netlink;
use std::fs::File;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::OwnedFd;
use usertcp_device::{Device, DeviceFacts, Medium, QueueHandle, SteerRule};

/// ARPHRD_ETHER.
const ETHERNET: u16 = 1;
/// Groups a socket joins one by one; for more addresses it would join many.
const ALL_NODES: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];

/// Which interface, and how it is used. Nothing of it is changed, except that it receives more
/// than before while the sockets are open.
#[derive(Clone, Debug)]
pub struct PacketConfig {
    /// Name of the interface: an Ethernet that is up.
    pub interface: String,
    /// The stack's addresses. Frames for others stay in the kernel; those of IPv6 tell which groups
    /// to listen to. The kernel must have none of them.
    pub addresses: Vec<IpAddr>,
    /// Octets of the largest IP packet; the interface's when that is less.
    pub mtu: u16,
    /// Our own address on the link; by default the interface's.
    pub mac: Option<[u8; 6]>,
    /// Sockets, 1 to 256: one per shard. The kernel spreads flows over them by a hash of addresses and
    /// ports (PACKET_FANOUT). Answers about neighbours reach one of them only: the shards of a stack hand
    /// them on.
    pub queues: u16,
    /// Receive every frame of the wire, also those for other stations.
    pub promiscuous: bool,
    /// Send past the interface's queueing discipline: quicker where it has none to speak of, and
    /// without its fairness and back-pressure where it has.
    pub bypass_queueing: bool,
    /// Octets of packets the kernel keeps for each socket, in each direction.
    pub buffer_octets: u32,
}

impl Default for PacketConfig {
    fn default() -> PacketConfig {
        PacketConfig {
            interface: String::new(),
            addresses: Vec::new(),
            mtu: u16::MAX,
            mac: None,
            queues: 1,
            promiscuous: false,
            bypass_queueing: false,
            buffer_octets: 16 << 20,
        }
    }
}

impl PacketConfig {
    /// A configuration for `queues` sockets, one per shard.
    #[must_use]
    pub fn queues(mut self, queues: u16) -> PacketConfig {
        self.queues = queues;
        self
    }
}

/// An open device.
#[derive(Debug)]
pub struct Packet {
    /// The interface's name.
    pub name: String,
    /// The interface's index.
    pub index: u32,
    /// What the device can do.
    pub facts: DeviceFacts,
    /// Its queues, to be moved to the threads that use them.
    pub handles: Vec<PacketHandle>,
}

/// A queue that no thread uses yet.
#[derive(Debug)]
pub struct PacketHandle {
    socket: File,
    facts: DeviceFacts,
}

impl QueueHandle for PacketHandle {
    type Queue = PacketQueue;

    fn into_queue(self) -> PacketQueue {
        PacketQueue::new(self.socket, self.facts)
    }
}

impl Device for PacketConfig {
    type Handle = PacketHandle;
    type Error = OpenError;

    /// As [`Packet::open`], with as many sockets as there are shards, whatever [`PacketConfig::queues`] says.
    /// The kernel leads flows by the rule where it takes a program for that, and else by its own hash.
    fn open(self, rule: &SteerRule) -> Result<Vec<PacketHandle>, OpenError> {
        let program = match rule.shards() {
            1 => None,
            // Without it the shards pass on what is another's.
            _ => steer::load(&steer::program(rule)).ok(),
        };
        Ok(Packet::open_with(&self.queues(rule.shards()), program.as_ref())?.handles)
    }
}

impl Packet {
    /// Opens sockets on the interface.
    ///
    /// # Errors
    /// See [`OpenError`]; each tells what to do.
    pub fn open(config: &PacketConfig) -> Result<Packet, OpenError> {
        Packet::open_with(config, None)
    }

    /// The same with flows spread by `program`.
    fn open_with(config: &PacketConfig, program: Option<&OwnedFd>) -> Result<Packet, OpenError> {
        if !(1..=256).contains(&config.queues) {
            return Err(OpenError::BadConfig { what: "the number of queues: 1 to 256" });
        }
        if config.mac.is_some_and(|mac| mac[0] & 1 == 1 || mac == [0; 6]) {
            return Err(OpenError::BadConfig { what: "the link address: that of one station" });
        }
        let with_v6 = config.addresses.iter().any(IpAddr::is_ipv6);
        if config.mtu < 68 || with_v6 && config.mtu < 1280 {
            return Err(OpenError::BadConfig {
                what: "the MTU: 68 or more, 1280 or more with IPv6",
            });
        }
        let name = &config.interface;
        let index = sys::interface_index(name)
            .ok_or_else(|| OpenError::NoInterface { name: name.clone() })?;
        check_addresses(config)?;
        let mut sockets = Vec::with_capacity(usize::from(config.queues));
        let mut facts = None;
        let mut group = None;
        let spread = if program.is_some() { Spread::Program } else { Spread::Hash };
        for _ in 0..config.queues {
            let (socket, mac, mtu) = open_one(config, index)?;
            facts = Some(DeviceFacts::offloading(Medium::Ethernet { mac }, mtu));
            if config.queues > 1 {
                let failed = |error| OpenError::system("spread flows over sockets", error);
                match (group, program) {
                    (None, program) => {
                        group = Some(sys::begin_fanout(&socket, spread).map_err(failed)?);
                        if let Some(program) = program {
                            sys::set_spread(&socket, program).map_err(failed)?;
                        }
                    }
                    (Some(group), _) => {
                        sys::join_fanout(&socket, group, spread).map_err(failed)?;
                    }
                }
            }
            sockets.push(socket);
        }
        let facts = facts.ok_or(OpenError::BadConfig { what: "the number of queues" })?;
        let handles = sockets.into_iter().map(|socket| PacketHandle { socket, facts }).collect();
        Ok(Packet { name: name.clone(), index, facts, handles })
    }
}

/// To a segment for an address of its own the kernel answers itself.
fn check_addresses(config: &PacketConfig) -> Result<(), OpenError> {
    let failed = |error| OpenError::system("read the addresses of interfaces", error);
    let present = Netlink::open().and_then(|mut netlink| netlink.addresses()).map_err(failed)?;
    for (interface, cidr) in present {
        if config.addresses.contains(&cidr.address) {
            return Err(OpenError::AddressInUse { address: cidr.address, interface });
        }
    }
    Ok(())
}

/// A socket that receives, our address on the link and the MTU.
fn open_one(config: &PacketConfig, index: u32) -> Result<(File, [u8; 6], u16), OpenError> {
    const READ: &str = "read the interface's settings";
    let step = |step| move |error| OpenError::system(step, error);
    let name = &config.interface;
    let socket = sys::open_socket().map_err(step("open a packet socket"))?;
    if !sys::is_up(&socket, name).map_err(step(READ))? {
        return Err(OpenError::Down { name: name.clone() });
    }
    let mtu = sys::mtu(&socket, name).map_err(step(READ))?;
    sys::use_offload_header(&socket).map_err(step("use offload headers"))?;
    sys::ignore_outgoing(&socket).map_err(step("leave out what the host sends"))?;
    if config.bypass_queueing {
        sys::bypass_queueing(&socket).map_err(step("bypass the queueing discipline"))?;
    }
    sys::set_buffers(&socket, config.buffer_octets).map_err(step("enlarge the buffers"))?;
    let program = filter::program(&config.addresses);
    sys::attach_filter(&socket, &program).map_err(step("choose frames by a filter"))?;
    // The last step: from here on packets come.
    sys::bind(&socket, index).map_err(step("receive from the interface"))?;
    let (kind, own) = sys::link_address(&socket).map_err(step(READ))?;
    if kind != ETHERNET {
        return Err(OpenError::NotEthernet { name: name.clone() });
    }
    for membership in memberships(config, own) {
        sys::join(&socket, index, membership).map_err(step("receive for our addresses"))?;
    }
    Ok((socket, config.mac.unwrap_or(own), u16::try_from(mtu).unwrap_or(u16::MAX).min(config.mtu)))
}

/// What the interface must receive beside what is for its own address.
fn memberships(config: &PacketConfig, own: [u8; 6]) -> Vec<Membership> {
    let mut all = Vec::new();
    if config.promiscuous {
        all.push(Membership::All);
    }
    if let Some(mac) = config.mac.filter(|mac| *mac != own) {
        all.push(Membership::Station(mac));
    }
    let six = config.addresses.iter().filter_map(|address| match address {
        IpAddr::V6(address) => Some(*address),
        IpAddr::V4(_) => None,
    });
    let mut groups: Vec<[u8; 6]> = six.map(solicited_node).collect();
    groups.sort_unstable();
    groups.dedup();
    if !groups.is_empty() {
        groups.push(ALL_NODES);
    }
    all.extend(groups.into_iter().map(Membership::Group));
    all
}

/// Where neighbours are asked for this address (RFC 4291 §2.7.1, RFC 2464 §7).
pub(crate) fn solicited_node(address: Ipv6Addr) -> [u8; 6] {
    let [.., a, b, c] = address.octets();
    [0x33, 0x33, 0xFF, a, b, c]
}
