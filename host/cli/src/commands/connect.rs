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
/// Octets read for the SYN; what it has no room for follows the handshake.
const FIRST_OCTETS: usize = 16 << 10;

/// Connects, relays stdin and stdout, and ends when both halves of the stream have ended.
pub async fn run<N: Network>(network: &N, args: &ConnectArgs) -> Result<(), Fault> {
    let stop = stop_asked()?;
    let reporter = Reporter::new(args.network.json, Channel::Stderr);
    if let Some(notice) = &network.setup().notice {
        reporter.event("notice", notice, json!({ "notice": notice }));
    }
    let conversation = async {
        let mut input = tokio::io::stdin();
        let first = if args.fast_open { Some(first_octets(&mut input).await?) } else { None };
        let Dialled { mut stream, peer, taken } = dial(network, args, first.as_deref()).await?;
        let rest = first.as_deref().and_then(|first| first.get(taken..)).unwrap_or(&[]);
        let facts = json!({ "peer": peer, "steps": network.setup().steps });
        reporter.event("connected", &format!("connected to {peer}"), facts);
        // A person sees the peer leave and has nothing more to say to it; a file is sent whole.
        let patience = if io::stdin().is_terminal() { Patience::None } else { Patience::Full };
        let talking = |error: io::Error| {
            Fault::io(format!("talking to {peer}"), &error, "the peer's own log may tell more")
        };
        stream.write_all(rest).await.map_err(talking)?;
        let relayed = relay(input, tokio::io::stdout(), stream, patience).await.map_err(talking)?;
        let before = (taken + rest.len()) as u64;
        Ok::<_, Fault>(Relayed { sent: relayed.sent + before, ..relayed })
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

/// What stdin has first: as much as comes at once, nothing at its end.
async fn first_octets(input: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, Fault> {
    let mut octets = vec![0; FIRST_OCTETS];
    let read = input.read(&mut octets).await;
    let count = read.map_err(|error| Fault::io("reading stdin", &error, "give it some input"))?;
    octets.truncate(count);
    Ok(octets)
}

/// A stream, and how many of the first octets it was opened with.
struct Dialled<S> {
    stream: S,
    peer: SocketAddr,
    taken: usize,
}

/// Opens a stream, by a SYN with `first` if there is such: a connection before it asks the peer for
/// the cookie that this takes.
async fn open<N: Network>(
    network: &N,
    peer: SocketAddr,
    first: Option<&[u8]>,
) -> io::Result<Dialled<N::Stream>> {
    let Some(first) = first else {
        return Ok(Dialled { stream: network.connect(peer).await?, peer, taken: 0 });
    };
    let (mut asking, _) = network.connect_with_data(peer, &[]).await?;
    asking.shutdown().await?;
    let (stream, taken) = network.connect_with_data(peer, first).await?;
    Ok(Dialled { stream, peer, taken })
}

/// Tries each address of the host that the stack can reach.
async fn dial<N: Network>(
    network: &N,
    args: &ConnectArgs,
    first: Option<&[u8]>,
) -> Result<Dialled<N::Stream>, Fault> {
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
        match open(network, peer, first).await {
            Ok(dialled) => return Ok(dialled),
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
