//! The table's functions that move data. Owns: buffers and vectors of C as the stack's.
//! Must not know: the stack beyond its sockets.

use crate::calls::ours;
use crate::memory::{Buffer, address_octets, buffers, fail, give, int_result, load, result, store};
use crate::message;
use crate::table::User;
use crate::world::{self, Attempt};
use libc::{c_int, c_uint, c_void, iovec, loff_t, msghdr, size_t, sockaddr, socklen_t, ssize_t};
use usertcp_conformance::posix::errno::Errno;
use usertcp_conformance::posix::message::Received;
use usertcp_conformance::posix::{Pending, Posix, Source, Status, Target};

/// Receives into `into`, waiting when the call does.
fn receive(fd: c_int, mut into: Vec<Buffer>, flags: c_int) -> ssize_t {
    let (fd, mut pending) = (ours(fd), Pending::default());
    let attempt: Attempt = Box::new(move |posix: &mut Posix| {
        let mut targets: Vec<Target<'_>> = into.iter_mut().map(Buffer::target).collect();
        (posix.receive(fd, &mut targets, flags.into(), &mut pending), pending.deadline)
    });
    result(world::wait(attempt)) as ssize_t
}

/// Sends what `from` holds, waiting when the call does.
fn transmit(fd: c_int, from: Vec<Buffer>, flags: c_int) -> ssize_t {
    let (fd, mut pending) = (ours(fd), Pending::default());
    let attempt: Attempt = Box::new(move |posix: &mut Posix| {
        let sources: Vec<Source<'_>> = from.iter().map(Buffer::source).collect();
        (posix.send(fd, &sources, flags.into(), &mut pending), pending.deadline)
    });
    result(world::wait(attempt)) as ssize_t
}

pub unsafe extern "C" fn read(_: User, fd: c_int, into: *mut c_void, octets: size_t) -> ssize_t {
    receive(fd, vec![Buffer::new(into, octets)], 0)
}

pub unsafe extern "C" fn readv(_: User, fd: c_int, vector: *const iovec, count: c_int) -> ssize_t {
    // Not safely: a vector is an array of C.
    // SAFETY: as `readv(2)` takes it.
    let into = unsafe { buffers(vector, usize::try_from(count).unwrap_or(0)) };
    receive(fd, into, 0)
}

pub unsafe extern "C" fn recv(
    _: User,
    fd: c_int,
    into: *mut c_void,
    octets: size_t,
    flags: c_int,
) -> ssize_t {
    receive(fd, vec![Buffer::new(into, octets)], flags)
}

pub unsafe extern "C" fn recvfrom(
    _: User,
    fd: c_int,
    into: *mut c_void,
    octets: size_t,
    flags: c_int,
    from: *mut sockaddr,
    from_octets: *mut socklen_t,
) -> ssize_t {
    let count = receive(fd, vec![Buffer::new(into, octets)], flags);
    let peer = world::with(|world| world.posix.peer_address(world.ours(fd))).flatten();
    if let (Some(peer), true) = (peer, count >= 0) {
        // Not safely: the room is behind foreign pointers.
        // SAFETY: as `recvfrom(2)` takes them, NULL included.
        unsafe { give(from.cast(), from_octets, &address_octets(peer)) };
    }
    count
}

pub unsafe extern "C" fn recvmsg(
    _: User,
    fd: c_int,
    message: *mut msghdr,
    flags: c_int,
) -> ssize_t {
    // Not safely: the record is behind a foreign pointer.
    // SAFETY: as `recvmsg(2)` takes it.
    let Some(mut header) = (unsafe { load(message) }) else {
        return fail(Errno::EFAULT.0) as ssize_t;
    };
    // Not safely: a vector is an array of C.
    // SAFETY: the record's own vector.
    let mut into = unsafe { buffers(header.msg_iov, header.msg_iovlen) };
    let (live, mut pending) = (ours(fd), Pending::default());
    let (give_back, told) = std::sync::mpsc::channel::<Received>();
    let attempt: Attempt = Box::new(move |posix: &mut Posix| {
        let mut targets: Vec<Target<'_>> = into.iter_mut().map(Buffer::target).collect();
        let (status, received) = posix.recvmsg(live, &mut targets, flags.into(), &mut pending);
        if status != Status::Blocked {
            // The other end waits below.
            let _ = give_back.send(received);
        }
        (status, pending.deadline)
    });
    let status = world::wait(attempt);
    let received = told.try_recv().unwrap_or_default();
    let v6 = world::with(|world| world.posix.local_address(live).is_some_and(|ip| ip.is_ipv6()));
    message::fill(&mut header, &received, v6 == Some(true));
    // Not safely: the record is behind a foreign pointer.
    // SAFETY: it was read from there.
    unsafe { store(message, header) };
    result(status) as ssize_t
}

