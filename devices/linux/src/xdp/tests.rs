//! Tests that need no device.
use super::*;
use std::io;

mod offloads;
mod programs;
mod rings;
mod umem;

#[test]
fn memory_that_may_not_be_locked_is_told_apart() {
    let memory = |code| refused_memory(7, "register", io::Error::from_raw_os_error(code));
    assert!(matches!(memory(libc::ENOBUFS), OpenError::TooMuchMemory { octets: 7 }));
    assert!(matches!(memory(libc::EPERM), OpenError::NoPermission { .. }));
    assert!(matches!(memory(libc::EINVAL), OpenError::System { .. }));
}
