//! The kernel's sockets as a network. Owns: what it takes to compare the kernel's TCP with ours
//! under the same server, and to test the commands without a device.
//! Must not know: the commands.

use crate::facts::{LiveFacts, Snapshot};
use crate::network::{Acceptor, Network, Setup, Step};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;
use tokio::net::{TcpListener, TcpStream};

/// The kernel's TCP on one address.
pub struct KernelNetwork {
    address: IpAddr,
    setup: Setup,
    facts: Arc<KernelFacts>,
}

/// The kernel keeps its counters for itself.
pub struct KernelFacts {
    start: Instant,
}

impl KernelNetwork {
    /// The kernel's TCP on `address`.
    pub fn new(address: IpAddr) -> KernelNetwork {
        let setup = Setup {
            summary: "the kernel's own TCP".into(),
            steps: vec![Step::new("network", format!("the kernel's own TCP on {address}"))],
            addresses: vec![address],
            notice: None,
        };
        KernelNetwork { address, setup, facts: Arc::new(KernelFacts { start: Instant::now() }) }
    }
}

impl LiveFacts for KernelFacts {
    async fn snapshot(&self, _rows: usize) -> Snapshot {
        Snapshot { uptime: self.start.elapsed(), ..Snapshot::default() }
    }
}

impl Acceptor for TcpListener {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = TcpListener::accept(self).await?;
        // An answer is written in one piece: nothing to gather, and nothing to wait for.
        stream.set_nodelay(true)?;
        Ok((stream, peer))
    }
}

impl Network for KernelNetwork {
    type Stream = TcpStream;
    type Acceptor = TcpListener;
    type Facts = KernelFacts;

    fn setup(&self) -> &Setup {
        &self.setup
    }

    async fn listen(&self, port: u16) -> io::Result<TcpListener> {
        TcpListener::bind((self.address, port)).await
    }

    async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn reachable_at(&self, port: u16, _kernel_port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(vec![SocketAddr::new(self.address, port)])
    }

    fn facts(&self) -> Arc<KernelFacts> {
        self.facts.clone()
    }

    async fn stop(self) {}
}
