//! What a connection costs the others while its peer does not read.
//! Owns: the facts that a policy of the stack goes by, and ending a connection for one.
//! Must not know: the policy, other connections.
//! Implements: RFC 6429 §4 (6429-1, 6429-2), AT-9, AT-10.

use crate::effects::Effects;
use crate::env::Env;
use crate::tcb::Tcb;
use usertcp_base::{CloseReason, Instant, Observer, Seq};
use usertcp_cc::CongestionController;
use usertcp_frame::Chain;

impl<C: CongestionController> Tcb<C> {
    /// Since when the peer's window has been closed over data that is held for it.
    pub fn zero_window_since(&self) -> Option<Instant> {
        self.persist.closed_since().filter(|_| !self.queue.is_empty())
    }

    /// SND.UNA, and the sequence number behind everything written, while the peer has not
    /// acknowledged all of it.
    pub fn undelivered(&self) -> Option<(Seq, Seq)> {
        (!self.queue.is_empty()).then(|| (self.snd.una, self.fin_seq()))
    }

    /// The stack needs what this connection holds: the peer is reset, and what waits for it is given
    /// up at once, even if the application keeps its handle.
    pub fn end_for_limit<O: Observer>(&mut self, env: &mut Env<'_, O>) -> Effects {
        let effects = self.abandon(env, CloseReason::Limit);
        self.queue = Chain::default();
        effects
    }
}
