//! The table's functions but those that move data: sockets, options, readiness, clock, packets.
//! Owns: what each argument of C becomes. Must not know: the stack beyond its sockets.

use crate::memory::{
    Address, Buffer, address, address_octets, give, int_result, load, load_all, store,
};
use crate::table::User;
use crate::world::{self, Attempt, World};
use core::net::IpAddr;
use libc::{
    c_int, c_longlong, c_uint, c_ulong, c_void, epoll_event, nfds_t, pollfd, size_t, sockaddr,
    socklen_t, timeval,
};
use usertcp_base::Span;
use usertcp_conformance::posix::errno::Errno;
use usertcp_conformance::posix::poll::{EpollEvent, PollFd};
use usertcp_conformance::posix::{Pending, Posix, Status};

/// A number that is nobody's descriptor.
const NOBODY: i32 = i32::MAX;
/// The program's largest vector.
const MOST_POLLED: usize = 4096;

/// Does `work` with ours behind `fd`.
fn on(fd: c_int, work: impl FnOnce(&mut Posix, i32) -> Status) -> c_int {
    int_result(
        world::with(|world| {
            let ours = world.ours(fd);
            work(&mut world.posix, ours)
        })
        .unwrap_or(Status::Error(Errno::EBADF)),
    )
}

/// Ours behind `fd`.
pub fn ours(fd: c_int) -> i32 {
    world::with(|world| world.ours(fd)).unwrap_or(-1)
}

/// A new descriptor of ours as one of the system.
fn opened(world: &mut World, status: Status) -> Status {
    match status {
        Status::Done(ours) => match world.hand_out(ours as i32) {
            Ok(number) => Status::Done(number.into()),
            Err(errno) => Status::Error(errno),
        },
        other => other,
    }
}

pub extern "C" fn free(_: User) {
    world::stop();
}

pub extern "C" fn socket(_: User, domain: c_int, kind: c_int, protocol: c_int) -> c_int {
    let status = world::with(|world| {
        let status = world.posix.socket(domain.into(), kind.into(), protocol.into());
        opened(world, status)
    });
    int_result(status.unwrap_or(Status::Error(Errno::ENOMEM)))
}

pub unsafe extern "C" fn bind(_: User, fd: c_int, to: *const sockaddr, octets: socklen_t) -> c_int {
    // Not safely: the address is behind a foreign pointer.
    // SAFETY: as `bind(2)` takes it.
    let to = unsafe { address(to, octets) };
    let status = world::with(|world| match to {
        Err(errno) => Status::Error(errno),
        Ok(Address::Unspecified) => Status::Error(Errno::EAFNOSUPPORT),
        Ok(Address::Known(to)) => {
            world.learn(to.ip());
            let ours = world.ours(fd);
            world.posix.bind(ours, to)
        }
    });
    int_result(status.unwrap_or(Status::Error(Errno::EBADF)))
}

pub extern "C" fn listen(_: User, fd: c_int, backlog: c_int) -> c_int {
    on(fd, |posix, fd| posix.listen(fd, backlog.into()))
}

pub unsafe extern "C" fn accept(
    _: User,
    fd: c_int,
    from: *mut sockaddr,
    octets: *mut socklen_t,
) -> c_int {
    let (fd, mut pending) = (ours(fd), Pending::default());
    let status = world::wait(Box::new(move |posix: &mut Posix| {
        (posix.accept(fd, 0, &mut pending), pending.deadline)
    }));
    let Status::Done(made) = status else { return int_result(status) };
    let peer = world::with(|world| world.posix.peer_address(made as i32)).flatten();
    if let Some(peer) = peer {
        // Not safely: the room is behind foreign pointers.
        // SAFETY: as `accept(2)` takes them, NULL included.
        unsafe { give(from.cast(), octets, &address_octets(peer)) };
    }
    let status = world::with(|world| opened(world, Status::Done(made)));
    int_result(status.unwrap_or(Status::Error(Errno::EBADF)))
}

