//! What the commands need of a stack. Owns: the traits at the seam, and what a start reports.
//! Must not know: which stack it is.

use crate::facts::LiveFacts;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};

/// A byte stream, both ways.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for T {}

/// Where streams opened by peers come from.
pub trait Acceptor: Send + 'static {
    /// What comes.
    type Stream: Stream;
    /// The next stream and the address of its peer.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;
}

/// A running stack. How it is started is its own affair; a function from [`crate::plan::Plan`] to
/// it, or to a [`crate::fault::Fault`], is all that is needed beside this.
pub trait Network: Sized + Send + Sync + 'static {
    /// A stream of this stack.
    type Stream: Stream;
    /// A listener of this stack.
    type Acceptor: Acceptor<Stream = Self::Stream>;
    /// What this stack tells about itself.
    type Facts: LiveFacts;

    /// What the start did.
    fn setup(&self) -> &Setup;

    /// Listens on `port` of all the stack's addresses.
    fn listen(
        &self,
        port: u16,
        fast_open: FastOpen,
    ) -> impl Future<Output = io::Result<Self::Acceptor>> + Send;

    /// Opens a stream.
    fn connect(&self, to: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Opens a stream by a SYN that carries `data` if it may (TCP Fast Open). How many octets of it
    /// were taken: the rest is to be written.
    fn connect_with_data(
        &self,
        to: SocketAddr,
        data: &[u8],
    ) -> impl Future<Output = io::Result<(Self::Stream, usize)>> + Send;

    /// Where the kernel's clients reach the stack's `port`. With a device that is the stack's own
    /// addresses. Without one, this publishes the port on the kernel's loopback, at
    /// `kernel_port` ([`crate::bridge::publish`] moves the octets).
    fn reachable_at(
        &self,
        port: u16,
        kernel_port: u16,
    ) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;

    /// What to show.
    fn facts(&self) -> Arc<Self::Facts>;

    /// Ends the stack: streams are reset, the device goes if the start made it.
    fn stop(self) -> impl Future<Output = ()> + Send;
}

/// Whether data is accepted on SYNs (RFC 7413).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FastOpen {
    /// No.
    Off,
    /// From those who show a cookie.
    On,
}

/// What a start did, in the order it did it.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// A few words for the live page: "TUN utcp0, mtu 1500, offload".
    pub summary: String,
    /// Each thing done: a word for the left column, the rest for the right.
    pub steps: Vec<Step>,
    /// The stack's addresses.
    pub addresses: Vec<IpAddr>,
    /// Something the user should know, such as why there is no device.
    pub notice: Option<String>,
}

/// One thing a start did.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Step {
    /// "device", "address", "route".
    pub what: String,
    /// "utcp0 created, mtu 1500".
    pub detail: String,
}

impl Step {
    /// A step.
    pub fn new(what: impl Into<String>, detail: impl Into<String>) -> Step {
        Step { what: what.into(), detail: detail.into() }
    }
}
