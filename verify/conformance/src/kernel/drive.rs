//! A script in real time. Owns: the order of events, what is waited for, calls under way on other
//! threads. Must not know: how a packet is compared, what a call does.

use super::calls::{self, Answer, Files, Kind, Waiting};
use super::info;
use super::link::Link;
use super::sysctl;
use crate::arguments::number;
use crate::call::{FIRST_PEER_PORT, Outcome};
use crate::compare::patience;
use crate::flow::Flow;
use crate::options::Setup;
use crate::pace::Pace;
use crate::script::{Action, Call, Event, Packet, Script, Stop, When};
use crate::verdict::{Next, Sent, Snapshot, Times, assertions, blocks, judge};
use core::net::SocketAddr;
use nix::sys::socket::Shutdown;
use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::mpsc::{Receiver, TryRecvError, channel};

const SYN: u16 = 2;
/// The first port of our own; the peer's ports begin elsewhere.
const FIRST_PORT: u16 = 40_001;
/// Longest wait for a call that is not to block, and at the end for one that is, microseconds.
const JOIN: u64 = 1_000_000;
/// Longest wait for a packet whose time is `*`, microseconds.
const ANY_TIME: u64 = 70_000_000;
/// A thread with a call that is to block gets this long to be in it, microseconds.
const SETTLE: u64 = 300;

/// The sum of the scheduled times of a script, microseconds.
pub fn scheduled(script: &Script) -> u64 {
    let mut at = 0u64;
    for event in &script.events {
        at = match event.when {
            When::Absolute(to) | When::Range(to, _) => at.max(to),
            When::Relative(to) | When::RelativeRange(to, _) => at.saturating_add(to),
            When::Any => at,
        };
    }
    at
}

/// A call under way.
struct Blocked {
    call: Call,
    times: Times,
    answer: Receiver<(u64, Answer)>,
}

/// A script under way.
pub struct Drive {
    setup: Setup,
    link: Link,
    files: Files,
    /// Descriptors that were bound by the script.
    bound: HashSet<i64>,
    flow: Option<Flow>,
    listening: bool,
    ports: u16,
    pace: Pace,
    blocked: Option<Blocked>,
    complaint: Option<Stop>,
    snapshots: Vec<Snapshot>,
    /// Readable when a call on another thread ended; the other end is what threads write to.
    wake: (OwnedFd, OwnedFd),
}

impl Drive {
    /// A script's beginning.
    pub fn new(setup: Setup, link: Link) -> io::Result<Drive> {
        let wake = nix::unistd::pipe2(nix::fcntl::OFlag::O_NONBLOCK)?;
        Ok(Drive {
            setup,
            link,
            files: Files::new(),
            bound: HashSet::new(),
            flow: None,
            listening: false,
            ports: 0,
            pace: Pace::default(),
            blocked: None,
            complaint: None,
            snapshots: Vec::new(),
            wake,
        })
    }

    /// Runs all of it.
    pub fn execute(mut self, script: &Script) -> Result<(), Stop> {
        self.link.begin();
        for event in &script.events {
            self.event(event)?;
            if let Some(complaint) = self.complaint.take() {
                return Err(complaint);
            }
        }
        self.join()?;
        assertions(&self.snapshots)
    }

    fn event(&mut self, event: &Event) -> Result<(), Stop> {
        self.pace.begin(event, self.link.now());
        if let Action::Outbound(packet) = &event.action {
            return self.outbound(event, packet);
        }
        let at = event.due(self.pace.base);
        self.sleep(event.line, at)?;
        self.acted(event, at)?;
        self.pace.previous = at;
        Ok(())
    }

    fn acted(&mut self, event: &Event, at: u64) -> Result<(), Stop> {
        let line = event.line;
        match &event.action {
            Action::Inbound(packet) => self.inbound(line, packet),
            Action::Icmp(message) => {
                let Some(flow) = &self.flow else {
                    return Err(Stop::failed(line, "ICMP, but no connection under test"));
                };
                let packet = crate::icmp::build(message, &flow.quoted(message.about));
                self.link.deliver(&packet).map_err(|error| refused(line, &error))
            }
            Action::Outbound(_) => Ok(()),
            Action::Call(call, end) => {
                let ends = event.call_end(self.pace.base, *end);
                self.call(line, call, at, ends)
            }
            Action::Shell(command) => sysctl::command(line, command),
            Action::Code(code) => {
                let known = match &self.flow {
                    Some(flow) => info::variables(flow).map_err(|error| refused(line, &error))?,
                    None => crate::posix::info::constants(),
                };
                self.snapshots.push((line, code.clone(), known));
                Ok(())
            }
        }
    }

