//! The program's memory. Owns: buffers, vectors, addresses, `errno`, as C has them.
//! Must not know: the stack.

use core::net::{IpAddr, SocketAddr};
use libc::{c_int, c_void, iovec, sockaddr, socklen_t};
use usertcp_conformance::posix::errno::Errno;
use usertcp_conformance::posix::{Source, Status, Target};

/// Not there: what a call that the stack lacks ends with.
const ENOSYS: i32 = 38;

/// A buffer of the program.
#[derive(Clone, Copy)]
pub struct Buffer {
    at: *mut u8,
    octets: usize,
}

// SAFETY: the program leaves a buffer alone until the call that it is for returns, and a call that
// waits does not return before the attempt that uses the buffer is dropped.
unsafe impl Send for Buffer {}

impl Buffer {
    /// The buffer at an address.
    pub fn new(at: *mut c_void, octets: usize) -> Buffer {
        Buffer { at: at.cast(), octets }
    }

    /// To be filled. NULL is an address that the program does not have.
    pub fn target(&mut self) -> Target<'_> {
        if self.at.is_null() {
            return Target::Bad(self.octets);
        }
        // Not safely: an address and a length are all that C gives.
        // SAFETY: not NULL, so a buffer of that length, ours while the call lasts; exclusive, as
        // `self` is borrowed so.
        Target::Octets(unsafe { std::slice::from_raw_parts_mut(self.at, self.octets) })
    }

    /// To be read.
    pub fn source(&self) -> Source<'_> {
        match self.octets() {
            Some(octets) => Source::Octets(octets),
            None => Source::Bad(self.octets),
        }
    }

    /// Its octets; `None` when it is NULL.
    pub fn octets(&self) -> Option<&[u8]> {
        if self.at.is_null() {
            return None;
        }
        // Not safely: an address and a length are all that C gives.
        // SAFETY: not NULL, so a buffer of that length, which nobody writes while the call lasts.
        Some(unsafe { std::slice::from_raw_parts(self.at, self.octets) })
    }

    /// Copies as much as fits; how much.
    pub fn fill(&mut self, octets: &[u8]) -> usize {
        match self.target() {
            Target::Octets(place) => {
                let count = octets.len().min(place.len());
                place[..count].copy_from_slice(&octets[..count]);
                count
            }
            Target::Bad(_) => 0,
        }
    }
}

/// Reads a value of the program; `None` when the address is NULL.
///
/// # Safety
/// `at` is NULL or points to a valid `T`.
pub unsafe fn load<T: Copy>(at: *const T) -> Option<T> {
    // Not safely: the value is behind a foreign pointer.
    // SAFETY: NULL is told apart, else the caller vouches; unaligned, as C's packed records are.
    if at.is_null() { None } else { Some(unsafe { at.read_unaligned() }) }
}

/// Writes a value of the program, unless the address is NULL.
///
/// # Safety
/// `at` is NULL or points to memory for a `T`.
pub unsafe fn store<T>(at: *mut T, value: T) {
    if !at.is_null() {
        // Not safely: the place is behind a foreign pointer.
        // SAFETY: not NULL, so the caller vouches; unaligned, as C's packed records are.
        unsafe { at.write_unaligned(value) }
    }
}

/// The values of an array.
///
/// # Safety
/// `at` is NULL or points to `count` valid values.
pub unsafe fn load_all<T: Copy>(at: *const T, count: usize) -> Vec<T> {
    if at.is_null() {
        return Vec::new();
    }
    // Not safely: an address and a count are all that C gives.
    // SAFETY: not NULL, so the caller vouches for each of `count` values.
    (0..count).map(|index| unsafe { at.add(index).read_unaligned() }).collect()
}

/// The buffers of a vector.
///
/// # Safety
/// As for [`load_all`].
pub unsafe fn buffers(vector: *const iovec, count: usize) -> Vec<Buffer> {
    // Not safely: a vector is an array of C.
    // SAFETY: the caller vouches.
    let all = unsafe { load_all(vector, count) };
    all.into_iter().map(|one| Buffer::new(one.iov_base, one.iov_len)).collect()
}

