//! Opening a TUN device.
//! Owns: the configuration, the order of steps, what an error at each step means.
//! Must not know: how packets are read.

use super::address::{Link, Netlink};
use super::cidr::Cidr;
use super::queue::TunQueue;
use super::sys::{self, Offloads};
use super::{CAPABILITIES, refused};
use crate::error::OpenError;
use crate::offload::HEADER_OCTETS;
use crate::steer;
use std::fs::File;
use std::io;
use usertcp_device::{Device, DeviceFacts, Medium, QueueHandle, SteerRule};

/// What device to open, and how to set it up.
#[derive(Clone, Debug)]
pub struct TunConfig {
    /// Name of the interface, 1 to 15 octets. It is attached to when it exists, and else made,
    /// to vanish with the last queue.
    pub name: String,
    /// Octets of the largest IP packet, 1280 to 65,535 (68 without IPv6).
    pub mtu: u16,
    /// Addresses of the kernel's side. The prefix becomes a route to the device, so that the
    /// addresses of our side are best chosen from it.
    pub addresses: Vec<Cidr>,
    /// Further networks to route to the device.
    pub routes: Vec<Cidr>,
    /// Queues, 1 to 256: one per shard. The kernel spreads flows over them.
    pub queues: u16,
    /// Packets the kernel keeps for each queue until they are read. The default of a TUN device,
    /// 500, is lost in a moment.
    pub queue_length_packets: u32,
    /// Whether to use checksum and segmentation offload. Only tests have a reason not to.
    pub offload: bool,
}

impl Default for TunConfig {
    fn default() -> TunConfig {
        TunConfig {
            name: "utcp0".into(),
            mtu: 1500,
            addresses: Vec::new(),
            routes: Vec::new(),
            queues: 1,
            queue_length_packets: 32_768,
            offload: true,
        }
    }
}

/// An open device.
#[derive(Debug)]
pub struct Tun {
    /// The interface's name.
    pub name: String,
    /// The interface's index.
    pub index: u32,
    /// What the device can do.
    pub facts: DeviceFacts,
    /// Its queues, to be moved to the threads that use them.
    pub handles: Vec<TunHandle>,
}

/// A queue that no thread uses yet.
#[derive(Debug)]
pub struct TunHandle {
    file: File,
    facts: DeviceFacts,
}

impl TunHandle {
    /// The queue, to stay on this thread.
    pub fn into_queue(self) -> TunQueue {
        TunQueue::new(self.file, self.facts)
    }

    /// The descriptor itself, non-blocking, for who does without frames. One read or write is one
    /// packet behind the 10 octets of an offload header: all zero is a plain packet, and without
    /// [`TunConfig::offload`] there is no other.
    pub fn into_file(self) -> File {
        self.file
    }
}

impl QueueHandle for TunHandle {
    type Queue = TunQueue;
    fn into_queue(self) -> TunQueue {
        TunHandle::into_queue(self)
    }
}

impl Device for TunConfig {
    type Handle = TunHandle;
    type Error = OpenError;

    /// As [`Tun::open`], with as many queues as there are shards, whatever [`TunConfig::queues`] says, and the
    /// rule in front of them where the kernel lets us ([`Tun::steer`]).
    fn open(self, rule: &SteerRule) -> Result<Vec<TunHandle>, OpenError> {
        let tun = Tun::open(&TunConfig { queues: rule.shards(), ..self })?;
        if rule.shards() > 1 {
            // Without it the kernel leads a flow to where it was last answered from, if it remembers: it
            // forgets after a few seconds, and at a few thousand flows. The shards pass on the rest.
            let _ = tun.steer(rule);
        }
        Ok(tun.handles)
    }
}

impl Tun {
    /// Opens or attaches the device, sets it up, and brings it up.
    ///
    /// A device made and set up beforehand for a user without privileges (`ip tuntap add ... user
    /// NAME`) is taken as it is, when it is up.
    ///
    /// # Errors
    /// See [`OpenError`]; each tells what to do.
    pub fn open(config: &TunConfig) -> Result<Tun, OpenError> {
        check_config(config)?;
        let (files, offloads) = attach_queues(config)?;
        let link = set_up(config)?;
        let mtu = u16::try_from(link.mtu).unwrap_or(u16::MAX);
        let mut facts = DeviceFacts::plain(Medium::Ip, mtu);
        facts.checksum_offload = offloads != Offloads::None;
        if offloads == Offloads::Segmentation {
            facts = DeviceFacts::offloading(Medium::Ip, mtu);
        }
        let handles = files.into_iter().map(|file| TunHandle { file, facts }).collect();
        Ok(Tun { name: config.name.clone(), index: link.index, facts, handles })
    }

    /// Has the kernel lead each flow to the queue at the index that `rule` says, by a program. Packets of
    /// no flow, and fragments, come by the first.
    ///
    /// # Errors
    /// The kernel's: it has no such programs, or not for this user (`CAP_BPF`).
    pub fn steer(&self, rule: &SteerRule) -> io::Result<()> {
        let Some(TunHandle { file, .. }) = self.handles.first() else { return Ok(()) };
        sys::set_steering(file, &steer::program(rule))
    }
}

