//! What may be said about ECN, and when data may be ECN-capable.
//!
//! Owns: what each end said in SYN and SYN-ACK, the option's counters as sent.
//! Must not know: what arrived: a box on the path may have changed it.
//! Checks: 3168-1, 3168-2, 3168-8, FL-7, 9768-1 to -3 (the codes), 9768-7 (the option), RFC 9768
//! §3.1.5 (what a server that said "none" may not do, what one handshake may not mix).

use super::{End, Key, Oracle};
use crate::view::View;
use usertcp_base::{Ecn, Instant};
use usertcp_tcp::EcnLevel;
use usertcp_wire::tcp::{AccurateEcnOrder, Flags};

/// What an end said of ECN.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    /// The most its SYN asked for, and its SYN-ACK agreed to.
    asked: EcnLevel,
    agreed: EcnLevel,
    /// A SYN or SYN-ACK of its had none.
    plain: bool,
    /// e0b, ceb and e1b as its option told them last.
    told: [u32; 3],
}

impl Default for Said {
    fn default() -> Said {
        let none = EcnLevel::Nothing;
        Said { asked: none, agreed: none, plain: false, told: [1, 0, 1] }
    }
}

fn code(flags: Flags) -> u8 {
    let bit = |flag| u8::from(flags.contains(flag));
    bit(Flags::AE) << 2 | bit(Flags::CWR) << 1 | bit(Flags::ECE)
}

/// What a client and a server settled on. Whether the client heard it is not known.
fn settled(client: &Said, server: &Said) -> EcnLevel {
    match (client.asked, server.agreed) {
        (EcnLevel::Accurate, EcnLevel::Accurate) => EcnLevel::Accurate,
        (EcnLevel::Nothing, _) | (_, EcnLevel::Nothing) => EcnLevel::Nothing,
        _ => EcnLevel::Classic,
    }
}

impl Oracle {
    /// A SYN or SYN-ACK. What its sender has said with it.
    pub(super) fn judge_setup(
        &mut self,
        now: Instant,
        view: &View,
        key: Key,
        before: Said,
    ) -> Said {
        let mut said = before;
        let peer = self.ends.get(&(key.1, key.0)).map(|peer| peer.ecn).unwrap_or_default();
        let flags = code(view.header.flags);
        said.plain |= flags == 0;
        if view.has(Flags::ACK) {
            let (level, asked) = match flags {
                0b000 => (EcnLevel::Nothing, true),
                0b001 => (EcnLevel::Classic, peer.asked != EcnLevel::Nothing),
                0b010 | 0b011 | 0b100 | 0b110 => {
                    (EcnLevel::Accurate, peer.asked == EcnLevel::Accurate)
                }
                _ => (EcnLevel::Nothing, false),
            };
            if !asked {
                self.fault(now, view, "ECN agreed to and not asked for, or flags of no answer");
            }
            if said.agreed != EcnLevel::Nothing
                && level != EcnLevel::Nothing
                && said.agreed != level
            {
                self.fault(now, view, "classic and accurate ECN agreed to in one handshake");
            }
            said.agreed = said.agreed.max(level);
        } else {
            let level = match flags {
                0b000 => EcnLevel::Nothing,
                0b011 => EcnLevel::Classic,
                0b111 => EcnLevel::Accurate,
                _ => {
                    self.fault(now, view, "ECN flags of no setup");
                    EcnLevel::Nothing
                }
            };
            if said.asked != EcnLevel::Nothing && level > said.asked {
                self.fault(now, view, "classic and accurate ECN asked for in one handshake");
            }
            said.asked = said.asked.max(level);
        }
        let accurate = view.has(Flags::ACK) && said.agreed == EcnLevel::Accurate && flags != 0;
        if view.options.accurate_ecn.is_some() && !accurate {
            self.fault(now, view, "an accurate ECN option on a SYN, or not agreed");
        }
        said
    }

    pub(super) fn judge_ecn(&mut self, now: Instant, view: &View, mine: &mut End, peer: &End) {
        let level = settled(&mine.ecn, &peer.ecn).max(settled(&peer.ecn, &mine.ecn));
        let server = mine.ecn.agreed != EcnLevel::Nothing;
        let new = view.payload_octets > 0 && view.header.seq.at_or_after(mine.sent);
        let flags = view.header.flags;
        match level {
            EcnLevel::Nothing if code(flags) != 0 => {
                self.fault(now, view, "AE, ECE or CWR not agreed");
            }
            EcnLevel::Classic if flags.contains(Flags::AE) => {
                self.fault(now, view, "AE with classic ECN");
            }
            EcnLevel::Classic if view.has(Flags::CWR) && !(new && view.ecn == Ecn::Capable0) => {
                self.fault(now, view, "CWR on something else than new data");
            }
            _ => {}
        }
        // A client that went on without asking may still send capable data, once its server is
        // known to count.
        let silent = mine.ecn.plain && (server || level == EcnLevel::Classic);
        match view.ecn {
            Ecn::NotCapable => {}
            Ecn::Capable0 if !new => self.fault(now, view, "an ECN-capable retransmission"),
            Ecn::Capable0 if level != EcnLevel::Nothing && !silent => {}
            Ecn::Capable0 => self.fault(now, view, "ECN-capable and not agreed"),
            _ => self.fault(now, view, "ECT(1) or CE from a sender"),
        }
        self.judge_option(now, view, level, mine);
    }

    /// Counters never go back, and nobody here sends ECT(1).
    fn judge_option(&mut self, now: Instant, view: &View, level: EcnLevel, mine: &mut End) {
        let Some(option) = view.options.accurate_ecn else { return };
        if level != EcnLevel::Accurate {
            self.fault(now, view, "an accurate ECN option, not agreed");
        }
        let order = match option.order {
            AccurateEcnOrder::Capable0First => [0, 1, 2],
            AccurateEcnOrder::Capable1First => [2, 1, 0],
        };
        for (field, counter) in order.into_iter().zip(option.counters).take(option.count.into()) {
            let step = counter.wrapping_sub(mine.ecn.told[field]) & 0xFF_FFFF;
            if step >= 1 << 23 {
                self.fault(now, view, "a counter of accurate ECN goes back");
            }
            mine.ecn.told[field] = counter;
        }
        if mine.ecn.told[2] != 1 {
            self.fault(now, view, "ECT(1) reported");
        }
    }
}
