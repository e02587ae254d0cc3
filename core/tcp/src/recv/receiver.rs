//! What an open receive half holds.
//!
//! Owns: RCV.NXT, the in-order queue, the out-of-order store, the SACK report, the urgent mark, and
//! the account of all they occupy.
//! Must not know: how large the buffer should be, when to acknowledge, states, headers.
//! Implements: RFC 9293 §3.10.7.4 sixth to eighth step (E-12, E-21, E-24, SHLD-31).

use super::advertise::{CHARGE_PER_OCTET, Holding};
use super::compact::{Compactor, append_counted};
use super::reassembly::{Filed, Quota, Reassembly};
use super::sack::{SackBlocks, SackReport};
use super::urgent::{Urgent, UrgentOutcome};
use super::window_check::{Extent, Trim, Window, trim};
use alloc::boxed::Box;
use usertcp_base::{DropReason, Seq};
use usertcp_frame::{Chain, FramePool, FrameSlice};

/// What bounds the intake of data.
pub struct Intake<'a> {
    /// The largest right edge ever offered (`Advertise::edge`).
    pub edge: Seq,
    /// The buffer (`Autotune::buffer`); twice that in real octets may be held.
    pub buffer: u32,
    /// `Limits.reassembly_ranges`.
    pub ranges: u32,
    /// The pool; its shortage and this connection's start compaction.
    pub pool: &'a FramePool,
    /// `Counters.octets_copied`.
    pub copied: &'a mut u64,
}

impl Intake<'_> {
    fn most_charge(&self) -> u32 {
        self.buffer.saturating_mul(CHARGE_PER_OCTET)
    }
}

/// What became of a segment's data and FIN.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DataOutcome {
    /// RCV.NXT moved.
    Delivered {
        /// Octets the application can read in addition, those that had waited included.
        octets: u32,
        /// The FIN is reached: nothing more will come.
        fin_reached: bool,
        /// Something had been waiting for a gap: all or part of it was filled.
        filled_gap: bool,
    },
    /// Held until what comes before it arrives.
    OutOfOrder,
    /// Nothing that we did not have.
    Duplicate,
    /// Not taken.
    Refused(DropReason),
}

/// The receive half of a connection while it is open. In the order in which it lies in memory: what data in order
/// needs comes last, beside what else of the TCB a segment looks at.
#[derive(Debug)]
#[repr(C)]
pub struct Receiver {
    finished: bool,
    /// What to report, while there is something.
    sack: Option<Box<SackReport>>,
    held: Reassembly,
    urgent: Urgent,
    queue: Chain,
    /// Real octets of `queue`.
    queue_charge: u32,
    nxt: Seq,
}

impl Receiver {
    /// Where what data in order needs begins.
    #[cfg(test)]
    pub(crate) const LOOKED_AT: usize = core::mem::offset_of!(Receiver, queue);
}

impl Receiver {
    /// Nothing received; `nxt` is IRS + 1, or RCV.NXT of a parked connection.
    pub const fn new(nxt: Seq) -> Receiver {
        Receiver {
            queue: Chain::new(),
            held: Reassembly::new(),
            sack: None,
            nxt,
            queue_charge: 0,
            urgent: Urgent::new(),
            finished: false,
        }
    }

    /// Becomes that of a new connection, where it is: of one that is new, or was left.
    #[inline]
    pub(crate) fn begin(&mut self, beginning: Seq) {
        let Receiver { queue, nxt, queue_charge, urgent, held, sack, finished } = self;
        let was_left =
            queue.is_empty() && held.is_empty() && held.fin().is_none() && sack.is_none();
        debug_assert!(was_left, "it was not left");
        *nxt = beginning;
        *queue_charge = 0;
        *urgent = Urgent::new();
        *finished = false;
    }

    /// While quiet: what means nothing any more gets one form.
    pub(crate) fn forget(&mut self) {
        let nxt = self.nxt;
        if self.has_no_report() && self.held.fin().is_none() {
            self.begin(nxt);
        } else {
            *self = Receiver::new(nxt);
        }
    }

    /// The numbers of a connection whose RCV.NXT is `by` larger; nothing is held.
    pub(crate) fn shift(&mut self, by: u32) {
        debug_assert!(self.is_quiet(), "what is held has numbers too");
        self.nxt += by;
    }

    /// Of a connection that ended: gives back what is on the heap of what came in order, its end too.
    #[inline]
    pub(crate) fn leave_queue(&mut self) {
        if !self.queue.is_empty() {
            self.queue.clear();
        }
        self.held.forget_fin();
    }

    /// The same of what was not in order.
    pub(crate) fn leave(&mut self) {
        self.held.leave();
        self.sack = None;
    }

