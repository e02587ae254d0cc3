//! Opening packet sockets.
//! Owns: the configuration, the order of steps, what an error at each step means.
//! Must not know: how packets are read.

use super::filter::{self, Purpose};
use super::queue::{PacketQueue, Sockets};
use super::refused;
use super::sys::{self, Membership};
use crate::error::OpenError;
use crate::steer;
use crate::tun::address::Netlink;
use crate::tun::sys::load_steering;
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
    /// Queues, 1 to 256: one per shard. The kernel spreads flows over them (PACKET_FANOUT). With several,
    /// each has a second socket for ARP and neighbour discovery, which every shard must hear.
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
    sockets: Sockets,
    facts: DeviceFacts,
}

impl Device for PacketConfig {
    type Handle = PacketHandle;
    type Error = OpenError;

    /// As [`Packet::open`], with as many queues as there are shards, whatever [`PacketConfig::queues`] says,
    /// and the rule in front of them where the kernel takes it as a program; else its own hash, and
    /// the shards pass on what is another's.
    fn open(self, rule: &SteerRule) -> Result<Vec<PacketHandle>, OpenError> {
        let program = (rule.shards() > 1).then(|| load_steering(&steer::program(rule)).ok());
        let config = PacketConfig { queues: rule.shards(), ..self };
        Ok(open(&config, program.flatten().as_ref())?.handles)
    }
}

impl PacketHandle {
    /// The queue, to stay on this thread.
    pub fn into_queue(self) -> PacketQueue {
        PacketQueue::new(self.sockets, self.facts)
    }
}

impl QueueHandle for PacketHandle {
    type Queue = PacketQueue;
    fn into_queue(self) -> PacketQueue {
        PacketHandle::into_queue(self)
    }
}

impl Packet {
    /// Opens sockets on the interface.
    ///
    /// # Errors
    /// See [`OpenError`]; each tells what to do.
    pub fn open(config: &PacketConfig) -> Result<Packet, OpenError> {
        open(config, None)
    }
}

fn open(config: &PacketConfig, program: Option<&OwnedFd>) -> Result<Packet, OpenError> {
    check_config(config)?;
    let name = &config.interface;
    let index =
        sys::interface_index(name).ok_or_else(|| OpenError::NoInterface { name: name.clone() })?;
    check_addresses(config)?;
    let several = config.queues > 1;
    let purpose = if several { Purpose::Packets } else { Purpose::All };
    let mut handles = Vec::with_capacity(usize::from(config.queues));
    let mut fanout = None;
    for _ in 0..config.queues {
        let (packets, mac, mtu) = open_one(config, index, purpose)?;
        if several {
            let spread = |error| refused("spread flows over sockets", error);
            match fanout {
                None => fanout = Some(sys::begin_fanout(&packets, program).map_err(spread)?),
                Some(fanout) => sys::join_fanout(&packets, fanout).map_err(spread)?,
            }
        }
        let neighbours = match several {
            true => Some(open_for_neighbours(config, index, &packets)?),
            false => None,
        };
        let facts = DeviceFacts::offloading(Medium::Ethernet { mac }, mtu);
        handles.push(PacketHandle { sockets: Sockets { packets, neighbours }, facts });
    }
    let facts = handles.first().map(|handle| handle.facts);
    let facts = facts.ok_or(OpenError::BadConfig { what: "the number of queues" })?;
    Ok(Packet { name: name.clone(), index, facts, handles })
}

fn check_config(config: &PacketConfig) -> Result<(), OpenError> {
    let what = match config {
        PacketConfig { queues, .. } if !(1..=256).contains(queues) => {
            "the number of queues: 1 to 256"
        }
        PacketConfig { mac: Some(mac), .. } if mac[0] & 1 == 1 || *mac == [0; 6] => {
            "the link address: that of one station"
        }
        PacketConfig { mtu, addresses, .. }
            if *mtu < 68 || addresses.iter().any(IpAddr::is_ipv6) && *mtu < 1280 =>
        {
            "the MTU: 68 or more, 1280 or more with IPv6"
        }
        _ => return Ok(()),
    };
    Err(OpenError::BadConfig { what })
}

/// A socket for what every shard must hear, and what to wait for then.
fn open_for_neighbours(
    config: &PacketConfig,
    index: u32,
    packets: &File,
) -> Result<(File, OwnedFd), OpenError> {
    let (socket, ..) = open_one(config, index, Purpose::Neighbours)?;
    let both = sys::wait_for_both(packets, &socket)
        .map_err(|error| refused("wait for two sockets", error))?;
    Ok((socket, both))
}

/// To a segment for an address of its own the kernel answers itself.
fn check_addresses(config: &PacketConfig) -> Result<(), OpenError> {
    let failed = |error| refused("read the addresses of interfaces", error);
    let present = Netlink::open().and_then(|mut netlink| netlink.addresses()).map_err(failed)?;
    for (interface, cidr) in present {
        if config.addresses.contains(&cidr.address) {
            return Err(OpenError::AddressInUse { address: cidr.address, interface });
        }
    }
    Ok(())
}

/// A socket that receives, our address on the link and the MTU.
fn open_one(
    config: &PacketConfig,
    index: u32,
    purpose: Purpose,
) -> Result<(File, [u8; 6], u16), OpenError> {
    const READ: &str = "read the interface's settings";
    let step = |step| move |error| refused(step, error);
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
    let program = filter::program(&config.addresses, purpose);
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