    /// Real time passes; a blocked call may end on the way.
    fn sleep(&mut self, line: usize, until: u64) -> Result<(), Stop> {
        while self.link.now() < until {
            self.wait(line, until)?;
        }
        Ok(())
    }

    fn wait(&mut self, line: usize, until: u64) -> Result<(), Stop> {
        self.link.wait(until, self.wake.0.as_fd()).map_err(|error| refused(line, &error))?;
        // What it holds is how many calls ended, which their channels tell.
        let _ = nix::unistd::read(self.wake.0.as_fd(), &mut [0; 64]);
        self.poll_blocked();
        Ok(())
    }

    fn poll_blocked(&mut self) {
        let Some(blocked) = self.blocked.take() else { return };
        let (now, answer) = match blocked.answer.try_recv() {
            Ok(answer) => answer,
            Err(TryRecvError::Empty) => {
                self.blocked = Some(blocked);
                return;
            }
            Err(TryRecvError::Disconnected) => {
                let outcome = Outcome::Differs("its thread ended without an answer".to_string());
                (self.link.now(), outcome.into())
            }
        };
        let outcome = self.took(answer);
        let Blocked { call, times, .. } = blocked;
        let result = times.judge(&call, outcome, now, &self.setup);
        if let Err(stop) = result {
            self.complaint.get_or_insert(stop);
        }
    }

    /// Keeps a new descriptor.
    fn took(&mut self, answer: Answer) -> Outcome {
        if let Some((number, made)) = answer.made {
            self.files.insert(number, made.into());
        }
        answer.outcome
    }

    /// Waits for a call that is still blocked.
    fn join(&mut self) -> Result<(), Stop> {
        if let Some(blocked) = &self.blocked {
            // As late as an end may be: the kernel rounds its long timers up.
            let Times { line, began, ends } = blocked.times;
            let slack = ends.abs_diff(began) / 8;
            let until = ends.max(self.link.now()) + JOIN.max(slack);
            while self.blocked.is_some() && self.link.now() < until {
                self.wait(line, until)?;
            }
        }
        if let Some(blocked) = &self.blocked {
            return Err(blocked.times.blocks_still(&blocked.call));
        }
        self.complaint.take().map_or(Ok(()), Err)
    }

    fn inbound(&mut self, line: usize, packet: &Packet) -> Result<(), Stop> {
        if packet.flags & SYN != 0 && self.listening && packet.ports.is_none() {
            let local_port = self.setup.bind_port;
            self.new_flow(FIRST_PEER_PORT + self.ports, local_port, true);
        }
        let Some(flow) = &mut self.flow else {
            return Err(Stop::failed(line, "an inbound packet, but no connection under test"));
        };
        let wire = flow.to_wire(packet).map_err(|why| Stop::failed(line, why))?;
        self.link.deliver(&crate::wire::build(&wire)).map_err(|error| refused(line, &error))
    }

    fn new_flow(&mut self, remote_port: u16, local_port: u16, passive: bool) {
        self.ports += 1;
        let local = (self.setup.local, local_port);
        let mut flow = Flow::new(local, (self.setup.remote, remote_port), 0);
        flow.scaled_echoes = self.setup.scaled_echoes;
        self.flow = Some(flow);
        self.listening &= !passive;
    }