pub unsafe extern "C" fn connect(
    _: User,
    fd: c_int,
    to: *const sockaddr,
    octets: socklen_t,
) -> c_int {
    // Not safely: the address is behind a foreign pointer.
    // SAFETY: as `connect(2)` takes it.
    let to = match unsafe { address(to, octets) } {
        Ok(Address::Known(to)) => Some(to),
        Ok(Address::Unspecified) => None,
        Err(errno) => return int_result(Status::Error(errno)),
    };
    let (fd, mut pending) = (ours(fd), Pending::default());
    int_result(world::wait(Box::new(move |posix: &mut Posix| {
        (posix.connect(fd, to, &mut pending), pending.deadline)
    })))
}

pub extern "C" fn close(_: User, fd: c_int) -> c_int {
    let status = world::with(|world| match world.descriptors.close(fd) {
        Some(ours) => world.posix.close(ours),
        None => Status::Error(Errno::EBADF),
    });
    int_result(status.unwrap_or(Status::Error(Errno::EBADF)))
}

pub extern "C" fn shutdown(_: User, fd: c_int, how: c_int) -> c_int {
    on(fd, |posix, fd| posix.shutdown(fd, how.into()))
}

pub extern "C" fn fcntl(_: User, fd: c_int, command: c_int, argument: c_ulong) -> c_int {
    on(fd, |posix, fd| posix.fcntl(fd, command.into(), argument as c_int as i64))
}

pub unsafe extern "C" fn ioctl(_: User, fd: c_int, request: c_ulong, value: *mut c_int) -> c_int {
    let got = world::with(|world| {
        let ours = world.ours(fd);
        world.posix.ioctl(ours, request as i64)
    });
    match got.unwrap_or(Err(Status::Error(Errno::EBADF))) {
        Ok(number) => {
            // Not safely: the place is behind a foreign pointer.
            // SAFETY: these requests come with the address of an `int`.
            unsafe { store(value, number) };
            0
        }
        Err(status) => int_result(status),
    }
}

pub unsafe extern "C" fn getsockopt(
    _: User,
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    octets: *mut socklen_t,
) -> c_int {
    // Not safely: the length is behind a foreign pointer.
    // SAFETY: as `getsockopt(2)` takes it.
    let Some(room) = (unsafe { load(octets) }) else {
        return int_result(Status::Error(Errno::EFAULT));
    };
    let got = world::with(|world| {
        let ours = world.ours(fd);
        world.posix.getsockopt(ours, level.into(), name.into(), room as usize)
    });
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

pub unsafe extern "C" fn setsockopt(
    _: User,
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    octets: socklen_t,
) -> c_int {
    let value = Buffer::new(value.cast_mut(), octets as usize);
    let Some(value) = value.octets() else { return int_result(Status::Error(Errno::EFAULT)) };
    on(fd, |posix, fd| posix.setsockopt(fd, level.into(), name.into(), value))
}

pub unsafe extern "C" fn poll(
    _: User,
    list: *mut pollfd,
    count: nfds_t,
    timeout_ms: c_int,
) -> c_int {
    let count = (count as usize).min(MOST_POLLED);
    // Not safely: an array of C.
    // SAFETY: as `poll(2)` takes it.
    let asked = unsafe { load_all(list, count) };
    // Numbers below zero are passed over; others that are not ours are not open.
    let mapped = |fd: c_int| match ours(fd) {
        _ if fd < 0 => -1,
        -1 => NOBODY,
        ours => ours,
    };
    let polled = asked.iter().map(|one| PollFd {
        fd: mapped(one.fd),
        events: i64::from(one.events as u16),
        revents: 0,
    });
    let mut polled: Vec<PollFd> = polled.collect();
    let (give_back, told) = std::sync::mpsc::channel();
    let mut pending = Pending::default();
    let attempt: Attempt = Box::new(move |posix: &mut Posix| {
        let status = posix.poll(&mut polled, timeout_ms.into(), &mut pending);
        if status != Status::Blocked {
            // The other end waits below.
            let _ = give_back.send(polled.iter().map(|one| one.revents).collect::<Vec<_>>());
        }
        (status, pending.deadline)
    });
    let status = world::wait(attempt);
    for (index, revents) in told.try_recv().unwrap_or_default().into_iter().enumerate() {
        let mut one = asked[index];
        one.revents = revents as i16;
        // Not safely: an array of C.
        // SAFETY: one of the `count` places that were just read.
        unsafe { store(list.add(index), one) };
    }
    int_result(status)
}

pub extern "C" fn epoll_create(_: User, size: c_int) -> c_int {
    let status = world::with(|world| {
        let status = world.posix.epoll_create(size.into());
        opened(world, status)
    });
    int_result(status.unwrap_or(Status::Error(Errno::ENOMEM)))
}

pub unsafe extern "C" fn epoll_ctl(
    _: User,
    ep: c_int,
    operation: c_int,
    fd: c_int,
    event: *mut epoll_event,
) -> c_int {
    // Not safely: the record is behind a foreign pointer.
    // SAFETY: as `epoll_ctl(2)` takes it, NULL included.
    let event = unsafe { load(event) };
    let (events, data) = event.map_or((0, 0), |event| (event.events, event.u64));
    let fd = ours(fd);
    on(ep, |posix, ep| posix.epoll_ctl(ep, operation.into(), fd, events.into(), data))
}

pub unsafe extern "C" fn epoll_wait(
    _: User,
    ep: c_int,
    events: *mut epoll_event,
    most: c_int,
    timeout_ms: c_int,
) -> c_int {
    let (ep, most) = (ours(ep), usize::try_from(most).unwrap_or(0));
    let (give_back, told) = std::sync::mpsc::channel();
    let (mut pending, mut out) = (Pending::default(), Vec::<EpollEvent>::new());
    let attempt: Attempt = Box::new(move |posix: &mut Posix| {
        let status = posix.epoll_wait(ep, &mut out, most, timeout_ms.into(), &mut pending);
        if status != Status::Blocked {
            // The other end waits below.
            let _ = give_back.send(std::mem::take(&mut out));
        }
        (status, pending.deadline)
    });
    let status = world::wait(attempt);
    for (index, event) in told.try_recv().unwrap_or_default().into_iter().enumerate() {
        // Not safely: an array of C.
        // SAFETY: at most `most` are told, and as many have room there.
        unsafe {
            store(events.add(index), epoll_event { events: event.events as u32, u64: event.data });
        }
    }
    int_result(status)
}

/// Where a packet goes to.
fn destination(packet: &[u8]) -> Option<IpAddr> {
    match packet.first()? >> 4 {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(packet.get(16..20)?).ok()?)),
        _ => Some(IpAddr::from(<[u8; 16]>::try_from(packet.get(24..40)?).ok()?)),
    }
}

