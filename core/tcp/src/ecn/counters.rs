//! The counters of accurate ECN, and their option.
//!
//! Owns: octets by mark, 24-bit fields to and from counters, which form of the option fits.
//! Must not know: when an option is due, what a change means.
//! Implements: RFC 9768 §3.2.1, §3.2.3, §3.2.3.1, §3.2.3.3 (necessary length), A.1.

use usertcp_base::Ecn;
use usertcp_wire::tcp::{AccurateEcn, AccurateEcnOrder};

/// Fields of the option are counters modulo this.
const FIELD: u32 = 1 << 24;

/// Payload octets by the mark they arrived with. They wrap; only differences mean something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Counters {
    /// ECT(0).
    pub capable0: u32,
    /// CE.
    pub marked: u32,
    /// ECT(1).
    pub capable1: u32,
}

impl Counters {
    /// None of the two of capable marks begins at zero, so that zeroing shows.
    pub const INITIAL: Counters = Counters { capable0: 1, marked: 0, capable1: 1 };

    /// Octets arrived with `mark`.
    pub fn add(&mut self, mark: Ecn, octets: u32) {
        let counter = match mark {
            Ecn::NotCapable => return,
            Ecn::Capable0 => &mut self.capable0,
            Ecn::Capable1 => &mut self.capable1,
            Ecn::CongestionExperienced => &mut self.marked,
        };
        *counter = counter.wrapping_add(octets);
    }

    /// What was added since `before`.
    pub fn since(&self, before: &Counters) -> Counters {
        Counters {
            capable0: self.capable0.wrapping_sub(before.capable0),
            marked: self.marked.wrapping_sub(before.marked),
            capable1: self.capable1.wrapping_sub(before.capable1),
        }
    }

    fn ordered(&self, order: AccurateEcnOrder) -> [u32; 3] {
        match order {
            AccurateEcnOrder::Capable0First => [self.capable0, self.marked, self.capable1],
            AccurateEcnOrder::Capable1First => [self.capable1, self.marked, self.capable0],
        }
    }

    /// The option with the first `count` fields.
    fn option(&self, order: AccurateEcnOrder, count: u8) -> AccurateEcn {
        let mut counters = self.ordered(order).map(|counter| counter % FIELD);
        for counter in counters.iter_mut().skip(usize::from(count)) {
            *counter = 0;
        }
        AccurateEcn { order, count, counters }
    }

    /// The longest option of at most `most` fields that has all that changed since `told`; `None`
    /// when no order of the fields does.
    pub fn to_option(self, told: &Counters, most: u8) -> Option<AccurateEcn> {
        let news = self.since(told);
        let ever = self.since(&Counters::INITIAL);
        let end = |counters: &Counters, order| {
            let fields = counters.ordered(order);
            fields.iter().rposition(|field| *field != 0).map_or(0, |last| last as u8 + 1)
        };
        let (one, zero) = (AccurateEcnOrder::Capable1First, AccurateEcnOrder::Capable0First);
        let most = most.min(3);
        // With all three the order does not matter; with fewer, what ever changed should be in it.
        let short = if end(&ever, zero) < end(&ever, one) { zero } else { one };
        let other = if short == zero { one } else { zero };
        let order = match most {
            3 => one,
            _ if end(&news, short) <= most => short,
            _ if end(&news, other) <= most => other,
            _ => return None,
        };
        Some(self.option(order, most))
    }

    /// What the peer knows of these counters once it has `option`, and knew `before` until then.
    pub fn told_by(&self, option: &AccurateEcn, before: &Counters) -> Counters {
        let has = |at: u8| option.count > at;
        let zero_first = option.order == AccurateEcnOrder::Capable0First;
        let (at0, at1) = if zero_first { (0, 2) } else { (2, 0) };
        let pick = |at: u8, now: u32, then: u32| if has(at) { now } else { then };
        Counters {
            capable0: pick(at0, self.capable0, before.capable0),
            marked: pick(1, self.marked, before.marked),
            capable1: pick(at1, self.capable1, before.capable1),
        }
    }

    /// These counters brought up to what an option says: each takes the least step that gives the
    /// field. Those that the option leaves out stay.
    pub fn follow(&self, option: &AccurateEcn) -> Counters {
        let mut next = *self;
        let Counters { capable0, marked, capable1 } = &mut next;
        let ordered = match option.order {
            AccurateEcnOrder::Capable0First => [capable0, marked, capable1],
            AccurateEcnOrder::Capable1First => [capable1, marked, capable0],
        };
        let fields = option.counters.iter().take(usize::from(option.count));
        for (counter, field) in ordered.into_iter().zip(fields) {
            let step = field.wrapping_sub(*counter) % FIELD;
            *counter = counter.wrapping_add(step);
        }
        next
    }
}

#[cfg(test)]
mod tests;
