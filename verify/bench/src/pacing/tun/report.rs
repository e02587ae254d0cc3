//! What was found over TUN: tables, figures, the verdict.
//!
//! Owns: what is asked of limits and groups. Must not know: how anything was measured.

use super::watch::Round;
use super::{Kept, Shared};
use crate::idle::Quantiles;
use crate::json::Json;
use crate::pacing::precision::Found;
use crate::table::Table;
use usertcp::DropReason;

/// What a round did.
fn told(round: &Round) -> String {
    let Round { micros, receiving_micros: receiving, sending_micros: sending, came, left } = *round;
    let own = micros.saturating_sub(receiving + sending);
    let ms = |micros: u32| f64::from(micros) / 1e3;
    format!(
        "{:.2} ms: {came} packets came in {:.2}, {left} left in {:.2}, the stack and the application {:.2}",
        ms(micros),
        ms(receiving),
        ms(sending),
        ms(own)
    )
}

/// Deviation that is asked for, per cent: of a limit or a group's rate, and of a member's part of it.
const LIMIT_OFF: f64 = 1.0;
const WEIGHT_OFF: f64 = 3.0;

/// By how many windows each was judged; they overlap.
fn windows(found: &[Found]) -> String {
    let windows = || found.iter().map(|found| found.windows);
    match (windows().min(), windows().max()) {
        (Some(least), Some(most)) if least == most => least.to_string(),
        (Some(least), Some(most)) => format!("{least} to {most}"),
        _ => "none".to_owned(),
    }
}

fn most(found: &[Found], of: fn(&Found) -> f64) -> f64 {
    found.iter().map(of).fold(0.0, f64::max)
}

impl Kept {
    /// The tables.
    pub fn text(&self) -> String {
        let ms = |nanos: u64| nanos as f64 / 1e6;
        let late = |late: &Quantiles| {
            let (half, thousand) = (ms(late.at(500_000)), ms(late.at(999_000)));
            format!(
                "{half:.2} ms (median), {thousand:.2} ms (of a thousand the worst), {:.1} ms (at most)",
                ms(late.max())
            )
        };
        let part = |(name, part): &(&str, f64)| format!("{name} {part:.2} %");
        let slowed: Vec<String> = self.slowed.iter().map(part).collect();
        let busy = self.log.busy.as_secs_f64() / self.log.since.as_secs_f64() * 100.0;
        format!(
            "packets of {} octets, seen for {:.0} s where they leave for the device: {:.0} Mbit/s, {:.0} packets a second\n\n{}\n\
             the stack's thread: {busy:.0} % busy; a round took {}; in it the machine kept the processor for {}\n\
             the longest {}; of the beginning, in which the application fills all queues, and the end {}\n\
             {}\n\
             a thread beside it that sleeps for a millisecond at a time woke late by {}\n\
             of its time since it was opened a stream of 250 kbit/s and more waited at most for: {}\n\
             sent again: {}; dropped by the pool {}, by the device {}",
            self.mtu,
            self.seconds,
            self.megabits_per_second,
            self.packets_per_second,
            if self.groups.is_empty() { self.limits_table() } else { self.groups_table() }.text(),
            late(&self.log.rounds),
            late(&self.log.taken),
            told(&self.log.longest),
            told(&self.log.ends),
            self.gaps_told(),
            late(&self.noise),
            slowed.join(", "),
            self.counters.segments_retransmitted,
            self.counters.dropped(DropReason::PoolEmpty),
            self.counters.dropped(DropReason::DeviceRefused),
        )
    }

    /// When nobody had the core.
    fn gaps_told(&self) -> String {
        let Some((count, longest, all)) = self.gaps else {
            return "whether anybody had its core all the time is not known: no thread may go first there"
                .to_owned();
        };
        format!(
            "nobody had its core {:.1} times a second, for {:.1} ms at most, {:.1} % of the time; what a window lacks of that is not \
             counted where it says but for gaps",
            count as f64 / self.seconds,
            f64::from(longest) / 1e3,
            all as f64 / 1e4 / self.seconds
        )
    }

