//! The system calls of AF_XDP. The one file of this module with unsafe code.
//! Owns: sockets, their options and mapped rings, bpf(2), what an interface is by ioctl.
//! Must not know: what a ring entry means, which packets a program wants.
//!
//! The one call with lasting effect is [`Socket::register`]: from then on the kernel reads and
//! writes a pool's region. Why that is sound stands there; who keeps the promise is `umem`.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::io;
use std::mem::{offset_of, size_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicU32, AtomicU64};
use usertcp_frame::FramePool;

/// Socket options newer than the libc crate.
const XDP_MAX_TX_SKB_BUDGET: libc::c_int = 9;
const SIOCETHTOOL: libc::Ioctl = 0x8946;
const ETHTOOL_GDRVINFO: u32 = 3;
const DRIVER_INFO_OCTETS: usize = 196;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn own(result: libc::c_int) -> io::Result<OwnedFd> {
    let number = check(result)?;
    // Not safely: the kernel hands out numbers.
    // SAFETY: a descriptor just made for us, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

// --- interfaces ---

/// An interface as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Interface {
    pub(super) index: u32,
    pub(super) mtu: u16,
    pub(super) mac: [u8; 6],
    pub(super) ethernet: bool,
    pub(super) up: bool,
    /// The driver's name; empty when it has none to tell.
    pub(super) driver: String,
}

/// The interface of that name in this thread's network namespace. `name` is at most 15 octets.
pub(super) fn interface(name: &str) -> io::Result<Interface> {
    // Not safely: std opens no such sockets.
    // SAFETY: no memory is involved.
    let socket =
        own(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) })?;
    let ask = |what: libc::Ioctl, mut request: libc::ifreq| -> io::Result<libc::ifreq> {
        // Not safely: std has no ioctl.
        // SAFETY: the descriptor is open; all requests below read and write one ifreq, which lives
        // on, and what it points to (`driver`).
        check(unsafe { libc::ioctl(socket.as_raw_fd(), what as _, &raw mut request) })?;
        Ok(request)
    };
    let blank = request_for(name);
    let index = ask(libc::SIOCGIFINDEX as _, blank)?;
    let mtu = ask(libc::SIOCGIFMTU as _, blank)?;
    let flags = ask(libc::SIOCGIFFLAGS as _, blank)?;
    let hardware = ask(libc::SIOCGIFHWADDR as _, blank)?;
    let mut info = [0_u8; DRIVER_INFO_OCTETS];
    info[..4].copy_from_slice(&ETHTOOL_GDRVINFO.to_ne_bytes());
    let mut driver = blank;
    driver.ifr_ifru.ifru_data = info.as_mut_ptr().cast();
    // A driver without such information is no error.
    let told = ask(SIOCETHTOOL as _, driver).is_ok();
    let text = info[4..36].iter().take_while(|octet| told && **octet != 0);
    // Not safely: a union of the kernel's.
    // SAFETY: each request above filled the field that is read here.
    let (index, mtu, flags, hardware) = unsafe {
        (
            index.ifr_ifru.ifru_ifindex,
            mtu.ifr_ifru.ifru_mtu,
            flags.ifr_ifru.ifru_flags,
            hardware.ifr_ifru.ifru_hwaddr,
        )
    };
    let mut mac = [0; 6];
    for (to, from) in mac.iter_mut().zip(hardware.sa_data) {
        *to = from as u8;
    }
    Ok(Interface {
        index: index as u32,
        mtu: mtu.clamp(0, 65_535) as u16,
        mac,
        ethernet: hardware.sa_family == libc::ARPHRD_ETHER,
        up: i32::from(flags) & libc::IFF_UP != 0,
        driver: text.map(|octet| char::from(*octet)).collect(),
    })
}

fn request_for(name: &str) -> libc::ifreq {
    // Not safely: the kernel's own structure has a union.
    // SAFETY: all-zero octets are a valid ifreq.
    let mut request: libc::ifreq = unsafe { zeroed() };
    // The last octet stays zero: the name ends there.
    let room = request.ifr_name.len() - 1;
    for (to, from) in request.ifr_name.iter_mut().take(room).zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request
}