pub unsafe extern "C" fn netdev_send(_: User, packet: *const c_void, octets: size_t) -> c_int {
    let packet = Buffer::new(packet.cast_mut(), octets);
    let Some(packet) = packet.octets() else { return int_result(Status::Error(Errno::EFAULT)) };
    let sent = world::with(|world| {
        if let Some(to) = destination(packet) {
            world.learn(to);
        }
        world.posix.deliver(packet.to_vec());
    });
    if sent.is_some() { 0 } else { -1 }
}

pub unsafe extern "C" fn netdev_receive(
    _: User,
    packet: *mut c_void,
    octets: *mut size_t,
    time_usecs: *mut c_longlong,
) -> c_int {
    // Not safely: the room is behind a foreign pointer.
    // SAFETY: the program passes the address of its own.
    let room = unsafe { load(octets) }.unwrap_or(0);
    let next = world::with(World::next_packet).flatten();
    // Nothing will come: a packet of no octets fails the script, where an error would be asked
    // again for ever.
    let (time, got) = next.unwrap_or_default();
    let count = Buffer::new(packet, room).fill(&got);
    // Not safely: the places are behind foreign pointers.
    // SAFETY: the program passes the addresses of its own.
    unsafe {
        store(octets, count);
        store(time_usecs, time as c_longlong);
    }
    0
}

pub extern "C" fn usleep(_: User, micros: c_uint) -> c_int {
    let span = Span::from_micros(micros.into());
    if world::with(|world| world.pass(span)).is_some() { 0 } else { -1 }
}

pub unsafe extern "C" fn gettimeofday(_: User, time: *mut timeval, _: *mut c_void) -> c_int {
    let Some(micros) = world::with(World::read_clock) else { return -1 };
    let micros = micros as i64;
    let value = timeval { tv_sec: micros / 1_000_000, tv_usec: micros % 1_000_000 };
    // Not safely: the place is behind a foreign pointer.
    // SAFETY: as `gettimeofday(2)` takes it.
    unsafe { store(time, value) };
    0
}
