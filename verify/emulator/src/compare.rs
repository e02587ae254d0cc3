//! Contenders in turn over the same path. Owns: rounds, medians, ratios, what is printed.
//! Must not know: how a trial is made.
#![allow(clippy::float_arithmetic)] // figures for people

use crate::end::Sample;
use crate::namespace::StackKind;
use crate::options::Options;
use crate::path::{PathConfig, Reordering};
use crate::sys;
use crate::trial::{Shown, Trial};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// More packets late by more than a millisecond than one in a hundred: the machine was busy.
const LATE_LIMIT_NANOS: u64 = 1_000_000;

/// One packet in so many may be dropped by the kernel in front of the emulator; the row says so.
const MOST_UNSEEN_SHARE: u64 = 1000;
/// SYNs may be lost, several in a row.
const PATIENCE: Duration = Duration::from_secs(20);

/// One contender's figures.
struct Column {
    stacks: [StackKind; 2],
    megabits: Vec<f64>,
    resent_percent: Vec<f64>,
    needless_percent: Vec<f64>,
}

/// Runs what was asked for and prints it.
///
/// # Errors
/// A transfer that failed or brought wrong octets, or a figure short of what was demanded.
pub fn run(options: &Options) -> Result<(), String> {
    if !sys::go_first() {
        println!("(priority not raised)");
    }
    println!("path: {}", describe(options));
    println!(
        "{:>5} {:>5}  {:<16} {:>9} {:>9} {:>10} {:>7} {:>7} {:>8}  sender's control",
        "round",
        "seed",
        "contender",
        "Mbit/s",
        "resent %",
        "needless %",
        "lost",
        "queue",
        "late p99"
    );
    let mut columns: Vec<Column> = options.contenders.iter().map(|s| Column::new(*s)).collect();
    for round in 0..options.rounds {
        let seed = options.seed + u64::from(round);
        for column in &mut columns {
            let shown = trial(options, column.stacks, seed).run()?;
            let what = format!("round {}, {}", round + 1, name(column.stacks));
            check(&shown, options).map_err(|problem| format!("{what}: {problem}"))?;
            let megabits = shown.receiver.measured as f64 * 8e-6 / options.seconds.as_secs_f64();
            let resent = shown.seen.watches[0].resent_percent();
            print_row(round, seed, column.stacks, megabits, &shown);
            if let Some(directory) = &options.samples {
                let file = directory.join(format!("{}-{seed}.tsv", letters(column.stacks)));
                write_samples(&file, &shown.sender.samples)?;
            }
            column.megabits.push(megabits);
            column.resent_percent.push(resent);
            column.needless_percent.push(needless_percent(&shown));
        }
    }
    println!();
    summarise(&columns, options)
}

impl Column {
    fn new(stacks: [StackKind; 2]) -> Column {
        Column { stacks, megabits: vec![], resent_percent: vec![], needless_percent: vec![] }
    }
}

fn trial(options: &Options, stacks: [StackKind; 2], seed: u64) -> Trial {
    let file = |directory: &Path| directory.join(format!("{}-{seed}.pcap", letters(stacks)));
    Trial {
        stacks,
        host: options.host,
        paths: options.paths,
        seed,
        seconds: options.seconds,
        patience: PATIENCE,
        capture: options.pcap.as_deref().map(file),
        sampled: options.samples.is_some(),
    }
}

/// What no path excuses.
fn check(shown: &Shown, options: &Options) -> Result<(), String> {
    if !shown.receiver.intact {
        return Err("wrong octets arrived".into());
    }
    if shown.receiver.octets != shown.sender.written {
        let (sent, came) = (shown.sender.written, shown.receiver.octets);
        return Err(format!("{sent} octets were written, {came} arrived"));
    }
    if shown.receiver.octets == 0 {
        return Err("nothing arrived".into());
    }
    let largest = shown.seen.watches[0].largest_packet_octets;
    if largest > usize::from(options.host.mtu) {
        return Err(format!("a packet of {largest} octets was on the path"));
    }
    let offered: u64 = shown.seen.counts.iter().map(|counts| counts.offered).sum();
    if shown.device_drops > offered / MOST_UNSEEN_SHARE {
        return Err(format!("{} packets never reached the emulator", shown.device_drops));
    }
    Ok(())
}

fn print_row(round: u32, seed: u64, stacks: [StackKind; 2], megabits: f64, shown: &Shown) {
    let forth = &shown.seen.counts[0];
    let late = shown.seen.late_p99;
    let mut notes = String::new();
    if late > LATE_LIMIT_NANOS {
        notes.push_str("  (machine busy)");
    }
    if shown.device_drops != 0 {
        let _ = write!(notes, "  ({} packets not seen)", shown.device_drops);
    }
    println!(
        "{:>5} {seed:>5}  {:<16} {megabits:>9.3} {:>9.3} {:>10.3} {:>7} {:>7} {:>6}us  {}{notes}",
        round + 1,
        name(stacks),
        shown.seen.watches[0].resent_percent(),
        needless_percent(shown),
        dropped(shown),
        forth.longest_queue_packets,
        late / 1000,
        shown.sender.controller,
    );
}

/// Packets of the sender's that the path dropped, for whatever reason.
fn dropped(shown: &Shown) -> u64 {
    let forth = &shown.seen.counts[0];
    forth.lost + forth.overflowed + forth.too_big
}

