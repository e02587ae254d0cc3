//! Executes a script. Owns: the order of events, the clock's advance, what is waited for.
//! Must not know: how anything is parsed or compared in detail.

use crate::call::{Kernel, Outcome, Progress};
use crate::compare::{patience, seconds};
use crate::define::replace;
use crate::flow::Flow;
use crate::options::{Mode, START, Setup};
use crate::pace::Pace;
use crate::parse::{parse, parse_options};
use crate::posix::Posix;
use crate::posix::commands::{self, Ran};
use crate::posix::info::{constants, variables};
use crate::script::{Action, Event, Packet, Script, Stop};
use crate::verdict::{Next, Sent, Snapshot, Times, assertions, blocks, judge};
use std::collections::HashMap;
use usertcp_base::{Instant, Span};

/// Where sequence numbers begin when they are to wrap: this far below 2^32.
const BEFORE_WRAP: u32 = 700;
/// Time a new call waits for a blocked one, and the end of a script for it, microseconds.
const JOIN: u64 = 1_000_000;

/// Runs the text of a script.
pub fn run_text(text: &str, mode: Mode) -> Result<(), Stop> {
    run_with(text, mode, &Extra::default()).0
}

/// What the stack sent in a run, and when, microseconds from its beginning; and how the run ended.
pub type Recording = Vec<(u64, Vec<u8>)>;

/// The same, and all that the stack sent.
pub fn run_wire(text: &str, mode: Mode) -> (Result<(), Stop>, Recording) {
    let mut noted = Noted::default();
    let result = run_noting(text, mode, &Extra::default(), &mut noted);
    (result, noted.wire)
}

/// What a run leaves beside its result.
#[derive(Debug, Default)]
struct Noted {
    notes: Vec<String>,
    wire: Recording,
}

/// What the command line adds to a script.
#[derive(Clone, Debug, Default)]
pub struct Extra {
    /// Option lines in front of the script's own.
    pub options: Vec<(String, String)>,
    /// Stop after the syntax.
    pub dry_run: bool,
    /// Tell each event.
    pub verbose: bool,
}

/// The same with options of the command line; the notes of the run come with the result.
pub fn run_with(text: &str, mode: Mode, extra: &Extra) -> (Result<(), Stop>, Vec<String>) {
    let mut noted = Noted::default();
    let result = run_noting(text, mode, extra, &mut noted);
    (result, noted.notes)
}

/// The text with the words replaced that it and the command line define.
pub(crate) fn with_definitions(text: &str, mode: Mode, extra: &Extra) -> String {
    let defined = |options: &[(String, String)]| {
        let mut out = Vec::new();
        for (_, value) in options.iter().filter(|(name, _)| name == "define") {
            let pair = value.split_once('=').unwrap_or((value, "1"));
            out.push((pair.0.to_string(), pair.1.to_string()));
        }
        out
    };
    let mut definitions = defined(&parse_options(text));
    definitions.extend(defined(&extra.options));
    replace(&crate::cookies::named(text, mode), &definitions).into_owned()
}

fn run_noting(text: &str, mode: Mode, extra: &Extra, noted: &mut Noted) -> Result<(), Stop> {
    let text = with_definitions(text, mode, extra);
    let mut script = parse(&text)?;
    script.options.splice(0..0, extra.options.iter().cloned());
    let setup = Setup::new(&script, mode)?;
    if extra.dry_run {
        return Ok(());
    }
    let mut run = |start: Instant, shift: u32| {
        let mut run = Run::new(setup.clone(), start, shift)?;
        run.verbose = extra.verbose;
        let (result, initial, said) = run.execute(&script);
        *noted = said;
        Ok((result, initial))
    };
    let (result, initial) = run(START, 0)?;
    // The stack's initial number follows a clock of 4 us steps: a first run tells what it is, and
    // the second one starts at the moment that makes it end just below 2^32.
    let Some(initial) = initial.filter(|_| mode.wrap) else { return result };
    run(wrapping_start(initial), BEFORE_WRAP.wrapping_neg())?.0
}

/// When a run has to begin for its first initial number to lie just below 2^32, if it would be
/// `initial` in a run from [`START`] on.
fn wrapping_start(initial: u32) -> Instant {
    let ahead = u64::from(BEFORE_WRAP.wrapping_neg().wrapping_sub(initial));
    START + Span::from_micros(ahead * 4)
}

struct Blocked {
    progress: Progress,
    times: Times,
}

struct Run {
    kernel: Kernel,
    pace: Pace,
    blocked: Option<Blocked>,
    /// A blocked call that was not as expected.
    complaint: Option<Stop>,
    snapshots: Vec<Snapshot>,
    initial: Option<u32>,
    /// What is worth telling.
    notes: Vec<String>,
    verbose: bool,
}

impl Run {
    fn new(setup: Setup, start: Instant, shift: u32) -> Result<Run, Stop> {
        let posix = Posix::new(setup.defaults(), start).map_err(|why| Stop::failed(1, why))?;
        Ok(Run {
            kernel: Kernel::new(posix, setup, shift),
            pace: Pace::default(),
            blocked: None,
            complaint: None,
            snapshots: Vec::new(),
            initial: None,
            notes: Vec::new(),
            verbose: false,
        })
    }

