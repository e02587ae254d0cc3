//! The system calls of a packet socket. The one file of this module with unsafe code.
//! Owns: the socket, its options, many packets per call. Must not know: what is set up for what
//! reason, what is in a packet.
#![allow(unsafe_code)]

use super::filter::Instruction;
use arrayvec::ArrayVec;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Messages in one call, at most.
pub(super) const MOST_MESSAGES: usize = 16;
/// Parts of a message that is received: header, full frame, large frame.
pub(super) const PARTS: usize = 3;

// Not in libc for every target, and not for all of these.
const PACKET_STATISTICS: libc::c_int = 6;
const PACKET_VNET_HDR: libc::c_int = 15;
const PACKET_FANOUT: libc::c_int = 18;
const PACKET_QDISC_BYPASS: libc::c_int = 20;
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;
const PACKET_FANOUT_DATA: libc::c_int = 22;
const FANOUT_HASH: u32 = 0;
const FANOUT_PROGRAM: u32 = 7;
const FANOUT_DEFRAGMENT: u32 = 0x8000;
const FANOUT_UNIQUE_ID: u32 = 0x2000;
const SIOCGIFMTU: libc::c_ulong = 0x8921;
const SIOCGIFFLAGS: libc::c_ulong = 0x8913;

/// What a socket can be told to take beside what is sent to the interface's own address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Membership {
    /// A group.
    Group([u8; 6]),
    /// Another station's address.
    Station([u8; 6]),
    /// Everything.
    All,
}

/// A socket that receives nothing until it is bound. Reads and writes will not block.
pub(super) fn open_socket() -> io::Result<File> {
    let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // Not safely: std has no packet sockets.
    // SAFETY: no memory is passed.
    let descriptor = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
    check(descriptor)?;
    // SAFETY: the descriptor was just made, and nobody else has it.
    Ok(unsafe { File::from_raw_fd(descriptor) })
}

/// The index of an interface; `None` when there is none of that name.
pub(super) fn interface_index(name: &str) -> Option<u32> {
    let name = std::ffi::CString::new(name).ok()?;
    // Not safely: std knows no interfaces.
    // SAFETY: the name is a string that ends with zero and outlives the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    (index != 0).then_some(index)
}

/// Begins to receive from the interface.
pub(super) fn bind(socket: &File, index: u32) -> io::Result<()> {
    let mut address = empty_address();
    address.sll_family = libc::AF_PACKET as libc::c_ushort;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = index as libc::c_int;
    let octets = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // Not safely: std has no packet sockets.
    // SAFETY: the address outlives the call and has the length that is told.
    check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), octets) })
}

/// The kind of the interface a socket is bound to, and its address on the link.
pub(super) fn link_address(socket: &File) -> io::Result<(u16, [u8; 6])> {
    let address = bound_address(socket)?;
    let [a, b, c, d, e, f, ..] = address.sll_addr;
    Ok((address.sll_hatype, [a, b, c, d, e, f]))
}

fn bound_address(socket: &File) -> io::Result<libc::sockaddr_ll> {
    let mut address = empty_address();
    let mut octets = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // Not safely: std has no packet sockets.
    // SAFETY: the kernel writes at most as many octets as it is told there are.
    check(unsafe {
        libc::getsockname(socket.as_raw_fd(), (&raw mut address).cast(), &raw mut octets)
    })?;
    Ok(address)
}

/// Whether the interface a socket was bound to is there no more.
pub(super) fn is_gone(socket: &File) -> bool {
    // The kernel takes the index away, which is positive as long as there is one.
    bound_address(socket).is_ok_and(|address| address.sll_ifindex <= 0)
}

/// Octets of the longest IP packet of the interface.
pub(super) fn mtu(socket: &File, name: &str) -> io::Result<u32> {
    let request = ask_interface(socket, name, SIOCGIFMTU)?;
    // SAFETY: the kernel filled in this member of the union, in which all octets are valid.
    Ok(u32::try_from(unsafe { request.ifr_ifru.ifru_mtu }).unwrap_or(0))
}

/// Whether the interface is up.
pub(super) fn is_up(socket: &File, name: &str) -> io::Result<bool> {
    let request = ask_interface(socket, name, SIOCGIFFLAGS)?;
    // SAFETY: the kernel filled in this member of the union, in which all octets are valid.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    Ok(libc::c_int::from(flags) & libc::IFF_UP != 0)
}

