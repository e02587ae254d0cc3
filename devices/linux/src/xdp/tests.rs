//! Tests that need no device.
use super::*;
use std::io;

mod offloads;
mod programs;
mod rings;
mod umem;

#[test]
fn every_error_says_what_and_what_to_do() {
    let name = || "eth1".to_string();
    let io = || io::Error::from_raw_os_error(libc::EIO);
    let errors = [
        OpenError::BadConfig { what: "the queues" },
        OpenError::NoInterface { name: name() },
        OpenError::NotEthernet { name: name() },
        OpenError::Down { name: name() },
        OpenError::NoPermission { step: "open an AF_XDP socket" },
        OpenError::AddressInUse { address: [10, 9, 0, 2].into(), interface: 3 },
        OpenError::ProgramTaken { name: name() },
        OpenError::Busy { name: name(), queue: 3 },
        OpenError::NoQueue { name: name(), queue: 3 },
        OpenError::TooMuchMemory { octets: 64 << 20 },
        OpenError::MtuTooLarge { most: 1810 },
        OpenError::System { step: "make the rings", error: io() },
    ];
    for error in errors {
        let text = error.to_string();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.lines().all(|line| line.len() > 10), "{text}");
    }
    let memory = |code| OpenError::memory(7, "register", io::Error::from_raw_os_error(code));
    assert!(matches!(memory(libc::ENOBUFS), OpenError::TooMuchMemory { octets: 7 }));
    assert!(matches!(memory(libc::EPERM), OpenError::NoPermission { .. }));
    assert!(matches!(memory(libc::EINVAL), OpenError::System { .. }));
}
