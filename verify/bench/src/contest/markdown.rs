//! The table for SPECIFICATION.md. Owns: its lines. Must not know: what was made of them.

use super::Sample;
use super::figure::Figure;
use super::report::{measured, reached};
use super::verdict::{Verdict, judge, plain};
use super::workload::{Place, Versus, Workload};
use crate::options::Contender;
use crate::stats::{Spread, short};

/// One line for each workload: the figure it is judged by, of everyone, and what was asked.
pub fn table(samples: &[Sample]) -> String {
    let mut out = String::from("| workload | figure | usertcp |");
    for peer in Contender::PEERS {
        out.push_str(&format!(" {} |", peer.name()));
    }
    out.push_str(" asked, and the median ratio [least..most] | reached |\n|");
    out.push_str(&"---|".repeat(5 + Contender::PEERS.len()));
    out.push('\n');
    for workload in measured(samples) {
        let verdicts: Vec<Verdict> =
            judge(samples, workload).into_iter().filter(|one| !one.ratios.is_empty()).collect();
        let figure = main_figure(workload);
        out.push_str(&format!("| {} | {} |", workload.key, figure.unit));
        for contender in std::iter::once(Contender::Usertcp).chain(Contender::PEERS) {
            let median = Spread::of(&plain(samples, workload, contender, figure));
            out.push_str(
                &median.map_or(" |".into(), |spread| format!(" {} |", short(spread.median))),
            );
        }
        let asked: Vec<String> = verdicts.iter().map(|one| words(one, figure)).collect();
        let kept: Vec<&str> = verdicts.iter().map(bold).collect();
        out.push_str(&format!(" {} | {} |\n", asked.join("; "), kept.join(", ")));
    }
    out
}

/// What is judged first, or else what is told first; over a device of messages what they cost the server.
fn main_figure(workload: &Workload) -> &'static Figure {
    let costs = workload.place != Place::Memory && !workload.load.is_bulk();
    match workload.targets.first() {
        Some(target) => target.figure,
        None if costs => workload.figures[1],
        None => workload.figures[0],
    }
}

fn words(verdict: &Verdict, figure: &Figure) -> String {
    let target = verdict.target;
    let unit = if std::ptr::eq(target.figure, figure) { "" } else { target.figure.unit };
    let versus = if target.versus == Versus::Itself { "" } else { verdict.versus.as_str() };
    let ratio = Spread::of(&verdict.ratios).map_or(String::new(), |spread| spread.text());
    let words = [unit, &verdict.asked(), versus].map(str::to_owned);
    let words: Vec<String> = words.into_iter().filter(|word| !word.is_empty()).collect();
    format!("{}: {ratio}", words.join(" "))
}

fn bold(verdict: &Verdict) -> &'static str {
    match reached(verdict) {
        "NO" => "**no**",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::workload::ALL;
    use super::*;
    use crate::run::Run;

    #[test]
    fn a_line_has_everyone_and_the_verdict() {
        let workload = ALL.iter().find(|one| one.key == "memory/echo-100").unwrap();
        let sample = |contender, cpu| Sample {
            workload,
            contender,
            round: 0,
            run: Run {
                seconds: 1.0,
                octets: 1.0,
                operations: 1e6,
                server_cpu_seconds: cpu,
                ..Run::default()
            },
        };
        let samples = [sample(Contender::Usertcp, 0.5), sample(Contender::Lwip, 0.25)];
        let table = table(&samples);
        let line = "| memory/echo-100 | us of both ends | 0.50 | | | 0.25 | | ≤ 0.5× lwip, the best: 2.00 \
                    | **no** |";
        assert_eq!(table.lines().last(), Some(line));
        assert_eq!(table.lines().next().unwrap().matches('|').count(), line.matches('|').count());
    }
}
