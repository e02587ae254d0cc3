//! One AF_XDP socket: packets in and out, in frames of the shard's own pool.
//! Owns: what lies in which ring, which frames are whose, when the kernel is called.
//! Must not know: how the program was loaded, what an index in a ring is.
//!
//! The pool's region is the memory the kernel copies packets to and from (with a zero-copy
//! device, the memory it reads and writes itself). A packet received goes up in the frame it
//! arrived in, and a fresh frame takes its place with the kernel; a packet to send is named to the
//! kernel slice by slice where it lies, and its frames come home when the kernel is done. Nothing
//! is copied here but for want of frames, or of parts in one packet; both are counted.

use super::offload::checksum_state;
use super::open::{Attachment, Settings};
use super::ring::{Consumer, Descriptor, Producer};
use super::sys::{self, KernelStats, Kick, Mapping, RingSizes, Socket};
use super::umem::{CHUNK_OCTETS, Layout, Line, Stock, split_address};
use super::{refused, refused_memory};
use crate::error::OpenError;
use std::fmt;
use std::sync::Arc;
use usertcp_device::{
    BindError, ChecksumState, DeviceFacts, Offload, Packet, Queue, RxBatch, TxBatch, WaitHandle,
};
use usertcp_frame::{Chain, Class, Frame, FramePool, FrameSlice};

/// System calls in one transmission before the rest is left to the next.
const MOST_KICKS: u32 = 64;
/// Descriptors a call sends where the kernel cannot be told how many.
const LEAST_BUDGET: u32 = 16;
/// Frames added to a stock that ran short, at a time.
const TOP_UP_FRAMES: u32 = 64;
/// Room in the socket for each descriptor under way: what the kernel charges for one.
const SEND_ROOM_OCTETS: u32 = 8192;
/// Packets one busy poll takes from the device.
const BUSY_POLL_PACKETS: u32 = 64;
/// An Ethernet header: the kernel sends nothing shorter.
const ETHERNET_OCTETS: usize = 14;

/// What a queue did, since it was bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct XdpStats {
    /// Packets received.
    pub received: u64,
    /// Packets handed to the kernel.
    pub sent: u64,
    /// Calls of the kernel to send, and for nothing else: a sleep sends as well, where that was
    /// promised.
    pub kicks: u64,
    /// Of those, calls that failed: the interface was down.
    pub kicks_failed: u64,
    /// Calls of the kernel to receive: none but with zero-copy devices and busy polling.
    pub polls: u64,
    /// Octets copied by this queue, for whichever reason below.
    pub octets_copied: u64,
    /// Packets to send copied together: from another pool, or of too many parts.
    pub gathered: u64,
    /// Buffers received and copied to another frame, as the pool had none to give the kernel in
    /// exchange.
    pub detours: u64,
    /// Packets received and dropped for want of a frame.
    pub no_frame: u64,
    /// Packets dropped that could not be sent: too short, too long, or no frame to copy them to.
    pub refused: u64,
    /// Packets whose sender left the checksum unfinished, and that were vouched for.
    pub unfinished_checksums: u64,
    /// Entries of the kernel that named nothing it was given.
    pub strange: u64,
}

/// How a queue works with its interface.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct XdpMode {
    /// The program runs in the driver, not in the kernel's stack.
    pub native: bool,
    /// The device reads and writes frames itself; else the kernel copies.
    pub zero_copy: bool,
    /// Packets may lie in several frames.
    pub multi_buffer: bool,
}

impl fmt::Display for XdpMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.native { "program in the driver" } else { "generic program" })?;
        f.write_str(if self.zero_copy { ", zero-copy" } else { ", the kernel copies" })?;
        f.write_str(if self.multi_buffer { ", multi-buffer" } else { ", one buffer a packet" })
    }
}

/// A queue of an interface. Closed, and its packets left to the kernel again, when dropped.
pub struct XdpQueue {
    facts: DeviceFacts,
    settings: Settings,
    attachment: Arc<Attachment>,
    place: u32,
    state: State,
    stats: XdpStats,
}

enum State {
    Unbound(Socket),
    Bound(Box<Bound>),
    /// Binding failed.
    Useless,
}