/// A socket that receives nothing, and makes the interface receive what is sent to these groups
/// for as long as it is open.
pub(super) fn join_groups(index: u32, groups: &[[u8; 6]]) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // Not safely: std opens no such sockets.
    // SAFETY: no memory is involved. Protocol zero is no packet.
    let socket = own(unsafe { libc::socket(libc::AF_PACKET, kind, 0) })?;
    for group in groups {
        let mut request = libc::packet_mreq {
            mr_ifindex: index as libc::c_int,
            mr_type: libc::PACKET_MR_MULTICAST as libc::c_ushort,
            mr_alen: group.len() as libc::c_ushort,
            mr_address: [0; 8],
        };
        request.mr_address[..group.len()].copy_from_slice(group);
        set_option(&socket, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &request)?;
    }
    Ok(socket)
}

/// Sets an option of a socket. `value` is a number, or a structure of the kernel's.
fn set_option<T>(
    socket: &impl AsRawFd,
    level: libc::c_int,
    option: libc::c_int,
    value: &T,
) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    let value = ptr::from_ref(value).cast::<c_void>();
    // Not safely: std has no setsockopt.
    // SAFETY: the descriptor is open; the value is read at its true length during the call.
    // What a structure in it points to is the concern of `register`, the one such caller.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value, length) }).map(drop)
}

// --- bpf(2) ---

/// One instruction of a program.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Instruction {
    pub(super) code: u8,
    /// Destination in the low four bits, source in the high ones.
    pub(super) registers: u8,
    pub(super) offset: i16,
    pub(super) immediate: i32,
}

/// Attributes of a bpf call: the kernel takes the longest form it knows, zeros meaning nothing.
#[repr(C, align(8))]
struct Attributes([u8; 128]);

impl Attributes {
    fn new() -> Attributes {
        Attributes([0; 128])
    }
    fn word(mut self, at: usize, value: u32) -> Attributes {
        self.0[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        self
    }
    fn fd(self, at: usize, fd: BorrowedFd<'_>) -> Attributes {
        self.word(at, fd.as_raw_fd() as u32)
    }
    fn pointer<T>(mut self, at: usize, value: *const T) -> Attributes {
        self.0[at..at + 8].copy_from_slice(&(value as u64).to_ne_bytes());
        self
    }
    #[cfg(test)]
    fn word_at(&self, at: usize) -> u32 {
        u32::from_ne_bytes([self.0[at], self.0[at + 1], self.0[at + 2], self.0[at + 3]])
    }
    /// The call. What `self` points to must live until it returns, and be long enough.
    fn call(&mut self, command: libc::c_int) -> io::Result<libc::c_int> {
        // Not safely: a bare system call.
        // SAFETY: the attributes are as long as told; every caller below keeps alive, for the
        // time of the call, what it put a pointer to, and tells its true length.
        check(unsafe {
            libc::syscall(libc::SYS_bpf, command, self.0.as_mut_ptr(), self.0.len()) as libc::c_int
        })
    }
}

/// A map of AF_XDP sockets with `entries` places, one for each queue.
pub(super) fn create_socket_map(entries: u32) -> io::Result<OwnedFd> {
    const MAP_CREATE: libc::c_int = 0;
    const XSKMAP: u32 = 17;
    let attributes = Attributes::new().word(0, XSKMAP).word(4, 4).word(8, 4).word(12, entries);
    own({ attributes }.call(MAP_CREATE)?)
}

/// Puts a bound socket in its place.
pub(super) fn set_socket(
    map: BorrowedFd<'_>,
    place: u32,
    socket: BorrowedFd<'_>,
) -> io::Result<()> {
    const MAP_UPDATE_ELEM: libc::c_int = 2;
    let value = socket.as_raw_fd() as u32;
    let attributes = Attributes::new().fd(0, map).pointer(8, &raw const place);
    { attributes.pointer(16, &raw const value) }.call(MAP_UPDATE_ELEM).map(drop)
}

/// Empties a place.
pub(super) fn unset_socket(map: BorrowedFd<'_>, place: u32) -> io::Result<()> {
    const MAP_DELETE_ELEM: libc::c_int = 3;
    Attributes::new().fd(0, map).pointer(8, &raw const place).call(MAP_DELETE_ELEM).map(drop)
}

/// Loads an XDP program that may see packets of several buffers. `Err` carries what the kernel's
/// verifier said, when it said something.
pub(super) fn load_program(instructions: &[Instruction]) -> io::Result<OwnedFd> {
    const PROG_LOAD: libc::c_int = 5;
    const TYPE_XDP: u32 = 6;
    const XDP_HAS_FRAGS: u32 = 1 << 5;
    let licence = c"MIT";
    let load = |log: &mut [u8]| -> io::Result<OwnedFd> {
        let mut attributes = Attributes::new()
            .word(0, TYPE_XDP)
            .word(4, instructions.len() as u32)
            .pointer(8, instructions.as_ptr())
            .pointer(16, licence.as_ptr())
            .word(44, XDP_HAS_FRAGS);
        if !log.is_empty() {
            attributes = attributes.word(24, 1).word(28, log.len() as u32);
            attributes = attributes.pointer(32, log.as_mut_ptr());
        }
        own(attributes.call(PROG_LOAD)?)
    };
    load(&mut []).map_err(|error| {
        if error.raw_os_error() != Some(libc::EACCES) && error.raw_os_error() != Some(libc::EINVAL)
        {
            return error;
        }
        let mut log = vec![0; 1 << 16];
        drop(load(&mut log));
        let text = String::from_utf8_lossy(&log);
        let text = text.trim_end_matches('\0').trim();
        if text.is_empty() { error } else { io::Error::new(error.kind(), text.to_owned()) }
    })
}

/// Where on the way of a packet a program runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Hook {
    /// In the driver.
    Driver,
    /// In the kernel's stack, for drivers that know no XDP.
    Generic,
}