/// Packets sent again beyond those that were dropped, in percent of all with payload.
fn needless_percent(shown: &Shown) -> f64 {
    let watch = &shown.seen.watches[0];
    let needless = watch.resent_packets.saturating_sub(dropped(shown));
    needless as f64 * 100.0 / watch.data_packets.max(1) as f64
}

fn summarise(columns: &[Column], options: &Options) -> Result<(), String> {
    let kernel = columns.iter().find(|column| column.stacks == [StackKind::Kernel; 2]);
    let mut short = Vec::new();
    for column in columns {
        let (megabits, resent) = (median(&column.megabits), median(&column.resent_percent));
        let who = name(column.stacks);
        let needless = median(&column.needless_percent);
        let mut line = format!(
            "median  {who:<16} {megabits:>9.3} Mbit/s, {resent:.3} % resent, {needless:.3} % needlessly"
        );
        if let Some(kernel) = kernel.filter(|kernel| kernel.stacks != column.stacks) {
            let ratio = megabits / median(&kernel.megabits);
            let pairs: Vec<f64> =
                column.megabits.iter().zip(&kernel.megabits).map(|(own, its)| own / its).collect();
            let least = pairs.iter().copied().fold(f64::INFINITY, f64::min);
            let most = pairs.iter().copied().fold(0.0, f64::max);
            let _ = write!(
                line,
                ", ratio to kernel→kernel {ratio:.3} (of each round {:.3} [{least:.3}..{most:.3}])",
                median(&pairs)
            );
            if options.at_least.is_some_and(|least| ratio < least) {
                short.push(format!("{who}: ratio {ratio:.3}"));
            }
        }
        println!("{line}");
        let ours = column.stacks[0] == StackKind::Usertcp;
        if ours && options.resent_below.is_some_and(|most| resent >= most) {
            short.push(format!("{who}: {resent:.3} % resent"));
        }
    }
    if short.is_empty() { Ok(()) } else { Err(short.join("; ")) }
}

/// The middle one, or the mean of the middle two.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[count / 2],
        count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
    }
}

/// Writes samples as tab-separated text.
///
/// # Errors
/// What the file system says.
pub fn write_samples(file: &Path, samples: &[Sample]) -> Result<(), String> {
    let mut text =
        String::from("ms\twindow\tthreshold\tin_flight\tsrtt_us\tretransmissions\tlimiter\n");
    for sample in samples {
        let _ = writeln!(
            text,
            "{}\t{}\t{}\t{}\t{}\t{}\t{}",
            sample.at.as_millis(),
            sample.window_octets,
            sample.threshold_octets,
            sample.in_flight_octets,
            sample.srtt_micros,
            sample.retransmissions,
            sample.limiter,
        );
    }
    std::fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
}

fn word(stack: StackKind) -> &'static str {
    match stack {
        StackKind::Kernel => "kernel",
        StackKind::Usertcp => "usertcp",
    }
}

fn name([sender, receiver]: [StackKind; 2]) -> String {
    format!("{}→{}", word(sender), word(receiver))
}

/// As on the command line.
fn letters(stacks: [StackKind; 2]) -> String {
    stacks.map(|stack| &word(stack)[..1]).concat()
}

/// The path in words.
pub fn describe(options: &Options) -> String {
    let [forth, back] = &options.paths;
    let mut text = match forth.rate.is_unlimited() {
        true => "no rate".to_owned(),
        false => format!("{} Mbit/s", forth.rate.octets_per_second() as f64 * 8e-6),
    };
    let _ = write!(text, ", RTT {} ms", (forth.delay + back.delay) as f64 / 1e6);
    if forth.queue_packets != usize::MAX {
        let _ = write!(text, ", queue {} packets", forth.queue_packets);
    }
    if forth.queue_octets != u64::MAX {
        let _ = write!(text, ", queue {} octets", forth.queue_octets);
    }
    text.push_str(&faults(forth));
    if forth == back && !faults(forth).is_empty() {
        text.push_str(", both ways");
    }
    let _ = write!(text, ", MTU {}", options.host.mtu);
    if forth.mtu != 65_535 {
        let _ = write!(text, ", in the middle {}", forth.mtu);
    }
    if forth.drop_icmp {
        text.push_str(", no ICMP");
    }
    if options.host.v6 {
        text.push_str(", IPv6");
    }
    if options.host.ecn {
        text.push_str(", ECN asked for");
    }
    let _ = write!(text, "; {} s measured", options.seconds.as_secs_f64());
    text
}

fn faults(path: &PathConfig) -> String {
    let mut text = String::new();
    let percent = |parts: u32| f64::from(parts) / 10_000.0;
    for (parts, what) in [(path.loss, "lost"), (path.duplicate, "twice"), (path.mark, "marked")] {
        if parts != 0 {
            let _ = write!(text, ", {} % {what}", percent(parts));
        }
    }
    if path.reorder != 0 {
        let how = match path.reordering {
            Reordering::LateBy(most) => format!("late by up to {} ms", most as f64 / 1e6),
            Reordering::Behind(most, _) => format!("behind up to {most} others"),
            Reordering::Early => "ahead of the delay".to_owned(),
        };
        let _ = write!(text, ", {} % {how}", percent(path.reorder));
    }
    if path.mark_beyond_packets != usize::MAX {
        let _ = write!(text, ", marked beyond {} packets", path.mark_beyond_packets);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn contenders_have_names() {
        let stacks = [StackKind::Usertcp, StackKind::Kernel];
        assert_eq!((name(stacks).as_str(), letters(stacks).as_str()), ("usertcp→kernel", "uk"));
    }
}
