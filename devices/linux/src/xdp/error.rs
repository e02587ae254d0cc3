//! What can go wrong when an AF_XDP device is opened or bound.
//! Owns: two lines for each case: what happened, what to do. Must not know: how it was noticed.

use std::net::IpAddr;
use std::{fmt, io};

/// Why a device was not opened. Displayed as two lines: what happened, what to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// A value in the configuration is out of range.
    BadConfig {
        /// Which, and its range.
        what: &'static str,
    },
    /// There is no such interface.
    NoInterface {
        /// The interface.
        name: String,
    },
    /// The interface speaks no Ethernet.
    NotEthernet {
        /// The interface.
        name: String,
    },
    /// The interface is down.
    Down {
        /// The interface.
        name: String,
    },
    /// This process may not do it.
    NoPermission {
        /// What it tried.
        step: &'static str,
    },
    /// The kernel has one of our addresses.
    AddressInUse {
        /// The address.
        address: IpAddr,
        /// The index of the interface that has it.
        interface: u32,
    },
    /// Another XDP program is on the interface.
    ProgramTaken {
        /// The interface.
        name: String,
    },
    /// Another socket has the queue.
    Busy {
        /// The interface.
        name: String,
        /// The queue.
        queue: u32,
    },
    /// The interface has no such queue.
    NoQueue {
        /// The interface.
        name: String,
        /// The queue.
        queue: u32,
    },
    /// The kernel may not lock as much memory for this process.
    TooMuchMemory {
        /// Octets of the frame pool.
        octets: usize,
    },
    /// The kernel puts a packet into one buffer only, and the MTU is larger.
    MtuTooLarge {
        /// The most it may be.
        most: usize,
    },
    /// The kernel refused for another reason.
    System {
        /// What was tried.
        step: &'static str,
        /// What the kernel said.
        error: io::Error,
    },
}

impl OpenError {
    /// For an error of the kernel at `step`.
    pub(super) fn system(step: &'static str, error: io::Error) -> OpenError {
        match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => OpenError::NoPermission { step },
            _ => OpenError::System { step, error },
        }
    }

    /// For an error of the kernel at `step`, which locks `octets`.
    pub(super) fn memory(octets: usize, step: &'static str, error: io::Error) -> OpenError {
        match error.raw_os_error() {
            Some(libc::ENOBUFS | libc::ENOMEM) => OpenError::TooMuchMemory { octets },
            _ => OpenError::system(step, error),
        }
    }
}

impl From<OpenError> for io::Error {
    fn from(error: OpenError) -> io::Error {
        let kind = match &error {
            OpenError::NoPermission { .. } => io::ErrorKind::PermissionDenied,
            OpenError::NoInterface { .. } => io::ErrorKind::NotFound,
            OpenError::ProgramTaken { .. } | OpenError::Busy { .. } => io::ErrorKind::ResourceBusy,
            OpenError::BadConfig { .. } | OpenError::NotEthernet { .. } => {
                io::ErrorKind::InvalidInput
            }
            OpenError::Down { .. } => io::ErrorKind::NetworkDown,
            OpenError::AddressInUse { .. } => io::ErrorKind::AddrInUse,
            OpenError::TooMuchMemory { .. } => io::ErrorKind::OutOfMemory,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::BadConfig { what } => {
                write!(f, "the device cannot be configured so\nchange {what}")
            }
            OpenError::NoInterface { name } => write!(
                f,
                "there is no interface {name:?}\n\
                 choose one that exists: ip link"
            ),
            OpenError::NotEthernet { name } => write!(
                f,
                "{name} is not an Ethernet interface\n\
                 choose another one: ip link"
            ),
            OpenError::Down { name } => write!(
                f,
                "{name} is down\n\
                 bring it up: ip link set {name} up"
            ),
            OpenError::NoPermission { step } => write!(
                f,
                "no permission to {step}\n\
                 run as root, or give the program its rights: \
                 setcap cap_net_admin,cap_net_raw,cap_bpf,cap_ipc_lock+ep PROGRAM"
            ),
            OpenError::AddressInUse { address, interface } => write!(
                f,
                "{address} belongs to interface number {interface} of this host\n\
                 choose an address that nobody has; see: ip address"
            ),
            OpenError::ProgramTaken { name } => write!(
                f,
                "another XDP program is on {name}\n\
                 stop what put it there, or remove it: ip link set {name} xdp off"
            ),
            OpenError::Busy { name, queue } => write!(
                f,
                "another socket has queue {queue} of {name}\n\
                 stop that process, or choose another queue"
            ),
            OpenError::NoQueue { name, queue } => write!(
                f,
                "{name} has no queue {queue}\n\
                 see how many it has: ethtool -l {name}"
            ),
            OpenError::TooMuchMemory { octets } => write!(
                f,
                "the kernel may not lock the {octets} octets of the frame pool for us\n\
                 allow more (ulimit -l), give the program CAP_IPC_LOCK, or take a smaller pool"
            ),
            OpenError::MtuTooLarge { most } => write!(
                f,
                "this kernel (before 6.6) puts a packet into one buffer of AF_XDP only\n\
                 set the interface's MTU to {most} at most"
            ),
            OpenError::System { step, error } => write!(
                f,
                "could not {step}: {error}\n\
                 see the kernel's log: dmesg | tail"
            ),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            OpenError::System { error, .. } => Some(error),
            _ => None,
        }
    }
}