    /// The result, our first initial sequence number if there was one, and what was noted.
    fn execute(mut self, script: &Script) -> (Result<(), Stop>, Option<u32>, Noted) {
        let result = self.events(script);
        let machine = &mut self.kernel.posix.machine;
        let start = machine.start;
        let wire = core::mem::take(&mut machine.wire);
        let since = |(at, octets): (Instant, Vec<u8>)| (at.since(start).as_micros(), octets);
        let wire = wire.into_iter().map(since).collect();
        (result, self.initial, Noted { notes: self.notes, wire })
    }

    fn events(&mut self, script: &Script) -> Result<(), Stop> {
        for event in &script.events {
            let result = self.event(event);
            if self.verbose {
                let now = seconds(self.kernel.posix.machine.script_now());
                self.notes.push(format!("{now} line {}: {}", event.line, event.text));
            }
            self.forgive(event, result)?;
            if let Some(complaint) = self.complaint.take() {
                return Err(complaint);
            }
        }
        self.join()?;
        assertions(&self.snapshots)
    }

    /// `--non_fatal`: the difference is told, and the script goes on.
    fn forgive(&mut self, event: &Event, result: Result<(), Stop>) -> Result<(), Stop> {
        let setup = &self.kernel.setup;
        let forgiven = match event.action {
            Action::Outbound(_) => setup.forgives_packets,
            Action::Call(..) => setup.forgives_calls,
            _ => false,
        };
        match result {
            Err(Stop::Failed { line, reason }) if forgiven => {
                self.notes.push(format!("line {line}, not fatal: {reason}"));
                Ok(())
            }
            other => other,
        }
    }

    fn event(&mut self, event: &Event) -> Result<(), Stop> {
        let now = self.kernel.posix.machine.script_now();
        self.pace.begin(event, now);
        if let Action::Outbound(packet) = &event.action {
            return self.outbound(event, packet);
        }
        let at = event.due(self.pace.base);
        self.advance(at);
        self.acted(event, at)?;
        self.pace.previous = at;
        Ok(())
    }

    fn acted(&mut self, event: &Event, at: u64) -> Result<(), Stop> {
        let line = event.line;
        match &event.action {
            Action::Inbound(packet) => self.inbound(line, packet),
            Action::Icmp(message) => {
                let Some(flow) = &self.kernel.flow else {
                    return Err(Stop::failed(line, "ICMP, but no connection under test"));
                };
                let quoted = flow.quoted(message.about);
                self.kernel.posix.deliver(crate::icmp::build(message, &quoted));
                self.poll_blocked();
                Ok(())
            }
            Action::Outbound(_) => Ok(()),
            Action::Call(call, end) => {
                let ends = event.call_end(self.pace.base, *end);
                self.call(line, Progress::new(call), at, ends)
            }
            Action::Shell(command) => self.shell(line, command),
            Action::Code(code) => {
                let known = self.figures();
                self.snapshots.push((line, code.clone(), known));
                Ok(())
            }
        }
    }

    /// What code may ask for now.
    fn figures(&self) -> HashMap<String, i64> {
        let conn = self.kernel.connection();
        let machine = &self.kernel.posix.machine;
        let info = conn.and_then(|conn| machine.shard.info(machine.now, conn).ok());
        let mut known = info.map_or_else(constants, |info| {
            let mut known = constants();
            known.extend(variables(&info));
            known
        });
        if let Some(words) = conn.and_then(|conn| self.kernel.posix.memory_words(conn)) {
            let names = ["RMEM_ALLOC", "RCVBUF", "WMEM_ALLOC", "SNDBUF", "FWD_ALLOC"];
            let rest = ["WMEM_QUEUED", "OPTMEM", "BACKLOG", "DROPS"];
            for (name, word) in names.iter().chain(&rest).zip(words) {
                known.insert(format!("SK_MEMINFO_{name}"), i64::from(word));
            }
        }
        known
    }

    fn shell(&mut self, line: usize, command: &str) -> Result<(), Stop> {
        let ran = commands::run(&mut self.kernel.posix, command);
        self.poll_blocked();
        match ran {
            Ran::Done(notes) => {
                self.notes.extend(notes.into_iter().map(|note| format!("line {line}: {note}")));
                Ok(())
            }
            Ran::Failed(why) => Err(Stop::failed(line, why)),
            Ran::Missing(what) => Err(Stop::unsupported(line, what)),
        }
    }

    /// Time passes; a blocked call may end on the way.
    fn advance(&mut self, to: u64) {
        let to = self.kernel.posix.machine.moment(to);
        loop {
            self.poll_blocked();
            let deadline =
                self.blocked.as_ref().and_then(|blocked| blocked.progress.pending.deadline);
            let limit = deadline.map_or(to, |deadline| deadline.min(to));
            if !self.kernel.posix.step(limit) && limit == to {
                break;
            }
        }
        self.poll_blocked();
    }

