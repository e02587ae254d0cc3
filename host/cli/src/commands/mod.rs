//! The commands over any network. Owns: one file each, and when to stop.
//! Must not know: which network it is.

mod connect;
mod serve;
mod services;
mod sim;

pub use connect::{Patience, Relayed, relay};
pub use services::{Service, Transferred, answer as answer_service, run_natively as run_services};
pub use sim::run as run_sim;

use crate::fault::Fault;
use crate::network::Network;
use crate::options::{Command, NetworkArgs};
use crate::units;
use std::io;
use std::net::SocketAddr;
use tokio::signal::unix::{SignalKind, signal};

/// What to do when the stack has ended by itself.
const DEVICE_GONE: &str = "see whether its interface was removed, and start it again";

/// Runs a command to its end; the network is stopped whatever happens.
pub async fn run<N: Network>(network: N, command: &Command) -> Result<(), Fault> {
    let outcome = match command {
        Command::Serve(args) => serve::run(&network, args).await,
        Command::Services(args) => services::run(&network, args).await,
        Command::Connect(args) => connect::run(&network, args).await,
        Command::Sim(args) => sim::run(args),
    };
    network.stop().await;
    outcome
}

/// Ready when the user asks to stop: Ctrl-C, or SIGTERM.
fn stop_asked() -> Result<impl Future<Output = ()>, Fault> {
    let watch =
        |kind| signal(kind).map_err(|error| Fault::io("watching for signals", &error, "try again"));
    let (mut interrupt, mut terminate) =
        (watch(SignalKind::interrupt())?, watch(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// What a listener's failure means to the user.
fn listen_fault(port: u16, error: &io::Error) -> Fault {
    Fault::io(format!("listening on port {port}"), error, "choose another with --port")
}

/// How streams behave, for the startup report.
fn behaviour(options: &NetworkArgs) -> String {
    let rate = match options.rate {
        Some(rate) => format!("at most {} per stream", units::rate(rate)),
        None => "no rate limit".into(),
    };
    format!("{}, {rate}, {} for packets", options.cc.name(), units::octets(options.memory))
}

/// The URL of an HTTP server.
fn url(at: SocketAddr) -> String {
    match at.port() {
        80 if at.is_ipv4() => format!("http://{}/", at.ip()),
        80 => format!("http://[{}]/", at.ip()),
        _ => format!("http://{at}/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_leave_out_the_usual_port() {
        for (at, expected) in [
            ("10.77.0.2:80", "http://10.77.0.2/"),
            ("10.77.0.2:8080", "http://10.77.0.2:8080/"),
            ("[fd77::2]:80", "http://[fd77::2]/"),
            ("[fd77::2]:8080", "http://[fd77::2]:8080/"),
        ] {
            assert_eq!(url(at.parse().unwrap()), expected);
        }
    }
}