impl XdpQueue {
    pub(super) fn new(
        socket: Socket,
        attachment: Arc<Attachment>,
        place: u32,
        facts: DeviceFacts,
        settings: Settings,
    ) -> XdpQueue {
        let (state, stats) = (State::Unbound(socket), XdpStats::default());
        XdpQueue { facts, settings, attachment, place, state, stats }
    }

    /// What the queue did.
    pub fn stats(&self) -> XdpStats {
        self.stats
    }

    /// How it works; `None` before it is bound.
    pub fn mode(&self) -> Option<XdpMode> {
        match &self.state {
            State::Bound(bound) => Some(bound.mode),
            _ => None,
        }
    }

    /// What the kernel counted for this queue: what it had to drop, above all.
    pub fn kernel_stats(&self) -> KernelStats {
        match &self.state {
            State::Bound(bound) => bound.socket.stats(),
            _ => KernelStats::default(),
        }
    }
}

impl fmt::Debug for XdpQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("XdpQueue")
            .field("place", &self.place)
            .field("mode", &self.mode())
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

/// A socket at work. Fields are dropped in this order, after [`Drop`]: rings, socket, frames.
struct Bound {
    fill: Producer<Mapping>,
    receive: Consumer<Mapping>,
    transmit: Producer<Mapping>,
    completion: Consumer<Mapping>,
    socket: Socket,
    stock: Stock,
    line: Line,
    pool: FramePool,
    attachment: Arc<Attachment>,
    place: u32,
    mode: XdpMode,
    layout: Layout,
    sizes: RingSizes,
    /// Frames the kernel should have to write to.
    stock_target: u32,
    vouch: bool,
    busy_poll: bool,
    /// Descriptors one call of the kernel sends.
    budget: u32,
    /// The caller sleeps or sends off after each transmission.
    deferring: bool,
    /// The buffers received of a packet whose last one is still to come.
    partial: Chain,
    /// The rest of the packet under way is to be dropped.
    skipping: bool,
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
    fn new(
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
    fn add_frame(&mut self) -> bool {
        match self.layout.fresh(&self.pool) {
            Some(frame) => self.offer(frame),
            None => false,
        }
    }

    /// Gives the kernel this frame to write to.
    fn offer(&mut self, frame: Frame) -> bool {
        // The ring has a place for each frame of the stock.
        if !self.fill.has_room(1) {
            return false;
        }
        let Some(address) = self.stock.put(frame) else { return false };
        self.fill.push(address);
        true
    }

    /// Takes home the frames the kernel has sent.
    fn complete(&mut self, stats: &mut XdpStats) {
        let mut any = false;
        while let Some(address) = self.completion.pop() {
            any = true;
            stats.strange += u64::from(!self.line.complete(address));
        }
        if any {
            self.completion.release();
        }
    }

    fn receive(&mut self, into: &mut RxBatch, stats: &mut XdpStats) -> usize {
        self.complete(stats);
        let before = into.len();
        let mut any = false;
        while !into.is_full()
            && let Some(descriptor) = self.receive.pop::<Descriptor>()
        {
            any = true;
            if let Some(packet) = self.arrive(descriptor, stats) {
                stats.received += 1;
                drop(into.push(packet));
            }
        }
        if any {
            self.receive.release();
        }
        let mut added = 0;
        while self.stock.count() < self.stock_target
            && added < TOP_UP_FRAMES
            && !self.pool.is_tight()
            && self.add_frame()
        {
            added += 1;
        }
        if any || added > 0 {
            self.fill.publish();
        }
        if self.fill.needs_wakeup() || (self.busy_poll && !any) {
            stats.polls += 1;
            self.socket.kick_receive();
        }
        into.len() - before
    }

    /// A buffer was filled. The packet, when it was its last one.
    fn arrive(&mut self, descriptor: Descriptor, stats: &mut XdpStats) -> Option<Packet> {
        let Descriptor { address, octets, more } = descriptor;
        let (base, offset) = split_address(address);
        let Some(frame) = self.stock.take(base) else {
            stats.strange += 1;
            return None;
        };
        if self.skipping {
            self.skipping = more;
            self.offer(frame);
            return None;
        }
        if !self.add_frame() {
            return self.arrive_scarce(frame, offset as usize, octets as usize, more, stats);
        }
        self.partial.push_back(filled(frame, offset as usize, octets as usize));
        if more {
            return None;
        }
        let octets = std::mem::take(&mut self.partial);
        Some(self.packet(octets, stats))
    }

    fn packet(&self, octets: Chain, stats: &mut XdpStats) -> Packet {
        let mut offload = Offload::default();
        if self.vouch {
            offload.checksum = checksum_state(octets.front().map_or(&[], |slice| slice));
            stats.unfinished_checksums += u64::from(offload.checksum == ChecksumState::Verified);
        }
        Packet { offload, octets }
    }

    /// A buffer was filled, and there is none to take its place: it must go back itself. Small
    /// packets must come through even then, as an acknowledgement may be what frees memory.
    #[cold]
    fn arrive_scarce(
        &mut self,
        mut frame: Frame,
        offset: usize,
        octets: usize,
        more: bool,
        stats: &mut XdpStats,
    ) -> Option<Packet> {
        let skip = uncover(&mut frame, offset, octets);
        let source = frame.bytes().get(skip..).unwrap_or_default();
        let alone = !more && self.partial.is_empty();
        let copy =
            self.pool.copy_of(source, 0).or_else(|| copy_to_reserve(&self.pool, source, alone));
        frame.truncate(0);
        self.offer(frame);
        let Some(copy) = copy else {
            stats.no_frame += 1;
            self.partial = Chain::new();
            self.skipping = more;
            return None;
        };
        stats.detours += 1;
        stats.octets_copied += octets as u64;
        self.partial.push_back(copy);
        if more {
            return None;
        }
        let octets = std::mem::take(&mut self.partial);
        Some(self.packet(octets, stats))
    }

    fn transmit(&mut self, from: &mut TxBatch, stats: &mut XdpStats) -> usize {
        self.complete(stats);
        let mut count = 0;
        while let Some(packet) = from.front() {
            let parts = self.parts_needed(packet);
            let room = parts.map_or(1, |parts| parts.max(1));
            if !self.has_room(room) {
                self.kick(stats);
                self.complete(stats);
                if !self.has_room(room) {
                    break;
                }
            }
            let Some(packet) = from.pop() else { break };
            count += 1;
            match parts {
                Some(_) => self.hand_over(packet.octets, stats),
                None => self.hand_over_copy(&packet, stats),
            }
        }
        self.transmit.publish();
        // What `poll` sends, which it does before it looks for packets, needs no call of its own.
        if !self.deferring || self.transmit.waiting() > self.budget {
            self.send_off(stats);
        }
        count
    }

    /// Sends what is in the ring. Also with nothing new: the kernel may have stopped before the end
    /// the last time.
    fn send_off(&mut self, stats: &mut XdpStats) {
        self.kick(stats);
        self.complete(stats);
    }

    /// Whether so many parts fit the ring and the line of those under way: the completion ring has
    /// room for all that are.
    fn has_room(&mut self, parts: usize) -> bool {
        self.line.len() + parts <= self.sizes.transmit as usize
            && self.transmit.has_room(parts as u32)
    }

    /// Descriptors the packet takes as it lies. `None`: it must be copied together, being of
    /// another pool or of too many parts.
    fn parts_needed(&self, packet: &Packet) -> Option<usize> {
        if !packet.octets.slices().all(|slice| slice.is_of(&self.pool)) {
            return None;
        }
        let parts = self.layout.parts_of(&packet.octets);
        (parts <= self.layout.most_parts()).then_some(parts)
    }

    /// Puts a packet into the ring, part by part.
    fn hand_over(&mut self, mut octets: Chain, stats: &mut XdpStats) {
        if octets.len() < ETHERNET_OCTETS {
            stats.refused += 1;
            return;
        }
        stats.sent += 1;
        while let Some(mut rest) = octets.pop_front() {
            loop {
                let length = self.layout.part_octets(rest.region_offset(), rest.len());
                if length == rest.len() {
                    break;
                }
                let part = rest.split_to(length);
                self.put_part(part, true);
            }
            self.put_part(rest, !octets.is_empty());
        }
    }

    fn put_part(&mut self, part: FrameSlice, more: bool) {
        let octets = part.len() as u32;
        let address = self.line.push(part);
        self.transmit.push(Descriptor { address, octets, more });
    }

    #[cold]
    fn hand_over_copy(&mut self, packet: &Packet, stats: &mut XdpStats) {
        let copy = self.layout.gather(&self.pool, packet);
        match copy {
            Some(copy) if self.has_room(self.layout.parts_of(&copy)) => {
                stats.gathered += 1;
                stats.octets_copied += copy.len() as u64;
                self.hand_over(copy, stats);
            }
            _ => stats.refused += 1,
        }
    }

    /// Shows the kernel what was put into the ring, and calls it if it must be called.
    fn kick(&mut self, stats: &mut XdpStats) {
        self.transmit.publish();
        let mut waiting = self.transmit.waiting();
        for _ in 0..MOST_KICKS {
            if waiting == 0 || !self.transmit.needs_wakeup() {
                return;
            }
            stats.kicks += 1;
            let outcome = self.socket.kick_transmit();
            let before = std::mem::replace(&mut waiting, self.transmit.waiting());
            match outcome {
                Kick::Done => return,
                Kick::Again if waiting == before => return, // the device is full
                Kick::Again => {}
                Kick::Failed => {
                    stats.kicks_failed += 1;
                    return;
                }
            }
        }
    }
}

/// Makes the octets the kernel wrote to a frame part of it. Octets in front of them.
fn uncover(frame: &mut Frame, offset: usize, octets: usize) -> usize {
    let start = frame.headroom();
    if offset < start {
        // The program may have made the packet longer in front.
        let _ = frame.push_front(start - offset);
        frame.advance_len(octets.saturating_sub(start - offset));
        return 0;
    }
    frame.advance_len(offset - start + octets);
    offset - start
}

fn filled(mut frame: Frame, offset: usize, octets: usize) -> FrameSlice {
    let skip = uncover(&mut frame, offset, octets);
    let mut slice = frame.into_slice();
    slice.advance(skip);
    slice.truncate(octets);
    slice
}

/// A copy in a frame of the reserve, of which half is left to segments we must send. Only of
/// packets that lie in one buffer.
fn copy_to_reserve(pool: &FramePool, octets: &[u8], alone: bool) -> Option<FrameSlice> {
    let stats = pool.stats();
    let half_used = stats.reserve_out * 2 >= stats.reserve;
    if !alone || octets.len() > FramePool::data_octets(Class::Small) || half_used {
        return None;
    }
    let mut frame = pool.take_control(0)?;
    frame.extend(octets);
    Some(frame.into_slice())
}

impl Queue for XdpQueue {
    fn facts(&self) -> DeviceFacts {
        self.facts
    }

