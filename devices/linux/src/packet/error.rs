//! What can go wrong when a packet socket is opened.
//! Owns: two lines for each case: what happened, what to do. Must not know: how it was noticed.

use std::net::IpAddr;
use std::{fmt, io};

/// Why a device was not opened. Displayed as two lines: what happened, what to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// A number in the configuration is out of range.
    BadConfig {
        /// Which, and its range.
        what: &'static str,
    },
    /// There is no interface of that name.
    NoInterface {
        /// The name.
        name: String,
    },
    /// The interface's frames are not those of an Ethernet.
    NotEthernet {
        /// The interface.
        name: String,
    },
    /// The interface is down.
    Down {
        /// The interface.
        name: String,
    },
    /// The kernel has the address, and would answer for it.
    AddressInUse {
        /// The address.
        address: IpAddr,
        /// The index of the interface that has it.
        interface: u32,
    },
    /// This process may not do it.
    NoPermission {
        /// What it tried.
        step: &'static str,
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
        match error.kind() {
            io::ErrorKind::PermissionDenied => OpenError::NoPermission { step },
            _ => OpenError::System { step, error },
        }
    }
}

impl From<OpenError> for io::Error {
    fn from(error: OpenError) -> io::Error {
        let kind = match &error {
            OpenError::NoPermission { .. } => io::ErrorKind::PermissionDenied,
            OpenError::NoInterface { .. } => io::ErrorKind::NotFound,
            OpenError::AddressInUse { .. } => io::ErrorKind::AddrInUse,
            OpenError::Down { .. } => io::ErrorKind::NetworkDown,
            OpenError::NotEthernet { .. } | OpenError::BadConfig { .. } => {
                io::ErrorKind::InvalidInput
            }
            OpenError::System { .. } => io::ErrorKind::Other,
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
                 choose one of those that `ip link` shows"
            ),
            OpenError::NotEthernet { name } => write!(
                f,
                "{name} is no Ethernet: its frames have other headers\n\
                 choose an Ethernet (also wireless, veth, bridge, VLAN), or a TUN device"
            ),
            OpenError::Down { name } => write!(
                f,
                "{name} is down\n\
                 bring it up: ip link set {name} up"
            ),
            OpenError::AddressInUse { address, interface } => write!(
                f,
                "{address} is the kernel's own, on interface number {interface}: it would reset our \
                 connections\n\
                 choose an address of the network that no host has; see: ip address"
            ),
            OpenError::NoPermission { step } => write!(
                f,
                "no permission to {step}\n\
                 run as root, or give the program CAP_NET_RAW: setcap cap_net_raw+ep PROGRAM"
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
