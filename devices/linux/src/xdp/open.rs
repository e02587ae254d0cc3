//! Opening an AF_XDP device.
//! Owns: the configuration, the order of steps, what an error at each step means.
//! Must not know: how packets are moved.

use super::offload::PartialChecksums;
use super::program::{self, MOST_ADDRESSES, Take, XDP_PASS};
use super::queue::{XdpMode, XdpQueue};
use super::refused;
use super::sys::{self, Hook, Interface, RingSizes, Socket};
use crate::error::OpenError;
use crate::packet::solicited_node;
use crate::tun::address::Netlink;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use usertcp_device::{Device, DeviceFacts, Medium, QueueHandle, SteerRule};

/// How often, and after which pause, a queue in use is tried again.
const BUSY_TRIES: u32 = 50;
const BUSY_PAUSE: Duration = Duration::from_millis(4);

/// What interface to use, and how.
#[derive(Clone, Debug)]
pub struct XdpConfig {
    /// The interface: it exists, speaks Ethernet and is up.
    pub interface: String,
    /// What to take from it. The rest stays the kernel's.
    pub take: Take,
    /// Octets of the largest IP packet; the interface's when that is less.
    pub mtu: u16,
    /// The first receive queue to use.
    pub first_queue: u32,
    /// How many queues from there on: one per shard. The device spreads flows over its queues;
    /// packets that arrive at one without a shard go to the kernel.
    pub queues: u16,
    /// Entries of each ring, a power of two from 64 to 32,768. As many frames wait for packets to
    /// arrive, but no more than a quarter of the pool.
    pub ring_entries: u32,
    /// Whether to ask for a device that reads and writes frames itself. Where there is none, the
    /// kernel copies between the device's memory and ours.
    pub zero_copy: bool,
    /// Whether to ask for the program to run in the driver. Where the driver knows none, and else,
    /// it runs in the kernel's stack; large packets of senders on this machine are lost there.
    pub native: bool,
    /// What to make of checksums that senders on this machine leave unfinished.
    pub partial_checksums: PartialChecksums,
    /// Microseconds a call may poll the device by itself; 0: it interrupts as ever.
    pub busy_poll_us: u32,
    /// Where the first queue to be bound tells how it works with the interface.
    pub told: Arc<OnceLock<XdpMode>>,
}

impl Default for XdpConfig {
    fn default() -> XdpConfig {
        XdpConfig {
            interface: String::new(),
            take: Take::Addresses(Vec::new()),
            mtu: u16::MAX,
            first_queue: 0,
            queues: 1,
            ring_entries: 2048,
            zero_copy: true,
            native: true,
            partial_checksums: PartialChecksums::default(),
            busy_poll_us: 0,
            told: Arc::default(),
        }
    }
}

/// An open device.
#[derive(Debug)]
pub struct Xdp {
    /// The interface's index.
    pub index: u32,
    /// What the device can do.
    pub facts: DeviceFacts,
    /// Its queues, to be moved to the threads that use them.
    pub handles: Vec<XdpHandle>,
}

/// A queue that no thread uses yet.
#[derive(Debug)]
pub struct XdpHandle {
    socket: Socket,
    attachment: Arc<Attachment>,
    place: u32,
    facts: DeviceFacts,
    settings: Settings,
}

impl Device for XdpConfig {
    type Handle = XdpHandle;
    type Error = OpenError;

    fn open(self, rule: &SteerRule) -> Result<Vec<XdpHandle>, OpenError> {
        if rule.shards() > 1 {
            return Err(OpenError::BadConfig {
                what: "the number of shards: answers of neighbours reach one queue only",
            });
        }
        Ok(Xdp::open(&XdpConfig { queues: 1, ..self })?.handles)
    }
}

impl QueueHandle for XdpHandle {
    type Queue = XdpQueue;

    /// It moves packets once it is bound to the shard's pool.
    fn into_queue(self) -> XdpQueue {
        XdpQueue::new(self.socket, self.attachment, self.place, self.facts, self.settings)
    }
}

/// What queues are made with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) rings: RingSizes,
    pub(super) zero_copy: bool,
    pub(super) vouch: bool,
    pub(super) busy_poll_us: u32,
}

/// The program on the interface. It goes when the last queue does, and the kernel has all packets
/// again.
#[derive(Debug)]
pub(super) struct Attachment {
    name: String,
    index: u32,
    hook: Hook,
    map: OwnedFd,
    link: OwnedFd,
    told: Arc<OnceLock<XdpMode>>,
    /// Keeps the interface listening to the groups our neighbours ask.
    _groups: OwnedFd,
}