fn ask_interface(socket: &File, name: &str, what: libc::c_ulong) -> io::Result<libc::ifreq> {
    // Not safely: the kernel's own structure has a union.
    // SAFETY: all-zero octets are a valid ifreq.
    let mut request: libc::ifreq = unsafe { zeroed() };
    // The last octet stays zero: the name ends there.
    let room = request.ifr_name.len() - 1;
    for (to, from) in request.ifr_name.iter_mut().take(room).zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    // Not safely: std has no ioctl.
    // SAFETY: both calls read and write one ifreq, which lives on.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), what, &raw mut request) })?;
    Ok(request)
}

/// Puts the ten octets of an offload header in front of every packet, both ways.
pub(super) fn use_offload_header(socket: &File) -> io::Result<()> {
    set(socket, libc::SOL_PACKET, PACKET_VNET_HDR, &1i32)
}

/// Leaves out what the host itself sends by the interface.
pub(super) fn ignore_outgoing(socket: &File) -> io::Result<()> {
    set(socket, libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, &1i32)
}

/// Sends past the queueing discipline of the interface.
pub(super) fn bypass_queueing(socket: &File) -> io::Result<()> {
    set(socket, libc::SOL_PACKET, PACKET_QDISC_BYPASS, &1i32)
}

/// Room for packets that wait, both ways: as much as asked for, or as much as is permitted.
pub(super) fn set_buffers(socket: &File, octets: u32) -> io::Result<()> {
    let octets = i32::try_from(octets).unwrap_or(i32::MAX);
    for (force, ask) in
        [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)]
    {
        set(socket, libc::SOL_SOCKET, force, &octets)
            .or_else(|_| set(socket, libc::SOL_SOCKET, ask, &octets))?;
    }
    Ok(())
}

/// Hands over only the frames that `program` accepts.
pub(super) fn attach_filter(socket: &File, program: &[Instruction]) -> io::Result<()> {
    let mut program: Vec<libc::sock_filter> = program
        .iter()
        .map(|step| libc::sock_filter {
            code: step.code,
            jt: step.if_true,
            jf: step.if_false,
            k: step.operand,
        })
        .collect();
    let len = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let filter = libc::sock_fprog { len, filter: program.as_mut_ptr() };
    // The kernel copies what the pointer leads to, `len` instructions, before the call returns.
    set(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &filter)
}

/// Has the interface `index` receive for more than its own address, while the socket is open.
pub(super) fn join(socket: &File, index: u32, membership: Membership) -> io::Result<()> {
    let (kind, mac) = match membership {
        Membership::Group(mac) => (libc::PACKET_MR_MULTICAST, mac),
        Membership::All => (libc::PACKET_MR_PROMISC, [0; 6]),
        Membership::Station(mac) => (libc::PACKET_MR_UNICAST, mac),
    };
    let mut address = [0; 8];
    address[..6].copy_from_slice(&mac);
    let request = libc::packet_mreq {
        mr_ifindex: index as libc::c_int,
        mr_type: kind as libc::c_ushort,
        mr_alen: 6,
        mr_address: address,
    };
    set(socket, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &request)
}

/// A group of sockets over which flows are spread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Fanout {
    number: u16,
    mode: u32,
}

/// Makes the first of several sockets the beginning of a group: the kernel spreads flows by `program`
/// (without fragments: it tells where a packet's first octets lead), or by a hash of its own.
pub(super) fn begin_fanout(socket: &File, program: Option<&OwnedFd>) -> io::Result<Fanout> {
    let mode = FANOUT_DEFRAGMENT
        | match program {
            Some(_) => FANOUT_PROGRAM,
            None => FANOUT_HASH,
        };
    set(socket, libc::SOL_PACKET, PACKET_FANOUT, &((mode | FANOUT_UNIQUE_ID) << 16))?;
    if let Some(program) = program {
        set(socket, libc::SOL_PACKET, PACKET_FANOUT_DATA, &program.as_raw_fd())?;
    }
    let mut got = 0u32;
    get(socket, PACKET_FANOUT, &mut got)?;
    // The number is the lower half.
    Ok(Fanout { number: (got & 0xFFFF) as u16, mode })
}

/// Makes a socket one more of the group.
pub(super) fn join_fanout(socket: &File, fanout: Fanout) -> io::Result<()> {
    let wanted = fanout.mode << 16 | u32::from(fanout.number);
    set(socket, libc::SOL_PACKET, PACKET_FANOUT, &wanted)
}

