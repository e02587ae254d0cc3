//! What one run measured. Owns: the line that programs of the bench print, and the figures taken from it.
//! Must not know: who measured.

use crate::json::Json;

/// One run. A value that the program did not say is `None`, or 0 where every program says it.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Run {
    /// The window.
    pub seconds: f64,
    /// Payload octets that arrived.
    pub octets: f64,
    /// Requests answered; of bulk, where it is counted, segments of 1448 octets.
    pub operations: f64,
    /// Requests not answered, or wrongly.
    pub errors: f64,
    /// CPU time of the server's process; of both ends where one thread does both.
    pub server_cpu_seconds: f64,
    /// CPU time of the client's.
    pub client_cpu_seconds: f64,
    /// CPU time of the whole machine.
    pub busy_seconds: f64,
    /// Context switches of the server.
    pub server_switches: Option<f64>,
    /// System calls of the server.
    pub server_calls: Option<f64>,
    /// Half of the requests were answered within this time.
    pub p50_us: Option<f64>,
    /// All but one of a hundred were.
    pub p99_us: Option<f64>,
    /// Packets that both ends sent.
    pub packets: Option<f64>,
    /// Segments sent again by both ends since they began.
    pub sent_again: Option<f64>,
    /// Payload octets copied by both ends.
    pub copied: Option<f64>,
    /// Heap allocations of both ends.
    pub allocations: Option<f64>,
}

impl Run {
    /// Reads a line of `name=value` words.
    pub fn parse(line: &str) -> Result<Run, String> {
        let value = |name: &str| -> Option<f64> {
            line.split_whitespace()
                .filter_map(|word| word.split_once('='))
                .find(|(key, _)| *key == name)
                .and_then(|(_, value)| value.parse().ok())
        };
        let needed = |name: &str| value(name).ok_or_else(|| format!("no {name} is said: {line}"));
        Ok(Run {
            seconds: needed("seconds")?,
            octets: needed("bytes")?,
            operations: needed("ops")?,
            errors: value("errors").unwrap_or(0.0),
            server_cpu_seconds: needed("server_cpu")?,
            client_cpu_seconds: value("client_cpu").unwrap_or(0.0),
            busy_seconds: value("busy").unwrap_or(0.0),
            server_switches: value("server_switches"),
            server_calls: value("server_calls"),
            p50_us: value("p50"),
            p99_us: value("p99"),
            packets: value("packets"),
            sent_again: value("sent_again"),
            copied: value("copied"),
            allocations: value("allocations"),
        })
    }

    /// The line that [`Run::parse`] reads.
    pub fn line(&self) -> String {
        let mut line = format!(
            "seconds={:.6} bytes={:.0} ops={:.0} server_cpu={:.6}",
            self.seconds, self.octets, self.operations, self.server_cpu_seconds
        );
        let more = [
            ("packets", self.packets),
            ("sent_again", self.sent_again),
            ("copied", self.copied),
            ("allocations", self.allocations),
        ];
        for (name, value) in more {
            if let Some(value) = value {
                line.push_str(&format!(" {name}={value:.0}"));
            }
        }
        line
    }

    /// CPU seconds of both ends.
    fn cpu_seconds(&self) -> f64 {
        self.server_cpu_seconds + self.client_cpu_seconds
    }

    /// Gbit/s by the clock.
    pub fn gigabits(&self) -> f64 {
        self.octets * 8.0 / 1e9 / self.seconds
    }

    /// Gbit/s by the CPU time of both ends.
    pub fn gigabits_per_core(&self) -> f64 {
        self.octets * 8.0 / 1e9 / self.cpu_seconds()
    }

    /// Operations a second, in thousands.
    pub fn thousands(&self) -> f64 {
        self.operations / self.seconds / 1e3
    }

    /// CPU microseconds of both ends for one operation.
    pub fn cpu_us_of_both(&self) -> f64 {
        self.cpu_seconds() * 1e6 / self.operations
    }

    /// CPU microseconds of the server for one operation.
    pub fn server_us(&self) -> f64 {
        self.server_cpu_seconds * 1e6 / self.operations
    }

    /// CPU seconds of the server for a GiB.
    pub fn server_seconds_per_gib(&self) -> f64 {
        self.server_cpu_seconds * f64::from(1 << 30) / self.octets
    }

    /// Cores that neither side used.
    pub fn foreign_cores(&self) -> f64 {
        ((self.busy_seconds - self.cpu_seconds()) / self.seconds).max(0.0)
    }

    /// For JSON.
    pub fn members(&self) -> Vec<(&'static str, Json)> {
        let mut members = vec![
            ("seconds", self.seconds.into()),
            ("octets", self.octets.into()),
            ("operations", self.operations.into()),
            ("errors", self.errors.into()),
            ("server_cpu_seconds", self.server_cpu_seconds.into()),
            ("client_cpu_seconds", self.client_cpu_seconds.into()),
            ("foreign_cores", self.foreign_cores().into()),
        ];
        let more = [
            ("server_switches", self.server_switches),
            ("server_calls", self.server_calls),
            ("p50_us", self.p50_us),
            ("p99_us", self.p99_us),
            ("packets", self.packets),
            ("sent_again", self.sent_again),
            ("octets_copied", self.copied),
            ("allocations", self.allocations),
        ];
        members.extend(more.iter().filter_map(|(name, value)| Some((*name, (*value)?.into()))));
        members
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let run = Run {
            seconds: 2.0,
            octets: 1e9,
            operations: 1000.0,
            server_cpu_seconds: 1.5,
            packets: Some(7.0),
            sent_again: Some(0.0),
            copied: Some(2e9),
            allocations: Some(3.0),
            ..Run::default()
        };
        assert_eq!(Run::parse(&run.line()), Ok(run));
        assert!(Run::parse("seconds=1 bytes=2").is_err());
    }

    #[test]
    fn what_a_side_did_not_say_is_not_nought() {
        let run =
            Run::parse("seconds=2 bytes=500 ops=4 server_cpu=1 client_cpu=1 busy=3 p50=7").unwrap();
        assert_eq!((run.allocations, run.p50_us), (None, Some(7.0)));
        assert_eq!((run.cpu_us_of_both(), run.server_us()), (500_000.0, 250_000.0));
        assert_eq!(run.foreign_cores(), 0.5);
    }
}
