//! Messages, one after another.
//!
//! Owns: the commonest segment there is, a message of a connection by IPv4, asked for and made a packet in one step.
//! Must not know: any other segment.

use super::Taken;
use crate::anchor::Body;
use crate::shard::{Common, Shard};
use usertcp_base::{ConnId, Instant, Observer, WireWindow};
use usertcp_cc::CongestionController;
use usertcp_device::TxBatch;
use usertcp_frame::Packet;
use usertcp_tcp::{Single, Tcb};
use usertcp_wire::checksum::Running;
use usertcp_wire::usual::{BOTH_V4, PreparedV4};

/// Messages for which places are made at once.
const RUN: usize = 64;

/// What ends a run of messages.
enum End {
    /// There are no more turns.
    Turns,
    /// Nobody has anything to send.
    Nobody,
    /// Whose turn it was is gone.
    Gone,
    /// It is the turn of a connection that is closing.
    Last(ConnId),
    /// It is the turn of one that has something else to send.
    Other(ConnId),
    /// It is the turn of one whose headers are not ready.
    Unprepared(ConnId),
    /// A message was given out whose headers cannot be written in front of it; its window.
    Apart(ConnId, WireWindow),
}

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// Gives `turns`, as many as there are, to those who came anew, while they are all there are, nothing is signed, and
    /// nobody looks at what is complete. The first turn that is not a message by IPv4 is the last for now. `None`: nobody
    /// has anything to send.
    #[inline(always)] // once
    pub(super) fn transmit_messages(
        &mut self,
        now: Instant,
        batch: &mut TxBatch,
        turns: &mut usize,
    ) -> Option<Taken> {
        let mut end = End::Turns;
        // Few places at once: those are there already.
        let put = batch.fill((*turns).min(RUN), |places| {
            let mut put = 0;
            for place in places {
                match self.put_message(now, place) {
                    None => put += 1,
                    Some(other) => {
                        end = other;
                        break;
                    }
                }
            }
            put
        });
        self.common.count_messages(put);
        *turns -= put;
        let taken = match end {
            End::Turns => return Some(Taken::One),
            End::Nobody => return None,
            End::Gone => Taken::One,
            End::Last(id) => self.transmit_last(now, id, batch, true),
            End::Other(id) => self.transmit_single(now, id, batch, true),
            End::Unprepared(id) => self.transmit_any(now, id, batch, true),
            End::Apart(id, window) => {
                self.put_apart(now, id, window, batch);
                Taken::One
            }
        };
        *turns -= 1;
        Some(taken)
    }

    /// The next message becomes a packet in its place: its headers are written in front of the payload where that lies
    /// in the send queue. What there is instead, if there is none.
    #[inline(always)] // once
    fn put_message(&mut self, now: Instant, place: &mut Packet) -> Option<End> {
        let Some(next) = self.transmit.pop_newcomer(&mut self.table.anchors) else {
            return Some(End::Nobody);
        };
        let Some((id, anchor)) = next else { return Some(End::Gone) };
        let Body::Hot(hot, prepared) = &anchor.body else { return Some(End::Other(id)) };
        if prepared.is_none() {
            return Some(End::Unprepared(id));
        }
        let Some(tcb) = self.table.hot.at_mut(*hot) else { return Some(End::Gone) };
        let Some(message) = tcb.poll_message(now, id, &mut self.common.observer) else {
            return Some(if tcb.is_closing() { End::Last(id) } else { End::Other(id) });
        };
        if write(&mut self.common, place, now, prepared, tcb, message).is_none() {
            return Some(End::Apart(id, message.window));
        }
        // Mostly an earlier deadline is waited for already.
        if !anchor.links.wakes_by(message.deadline) {
            self.rearm(now, id);
        }
        None
    }

    /// A message that was given out leaves with headers of its own.
    #[inline(never)]
    fn put_apart(&mut self, now: Instant, id: ConnId, window: WireWindow, batch: &mut TxBatch) {
        let Some((_, tcb)) = self.table.hot_of(id) else { return };
        let message = tcb.message(window);
        self.put_single(now, id, message, batch);
        self.rearm(now, id);
    }
}

/// Makes a packet of a message. `None`, and nothing has changed: its payload lies otherwise.
#[inline(always)] // once
fn write<C: CongestionController, O: Observer>(
    common: &mut Common<O>,
    place: &mut Packet,
    now: Instant,
    prepared: &PreparedV4,
    tcb: &mut Tcb<C>,
    message: Single,
) -> Option<()> {
    let (mut packet, header) = tcb.message_in_place(now, message, BOTH_V4)?;
    let (headers, payload) = packet.parts_of()?;
    let octets = message.octets as u16;
    match common.checksum_offload {
        true => prepared.write(headers, octets, &header, None),
        false => prepared.write(headers, octets, &header, Some(Running::of_short(payload))),
    }
    let counters = &mut common.counters;
    counters.payload_octets_out =
        counters.payload_octets_out.wrapping_add(u64::from(message.octets));
    let slice = packet.into_slice();
    place.begin(common.offload_v4, slice);
    Some(())
}
