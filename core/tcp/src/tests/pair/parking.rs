//! The same two connections, parked whenever they are quiet and never: nobody can tell.

use super::{Act, Pair, Weather, act};
use crate::{Info, KeepAlive, Parked, ParkedArrival, ParkedDue, Segment, UsualSegment};
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};
use std::format;
use std::vec::Vec;
use usertcp_base::{Instant, Span};

/// What becomes of a connection that is quiet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Parking {
    Never,
    AtOnce,
    /// Nothing, but its times are rounded as if it were parked.
    Rounds,
}

/// The offsets of both ends' timestamp clocks.
const OFFSETS: [u32; 2] = [3, 4];

impl Pair {
    /// Parks an end, if it is quiet.
    pub(super) fn park(&mut self, who: usize) {
        let end = &mut self.ends[who];
        let tcb = end.tcb.as_mut().expect("alive");
        let mut parked = Parked::NONE;
        if self.moulds.park(self.now, tcb, &mut parked) {
            let serial = self.moulds.serial(&parked);
            self.blank = end.tcb.take().map(|tcb| (tcb, serial));
            end.parked = Some(parked);
            self.parked.0 += 1;
        }
    }

    /// Brings an end's TCB back, if it is parked.
    pub(super) fn wake(&mut self, who: usize) {
        let end = &mut self.ends[who];
        if let Some(parked) = end.parked.take() {
            let (now, offset) = (self.now, OFFSETS[who]);
            let tcb = match self.blank.take() {
                Some((mut tcb, serial)) => {
                    self.moulds.revive(now, &parked, offset, &mut tcb, serial);
                    tcb
                }
                None => self.moulds.copy(now, &parked, offset),
            };
            self.moulds.release(&parked);
            end.tcb = Some(tcb);
        }
    }

    /// A parked connection that needs no TCB for a segment.
    pub(super) fn hears(&mut self, who: usize, segment: &Segment) -> bool {
        let Some(parked) = &mut self.ends[who].parked else { return false };
        let Some(usual) = UsualSegment::of(segment).filter(|_| segment.payload.is_empty()) else {
            return false;
        };
        let heard = self.moulds.handle_usual(self.now, parked, &usual) == ParkedArrival::Heard;
        self.parked.1 += u32::from(heard);
        heard
    }

    /// A parked connection that needs no TCB for its deadline.
    pub(super) fn probes(&mut self, who: usize) -> bool {
        let Some(parked) = &mut self.ends[who].parked else { return false };
        match self.moulds.handle_deadline(self.now, parked, OFFSETS[who]) {
            // It came to rest.
            ParkedDue::NotYet => {}
            ParkedDue::Wake => return false,
            ParkedDue::Probe(reply) => self.fly(who, reply.without_payload(), true),
        }
        self.parked.1 += 1;
        true
    }
}

/// One history, twice: with parking and without. What was parked, and answered while parked.
fn same_history(
    (seed, options, keep_alive): (u64, u8, bool),
    weather: Weather,
    acts: &[Act],
) -> Result<(u32, u32), TestCaseError> {
    let run = |parking: Parking| {
        let mut pair = Pair::new(seed, weather, options);
        pair.log.lines = Some(Vec::new());
        pair.parking = parking;
        for who in [0, 1] {
            pair.set(who, |settings| {
                settings.keep_alive = KeepAlive {
                    enabled: keep_alive,
                    idle: Span::from_secs(5),
                    interval: Span::from_secs(1),
                    probes: 20,
                };
            });
        }
        for act in acts {
            pair.act(act);
            for who in [0, 1] {
                if let Some(info) = pair.info(who) {
                    pair.log.note(|| format!("{who} {:?}", plain(&info)));
                }
            }
        }
        let parked = pair.parked;
        pair.finish();
        assert!(pair.moulds.is_empty(), "a mould that nobody uses");
        (pair.log.lines.take().unwrap_or_default(), parked)
    };
    let ((with, parked), (without, none)) = (run(Parking::AtOnce), run(Parking::Rounds));
    prop_assert_eq!(none, (0, 0));
    for (line, other) in with.iter().zip(&without) {
        prop_assert_eq!(line, other);
    }
    prop_assert_eq!(with.len(), without.len());
    Ok(parked)
}

// A connection that is parked whenever it is quiet looks to its peer and to its application as one
// that never is: segments and their times, events, figures (but for the stopwatches).
#[test]
fn nobody_can_tell_who_is_parked() {
    let bad = prop_oneof![2 => Just(0u32), 1 => Just(1)];
    let weather = (bad, 0..100_000u32, 0..50_000u32, 0..100_000u32, 1..80u64).prop_map(
        |(bad, loss, doubling, reordering, delay)| Weather {
            loss: loss * bad,
            doubling: doubling * bad,
            reordering: reordering * bad,
            delay,
        },
    );
    let setup = (any::<u64>(), 0..64u8, any::<bool>());
    let acts = prop::collection::vec(act_and_rest(), 1..60);
    let seen = core::cell::Cell::new((0, 0));
    let mut runner = TestRunner::default();
    let outcome = runner.run(&(setup, weather, acts), |(setup, weather, acts)| {
        let (parked, answered) = same_history(setup, weather, &acts)?;
        seen.set((seen.get().0 + parked, seen.get().1 + answered));
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}\n{runner}");
    }
    let (parked, answered) = seen.get();
    std::println!("parked {parked} times, answered {answered} times while parked");
    assert!(parked > 1000 && answered > 100, "{parked} {answered}");
}

/// The same acts, and silences.
fn act_and_rest() -> impl Strategy<Value = Act> {
    prop_oneof![6 => act(), 1 => (400..30_000u64).prop_map(Act::Pass)]
}

/// The figures without what a record rounds or drops.
fn plain(info: &Info) -> Info {
    Info {
        limited: Default::default(),
        limiter: usertcp_base::Limiter::Application,
        established: Instant::ZERO,
        last_heard: Instant::ZERO,
        ..*info
    }
}
