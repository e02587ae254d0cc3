//! The application reads what an expected segment brought.
//! Implements: what `crate::app` does with a read, where the connection is plain and nothing follows.

use crate::halves::StateName;
use crate::tcb::Tcb;
use usertcp_base::Instant;
use usertcp_cc::CongestionController;
use usertcp_frame::FramePool;

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

    /// The same where more may come from the peer: there is nothing to be read after it, not even the end.
    #[inline(always)] // as above
    pub fn read_message(
        &mut self,
        now: Instant,
        pool: &FramePool,
        into: &mut [u8],
    ) -> Option<usize> {
        if self.is_predicted() { self.read_plain(now, pool, into) } else { None }
    }

    #[inline(always)] // the two above
    fn read_plain(&mut self, now: Instant, pool: &FramePool, into: &mut [u8]) -> Option<usize> {
        let (nxt, buffer) = (self.receiver.nxt(), self.autotune.buffer());
        if self.autotune.is_round_over(now)
            || !self.advertise.is_update_far(nxt, buffer, self.receive_mss())
            || pool.is_tight()
        {
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
        if !self.is_predicted() || self.autotune.is_round_over(now) || pool.is_tight() {
            return None;
        }
        let count = self.receiver.read_whole(into)?;
        self.autotune.note_copied(count as u32);
        let (nxt, mss) = (self.receiver.nxt(), self.receive_mss());
        let opens = self.advertise.update_due(nxt, &self.holding(), mss);
        if opens {
            self.acks.demand();
        }
        Some((count, opens))
    }

    /// The same when the peer has closed its side and we have not: there is no window to be announced any more.
    #[inline(never)]
    fn read_after_fin(&mut self, now: Instant, pool: &FramePool, into: &mut [u8]) -> Option<usize> {
        let waits = self.is_orderly() && self.halves.state() == StateName::CloseWait;
        if !waits || self.autotune.is_round_over(now) || pool.is_tight() || into.is_empty() {
            return None;
        }
        if self.receiver.queued() == 0 {
            return Some(0);
        }
        let count = self.receiver.read_whole(into)?;
        self.autotune.note_copied(count as u32);
        Some(count)
    }
}
