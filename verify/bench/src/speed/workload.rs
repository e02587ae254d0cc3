//! What is measured. Owns: the workloads, the peers, and the figures taken from a run.
//! Must not know: how a run is made.

use super::native::Run;

/// Whose TCP the server side is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Peer {
    /// The `usertcp` command over a TUN device.
    Usertcp,
    /// The kernel, over a veth pair.
    Kernel,
}

impl Peer {
    /// For tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Peer::Usertcp => "usertcp",
            Peer::Kernel => "kernel",
        }
    }
}

/// One load.
pub struct Workload {
    /// Its name in tables, and what `--only` is matched with.
    pub name: &'static str,
    /// kbench's name of it.
    pub mode: &'static str,
    /// The server's port.
    pub port: u16,
    /// Connections at once.
    pub connections: u32,
}

impl Workload {
    /// Whether it is about octets rather than operations.
    pub fn is_bulk(&self) -> bool {
        self.mode.starts_with("bulk")
    }

    /// The figures it is judged by, the first being the main one.
    pub fn figures(&self) -> &'static [Figure] {
        if self.is_bulk() { &BULK } else { &REQUESTS }
    }
}

/// All of them.
pub static ALL: [Workload; 8] = [
    workload("bulk to server, 1 stream", "bulk", 5001, 1),
    workload("bulk to server, 8 streams", "bulk", 5001, 8),
    workload("bulk from server, 1 stream", "bulkrx", 5002, 1),
    workload("bulk from server, 8 streams", "bulkrx", 5002, 8),
    workload("echo 64 B, 1 connection", "rr", 5003, 1),
    workload("echo 64 B, 100 connections", "rr", 5003, 100),
    workload("echo 64 B, 10,000 connections", "rr", 5003, 10_000),
    workload("short connections, 32 at once", "short", 5004, 32),
];

const fn workload(name: &'static str, mode: &'static str, port: u16, connections: u32) -> Workload {
    Workload { name, mode, port, connections }
}

/// One number of a run.
pub struct Figure {
    /// Its unit.
    pub unit: &'static str,
    /// Whether more is better.
    pub more_is_better: bool,
    /// How it comes from a run.
    pub of: fn(&Run) -> f64,
}

const GIB: f64 = (1u64 << 30) as f64;

static BULK: [Figure; 2] = [
    Figure { unit: "Gbit/s", more_is_better: true, of: |run| run.bytes * 8.0 / 1e9 / run.seconds },
    Figure {
        unit: "server CPU s/GiB",
        more_is_better: false,
        of: |run| run.server_cpu_seconds * GIB / run.bytes,
    },
];

static REQUESTS: [Figure; 4] = [
    Figure { unit: "ops/s", more_is_better: true, of: |run| run.operations / run.seconds },
    Figure {
        unit: "server CPU us/op",
        more_is_better: false,
        of: |run| run.server_cpu_seconds * 1e6 / run.operations,
    },
    Figure { unit: "p50 us", more_is_better: false, of: |run| run.p50_us },
    Figure { unit: "p99 us", more_is_better: false, of: |run| run.p99_us },
];
