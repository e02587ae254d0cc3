//! How far a phase is. Owns: the bar on a terminal, the lines elsewhere.
//! Must not know: the phase.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

const CELLS: u64 = 24;

/// One phase that does `total` of something.
pub struct Progress {
    what: String,
    total: u64,
    began: Instant,
    said: Instant,
    terminal: bool,
}

impl Progress {
    /// A phase begins.
    pub fn new(what: &str, total: u64) -> Progress {
        let now = Instant::now();
        Progress {
            what: what.to_owned(),
            total: total.max(1),
            began: now,
            said: now,
            terminal: stderr().is_terminal(),
        }
    }

    /// So much is done. Says so now and then.
    pub fn at(&mut self, done: u64) {
        let gap = if self.terminal { Duration::from_millis(200) } else { Duration::from_secs(10) };
        if self.said.elapsed() >= gap {
            self.said = Instant::now();
            let line = text(&self.what, done, self.total, self.began.elapsed());
            // Nobody to tell is no reason to stop.
            let _ = match self.terminal {
                true => write!(stderr(), "\r{line}\x1b[K"),
                false => writeln!(stderr(), "{line}"),
            };
        }
    }

    /// It is over, after `done`.
    pub fn end(self, done: u64) {
        let line = text(&self.what, done, self.total, self.began.elapsed());
        let _ = match self.terminal {
            true => writeln!(stderr(), "\r{line}\x1b[K"),
            false => writeln!(stderr(), "{line}"),
        };
    }
}

fn text(what: &str, done: u64, total: u64, taken: Duration) -> String {
    let seconds = taken.as_secs_f64().max(1e-9);
    let rate = done as f64 / seconds;
    let cells = (done.min(total) * CELLS / total) as usize;
    let bar: String = (0..CELLS as usize).map(|at| if at < cells { '#' } else { '.' }).collect();
    let rest = match done {
        0 => "?".into(),
        done if done >= total => format!("took {seconds:.1} s"),
        done => format!("{:.0} s left", (total - done) as f64 / rate),
    };
    let percent = done.min(total) * 100 / total;
    format!("{what} [{bar}] {percent:3} %  {done} of {total}  {rate:.0}/s  {rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_how_far_how_fast_and_how_long() {
        let line = text("opening", 25, 100, Duration::from_secs(5));
        assert_eq!(line, "opening [######..................]  25 %  25 of 100  5/s  15 s left");
        assert!(text("opening", 0, 100, Duration::ZERO).ends_with("0/s  ?"));
        assert!(text("opening", 100, 100, Duration::from_secs(4)).ends_with("25/s  took 4.0 s"));
    }
}
