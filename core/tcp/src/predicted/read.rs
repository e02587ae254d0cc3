//! The application reads what an expected segment brought.
//! Implements: what `crate::app` does with a read, where the connection is plain and nothing follows.

use crate::halves::StateName;
use crate::recv::advertise::Holding;
use crate::tcb::Tcb;
use usertcp_base::Instant;
use usertcp_cc::CongestionController;
use usertcp_frame::{FramePool, FrameSlice};

impl<C: CongestionController> Tcb<C> {
    /// Copies received octets out: all of them, if they lie in one piece and fit `into`, and neither the
    /// buffer is to be measured nor a window to be announced. None at all: it is the end of what the peer sends.
    /// `None`: nothing has changed; it is for [`Tcb::read`].
    #[inline(always)] // in one place
    pub fn read_short(&mut self, now: Instant, pool: &FramePool, into: &mut [u8]) -> Option<usize> {
        match self.is_predicted() {
            true => self.read_plain(now, pool, into),
            false => self.read_after_fin(now, pool, into),
        }
    }

    #[inline(always)] // as above
    fn read_plain(&mut self, now: Instant, pool: &FramePool, into: &mut [u8]) -> Option<usize> {
        if !self.leaves_buffer(now, pool) || !self.is_update_far() {
            return None;
        }
        let count = self.receiver.read_whole(into)?;
        self.autotune.note_copied(count as u32);
        Some(count)
    }

    /// The same where a window may have to be announced: how many octets, and whether it has. All that is received is
    /// read then, and nothing can be told but that.
    #[inline(always)] // in one place
    pub fn read_opening(
        &mut self,
        now: Instant,
        pool: &FramePool,
        into: &mut [u8],
    ) -> Option<(usize, bool)> {
        if !self.is_predicted() || !self.leaves_buffer(now, pool) {
            return None;
        }
        let count = self.receiver.read_whole(into)?;
        self.autotune.note_copied(count as u32);
        Some((count, self.opens_window()))
    }

    /// The same without a copy, as it lies in its frame.
    #[inline(always)] // in one place
    pub fn take_message(&mut self, now: Instant, pool: &FramePool) -> Option<(FrameSlice, bool)> {
        if !self.is_predicted() || !self.leaves_buffer(now, pool) {
            return None;
        }
        let message = self.receiver.take_whole()?;
        self.autotune.note_copied(message.len() as u32);
        Some((message, !self.is_update_very_far() && self.opens_window()))
    }

    /// Whether the buffer is not to be measured when something is read.
    #[inline(always)] // for each message
    fn leaves_buffer(&self, now: Instant, pool: &FramePool) -> bool {
        !self.autotune.is_round_over(now) && !pool.is_tight()
    }

    /// Whether no window is to be announced when all is read, as is known with few looks.
    #[inline(always)] // as above
    fn is_update_far(&self) -> bool {
        let (nxt, buffer) = (self.receiver.nxt(), self.autotune.buffer());
        self.advertise.is_update_far(nxt, buffer, self.receive_mss())
    }

    /// The same with fewer looks, and a little less often.
    #[inline(always)] // as above
    fn is_update_very_far(&self) -> bool {
        let (nxt, buffer) = (self.receiver.nxt(), self.autotune.buffer());
        self.advertise.is_update_very_far(nxt, buffer, self.receive_mss())
    }

    /// All was read: whether a window is to be announced, which is seen to.
    #[inline(never)] // when no window is announced that is seen without it, mostly
    fn opens_window(&mut self) -> bool {
        let (nxt, mss) = (self.receiver.nxt(), self.receive_mss());
        let holding = Holding { buffer: self.autotune.buffer(), ..Holding::default() };
        debug_assert_eq!(holding, self.holding(), "it is plain");
        let opens = self.advertise.update_due(nxt, &holding, mss);
        if opens {
            self.acks.demand();
        }
        opens
    }

    /// As [`Tcb::read_short`] when the peer has closed its side and we have not: there is no window to be announced any
    /// more.
    #[inline(never)]
    fn read_after_fin(&mut self, now: Instant, pool: &FramePool, into: &mut [u8]) -> Option<usize> {
        if !self.leaves_buffer_after_fin(now, pool) || into.is_empty() {
            return None;
        }
        if self.receiver.queued() == 0 {
            return Some(0);
        }
        let count = self.receiver.read_whole(into)?;
        self.autotune.note_copied(count as u32);
        Some(count)
    }

    /// The same without a copy: what is received before the end.
    #[inline(never)]
    pub fn take_last_message(&mut self, now: Instant, pool: &FramePool) -> Option<FrameSlice> {
        if !self.leaves_buffer_after_fin(now, pool) {
            return None;
        }
        let message = self.receiver.take_whole()?;
        self.autotune.note_copied(message.len() as u32);
        Some(message)
    }

    /// Whether the peer has closed its side and we have not, and the buffer is not to be measured.
    #[inline]
    fn leaves_buffer_after_fin(&self, now: Instant, pool: &FramePool) -> bool {
        let waits = self.is_orderly() && self.halves.state() == StateName::CloseWait;
        waits && self.leaves_buffer(now, pool)
    }
}
