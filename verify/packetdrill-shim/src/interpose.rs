//! What is preloaded over the C library, for the calls that are not in the program's table.
//! Owns: which descriptors and commands are ours. Must not know: the stack beyond its sockets.
//! What is not ours goes to the system, by its own number: looking the library's function up would
//! need the dynamic loader.

use crate::calls::ours;
use crate::memory::{fail, give, int_result, load, result, store};
use crate::world;
use libc::{c_char, c_int, c_void, clock_t, off_t, size_t, socklen_t, ssize_t, tms};
use std::ffi::CStr;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicI64, Ordering};
use usertcp_conformance::posix::errno::Errno;
use usertcp_conformance::posix::{Pending, Posix, Source, Status};

/// Commands that are let through: they touch files, not the network.
const LET_THROUGH: [&str; 4] = ["python3", "dd", "rm", "true"];
/// What a shell calls a command that is not there, as `wait` tells it.
const NOT_FOUND: c_int = 127 << 8;
/// Octets of a file sent at a time.
const MOST_SENT: usize = 1 << 20;

/// `getsockopt(2)`: the program reads TCP_INFO by this, not by its table.
///
/// # Safety
/// As `getsockopt(2)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    octets: *mut socklen_t,
) -> c_int {
    let live = ours(fd);
    if live < 0 {
        // Not safely: the system's own call.
        // SAFETY: the arguments are the caller's, as they came.
        return unsafe { libc::syscall(libc::SYS_getsockopt, fd, level, name, value, octets) }
            as c_int;
    }
    // Not safely: the length is behind a foreign pointer.
    // SAFETY: as `getsockopt(2)` takes it.
    let Some(room) = (unsafe { load(octets) }) else {
        return fail(Errno::EFAULT.0) as c_int;
    };
    let got =
        world::with(|world| world.posix.getsockopt(live, level.into(), name.into(), room as usize));
    match got.unwrap_or(Err(Status::Error(Errno::EBADF))) {
        Ok(got) => {
            // Not safely: the room is behind foreign pointers.
            // SAFETY: as `getsockopt(2)` takes them.
            unsafe { give(value, octets, &got) };
            0
        }
        Err(status) => int_result(status),
    }
}

/// `system(3)`: settings become the stack's, nothing of the host changes.
///
/// # Safety
/// As `system(3)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn system(command: *const c_char) -> c_int {
    if command.is_null() {
        return 1;
    }
    // Not safely: a C string has its length in itself.
    // SAFETY: not NULL, so a C string.
    let text = unsafe { CStr::from_ptr(command) }.to_string_lossy().into_owned();
    let first = text.split_whitespace().next().unwrap_or("");
    let name = first.rsplit('/').next().unwrap_or("");
    // A program whose whole line is let through; its text may hold anything.
    if LET_THROUGH.contains(&name) {
        let run = Command::new("sh").arg("-c").arg(&text).env_remove("LD_PRELOAD").status();
        return run.map_or(NOT_FOUND, ExitStatus::into_raw);
    }
    match world::command(&text) {
        Ok(()) => 0,
        Err(what) => {
            eprintln!("usertcp: the stack does not have {what}");
            NOT_FOUND
        }
    }
}

/// `sendfile(2)` to one of our sockets.
///
/// # Safety
/// As `sendfile(2)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendfile(
    to: c_int,
    from: c_int,
    offset: *mut off_t,
    octets: size_t,
) -> ssize_t {
    let live = ours(to);
    if live < 0 {
        // Not safely: the system's own call.
        // SAFETY: the arguments are the caller's, as they came.
        return unsafe { libc::syscall(libc::SYS_sendfile, to, from, offset, octets) } as ssize_t;
    }
    let mut buffer = vec![0u8; octets.min(MOST_SENT)];
    // Not safely: the offset is behind a foreign pointer.
    // SAFETY: as `sendfile(2)` takes it, NULL included.
    let at = unsafe { load(offset) };
    // Not safely: the file is a plain number of the program's.
    // SAFETY: the buffer has the length that is told.
    let got = unsafe {
        match at {
            Some(at) => libc::pread(from, buffer.as_mut_ptr().cast(), buffer.len(), at),
            None => libc::read(from, buffer.as_mut_ptr().cast(), buffer.len()),
        }
    };
    let Ok(count) = usize::try_from(got) else { return got };
    buffer.truncate(count);
    let mut pending = Pending::default();
    let status = world::wait(Box::new(move |posix: &mut Posix| {
        (posix.send(live, &[Source::Octets(&buffer)], 0, &mut pending), pending.deadline)
    }));
    let sent = result(status);
    match at {
        Some(at) if sent > 0 => {
            // Not safely: the offset is behind a foreign pointer.
            // SAFETY: it was read from there.
            unsafe { store(offset, at + sent) };
        }
        None if sent >= 0 && (sent as usize) < count => {
            // What was read and not sent is to be read again.
            // Not safely: the file is a plain number of the program's.
            // SAFETY: no memory is involved.
            unsafe { libc::lseek(from, sent - count as i64, libc::SEEK_CUR) };
        }
        _ => {}
    }
    sent as ssize_t
}

/// `times(2)`: the program spins on it when it starts, so it counts up at each call.
///
/// # Safety
/// As `times(2)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn times(spent: *mut tms) -> clock_t {
    static TICKS: AtomicI64 = AtomicI64::new(1);
    let none = tms { tms_utime: 0, tms_stime: 0, tms_cutime: 0, tms_cstime: 0 };
    // Not safely: the record is behind a foreign pointer.
    // SAFETY: as `times(2)` takes it, NULL included.
    unsafe { store(spent, none) };
    TICKS.fetch_add(1, Ordering::Relaxed)
}

/// `mlockall(2)`: nothing is to be locked where time is virtual; the system's needs privileges.
#[unsafe(no_mangle)]
pub extern "C" fn mlockall(_: c_int) -> c_int {
    0
}
