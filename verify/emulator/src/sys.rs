//! The system calls that std lacks. The one file of this crate with unsafe code.
//! Owns: namespaces, the TUN device of a path, waiting, socket options. Must not know: why.
#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

/// Gives the calling thread a network namespace of its own. It is gone when the thread has ended
/// and what it opened is closed: nothing is left behind, however the program ends.
pub fn enter_new_namespace() -> io::Result<()> {
    // SAFETY: no pointer is passed.
    check(unsafe { libc::unshare(libc::CLONE_NEWNET) })
}

/// Makes a TUN device without offload headers: each read or write is one whole IP packet of the
/// wire. It does not block.
pub fn open_tun(name: &str) -> io::Result<File> {
    let flags = libc::O_NONBLOCK | libc::O_CLOEXEC;
    let file =
        OpenOptions::new().read(true).write(true).custom_flags(flags).open("/dev/net/tun")?;
    // SAFETY: all-zero octets are a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let room = request.ifr_name.len() - 1;
    for (to, from) in request.ifr_name.iter_mut().take(room).zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: the descriptor is open; TUNSETIFF reads and writes one ifreq, which lives on.
    check(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) })?;
    Ok(file)
}

/// Sleeps until one of both is readable, or for `longest`.
pub fn wait_readable(files: [RawFd; 2], longest: Duration) {
    let mut polled = files.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
    let time = libc::timespec {
        tv_sec: longest.as_secs() as libc::time_t,
        tv_nsec: libc::c_long::from(longest.subsec_nanos() as i32),
    };
    // What it returns does not matter: the caller looks at both in any case.
    // SAFETY: two pollfds and a timespec that live on; no signal mask.
    let _ = unsafe { libc::ppoll(polled.as_mut_ptr(), 2, &raw const time, std::ptr::null()) };
}

/// Sleeps of the calling thread end as soon as they can.
pub fn wake_promptly() {
    // SAFETY: no pointer is passed.
    let _ = unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1) };
}

/// Puts this process, and what it starts, before others. Whether it may.
pub fn go_first() -> bool {
    // SAFETY: no pointer is passed.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -15) == 0 }
}

/// Names a socket's congestion control.
pub fn set_congestion_control(socket: &impl AsRawFd, name: &str) -> io::Result<()> {
    // SAFETY: the pointer and the length are those of a string that lives on.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_CONGESTION,
            name.as_ptr().cast(),
            name.len() as libc::socklen_t,
        )
    })
}

/// A socket's congestion control.
pub fn congestion_control(socket: &impl AsRawFd) -> io::Result<String> {
    let mut name = [0u8; 16];
    let mut length = name.len() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` octets to an array of that size.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_CONGESTION,
            name.as_mut_ptr().cast(),
            &raw mut length,
        )
    })?;
    let end = name.iter().position(|octet| *octet == 0).unwrap_or(name.len());
    Ok(String::from_utf8_lossy(&name[..end]).into_owned())
}

/// What the kernel tells of a connection.
pub fn tcp_info(socket: &impl AsRawFd) -> io::Result<libc::tcp_info> {
    // SAFETY: a tcp_info is numbers, for which all-zero octets are valid.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` octets to a structure of that size.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut length,
        )
    })?;
    Ok(info)
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
