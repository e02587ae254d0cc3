//! What can go wrong when a TUN device is opened.
//! Owns: two lines for each case: what happened, what to do. Must not know: how it was noticed.

use super::cidr::Cidr;
use std::net::IpAddr;
use std::{fmt, io};

/// Why a device was not opened. Displayed as two lines: what happened, what to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The name cannot be one of an interface.
    BadName {
        /// The name.
        name: String,
    },
    /// A number in the configuration is out of range.
    BadConfig {
        /// Which, and its range.
        what: &'static str,
    },
    /// This process may not do it.
    NoPermission {
        /// What it tried.
        step: &'static str,
    },
    /// The kernel has no `/dev/net/tun`.
    NoTunDevice {
        /// What the kernel said.
        error: io::Error,
    },
    /// Another process has the device open.
    Busy {
        /// The interface.
        name: String,
    },
    /// An interface of that name exists and is not a TUN device with as many queues.
    NameTaken {
        /// The interface.
        name: String,
    },
    /// Another interface has the address.
    AddressInUse {
        /// The address.
        address: IpAddr,
        /// The index of the interface that has it.
        interface: u32,
    },
    /// Another interface has a route to the same network.
    RouteTaken {
        /// The network.
        route: Cidr,
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
            OpenError::NoTunDevice { .. } => io::ErrorKind::NotFound,
            OpenError::Busy { .. } => io::ErrorKind::ResourceBusy,
            OpenError::AddressInUse { .. } => io::ErrorKind::AddrInUse,
            OpenError::NameTaken { .. } | OpenError::RouteTaken { .. } => {
                io::ErrorKind::AlreadyExists
            }
            OpenError::BadName { .. } | OpenError::BadConfig { .. } => io::ErrorKind::InvalidInput,
            OpenError::System { .. } => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::BadName { name } => write!(
                f,
                "{name:?} cannot name an interface\n\
                 use 1 to 15 printable characters without '/', ':' and '%', such as utcp0"
            ),
            OpenError::BadConfig { what } => {
                write!(f, "the device cannot be configured so\nchange {what}")
            }
            OpenError::NoPermission { step } => write!(
                f,
                "no permission to {step}\n\
                 run as root, or give the program CAP_NET_ADMIN: setcap cap_net_admin+ep PROGRAM"
            ),
            OpenError::NoTunDevice { error } => write!(
                f,
                "the kernel offers no TUN devices: /dev/net/tun: {error}\n\
                 load the module (modprobe tun), or pass the device to the container \
                 (--device /dev/net/tun)"
            ),
            OpenError::Busy { name } => write!(
                f,
                "{name} is in use by another process\n\
                 stop that process, or choose another name"
            ),
            OpenError::NameTaken { name } => write!(
                f,
                "{name} exists and is not a TUN device with that many queues\n\
                 choose another name, or remove it: ip link delete {name}"
            ),
            OpenError::AddressInUse { address, interface } => write!(
                f,
                "{address} belongs to interface number {interface} already\n\
                 choose another address; see: ip address"
            ),
            OpenError::RouteTaken { route } => write!(
                f,
                "another interface has the route to {route}\n\
                 choose another network, or remove the route: ip route delete {route}"
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
            OpenError::NoTunDevice { error } | OpenError::System { error, .. } => Some(error),
            _ => None,
        }
    }
}
