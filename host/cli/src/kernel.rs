//! The kernel's sockets as a network. Owns: what it takes to compare the kernel's TCP with ours
//! under the same server, and to test the commands without a device.
//! Must not know: the commands.

use crate::facts::{LiveFacts, Snapshot};
use crate::network::{Acceptor, FastOpen, Network, Setup, Step};
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

fn no_fast_open() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "fast open is of the stack's own sockets only")
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

    async fn listen(&self, port: u16, fast_open: FastOpen) -> io::Result<TcpListener> {
        if fast_open == FastOpen::On {
            return Err(no_fast_open());
        }
        TcpListener::bind((self.address, port)).await
    }

    async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn connect_with_data(
        &self,
        _to: SocketAddr,
        _data: &[u8],
    ) -> io::Result<(TcpStream, usize)> {
        Err(no_fast_open())
    }

    async fn reachable_at(&self, port: u16, _kernel_port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(vec![SocketAddr::new(self.address, port)])
    }

    fn facts(&self) -> Arc<KernelFacts> {
        self.facts.clone()
    }

    async fn stop(self) {}
}
