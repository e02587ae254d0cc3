//! Stand-ins until the stack crate is merged; the same shapes as there.
#![allow(missing_docs)]
use std::net::SocketAddr;
use usertcp_base::observe::CloseReason;
use usertcp_base::{ConnId, Instant, ListenerId};
use usertcp_tcp::{Info, StateName};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ShardEvent {
    Accepted { listener: ListenerId, conn: ConnId },
    Connected(ConnId),
    Readable(ConnId),
    Writable(ConnId),
    PeerClosed(ConnId),
    Urgent(ConnId),
    PathSuspect(ConnId),
    SoftError(ConnId),
    Closed { conn: ConnId, reason: CloseReason },
}
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Turn {
    pub next: Option<Instant>,
    pub more: bool,
    pub device_full: bool,
    pub received: usize,
    pub sent: usize,
}
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Read<T> {
    Data(T),
    Nothing,
    End,
}
#[derive(Clone, Copy, Debug)]
pub struct ConnInfo {
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub state: StateName,
    pub figures: Option<Info>,
}
