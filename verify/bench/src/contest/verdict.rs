//! Ratios and whether they are what was asked. Owns: how pairs are made and judged.
//! Must not know: how they are printed.

use super::Sample;
use super::figure::Figure;
use super::workload::{ALL, Target, Versus, Workload};
use crate::options::Contender;
use crate::stats::Spread;

/// The values of a figure that `contender` had, with their rounds.
fn values(
    samples: &[Sample],
    workload: &Workload,
    contender: Contender,
    figure: &Figure,
) -> Vec<(u32, f64)> {
    samples
        .iter()
        .filter(|one| std::ptr::eq(one.workload, workload) && one.contender == contender)
        .filter_map(|one| Some((one.round, (figure.of)(&one.run)?)))
        .filter(|(_, value)| value.is_finite())
        .collect()
}

/// The same without rounds.
pub fn plain(
    samples: &[Sample],
    workload: &Workload,
    contender: Contender,
    figure: &Figure,
) -> Vec<f64> {
    values(samples, workload, contender, figure).into_iter().map(|(_, value)| value).collect()
}

/// Ours by theirs, of each round that has both.
fn paired(ours: &[(u32, f64)], theirs: &[(u32, f64)]) -> Vec<f64> {
    ours.iter()
        .filter_map(|(round, value)| {
            let (_, other) = theirs.iter().find(|(other, _)| other == round)?;
            Some(value / other)
        })
        .filter(|ratio| ratio.is_finite())
        .collect()
}

/// Ours by a peer's, of each round.
pub fn ratios(
    samples: &[Sample],
    workload: &Workload,
    peer: Contender,
    figure: &Figure,
) -> Vec<f64> {
    let of = |contender| values(samples, workload, contender, figure);
    paired(&of(Contender::Usertcp), &of(peer))
}

/// The peer with the best median.
fn best(samples: &[Sample], workload: &Workload, figure: &Figure) -> Option<Contender> {
    let median = |peer: Contender| {
        Spread::of(&plain(samples, workload, peer, figure)).map(|spread| (peer, spread.median))
    };
    let better = |one: &(Contender, f64), other: &(Contender, f64)| {
        let order = one.1.total_cmp(&other.1);
        if figure.more_is_better { order } else { order.reverse() }
    };
    let peers = workload.peers.iter().filter_map(|peer| median(*peer));
    peers.max_by(better).map(|(peer, _)| peer)
}

/// What became of a target.
pub struct Verdict {
    /// The target.
    pub target: &'static Target,
    /// What it was compared with, in words.
    pub versus: String,
    /// The ratio of each round; of a bound on the figure itself, the figure.
    pub ratios: Vec<f64>,
}

impl Verdict {
    /// Whether the median is what was asked; `None`: there is nothing to judge by.
    pub fn is_reached(&self) -> Option<bool> {
        let median = Spread::of(&self.ratios)?.median;
        Some(self.target.figure.is_reached(median, self.target.bound))
    }

    /// What was asked, in words.
    pub fn asked(&self) -> String {
        let sign = if self.target.figure.more_is_better { '≥' } else { '≤' };
        let times = if self.target.versus == Versus::Itself { "" } else { "×" };
        format!("{sign} {}{times}", self.target.bound)
    }
}

/// What became of the targets of `workload`.
pub fn judge(samples: &[Sample], workload: &'static Workload) -> Vec<Verdict> {
    let verdict = |target: &'static Target| {
        let figure = target.figure;
        let ours = || values(samples, workload, Contender::Usertcp, figure);
        let (versus, ratios) = match target.versus {
            Versus::Peer(peer) => (peer.name().to_owned(), ratios(samples, workload, peer, figure)),
            Versus::Best => match best(samples, workload, figure) {
                Some(peer) => {
                    (format!("{}, the best", peer.name()), ratios(samples, workload, peer, figure))
                }
                None => ("the best peer".to_owned(), Vec::new()),
            },
            Versus::Own(key) => {
                let other = ALL.iter().find(|one| one.key == key);
                let theirs = other.map(|other| values(samples, other, Contender::Usertcp, figure));
                (format!("own {key}"), paired(&ours(), &theirs.unwrap_or_default()))
            }
            Versus::Itself => {
                ("itself".to_owned(), ours().into_iter().map(|(_, value)| value).collect())
            }
        };
        Verdict { target, versus, ratios }
    };
    workload.targets.iter().map(verdict).collect()
}

#[cfg(test)]
mod tests {
    use super::super::figure::{CPU_OF_BOTH, GIGABITS_PER_CORE};
    use super::*;
    use crate::run::Run;

    fn workload(key: &str) -> &'static Workload {
        ALL.iter().find(|one| one.key == key).unwrap()
    }

    fn sample(key: &str, contender: Contender, round: u32, cpu: f64) -> Sample {
        let run = Run {
            seconds: 1.0,
            octets: 1e9,
            operations: 1e6,
            server_cpu_seconds: cpu,
            ..Run::default()
        };
        Sample { workload: workload(key), contender, round, run }
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let samples = [
            sample("memory/bulk-1500", Contender::Usertcp, 0, 1.0),
            sample("memory/bulk-1500", Contender::Smoltcp, 0, 2.0),
            sample("memory/bulk-1500", Contender::Smoltcp, 1, 3.0),
            sample("memory/bulk-1500", Contender::Usertcp, 1, 2.0),
            sample("memory/bulk-1500", Contender::Usertcp, 2, 2.0),
        ];
        let bulk = workload("memory/bulk-1500");
        let found = ratios(&samples, bulk, Contender::Smoltcp, &GIGABITS_PER_CORE);
        assert_eq!(found, [2.0, 1.5]);
        let verdicts = judge(&samples, bulk);
        assert_eq!(verdicts[0].is_reached(), Some(true), "1.75 is at least 1.6");
        assert_eq!(verdicts[0].asked(), "≥ 1.6×");
    }

    #[test]
    fn the_best_peer_is_the_cheapest() {
        let samples = [
            sample("memory/echo-1", Contender::Usertcp, 0, 0.3),
            sample("memory/echo-1", Contender::Smoltcp, 0, 0.5),
            sample("memory/echo-1", Contender::Lwip, 0, 0.25),
        ];
        let verdicts = judge(&samples, workload("memory/echo-1"));
        assert_eq!(verdicts[0].versus, "lwip, the best");
        assert_eq!(verdicts[0].ratios, [0.3 / 0.25]);
        assert_eq!(verdicts[0].is_reached(), Some(false));
    }

    #[test]
    fn our_own_is_compared_across_workloads() {
        let samples = [
            sample("memory/echo-100", Contender::Usertcp, 0, 0.5),
            sample("memory/echo-10000", Contender::Usertcp, 0, 1.0),
        ];
        let verdicts = judge(&samples, workload("memory/echo-10000"));
        assert_eq!(
            (verdicts[0].ratios.as_slice(), verdicts[0].is_reached()),
            (&[2.0][..], Some(true))
        );
        assert!(!CPU_OF_BOTH.more_is_better);
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        let verdicts = judge(&[], workload("tun/echo-100"));
        assert!(verdicts.iter().all(|one| one.is_reached().is_none()));
        assert_eq!(verdicts.len(), 4);
    }
}
