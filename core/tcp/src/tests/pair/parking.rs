//! The same two connections, parked whenever they are quiet and never: nobody can tell.

use super::{Act, Pair, Parking, Weather, act};
use crate::{Info, KeepAlive};
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};
use std::format;
use std::vec::Vec;
use usertcp_base::{Instant, Span};

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
