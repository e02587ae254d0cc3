//! `usertcp services`. Owns: discard, chargen, echo, echo once, over any stream.
//! Must not know: which network it is.
//! Implements: RFC 862 (echo), RFC 863 (discard), RFC 864 (chargen), on other ports.

mod native;

use super::{DEVICE_GONE, behaviour, listen_fault, stop_asked};
use crate::fault::Fault;
use crate::network::{Acceptor, FastOpen, Network, Step, Stream};
use crate::options::ServicesArgs;
use crate::own::{Face, Fallback, OwnNetwork};
use crate::plan::Plan;
use crate::report::{Channel, Reporter, Start};
use crate::units::{counted, duration, octets};
use native::Recipe;
use serde_json::json;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use usertcp::Stack;

/// Octets read at a time. Ten thousand idle streams hold as many buffers, but the system gives
/// memory only for what was touched.
const BUFFER_OCTETS: usize = 64 << 10;

/// How often to look whether the stack still runs.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What a port does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Service {
    /// Reads and forgets.
    Discard,
    /// Writes without end.
    Chargen,
    /// Writes what it reads.
    Echo,
    /// Writes what it reads first, and closes.
    EchoOnce,
}

impl Service {
    /// All of them, in the order of their ports.
    pub const ALL: [Service; 4] =
        [Service::Discard, Service::Chargen, Service::Echo, Service::EchoOnce];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Service::Discard => "discard",
            Service::Chargen => "chargen",
            Service::Echo => "echo",
            Service::EchoOnce => "echo once",
        }
    }
}

/// Counters of all services.
#[derive(Debug, Default)]
pub struct Transferred {
    /// Streams accepted.
    pub streams: AtomicU64,
    /// Octets read.
    pub octets_in: AtomicU64,
    /// Octets written.
    pub octets_out: AtomicU64,
}

/// Runs the services on our own stack's thread, by the native event API, until the user asks to
/// stop.
pub async fn run_natively(plan: &Plan, args: &ServicesArgs) -> Result<(), Fault> {
    let stop = stop_asked()?;
    let transferred = Arc::new(Transferred::default());
    let outcome = Arc::default();
    let recipe = Recipe {
        base_port: args.base_port,
        transferred: transferred.clone(),
        outcome: Arc::clone(&outcome),
    };
    let network = OwnNetwork::start(plan, Face::Native(recipe), Fallback::Pipe)?;
    let told = network.stack().run_each(|_| ()).await;
    told.map_err(|error| Fault::io("starting the stack", &error, "start it again"))?;
    let listened = outcome.lock().ok().and_then(|mut place| place.take());
    if let Some(Err(error)) = listened {
        network.stop().await;
        return Err(listen_fault(args.base_port, &error));
    }
    let mut places = Vec::new();
    for (port, service) in (args.base_port..=u16::MAX).zip(Service::ALL) {
        let at = network.reachable_at(port, port).await;
        for at in at.map_err(|error| listen_fault(port, &error))? {
            places.push(Step::new(service.name(), at.to_string()));
        }
    }
    let reporter = report_start(&network, args, places);
    let began = Instant::now();
    tokio::select! {
        () = stop => {}
        () = ended(network.stack()) => {
            let error = io::ErrorKind::NetworkDown.into();
            return Err(Fault::io("the stack has ended", &error, DEVICE_GONE));
        }
    }
    let copied = network.stack().run_each(|context| {
        context.pool().stats().octets_copied + context.counters().octets_copied
    });
    let copied = copied.await.ok().map(|shards| shards.iter().sum());
    report_stop(&reporter, &transferred, began, copied);
    network.stop().await;
    Ok(())
}