impl Drop for Attachment {
    fn drop(&mut self) {
        // Closing it would do, but a child process on its way to its own program may have it too.
        let _ = sys::detach(self.link.as_fd());
    }
}

impl Xdp {
    /// Puts the program on the interface and makes the sockets. Packets pass as before until the
    /// first queue is bound.
    ///
    /// # Errors
    /// See [`OpenError`]; each tells what to do.
    pub fn open(config: &XdpConfig) -> Result<Xdp, OpenError> {
        check_config(config)?;
        let interface = look_up(&config.interface)?;
        check_addresses(config)?;
        let attachment = Arc::new(Attachment::new(config, &interface)?);
        let mtu = interface.mtu.min(config.mtu);
        let facts = DeviceFacts::plain(Medium::Ethernet { mac: interface.mac }, mtu);
        let entries = config.ring_entries;
        let settings = Settings {
            rings: RingSizes { receive: entries, transmit: entries },
            zero_copy: config.zero_copy,
            vouch: config.partial_checksums.accepts(&interface.driver),
            busy_poll_us: config.busy_poll_us,
        };
        let mut handles = Vec::with_capacity(usize::from(config.queues));
        for place in places(config) {
            let socket = Socket::open().map_err(|error| refused("open an AF_XDP socket", error))?;
            let attachment = attachment.clone();
            handles.push(XdpHandle { socket, attachment, place, facts, settings });
        }
        Ok(Xdp { index: interface.index, facts, handles })
    }
}

/// Whether this thread could open an AF_XDP device: the kernel knows such sockets and maps, and
/// root's rights are there. Changes nothing.
///
/// # Errors
/// [`OpenError::NoPermission`], [`OpenError::System`].
pub fn check_permission() -> Result<(), OpenError> {
    Socket::open().map_err(|error| refused("open an AF_XDP socket", error))?;
    sys::create_socket_map(1)
        .map(drop)
        .map_err(|error| refused("make a map of AF_XDP sockets", error))
}

fn places(config: &XdpConfig) -> std::ops::Range<u32> {
    config.first_queue..config.first_queue.saturating_add(config.queues.into())
}

fn check_config(config: &XdpConfig) -> Result<(), OpenError> {
    let bad = |what| Err(OpenError::BadConfig { what });
    match &config.take {
        Take::Addresses(addresses) if addresses.is_empty() => {
            return bad("the addresses: there must be one");
        }
        Take::Addresses(addresses) if addresses.len() > MOST_ADDRESSES => {
            return bad("the number of addresses: at most 256");
        }
        _ => {}
    }
    if config.mtu < 68 || has_v6(&config.take) && config.mtu < 1280 {
        return bad("the MTU: 68 or more, 1280 or more with IPv6");
    }
    if !(1..=256).contains(&config.queues) || config.first_queue > 65_535 {
        return bad("the queues: 1 to 256 of them, numbers up to 65,535");
    }
    if !config.ring_entries.is_power_of_two() || !(64..=32_768).contains(&config.ring_entries) {
        return bad("the ring entries: a power of two from 64 to 32,768");
    }
    Ok(())
}

fn has_v6(take: &Take) -> bool {
    matches!(take, Take::Addresses(addresses) if addresses.iter().any(IpAddr::is_ipv6))
}

/// What is for an address of its own the kernel would miss, and on other interfaces answer.
fn check_addresses(config: &XdpConfig) -> Result<(), OpenError> {
    let Take::Addresses(ours) = &config.take else { return Ok(()) };
    let failed = |error| refused("read the addresses of interfaces", error);
    let present = Netlink::open().and_then(|mut netlink| netlink.addresses()).map_err(failed)?;
    for (interface, cidr) in present {
        if ours.contains(&cidr.address) {
            return Err(OpenError::AddressInUse { address: cidr.address, interface });
        }
    }
    Ok(())
}

