//! A TCP/IP stack in your process.
//!
//! Owns: the running stack: its thread, its clock, its device, and the three faces an
//! application sees. Must not know: protocols; those are the core crates'.
//!
//! * [`TcpListener`] and [`TcpStream`] have Tokio's traits, may be used from any thread, and work
//!   under any runtime that polls futures.
//! * [`LocalStream`] and [`LocalListener`] have Tokio's traits too, on the stack's own thread: plain
//!   calls, for tasks that need not be `Send`.
//! * A [`Handler`] runs on the stack's own thread and is told events: no task, no lock and no
//!   buffer per connection.
//!
//! Two features need a Tokio runtime and are on by default: `local`, the streams of one thread, and
//! `relay`, which wakes the tasks of a runtime in batches. Without them only Tokio's traits are used.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use tokio::io::AsyncWriteExt;
//! use usertcp::{Stack, TcpListener, TunConfig};
//!
//! # fn parse<T: std::str::FromStr>(text: &str) -> T { text.parse().ok().unwrap() }
//! let kernel_side = vec![parse("10.77.0.1/24")];
//! let stack = Stack::builder()
//!     .address(parse("10.77.0.2/24"))
//!     .tun(TunConfig { addresses: kernel_side, ..TunConfig::default() })
//!     .start()?;
//! let listener = TcpListener::bind(&stack, ([0, 0, 0, 0], 80).into()).await?;
//! loop {
//!     let (mut stream, peer) = listener.accept().await?;
//!     println!("{peer} came");
//!     stream.write_all(b"hello\n").await?;
//! }
//! # }
//! ```

mod builder;
mod engine;
#[cfg(feature = "local")]
mod local;
mod lots;
pub mod memory;
mod metrics;
mod native;
mod places;
mod plan;
mod rates;
mod runtime;
mod sockets;
mod stack;

pub use builder::Builder;
pub use engine::{ConnInfo, Decision, Gate, ListenerInfo, Read, ShardEvent};
pub use engine::{FastOpenListen, FirstData};
#[cfg(feature = "local")]
pub use local::{
    LocalDriver, LocalIdleStreams, LocalListener, LocalOwnedReadHalf, LocalOwnedWriteHalf,
    LocalReadHalf, LocalReuniteError, LocalStack, LocalStream, LocalWriteHalf,
};
pub use metrics::{ConnectionRow, Snapshot};
pub use native::{ConnectOptions, Context, Handler, ListenAt, ListenOptions};
pub use rates::RateGroup;
pub use sockets::{
    Ended, IdleStreams, LARGEST_BUFFER_OCTETS, Outgoing, OwnedReadHalf, OwnedWriteHalf, ParkError,
    ParkRefusal, Parked, ReadBuffer, ReadHalf, Resumed, ReuniteError, StreamCounters, TcpListener,
    TcpStream, WriteBuffer, WriteHalf,
};
pub use stack::Stack;

pub use usertcp_base::observe::CloseReason;
pub use usertcp_base::{
    ConnId, Counters, DropReason, Event, Instant, Limiter, Limits, ListenerId, Observer, Rate,
    RateGroupId, SharedKey, Span,
};
pub use usertcp_cc::{Algorithm, AnyController, CongestionController, PathStart};
pub use usertcp_device::{Device, DeviceFacts, FlowEnd, Medium, Queue, QueueHandle, SteerRule};
pub use usertcp_device_linux::OpenError;
pub use usertcp_device_linux::packet::PacketConfig;
pub use usertcp_device_linux::tun::{Cidr as KernelCidr, Tun, TunConfig, TunHandle};
pub use usertcp_device_linux::xdp::{self, XdpConfig};
pub use usertcp_frame::{Chain, Class, Frame, FramePool, FrameSlice, PoolStats};
pub use usertcp_ip::{Cidr, CidrError};
pub use usertcp_stack::{
    AuthAlgorithm, AuthInfo, AuthKey, KeyError, KeyHandle, KeyKind, MasterKey, RateGroupInfo, Scope,
};
pub use usertcp_tcp::{
    AccurateInfo, EcnMode, EcnOption, Info, KeepAlive, Manner, OptionPath, RecoveryState, Settings,
    Shares, StateName, UserTimeoutOption, WriteEnd,
};
