//! SEND and RECEIVE.
//!
//! Owns: writing and reading by handle, with and without a copy.
//! Must not know: how much a connection may hold.
//! Implements: RFC 9293 §3.9.1.2, §3.9.1.3, §3.8.5; §3.10.2, §3.10.3.

use crate::anchor::Body;
use crate::app::{ConnError, Read, Refused, is_held_back};
use crate::shard::Shard;
use usertcp_base::observe::CloseReason;
use usertcp_base::{ConnId, Instant, Observer};
use usertcp_cc::CongestionController;
use usertcp_frame::{Chain, FrameSlice};
use usertcp_tcp::{Effects, ReadOutcome, StateName, Tcb, WriteEnd};

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// Copies octets into the send queue; how many were taken. Fewer than all:
    /// [`crate::ShardEvent::Writable`] follows; while opening, `Connected` does.
    #[inline]
    pub fn write(&mut self, now: Instant, id: ConnId, octets: &[u8]) -> Result<usize, ConnError> {
        self.write_with(now, id, octets, WriteEnd::Open)
    }

    /// The same, and what the application says of the end of these octets.
    pub fn write_with(
        &mut self,
        now: Instant,
        id: ConnId,
        octets: &[u8],
        end: WriteEnd,
    ) -> Result<usize, ConnError> {
        let Some((anchor, tcb)) = self.table.held_hot(id) else {
            return self.write_without(now, id, octets, end);
        };
        let common = &mut self.common;
        if end != WriteEnd::Open || !tcb.write_short(&common.pool, octets) {
            let taken = tcb.write_with(&mut common.env(now, id), octets, end);
            let held_back = is_held_back(now, anchor, tcb);
            return self.after_write(now, id, (taken, octets.len()), held_back);
        }
        // As in `wake`.
        if !is_held_back(now, anchor, tcb) {
            self.transmit.push(id, anchor);
        }
        Ok(octets.len())
    }

    /// A write of what is no short message, or not the only one, took `taken` of so many octets. `held_back`: nothing
    /// leaves before the deadline that the connection waits for.
    #[inline(never)]
    fn after_write(
        &mut self,
        now: Instant,
        id: ConnId,
        (taken, octets): (usize, usize),
        held_back: bool,
    ) -> Result<usize, ConnError> {
        if taken < octets {
            self.after_short_write(now, id, taken)?;
        }
        if taken > 0 && !held_back {
            self.wake(id);
        }
        Ok(taken)
    }

    /// The same where there is no TCB; there may be one then.
    #[cold]
    fn write_without(
        &mut self,
        now: Instant,
        id: ConnId,
        octets: &[u8],
        end: WriteEnd,
    ) -> Result<usize, ConnError> {
        match self.awake_to_write(now, id)? {
            Some(hot) if self.table.hot.at(hot).is_some() => self.write_with(now, id, octets, end),
            _ => Ok(0),
        }
    }

    /// A write took `taken` octets, and there were more.
    #[cold]
    fn after_short_write(
        &mut self,
        now: Instant,
        id: ConnId,
        taken: usize,
    ) -> Result<(), ConnError> {
        let Some((_, tcb)) = self.table.held_hot(id) else { return Ok(()) };
        if taken == 0 && !is_send_open(tcb) {
            return Err(ConnError::SendClosed);
        }
        if tcb.send_room(&self.common.limits, &self.common.pool) > 0 {
            // Room, but no frame: no acknowledgement will tell when there is one.
            self.starve(now, id.slot, taken);
        }
        Ok(())
    }

    /// Appends frames the application filled, without a copy: all of them, or none and they come
    /// back.
    pub fn write_chain(&mut self, now: Instant, id: ConnId, octets: Chain) -> Result<(), Refused> {
        let hot = match self.awake_to_write(now, id) {
            Ok(Some(hot)) => hot,
            Ok(None) => return Err(Refused { octets, error: None }),
            Err(error) => return Err(Refused { octets, error: Some(error) }),
        };
        if let Some(tcb) = self.table.hot.at_mut(hot) {
            match tcb.write_chain(&mut self.common.env(now, id), octets) {
                Ok(()) => self.wake(id),
                Err(octets) => {
                    let error = (!is_send_open(tcb)).then_some(ConnError::SendClosed);
                    return Err(Refused { octets, error });
                }
            }
        }
        Ok(())
    }

    /// Octets that a write would take now.
    pub fn send_room(&self, id: ConnId) -> Result<u32, ConnError> {
        let (limits, pool) = (&self.common.limits, &self.common.pool);
        if let Body::Parked(parked) = &self.held(id)?.body {
            return Ok(self.table.moulds.look(parked).send_room(limits, pool));
        }
        let hot = self.writable(id)?.and_then(|hot| self.table.hot.at(hot));
        Ok(hot.map_or(0, |tcb| tcb.send_room(limits, pool)))
    }

    /// Whether a writer that waits should be woken: there is room for a good part of the buffer,
    /// and not too much of what was written is unsent.
    pub fn is_worth_writing(&self, id: ConnId) -> Result<bool, ConnError> {
        let (limits, pool) = (&self.common.limits, &self.common.pool);
        if let Body::Parked(parked) = &self.held(id)?.body {
            return Ok(self.table.moulds.look(parked).is_worth_writing(limits, pool));
        }
        let hot = self.writable(id)?.and_then(|hot| self.table.hot.at(hot));
        Ok(hot.is_some_and(|tcb| tcb.is_worth_writing(limits, pool)))
    }

    /// The same after an idle connection got its TCB back.
    fn awake_to_write(&mut self, now: Instant, id: ConnId) -> Result<Option<u32>, ConnError> {
        match &self.held(id)?.body {
            Body::Parked(_) => {
                let hot = self.awake(now, id);
                if hot.is_none() {
                    // Nobody but time will tell when there is room.
                    self.starve(now, id.slot, 0);
                }
                Ok(hot)
            }
            _ => self.writable(id),
        }
    }

    /// The TCB to write to; `None` while the connection is being opened.
    fn writable(&self, id: ConnId) -> Result<Option<u32>, ConnError> {
        match &self.held(id)?.body {
            Body::Hot(hot, _) | Body::Early(_, hot) => Ok(Some(*hot)),
            Body::Opening(opening)
                if self.table.openings.at(*opening).is_some_and(|opening| opening.closed) =>
            {
                Err(ConnError::SendClosed)
            }
            Body::Ended(reason, _) => Err(ConnError::Ended(*reason)),
            _ => Ok(None),
        }
    }

    /// Copies received octets out: the one copy a foreign buffer costs. Fewer octets than `out` has are all
    /// there are, but the end may be behind them; the next [`crate::ShardEvent::Readable`] tells of what comes later.
    pub fn read(
        &mut self,
        now: Instant,
        id: ConnId,
        out: &mut [u8],
    ) -> Result<Read<usize>, ConnError> {
        let Some((_, tcb)) = self.table.held_hot(id) else {
            return self.read_other(now, id, out);
        };
        if !tcb.is_readable() {
            // Nothing changes by that.
            return Ok(if out.is_empty() { Read::Data(0) } else { Read::Nothing });
        }
        let Some(count) = tcb.read_short(now, &self.common.pool, out) else {
            return self.read_other(now, id, out);
        };
        if tcb.is_quiet() {
            // What was read may have been all that kept it from coming to rest.
            self.rearm(now, id);
        }
        // Of what is readable nothing at all is the end.
        Ok(if count > 0 { Read::Data(count) } else { Read::End })
    }

    /// The same where more follows, or the connection is over or has no TCB.
    #[inline(never)]
    fn read_other(
        &mut self,
        now: Instant,
        id: ConnId,
        out: &mut [u8],
    ) -> Result<Read<usize>, ConnError> {
        let Some((hot, ended)) = self.readable(id)? else { return Ok(Read::Nothing) };
        let Some(tcb) = self.table.hot.at_mut(hot) else { return Ok(Read::Nothing) };
        if ended.is_none()
            && let Some((count, opens)) = tcb.read_opening(now, &self.common.pool, out)
        {
            if opens {
                self.wake(id);
            } else if tcb.is_quiet() {
                self.rearm(now, id);
            }
            return Ok(Read::Data(count));
        }
        let (outcome, effects) = tcb.read(&mut self.common.env(now, id), out);
        let quiet = tcb.is_quiet();
        self.after_read(now, id, ended, found(outcome), effects, quiet)
    }

    /// Copies received octets out from `offset` on, and leaves them to be read again. Nothing at all
    /// is no sign of the end.
    pub fn peek(&self, id: ConnId, offset: usize, out: &mut [u8]) -> Result<usize, ConnError> {
        let hot = self.readable(id)?.and_then(|(hot, _)| self.table.hot.at(hot));
        Ok(hot.map_or(0, |tcb| tcb.peek(offset, out)))
    }

    /// Takes received octets as they lie in their frame.
    pub fn read_slice(&mut self, now: Instant, id: ConnId) -> Result<Read<FrameSlice>, ConnError> {
        let Some((hot, ended)) = self.readable(id)? else { return Ok(Read::Nothing) };
        let Some(tcb) = self.table.hot.at_mut(hot) else { return Ok(Read::Nothing) };
        let (outcome, effects) = tcb.read_slice(&mut self.common.env(now, id));
        let quiet = tcb.is_quiet();
        let found = match outcome {
            Ok(slice) => Read::Data(slice),
            Err(ReadOutcome::End) => Read::End,
            Err(_) => Read::Nothing,
        };
        self.after_read(now, id, ended, found, effects, quiet)
    }

    /// The TCB to read from, and why the connection is over if it is; `None` while it is being opened.
    #[inline]
    fn readable(&self, id: ConnId) -> Result<Option<(u32, Option<CloseReason>)>, ConnError> {
        match &self.held(id)?.body {
            Body::Hot(hot, _) | Body::Early(_, hot) => Ok(Some((*hot, None))),
            Body::Ended(reason, Some(hot)) => Ok(Some((*hot, Some(*reason)))),
            Body::Ended(reason, None) => Err(ConnError::Ended(*reason)),
            _ => Ok(None),
        }
    }

    fn after_read<T>(
        &mut self,
        now: Instant,
        id: ConnId,
        ended: Option<CloseReason>,
        found: Read<T>,
        effects: Effects,
        quiet: bool,
    ) -> Result<Read<T>, ConnError> {
        if let Some(reason) = ended {
            // What an ended connection's TCB still brings about reaches nobody.
            return match found {
                Read::Nothing => Err(ConnError::Ended(reason)),
                found => Ok(found),
            };
        }
        if effects.transmit || effects.ended.is_some() {
            self.apply(now, id, effects);
        } else if quiet {
            // What was read may have been all that kept it from coming to rest.
            self.rearm(now, id);
        }
        Ok(found)
    }

    /// Sends at once what Nagle or a cork holds back.
    pub fn push(&mut self, _: Instant, id: ConnId) -> Result<(), ConnError> {
        if let Some(hot) = self.held(id)?.body.hot()
            && let Some(tcb) = self.table.hot.at_mut(hot)
        {
            tcb.flush();
            self.wake(id);
        }
        Ok(())
    }

    /// Marks everything written so far as urgent (MUST-30). For old protocols that ask for it: a new
    /// application should not use urgent data (RFC 9293 §3.8.5, RFC 6093).
    pub fn mark_urgent(&mut self, now: Instant, id: ConnId) -> Result<(), ConnError> {
        self.held(id)?;
        if let Some(hot) = self.awake(now, id)
            && let Some(tcb) = self.table.hot.at_mut(hot)
        {
            tcb.mark_urgent_written();
            self.wake(id);
        }
        self.is_awake(id)
    }

    /// Octets that can be read now, and how many of those to come are urgent (MUST-33).
    pub fn readable_octets(&self, id: ConnId) -> Result<(u32, u32), ConnError> {
        let hot = self.readable(id)?.and_then(|(hot, _)| self.table.hot.at(hot));
        Ok(hot.map_or((0, 0), |tcb| (tcb.readable_octets(), tcb.urgent_octets())))
    }

    /// Whether a read would find something: octets, or the end.
    pub fn is_readable(&self, id: ConnId) -> Result<bool, ConnError> {
        let hot = self.readable(id)?.and_then(|(hot, _)| self.table.hot.at(hot));
        Ok(hot.is_some_and(Tcb::is_readable))
    }
}

fn found(outcome: ReadOutcome) -> Read<usize> {
    match outcome {
        ReadOutcome::Octets(octets) => Read::Data(octets),
        ReadOutcome::Nothing => Read::Nothing,
        ReadOutcome::End => Read::End,
    }
}

/// Whether our sending side is open; asked only when a write took nothing.
fn is_send_open<C: CongestionController>(tcb: &Tcb<C>) -> bool {
    matches!(tcb.state(), StateName::Established | StateName::CloseWait)
}
