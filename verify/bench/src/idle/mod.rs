//! `idle`: what connections cost while nothing happens on them, and when something does.
//!
//! Owns: which process measures what, in which order. Must not know: how any of it is measured.

mod against;
mod child;
mod figures;
mod held;
mod options;
mod packet;
mod peers;
mod progress;
mod quantile;
mod report;
mod site;
mod tuple;

use crate::Outcome;
use crate::machine;
pub use progress::Progress;
pub use quantile::Quantiles;

use figures::Figures;
use options::{HELP, Options, Peer, Role};
use report::{Contender, Report, Row};
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;
use tuple::Family;

/// Reads `words`, measures, prints.
pub fn run(mut words: impl Iterator<Item = String>) -> Result<Outcome, String> {
    let first = words.next();
    if first.as_deref() == Some("kernel-holder") {
        return against::kernel::hold(words).map(|()| Outcome::Done);
    }
    let Some(options) = Options::read(first.into_iter().chain(words))? else {
        print!("{HELP}");
        return Ok(Outcome::Done);
    };
    if let Some(role) = options.role {
        return be(&options, role).map(|()| Outcome::Done);
    }
    machine::catch_interrupt();
    let mut report = Report::default();
    measure(&options, &mut report);
    report.print();
    report.save(&options)?;
    match report.problems.is_empty() {
        true => Ok(Outcome::Done),
        false => Err(report.problems.join("\nerror: ")),
    }
}

/// Measures one thing, in this process.
fn be(options: &Options, role: Role) -> Result<(), String> {
    let count = options.connections[0];
    let figures = match role {
        Role::Kernel => against::kernel::run(count, options.touch)?,
        Role::Smoltcp => against::smoltcp::run(count, options.touch)?,
        Role::Idle | Role::KeepAlive | Role::Together => return child::run(options, role),
    };
    print!("{}", figures.lines());
    Ok(())
}

fn measure(options: &Options, report: &mut Report) {
    for &connections in &options.connections {
        for &family in &options.families {
            let mut row = Row::new(family, connections);
            row.idle = one(options, Role::Idle, family, connections, report);
            if options.keep_alive_s > 0 {
                row.keep_alive = one(options, Role::KeepAlive, family, connections, report);
                row.together = one(options, Role::Together, family, connections, report);
            }
            report.rows.push(row);
        }
        for &peer in &options.against {
            let role = match peer {
                Peer::Kernel => Role::Kernel,
                Peer::Smoltcp => Role::Smoltcp,
                Peer::Lwip => continue,
            };
            let Some(share) = against::share(peer, connections, options.peer_most) else {
                continue;
            };
            let figures = one(options, role, Family::V4, share, report);
            report.contenders.push(Contender { peer, connections: share, figures });
        }
    }
    if options.against.contains(&Peer::Lwip) {
        report.quoted.extend([against::LWIP, against::GOROUTINE]);
    }
}

/// What a process of its own measures; without anything once Ctrl-C was pressed.
fn one(
    options: &Options,
    role: Role,
    family: Family,
    connections: u32,
    report: &mut Report,
) -> Figures {
    if machine::interrupted() {
        return Figures::default();
    }
    let words = options.words_for(role, family, connections);
    eprintln!("{}: {connections} connections, IPv{}", role.word(), family.number());
    match ask(&words) {
        Ok((figures, true)) => figures,
        Ok((figures, false)) => {
            let what = format!("{} with {connections}, IPv{}", role.word(), family.number());
            // What the kernel lets nobody do here says nothing of us.
            match role {
                Role::Kernel => report.skipped.push(what),
                _ => report.problems.push(format!("{what}: it failed")),
            }
            figures
        }
        Err(problem) => {
            report.problems.push(problem);
            Figures::default()
        }
    }
}

/// What a process says, and whether it succeeded.
fn ask(words: &[String]) -> Result<(Figures, bool), String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut process = Command::new(program)
        .args(words)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("a process: {error}"))?;
    let mut told = false;
    // It says little, so its pipe never fills.
    let status = loop {
        if let Some(status) = process.try_wait().map_err(|error| error.to_string())? {
            break status;
        }
        if machine::interrupted() && !told {
            told = true;
            interrupt(&process);
        }
        sleep(Duration::from_millis(20));
    };
    let mut text = String::new();
    if let Some(mut output) = process.stdout.take() {
        output.read_to_string(&mut text).map_err(|error| error.to_string())?;
    }
    Ok((Figures::parse(&text), status.success()))
}

/// Passes Ctrl-C on, for when it was meant for this process alone.
#[allow(unsafe_code)]
fn interrupt(process: &Child) {
    // SAFETY: the process was started here and is not waited for yet, so the number is still its own.
    unsafe { libc::kill(process.id() as i32, libc::SIGINT) };
}