    fn call(
        &mut self,
        line: usize,
        call: &Call,
        began: u64,
        ends: Option<u64>,
    ) -> Result<(), Stop> {
        self.join()?;
        let number = number(calls::arg(call, 0)).unwrap_or(-1);
        if call.name == "connect" && self.flow.is_none() {
            self.before_connect(number);
        }
        let waiting = match calls::prepare(call, &mut self.files, &self.setup) {
            Kind::Later(waiting) => waiting,
            Kind::Now(outcome) => {
                if matches!(outcome, Outcome::Done(_)) {
                    self.noted(call, number);
                }
                let drained = self.link.drain();
                drained.map_err(|error| refused(line, &error))?;
                return judge(line, call, outcome);
            }
        };
        let answer = self.start(waiting);
        let late = ends.is_some_and(|ends| ends > began + self.setup.tolerance);
        let (call, ends) = (call.clone(), ends.unwrap_or(began));
        let times = Times { line, began, ends };
        self.blocked = Some(Blocked { call, times, answer });
        if late {
            let settled = self.link.now() + SETTLE;
            self.sleep(line, settled)?;
            let Some(complaint) = self.complaint.take() else { return Ok(()) };
            return Err(complaint);
        }
        let until = self.link.now() + JOIN;
        while self.blocked.is_some() && self.link.now() < until {
            self.wait(line, until)?;
        }
        match (&self.blocked, self.complaint.take()) {
            (Some(blocked), _) => Err(blocks(line, &blocked.call)),
            // A call that is not to wait is not timed: making a thread takes what it takes.
            (None, Some(Stop::Failed { reason, .. })) if reason.starts_with("end of") => Ok(()),
            (None, complaint) => complaint.map_or(Ok(()), Err),
        }
    }

    /// The port of an active open is known before: the packets are to be recognised by it.
    fn before_connect(&mut self, number: i64) {
        let mut local_port = self.setup.bind_port;
        if !self.bound.contains(&number) {
            local_port = FIRST_PORT + self.ports;
            if let Some(file) = self.files.get(&number) {
                // A refusal shows by itself: no packet will come from that port.
                let _ = calls::bind(file, SocketAddr::new(self.setup.local, local_port));
            }
        }
        self.new_flow(self.setup.connect_port, local_port, false);
    }

    /// What a successful call means for the connection under test.
    fn noted(&mut self, call: &Call, number: i64) {
        match call.name.as_str() {
            "socket" => {
                self.flow = None;
                self.listening = false;
                self.bound.remove(&call.result.unwrap_or(-1));
            }
            "bind" => drop(self.bound.insert(number)),
            "listen" => self.listening = true,
            _ => {}
        }
    }

    /// Makes a call on another thread of this namespace.
    fn start(&self, waiting: Waiting) -> Receiver<(u64, Answer)> {
        let (give, answer) = channel();
        let (clock, wake) = (self.link.clock(), self.wake.1.try_clone());
        std::thread::spawn(move || {
            let result = waiting.perform();
            // Nobody listens when the script is over.
            let _ = give.send((clock.elapsed().as_micros() as u64, result));
            if let Ok(wake) = wake {
                let _ = nix::unistd::write(wake, &[1]);
            }
        });
        answer
    }

    /// The next packet of the connection under test, waited for until `limit`.
    fn next_packet(&mut self, line: usize, limit: u64) -> Result<Next, Stop> {
        loop {
            while let Some((at, octets)) = self.link.sent.pop_front() {
                if let Some(next) = Next::of(at, &octets, self.flow.as_ref()) {
                    return Ok(next);
                }
            }
            if self.link.now() >= limit {
                return Ok(Next::Nothing);
            }
            self.wait(line, limit)?;
        }
    }

    fn outbound(&mut self, event: &Event, wanted: &Packet) -> Result<(), Stop> {
        let base = self.pace.base;
        let limit =
            if event.when == When::Any { base + ANY_TIME } else { patience(event.when, base) };
        let setup = self.setup.clone();
        let next = || self.next_packet(event.line, limit);
        let sent = Sent::await_from(event, wanted, &setup, next)?;
        sent.judge(event, wanted, self.flow.as_mut(), &setup, &mut self.pace)
    }
}

impl Drop for Drive {
    /// A thread that still waits in a call is woken by this, and ends.
    fn drop(&mut self) {
        for file in self.files.values() {
            // What is not connected is not shut down either.
            let _ = nix::sys::socket::shutdown(file.as_raw_fd(), Shutdown::Both);
        }
    }
}

/// The machine, not the script, is in the way.
fn refused(line: usize, error: &io::Error) -> Stop {
    Stop::unsupported(line, format!("the machine refuses: {error}"))
}