/// Whether this thread could make a TUN device: the driver is there, and root's rights over the
/// network are. Changes nothing.
///
/// # Errors
/// [`OpenError::NoTunDevice`], [`OpenError::NoPermission`].
pub fn check_permission() -> Result<(), OpenError> {
    sys::open_driver().map_err(driver_error)?;
    const CAP_NET_ADMIN: u32 = 12;
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    match effective.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()) {
        Some(mask) if mask >> CAP_NET_ADMIN & 1 == 0 => Err(OpenError::NoPermission {
            step: "make a network interface",
            capabilities: CAPABILITIES,
        }),
        _ => Ok(()),
    }
}

fn check_config(config: &TunConfig) -> Result<(), OpenError> {
    let name = &config.name;
    let fits = (1..=15).contains(&name.len()) && name != "." && name != "..";
    let plain = |octet: u8| octet.is_ascii_graphic() && !matches!(octet, b'/' | b':' | b'%');
    if !fits || !name.bytes().all(plain) {
        return Err(OpenError::BadName { name: name.clone() });
    }
    if !(1..=256).contains(&config.queues) {
        return Err(OpenError::BadConfig { what: "the number of queues: 1 to 256" });
    }
    let with_v6 = config.addresses.iter().chain(&config.routes).any(|c| c.address.is_ipv6());
    if config.mtu < 68 || with_v6 && config.mtu < 1280 {
        return Err(OpenError::BadConfig { what: "the MTU: 68 or more, 1280 or more with IPv6" });
    }
    Ok(())
}

fn attach_queues(config: &TunConfig) -> Result<(Vec<File>, Offloads), OpenError> {
    let wanted = if config.offload { Offloads::Segmentation } else { Offloads::None };
    let mut files = Vec::with_capacity(usize::from(config.queues));
    let mut offloads = wanted;
    for _ in 0..config.queues {
        let file = sys::open_driver().map_err(driver_error)?;
        sys::attach(&file, &config.name, config.queues > 1)
            .map_err(|error| attach_error(&config.name, error))?;
        sys::set_header_octets(&file, HEADER_OCTETS as libc::c_int)
            .map_err(|error| refused("set the offload header's length", error))?;
        offloads =
            sys::set_offloads(&file, wanted).map_err(|error| refused("set the offloads", error))?;
        files.push(file);
    }
    Ok((files, offloads))
}

fn driver_error(error: io::Error) -> OpenError {
    match error.kind() {
        io::ErrorKind::PermissionDenied => refused("open /dev/net/tun", error),
        _ => OpenError::NoTunDevice { error },
    }
}

fn attach_error(name: &str, error: io::Error) -> OpenError {
    match error.raw_os_error() {
        Some(libc::EBUSY) => OpenError::Busy { name: name.into() },
        Some(libc::EINVAL) => OpenError::NameTaken { name: name.into() },
        _ => refused("make a network interface", error),
    }
}

/// Sets the interface up, and reads back what it is now.
fn set_up(config: &TunConfig) -> Result<Link, OpenError> {
    const READ: &str = "read the interface's settings";
    let mut netlink = Netlink::open().map_err(|error| refused("use netlink", error))?;
    let read = |netlink: &mut Netlink| -> Result<Link, OpenError> {
        let link = netlink.link(&config.name).map_err(|error| refused(READ, error))?;
        let gone = || OpenError::System { step: READ, error: io::ErrorKind::NotFound.into() };
        link.ok_or_else(gone)
    };
    let link = read(&mut netlink)?;
    check_addresses(&mut netlink, &link, config)?;
    match configure(&mut netlink, &link, config) {
        // Made for us by someone who may, and left ready: that is what we are given.
        Err(OpenError::NoPermission { .. }) if link.up => Ok(link),
        Err(error) => Err(error),
        Ok(()) => read(&mut netlink),
    }
}

/// An address of another interface would be answered by the kernel itself.
fn check_addresses(
    netlink: &mut Netlink,
    link: &Link,
    config: &TunConfig,
) -> Result<(), OpenError> {
    if config.addresses.is_empty() {
        return Ok(());
    }
    let present =
        netlink.addresses().map_err(|error| refused("read the addresses of interfaces", error))?;
    for wanted in &config.addresses {
        let holds =
            |(index, cidr): &&(u32, Cidr)| *index != link.index && cidr.address == wanted.address;
        if let Some((interface, _)) = present.iter().find(holds) {
            let (address, interface) = (wanted.address, *interface);
            return Err(OpenError::AddressInUse { address, interface });
        }
    }
    Ok(())
}

fn configure(netlink: &mut Netlink, link: &Link, config: &TunConfig) -> Result<(), OpenError> {
    // Addresses come first: the interface then never speaks without them.
    for cidr in &config.addresses {
        netlink
            .add_address(link.index, *cidr)
            .map_err(|error| refused("give the interface its address", error))?;
    }
    netlink
        .set_up(link.index, config.mtu.into(), config.queue_length_packets)
        .map_err(|error| refused("bring the interface up", error))?;
    for route in &config.routes {
        add_route(netlink, link, *route)?;
    }
    Ok(())
}

fn add_route(netlink: &mut Netlink, link: &Link, route: Cidr) -> Result<(), OpenError> {
    let error = match netlink.add_route(link.index, route) {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    if error.raw_os_error() != Some(libc::EEXIST) {
        return Err(refused("route a network to the interface", error));
    }
    match netlink.has_route(link.index, route) {
        Ok(true) => Ok(()),
        Ok(false) => Err(OpenError::RouteTaken { route: route.network() }),
        Err(error) => Err(refused("read the routes", error)),
    }
}
