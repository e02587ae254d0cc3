//! What a script expects against what came: packets, ends of calls, results, code.
//!
//! Owns: how a difference is told, for a run in virtual time and one against a kernel alike.
//! Must not know: how anything came about.

use crate::call::Outcome;
use crate::code::{self, CodeError};
use crate::compare::{differences, echo_differs, line, merge, seconds, time_differs};
use crate::flow::Flow;
use crate::options::Setup;
use crate::pace::Pace;
use crate::posix::errno::Errno;
use crate::script::{Call, Event, Packet, Stop};
use crate::wire::{Wire, read};
use std::collections::HashMap;
use usertcp_sim::view::View;

/// A piece of code with its line, and the variables as they were when it was reached.
pub(crate) type Snapshot = (usize, String, HashMap<String, i64>);

/// What came of waiting for a packet.
pub(crate) enum Next {
    /// It, and when it left.
    Packet(u64, Wire),
    /// None in time.
    Nothing,
    /// One that cannot be read.
    Malformed(String),
}

impl Next {
    /// Of a packet that left at `at`; `None`: it is none of `flow`.
    pub(crate) fn of(at: u64, octets: &[u8], flow: Option<&Flow>) -> Option<Next> {
        if View::parse(octets).is_some_and(|view| view.is_ok_and(|view| !view.checksum_good)) {
            return Some(Next::Malformed("the TCP checksum is wrong".to_string()));
        }
        match read(octets)? {
            Err(why) => Some(Next::Malformed(why)),
            Ok(wire) => flow?.owns(&wire).then_some(Next::Packet(at, wire)),
        }
    }
}

/// A packet that left, put together of those that a script takes as one.
pub(crate) struct Sent {
    at: u64,
    whole: Wire,
    trouble: Vec<String>,
}

impl Sent {
    /// What `next` gives for the one that `event` wants.
    pub(crate) fn await_from(
        event: &Event,
        wanted: &Packet,
        setup: &Setup,
        mut next: impl FnMut() -> Result<Next, Stop>,
    ) -> Result<Sent, Stop> {
        let (at, whole) = match next()? {
            Next::Nothing => return Err(missed(event, "no packet was sent in time")),
            Next::Malformed(why) => {
                return Err(missed(event, &format!("malformed packet: {why}")));
            }
            Next::Packet(at, wire) => (at, wire),
        };
        // A piece of nothing joins nothing.
        let mut piece = if setup.strict_segments { 0 } else { whole.payload.len() };
        let mut sent = Sent { at, whole, trouble: Vec::new() };
        let wanted_octets = wanted.length as usize;
        while piece > 0 && sent.whole.payload.len() < wanted_octets && sent.trouble.is_empty() {
            match next()? {
                Next::Packet(later, next) => match merge(&mut sent.whole, next, &mut piece) {
                    Ok(()) => sent.at = later,
                    Err(why) => sent.trouble.push(why),
                },
                _ => sent.trouble.push("the rest of the payload was not sent in time".to_string()),
            }
        }
        Ok(sent)
    }

    /// Compares it with the one that `event` wants.
    pub(crate) fn judge(
        self,
        event: &Event,
        wanted: &Packet,
        flow: Option<&mut Flow>,
        setup: &Setup,
        pace: &mut Pace,
    ) -> Result<(), Stop> {
        let Sent { at, whole, mut trouble } = self;
        let flow = flow.ok_or_else(|| missed(event, "no connection under test"))?;
        flow.learn(wanted, &whole);
        let tolerance = setup.tolerance;
        if let (Some(tick), Some(off)) = (setup.stamp_tick, flow.stamp_error(wanted, &whole))
            && u64::from(off).saturating_mul(tick) > tolerance
        {
            trouble.push(format!("TS val: off by {off} ticks of {tick} us"));
        }
        let got = flow.to_script(&whole);
        trouble.extend(differences(wanted, &got));
        if setup.check_ts_echo {
            trouble.extend(echo_differs(wanted, &got));
        }
        trouble.extend(time_differs(event.when, at, pace.base, pace.previous, tolerance));
        pace.previous = at;
        if trouble.is_empty() {
            return Ok(());
        }
        let (trouble, at) = (trouble.join("; "), seconds(at));
        let (expected, actual) = (&event.text, line(&got));
        let reason = format!(
            "outbound packet: {trouble}\n  expected: {expected}\n  actual:   {at} {actual}"
        );
        Err(Stop::failed(event.line, reason))
    }
}

fn missed(event: &Event, what: &str) -> Stop {
    Stop::failed(event.line, format!("{what}\n  expected: {}", event.text))
}

/// The times of a call that blocks.
pub(crate) struct Times {
    /// Of the line in the script.
    pub(crate) line: usize,
    pub(crate) began: u64,
    /// When it is to end.
    pub(crate) ends: u64,
}

impl Times {
    /// The call came to `outcome` at `now`.
    pub(crate) fn judge(
        &self,
        call: &Call,
        outcome: Outcome,
        now: u64,
        setup: &Setup,
    ) -> Result<(), Stop> {
        judge(self.line, call, outcome)?;
        let slack = setup.tolerance.max(self.ends.abs_diff(self.began) / 8);
        if now.abs_diff(self.ends) <= slack {
            return Ok(());
        }
        let (name, ends) = (&call.name, seconds(self.ends));
        let (slack, now) = (seconds(slack), seconds(now));
        let reason = format!("end of `{name}`: expected {ends} ± {slack} s, got {now} s");
        Err(Stop::failed(self.line, reason))
    }

    /// The call has not ended when the script is over.
    pub(crate) fn blocks_still(&self, call: &Call) -> Stop {
        Stop::failed(self.line, format!("`{}` still blocks", call.name))
    }
}

/// A call blocks that was not to.
pub(crate) fn blocks(line: usize, call: &Call) -> Stop {
    Stop::failed(line, format!("`{}` blocks, and the line names no end time", call.name))
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
