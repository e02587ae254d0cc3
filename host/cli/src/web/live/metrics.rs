//! Facts as Prometheus reads them. Owns: the text format and the metrics' names.
//! Must not know: who asks. Format: Prometheus text exposition 0.0.4.

use super::super::tally::Totals;
use crate::facts::{ShardRow, Snapshot};
use std::fmt::{Display, Write};

/// All metrics as text.
pub fn text(stack: &Snapshot, http: &Totals) -> String {
    let mut out = String::with_capacity(8 << 10);
    family(&mut out, "uptime_seconds", "gauge", "Time since the stack started");
    let uptime = stack.uptime;
    let seconds = format!("{}.{:03}", uptime.as_secs(), uptime.subsec_millis());
    sample(&mut out, "uptime_seconds", "", seconds);
    for count in &stack.counters {
        let name = format!("{}_total", count.name);
        family(&mut out, &name, "counter", count.help);
        sample(&mut out, &name, "", count.value);
    }
    family(&mut out, "drops_total", "counter", "Packets dropped, by reason");
    for count in &stack.drops {
        sample(&mut out, "drops_total", &label("reason", count.name), count.value);
    }
    shards(&mut out, &stack.shards);
    for (name, help, value) in [
        ("memory_used_octets", "Octets of packet memory in use", stack.memory.used_octets),
        (
            "memory_peak_octets",
            "Most octets of packet memory ever in use",
            stack.memory.peak_octets,
        ),
        ("memory_budget_octets", "Octets of packet memory there are", stack.memory.budget_octets),
        ("connections", "Connections of the stack, in any state", stack.connections_total),
        ("http_connections_open", "HTTP connections open", http.connections_open),
    ] {
        family(&mut out, name, "gauge", help);
        sample(&mut out, name, "", value);
    }
    for (name, help, value) in [
        ("http_requests_total", "HTTP requests answered", http.requests),
        ("http_connections_total", "HTTP connections accepted", http.connections),
        ("http_body_octets_out_total", "Octets of HTTP bodies sent", http.octets_out),
        ("http_body_octets_in_total", "Octets of HTTP bodies received", http.octets_in),
    ] {
        family(&mut out, name, "counter", help);
        sample(&mut out, name, "", value);
    }
    family(&mut out, "http_answers_total", "counter", "HTTP answers, by class of status");
    for (class, value) in http.answers.iter().enumerate().skip(1) {
        sample(&mut out, "http_answers_total", &label("class", &format!("{class}xx")), value);
    }
    out
}

/// What each of several shards did.
fn shards(out: &mut String, shards: &[ShardRow]) {
    if shards.is_empty() {
        return;
    }
    type Figure = (&'static str, &'static str, fn(&ShardRow) -> u64);
    let figures: [Figure; 4] = [
        ("shard_packets_in_total", "Packets received, by shard", |shard| shard.packets_in),
        ("shard_packets_out_total", "Packets sent, by shard", |shard| shard.packets_out),
        ("shard_steered_in_total", "Packets from other shards", |shard| shard.steered_in),
        ("shard_steered_out_total", "Packets to other shards", |shard| shard.steered_out),
    ];
    for (name, help, figure) in figures {
        family(out, name, "counter", help);
        for (index, shard) in shards.iter().enumerate() {
            sample(out, name, &label("shard", &index.to_string()), figure(shard));
        }
    }
    family(out, "shard_connections", "gauge", "Connections open, by shard");
    for (index, shard) in shards.iter().enumerate() {
        sample(out, "shard_connections", &label("shard", &index.to_string()), shard.connections);
    }
}

/// Names and values of our labels are plain words: nothing to escape.
fn label(name: &str, value: &str) -> String {
    format!("{{{name}=\"{value}\"}}")
}

// Writing to a string cannot fail.
fn family(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP usertcp_{name} {help}.\n# TYPE usertcp_{name} {kind}");
}

fn sample(out: &mut String, name: &str, labels: &str, value: impl Display) {
    let _ = writeln!(out, "usertcp_{name}{labels} {value}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Count, counts};
    use std::time::Duration;

    #[test]
    fn every_line_is_of_the_format() {
        let stack = Snapshot {
            uptime: Duration::from_millis(61_005),
            counters: counts(&usertcp_base::Counters { packets_in: 7, ..Default::default() }),
            drops: vec![Count { name: "paws_old", help: "", value: 3 }],
            shards: vec![ShardRow::default(), ShardRow { steered_in: 4, ..ShardRow::default() }],
            ..Snapshot::default()
        };
        let http = Totals { requests: 5, answers: [0, 0, 4, 0, 1, 0], ..Totals::default() };
        let text = text(&stack, &http);
        for line in [
            "usertcp_uptime_seconds 61.005",
            "usertcp_packets_in_total 7",
            "usertcp_drops_total{reason=\"paws_old\"} 3",
            "usertcp_http_requests_total 5",
            "usertcp_http_answers_total{class=\"4xx\"} 1",
            "# TYPE usertcp_connections gauge",
            "usertcp_shard_steered_in_total{shard=\"1\"} 4",
            "usertcp_shard_connections{shard=\"0\"} 0",
        ] {
            assert!(text.lines().any(|have| have == line), "{line}\n{text}");
        }
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.split_once(' ').unwrap();
            assert!(name.starts_with("usertcp_"), "{line}");
            assert!(value.bytes().all(|octet| octet.is_ascii_digit() || octet == b'.'), "{line}");
        }
    }
}
