//! From connections to packets (DESIGN §6.2, steps 3 to 6).
//!
//! Owns: whose segment leaves next, and which way: a message (`messages`), another that is alone, or any (`other`).
//! Must not know: what a segment is for, or how header and payload become one packet (`pack`).
//! Implements: MUST-45 (address of the connection), DESIGN §10 (local queue drops are not congestion).

mod at_once;
mod last;
mod messages;
mod other;
mod outbox;
mod pack;
mod sharing;

pub(crate) use outbox::Outbox;
pub(crate) use pack::{COPIED_OCTETS, HEADROOM, gso_kind};

use crate::anchor::Anchor;
use crate::shard::{Common, Shard};
use crate::usual::{AHEAD, put_either};
use usertcp_base::{ConnId, DropReason, Instant, Observer};
use usertcp_cc::CongestionController;
use usertcp_device::TxBatch;
use usertcp_frame::Packet;
use usertcp_ip::Ip;
use usertcp_tcp::{Single, Tcb};

/// What [`Shard::fill`] leaves.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Left {
    /// No connection has anything to send now.
    Nothing,
    /// Some may: the batch is full, or the budget used up.
    Some,
    /// Some have, but there was no frame for a header: another try at once would find none either.
    NoFrame,
}

/// What a connection's turn came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Taken {
    /// One packet at most.
    One,
    /// The same, which was no message.
    Apart,
    /// Perhaps several.
    Any,
}

