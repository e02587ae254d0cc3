//! A connection whose handshake is not complete, or that wrote before it was (RFC 7413).
//!
//! Owns: what a TCB does in place of the handshake's end: data taken with the peer's SYN, data of
//! ours that the peer's SYN-ACK left over, and what is learnt when the SYN-ACK is acknowledged.
//! Must not know: cookies, listeners, who keeps the handshake record meanwhile.
//! Implements: RFC 7413 §4.2.2; RFC 6298 §5.7; RFC 3168 §6.1.1 (ECN taken back).

use crate::effects::Effects;
use crate::env::Env;
use crate::open::Opening;
use crate::tcb::Tcb;
use usertcp_base::{Instant, Observer, Seq};
use usertcp_cc::CongestionController;
use usertcp_frame::Chain;

impl<C: CongestionController> Tcb<C> {
    /// Payload of the peer's SYN, which our SYN-ACK will acknowledge. Octets taken: all of them, or
    /// none when there is no memory.
    pub fn take_syn_data<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
        payload: Chain,
    ) -> (usize, Effects) {
        let before = self.receiver.nxt();
        let mut effects = Effects::default();
        if !payload.is_empty() {
            self.take_early(env, payload, &mut effects);
        }
        let taken = self.receiver.nxt().since(before);
        self.wants.syn_data |= taken > 0;
        (taken as usize, effects)
    }

    /// Data of ours whose sending begins now: what the peer's SYN-ACK did not acknowledge of our
    /// SYN's payload, and what had no place there.
    pub fn adopt_unsent(&mut self, octets: Chain) {
        self.queue.append(octets);
    }

    /// SND.NXT: data may have been sent before the handshake was complete.
    pub fn snd_nxt(&self) -> Seq {
        self.snd.nxt
    }

    /// What a connection waits for before its handshake is complete: the pacer alone. Nothing can
    /// be lost yet as far as anyone knows: the SYN-ACK is what is sent again.
    pub fn early_deadline(&self) -> Option<Instant> {
        (self.release != Instant::FAR).then_some(self.release)
    }

    /// Something was refused before the handshake was complete, and a challenge acknowledgement is
    /// due, within the throttle. The handshake's record cannot make it: it does not know what was
    /// announced since.
    pub fn owe_challenge<O: Observer>(&mut self, env: &mut Env<'_, O>) -> Effects {
        self.unpredict();
        self.challenge(env);
        Effects { transmit: true, ..Effects::default() }
    }

    /// The peer's SYN came again, and `opening` is what would be begun from now. One that does not ask for ECN any more
    /// takes back what the first one did: the SYN-ACK that answers it says so too, and data after that is not ECN-capable
    /// (RFC 3168 §6.1.1).
    pub fn heed_syn_again(&mut self, opening: &Opening) {
        self.unpredict();
        self.ecn.withdraw(&opening.agreed.ecn);
    }

    /// The peer acknowledged our SYN-ACK. The segment that did is to be handled next.
    pub fn complete_fast_open<O: Observer>(&mut self, env: &mut Env<'_, O>, opening: &Opening) {
        self.heed_syn_again(opening);
        self.recovery.on_handshake_completed(env.now, opening.rtt, opening.lost);
        self.established = env.now;
        self.progress = env.now;
    }
}