/// Attaches a program to an interface, until the descriptor is closed.
pub(super) fn attach(program: BorrowedFd<'_>, index: u32, hook: Hook) -> io::Result<OwnedFd> {
    const LINK_CREATE: libc::c_int = 28;
    const ATTACH_XDP: u32 = 37;
    const SKB_MODE: u32 = 1 << 1;
    const DRV_MODE: u32 = 1 << 2;
    let mode = if hook == Hook::Driver { DRV_MODE } else { SKB_MODE };
    let attributes = Attributes::new().fd(0, program).word(4, index).word(8, ATTACH_XDP);
    own({ attributes.word(12, mode) }.call(LINK_CREATE)?)
}

/// Takes the program of a link off its interface at once, whoever else holds the link.
pub(super) fn detach(link: BorrowedFd<'_>) -> io::Result<()> {
    const LINK_DETACH: libc::c_int = 34;
    Attributes::new().fd(0, link).call(LINK_DETACH).map(drop)
}

/// Waits until programs that run now, on any processor, have ended with what they do.
pub(super) fn wait_for_programs() {
    const GLOBAL: libc::c_int = 1;
    // Not safely: a bare system call.
    // SAFETY: no memory is involved. Where it is refused (with processors reserved for programs)
    // closing the socket waits as well.
    unsafe { libc::syscall(libc::SYS_membarrier, GLOBAL, 0, 0) };
}

/// What a program says to a frame, without a device.
#[cfg(test)]
pub(super) fn try_program(program: BorrowedFd<'_>, frame: &[u8]) -> io::Result<u32> {
    const PROG_TEST_RUN: libc::c_int = 10;
    let attributes = Attributes::new().fd(0, program).word(8, frame.len() as u32);
    let mut attributes = attributes.pointer(16, frame.as_ptr()).word(32, 1);
    attributes.call(PROG_TEST_RUN)?;
    Ok(attributes.word_at(4))
}

// --- sockets ---

/// Sizes of the four rings, in entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RingSizes {
    pub(super) receive: u32,
    pub(super) transmit: u32,
}

/// The four rings of a socket.
pub(super) struct Rings {
    pub(super) receive: Mapping,
    pub(super) fill: Mapping,
    pub(super) transmit: Mapping,
    pub(super) completion: Mapping,
}

