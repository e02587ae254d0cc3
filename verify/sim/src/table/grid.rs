//! Which trials the tables have. Owns: the full grids, and the smaller ones that every test run
//! repeats. Must not know: how a trial runs.

use super::{Cell, chance_text, per_mille_text, rate_text, reorder_text, span_text};
use crate::trial::{Flow, Reorder, Trial};
use usertcp_base::{Prng, Rate, Span};
use usertcp_cc::Algorithm;

const MBIT: u64 = 1_000_000;
/// Chances of a million.
const LOSSES: [u32; 5] = [0, 100, 1000, 10_000, 30_000];
const RTTS_MS: [u64; 4] = [1, 20, 100, 300];
const BUFFERS_PER_MILLE: [u64; 3] = [500, 1000, 4000];

/// None; 1 % and 5 % overtaken by at most three; 5 % late by up to half a round trip, which is
/// twice what RACK grants at first (RFC 8985 §6.2).
fn reorders(rtt: Span) -> [Reorder; 4] {
    [
        Reorder::None,
        Reorder::Overtaken { chance: 10_000, packets: 3 },
        Reorder::Overtaken { chance: 50_000, packets: 3 },
        Reorder::Delayed { chance: 50_000, most: rtt.divided_by(2) },
    ]
}

/// The whole of the recovery table: 960 trials.
pub fn recovery() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (rate, base_ms) in [(10 * MBIT, 30_000), (1000 * MBIT, 5000)] {
        for rtt_ms in RTTS_MS {
            // Long enough for several losses and slow start behind it.
            let lasts =
                Span::from_millis(base_ms + if rate > MBIT * 100 { 50 } else { 100 } * rtt_ms);
            for buffer in BUFFERS_PER_MILLE {
                cells.extend(losses_and_reorders(rate, rtt_ms, buffer, lasts));
            }
        }
    }
    cells
}

/// The part of it that every test run repeats, in shorter trials.
pub fn recovery_checked() -> Vec<Cell> {
    let mut cells = Vec::new();
    for rtt_ms in RTTS_MS {
        let lasts = Span::from_millis(5000 + 50 * rtt_ms);
        cells.extend(losses_and_reorders(10 * MBIT, rtt_ms, 1000, lasts));
    }
    for buffer in [500, 4000] {
        let lasts = Span::from_secs(10);
        let all = losses_and_reorders(10 * MBIT, 100, buffer, lasts);
        cells.extend(all.into_iter().filter(|cell| cell.trial.reorder == Reorder::None));
    }
    for rtt_ms in [1, 20] {
        let all = losses_and_reorders(1000 * MBIT, rtt_ms, 1000, Span::from_millis(500));
        cells.extend(all.into_iter().filter(|cell| cell.trial.loss <= 1000));
    }
    cells
}

fn losses_and_reorders(rate: u64, rtt_ms: u64, buffer_per_mille: u64, lasts: Span) -> Vec<Cell> {
    let rtt = Span::from_millis(rtt_ms);
    let mut cells = Vec::new();
    for loss in LOSSES {
        for reorder in reorders(rtt) {
            for algorithm in Algorithm::ALL {
                let rate = Rate::from_bits_per_second(rate);
                let plain = Trial::plain(rate, rtt, algorithm);
                cells.push(recovery_cell(Trial {
                    buffer_per_mille,
                    loss,
                    reorder,
                    lasts,
                    ..plain
                }));
            }
        }
    }
    cells
}

/// A row of the recovery table. Its seed comes from what is the same for all controllers, so they
/// meet the same faults; adding rows changes no other.
pub fn recovery_cell(mut trial: Trial) -> Cell {
    let path = path_label(&trial);
    let label = format!("{path}\t{}\t{}", chance_text(trial.loss), reorder_text(trial.reorder));
    trial.seed = seed_of(&label);
    let controllers = controllers(&trial.flows);
    Cell { label: format!("{label}\t{controllers}"), trial }
}

