//! What is measured, on whom, and what is asked of it. Owns: the workloads, their targets, and what is
//! known to limit them. Must not know: how a run is made.

use super::figure::*;
use crate::options::Contender::{self, Kernel, Lwip, Smoltcp, Tunlim};

/// Where the two ends are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Both on one core, nothing between them. The kernel's are on the loopback device.
    Memory,
    /// The server on a TUN device, the kernel's client before it; the kernel's own server is at the
    /// end of a veth pair.
    Tun,
    /// The server on a packet socket at one end of a veth pair, the kernel's client at the other.
    Packet,
    /// The server on an AF_XDP socket there.
    Xdp,
}

impl Place {
    /// Those with a device.
    pub const DEVICES: [Place; 3] = [Place::Tun, Place::Packet, Place::Xdp];

    /// The command's word for the device.
    pub fn name(self) -> &'static str {
        match self {
            Place::Memory => "memory",
            Place::Tun => "tun",
            Place::Packet => "packet",
            Place::Xdp => "xdp",
        }
    }
}

/// What the client does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Load {
    /// Sends without end.
    Bulk,
    /// Receives without end.
    BulkOut,
    /// Sends a message and waits for it to come back, again and again.
    Echo,
    /// The same once per connection; the server closes.
    Short,
}

impl Load {
    /// Whether it is about octets rather than messages.
    pub fn is_bulk(self) -> bool {
        matches!(self, Load::Bulk | Load::BulkOut)
    }
}

/// One load.
pub struct Workload {
    /// What it is chosen by; the part after the slash is our own harness's key, in memory.
    pub key: &'static str,
    /// Where.
    pub place: Place,
    /// What.
    pub load: Load,
    /// Connections at once.
    pub connections: u32,
    /// Octets of an IP packet at most.
    pub mtu: u16,
    /// Who else can do it.
    pub peers: &'static [Contender],
    /// What is told of it, the main figure first.
    pub figures: &'static [&'static Figure],
    /// What issue 4 asks.
    pub targets: &'static [Target],
    /// What is known to limit it.
    pub limit: &'static str,
}

/// What a figure of ours is compared with.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Versus {
    /// The same of one peer.
    Peer(Contender),
    /// The same of the peer that does best.
    Best,
    /// The same of our own on another workload.
    Own(&'static str),
    /// The number one: the figure itself is bounded.
    Itself,
}

/// A bound on a ratio: at least if more of the figure is better, else at most.
pub struct Target {
    /// Of what.
    pub figure: &'static Figure,
    /// To what.
    pub versus: Versus,
    /// How much.
    pub bound: f64,
}

const fn than(figure: &'static Figure, versus: Versus, bound: f64) -> Target {
    Target { figure, versus, bound }
}

const SMALL_IN_MEMORY: &[&Figure] = &[&CPU_OF_BOTH];
const BULK_IN_MEMORY: &[&Figure] = &[&GIGABITS_PER_CORE];
const BULK_OVER_DEVICE: &[&Figure] = &[&GIGABITS, &SERVER_PER_GIB];
const SMALL_OVER_DEVICE: &[&Figure] = &[&THOUSANDS, &SERVER_CPU, &SWITCHES, &P99];