/// What the kernel counted for a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct KernelStats {
    /// Packets for us dropped for a reason of their own: too long, or no memory.
    pub receive_dropped: u64,
    /// Frames we offered that the kernel could not use.
    pub receive_invalid: u64,
    /// Descriptors to send that the kernel could not use.
    pub transmit_invalid: u64,
    /// Packets dropped because we read too slowly.
    pub receive_ring_full: u64,
    /// Packets dropped because we had offered no frame.
    pub fill_ring_empty: u64,
}

/// What became of a wake-up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kick {
    /// The kernel went through the ring.
    Done,
    /// It stopped, for want of room in the device or of budget; there may be more.
    Again,
    /// It cannot send: the interface is down, or gone.
    Failed,
}

/// An AF_XDP socket.
#[derive(Debug)]
pub(super) struct Socket(OwnedFd);

impl Socket {
    pub(super) fn open() -> io::Result<Socket> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // Not safely: std opens no such sockets.
        // SAFETY: no memory is involved.
        own(unsafe { libc::socket(libc::AF_XDP, kind, 0) }).map(Socket)
    }
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
    pub(super) fn number(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    fn set<T>(&self, level: libc::c_int, option: libc::c_int, value: &T) -> io::Result<()> {
        set_option(&self.0, level, option, value)
    }
    /// Reads an option. How many octets the kernel wrote.
    fn read<T: Plain>(&self, option: libc::c_int, value: &mut T) -> io::Result<usize> {
        let mut length = size_of::<T>() as libc::socklen_t;
        let value = ptr::from_mut(value).cast::<c_void>();
        // Not safely: std has no getsockopt.
        // SAFETY: the descriptor is open; the kernel writes at most `length` octets to the value,
        // whose every bit pattern is valid ([`Plain`]).
        check(unsafe {
            libc::getsockopt(self.number(), libc::SOL_XDP, option, value, &raw mut length)
        })?;
        Ok(length as usize)
    }

    /// Makes the region of `pool` the memory of this socket, as chunks of `chunk_octets` that may
    /// lie anywhere in it.
    pub(super) fn register(&self, pool: &FramePool, chunk_octets: u32) -> io::Result<()> {
        let region = pool.region();
        let registration = libc::xdp_umem_reg {
            addr: region.cast::<u8>().as_ptr() as u64,
            len: region.len() as u64,
            chunk_size: chunk_octets,
            headroom: 0,
            flags: libc::XDP_UMEM_UNALIGNED_CHUNK_FLAG,
            tx_metadata_len: 0,
        };
        // Sound although the kernel writes to memory from here on, because of what this module
        // does (rule 5 of the pool's memory): `umem::Stock` holds as unique frames, unread, all
        // chunks named in the fill ring until they come back in the receive ring;
        // `umem::Line` holds as slices all that is named in the transmit ring until it is in the
        // completion ring; the queue holds the pool; and when it is dropped, it takes the socket
        // out of the map and waits for packets that were under way to it, after which the
        // kernel's copy mode writes nothing (though a child process may hold the socket still),
        // and it leaves to nobody what a zero-copy device may yet touch.
        self.set(libc::SOL_XDP, libc::XDP_UMEM_REG, &registration)
    }

    /// Makes and maps the rings.
    pub(super) fn rings(&self, sizes: RingSizes) -> io::Result<Rings> {
        let xdp = libc::SOL_XDP;
        self.set(xdp, libc::XDP_UMEM_FILL_RING, &sizes.receive)?;
        self.set(xdp, libc::XDP_UMEM_COMPLETION_RING, &sizes.transmit)?;
        self.set(xdp, libc::XDP_RX_RING, &sizes.receive)?;
        self.set(xdp, libc::XDP_TX_RING, &sizes.transmit)?;
        // Not safely: the structures are the kernel's, without defaults.
        // SAFETY: all-zero octets are valid offsets.
        let mut at: libc::xdp_mmap_offsets = unsafe { zeroed() };
        if self.read(libc::XDP_MMAP_OFFSETS, &mut at)? != size_of::<libc::xdp_mmap_offsets>() {
            return Err(io::ErrorKind::Unsupported.into()); // before Linux 5.4
        }
        let fill = libc::XDP_UMEM_PGOFF_FILL_RING as libc::off_t;
        let completion = libc::XDP_UMEM_PGOFF_COMPLETION_RING as libc::off_t;
        let map = |offsets, page, entries, words| {
            Mapping::new(self.number(), offsets, page, entries, words)
        };
        Ok(Rings {
            receive: map(&at.rx, libc::XDP_PGOFF_RX_RING, sizes.receive, 2)?,
            transmit: map(&at.tx, libc::XDP_PGOFF_TX_RING, sizes.transmit, 2)?,
            fill: map(&at.fr, fill, sizes.receive, 1)?,
            completion: map(&at.cr, completion, sizes.transmit, 1)?,
        })
    }

    /// Binds the socket to a queue of an interface, with the kernel's `XDP_*` bind flags.
    pub(super) fn bind(&self, index: u32, queue: u32, flags: u16) -> io::Result<()> {
        let address = libc::sockaddr_xdp {
            sxdp_family: libc::AF_XDP as u16,
            sxdp_flags: flags,
            sxdp_ifindex: index,
            sxdp_queue_id: queue,
            sxdp_shared_umem_fd: 0,
        };
        let length = size_of::<libc::sockaddr_xdp>() as libc::socklen_t;
        // Not safely: std binds no such sockets.
        // SAFETY: the address is read at its true length during the call.
        check(unsafe { libc::bind(self.number(), (&raw const address).cast(), length) }).map(drop)
    }

    /// Whether the device itself reads and writes the frames.
    pub(super) fn is_zero_copy(&self) -> bool {
        let mut options = libc::xdp_options { flags: 0 };
        self.read(libc::XDP_OPTIONS, &mut options).is_ok()
            && options.flags & libc::XDP_OPTIONS_ZEROCOPY != 0
    }

    /// How many descriptors one wake-up may send, where the kernel knows the option (6.17).
    pub(super) fn set_transmit_budget(&self, descriptors: u32) -> io::Result<()> {
        self.set(libc::SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &descriptors)
    }

    /// Room for packets under way in the kernel, beyond the system's usual limit.
    pub(super) fn set_send_room(&self, octets: libc::c_int) -> io::Result<()> {
        self.set(libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &octets)
    }

    /// Lets our calls poll the device, instead of interrupts: up to `microseconds` and `packets`
    /// each.
    pub(super) fn set_busy_poll(&self, microseconds: u32, packets: u32) -> io::Result<()> {
        self.set(libc::SOL_SOCKET, libc::SO_PREFER_BUSY_POLL, &1_i32)?;
        self.set(libc::SOL_SOCKET, libc::SO_BUSY_POLL, &microseconds)?;
        self.set(libc::SOL_SOCKET, libc::SO_BUSY_POLL_BUDGET, &packets)
    }

    /// Lets the kernel go through the transmit ring.
    pub(super) fn kick_transmit(&self) -> Kick {
        // Not safely: std sends nothing without an address and octets.
        // SAFETY: no memory is read: the length is zero.
        let result = unsafe {
            libc::sendto(self.number(), ptr::null(), 0, libc::MSG_DONTWAIT, ptr::null(), 0)
        };
        if result >= 0 {
            return Kick::Done;
        }
        match io::Error::last_os_error().raw_os_error() {
            Some(libc::EAGAIN | libc::EBUSY | libc::ENOBUFS | libc::EINTR) => Kick::Again,
            _ => Kick::Failed,
        }
    }

    /// Lets the device look for packets and at the fill ring.
    pub(super) fn kick_receive(&self) {
        // Not safely: std reads nothing without a buffer.
        // SAFETY: no memory is written: the length is zero, the addresses are null.
        unsafe {
            let (none, no_length) = (ptr::null_mut(), ptr::null_mut());
            libc::recvfrom(self.number(), ptr::null_mut(), 0, libc::MSG_DONTWAIT, none, no_length);
        }
    }

    pub(super) fn stats(&self) -> KernelStats {
        // Not safely: the structure is the kernel's, without a default.
        // SAFETY: all-zero octets are valid counters.
        let mut counted: libc::xdp_statistics = unsafe { zeroed() };
        if self.read(libc::XDP_STATISTICS, &mut counted).is_err() {
            return KernelStats::default();
        }
        KernelStats {
            receive_dropped: counted.rx_dropped,
            receive_invalid: counted.rx_invalid_descs,
            transmit_invalid: counted.tx_invalid_descs,
            receive_ring_full: counted.rx_ring_full,
            fill_ring_empty: counted.rx_fill_ring_empty_descs,
        }
    }
}

