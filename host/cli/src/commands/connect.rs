//! `usertcp connect`. Owns: finding the peer's address, and moving octets both ways.
//! Must not know: which network it is.

use super::stop_asked;
use crate::fault::{Fault, plain};
use crate::network::{Network, Stream};
use crate::options::ConnectArgs;
use crate::report::{Channel, Reporter};
use crate::units::octets;
use serde_json::json;
use std::io::{self, IsTerminal};
use std::net::{IpAddr, SocketAddr};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Octets moved at a time.
const BUFFER_OCTETS: usize = 256 << 10;

/// Connects, relays stdin and stdout, and ends when both halves of the stream have ended.
pub async fn run<N: Network>(network: &N, args: &ConnectArgs) -> Result<(), Fault> {
    let stop = stop_asked()?;
    let reporter = Reporter::new(args.network.json, Channel::Stderr);
    if let Some(notice) = &network.setup().notice {
        reporter.event("notice", notice, json!({ "notice": notice }));
    }
    let conversation = async {
        let (stream, peer) = dial(network, args).await?;
        let facts = json!({ "peer": peer, "steps": network.setup().steps });
        reporter.event("connected", &format!("connected to {peer}"), facts);
        // A person sees the peer leave and has nothing more to say to it; a file is sent whole.
        let patience = if io::stdin().is_terminal() { Patience::None } else { Patience::Full };
        let relayed = relay(tokio::io::stdin(), tokio::io::stdout(), stream, patience).await;
        relayed.map_err(|error| {
            Fault::io(format!("talking to {peer}"), &error, "the peer's own log may tell more")
        })
    };
    let relayed = tokio::select! {
        relayed = conversation => relayed?,
        () = stop => return Err(Fault::run("stopped before the end", "wait for the peer to close")),
    };
    reporter.event(
        "closed",
        &format!("closed, {} sent, {} received", octets(relayed.sent), octets(relayed.received)),
        json!({ "sent_octets": relayed.sent, "received_octets": relayed.received }),
    );
    Ok(())
}

/// Tries each address of the host that the stack can reach.
async fn dial<N: Network>(
    network: &N,
    args: &ConnectArgs,
) -> Result<(N::Stream, SocketAddr), Fault> {
    let candidates = resolve(&args.host, args.port).await?;
    let ours = &network.setup().addresses;
    let mut failure = Fault::run(
        format!("{}: the stack has no address of its family", args.host),
        "give the stack one with --addr",
    );
    for peer in candidates {
        if !ours.iter().any(|address| address.is_ipv4() == peer.is_ipv4()) {
            continue;
        }
        match network.connect(peer).await {
            Ok(stream) => return Ok((stream, peer)),
            Err(error) => failure = dial_fault(peer, &error),
        }
    }
    Err(failure)
}

fn dial_fault(peer: SocketAddr, error: &io::Error) -> Fault {
    let what = format!("connecting to {peer}: {}", plain(error));
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            Fault::run(what, "nothing listens there: start a server, or check the port")
        }
        io::ErrorKind::TimedOut
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable => Fault::run(
            what,
            "check the address: the stack reaches the kernel's side of its device, and beyond it \
             what the kernel forwards",
        ),
        _ => Fault::io(format!("connecting to {peer}"), error, "check the address and the port"),
    }
}

/// The addresses of a host, from its text or from the system's resolver.
async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, Fault> {
    let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = literal.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let unknown = || {
        Fault::run(
            format!("no address is known for \"{host}\""),
            "check the name, or give an address",
        )
    };
    let found: Vec<SocketAddr> =
        tokio::net::lookup_host((host, port)).await.map_err(|_| unknown())?.collect();
    if found.is_empty() { Err(unknown()) } else { Ok(found) }
}

/// What to do when the peer has ended its half and ours has not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Patience {
    /// End.
    None,
    /// Send the rest.
    Full,
}

/// Octets moved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Relayed {
    /// To the peer.
    pub sent: u64,
    /// From the peer.
    pub received: u64,
}

/// Sends `input` to the stream and its end as the end of our half; writes what comes to `output`.
pub async fn relay<I, O, S>(
    input: I,
    output: O,
    stream: S,
    patience: Patience,
) -> io::Result<Relayed>
where
    I: AsyncRead + Unpin,
    O: AsyncWrite + Unpin,
    S: Stream,
{
    let (from_peer, to_peer) = tokio::io::split(stream);
    let (mut sent, mut received) = (0, 0);
    {
        let mut sending = std::pin::pin!(pump(input, to_peer, &mut sent));
        let mut receiving = std::pin::pin!(pump(from_peer, output, &mut received));
        tokio::select! {
            outcome = &mut sending => {
                outcome?;
                receiving.await?;
            }
            outcome = &mut receiving => {
                outcome?;
                if patience == Patience::Full {
                    sending.await?;
                }
            }
        }
    }
    Ok(Relayed { sent, received })
}

/// Moves octets to the end of `from`, and ends `to`.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    moved: &mut u64,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_OCTETS];
    loop {
        let octets = from.read(&mut buffer).await?;
        if octets == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..octets]).await?;
        // What was typed, or what came, is not to wait for more.
        to.flush().await?;
        *moved += octets as u64;
    }
}

#[cfg(test)]
mod tests;