/// All of them.
pub static ALL: &[Workload] = &[
    Workload {
        key: "memory/bulk-1500",
        peers: &[Smoltcp, Lwip],
        targets: &[than(&GIGABITS_PER_CORE, Versus::Peer(Smoltcp), 1.6)],
        limit: "two copies and two checksums in L2, and the work for each packet: 70-95",
        ..memory(Load::Bulk, 1)
    },
    Workload {
        key: "memory/bulk-lent",
        peers: &[Smoltcp],
        targets: &[than(&GIGABITS_PER_CORE, Versus::Peer(Smoltcp), 2.5)],
        limit: "two checksums in L2, and the work for each packet",
        ..memory(Load::Bulk, 1)
    },
    Workload {
        key: "memory/bulk-64k",
        mtu: 65_535,
        peers: &[Smoltcp, Lwip],
        targets: &[than(&GIGABITS_PER_CORE, Versus::Peer(Smoltcp), 2.5)],
        limit: "two copies in L2 and two checksums: 184 when fused",
        ..memory(Load::Bulk, 1)
    },
    Workload {
        key: "memory/bulk-super",
        peers: &[Kernel],
        limit: "two copies in L2: 184",
        ..memory(Load::Bulk, 1)
    },
    Workload {
        key: "memory/echo-1",
        peers: &[Lwip, Smoltcp, Kernel],
        targets: &[than(&CPU_OF_BOTH, Versus::Best, 0.7)],
        limit: "instructions: 1,500 are 0.1 us",
        ..memory(Load::Echo, 1)
    },
    Workload {
        key: "memory/echo-100",
        peers: &[Lwip, Smoltcp, Kernel],
        targets: &[than(&CPU_OF_BOTH, Versus::Best, 0.5)],
        limit: "instructions",
        ..memory(Load::Echo, 100)
    },
    Workload {
        key: "memory/echo-1000",
        peers: &[Lwip, Smoltcp, Kernel],
        targets: &[than(&CPU_OF_BOTH, Versus::Best, 0.2)],
        limit: "instructions, and lines beyond L2: 159 ns each",
        ..memory(Load::Echo, 1000)
    },
    Workload {
        key: "memory/echo-10000",
        peers: &[Smoltcp, Kernel],
        targets: &[than(&CPU_OF_BOTH, Versus::Own("memory/echo-100"), 2.5)],
        limit: "cache lines of a connection beyond L2: 159 ns each, less when fetched ahead",
        ..memory(Load::Echo, 10_000)
    },
    Workload {
        key: "memory/echo-1000000",
        peers: &[],
        targets: &[than(&CPU_OF_BOTH, Versus::Own("memory/echo-100"), 8.0)],
        limit: "parking and waking both ends between messages; their lines in DRAM, 243 ns each",
        ..memory(Load::Echo, 1_000_000)
    },
    Workload {
        key: "memory/short-1",
        peers: &[Smoltcp, Lwip, Kernel],
        targets: &[than(&CPU_OF_BOTH, Versus::Peer(Smoltcp), 0.55)],
        limit: "instructions of six packets or more: 0.5 us",
        ..memory(Load::Short, 1)
    },
    Workload {
        key: "memory/short-64",
        peers: &[Smoltcp, Lwip, Kernel],
        targets: &[than(&CPU_OF_BOTH, Versus::Peer(Smoltcp), 0.55)],
        limit: "instructions of six packets or more: 0.5 us",
        ..memory(Load::Short, 64)
    },
    Workload {
        key: "memory/short-1-cut",
        peers: &[Smoltcp, Lwip],
        limit: "the same, with TIME-WAIT cut short as the peers do it",
        ..memory(Load::Short, 1)
    },
    Workload {
        key: "memory/short-64-cut",
        peers: &[Smoltcp, Lwip],
        limit: "the same, with TIME-WAIT cut short as the peers do it",
        ..memory(Load::Short, 64)
    },
    Workload {
        key: "tun/echo-1",
        limit: "two wake-ups across CPUs: 21 us each",
        ..tun(Load::Echo, 1)
    },
    Workload {
        key: "tun/echo-100",
        peers: &[Kernel, Tunlim, Smoltcp, Lwip],
        targets: &[
            than(&SERVER_CPU, Versus::Peer(Tunlim), 1.12),
            than(&SERVER_CPU, Versus::Peer(Kernel), 0.85),
            than(&SWITCHES, Versus::Itself, 0.01),
            than(&CALLS, Versus::Itself, 2.1),
        ],
        limit: "one read and one write of the device, with the kernel's TCP behind it: tunlim",
        ..tun(Load::Echo, 100)
    },
    Workload {
        key: "tun/echo-10000",
        targets: &[than(&SERVER_CPU, Versus::Peer(Kernel), 0.6)],
        limit: "the same, and cold lines on both sides",
        ..tun(Load::Echo, 10_000)
    },
    Workload {
        key: "tun/short-32",
        peers: &[Kernel, Smoltcp, Tunlim, Lwip],
        targets: &[
            than(&THOUSANDS, Versus::Peer(Kernel), 2.0),
            than(&THOUSANDS, Versus::Peer(Smoltcp), 1.0),
        ],
        limit: "the kernel client's connect and close, five to seven packets each way: 74-76",
        ..tun(Load::Short, 32)
    },
    Workload {
        key: "tun/bulk-in-1",
        targets: &[than(&GIGABITS, Versus::Peer(Tunlim), 0.85)],
        limit: "the kernel's sender and the copy out of the device: tunlim",
        ..tun(Load::Bulk, 1)
    },
    Workload {
        key: "tun/bulk-in-8",
        targets: &[than(&GIGABITS, Versus::Peer(Tunlim), 0.85)],
        limit: "the same",
        ..tun(Load::Bulk, 8)
    },
    Workload {
        key: "tun/bulk-out-1",
        targets: &[than(&GIGABITS, Versus::Peer(Tunlim), 0.85)],
        limit: "the copy into the device and the kernel's receiver: tunlim",
        ..tun(Load::BulkOut, 1)
    },
    Workload {
        key: "tun/bulk-out-8",
        targets: &[than(&GIGABITS, Versus::Peer(Tunlim), 0.85)],
        limit: "the same",
        ..tun(Load::BulkOut, 8)
    },
    Workload {
        key: "packet/echo-100",
        limit: "a read and a write of a packet socket",
        ..veth(Place::Packet, Load::Echo, 100)
    },
    Workload {
        key: "packet/short-32",
        limit: "the same for each packet",
        ..veth(Place::Packet, Load::Short, 32)
    },
    Workload {
        key: "packet/bulk-in-1",
        targets: &[than(&GIGABITS, Versus::Peer(Kernel), GVISOR_IN)],
        limit: "the copy out of the socket; the kernel's own stack looks at each packet too",
        ..veth(Place::Packet, Load::Bulk, 1)
    },
    Workload {
        key: "packet/bulk-out-1",
        targets: &[than(&GIGABITS, Versus::Peer(Kernel), GVISOR_OUT)],
        limit: "the copy into the socket and the kernel's receiver",
        ..veth(Place::Packet, Load::BulkOut, 1)
    },
    Workload {
        key: "xdp/echo-100",
        targets: &[
            than(&SERVER_CPU, Versus::Own("tun/echo-100"), 1.2),
            than(&CALLS, Versus::Itself, 0.2),
        ],
        limit: "copy mode of veth: about 1 us to send a packet, as long to receive one",
        ..veth(Place::Xdp, Load::Echo, 100)
    },
    Workload {
        key: "xdp/bulk-in-1",
        limit: "packets of 1,500 octets, as AF_XDP has no super-packets: 0.45 million a second",
        ..veth(Place::Xdp, Load::Bulk, 1)
    },
    Workload {
        key: "xdp/bulk-out-1",
        limit: "the same: 0.75 million a second",
        ..veth(Place::Xdp, Load::BulkOut, 1)
    },
];