    /// RCV.NXT.
    pub const fn nxt(&self) -> Seq {
        self.nxt
    }
    /// Octets that can be read.
    pub fn queued(&self) -> u32 {
        self.queue.len() as u32
    }
    /// The out-of-order store.
    pub const fn held(&self) -> &Reassembly {
        &self.held
    }
    /// Real octets that everything here occupies.
    pub fn charge(&self) -> u32 {
        self.queue_charge.saturating_add(self.held.charge())
    }
    /// Whether the FIN was reached; what is queued can still be read.
    pub const fn is_finished(&self) -> bool {
        self.finished
    }
    /// Whether nothing is held at all, as parking demands.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.held.is_empty() && self.held.fin().is_none()
    }
    /// Whether it holds nothing out of order and has nothing to report: what comes next is only
    /// appended.
    pub(crate) fn is_plain(&self) -> bool {
        !self.finished
            && self.held.is_empty()
            && self.held.fin().is_none()
            && self.sack.is_none()
            && !self.urgent.is_active()
    }
    /// Whether it holds nothing out of order and has nothing to report, the end of the stream being known or
    /// not: what comes next is only appended.
    pub(crate) fn is_in_order(&self) -> bool {
        self.held.is_empty()
            && (self.finished || self.held.fin().is_none())
            && self.sack.is_none()
            && !self.urgent.is_active()
    }
    /// Takes the FIN, which is next in order, while [`Receiver::is_in_order`] and it was not known.
    pub(crate) fn take_fin(&mut self) {
        let noted = self.held.note_fin(self.nxt);
        debug_assert!(noted, "nothing is held");
        self.nxt += 1;
        self.finished = true;
    }
    /// Whether nothing is held, owed or announced: all there is to know is RCV.NXT.
    pub(crate) fn is_quiet(&self) -> bool {
        self.queue.is_empty() && self.is_plain()
    }
    /// Whether an acknowledgement has no blocks to tell of.
    pub(crate) fn has_no_report(&self) -> bool {
        self.held.is_empty() && self.sack.is_none()
    }
    /// Whether `charge` real octets fit without anything being moved, the buffer being so large.
    #[inline]
    pub(crate) fn has_room(&self, charge: u32, buffer: u32) -> bool {
        let most = u64::from(buffer) * u64::from(CHARGE_PER_OCTET);
        u64::from(self.queue_charge) + u64::from(charge) <= most
    }
    /// Appends what [`Receiver::has_room`] for, while [`Receiver::is_plain`]: the next in order, `octets` in
    /// `charge` real ones, behind `header_octets` others of `packet`.
    #[inline(always)]
    pub(crate) fn take_next(
        &mut self,
        packet: &mut Chain,
        header_octets: usize,
        octets: u32,
        charge: u32,
    ) {
        self.nxt += octets;
        if self.queue.is_empty() {
            core::mem::swap(&mut self.queue, packet);
            if header_octets > 0 {
                self.queue.advance(header_octets);
            }
            self.queue_charge = charge;
        } else {
            packet.advance(header_octets);
            self.take_behind(packet, charge);
        }
    }
    /// Whether nothing waits to be read.
    #[inline]
    pub(crate) fn has_read_all(&self) -> bool {
        self.queue.is_empty()
    }
    /// Takes the next octets, so many, in `charge` real ones, which are all that the only slice of `packet` has behind
    /// `header_octets`, while [`Receiver::is_plain`] and [`Receiver::has_read_all`]. False, and nothing has changed: there
    /// are none.
    #[inline(always)] // as a few words of memory
    #[must_use]
    pub(crate) fn take_only(
        &mut self,
        packet: &mut Chain,
        header_octets: usize,
        octets: u32,
        charge: u32,
    ) -> bool {
        let taken = self.queue.begin_behind(packet, header_octets);
        if taken {
            self.nxt += octets;
            self.queue_charge = charge;
        }
        taken
    }
    #[inline(never)]
    fn take_behind(&mut self, chain: &mut Chain, charge: u32) {
        let chain = core::mem::take(chain);
        let added = match (self.queue.back(), chain.front()) {
            (Some(last), Some(front)) if last.shares_frame(front) => {
                charge.saturating_sub(front.charge())
            }
            _ => charge,
        };
        self.queue_charge = self.queue_charge.saturating_add(added);
        self.queue.append(chain);
    }
    /// The account that `Advertise` needs.
    pub fn holding(&self, buffer: u32) -> Holding {
        let (queued, held, charge) = (self.queued(), self.held.octets(), self.charge());
        Holding { buffer, queued, held, charge }
    }
    /// The highest right edge the peer was told of by SACK, for `reset::decide`.
    pub fn highest_held(&self) -> Option<Seq> {
        self.held.highest()
    }

    /// Takes the payload and FIN of a segment that passed the window check. It is trimmed to the
    /// window here; `chain` is the payload alone, whose first octet has the number `seq`.
    pub fn on_data(
        &mut self,
        seq: Seq,
        mut chain: Chain,
        fin: bool,
        intake: &mut Intake<'_>,
    ) -> DataOutcome {
        let extent = Extent { seq, octets: chain.len() as u32, syn: false, fin };
        let kept = trim(&extent, &Window { nxt: self.nxt, edge: intake.edge });
        if kept.front > 0 {
            self.report().on_duplicate(seq, seq + kept.front);
        }
        if self.finished {
            let beyond = extent.end().after(self.nxt);
            return if beyond { refused(DropReason::DataAfterFin) } else { DataOutcome::Duplicate };
        }
        chain.advance(kept.front as usize);
        chain.truncate(kept.octets as usize);
        if chain.is_empty() && !kept.fin {
            let beyond = kept.back > 0 || (fin && extent.end().after(self.nxt));
            return if beyond { refused(DropReason::BeyondWindow) } else { DataOutcome::Duplicate };
        }
        if let Some(end) = self.held.fin() {
            chain.truncate(end.since(kept.seq) as usize);
            if kept.octets > 0 && chain.is_empty() {
                return refused(DropReason::DataAfterFin);
            }
        }
        if kept.seq == self.nxt {
            self.on_next(chain, &kept, intake)
        } else {
            self.on_ahead(chain, &kept, intake)
        }
    }

    /// Data at RCV.NXT.
    fn on_next(&mut self, mut chain: Chain, kept: &Trim, intake: &mut Intake<'_>) -> DataOutcome {
        let (start, filled_gap) = (self.nxt, !self.held.is_empty());
        if !self.make_room(&mut chain, intake) {
            return refused(DropReason::ReceiveMemory);
        }
        let fin_taken = kept.fin && self.held.note_fin(kept.seq + kept.octets);
        if chain.is_empty() && !fin_taken {
            return refused(DropReason::DataAfterFin);
        }
        let end = self.nxt + chain.len() as u32;
        // Where it reaches into what is held it wins: a segment in one piece costs less than one
        // cut around what was there.
        let overlapped = self.held.ranges().next().filter(|held| held.0.before(end));
        if let Some((left, right)) = overlapped {
            self.report().on_duplicate(left, right.earliest(end));
        }
        self.nxt = end;
        self.append(chain, intake.pool.is_tight(), intake);
        while let Some(ready) = self.held.take_ready(self.nxt) {
            self.nxt += ready.len() as u32;
            self.append(ready, false, intake);
        }
        let octets = self.nxt.since(start);
        if self.held.fin() == Some(self.nxt) {
            self.urgent.on_end(self.nxt);
            self.nxt += 1;
            self.finished = true;
        }
        DataOutcome::Delivered { octets, fin_reached: self.finished, filled_gap }
    }

    /// Data ahead of a gap.
    fn on_ahead(&mut self, chain: Chain, kept: &Trim, intake: &mut Intake<'_>) -> DataOutcome {
        let most = intake.most_charge().saturating_sub(self.queue_charge);
        let quota = Quota { ranges: intake.ranges, charge: most };
        let over = self.held.charge().saturating_add(chain.charge()) > most;
        let fin_at = kept.seq + kept.octets;
        if chain.is_empty() {
            return if self.held.note_fin(fin_at) {
                DataOutcome::OutOfOrder
            } else {
                refused(DropReason::DataAfterFin)
            };
        }
        let (right, tight) = (kept.seq + chain.len() as u32, over || intake.pool.is_tight());
        let mut compactor = if over {
            Compactor::thorough(intake.pool, intake.copied)
        } else {
            Compactor::tight(intake.pool, intake.copied)
        };
        let filed = self.held.insert(kept.seq, chain, &quota, tight.then_some(&mut compactor));
        let outcome = match filed {
            Filed::Full(reason) => return refused(reason),
            Filed::Known => {
                self.report().on_duplicate(kept.seq, right);
                DataOutcome::Duplicate
            }
            Filed::Held { duplicate, .. } => {
                if let Some((left, right)) = duplicate {
                    self.report().on_duplicate(left, right);
                }
                DataOutcome::OutOfOrder
            }
        };
        self.sack.get_or_insert_default().on_held(kept.seq, &self.held);
        if kept.fin && self.held.note_fin(fin_at) {
            return DataOutcome::OutOfOrder;
        }
        outcome
    }

    /// Makes room for `chain`, which is next in order. What is wasted is copied together; then
    /// what waits out of order goes, as the peer still has it. False when the reader has left too
    /// much unread. An empty queue takes anything, or nothing would ever move.
    fn make_room(&mut self, chain: &mut Chain, intake: &mut Intake<'_>) -> bool {
        let most = intake.most_charge();
        if self.charge().saturating_add(chain.charge()) <= most {
            return true;
        }
        let mut compactor = Compactor::thorough(intake.pool, intake.copied);
        if compactor.finds_wasteful(self.queue.len(), self.queue_charge) {
            self.queue = compactor.compacted(core::mem::take(&mut self.queue));
            self.queue_charge = self.queue.charge();
        }
        *chain = compactor.compacted(core::mem::take(chain));
        let needed = self.queue_charge.saturating_add(chain.charge());
        self.held.shed(most.saturating_sub(needed));
        needed <= most || self.queue.is_empty()
    }

    fn append(&mut self, chain: Chain, compact: bool, intake: &mut Intake<'_>) {
        let added = if compact {
            Compactor::tight(intake.pool, intake.copied).append(&mut self.queue, chain)
        } else {
            append_counted(&mut self.queue, chain)
        };
        self.queue_charge = self.queue_charge.saturating_add(added);
    }

    /// Copies out what is next, and forgets it.
    #[inline]
    pub fn read(&mut self, out: &mut [u8]) -> usize {
        let copied = match self.read_whole(out) {
            Some(copied) => copied,
            None => {
                self.queue_charge = match out.len() < self.queue.len() {
                    true => self.queue_charge.saturating_sub(self.queue.charge_of_first(out.len())),
                    false => 0,
                };
                self.queue.take_to(out)
            }
        };
        self.urgent.on_read(self.read_at());
        copied
    }

    /// The same where nothing is urgent, if all there is lies in one piece and fits `out`.
    #[inline]
    pub(crate) fn read_whole(&mut self, out: &mut [u8]) -> Option<usize> {
        let copied = self.queue.take_only_to(out)?;
        self.queue_charge = 0;
        Some(copied)
    }

    /// Takes all there is, if it lies in one piece, without a copy, where nothing is urgent.
    #[inline(always)] // for each message
    pub(crate) fn take_whole(&mut self) -> Option<FrameSlice> {
        let whole = self.queue.take_only()?;
        self.queue_charge = 0;
        Some(whole)
    }

    /// Takes the next slice, without a copy.
    pub fn read_slice(&mut self) -> Option<FrameSlice> {
        let slice = self.pop();
        self.urgent.on_read(self.read_at());
        slice
    }

    /// Copies out what is next from `offset` on, and keeps it.
    pub fn peek(&self, offset: usize, out: &mut [u8]) -> usize {
        self.queue.copy_to(offset, out)
    }

    /// The slices that can be read, to look at.
    pub fn slices(&self) -> impl Iterator<Item = &FrameSlice> + '_ {
        self.queue.slices()
    }

    /// A segment at `seq` has URG set. Counts whatever the window is (MUST-66).
    pub fn on_urgent(&mut self, seq: Seq, pointer: u16) -> UrgentOutcome {
        if self.finished {
            return UrgentOutcome::Unchanged;
        }
        self.urgent.on_pointer(seq, pointer, self.read_at())
    }

    /// Urgent octets that were not read yet, arrived or not (MUST-33).
    pub fn urgent_octets(&self) -> u32 {
        self.urgent.pending(self.read_at())
    }

    /// The blocks for an acknowledgement that leaves now, at most `room`.
    pub fn take_sack_blocks(&mut self, room: usize) -> SackBlocks {
        let Some(report) = &mut self.sack else { return SackBlocks::new() };
        let blocks = report.take_blocks(&self.held, room);
        if self.held.is_empty() && !report.owes_duplicate() {
            self.sack = None;
        }
        blocks
    }

    /// A segment was refused as old by the window check: what of it lies below RCV.NXT is a
    /// duplicate to report (2883-1).
    pub fn on_old(&mut self, seq: Seq, octets: u32) {
        let octets = octets.min(self.nxt.since(seq));
        if octets > 0 {
            self.report().on_duplicate(seq, seq + octets);
        }
    }

    fn report(&mut self) -> &mut SackReport {
        self.sack.get_or_insert_default()
    }

    /// Gives up everything that waits out of order. Returns the octets given up.
    pub fn renege(&mut self) -> u32 {
        self.held.clear()
    }

    /// The first octet that the application has not taken.
    fn read_at(&self) -> Seq {
        self.nxt - u32::from(self.finished) - self.queued()
    }

    fn pop(&mut self) -> Option<FrameSlice> {
        let slice = self.queue.pop_front()?;
        if !self.queue.front().is_some_and(|next| next.shares_frame(&slice)) {
            self.queue_charge = self.queue_charge.saturating_sub(slice.charge());
        }
        Some(slice)
    }
}

const fn refused(reason: DropReason) -> DataOutcome {
    DataOutcome::Refused(reason)
}