/// One descriptor to wait for both: it polls readable when either does.
pub(super) fn wait_for_both(one: &File, other: &File) -> io::Result<OwnedFd> {
    // Not safely: std has no epoll.
    // SAFETY: no memory is passed.
    let descriptor = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    check(descriptor)?;
    // SAFETY: the descriptor was just made, and nobody else has it.
    let both = unsafe { OwnedFd::from_raw_fd(descriptor) };
    for socket in [one, other] {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 0 };
        let add = libc::EPOLL_CTL_ADD;
        // Not safely: std has no epoll.
        // SAFETY: the call reads one event, which lives on.
        check(unsafe {
            libc::epoll_ctl(both.as_raw_fd(), add, socket.as_raw_fd(), &raw mut event)
        })?;
    }
    Ok(both)
}

/// Packets that found no room since the last call.
pub(super) fn take_drops(socket: &File) -> io::Result<u32> {
    let mut counted = [0u32; 2];
    get(socket, PACKET_STATISTICS, &mut counted)?;
    Ok(counted[1])
}

/// Receives packets that wait, one into each of `places`, and tells how many octets each has: as
/// many as lie in its parts, or more when they did not fit. Stops at the first that is not there.
pub(super) fn receive_many(
    socket: &File,
    places: &mut [[IoSliceMut<'_>; PARTS]],
) -> io::Result<ArrayVec<usize, MOST_MESSAGES>> {
    let mut messages: ArrayVec<libc::mmsghdr, MOST_MESSAGES> = places
        .iter_mut()
        .take(MOST_MESSAGES)
        // `IoSliceMut` is an iovec, as its documentation promises.
        .map(|parts| message(parts.as_mut_ptr().cast(), parts.len()))
        .collect();
    let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
    // Not safely: std receives one message per call.
    // SAFETY: each message points to the parts of one place, which are borrowed for writing until
    // this function returns; the array has the length that is told; no timeout is passed.
    let count = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            messages.as_mut_ptr(),
            messages.len() as libc::c_uint,
            flags as _,
            std::ptr::null_mut(),
        )
    };
    check(count)?;
    let received = messages.iter().take(usize::try_from(count).unwrap_or(0));
    Ok(received.map(|message| message.msg_len as usize).collect())
}

/// Sends packets, of each as many of `parts` as `counts` says, and tells how many went. The error
/// is that of the first.
pub(super) fn send_many(
    socket: &File,
    mut parts: &[IoSlice<'_>],
    counts: &[usize],
) -> io::Result<usize> {
    let mut messages: ArrayVec<libc::mmsghdr, MOST_MESSAGES> = ArrayVec::new();
    for count in counts.iter().take(MOST_MESSAGES) {
        let Some((own, rest)) = parts.split_at_checked(*count) else { break };
        // `IoSlice` is an iovec, as its documentation promises; sending only reads.
        messages.push(message(own.as_ptr().cast_mut().cast(), own.len()));
        parts = rest;
    }
    // Not safely: std sends one message per call.
    // SAFETY: each message points to parts that are borrowed until this function returns, and the
    // kernel only reads them; the array has the length that is told.
    let count = unsafe {
        libc::sendmmsg(
            socket.as_raw_fd(),
            messages.as_mut_ptr(),
            messages.len() as libc::c_uint,
            libc::MSG_DONTWAIT as _,
        )
    };
    check(count)?;
    Ok(usize::try_from(count).unwrap_or(0))
}

fn message(parts: *mut libc::iovec, count: usize) -> libc::mmsghdr {
    // SAFETY: all-zero octets are a valid mmsghdr: no name, no control, no parts.
    let mut message: libc::mmsghdr = unsafe { zeroed() };
    message.msg_hdr.msg_iov = parts;
    message.msg_hdr.msg_iovlen = count as _;
    message
}

fn empty_address() -> libc::sockaddr_ll {
    // SAFETY: all-zero octets are a valid sockaddr_ll.
    unsafe { zeroed() }
}

/// Sets an option whose value is `value`, octet by octet.
fn set<T>(socket: &File, level: libc::c_int, option: libc::c_int, value: &T) -> io::Result<()> {
    let octets = size_of::<T>() as libc::socklen_t;
    // Not safely: std has no such options.
    // SAFETY: the kernel reads as many octets as the value has; pointers in it lead to what its maker
    // says beside them, and outlive the call.
    check(unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const *value).cast(), octets)
    })
}

/// Reads an option of packet sockets whose value is made of whole words.
fn get<T: Copy>(socket: &File, option: libc::c_int, value: &mut T) -> io::Result<()> {
    let mut octets = size_of::<T>() as libc::socklen_t;
    // Not safely: std has no such options.
    // SAFETY: the kernel writes at most as many octets as it is told there are, and every pattern of
    // octets is a value of the integers this is called with.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            option,
            (&raw mut *value).cast(),
            &raw mut octets,
        )
    })
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
