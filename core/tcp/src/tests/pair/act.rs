//! What the applications of both ends do, one call at a time; and what they read is judged.

use super::Pair;
use crate::*;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;
use usertcp_base::Rate;

/// One application call, or time.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Write(bool, usize),
    Read(bool, usize),
    Shutdown(bool),
    Cork(bool, bool),
    NoDelay(bool, bool),
    /// Octets a second, and whether to write when that is due.
    Limit(bool, u64, bool),
    Flush(bool),
    Urgent(bool),
    TooBig(bool, u16),
    Pass(u64),
    /// One side asks in so many octets, and the other answers in as many, so many times.
    Talk(bool, usize, u64),
    /// So many octets, and FIN with them, if there is room.
    Last(bool, usize),
}

pub(super) fn act() -> impl Strategy<Value = Act> {
    use Act::*;
    prop_oneof![
        6 => (any::<bool>(), 1..20_000usize).prop_map(|(who, octets)| Write(who, octets)),
        6 => (any::<bool>(), 1..30_000usize).prop_map(|(who, octets)| Read(who, octets)),
        1 => any::<bool>().prop_map(Shutdown),
        1 => (any::<bool>(), 1..2000usize).prop_map(|(who, octets)| Last(who, octets)),
        1 => any::<(bool, bool)>().prop_map(|(who, on)| Cork(who, on)),
        1 => any::<(bool, bool)>().prop_map(|(who, on)| NoDelay(who, on)),
        1 => (any::<bool>(), 20_000..5_000_000u64, any::<bool>())
            .prop_map(|(who, rate, due)| Limit(who, rate, due)),
        1 => any::<bool>().prop_map(Flush),
        1 => any::<bool>().prop_map(Urgent),
        1 => (any::<bool>(), 0..1500u16).prop_map(|(who, octets)| TooBig(who, octets)),
        8 => (1..400u64).prop_map(Pass),
    ]
}

/// The octet of a stream at `index`.
fn octet(index: u64) -> u8 {
    (index % 253) as u8
}

impl Pair {
    /// Writes, and what can leave does.
    pub(super) fn write(&mut self, who: usize, octets: usize) {
        self.put(who, octets);
        self.settle(who, Effects::default(), true);
    }

    pub(super) fn shutdown(&mut self, who: usize) {
        self.ends[who].closed = true;
        let effects = self.call(who, |tcb, env| tcb.shutdown_write(env));
        self.settle(who, effects, true);
    }

    /// Writes, and nothing leaves yet.
    pub(super) fn put(&mut self, who: usize, octets: usize) {
        let from = self.ends[who].written;
        let data: Vec<u8> = (0..octets as u64).map(|i| octet(from + i)).collect();
        let taken = self.call(who, |tcb, env| tcb.write(env, &data));
        self.ends[who].written += taken as u64;
    }

    /// Reads by the shortest of the ways that takes it.
    pub(super) fn read(&mut self, who: usize, most: usize) {
        let mut buffer = std::vec![0; most];
        let (outcome, effects) =
            self.call(who, |tcb, env| match tcb.read_short(env.now, env.pool, &mut buffer) {
                Some(count) => (ReadOutcome::Octets(count), Effects::default()),
                None => match tcb.read_opening(env.now, env.pool, &mut buffer) {
                    Some((count, transmit)) => {
                        let effects = Effects { transmit, ..Effects::default() };
                        (ReadOutcome::Octets(count), effects)
                    }
                    None => tcb.read(env, &mut buffer),
                },
            });
        match outcome {
            ReadOutcome::Octets(count) => {
                for (i, found) in buffer[..count].iter().enumerate() {
                    assert_eq!(*found, octet(self.ends[who].read + i as u64), "stream");
                }
                self.ends[who].read += count as u64;
            }
            ReadOutcome::Nothing => {}
            ReadOutcome::End => self.ends[who].saw_end = true,
        }
        self.settle(who, effects, true);
    }

    pub(super) fn act(&mut self, act: &Act) {
        let who = |who: bool| usize::from(who);
        match *act {
            Act::Pass(millis) => return self.pass(millis),
            Act::Talk(who, octets, times) => return self.talk(who, octets, times),
            _ => {}
        }
        let (Act::Write(end, _)
        | Act::Read(end, _)
        | Act::Shutdown(end)
        | Act::Last(end, _)
        | Act::Cork(end, _)
        | Act::NoDelay(end, _)
        | Act::Limit(end, ..)
        | Act::Flush(end)
        | Act::Urgent(end)
        | Act::TooBig(end, _)) = act
        else {
            return;
        };
        let end = who(*end);
        if self.ends[end].ended.is_some() {
            return;
        }
        match *act {
            Act::Write(_, octets) => self.write(end, octets),
            Act::Read(_, octets) => self.read(end, octets),
            Act::Shutdown(_) => self.shutdown(end),
            Act::Last(_, octets) => {
                self.put(end, octets);
                self.shutdown(end);
            }
            Act::Cork(_, on) => self.set(end, |settings| settings.cork = on),
            Act::NoDelay(_, on) => self.set(end, |settings| settings.no_delay = on),
            Act::Limit(_, rate, due) => self.set(end, |settings| {
                settings.rate_limit = Rate::from_octets_per_second(rate);
                settings.write_when_due = due;
            }),
            Act::Flush(_) => {
                self.call(end, |tcb, _| tcb.flush());
                self.settle(end, Effects::default(), true);
            }
            Act::Urgent(_) => self.call(end, |tcb, _| tcb.mark_urgent_written()),
            Act::TooBig(_, segment_octets) => {
                let kind = SignalKind::TooBig { segment_octets };
                let effects = self.call(end, |tcb, env| {
                    let signal = Signal { seq: tcb.snd_una(), kind };
                    tcb.handle_signal(env, &signal)
                });
                self.settle(end, effects, true);
            }
            Act::Pass(_) | Act::Talk(..) => {}
        }
    }

    /// One side asks and the other answers, so many times.
    fn talk(&mut self, who: bool, octets: usize, times: u64) {
        for each in 0..times {
            for side in [who, !who] {
                self.act(&Act::Write(side, octets));
                self.pass(self.weather.delay + each % 2);
                self.act(&Act::Read(!side, 2 * octets));
            }
        }
    }

    pub(super) fn set(&mut self, who: usize, change: impl FnOnce(&mut Settings)) {
        let effects = self.call(who, |tcb, env| {
            let mut settings = *tcb.settings();
            change(&mut settings);
            tcb.set_settings(env, std::rc::Rc::new(settings))
        });
        self.settle(who, effects, true);
    }
}
