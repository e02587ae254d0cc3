//! Messages, one after another.
//!
//! Owns: the commonest segment there is, a message of a connection by IPv4, asked for and made a packet in one step.
//! Must not know: any other segment.

use super::Taken;
use crate::anchor::Body;
use crate::shard::{Common, Shard};
use crate::table::Table;
use crate::turns::out_of_queue;
use usertcp_base::{ConnId, Instant, Observer, WireWindow};
use usertcp_cc::CongestionController;
use usertcp_device::TxBatch;
use usertcp_frame::Packet;
use usertcp_tcp::{Single, Tcb};
use usertcp_wire::checksum::Running;
use usertcp_wire::usual::{BOTH_V4, PreparedV4};

/// What ends a run of messages.
enum End {
    /// Whose turn it is is gone.
    Gone,
    /// It is the turn of a connection that is closing, or whose headers are not ready.
    Apart,
    /// It is the turn of one that has something else to send.
    Other,
    /// A message was given out whose headers cannot be written in front of it; its window.
    Headers(WireWindow),
    /// A message is in its place, and its connection's deadline is to be looked at.
    Wait,
}

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// Gives `turns` at most to those who came anew, while they are all there are, nothing is signed, and nobody looks at
    /// what is complete; and how many it gave. The first turn that is not a message by IPv4 is the last for now. `None`:
    /// nobody has anything to send.
    #[inline(never)] // its registers are its own
    pub(super) fn transmit_messages(
        &mut self,
        now: Instant,
        batch: &mut TxBatch,
        turns: usize,
    ) -> (Option<Taken>, usize) {
        let Shard { transmit, table, common, .. } = self;
        let queue = transmit.newcomers();
        let places = batch.spare(turns);
        let many = places.len();
        let mut places = places.iter_mut();
        while let Some(place) = places.next() {
            let Some(id) = queue.pop() else {
                let put = many - places.len() - 1;
                common.count_messages(put);
                batch.have_filled(put);
                // They stand in two queues.
                return (transmit.has_newcomers().then_some(Taken::One), put);
            };
            if let Some(end) = put_message(now, place, id, table, common) {
                let put = many - places.len() - usize::from(!matches!(end, End::Wait));
                self.common.count_messages(put);
                batch.have_filled(put);
                return self.end_messages(now, batch, id, end, put);
            }
        }
        common.count_messages(many);
        batch.have_filled(many);
        (Some(Taken::One), many)
    }

    /// The turn of a connection that ends a run of `put` messages.
    #[inline(always)] // once
    fn end_messages(
        &mut self,
        now: Instant,
        batch: &mut TxBatch,
        whose: ConnId,
        end: End,
        put: usize,
    ) -> (Option<Taken>, usize) {
        let taken = match end {
            End::Wait => {
                self.rearm(now, whose);
                return (Some(Taken::One), put);
            }
            End::Gone => {
                self.transmit.forget_newcomer();
                Taken::One
            }
            End::Apart => self.transmit_any(now, whose, batch, true).apart(),
            End::Other => self.transmit_any(now, whose, batch, true),
            End::Headers(window) => {
                self.put_apart(now, whose, window, batch);
                Taken::One
            }
        };
        (Some(taken), put + 1)
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

/// The message of the connection whose turn it is becomes a packet in its place: its headers are written in front of the
/// payload where that lies in the send queue. What there is instead, or besides.
#[inline(always)] // once
fn put_message<C: CongestionController, O: Observer>(
    now: Instant,
    place: &mut Packet,
    id: ConnId,
    table: &mut Table<C>,
    common: &mut Common<O>,
) -> Option<End> {
    let Some(anchor) = out_of_queue(id, &mut table.anchors) else { return Some(End::Gone) };
    let Body::Hot(hot, prepared) = &anchor.body else { return Some(End::Other) };
    let Some(tcb) = table.hot.at_mut(*hot) else { return Some(End::Other) };
    if prepared.is_none() {
        return Some(End::Apart);
    }
    let Some(message) = tcb.poll_message(now, id, &mut common.observer) else {
        return Some(if tcb.is_closing() { End::Apart } else { End::Other });
    };
    if write(common, place, now, prepared, tcb, message).is_none() {
        return Some(End::Headers(message.window));
    }
    // Mostly an earlier deadline is waited for already.
    (!anchor.links.wakes_by(message.deadline)).then_some(End::Wait)
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
    let (mut packet, facts) = tcb.message_in_place(message, BOTH_V4)?;
    let (headers, payload) = packet.parts_of()?;
    let octets = message.octets as u16;
    let sum = (!common.checksum_offload).then(|| Running::of_short(payload));
    prepared.write(headers, octets, &facts.message(now, message.window), sum);
    let counters = &mut common.counters;
    counters.payload_octets_out =
        counters.payload_octets_out.wrapping_add(u64::from(message.octets));
    let slice = packet.into_slice();
    place.begin(common.offload_v4, slice);
    Some(())
}
