//! One connection, called by whoever holds it.
//!
//! Owns: reading, writing, waiting and closing, as plain calls. Must not know: how it came to be, the
//! traits it is used through.

use crate::engine::Read;
use crate::local::state::{Shared, Slot, State};
use crate::sockets::error;
use crate::sockets::wakers::Wakers;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Poll, Waker};
use tokio::io::ReadBuf;
use usertcp_base::observe::CloseReason;
use usertcp_base::{ConnId, Instant};
use usertcp_frame::{Chain, FrameSlice};
use usertcp_tcp::{Settings, StateName, WriteEnd};

/// The handle of an established connection. Dropping it lets the connection go in good order.
pub(crate) struct Connection {
    pub(crate) shared: Rc<Shared>,
    pub(crate) id: ConnId,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
}

/// What a call found.
enum Found<T> {
    Ready(io::Result<T>),
    /// Nothing: the task waits. The crowd is to be woken once nothing is borrowed.
    Wait(Wakers),
}

impl<T> Found<T> {
    fn into_poll(self) -> Poll<io::Result<T>> {
        match self {
            Found::Ready(result) => Poll::Ready(result),
            Found::Wait(crowd) => {
                crowd.wake();
                Poll::Pending
            }
        }
    }
}

impl Connection {
    /// Takes over `id`, which was accepted or has connected. `None`: it is gone.
    pub(crate) fn adopt(shared: &Rc<Shared>, id: ConnId) -> Option<Connection> {
        let (info, old) = shared.call(|state, now| {
            let info = state.engine.info(now, id)?;
            let old = state.release(id);
            state.adopt(id, true);
            if let Some(slot) = state.slot(id) {
                // The event is over, if it was before.
                slot.peer_closed = info.state == StateName::CloseWait;
            }
            Some((info, old))
        })?;
        drop(old);
        let shared = Rc::clone(shared);
        Some(Connection { shared, id, local: info.local, remote: info.remote })
    }

