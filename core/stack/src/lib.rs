//! The shard: a device queue's worth of connections on one core, with no locks.
//!
//! Owns: which connection a packet belongs to, listeners, local ports, the timer wheel, admission,
//! and the order of work in a turn.
//! Must not know: threads, sockets, clocks, operating systems; nor the rules of a single
//! connection, which are the `tcp` crate's.
//! Implements: RFC 9293 §3.9.1 (calls), §3.10.7.1-2 (CLOSED, LISTEN), RFC 4987, 6056, 6528.
#![no_std]

extern crate alloc;

mod admission;
mod anchor;
mod app;
mod authentic;
mod blanks;
mod config;
pub mod cookies;
mod deadlines;
pub mod demux;
mod egress;
mod embryo;
mod events;
mod fast_open;
mod fifo;
mod gate;
mod greeting;
mod host_cache;
mod ingress;
pub mod isn;
mod lifecycle;
mod link;
pub mod listener;
mod memory;
pub mod net;
mod park;
mod pieces;
pub mod plain;
mod ports;
mod rates;
pub mod ready;
mod recent;
pub mod replies;
mod shard;
pub mod slab;
pub mod steer;
mod table;
mod turn;
mod turns;
mod usual;
mod watch;
pub mod wheel;

pub use app::{ConnError, ConnInfo, ListenerInfo, Message, Read, Refused, Stream};
pub use config::{Connect, ConnectError, Listen, ListenError, Profile, ShardConfig, StartError};
pub use events::ShardEvent;
pub use fast_open::{FastOpenListen, FirstData};
pub use gate::Decision;
pub use listener::Gate;
pub use rates::{RateError, RateGroupInfo, lend};
pub use shard::{Shard, Usage};
pub use steer::Seat;
pub use turn::{Arrival, Departure, Turn};
pub use usertcp_auth::{
    Algorithm as AuthAlgorithm, AuthInfo, AuthKey, KeyError, KeyHandle, KeyKind, MasterKey, Scope,
};