    /// Registers the pool's region with the kernel, which keeps all of it in memory from then on,
    /// and gives a part of the frames to the kernel. A queue that is not bound moves no packets.
    fn bind(&mut self, pool: &FramePool) -> Result<(), BindError> {
        let socket = match std::mem::replace(&mut self.state, State::Useless) {
            State::Unbound(socket) => socket,
            other => {
                self.state = other;
                return Err(BindError::new(OpenError::BadConfig {
                    what: "the program: a queue is bound once",
                }));
            }
        };
        let attachment = self.attachment.clone();
        let bound =
            Bound::new(socket, attachment, self.place, &self.settings, self.facts.mtu, pool)
                .map_err(BindError::new)?;
        self.state = State::Bound(Box::new(bound));
        Ok(())
    }

    fn receive(&mut self, _pool: &FramePool, into: &mut RxBatch) -> usize {
        match &mut self.state {
            State::Bound(bound) => bound.receive(into, &mut self.stats),
            _ => 0,
        }
    }

    fn transmit(&mut self, from: &mut TxBatch) -> usize {
        match &mut self.state {
            State::Bound(bound) => bound.transmit(from, &mut self.stats),
            _ => 0,
        }
    }

    fn wait_handle(&self) -> Option<WaitHandle> {
        match &self.state {
            State::Bound(bound) => Some(WaitHandle(bound.socket.number())),
            State::Unbound(socket) => Some(WaitHandle(socket.number())),
            State::Useless => None,
        }
    }

    fn has_waiting(&self) -> bool {
        matches!(&self.state, State::Bound(bound) if bound.receive.has_entries())
    }

    fn defer_sends(&mut self) {
        if let State::Bound(bound) = &mut self.state {
            bound.deferring = true;
        }
    }

    fn send_off(&mut self) {
        if let State::Bound(bound) = &mut self.state {
            bound.send_off(&mut self.stats);
        }
    }
}