    fn poll_blocked(&mut self) {
        let Some(mut blocked) = self.blocked.take() else { return };
        let outcome = self.kernel.attempt(&mut blocked.progress);
        if outcome == Outcome::Blocked {
            self.blocked = Some(blocked);
            return;
        }
        let now = self.kernel.posix.machine.script_now();
        let Blocked { progress, times } = blocked;
        let result = times.judge(&progress.call, outcome, now, &self.kernel.setup);
        if let Err(stop) = result {
            self.complaint.get_or_insert(stop);
        }
    }

    /// Waits for a call that is still blocked.
    fn join(&mut self) -> Result<(), Stop> {
        if let Some(blocked) = &self.blocked {
            let until = blocked.times.ends.max(self.kernel.posix.machine.script_now()) + JOIN;
            while self.blocked.is_some() && self.kernel.posix.machine.script_now() < until {
                let next = self.kernel.posix.machine.script_now() + 1000;
                self.advance(next.min(until));
            }
        }
        if let Some(blocked) = &self.blocked {
            return Err(blocked.times.blocks_still(&blocked.progress.call));
        }
        self.complaint.take().map_or(Ok(()), Err)
    }

    fn inbound(&mut self, line: usize, packet: &Packet) -> Result<(), Stop> {
        if packet.flags & 2 != 0 && self.kernel.listening && packet.ports.is_none() {
            self.kernel.passive_flow();
        }
        let Some(flow) = &mut self.kernel.flow else {
            return Err(Stop::failed(line, "an inbound packet, but no connection under test"));
        };
        let wire = flow.to_wire(packet).map_err(|why| Stop::failed(line, why))?;
        let octets = crate::wire::build(&wire);
        match self.kernel.setup.merged_mss {
            Some(mss) if packet.length > u32::from(mss) => {
                self.kernel.posix.deliver_merged(octets, mss);
            }
            _ => self.kernel.posix.deliver(octets),
        }
        self.poll_blocked();
        Ok(())
    }

    fn call(
        &mut self,
        line: usize,
        mut progress: Progress,
        began: u64,
        ends: Option<u64>,
    ) -> Result<(), Stop> {
        self.join()?;
        let outcome = self.kernel.attempt(&mut progress);
        match (outcome, ends) {
            (Outcome::Blocked, None) => Err(blocks(line, &progress.call)),
            (Outcome::Blocked, Some(ends)) => {
                self.blocked = Some(Blocked { progress, times: Times { line, began, ends } });
                Ok(())
            }
            (outcome, Some(ends)) if ends > began.saturating_add(self.kernel.setup.tolerance) => {
                judge(line, &progress.call, outcome)?;
                let name = &progress.call.name;
                Err(Stop::failed(line, format!("`{name}` was to block, and did not")))
            }
            (outcome, _) => judge(line, &progress.call, outcome),
        }
    }

    /// The next packet of the connection under test, waited for until `limit`.
    fn next_packet(&mut self, limit: u64) -> Next {
        loop {
            while let Some((at, octets)) = self.kernel.posix.machine.sent.pop_front() {
                let at = at.since(self.kernel.posix.machine.start).as_micros();
                if let Some(next) = Next::of(at, &octets, self.kernel.flow.as_ref()) {
                    return next;
                }
            }
            self.poll_blocked();
            let deadline =
                self.blocked.as_ref().and_then(|blocked| blocked.progress.pending.deadline);
            let limit = self.kernel.posix.machine.moment(limit);
            let next = deadline.map_or(limit, |deadline| deadline.min(limit));
            let stepped = self.kernel.posix.step(next);
            if !stepped && next == limit && self.kernel.posix.machine.sent.is_empty() {
                return Next::Nothing;
            }
        }
    }

    fn outbound(&mut self, event: &Event, wanted: &Packet) -> Result<(), Stop> {
        let limit = patience(event.when, self.pace.base);
        let setup = self.kernel.setup.clone();
        let sent = Sent::await_from(event, wanted, &setup, || Ok(self.next_packet(limit)))?;
        let flow = self.kernel.flow.as_mut();
        let result = sent.judge(event, wanted, flow, &setup, &mut self.pace);
        self.initial = self.initial.or(self.kernel.flow.as_ref().and_then(Flow::initial));
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: &str = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
        +0 listen(3, 1) = 0
        +0.1 < S 0:0(0) win 32792 <mss 1000>
        +0 > S. 0:0(0) ack 1 <mss 1460>";

    #[test]
    fn wrapped_runs_begin_below_the_wrap() {
        let script = parse(OPEN).unwrap();
        for v6 in [false, true] {
            let setup = Setup::new(&script, Mode { v6, wrap: true, ..Mode::default() }).unwrap();
            let (result, initial, _) = Run::new(setup.clone(), START, 0).unwrap().execute(&script);
            assert_eq!(result, Ok(()));
            let start = wrapping_start(initial.unwrap());
            let (_, initial, _) = Run::new(setup, start, 0).unwrap().execute(&script);
            assert_eq!(initial, Some(BEFORE_WRAP.wrapping_neg()));
        }
    }
}