/// The whole of the fairness table.
pub fn fairness() -> Vec<Cell> {
    let mut cells = Vec::new();
    for rtt_ms in [20, 100] {
        for buffer in [500, 1000, 4000] {
            for ecn in [false, true] {
                let base = shared(100 * MBIT, rtt_ms, buffer, ecn, Span::from_secs(60));
                cells.extend(alike(&base, &[2, 4, 8, 16, 32, 64]));
                cells.extend(mixed(&base, &[1, 4, 16]));
                if rtt_ms == 20 {
                    cells.extend(unequal_round_trips(&base, &[1, 4, 16]));
                }
            }
        }
    }
    cells
}

/// The part of it that every test run repeats, in shorter trials over a slower link.
pub fn fairness_checked() -> Vec<Cell> {
    let mut cells = Vec::new();
    for ecn in [false, true] {
        let base = shared(50 * MBIT, 40, 1000, ecn, Span::from_secs(10));
        cells.extend(alike(&base, &[2, 8, 64]));
        cells.extend(mixed(&base, &[1, 4]));
        cells.extend(unequal_round_trips(&base, &[1, 4]));
    }
    cells
}

fn shared(rate: u64, rtt_ms: u64, buffer_per_mille: u64, ecn: bool, lasts: Span) -> Trial {
    let rate = Rate::from_bits_per_second(rate);
    let plain = Trial::plain(rate, Span::from_millis(rtt_ms), Algorithm::default());
    Trial { buffer_per_mille, ecn, lasts, flows: Vec::new(), ..plain }
}

fn alike(base: &Trial, counts: &[usize]) -> Vec<Cell> {
    let of = |algorithm, count: usize| {
        let flows = vec![Flow { algorithm, detour: Span::ZERO }; count];
        fairness_cell(Trial { flows, ..base.clone() })
    };
    let both = |count: &usize| Algorithm::ALL.map(|algorithm| of(algorithm, *count));
    counts.iter().flat_map(both).collect()
}

/// So many of each controller.
fn mixed(base: &Trial, counts: &[usize]) -> Vec<Cell> {
    let of = |count: &usize| {
        let group = |algorithm| vec![Flow { algorithm, detour: Span::ZERO }; *count];
        let flows = Algorithm::ALL.into_iter().flat_map(group).collect();
        fairness_cell(Trial { flows, ..base.clone() })
    };
    counts.iter().map(of).collect()
}

/// So many with the shortest round trip, and as many with 80 ms more.
fn unequal_round_trips(base: &Trial, counts: &[usize]) -> Vec<Cell> {
    let of = |algorithm, count: usize| {
        let group = |detour| vec![Flow { algorithm, detour }; count];
        let flows = [group(Span::ZERO), group(Span::from_millis(80))].concat();
        fairness_cell(Trial { flows, ..base.clone() })
    };
    let both = |count: &usize| Algorithm::ALL.map(|algorithm| of(algorithm, *count));
    counts.iter().flat_map(both).collect()
}

/// A row of the fairness table.
pub fn fairness_cell(mut trial: Trial) -> Cell {
    let signal = if trial.ecn { "marks" } else { "losses" };
    let label = format!("{}\t{signal}\t{}", path_label(&trial), controllers(&trial.flows));
    trial.seed = seed_of(&label);
    Cell { label, trial }
}

fn path_label(trial: &Trial) -> String {
    let buffer = per_mille_text(trial.buffer_per_mille);
    format!("{}\t{}\t{buffer}", rate_text(trial.rate), span_text(trial.rtt))
}

/// "cubic", "8 cubic", "4 cubic + 4 reno", "1 cubic + 1 cubic+80ms".
pub fn controllers(flows: &[Flow]) -> String {
    let name = |flow: &Flow| match flow.detour {
        Span::ZERO => flow.algorithm.to_string(),
        detour => format!("{}+{}", flow.algorithm, span_text(detour)),
    };
    if let [flow] = flows {
        return name(flow);
    }
    let groups = flows.chunk_by(|a, b| a == b);
    groups
        .map(|group| format!("{} {}", group.len(), name(&group[0])))
        .collect::<Vec<_>>()
        .join(" + ")
}

fn seed_of(label: &str) -> u64 {
    let fold = |seed: u64, octet: u8| Prng::from_seed(seed ^ u64::from(octet)).next_u64();
    label.bytes().fold(1, fold)
}