/// 1.3 times the ratio of gVisor over a packet socket with GSO to the kernel over veth, as measured once:
/// 19.4 of 51.5 Gbit/s in, 14.2 out.
const GVISOR_IN: f64 = 0.49;
const GVISOR_OUT: f64 = 0.36;

const fn veth(place: Place, load: Load, connections: u32) -> Workload {
    Workload { place, peers: &[Kernel], ..tun(load, connections) }
}

const fn memory(load: Load, connections: u32) -> Workload {
    let figures = match load {
        Load::Bulk | Load::BulkOut => BULK_IN_MEMORY,
        Load::Echo | Load::Short => SMALL_IN_MEMORY,
    };
    let (place, mtu) = (Place::Memory, 1500);
    Workload {
        key: "",
        place,
        load,
        connections,
        mtu,
        peers: &[],
        figures,
        targets: &[],
        limit: "",
    }
}

const fn tun(load: Load, connections: u32) -> Workload {
    let figures = match load {
        Load::Bulk | Load::BulkOut => BULK_OVER_DEVICE,
        Load::Echo | Load::Short => SMALL_OVER_DEVICE,
    };
    let peers = &[Kernel, Tunlim];
    let (place, mtu) = (Place::Tun, 1500);
    Workload { key: "", place, load, connections, mtu, peers, figures, targets: &[], limit: "" }
}

impl Workload {
    /// Our own harness's key of it, in memory.
    pub fn core_key(&self) -> &'static str {
        self.key.split_once('/').map_or(self.key, |(_, key)| key)
    }

    /// Whether it takes gigabytes and seconds to set up.
    pub fn is_huge(&self) -> bool {
        self.connections > 100_000
    }

    /// kbench's name of the load, and the port of the service.
    pub fn service(&self) -> (&'static str, u16) {
        match self.load {
            Load::Bulk => ("bulk", 5001),
            Load::BulkOut => ("bulkrx", 5002),
            Load::Echo => ("rr", 5003),
            Load::Short => ("short", 5004),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::workload::ALL as CORE;
    use std::collections::HashSet;

    #[test]
    fn every_workload_can_be_run_and_judged() {
        let keys: HashSet<_> = ALL.iter().map(|one| one.key).collect();
        assert_eq!(keys.len(), ALL.len(), "a key twice");
        for one in ALL {
            assert!(!one.limit.is_empty(), "{}", one.key);
            if one.place == Place::Memory {
                let core = CORE.iter().find(|core| core.key == one.core_key()).unwrap();
                assert_eq!(core.connections, one.connections, "{}", one.key);
                assert_eq!(core.kind.is_bulk(), one.load.is_bulk(), "{}", one.key);
                assert_eq!(core.facts.mtu, one.mtu, "{}", one.key);
            }
            for target in one.targets {
                match target.versus {
                    Versus::Peer(peer) => assert!(one.peers.contains(&peer), "{}", one.key),
                    Versus::Best => assert!(!one.peers.is_empty(), "{}", one.key),
                    Versus::Own(key) => assert!(keys.contains(key), "{}", one.key),
                    Versus::Itself => {}
                }
            }
        }
    }
}
