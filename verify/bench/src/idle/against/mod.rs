//! Others in the same run. Owns: who gets how many connections, what is quoted.
//! Must not know: how each is measured.

pub mod kernel;
pub mod smoltcp;

use super::options::Peer;

/// smoltcp looks through all its sockets for every packet: with more it takes minutes.
const SMOLTCP_MOST: u32 = 10_000;

/// Octets of an idle connection as others have measured or counted them; not of this run.
pub struct Quoted {
    /// Whose, and how.
    pub name: &'static str,
    /// Octets.
    pub octets: f64,
}

/// lwIP keeps idle connections in `tcp_pcb` alone; its harness here has too few of them to measure.
pub const LWIP: Quoted = Quoted { name: "lwIP, sizeof(struct tcp_pcb), quoted", octets: 240.0 };
/// One goroutine for each connection, beside the kernel's end of it (3,848).
pub const GOROUTINE: Quoted =
    Quoted { name: "Go, a goroutine each, with the kernel's end, quoted", octets: 3650.0 + 3848.0 };

/// How many connections a contender gets when we have `connections`; `None`: it cannot have so many.
pub fn share(peer: Peer, connections: u32, most: u32) -> Option<u32> {
    let most = match peer {
        Peer::Kernel => most,
        Peer::Smoltcp => most.min(SMOLTCP_MOST),
        Peer::Lwip => 0,
    };
    (connections <= most).then_some(connections)
}