/// An address of the program: of a family that is no family (AF_UNSPEC), or of one we know.
pub enum Address {
    /// AF_UNSPEC.
    Unspecified,
    /// IPv4 or IPv6.
    Known(SocketAddr),
}

/// Reads an address.
///
/// # Safety
/// `at` is NULL or points to `octets` octets.
pub unsafe fn address(at: *const sockaddr, octets: socklen_t) -> Result<Address, Errno> {
    let buffer = Buffer::new(at.cast_mut().cast(), octets as usize);
    let all = buffer.octets().ok_or(Errno::EFAULT)?;
    let [a, b, rest @ ..] = all else { return Err(Errno::EINVAL) };
    let part = |from: usize, to: usize| rest.get(from..to).ok_or(Errno::EINVAL);
    let port = |octets: &[u8]| u16::from_be_bytes([octets[0], octets[1]]);
    match i32::from(u16::from_ne_bytes([*a, *b])) {
        libc::AF_UNSPEC => Ok(Address::Unspecified),
        libc::AF_INET => {
            let ip: [u8; 4] = part(2, 6)?.try_into().map_err(|_| Errno::EINVAL)?;
            Ok(Address::Known(SocketAddr::new(IpAddr::from(ip), port(part(0, 2)?))))
        }
        libc::AF_INET6 => {
            let ip: [u8; 16] = part(6, 22)?.try_into().map_err(|_| Errno::EINVAL)?;
            let ip = std::net::Ipv6Addr::from(ip);
            // A mapped address is IPv4 all the same.
            let ip = ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4);
            Ok(Address::Known(SocketAddr::new(ip, port(part(0, 2)?))))
        }
        _ => Err(Errno::EAFNOSUPPORT),
    }
}

/// An address as C has it.
pub fn address_octets(address: SocketAddr) -> Vec<u8> {
    let port = address.port().to_be_bytes();
    match address.ip() {
        IpAddr::V4(ip) => {
            let family = (libc::AF_INET as u16).to_ne_bytes();
            [&family[..], &port, &ip.octets(), &[0; 8]].concat()
        }
        IpAddr::V6(ip) => {
            let family = (libc::AF_INET6 as u16).to_ne_bytes();
            [&family[..], &port, &[0; 4], &ip.octets(), &[0; 4]].concat()
        }
    }
}

/// Writes octets and their length where the program wants them; NULL is not at all.
///
/// # Safety
/// `length` is NULL or points to the room at `at`.
pub unsafe fn give(at: *mut c_void, length: *mut socklen_t, octets: &[u8]) {
    // Not safely: the room is behind a foreign pointer.
    // SAFETY: the caller vouches.
    let Some(room) = (unsafe { load(length) }) else { return };
    Buffer::new(at, room as usize).fill(octets);
    // Not safely: as above.
    // SAFETY: as above.
    unsafe { store(length, octets.len() as socklen_t) };
}

/// A status as C has it: a result, or -1 and `errno`.
pub fn result(status: Status) -> i64 {
    match status {
        Status::Done(value) => value,
        Status::Error(errno) => fail(errno.0),
        Status::Missing(what) => {
            eprintln!("usertcp: the stack does not have {what}");
            fail(ENOSYS)
        }
        // Only `world::wait` sees that one, and it waits.
        Status::Blocked => fail(libc::EAGAIN),
    }
}

/// The same for a call with an `int` result.
pub fn int_result(status: Status) -> c_int {
    result(status) as c_int
}

/// -1 and `errno`.
pub fn fail(number: i32) -> i64 {
    // Not safely: `errno` is a variable of the C library.
    // SAFETY: the pointer is this thread's own, always valid.
    unsafe { *libc::__errno_location() = number };
    -1
}
