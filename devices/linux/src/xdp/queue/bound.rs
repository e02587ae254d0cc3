//! A socket at work: how it is set up, and how it ends.
//! Owns: in what order; how many frames the kernel has to write to; which frames may be used again afterwards.
//! Must not know: packets.

use super::ETHERNET_OCTETS;
use super::stats::{XdpMode, XdpStats};
use crate::error::OpenError;
use crate::xdp::open::{Attachment, Settings};
use crate::xdp::ring::{Consumer, Descriptor, Producer};
use crate::xdp::sys::{self, Mapping, RingSizes, Socket};
use crate::xdp::umem::{CHUNK_OCTETS, Layout, Line, Stock};
use crate::xdp::{refused, refused_memory};
use std::sync::Arc;
use usertcp_frame::{Chain, Class, Frame, FramePool};

/// Descriptors a call sends where the kernel cannot be told how many.
const LEAST_BUDGET: u32 = 16;
/// Room in the socket for each descriptor under way: what the kernel charges for one.
const SEND_ROOM_OCTETS: u32 = 8192;
/// Packets one busy poll takes from the device.
const BUSY_POLL_PACKETS: u32 = 64;

/// A socket at work. Fields are dropped in this order, after [`Drop`]: rings, socket, frames.
pub(super) struct Bound {
    pub(super) fill: Producer<Mapping>,
    pub(super) receive: Consumer<Mapping>,
    pub(super) transmit: Producer<Mapping>,
    pub(super) completion: Consumer<Mapping>,
    pub(super) socket: Socket,
    pub(super) stock: Stock,
    pub(super) line: Line,
    pub(super) pool: FramePool,
    pub(super) attachment: Arc<Attachment>,
    pub(super) place: u32,
    pub(super) mode: XdpMode,
    pub(super) layout: Layout,
    pub(super) sizes: RingSizes,
    /// Frames the kernel should have to write to.
    pub(super) stock_target: u32,
    pub(super) vouch: bool,
    pub(super) busy_poll: bool,
    /// Descriptors one call of the kernel sends.
    pub(super) budget: u32,
    /// The caller sleeps or sends off after each transmission.
    pub(super) deferring: bool,
    /// The buffers received of a packet whose last one is still to come.
    pub(super) partial: Chain,
    /// The rest of the packet under way is to be dropped.
    pub(super) skipping: bool,
}

impl Drop for Bound {
    fn drop(&mut self) {
        // No packet is to find the socket from here on, even if a child process has it too.
        self.attachment.unset(self.place);
        sys::wait_for_programs();
        while let Some(address) = self.completion.pop() {
            let _ = self.line.complete(address);
        }
        // What is still under way somewhere is read later, maybe: it is never used again.
        self.line.abandon();
        if self.mode.zero_copy {
            // The kernel takes the memory from the device some time after the socket is closed.
            self.stock.abandon();
        }
    }
}

impl Bound {
    /// Registers the pool's region, makes the rings, binds, and gives the kernel frames; then the socket is shown to the
    /// program.
    pub(super) fn new(
        socket: Socket,
        attachment: Arc<Attachment>,
        place: u32,
        settings: &Settings,
        mtu: u16,
        pool: &FramePool,
    ) -> Result<Bound, OpenError> {
        let system = |step| move |error| refused(step, error);
        let octets = pool.region().len();
        socket
            .register(pool, CHUNK_OCTETS)
            .map_err(|error| refused_memory(octets, "register the frame pool", error))?;
        let rings = socket.rings(settings.rings).map_err(system("make the rings"))?;
        let mode = attachment.bind(&socket, place, settings)?;
        let longest = usize::from(mtu) + ETHERNET_OCTETS;
        if !mode.multi_buffer && longest > Layout::RECEIVE_OCTETS {
            return Err(OpenError::MtuTooLarge { most: Layout::RECEIVE_OCTETS - ETHERNET_OCTETS });
        }
        // Both only help: neither is in every kernel, or allowed to everyone.
        let budget = socket
            .set_transmit_budget(settings.rings.transmit)
            .map_or(LEAST_BUDGET, |()| settings.rings.transmit);
        let room = settings.rings.transmit.saturating_mul(SEND_ROOM_OCTETS);
        let _ = socket.set_send_room(i32::try_from(room).unwrap_or(i32::MAX));
        if settings.busy_poll_us > 0 {
            socket
                .set_busy_poll(settings.busy_poll_us, BUSY_POLL_PACKETS)
                .map_err(system("turn busy polling on"))?;
        }
        // Most of the pool is for data that waits.
        let quarter = octets / 4 / FramePool::frame_octets(Class::Full);
        let mut bound = Bound {
            fill: Producer::new::<u64>(rings.fill),
            receive: Consumer::new::<Descriptor>(rings.receive),
            transmit: Producer::new::<Descriptor>(rings.transmit),
            completion: Consumer::new::<u64>(rings.completion),
            socket,
            stock: Stock::new(pool),
            line: Line::new(settings.rings.transmit),
            pool: pool.clone(),
            attachment,
            place,
            mode,
            layout: Layout::new(mode.zero_copy, mode.multi_buffer),
            sizes: settings.rings,
            stock_target: settings.rings.receive.min(u32::try_from(quarter).unwrap_or(u32::MAX)),
            vouch: settings.vouch,
            busy_poll: settings.busy_poll_us > 0,
            budget,
            deferring: false,
            partial: Chain::new(),
            skipping: false,
        };
        bound.stock_up();
        bound.attachment.set(place, &bound.socket, mode)?;
        Ok(bound)
    }

    /// Gives the kernel its first frames.
    fn stock_up(&mut self) {
        let mut unfit = Vec::new();
        while self.stock.count() < self.stock_target
            && let Some(frame) = Layout::any(&self.pool)
        {
            if !self.layout.is_fit(&frame) {
                unfit.push(frame);
            } else if !self.offer(frame) {
                break;
            }
        }
        self.fill.publish();
    }

    /// Gives the kernel one more frame to write to. False: there is none.
    pub(super) fn add_frame(&mut self) -> bool {
        match self.layout.fresh(&self.pool) {
            Some(frame) => self.offer(frame),
            None => false,
        }
    }

    /// Gives the kernel this frame to write to.
    pub(super) fn offer(&mut self, frame: Frame) -> bool {
        // The ring has a place for each frame of the stock.
        if !self.fill.has_room(1) {
            return false;
        }
        let Some(address) = self.stock.put(frame) else { return false };
        self.fill.push(address);
        true
    }

    /// Takes home the frames the kernel has sent.
    pub(super) fn complete(&mut self, stats: &mut XdpStats) {
        let mut any = false;
        while let Some(address) = self.completion.pop() {
            any = true;
            stats.strange += u64::from(!self.line.complete(address));
        }
        if any {
            self.completion.release();
        }
    }
}