/// Structures of integers: any octets are valid.
trait Plain {}
impl Plain for libc::xdp_mmap_offsets {}
impl Plain for libc::xdp_options {}
impl Plain for libc::xdp_statistics {}

/// A ring in memory shared with the kernel. Both sides use atomics, so any entry may be read or
/// written at any time; what it is worth then is `ring`'s business.
pub(super) struct Mapping {
    address: NonNull<u8>,
    octets: usize,
    offsets: libc::xdp_ring_offset,
    words: usize,
}

impl Mapping {
    /// The ring of `entries` entries of `words` words each at `page` of the socket's memory.
    fn new(
        socket: RawFd,
        offsets: &libc::xdp_ring_offset,
        page: libc::off_t,
        entries: u32,
        words: usize,
    ) -> io::Result<Mapping> {
        let words = entries as usize * words;
        let octets = offsets.desc as usize + words * size_of::<u64>();
        let highest = offsets.producer.max(offsets.consumer).max(offsets.flags) as usize + 4;
        let counters = [offsets.producer, offsets.consumer, offsets.flags];
        let aligned = counters.iter().all(|offset| offset.is_multiple_of(4))
            && offsets.desc.is_multiple_of(8);
        if highest > octets || !aligned {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
        // Not safely: std maps no memory.
        // SAFETY: the kernel chooses an address where nothing is; the result is checked.
        let at = unsafe { libc::mmap(ptr::null_mut(), octets, protection, flags, socket, page) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let Some(address) = NonNull::new(at.cast()) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        // A child must not keep the socket alive by its rings. Not safely: std maps no memory.
        // SAFETY: the range just mapped; what a child process has is not touched by this one.
        unsafe { libc::madvise(at, octets, libc::MADV_DONTFORK) };
        Ok(Mapping { address, octets, offsets: *offsets, words })
    }

    fn counter(&self, offset: u64) -> &AtomicU32 {
        // Not safely: raw memory.
        // SAFETY: `new` saw that the offset is aligned and inside the mapping, which lives as long
        // as `self`; the kernel changes it by atomic operations of this width.
        unsafe { self.address.add(offset as usize).cast().as_ref() }
    }
    pub(super) fn producer(&self) -> &AtomicU32 {
        self.counter(self.offsets.producer)
    }
    pub(super) fn consumer(&self) -> &AtomicU32 {
        self.counter(self.offsets.consumer)
    }
    pub(super) fn flags(&self) -> &AtomicU32 {
        self.counter(self.offsets.flags)
    }
    /// The entries.
    pub(super) fn words(&self) -> &[AtomicU64] {
        // Not safely: raw memory.
        // SAFETY: `new` mapped that many words at an aligned offset, and the mapping lives as long
        // as `self`; atomics may change under a shared reference.
        unsafe {
            let first = self.address.add(self.offsets.desc as usize).cast::<AtomicU64>();
            slice::from_raw_parts(first.as_ptr(), self.words)
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // Not safely: what was mapped by hand is unmapped by hand.
        // SAFETY: the range `new` mapped; all references into it borrowed `self`.
        unsafe { libc::munmap(self.address.as_ptr().cast(), self.octets) };
    }
}

// The kernel's layouts, as the code above relies on them.
const _: () = {
    assert!(size_of::<Instruction>() == 8);
    assert!(size_of::<libc::xdp_desc>() == 16 && offset_of!(libc::xdp_desc, len) == 8);
};