    /// Copies into `buffer` what there is; how much. Zero: the end of the stream.
    pub(crate) fn poll_read(
        &self,
        buffer: &mut ReadBuf<'_>,
        waker: Option<&Waker>,
    ) -> Poll<io::Result<usize>> {
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(0));
        }
        let found = self.shared.call(|state, now| {
            // Only the octets that will be written are made initialised.
            let room = state.engine.readable_octets(self.id).clamp(1, buffer.remaining());
            let found = state.engine.read(now, self.id, buffer.initialize_unfilled_to(room));
            self.found(state, found, 0, waker)
        });
        if let Found::Ready(Ok(octets)) = found {
            buffer.advance(octets);
        }
        found.into_poll()
    }

    /// Takes the next slice as it lies in its frame. `None`: the end of the stream.
    pub(crate) fn poll_slice(&self, waker: Option<&Waker>) -> Poll<io::Result<Option<FrameSlice>>> {
        self.shared
            .call(|state, now| {
                let found = state.engine.read_slice(now, self.id).map(|found| match found {
                    Read::Data(slice) => Read::Data(Some(slice)),
                    Read::Nothing => Read::Nothing,
                    Read::End => Read::End,
                });
                self.found(state, found, None, waker)
            })
            .into_poll()
    }

    fn found<T>(
        &self,
        state: &mut State,
        found: io::Result<Read<T>>,
        end: T,
        waker: Option<&Waker>,
    ) -> Found<T> {
        match found {
            Ok(Read::Data(data)) => {
                // It may have opened the window.
                state.acted = true;
                Found::Ready(Ok(data))
            }
            Ok(Read::End) => Found::Ready(Ok(end)),
            _ if state.is_over() => Found::Ready(Err(error::stack_gone())),
            Ok(Read::Nothing) => match (state.slot(self.id), waker) {
                (Some(slot), Some(waker)) => Found::Wait(slot.readers.add(waker)),
                _ => Found::Wait(Wakers::default()),
            },
            Err(error) => Found::Ready(match self.end(state) {
                Some(CloseReason::Normal) => Ok(end),
                Some(reason) => Err(error::ended(reason)),
                None => Err(error),
            }),
        }
    }

    fn end(&self, state: &mut State) -> Option<CloseReason> {
        state.slot(self.id)?.end
    }

    /// Copies octets out of `slices`; how many there was room for.
    pub(crate) fn poll_write(
        &self,
        slices: &[IoSlice<'_>],
        waker: Option<&Waker>,
    ) -> Poll<io::Result<usize>> {
        self.shared
            .call(|state, now| {
                if slices.iter().all(|slice| slice.is_empty()) {
                    return Found::Ready(self.write_nothing(state, now));
                }
                let mut taken = 0;
                for slice in slices.iter().filter(|slice| !slice.is_empty()) {
                    match self.write(state, now, slice) {
                        Ok(octets) => taken += octets,
                        // What was taken before the error is taken; the next write tells.
                        Err(_) if taken > 0 => break,
                        Err(error) => return Found::Ready(Err(error)),
                    }
                    if taken == 0 {
                        return self.await_room(state, waker);
                    }
                    if self.slot_is_full(state) {
                        break;
                    }
                }
                Found::Ready(Ok(taken))
            })
            .into_poll()
    }

    /// Writes; the slot notes if not all was taken.
    fn write(&self, state: &mut State, now: Instant, octets: &[u8]) -> io::Result<usize> {
        if state.is_over() {
            return Err(error::stack_gone());
        }
        let taken = match state.engine.write(now, self.id, octets, WriteEnd::Open) {
            Ok(taken) => taken,
            Err(error) => return Err(self.write_error(state, error)),
        };
        state.acted = true;
        if let Some(slot) = state.slot(self.id) {
            slot.full = taken < octets.len();
        }
        Ok(taken)
    }

    /// A write of nothing, which tells of the connection's end as any other.
    fn write_nothing(&self, state: &mut State, now: Instant) -> io::Result<usize> {
        if state.is_over() {
            return Err(error::stack_gone());
        }
        if state.slot(self.id).is_some_and(|slot| slot.shut && slot.end.is_none()) {
            return Err(error::shut());
        }
        let written = state.engine.write(now, self.id, &[], WriteEnd::Open);
        written.map_err(|error| self.write_error(state, error))
    }

    fn write_error(&self, state: &mut State, error: io::Error) -> io::Error {
        let peer_closed = state.slot(self.id).is_some_and(|slot| slot.peer_closed);
        match self.end(state) {
            Some(CloseReason::Normal) => error::shut(),
            Some(CloseReason::Reset) if peer_closed => error::reset_after_close(),
            Some(reason) => error::ended(reason),
            None => error,
        }
    }

    fn slot_is_full(&self, state: &mut State) -> bool {
        state.slot(self.id).is_none_or(|slot| slot.full)
    }

    fn await_room<T>(&self, state: &mut State, waker: Option<&Waker>) -> Found<T> {
        match (state.slot(self.id), waker) {
            (Some(slot), Some(waker)) => Found::Wait(slot.writers.add(waker)),
            _ => Found::Wait(Wakers::default()),
        }
    }

    /// Hands over frames without a copy: all of them, once there is any room.
    pub(crate) fn poll_write_chain(
        &self,
        chain: &mut Chain,
        waker: &Waker,
    ) -> Poll<io::Result<()>> {
        if chain.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.shared
            .call(|state, now| {
                if state.is_over() {
                    return Found::Ready(Err(error::stack_gone()));
                }
                match state.engine.write_chain(now, self.id, std::mem::take(chain)) {
                    Ok(rest) if rest.is_empty() => {
                        state.acted = true;
                        Found::Ready(Ok(()))
                    }
                    Ok(rest) => {
                        *chain = rest;
                        self.await_room(state, Some(waker))
                    }
                    Err(error) => Found::Ready(Err(self.write_error(state, error))),
                }
            })
            .into_poll()
    }

    /// Ready when a read would find something: data, the end, or an error.
    pub(crate) fn poll_readable(&self, waker: &Waker) -> Poll<io::Result<()>> {
        self.shared
            .call(|state, _| {
                if state.is_over() || state.engine.is_readable(self.id) {
                    return Found::Ready(Ok(()));
                }
                match state.slot(self.id) {
                    Some(slot) if slot.end.is_some() => Found::Ready(Ok(())),
                    Some(slot) => Found::Wait(slot.readers.add(waker)),
                    None => Found::Ready(Ok(())),
                }
            })
            .into_poll()
    }

    /// Ready when a write would find room, or an error.
    pub(crate) fn poll_writable(&self, waker: &Waker) -> Poll<io::Result<()>> {
        self.shared
            .call(|state, now| {
                if state.is_over() || self.end(state).is_some() {
                    return Found::Ready(Ok(()));
                }
                let full = state.slot(self.id).is_some_and(|slot| slot.full);
                if !full && state.engine.send_room(self.id) > 0 {
                    return Found::Ready(Ok(()));
                }
                if !full {
                    // Nothing was refused yet, so nothing would tell of room. There is none: this octet
                    // stays here, unless the write fails, which is what the caller waits for too.
                    match state.engine.write(now, self.id, &[0], WriteEnd::Open) {
                        Err(_) => return Found::Ready(Ok(())),
                        Ok(_) => drop(state.slot(self.id).map(|slot| slot.full = true)),
                    }
                }
                self.await_room(state, Some(waker))
            })
            .into_poll()
    }

    /// Sends FIN after everything written.
    pub(crate) fn shut(&self) -> io::Result<()> {
        self.shared.call(|state, now| {
            if state.is_over() {
                return Err(error::stack_gone());
            }
            match (state.engine.shutdown_write(now, self.id), self.end(state)) {
                (_, Some(CloseReason::Normal)) => Ok(()),
                (_, Some(reason)) => Err(error::ended(reason)),
                (result, None) => {
                    state.acted = true;
                    if let Some(slot) = state.slot(self.id) {
                        slot.shut |= result.is_ok();
                    }
                    result
                }
            }
        })
    }

    /// The settings.
    pub(crate) fn settings(&self) -> Settings {
        self.shared.call(|state, _| state.engine.settings(self.id)).unwrap_or_default()
    }

    /// Changes them.
    pub(crate) fn set_settings(&self, change: impl FnOnce(&mut Settings)) -> io::Result<()> {
        self.shared.call(|state, now| {
            let ended = self.end(state).is_some();
            let Some(mut settings) = state.engine.settings(self.id).filter(|_| !ended) else {
                return Ok(());
            };
            change(&mut settings);
            state.acted = true;
            state.engine.set_settings(now, self.id, &settings)
        })
    }

    fn let_go(&self, how: impl FnOnce(&mut State, Instant)) {
        let slot: Option<Slot> = self.shared.call(|state, now| {
            let slot = state.release(self.id);
            if slot.is_some() {
                state.acted = true;
                how(state, now);
            }
            slot
        });
        // Tasks that still wait, which they can through borrowed futures only, are gone with it.
        drop(slot);
    }

    /// Resets the connection.
    pub(crate) fn abort(&self) {
        self.let_go(|state, now| state.engine.abort(now, self.id));
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.let_go(|state, now| state.engine.close(now, self.id));
    }
}
