//! What one process measured. Owns: the names of figures, and how they go from process to process.
//! Must not know: how they come about.

use crate::json::Json;

/// Every figure there is.
const NAMES: &[&str] = &[
    "opened",
    "open_seconds",
    "open_cpu_us",
    "open_turn_p999_us",
    "open_turn_max_us",
    "resident_each",
    "heap_each",
    "huge_each",
    "page_tables_each",
    "pool_octets",
    "kept_by_peers_octets",
    "tcbs",
    "timers",
    "requests",
    "request_us",
    "requests_warm",
    "request_warm_us",
    "memory_wait_ns",
    "probes",
    "probe_us",
    "core_share",
    "turns",
    "turn_cpu_p50_us",
    "turn_cpu_p999_us",
    "turn_cpu_max_us",
    "turn_runs",
    "turn_cpu_max_in_all_us",
    "turn_longest_in_all_packets",
    "turn_longest_packets",
    "turn_most_packets",
    "turn_wall_p50_us",
    "turn_wall_p999_us",
    "turn_wall_max_us",
    "gap_least_s",
    "gap_most_s",
    "gaps_outside",
    "missed",
    "dead",
    "dead_reported",
    "closed",
    "close_cpu_us",
    "resident_after_each",
    "heap_after_each",
    "slab_each",
    "user_each",
    "memory_short",
    "interrupted",
];

/// Named figures, in the order in which they were measured.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Figures(Vec<(&'static str, f64)>);

impl Figures {
    /// Adds one.
    pub fn set(&mut self, name: &'static str, value: f64) {
        debug_assert!(NAMES.contains(&name), "{name} is no figure");
        self.0.push((name, value));
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// The lines that [`Figures::parse`] reads.
    pub fn lines(&self) -> String {
        self.0.iter().map(|(name, value)| format!("{name}={value}\n")).collect()
    }

    /// What a process said.
    pub fn parse(text: &str) -> Figures {
        let one = |line: &str| {
            let (word, value) = line.split_once('=')?;
            let name = NAMES.iter().find(|name| **name == word)?;
            Some((*name, value.parse().ok()?))
        };
        Figures(text.lines().filter_map(one).collect())
    }

    /// For JSON.
    pub fn members(&self) -> Vec<(&'static str, Json)> {
        self.0.iter().map(|(name, value)| (*name, Json::Number(*value))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_heard() {
        let mut figures = Figures::default();
        figures.set("opened", 1e7);
        figures.set("request_us", 0.731);
        let heard = Figures::parse(&format!("noise\nx=1\n{}", figures.lines()));
        assert_eq!(heard, figures);
        assert_eq!((heard.get("opened"), heard.get("tcbs")), (Some(1e7), None));
    }
}
