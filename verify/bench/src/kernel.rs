//! The kernel's side: a network of its own, many sockets.
//!
//! Owns: system calls that std has no name for. Must not know: what is measured.

use std::io::{Error, Result};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::Command;

/// Sockets told at once.
const EVENTS: usize = 256;

/// A network namespace with nothing but loopback.
#[allow(unsafe_code)]
pub fn own_network() -> std::result::Result<(), String> {
    // SAFETY: the call changes what network this process sees, and no memory.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        return Err(format!("a network namespace: {}", Error::last_os_error()));
    }
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    match up {
        Ok(status) if status.success() => Ok(()),
        other => Err(format!("ip link set lo up: {other:?}")),
    }
}

/// A set of sockets that are watched for what can be read.
pub struct Epoll(OwnedFd);

#[allow(unsafe_code)]
impl Epoll {
    /// An empty set.
    pub fn new() -> Result<Epoll> {
        // SAFETY: the call touches no memory of ours.
        let file = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if file < 0 {
            return Err(Error::last_os_error());
        }
        // SAFETY: the file is open, and nobody else has it.
        Ok(Epoll(unsafe { OwnedFd::from_raw_fd(file) }))
    }

    /// Adds a socket under a number.
    pub fn watch(&self, stream: &TcpStream, word: u64) -> Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: word };
        let (epoll, file) = (self.0.as_raw_fd(), stream.as_raw_fd());
        // SAFETY: `event` lives during the call.
        let done = unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, file, &raw mut event) };
        if done == 0 { Ok(()) } else { Err(Error::last_os_error()) }
    }

    /// The numbers of some that can be read; none after a second without any.
    pub fn wait(&self) -> Result<Vec<u64>> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
        let room = events.len() as i32;
        // SAFETY: `events` has room for as many as are said, and lives.
        let count =
            unsafe { libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), room, 1000) };
        if count < 0 {
            return Err(Error::last_os_error());
        }
        Ok(events.iter().take(count as usize).map(|event| event.u64).collect())
    }
}

/// Throws away what a socket holds; nothing is copied, and nothing waited for.
#[allow(unsafe_code)]
pub fn discard(stream: &TcpStream) -> Result<()> {
    let flags = libc::MSG_TRUNC | libc::MSG_DONTWAIT;
    // SAFETY: with MSG_TRUNC TCP writes to no buffer (tcp(7)).
    let count = unsafe { libc::recv(stream.as_raw_fd(), std::ptr::null_mut(), 1 << 30, flags) };
    let error = Error::last_os_error();
    if count < 0 && error.kind() != std::io::ErrorKind::WouldBlock { Err(error) } else { Ok(()) }
}

/// Octets that a socket may hold, beyond the system's limit too (as root).
#[allow(unsafe_code)]
pub fn set_receive_buffer(stream: &TcpStream, octets: i32) -> Result<()> {
    let length = size_of::<i32>() as libc::socklen_t;
    let (file, value) = (stream.as_raw_fd(), (&raw const octets).cast());
    // SAFETY: `octets` lives during the call and has the length that is said.
    let done =
        unsafe { libc::setsockopt(file, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, value, length) };
    if done == 0 { Ok(()) } else { Err(Error::last_os_error()) }
}

/// Lets only this processor run the calling thread, and those it starts from now on.
#[allow(unsafe_code)]
pub fn pin(processor: usize) -> Result<()> {
    // SAFETY: a set of processors is plain bits, of which none is a fine value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set has room for the number, which is wrapped into it.
    unsafe { libc::CPU_SET(processor % libc::CPU_SETSIZE as usize, &mut set) };
    // SAFETY: the set lives during the call and has the length that is said.
    let done = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    if done == 0 { Ok(()) } else { Err(Error::last_os_error()) }
}
