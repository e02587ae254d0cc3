//! State that most connections never need. Owns: one box, there only while something is in it.
//! Must not know: what the parts mean.
//!
//! A field here costs a connection nothing until it is used (DESIGN §5.3).

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use usertcp_base::{Instant, Seq};

/// The parts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Parts {
    /// End of FIN-WAIT-2 for a connection nobody reads from any more.
    linger: Option<Instant>,
    /// Ends of records that the application marked, in order, the first one after SND.UNA.
    records: VecDeque<Seq>,
    /// More is to be written at once: a partial segment at the end waits for it.
    more: bool,
    /// The application reads no more, but did not let go.
    read_shut: bool,
}

/// The box.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Rare(Option<Box<Parts>>);

impl Rare {
    /// End of FIN-WAIT-2 for a connection nobody reads from any more; else [`Instant::FAR`].
    pub fn linger(&self) -> Instant {
        self.0.as_ref().and_then(|parts| parts.linger).unwrap_or(Instant::FAR)
    }
    /// FIN-WAIT-2 ends then.
    pub fn set_linger(&mut self, at: Instant) {
        self.0.get_or_insert_default().linger = Some(at);
    }
    /// A record ends in front of `end`.
    pub fn add_record(&mut self, end: Seq) {
        let records = &mut self.0.get_or_insert_default().records;
        if records.back() != Some(&end) {
            records.push_back(end);
        }
    }
    /// The first end of a record after `seq`.
    pub fn record_after(&self, seq: Seq) -> Option<Seq> {
        let parts = self.0.as_ref()?;
        parts.records.iter().copied().find(|end| end.after(seq))
    }
    /// Everything up to `una` is acknowledged.
    pub fn on_acknowledged(&mut self, una: Seq) {
        let Some(parts) = &mut self.0 else { return };
        while parts.records.front().is_some_and(|end| !end.after(una)) {
            parts.records.pop_front();
        }
        self.tidy();
    }
    /// Whether more is to be written at once.
    pub fn has_more(&self) -> bool {
        self.0.as_ref().is_some_and(|parts| parts.more)
    }
    /// Whether more is to be written at once, from now on.
    pub fn set_more(&mut self, more: bool) {
        if more {
            self.0.get_or_insert_default().more = true;
        } else if let Some(parts) = &mut self.0 {
            parts.more = false;
            self.tidy();
        }
    }
    /// Whether the application reads no more, but did not let go.
    pub fn is_read_shut(&self) -> bool {
        self.0.as_ref().is_some_and(|parts| parts.read_shut)
    }
    /// The application reads no more.
    pub fn shut_read(&mut self) {
        self.0.get_or_insert_default().read_shut = true;
    }
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
    fn tidy(&mut self) {
        if self.0.as_deref() == Some(&Parts::default()) {
            self.0 = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_box_is_there_while_something_is_in_it() {
        let mut rare = Rare::default();
        assert_eq!(size_of::<Rare>(), 8);
        rare.add_record(Seq(10));
        rare.add_record(Seq(20));
        rare.add_record(Seq(20));
        assert_eq!(rare.record_after(Seq(9)), Some(Seq(10)));
        assert_eq!(rare.record_after(Seq(10)), Some(Seq(20)));
        rare.on_acknowledged(Seq(15));
        assert_eq!(rare.record_after(Seq(5)), Some(Seq(20)));
        rare.set_more(true);
        rare.on_acknowledged(Seq(20));
        assert!(rare.has_more());
        rare.set_more(false);
        assert!(rare.0.is_none());
        assert_eq!(rare.linger(), Instant::FAR);
    }
}
