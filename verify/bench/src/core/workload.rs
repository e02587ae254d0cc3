//! What the two stacks in memory are loaded with. Owns: the list, its keys and names.
//! Must not know: how a load runs, what it is compared with.

use super::load::Kind;
use usertcp_device::{DeviceFacts, Medium};

/// One load on two stacks in memory.
pub struct Workload {
    /// What it is chosen by.
    pub key: &'static str,
    /// What tables call it.
    pub name: &'static str,
    /// What the two applications do.
    pub kind: Kind,
    /// Connections between them.
    pub connections: u32,
    /// The device between them.
    pub facts: DeviceFacts,
    /// Octets of each send and receive buffer; 0: they size themselves.
    pub buffer_octets: u32,
    /// Most records in TIME-WAIT at each end. `None`: as many as are usual.
    pub time_waits: Option<u32>,
}

/// Payload octets of a packet of 1500 with timestamps, which bulk is counted in.
pub const PACKET: u64 = 1448;

const ETHERNET: DeviceFacts = DeviceFacts::plain(Medium::Ip, 1500);
const LARGEST: DeviceFacts = DeviceFacts::plain(Medium::Ip, 65_535);
const OFFLOAD: DeviceFacts = DeviceFacts::offloading(Medium::Ip, 1500);

/// What bulk is given: a few large segments.
const BULK_BUFFER: u32 = 256 << 10;
/// Two of the largest, and what is written meanwhile: more wait in memory that the second-level cache does not hold beside
/// the application's own.
const LARGEST_BUFFER: u32 = 160 << 10;
/// About as many connections as are under way: who ends cuts the TIME-WAIT of another short, as the peers do with all.
const FEW_TIME_WAITS: Option<u32> = Some(64);

/// All of them.
pub static ALL: [Workload; 17] = [
    bulk("bulk-1500", "bulk, MTU 1500, 1 stream", Kind::Bulk, 1, ETHERNET),
    bulk("bulk-1500-8", "bulk, MTU 1500, 8 streams", Kind::Bulk, 8, ETHERNET),
    bulk("bulk-lent", "bulk lent, MTU 1500, 1 stream", Kind::Lent, 1, ETHERNET),
    Workload {
        buffer_octets: LARGEST_BUFFER,
        ..bulk("bulk-64k", "bulk, MTU 65535, 1 stream", Kind::Bulk, 1, LARGEST)
    },
    bulk("bulk-super", "bulk, super-segments, 1 stream", Kind::Bulk, 1, OFFLOAD),
    bulk("bulk-super-8", "bulk, super-segments, 8 streams", Kind::Bulk, 8, OFFLOAD),
    bulk("bulk-super-lent", "bulk lent, super-segments", Kind::Lent, 1, OFFLOAD),
    small("echo-1", "echo 64 B, 1 connection", Kind::Echo, 1),
    small("echo-100", "echo 64 B, 100 connections", Kind::Echo, 100),
    small("echo-1000", "echo 64 B, 1,000 connections", Kind::Echo, 1000),
    small("echo-10000", "echo 64 B, 10,000 connections", Kind::Echo, 10_000),
    small("echo-1000000", "echo 64 B, 1,000,000 connections", Kind::Echo, 1_000_000),
    small("short-1", "short connections, 1 at once", Kind::Short, 1),
    small("short-32", "short connections, 32 at once", Kind::Short, 32),
    small("short-64", "short connections, 64 at once", Kind::Short, 64),
    Workload {
        time_waits: FEW_TIME_WAITS,
        ..small("short-1-cut", "short, 1 at once, TIME-WAIT cut short", Kind::Short, 1)
    },
    Workload {
        time_waits: FEW_TIME_WAITS,
        ..small("short-64-cut", "short, 64 at once, TIME-WAIT cut short", Kind::Short, 64)
    },
];

const fn bulk(
    key: &'static str,
    name: &'static str,
    kind: Kind,
    connections: u32,
    facts: DeviceFacts,
) -> Workload {
    let buffer_octets = BULK_BUFFER;
    Workload { key, name, kind, connections, facts, buffer_octets, time_waits: None }
}

const fn small(key: &'static str, name: &'static str, kind: Kind, connections: u32) -> Workload {
    let (facts, buffer_octets) = (ETHERNET, 0);
    Workload { key, name, kind, connections, facts, buffer_octets, time_waits: None }
}

impl Workload {
    /// Whether it takes seconds to set up and gigabytes to hold, so that it must be asked for.
    pub fn is_huge(&self) -> bool {
        self.connections > 100_000
    }

    /// The unit of its figure.
    pub fn unit(&self) -> &'static str {
        if self.kind.is_bulk() { "Gbit/s per core" } else { "us of both ends" }
    }
}