/// Ready when `stack` has ended by itself.
async fn ended(stack: &Stack) {
    while stack.is_running() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Runs the services over streams until the user asks to stop.
pub async fn run<N: Network>(network: &N, args: &ServicesArgs) -> Result<(), Fault> {
    let stop = stop_asked()?;
    let transferred = Arc::new(Transferred::default());
    let mut places = Vec::new();
    let mut listeners = JoinSet::new();
    for (port, service) in (args.base_port..=u16::MAX).zip(Service::ALL) {
        let listening = |error| listen_fault(port, &error);
        let acceptor = network.listen(port, FastOpen::Off).await.map_err(listening)?;
        for at in network.reachable_at(port, port).await.map_err(listening)? {
            places.push(Step::new(service.name(), at.to_string()));
        }
        listeners.spawn(accept(acceptor, service, transferred.clone()));
    }
    let reporter = report_start(network, args, places);
    let began = Instant::now();
    tokio::select! {
        () = stop => {}
        Some(Ok(error)) = listeners.join_next() => {
            return Err(Fault::io("accepting connections", &error, DEVICE_GONE));
        }
    }
    report_stop(&reporter, &transferred, began, None);
    Ok(())
}

fn report_start<N: Network>(network: &N, args: &ServicesArgs, places: Vec<Step>) -> Reporter {
    let reporter = Reporter::new(args.network.json, Channel::Stdout);
    reporter.started(&Start {
        command: "services",
        doing: "answers".into(),
        setup: network.setup(),
        steps: vec![Step::new("streams", behaviour(&args.network))],
        places,
    });
    reporter
}

/// `copied`: payload octets that the stack copied, the device's own copies left out.
fn report_stop(
    reporter: &Reporter,
    transferred: &Transferred,
    began: Instant,
    copied: Option<u64>,
) {
    let (streams, into, out) = (
        transferred.streams.load(Relaxed),
        transferred.octets_in.load(Relaxed),
        transferred.octets_out.load(Relaxed),
    );
    let text = format!(
        "stopped after {}: {}, {} sent, {} received",
        duration(began.elapsed()),
        counted(streams, "connection"),
        octets(out),
        octets(into)
    );
    let seconds = began.elapsed().as_secs();
    let mut figures =
        json!({ "seconds": seconds, "connections": streams, "octets_out": out, "octets_in": into });
    if let Some(copied) = copied {
        figures["octets_copied"] = copied.into();
    }
    reporter.event("stopped", &text, figures);
}

/// Accepts until the listener fails, and tells why.
async fn accept(
    mut acceptor: impl Acceptor,
    service: Service,
    transferred: Arc<Transferred>,
) -> io::Error {
    loop {
        match acceptor.accept().await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => return error,
            Ok((stream, _)) => {
                transferred.streams.fetch_add(1, Relaxed);
                let transferred = transferred.clone();
                tokio::spawn(async move {
                    // A stream that breaks is the peer's affair.
                    let _ = answer(service, stream, &transferred).await;
                });
            }
        }
    }
}

/// Does what `service` does, on one stream, to its end.
pub async fn answer(
    service: Service,
    mut stream: impl Stream,
    transferred: &Transferred,
) -> io::Result<()> {
    if service == Service::Chargen {
        let lines = chargen_lines();
        loop {
            let octets = stream.write(&lines).await?;
            // The pattern need not go on where a short write left it: nobody checks, and it
            // keeps the loop to one call.
            transferred.octets_out.fetch_add(octets as u64, Relaxed);
        }
    }
    let mut buffer = vec![0; BUFFER_OCTETS];
    loop {
        let octets = stream.read(&mut buffer).await?;
        transferred.octets_in.fetch_add(octets as u64, Relaxed);
        if octets == 0 {
            break;
        }
        if service != Service::Discard {
            stream.write_all(&buffer[..octets]).await?;
            transferred.octets_out.fetch_add(octets as u64, Relaxed);
        }
        if service == Service::EchoOnce {
            break;
        }
    }
    stream.shutdown().await
}

/// RFC 864 §"Data syntax": lines of 72 of the 95 printing characters, each starting one further.
fn chargen_lines() -> Vec<u8> {
    const ROUNDS: usize = 16;
    let printing: Vec<u8> = (b' '..=b'~').collect();
    let mut lines = Vec::with_capacity(printing.len() * 74 * ROUNDS);
    for start in 0..printing.len() * ROUNDS {
        lines.extend(printing.iter().cycle().skip(start % printing.len()).take(72));
        lines.extend(b"\r\n");
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::DuplexStream;

    fn start(service: Service) -> (DuplexStream, tokio::task::JoinHandle<io::Result<()>>) {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let task =
            tokio::spawn(async move { answer(service, theirs, &Transferred::default()).await });
        (ours, task)
    }

    #[tokio::test]
    async fn echo_returns_all() {
        let (mut stream, task) = start(Service::Echo);
        for word in [b"one", b"two"] {
            stream.write_all(word).await.unwrap();
            let mut back = [0; 3];
            stream.read_exact(&mut back).await.unwrap();
            assert_eq!(&back, word);
        }
        stream.shutdown().await.unwrap();
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
        task.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn echo_once_closes() {
        let (mut stream, task) = start(Service::EchoOnce);
        stream.write_all(b"ping").await.unwrap();
        let mut back = Vec::new();
        stream.read_to_end(&mut back).await.unwrap();
        assert_eq!(back, b"ping");
        task.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn discard_says_nothing() {
        let (mut stream, task) = start(Service::Discard);
        stream.write_all(&[7; 200_000]).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut back = Vec::new();
        stream.read_to_end(&mut back).await.unwrap();
        assert!(back.is_empty());
        task.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn chargen_goes_on_until_the_peer_has_enough() {
        let (mut stream, task) = start(Service::Chargen);
        let mut lines = [0; 148];
        stream.read_exact(&mut lines).await.unwrap();
        assert!(lines.starts_with(b" !\"#$") && lines[74..].starts_with(b"!\"#$%"));
        assert_eq!(&lines[72..74], b"\r\n");
        drop(stream);
        assert_eq!(task.await.unwrap().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