/// Groups in which neighbours ask for our addresses.
fn groups(take: &Take) -> Vec<[u8; 6]> {
    let Take::Addresses(addresses) = take else { return Vec::new() };
    let mut groups: Vec<_> = addresses
        .iter()
        .filter_map(|address| match address {
            IpAddr::V6(address) => Some(solicited_node(*address)),
            IpAddr::V4(_) => None,
        })
        .collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

fn look_up(name: &str) -> Result<Interface, OpenError> {
    let unknown = || OpenError::NoInterface { name: name.into() };
    if name.is_empty() || name.len() > 15 {
        return Err(unknown());
    }
    let interface = sys::interface(name).map_err(|error| match error.raw_os_error() {
        Some(libc::ENODEV) => unknown(),
        _ => refused("read the interface's settings", error),
    })?;
    if !interface.ethernet {
        return Err(OpenError::NotEthernet { name: name.into() });
    }
    if !interface.up {
        return Err(OpenError::Down { name: name.into() });
    }
    Ok(interface)
}

impl Attachment {
    fn new(config: &XdpConfig, interface: &Interface) -> Result<Attachment, OpenError> {
        let map = sys::create_socket_map(places(config).end)
            .map_err(|error| refused("make a map of AF_XDP sockets", error))?;
        let program = program::assemble(&config.take, map.as_raw_fd(), XDP_PASS)
            .ok_or(OpenError::BadConfig { what: "the number of addresses" })?;
        let program =
            sys::load_program(&program).map_err(|error| refused("load the XDP program", error))?;
        let groups = sys::join_groups(interface.index, &groups(&config.take))
            .map_err(|error| refused("receive for our addresses", error))?;
        let name = || config.interface.clone();
        let hooks: &[Hook] =
            if config.native { &[Hook::Driver, Hook::Generic] } else { &[Hook::Generic] };
        let mut refusal = io::Error::from(io::ErrorKind::Unsupported);
        for hook in hooks {
            match sys::attach(program.as_fd(), interface.index, *hook) {
                Ok(link) => {
                    return Ok(Attachment {
                        name: name(),
                        index: interface.index,
                        hook: *hook,
                        map,
                        link,
                        told: config.told.clone(),
                        _groups: groups,
                    });
                }
                Err(error) => match error.raw_os_error() {
                    // Programs of both kinds cannot be on one interface either.
                    Some(libc::EBUSY | libc::EEXIST) => {
                        return Err(OpenError::ProgramTaken { name: name() });
                    }
                    _ => refusal = error,
                },
            }
        }
        Err(refused("put the XDP program on the interface", refusal))
    }

    /// Binds a socket with the most the kernel and the device agree to. The queue of a socket just
    /// closed is free only a moment later.
    pub(super) fn bind(
        &self,
        socket: &Socket,
        queue: u32,
        settings: &Settings,
    ) -> Result<XdpMode, OpenError> {
        let mut tries = 0;
        loop {
            match self.try_to_bind(socket, queue, settings) {
                Err(OpenError::QueueTaken { .. }) if tries < BUSY_TRIES => tries += 1,
                outcome => return outcome,
            }
            std::thread::sleep(BUSY_PAUSE);
        }
    }

    fn try_to_bind(
        &self,
        socket: &Socket,
        queue: u32,
        settings: &Settings,
    ) -> Result<XdpMode, OpenError> {
        let (zero_copy, copy) = (libc::XDP_ZEROCOPY, libc::XDP_COPY);
        let several = libc::XDP_USE_SG;
        let ladder = [zero_copy | several, zero_copy, copy | several, copy];
        let from = if settings.zero_copy && self.hook == Hook::Driver { 0 } else { 2 };
        let mut refusal = io::Error::from(io::ErrorKind::Unsupported);
        for flags in ladder.into_iter().skip(from) {
            match socket.bind(self.index, queue, flags | libc::XDP_USE_NEED_WAKEUP) {
                Ok(()) => {
                    return Ok(XdpMode {
                        native: self.hook == Hook::Driver,
                        zero_copy: socket.is_zero_copy(),
                        multi_buffer: flags & several != 0,
                    });
                }
                Err(error) => {
                    let busy = error.raw_os_error() == Some(libc::EBUSY);
                    refusal = error;
                    if busy {
                        break;
                    }
                }
            }
        }
        let name = || self.name.clone();
        Err(match refusal.raw_os_error() {
            Some(libc::EBUSY) => OpenError::QueueTaken { name: name(), queue },
            Some(libc::EINVAL) => OpenError::NoQueue { name: name(), queue },
            Some(libc::ENODEV) => OpenError::NoInterface { name: name() },
            _ => refused("bind the socket to the interface", refusal),
        })
    }

    /// Lets the program find a bound socket.
    pub(super) fn set(&self, place: u32, socket: &Socket, mode: XdpMode) -> Result<(), OpenError> {
        sys::set_socket(self.map.as_fd(), place, socket.fd())
            .map_err(|error| refused("put the socket into the program's map", error))?;
        // Queues of one interface work alike: the first one's word is enough.
        let _ = self.told.set(mode);
        Ok(())
    }

    /// Lets the program find it no more.
    pub(super) fn unset(&self, place: u32) {
        // It may never have been there.
        let _ = sys::unset_socket(self.map.as_fd(), place);
    }
}