pub unsafe extern "C" fn write(_: User, fd: c_int, from: *const c_void, octets: size_t) -> ssize_t {
    transmit(fd, vec![Buffer::new(from.cast_mut(), octets)], 0)
}

pub unsafe extern "C" fn writev(_: User, fd: c_int, vector: *const iovec, count: c_int) -> ssize_t {
    // Not safely: a vector is an array of C.
    // SAFETY: as `writev(2)` takes it.
    let from = unsafe { buffers(vector, usize::try_from(count).unwrap_or(0)) };
    transmit(fd, from, 0)
}

pub unsafe extern "C" fn send(
    _: User,
    fd: c_int,
    from: *const c_void,
    octets: size_t,
    flags: c_int,
) -> ssize_t {
    transmit(fd, vec![Buffer::new(from.cast_mut(), octets)], flags)
}

pub unsafe extern "C" fn sendto(
    _: User,
    fd: c_int,
    from: *const c_void,
    octets: size_t,
    flags: c_int,
    _: *const sockaddr,
    _: socklen_t,
) -> ssize_t {
    // A connected stream does not look at the address (`sendto(2)`); MSG_FASTOPEN, which does, is
    // refused by the sockets by its flag.
    transmit(fd, vec![Buffer::new(from.cast_mut(), octets)], flags)
}

pub unsafe extern "C" fn sendmsg(
    _: User,
    fd: c_int,
    message: *const msghdr,
    flags: c_int,
) -> ssize_t {
    // Not safely: the record is behind a foreign pointer.
    // SAFETY: as `sendmsg(2)` takes it.
    let Some(header) = (unsafe { load(message) }) else {
        return fail(Errno::EFAULT.0) as ssize_t;
    };
    // Not safely: a vector is an array of C.
    // SAFETY: the record's own vector.
    let from = unsafe { buffers(header.msg_iov, header.msg_iovlen) };
    let (fd, mut pending) = (ours(fd), Pending::default());
    let attempt: Attempt = Box::new(move |posix: &mut Posix| {
        let sources: Vec<Source<'_>> = from.iter().map(Buffer::source).collect();
        (posix.send(fd, &sources, flags.into(), &mut pending), pending.deadline)
    });
    result(world::wait(attempt)) as ssize_t
}

pub unsafe extern "C" fn pipe(_: User, ends: *mut c_int) -> c_int {
    let made = world::with(|world| {
        let [reader, writer] = world.posix.pipe();
        Ok([world.hand_out(reader)?, world.hand_out(writer)?])
    });
    match made.unwrap_or(Err(Errno::ENOMEM)) {
        Ok(both) => {
            // Not safely: an array of C.
            // SAFETY: as `pipe(2)` takes it: room for two.
            unsafe { store(ends.cast(), both) };
            0
        }
        Err(errno) => int_result(Status::Error(errno)),
    }
}

pub unsafe extern "C" fn splice(
    _: User,
    from: c_int,
    from_at: *mut loff_t,
    to: c_int,
    to_at: *mut loff_t,
    octets: size_t,
    flags: c_uint,
) -> c_int {
    // The program always passes an address; neither end has an offset, so zero is as good as NULL.
    // Not safely: the offsets are behind foreign pointers.
    // SAFETY: as `splice(2)` takes them, NULL included.
    let offsets = unsafe { [load(from_at), load(to_at)] };
    if offsets.into_iter().flatten().any(|offset| offset != 0) {
        return int_result(Status::Error(Errno::ESPIPE));
    }
    let (from, to, mut pending) = (ours(from), ours(to), Pending::default());
    int_result(world::wait(Box::new(move |posix: &mut Posix| {
        (posix.splice(from, to, octets, flags.into(), &mut pending), pending.deadline)
    })))
}
