//! ECN on SYN and SYN-ACK. Owns: `EcnSetup`, `EcnAgreed`.
//! Must not know: what the marks mean once agreed (`crate::ecn` does), timers.
//! Implements: RFC 3168 §6.1.1, §6.1.1.1; RFC 8311 §3.2 (AE is no nonce and is not looked at).

use crate::settings::EcnMode;
use usertcp_wire::tcp::Flags;

/// How far two ends agree on ECN.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum EcnAgreed {
    /// Not at all.
    #[default]
    Off,
    /// We took a SYN that asked for it back before the peer answered the first one: its marks are
    /// echoed, our data does not ask for any.
    EchoOnly,
    /// Both ways.
    Both,
}

/// Retransmissions of an ECN-setup SYN before one goes without: the second has none (3168-6).
const WITHDRAWN_FROM: u8 = 2;

/// What was said about ECN so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct EcnSetup {
    mode: EcnMode,
    /// A SYN of ours went out again without.
    withdrawn: bool,
    /// Every SYN and SYN-ACK of the peer was an ECN-setup one.
    peer: bool,
    /// One has arrived.
    heard: bool,
}

/// The two flags that SYNs use.
fn both() -> Flags {
    Flags::ECE | Flags::CWR
}

impl EcnSetup {
    pub(super) fn new(mode: EcnMode) -> EcnSetup {
        EcnSetup { mode, withdrawn: false, peer: false, heard: false }
    }

    /// Flags to add to our SYN.
    pub(super) fn on_syn(&self) -> Flags {
        if self.mode == EcnMode::Ask && !self.withdrawn { both() } else { Flags::NONE }
    }

    /// Flags to add to our SYN-ACK. A record that began with a SYN of ours answers only if that
    /// one asked.
    pub(super) fn on_syn_ack(&self, active: bool) -> Flags {
        if self.agreed(active) == EcnAgreed::Both { Flags::ECE } else { Flags::NONE }
    }

    /// Our SYN is about to go out for the `retries`-th time again.
    pub(super) fn on_syn_again(&mut self, retries: u8) {
        self.withdrawn |= retries >= WITHDRAWN_FROM;
    }

    /// A SYN or SYN-ACK of the peer. One that reflects both flags back is none that sets up ECN;
    /// one without ends what an earlier one offered.
    pub(super) fn learn(&mut self, flags: Flags) {
        let wanted = if flags.contains(Flags::ACK) { Flags::ECE } else { both() };
        let setup = flags.intersection(both()) == wanted;
        self.peer = setup && (self.peer || !self.heard);
        self.heard = true;
    }

    /// The result.
    pub(super) fn agreed(&self, active: bool) -> EcnAgreed {
        let ours = if active { self.mode == EcnMode::Ask } else { self.mode != EcnMode::Off };
        match ours && self.peer {
            false => EcnAgreed::Off,
            true if self.withdrawn => EcnAgreed::EchoOnly,
            true => EcnAgreed::Both,
        }
    }
}
