//! Where the shard meets an Ethernet.
//!
//! Owns: which packets pass the link layer, and what becomes of those that do not come through it.
//! Must not know: neighbours, headers of the link; those are `usertcp_ip::Link`'s.
//! Implements: RFC 1122 §2.3.2.2 and §3.2.2.1 (who waited in vain is told, as by a router).
//!
//! On a device that carries IP packets there is no link, and all of this is one branch per packet.

use crate::config::ShardConfig;
use crate::shard::Shard;
use alloc::boxed::Box;
use usertcp_base::{DropReason, Instant, Observer, Secrets};
use usertcp_cc::CongestionController;
use usertcp_device::{Medium, RxBatch, TxBatch};
use usertcp_frame::Packet;
use usertcp_ip::{Link, LinkConfig, LinkInput, LinkOutput};

/// The link of a shard that is started so; none when the device carries IP packets.
pub(crate) fn open(config: &ShardConfig, secrets: &Secrets, now: Instant) -> Option<Box<Link>> {
    let Medium::Ethernet { mac } = config.device.medium else { return None };
    let config = LinkConfig {
        mac,
        addresses: config.addresses.clone(),
        gateways: config.gateways.clone(),
        limits: config.limits.clone(),
        secrets: secrets.clone(),
    };
    Some(Box::new(Link::new(config, now)))
}

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// Makes a frame that arrived the IP packet in it. False: it was no such, or is gone.
    pub(crate) fn link_input(&mut self, now: Instant, frame: &mut Packet) -> bool {
        let Some(link) = &mut self.link else { return true };
        let dropped = match link.input(now, frame, &self.common.pool) {
            LinkInput::Network => return true,
            LinkInput::Consumed => None,
            LinkInput::Drop(reason) => Some(reason),
        };
        // The others are counted where they are handled.
        self.common.count_packets_in(1);
        if let Some(reason) = dropped {
            self.common.drop_packet(None, now, reason);
        }
        false
    }

    /// The same for all that were just received.
    #[inline(never)]
    pub(crate) fn link_burst(&mut self, now: Instant, burst: &mut RxBatch) {
        burst.retain(|frame| self.link_input(now, frame));
    }

    /// Makes a packet that leaves a frame. False: it waits for its neighbour, or is gone.
    pub(crate) fn link_output(&mut self, now: Instant, packet: &mut Packet) -> bool {
        let Some(link) = &mut self.link else { return true };
        match link.output(now, packet, &self.common.pool) {
            LinkOutput::Send => true,
            LinkOutput::Waits => false,
            LinkOutput::Drop(reason) => {
                self.common.drop_packet(None, now, reason);
                false
            }
        }
    }

    /// Finished frames of the link itself, as many as fit.
    #[inline]
    pub(crate) fn link_frames(&mut self, batch: &mut TxBatch) {
        if self.link.is_some() {
            self.put_link_frames(batch);
        }
    }

    #[inline(never)]
    fn put_link_frames(&mut self, batch: &mut TxBatch) {
        let Some(link) = &mut self.link else { return };
        while !batch.is_full()
            && let Some(frame) = link.poll_frame()
        {
            self.common.count_packets(1);
            let pushed = batch.push(frame);
            debug_assert!(pushed.is_ok(), "asked only while there is room");
        }
    }

    #[inline]
    pub(crate) fn link_has_frames(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.has_frames())
    }

    /// Lets the link do what is due, and tells connections of neighbours who did not answer.
    #[inline]
    pub(crate) fn link_deadline(&mut self, now: Instant) {
        if self.link.is_some() {
            self.expire_link(now);
        }
    }

    #[inline(never)]
    fn expire_link(&mut self, now: Instant) {
        let Some(link) = &mut self.link else { return };
        if link.next_deadline().is_some_and(|deadline| deadline <= now) {
            link.expire(now, &self.common.pool);
        }
        while let Some((reason, count)) = self.link.as_mut().and_then(|link| link.poll_drop()) {
            for _ in 0..count {
                self.common.drop_packet(None, now, reason);
            }
        }
        while let Some(packet) = self.link.as_mut().and_then(|link| link.poll_unreachable()) {
            self.common.drop_packet(None, now, DropReason::NeighbourUnreachable);
            if let Some(signal) = self.ip.no_neighbour(&packet) {
                self.handle_signal(now, &signal);
            }
        }
    }
}
