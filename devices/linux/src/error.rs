//! What can go wrong when a device is opened.
//! Owns: two lines for each case: what happened, what to do. Must not know: how it was noticed.

use crate::tun::Cidr;
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
    /// The name cannot be one of an interface.
    BadName {
        /// The name.
        name: String,
    },
    /// There is no such interface.
    NoInterface {
        /// The interface.
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
    /// This process may not do it.
    NoPermission {
        /// What it tried.
        step: &'static str,
        /// The capabilities it needs, as `setcap` takes them.
        capabilities: &'static str,
    },
    /// The kernel, or another interface of it, has the address.
    AddressInUse {
        /// The address.
        address: IpAddr,
        /// The index of the interface that has it.
        interface: u32,
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
    /// Another interface has a route to the same network.
    RouteTaken {
        /// The network.
        route: Cidr,
    },
    /// Another XDP program is on the interface.
    ProgramTaken {
        /// The interface.
        name: String,
    },
    /// Another socket has the queue.
    QueueTaken {
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
    /// For an error of the kernel at `step`, of a device that needs `capabilities`.
    pub(crate) fn system(
        step: &'static str,
        capabilities: &'static str,
        error: io::Error,
    ) -> OpenError {
        match error.kind() {
            io::ErrorKind::PermissionDenied => OpenError::NoPermission { step, capabilities },
            _ => OpenError::System { step, error },
        }
    }
}

impl From<OpenError> for io::Error {
    fn from(error: OpenError) -> io::Error {
        let kind = match &error {
            OpenError::NoPermission { .. } => io::ErrorKind::PermissionDenied,
            OpenError::NoInterface { .. } | OpenError::NoTunDevice { .. } => {
                io::ErrorKind::NotFound
            }
            OpenError::ProgramTaken { .. }
            | OpenError::QueueTaken { .. }
            | OpenError::Busy { .. } => io::ErrorKind::ResourceBusy,
            OpenError::BadConfig { .. }
            | OpenError::BadName { .. }
            | OpenError::NotEthernet { .. } => io::ErrorKind::InvalidInput,
            OpenError::Down { .. } => io::ErrorKind::NetworkDown,
            OpenError::AddressInUse { .. } => io::ErrorKind::AddrInUse,
            OpenError::NameTaken { .. } | OpenError::RouteTaken { .. } => {
                io::ErrorKind::AlreadyExists
            }
            OpenError::TooMuchMemory { .. } => io::ErrorKind::OutOfMemory,
            OpenError::NoQueue { .. }
            | OpenError::MtuTooLarge { .. }
            | OpenError::System { .. } => io::ErrorKind::Other,
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
            OpenError::BadName { name } => write!(
                f,
                "{name:?} cannot name an interface\n\
                 use 1 to 15 printable characters without '/', ':' and '%', such as utcp0"
            ),
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
            OpenError::NoPermission { step, capabilities } => write!(
                f,
                "no permission to {step}\n\
                 run as root, or give the program its rights: setcap {capabilities}+ep PROGRAM"
            ),
            OpenError::AddressInUse { address, interface } => write!(
                f,
                "{address} is the kernel's own, on interface number {interface}: it would reset our \
                 connections\n\
                 choose an address of the network that no host has; see: ip address"
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
            OpenError::RouteTaken { route } => write!(
                f,
                "another interface has the route to {route}\n\
                 choose another network, or remove the route: ip route delete {route}"
            ),
            OpenError::ProgramTaken { name } => write!(
                f,
                "another XDP program is on {name}\n\
                 stop what put it there, or remove it: ip link set {name} xdp off"
            ),
            OpenError::QueueTaken { name, queue } => write!(
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
            OpenError::NoTunDevice { error } | OpenError::System { error, .. } => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