impl Taken {
    /// The same of what was no message.
    fn apart(self) -> Taken {
        if self == Taken::One { Taken::Apart } else { self }
    }
}

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// Fills `batch` with packets to send now. What does not fit stays where it is: in a
    /// connection's queue, not in a packet.
    pub fn poll_transmit(&mut self, now: Instant, batch: &mut TxBatch) {
        let _ = self.fill(now, batch);
    }

    /// The same, and what is left.
    #[inline(always)] // in few places, and nearly always the first run of messages is all there is
    pub(crate) fn fill(&mut self, now: Instant, batch: &mut TxBatch) -> Left {
        let budget = self.transmit.begin_batch() as usize;
        let usual = !self.common.unusual
            && !self.transmit.is_long()
            && self.transmit.are_newcomers()
            // Before a segment is asked for: once given out, it counts as sent.
            && self.common.pool.has_control();
        if !usual {
            return self.fill_any(now, batch, budget, Taken::One);
        }
        let (taken, turns) = self.transmit_messages(now, batch, budget);
        match taken {
            None => Left::Nothing,
            Some(taken) => self.fill_any(now, batch, budget - turns, taken),
        }
    }

    /// The same of whatever there is, after a turn that was `taken`.
    #[inline(never)] // its registers are its own
    fn fill_any(
        &mut self,
        now: Instant,
        batch: &mut TxBatch,
        mut budget: usize,
        mut last: Taken,
    ) -> Left {
        let unusual = self.common.unusual;
        if unusual {
            self.put_waiting(now, batch);
        }
        // Nothing is signed, and nobody looks at what is complete.
        let bare = !unusual || self.auth.is_idle() && self.link.is_none();
        let alone = !unusual || self.rates.is_empty();
        loop {
            // Nearly every turn is one packet: that there is room is asked once for all of them.
            let mut turns = budget.min(batch.room());
            if turns == 0 {
                return Left::Some;
            }
            if self.transmit.is_long() {
                turns = turns.min(match self.transmit.at_hand() {
                    0 => {
                        self.look_ahead_to_send();
                        AHEAD
                    }
                    at_hand => at_hand,
                });
            }
            budget -= turns;
            while turns > 0 {
                // As above.
                if !self.common.pool.has_control() {
                    self.want_memory(now);
                    return Left::NoFrame;
                }
                let taken = if !(bare && alone && self.transmit.are_newcomers()) {
                    turns -= 1;
                    match alone {
                        true => self.transmit_one(now, batch, bare),
                        false => self.transmit_sharing(now, batch),
                    }
                } else if last == Taken::Apart {
                    self.transmit_apart(now, batch, &mut turns)
                } else {
                    let (taken, count) = self.transmit_messages(now, batch, turns);
                    turns -= count;
                    taken
                };
                let Some(taken) = taken else { return Left::Nothing };
                last = taken;
                if taken == Taken::Any && batch.room() < turns {
                    budget += turns;
                    break;
                }
            }
        }
    }

    /// Packets that are complete: those that waited for a neighbour's address, and replies.
    #[inline(never)]
    fn put_waiting(&mut self, now: Instant, batch: &mut TxBatch) {
        if self.link.is_none() {
            if self.outbox.is_empty() {
                return;
            }
            let count = batch.take_from(&mut self.outbox.packets);
            return self.common.count_packets(count);
        }
        self.link_frames(batch);
        while !batch.is_full() {
            let Some(packet) = self.outbox.packets.pop() else { break };
            self.put(now, batch, packet);
        }
    }

    #[inline]
    pub(crate) fn put(&mut self, now: Instant, batch: &mut TxBatch, packet: Packet) {
        if self.link.is_some() {
            return self.put_on_link(now, batch, packet);
        }
        self.put_plain(batch, packet);
    }

    /// With the link's header in front, unless it waits for its neighbour's address.
    #[inline(never)]
    fn put_on_link(&mut self, now: Instant, batch: &mut TxBatch, mut packet: Packet) {
        if self.link_output(now, &mut packet) {
            self.put_plain(batch, packet);
        }
    }

    /// The same of a packet that no link has to see; there is room.
    #[inline]
    pub(crate) fn put_plain(&mut self, batch: &mut TxBatch, packet: Packet) {
        put_into(&mut self.common, batch, packet);
    }

    /// One segment of the connection whose turn it is. Who has more after it goes on
    /// or goes behind the others. `None`: nobody has anything to send.
    #[inline(never)]
    fn transmit_one(&mut self, now: Instant, batch: &mut TxBatch, bare: bool) -> Option<Taken> {
        let Some((id, _)) = self.transmit.pop(&mut self.table.anchors)? else {
            return Some(Taken::One);
        };
        Some(self.transmit_any(now, id, batch, bare))
    }

    /// The same of a given connection. Most often it has a single segment to send: a message whose headers are not ready
    /// (by IPv4 they will be, if it is not the first one), its end, or an acknowledgement. `bare`: nothing is signed, and
    /// there is no link.
    #[inline(never)] // its registers are its own
    fn transmit_any(&mut self, now: Instant, id: ConnId, batch: &mut TxBatch, bare: bool) -> Taken {
        let Some((anchor, tcb)) = self.table.hot_of(id) else { return Taken::One };
        let (common, ip) = (&mut self.common, &self.ip);
        let Some(single) = poll_any(common, now, ip, id, anchor, tcb, bare) else {
            return self.transmit_alone(now, id, batch);
        };
        let on_time = is_on_time(anchor, single);
        let put = bare && put_either(common, batch, now, ip, anchor, tcb, single);
        self.end_single(now, id, single, batch, (put, on_time))
    }

    /// A single segment was given out: it goes the other way if it was not `put`, and its deadline is waited for, if that
    /// is not so already.
    #[inline(always)] // of each kind
    fn end_single(
        &mut self,
        now: Instant,
        id: ConnId,
        single: Single,
        batch: &mut TxBatch,
        (put, on_time): (bool, bool),
    ) -> Taken {
        if !put {
            self.put_single(now, id, single, batch);
        }
        if !on_time {
            match single.deadline() {
                Some(_) => self.await_answer(now, id),
                None => self.rearm(now, id),
            }
        }
        Taken::One
    }

    /// Puts the only segment of a connection into the batch, when it is not one by IPv4 whose headers can be
    /// written where its payload lies, or keys or a link are to be looked after.
    #[inline(never)]
    fn put_single(&mut self, now: Instant, id: ConnId, single: Single, batch: &mut TxBatch) {
        let Some((id, flow, body)) = self.table.anchors.flow_and_body(id.slot) else { return };
        let Some(hot) = body.hot() else { return };
        let Some(tcb) = self.table.hot.at(hot) else { return };
        let segment = tcb.single(now, single);
        let frame = self.common.pool.take_control(HEADROOM);
        let packet = frame.and_then(|frame| self.pack_given(hot, &flow, &segment, frame));
        self.put_or_count(now, id, batch, packet);
    }

    #[inline]
    fn put_or_count(
        &mut self,
        now: Instant,
        id: ConnId,
        batch: &mut TxBatch,
        packet: Option<Packet>,
    ) {
        match packet {
            Some(packet) => self.put(now, batch, packet),
            None => self.common.drop_packet(Some(id), now, DropReason::DeviceRefused),
        }
    }
}

/// The only segment that a connection has to send. `None`: it has more, or something else; nothing has changed.
#[inline(always)] // twice
fn poll_any<C: CongestionController, O: Observer>(
    common: &mut Common<O>,
    now: Instant,
    ip: &Ip,
    id: ConnId,
    anchor: &mut Anchor,
    tcb: &mut Tcb<C>,
    bare: bool,
) -> Option<Single> {
    if tcb.is_closing() {
        return tcb.poll_end(now, id, &mut common.observer);
    }
    let message = tcb.poll_message(now, id, &mut common.observer);
    if message.is_some() && bare && tcb.was_acknowledged() {
        anchor.prepare_v4(ip, tcb.settings());
    }
    message.or_else(|| tcb.poll_single(now, id, &mut common.observer))
}

/// Whether the deadline after a segment, if there is one, is waited for already: mostly an earlier one is.
#[inline(always)] // as above
fn is_on_time(anchor: &Anchor, single: Single) -> bool {
    single.deadline().is_some_and(|tick| anchor.links.wakes_by(tick))
}

#[inline(always)]
pub(crate) fn put_into<O: Observer>(common: &mut Common<O>, batch: &mut TxBatch, packet: Packet) {
    common.count_packets(1);
    let pushed = batch.push(packet);
    debug_assert!(pushed.is_ok(), "asked only while there is room");
}