    fn limits_table(&self) -> Table {
        let header = [
            "limits",
            "streams",
            "judged",
            "windows of each",
            "within 1 %",
            "off at most",
            "off, median",
            "within 1 % but for gaps",
            "off at most",
            "ahead of its line",
            "ahead in any window",
        ];
        let mut table = Table::new(&header, 1);
        for (name, found) in &self.decades {
            let judged: Vec<&Found> = found.iter().filter(|found| found.windows > 0).collect();
            let mut off: Vec<f64> = judged.iter().map(|found| found.off).collect();
            off.sort_by(f64::total_cmp);
            table.push(vec![
                name.clone(),
                found.len().to_string(),
                judged.len().to_string(),
                windows(found),
                off.iter().filter(|off| **off <= LIMIT_OFF).count().to_string(),
                format!("{:.2} %", off.last().unwrap_or(&0.0)),
                format!("{:.2} %", off.get(off.len() / 2).unwrap_or(&0.0)),
                judged.iter().filter(|found| found.blamed <= LIMIT_OFF).count().to_string(),
                format!("{:.2} %", most(found, |found| found.blamed)),
                format!("{:.2} quanta", most(found, |found| found.line)),
                format!("{:.2} quanta", most(found, |found| found.ahead)),
            ]);
        }
        table
    }

    fn groups_table(&self) -> Table {
        let header = [
            "group",
            "weights",
            "windows",
            "windows of each",
            "off at most",
            "but for gaps",
            "ahead in any window",
            "members off at most",
            "but for gaps",
        ];
        let mut table = Table::new(&header, 2);
        for (group, found, members) in &self.groups {
            table.push(vec![
                format!("{} Mbit/s", group.rate.octets_per_second() * 8 / 1_000_000),
                format!("{:?}", group.weights),
                found.windows.to_string(),
                windows(members),
                format!("{:.2} %", found.off),
                format!("{:.2} %", found.blamed),
                format!("{:.2} quanta", found.ahead),
                format!("{:.2} %", most(members, |found| found.off)),
                format!("{:.2} %", most(members, |found| found.blamed)),
            ]);
        }
        table
    }

    /// What is not as asked: in all windows, whoever had the core.
    pub fn problem(&self) -> Option<String> {
        let mut problems = Vec::new();
        for (name, found) in &self.decades {
            let (off, ahead) = (most(found, |found| found.off), most(found, |found| found.ahead));
            if off > LIMIT_OFF || ahead > 1.0 {
                problems.push(format!("{name}: {off:.2} % off, {ahead:.2} quanta ahead"));
            }
        }
        for (group, found, members) in &self.groups {
            let weights = most(members, |found| found.off);
            if found.off > LIMIT_OFF || found.ahead > 1.0 || weights > WEIGHT_OFF {
                let Found { off, ahead, .. } = found;
                problems.push(format!(
                    "group of {:?}: {off:.2} % off, {ahead:.2} quanta ahead, a part {weights:.2} % off",
                    group.weights
                ));
            }
        }
        if self.log.unseen > 0 {
            problems.push(format!("{} packets more than the limits let leave", self.log.unseen));
        }
        (!problems.is_empty()).then(|| format!("over TUN: {}", problems.join("; ")))
    }

    /// The figures.
    pub fn json(&self) -> Json {
        let figures = |found: &[Found]| {
            let within = found.iter().filter(|one| one.windows > 0 && one.off <= LIMIT_OFF).count();
            let least = found.iter().map(|found| found.windows).min().unwrap_or(0);
            vec![
                ("streams", (found.len() as u32).into()),
                ("windows_of_each_at_least", (least as f64).into()),
                ("within_one_per_cent", (within as u32).into()),
                ("off_per_cent", most(found, |found| found.off).into()),
                ("off_but_for_gaps_per_cent", most(found, |found| found.blamed).into()),
                ("ahead_of_line_quanta", most(found, |found| found.line).into()),
                ("ahead_in_window_quanta", most(found, |found| found.ahead).into()),
            ]
        };
        let decade = |(name, found): &(String, Vec<Found>)| {
            let mut members = vec![("limits", Json::text(name.as_str()))];
            members.extend(figures(found));
            Json::Object(members)
        };
        let group = |(group, found, members): &(Shared, Found, Vec<Found>)| {
            Json::Object(vec![
                ("octets_per_second", (group.rate.octets_per_second() as f64).into()),
                ("group", Json::Object(figures(std::slice::from_ref(found)))),
                ("members", Json::Object(figures(members))),
            ])
        };
        Json::Object(vec![
            ("mtu", u32::from(self.mtu).into()),
            ("seconds", self.seconds.into()),
            ("megabits_per_second", self.megabits_per_second.into()),
            ("packets_per_second", self.packets_per_second.into()),
            ("late_ms_at_most", (self.noise.max() as f64 / 1e6).into()),
            ("round_ms_at_most", (self.log.rounds.max() as f64 / 1e6).into()),
            ("taken_ms_at_most", (self.log.taken.max() as f64 / 1e6).into()),
            ("gap_ms_at_most", self.gaps.map_or(0.0, |gaps| f64::from(gaps.1) / 1e3).into()),
            ("decades", Json::List(self.decades.iter().map(decade).collect())),
            ("groups", Json::List(self.groups.iter().map(group).collect())),
        ])
    }
}
