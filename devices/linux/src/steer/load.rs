//! Giving a program to the kernel. The one file of this module with unsafe code.
//! Owns: the system call. Must not know: what the program does.
#![allow(unsafe_code)]

use super::Instruction;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// `bpf(2)`: load a program; of the kind that looks at packets and does not change them.
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

/// A loaded program. Who it is given to keeps it.
///
/// # Errors
/// The kernel's: it has no such programs, or not for this user (`CAP_BPF`).
pub(crate) fn load(program: &[Instruction]) -> io::Result<OwnedFd> {
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
    match libc::c_int::try_from(loaded) {
        // Not safely: a number becomes an owner.
        // SAFETY: the kernel has just made it for us, and nobody else knows it.
        Ok(descriptor) if descriptor >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
        _ => Err(io::Error::last_os_error()),
    }
}
