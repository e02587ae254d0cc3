//! The control calls of a TUN device. The one file of this module with unsafe code.
//! Owns: `/dev/net/tun` and its ioctls. Must not know: what is set up for what reason.
//! Reading and writing are plain vectored I/O on a [`File`].
#![allow(unsafe_code)]

use crate::steer::Instruction;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

/// Where the kernel's TUN driver is reached.
pub(super) const PATH: &str = "/dev/net/tun";

/// What the kernel does for us, and may ask of us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Offloads {
    /// Nothing.
    None,
    /// Checksums.
    Checksum,
    /// Checksums and TCP segmentation, with ECN marks where it can.
    Segmentation,
}

/// Opens the driver, without a device yet. Reads and writes will not block.
pub(super) fn open_driver() -> io::Result<File> {
    let flags = libc::O_NONBLOCK | libc::O_CLOEXEC;
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(PATH)
}

/// Makes `file` a queue of the TUN device `name`, which is made when there is none.
pub(super) fn attach(file: &File, name: &str, multi_queue: bool) -> io::Result<()> {
    let multi_queue = if multi_queue { libc::IFF_MULTI_QUEUE } else { 0 };
    let flags = libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR | multi_queue;
    // Not safely: the kernel's own structure has a union.
    // SAFETY: all-zero octets are a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last octet stays zero: the name ends there.
    let room = request.ifr_name.len() - 1;
    for (to, from) in request.ifr_name.iter_mut().take(room).zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    // Not safely: std has no ioctl.
    // SAFETY: the descriptor is open; TUNSETIFF reads and writes one ifreq, which lives on.
    check(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) })
}

/// Fixes the header in front of packets at `octets`: a device that outlived another program may
/// have been left with the longer one.
pub(super) fn set_header_octets(file: &File, octets: libc::c_int) -> io::Result<()> {
    // Not safely: std has no ioctl.
    // SAFETY: the descriptor is open; TUNSETVNETHDRSZ reads one int, which lives on.
    check(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETVNETHDRSZ, &raw const octets) })
}

/// Tells the kernel what it may leave to us. The most it agrees to of `wanted`.
pub(super) fn set_offloads(file: &File, wanted: Offloads) -> io::Result<Offloads> {
    let segmentation = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6;
    let ladder = [
        (Offloads::Segmentation, segmentation | libc::TUN_F_TSO_ECN),
        (Offloads::Segmentation, segmentation),
        (Offloads::Checksum, libc::TUN_F_CSUM),
        (Offloads::None, 0),
    ];
    let from = ladder.iter().position(|(offloads, _)| *offloads == wanted).unwrap_or(0);
    let mut refusal = io::Error::from(io::ErrorKind::Unsupported);
    for (offloads, bits) in ladder.into_iter().skip(from) {
        // Not safely: std has no ioctl.
        // SAFETY: the descriptor is open; TUNSETOFFLOAD takes its argument by value.
        match check(unsafe {
            libc::ioctl(file.as_raw_fd(), libc::TUNSETOFFLOAD, libc::c_ulong::from(bits))
        }) {
            Ok(()) => return Ok(offloads),
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}

/// `_IOR('T', 224, int)`: the kernel's headers have it, the `libc` crate has not.
const TUNSETSTEERINGEBPF: libc::c_ulong = 0x8004_54E0;
/// `bpf(2)`: load a program; the kind that looks at packets and does not change them.
const PROGRAM_LOAD: libc::c_int = 5;
const SOCKET_FILTER: u32 = 1;

/// The part of `union bpf_attr` that loading a program needs.
#[repr(C)]
struct ProgramLoad {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_octets: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

/// Gives the kernel a program that chooses a queue for each packet.
pub(crate) fn load_steering(program: &[Instruction]) -> io::Result<OwnedFd> {
    let license = c"Dual MIT/GPL";
    let load = ProgramLoad {
        kind: SOCKET_FILTER,
        count: program.len() as u32,
        instructions: program.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log_level: 0,
        log_octets: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
    };
    // Not safely: std has no bpf.
    // SAFETY: BPF_PROG_LOAD reads one `bpf_attr`, of which the size given is initialised, `count`
    // instructions, which are `struct bpf_insn` by layout, and a string with its end; all live on.
    let loaded = unsafe {
        libc::syscall(libc::SYS_bpf, PROGRAM_LOAD, &raw const load, size_of::<ProgramLoad>())
    };
    let descriptor = libc::c_int::try_from(loaded).unwrap_or(-1);
    check(descriptor)?;
    // Not safely: a number becomes an owner.
    // SAFETY: the kernel has just made it for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Has the kernel choose the queue of each packet for us by `program`, which it keeps.
pub(super) fn set_steering(file: &File, program: &[Instruction]) -> io::Result<()> {
    let loaded = load_steering(program)?;
    let number = loaded.as_raw_fd();
    // Not safely: std has no ioctl.
    // SAFETY: the descriptor is open; TUNSETSTEERINGEBPF reads one int, which lives on. The device
    // keeps the program by itself.
    check(unsafe { libc::ioctl(file.as_raw_fd(), TUNSETSTEERINGEBPF, &raw const number) })
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
