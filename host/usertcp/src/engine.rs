//! What the runtime needs of a shard and its device, with their type parameters erased.
//!
//! Owns: the seam, so that neither a congestion controller nor an observer nor a device appears in
//! the types a user holds. One indirect call per operation is what it costs. Must not know:
//! threads, sockets.

use crate::native::{ConnectOptions, ListenAt, ListenOptions};
use crate::rates::loans::SharedRate;
use crate::rates::purse::Purse;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use usertcp_base::{ConnId, Counters, Instant, ListenerId, Rate, RateGroupId, SharedKey};
use usertcp_frame::{Chain, FramePool, FrameSlice};

use usertcp_stack::{AuthInfo, AuthKey, KeyError, KeyHandle, RateGroupInfo};
use usertcp_tcp::{Settings, WriteEnd};

#[cfg(test)]
pub(crate) mod fake;
pub(crate) mod shard;

pub use usertcp_stack::{
    Arrival, ConnInfo, Decision, Departure, FastOpenListen, FirstData, Gate, ListenerInfo, Read,
    ShardEvent, Turn,
};

/// A shard with its device queue.
pub(crate) trait Engine {
    /// One bounded round of work.
    fn turn(&mut self, now: Instant) -> Turn;
    /// The first part of a turn alone: takes what came.
    fn receive(&mut self, now: Instant) -> Arrival;
    /// The last part of a turn alone: sends what there is to send.
    fn flush(&mut self, now: Instant) -> Departure;
    /// What was flushed last, with the moment `flushed`, was at the device at `now`.
    fn tell_lag(&mut self, flushed: Instant, now: Instant);
    /// When the next turn is at the latest, if nothing arrives before.
    fn next_deadline(&self) -> Option<Instant>;
    /// What happened.
    fn poll_event(&mut self) -> Option<ShardEvent>;
    /// What becomes readable when packets wait.
    fn wait_handle(&self) -> Option<i32>;
    /// Whether packets wait, where that costs nothing to know.
    fn has_waiting(&self) -> bool;
    /// Whether the device is gone for good.
    fn device_is_gone(&self) -> bool;
    /// From here on what is flushed leaves at the latest when the caller sleeps on the wait handle
    /// in `poll`, or asks to [`Engine::send_off`]: it does either at once.
    fn defer_sends(&mut self);
    /// What was flushed leaves now.
    fn send_off(&mut self);

    fn listen(
        &mut self,
        now: Instant,
        at: ListenAt,
        options: &ListenOptions,
    ) -> io::Result<ListenerId>;
    fn unlisten(&mut self, now: Instant, listener: ListenerId);
    fn listener_info(&self, listener: ListenerId) -> Option<ListenerInfo>;
    fn set_gate(&mut self, listener: ListenerId, gate: Gate);
    fn decide(&mut self, now: Instant, conn: ConnId, decision: Decision) -> io::Result<()>;
    fn accept(&mut self, listener: ListenerId) -> Option<ConnId>;
    fn connect(
        &mut self,
        now: Instant,
        remote: SocketAddr,
        options: &ConnectOptions,
    ) -> io::Result<ConnId>;

    fn connect_with(
        &mut self,
        now: Instant,
        remote: SocketAddr,
        options: &ConnectOptions,
        first: FirstData<'_>,
    ) -> io::Result<(ConnId, usize)>;
    fn rotate_fast_open_key(&mut self, key: SharedKey);

    fn write(
        &mut self,
        now: Instant,
        conn: ConnId,
        octets: &[u8],
        end: WriteEnd,
    ) -> io::Result<usize>;
    /// All of it, or, when there is no room at all, all of it given back.
    fn write_chain(&mut self, now: Instant, conn: ConnId, chain: Chain) -> io::Result<Chain>;
    fn send_room(&self, conn: ConnId) -> usize;
    fn read(&mut self, now: Instant, conn: ConnId, out: &mut [u8]) -> io::Result<Read<usize>>;
    fn read_slice(&mut self, now: Instant, conn: ConnId) -> io::Result<Read<FrameSlice>>;
    /// Octets a read would find now.
    fn readable_octets(&self, conn: ConnId) -> usize;
    /// Whether a read would find something: octets, the end, or an error.
    fn is_readable(&self, conn: ConnId) -> bool;
    fn shutdown_write(&mut self, now: Instant, conn: ConnId) -> io::Result<()>;
    fn close(&mut self, now: Instant, conn: ConnId);
    fn abort(&mut self, now: Instant, conn: ConnId);

    fn info(&self, now: Instant, conn: ConnId) -> Option<ConnInfo>;
    fn next_connection(&self, after: Option<ConnId>) -> Option<ConnId>;
    /// Keeps a number with a connection the application holds; whether it does.
    fn set_token(&mut self, conn: ConnId, token: u32) -> bool;
    /// That number, zero at first; `None`: the application holds no such connection.
    fn token(&self, conn: ConnId) -> Option<u32>;
    fn settings(&self, conn: ConnId) -> Option<Settings>;
    fn set_settings(&mut self, now: Instant, conn: ConnId, settings: &Settings) -> io::Result<()>;

    fn add_auth_key(&mut self, key: AuthKey) -> Result<KeyHandle, KeyError>;
    fn remove_auth_key(&mut self, key: KeyHandle) -> Result<(), KeyError>;
    fn ask_for_auth_key(&mut self, conn: ConnId, receive_id: u8) -> Result<(), KeyError>;
    fn auth_info(&self, conn: ConnId) -> Option<AuthInfo>;

    fn create_rate_group(&mut self, now: Instant, rate: Rate) -> io::Result<RateGroupId>;
    fn set_rate_group(&mut self, now: Instant, group: RateGroupId, rate: Rate) -> io::Result<()>;
    fn remove_rate_group(&mut self, group: RateGroupId) -> io::Result<()>;
    fn rate_group_info(&self, group: RateGroupId) -> Option<RateGroupInfo>;
    fn join_rate_group(
        &mut self,
        now: Instant,
        conn: ConnId,
        group: RateGroupId,
        weight: u16,
    ) -> io::Result<()>;
    fn set_listener_rate(
        &mut self,
        now: Instant,
        listener: ListenerId,
        rate: Rate,
    ) -> io::Result<()>;
    fn listener_rate_info(&self, listener: ListenerId) -> Option<RateGroupInfo>;
    fn set_shard_rate(&mut self, now: Instant, rate: Rate);
    fn shard_rate(&self) -> Rate;
    /// The rate is no part of a purse any more, and `most` at most.
    fn hold_rate(&mut self, now: Instant, what: SharedRate, most: Rate) -> io::Result<()>;
    /// The rate is a part of a purse from now on; without one, `rate`.
    fn fund_rate(
        &mut self,
        now: Instant,
        what: SharedRate,
        rate: Rate,
        purse: Option<Arc<Purse>>,
    ) -> io::Result<()>;
    /// The whole that the rate is a part of.
    fn funded_rate(&self, what: SharedRate) -> Option<Rate>;

    /// Connections that are established and not over, held by the application or not.
    fn live(&self) -> usize;
    /// Whether a connection that is idle could be given a TCB without taking another's.
    fn has_tcb_room(&self) -> bool;
    fn counters(&self) -> &Counters;
    fn pool(&self) -> &FramePool;
}
