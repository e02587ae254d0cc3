//! The predicted path comes to what the steps come to.
//! Owns: the comparison. Must not know: which segments take which.

use super::{Act, Pair, Weather, act};
use crate::predicted::Prediction;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use std::format;
use std::vec::Vec;

/// Questions and answers, mostly.
fn talk() -> impl Strategy<Value = Act> {
    let talk = (any::<bool>(), 1..600usize, 1..40u64);
    prop_oneof![
        12 => talk.prop_map(|(who, octets, times)| Act::Talk(who, octets, times)),
        2 => (1..3000u64).prop_map(Act::Pass),
        1 => (any::<bool>(), 1..600usize).prop_map(|(who, octets)| Act::Last(who, octets)),
        1 => act(),
    ]
}

/// Lets the same happen to a pair that may take the predicted path and to one that must not.
fn compare_paths(
    seed: u64,
    weather: Weather,
    options: u8,
    let_go: [bool; 2],
    acts: &[Act],
) -> Result<(), TestCaseError> {
    let run = |forbid: bool| {
        let mut pair = Pair::opened(seed, weather, options, forbid);
        pair.log.lines = Some(Vec::new());
        pair.log.closely = true;
        for who in [0, 1] {
            pair.ends[who].lets_go = let_go[who];
        }
        if forbid {
            for who in [0, 1] {
                pair.call(who, |tcb, _| tcb.prediction = Prediction::Forbidden);
            }
        }
        for act in acts {
            pair.act(act);
            for who in [0, 1] {
                let Pair { ends, log, now, .. } = &mut pair;
                if let Some(tcb) = &ends[who].tcb {
                    log.note(|| {
                        format!("{who} {:?} {:?}", tcb.info(*now), tcb.next_deadline(*now))
                    });
                }
            }
        }
        pair.finish();
        let mut lines = pair.log.lines.take().unwrap_or_default();
        lines.append(&mut pair.log.limiters);
        lines
    };
    let (with, without) = (run(false), run(true));
    for (line, other) in with.iter().zip(&without) {
        prop_assert_eq!(line, other);
    }
    prop_assert_eq!(with.len(), without.len());
    Ok(())
}

proptest! {
    // The predicted path comes to what the steps come to: segments, events, figures, all of them.
    #[test]
    fn the_predicted_path_is_the_spine(
        seed in any::<u64>(),
        options in (0..16u8).prop_map(|rest| rest << 2 | 3),
        bad in prop_oneof![3 => Just(0u32), 1 => Just(1)],
        weather in (0..100_000u32, 0..50_000u32, 0..100_000u32),
        delay in 1..80u64,
        let_go in any::<[bool; 2]>(),
        acts in prop::collection::vec(act(), 1..60),
    ) {
        let (loss, doubling, reordering) = weather;
        let weather = Weather {
            loss: loss * bad, doubling: doubling * bad, reordering: reordering * bad, delay
        };
        compare_paths(seed, weather, options, let_go, &acts)?;
    }

    // The same of what is said in turns over a path of no length, where messages have a step of their own.
    #[test]
    fn the_predicted_path_of_talks_is_the_spine(
        seed in any::<u64>(),
        options in (0..16u8).prop_map(|rest| rest << 2 | 3),
        acts in prop::collection::vec(talk(), 1..30),
    ) {
        let weather = Weather { loss: 0, doubling: 0, reordering: 0, delay: 0 };
        compare_paths(seed, weather, options, [false; 2], &acts)?;
    }
}
