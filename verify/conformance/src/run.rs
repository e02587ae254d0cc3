//! Executes a script. Owns: the order of events, the clock's advance, what is waited for.
//! Must not know: how anything is parsed or compared in detail.

use crate::call::{Kernel, Outcome, Progress};
use crate::code::{self, CodeError};
use crate::compare::{differences, echo_differs, line, merge, patience, seconds, time_differs};
use crate::define::replace;
use crate::options::{Mode, START, Setup};
use crate::parse::{parse, parse_options};
use crate::posix::Posix;
use crate::posix::commands::{self, Ran};
use crate::posix::errno::Errno;
use crate::posix::info::{constants, variables};
use crate::script::{Action, Call, Event, Packet, Script, Stop};
use crate::wire::{Wire, read};
use std::collections::HashMap;
use usertcp_base::{Instant, Span};
use usertcp_sim::view::View;

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

/// A piece of code with its line, and the variables as they were when it was reached.
pub(crate) type Snapshot = (usize, String, HashMap<String, i64>);

struct Blocked {
    progress: Progress,
    line: usize,
    began: u64,
    ends: u64,
}

struct Run {
    kernel: Kernel,
    /// The time that relative times count from.
    base: u64,
    /// The time of the event before.
    previous: u64,
    /// The event before was an inbound packet.
    after_inbound: bool,
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
            base: 0,
            previous: 0,
            after_inbound: false,
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
        let is_inbound = event.is_inbound();
        let now = self.kernel.posix.machine.script_now();
        // Inbound packets in a row count from each other's scheduled time.
        let base = if is_inbound && self.after_inbound { self.previous } else { now };
        self.base = base;
        if let Action::Outbound(packet) = &event.action {
            self.outbound(event, packet)?;
        } else {
            let at = event.due(base);
            self.advance(at);
            self.acted(event, at)?;
            self.previous = at;
        }
        self.after_inbound = is_inbound;
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
                let ends = event.call_end(self.base, *end);
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
        let slack = (self.kernel.setup.tolerance).max(blocked.ends.abs_diff(blocked.began) / 8);
        let result = judge(blocked.line, &blocked.progress.call, outcome).and_then(|()| {
            if now.abs_diff(blocked.ends) <= slack {
                return Ok(());
            }
            Err(Stop::failed(
                blocked.line,
                format!(
                    "end of `{}`: expected {} ± {} s, got {} s",
                    blocked.progress.call.name,
                    seconds(blocked.ends),
                    seconds(slack),
                    seconds(now)
                ),
            ))
        });
        if let Err(stop) = result {
            self.complaint.get_or_insert(stop);
        }
    }

    /// Waits for a call that is still blocked.
    fn join(&mut self) -> Result<(), Stop> {
        if let Some(blocked) = &self.blocked {
            let until = blocked.ends.max(self.kernel.posix.machine.script_now()) + JOIN;
            while self.blocked.is_some() && self.kernel.posix.machine.script_now() < until {
                let next = self.kernel.posix.machine.script_now() + 1000;
                self.advance(next.min(until));
            }
        }
        if let Some(blocked) = &self.blocked {
            let name = &blocked.progress.call.name;
            return Err(Stop::failed(blocked.line, format!("`{name}` still blocks")));
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
            (Outcome::Blocked, None) => Err(Stop::failed(
                line,
                format!("`{}` blocks, and the line names no end time", progress.call.name),
            )),
            (Outcome::Blocked, Some(ends)) => {
                self.blocked = Some(Blocked { progress, line, began, ends });
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
    fn next_packet(&mut self, limit: u64) -> Option<Result<(u64, Wire), String>> {
        loop {
            while let Some((at, octets)) = self.kernel.posix.machine.sent.pop_front() {
                if let Some(Ok(view)) = View::parse(&octets)
                    && !view.checksum_good
                {
                    return Some(Err("the TCP checksum is wrong".to_string()));
                }
                let wire = match read(&octets) {
                    None => continue,
                    Some(Err(why)) => return Some(Err(why)),
                    Some(Ok(wire)) => wire,
                };
                if self.kernel.flow.as_ref().is_some_and(|flow| flow.owns(&wire)) {
                    return Some(Ok((at.since(self.kernel.posix.machine.start).as_micros(), wire)));
                }
            }
            self.poll_blocked();
            let deadline =
                self.blocked.as_ref().and_then(|blocked| blocked.progress.pending.deadline);
            let limit = self.kernel.posix.machine.moment(limit);
            let next = deadline.map_or(limit, |deadline| deadline.min(limit));
            let stepped = self.kernel.posix.step(next);
            if !stepped && next == limit && self.kernel.posix.machine.sent.is_empty() {
                return None;
            }
        }
    }

    fn outbound(&mut self, event: &Event, wanted: &Packet) -> Result<(), Stop> {
        let limit = patience(event.when, self.base);
        let nothing =
            |what: &str| Stop::failed(event.line, format!("{what}\n  expected: {}", event.text));
        let (mut at, mut whole) = match self.next_packet(limit) {
            None => return Err(nothing("no packet was sent in time")),
            Some(Err(why)) => return Err(nothing(&format!("malformed packet: {why}"))),
            Some(Ok(packet)) => packet,
        };
        // A piece of nothing joins nothing.
        let joins = !self.kernel.setup.strict_segments;
        let mut piece = if joins { whole.payload.len() } else { 0 };
        let mut trouble = Vec::new();
        while piece > 0 && whole.payload.len() < wanted.length as usize && trouble.is_empty() {
            match self.next_packet(limit) {
                Some(Ok((later, next))) => match merge(&mut whole, next, &mut piece) {
                    Ok(()) => at = later,
                    Err(why) => trouble.push(why),
                },
                _ => trouble.push("the rest of the payload was not sent in time".to_string()),
            }
        }
        let tolerance = self.kernel.setup.tolerance;
        let base = self.base;
        let Some(flow) = &mut self.kernel.flow else {
            return Err(nothing("no connection under test"));
        };
        flow.learn(wanted, &whole);
        if let (Some(tick), Some(off)) =
            (self.kernel.setup.stamp_tick, flow.stamp_error(wanted, &whole))
            && u64::from(off).saturating_mul(tick) > tolerance
        {
            trouble.push(format!("TS val: off by {off} ticks of {tick} us"));
        }
        self.initial = self.initial.or(flow.initial());
        let got = flow.to_script(&whole);
        trouble.extend(differences(wanted, &got));
        if self.kernel.setup.check_ts_echo {
            trouble.extend(echo_differs(wanted, &got));
        }
        trouble.extend(time_differs(event.when, at, base, self.previous, tolerance));
        self.previous = at;
        if trouble.is_empty() {
            return Ok(());
        }
        Err(Stop::failed(
            event.line,
            format!(
                "outbound packet: {}\n  expected: {}\n  actual:   {} {}",
                trouble.join("; "),
                event.text,
                seconds(at),
                line(&got)
            ),
        ))
    }
}

/// Runs the code of a script; what one piece assigns the next ones see.
pub(crate) fn assertions(snapshots: &[Snapshot]) -> Result<(), Stop> {
    let mut kept: HashMap<String, i64> = HashMap::new();
    for (line, code, known) in snapshots {
        let mut variables = known.clone();
        for (name, value) in &kept {
            variables.entry(name.clone()).or_insert(*value);
        }
        match code::run(code, &mut variables) {
            Ok(()) => {}
            Err(CodeError::False(why)) => return Err(Stop::failed(*line, why)),
            Err(CodeError::Unknown(what)) => return Err(Stop::unsupported(*line, what)),
        }
        kept.extend(variables.into_iter().filter(|(name, _)| !known.contains_key(name)));
    }
    Ok(())
}

/// A call's result against the expected one.
pub(crate) fn judge(line: usize, call: &Call, outcome: Outcome) -> Result<(), Stop> {
    let (result, errno) = match outcome {
        Outcome::Unsupported(what) => return Err(Stop::unsupported(line, what)),
        Outcome::Differs(what) => {
            return Err(Stop::failed(line, format!("`{}`: {what}", call.name)));
        }
        Outcome::Blocked => return Err(Stop::failed(line, format!("`{}` blocks", call.name))),
        Outcome::Done(value) => (value, None),
        Outcome::Error(name) => (-1, Some(name)),
    };
    let wanted = call.result.unwrap_or(result);
    let errno_fits = match (&call.errno, errno) {
        (Some(wanted), Some(got)) => Errno::from_name(wanted) == Some(got),
        (Some(_), None) => false,
        // Without a name any error of a call that is to fail will do.
        (None, _) => true,
    };
    if wanted == result && errno_fits {
        return Ok(());
    }
    let text = |value: i64, errno: Option<&str>| {
        errno.map_or_else(|| value.to_string(), |errno| format!("{value} {errno}"))
    };
    Err(Stop::failed(
        line,
        format!(
            "`{}`: expected {}, got {}",
            call.name,
            text(wanted, call.errno.as_deref()),
            text(result, errno.map(Errno::name))
        ),
    ))
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
