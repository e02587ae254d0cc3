//! The project's own stack as a [`Network`]. Owns: starting it over TUN, or over a pipe where TUN is
//! not permitted; its figures for the live page. Must not know: what is served over it.

use crate::bridge;
use crate::facts::{self, ConnectionRow, LiveFacts, Memory, ShardRow, Snapshot};
use crate::fault::Fault;
use crate::network::{Acceptor, FastOpen, Network, Setup, Step};
use crate::options::{Congestion, DeviceKind, Ecn, WireProfile};
use crate::plan::Plan;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use usertcp::{
    Algorithm, Builder, ConnectOptions, EcnMode, FastOpenListen, Handler, ListenOptions, Settings,
    Stack, TcpListener, TcpStream, TunConfig,
};
use usertcp::{DeviceFacts, Medium, PacketConfig, XdpConfig};
use usertcp::{Limits, memory};

/// A running stack of ours, and the one at the other end of the pipe when there is no device.
pub struct OwnNetwork {
    stack: Stack,
    /// The other end of the pipe, and where it reaches the stack.
    dialer: Option<(Stack, IpAddr)>,
    setup: Setup,
    facts: Arc<OwnFacts>,
}

/// What runs on the stack.
pub enum Face<R> {
    /// Streams for Tokio.
    Sockets,
    /// A handler, made on the stack's thread.
    Native(R),
}

/// Makes a handler, on the thread of each shard.
pub trait Recipe: Clone + Send + Sync + 'static {
    /// What is made.
    type Handler: Handler;
    /// Makes it.
    fn make(self) -> Self::Handler;
}

/// A handler for those who use sockets. It never runs.
#[derive(Clone)]
pub struct NoHandler;

impl Recipe for NoHandler {
    type Handler = NoHandler;
    fn make(self) -> NoHandler {
        self
    }
}

impl Handler for NoHandler {
    fn on_event(&mut self, _: &mut usertcp::Context<'_>, _: usertcp::ShardEvent) {}
}

/// What to do where TUN is not permitted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fallback {
    /// Serve all the same, over a pipe, published on the kernel's loopback.
    Pipe,
    /// Say so and end: there would be nobody to reach.
    Refuse,
}

impl OwnNetwork {
    /// Starts what `plan` describes.
    pub fn start<R: Recipe>(
        plan: &Plan,
        face: Face<R>,
        fallback: Fallback,
    ) -> Result<OwnNetwork, Fault> {
        match plan.kind {
            DeviceKind::Packet => return OwnNetwork::over_packet(plan, face),
            DeviceKind::Xdp => return OwnNetwork::over_xdp(plan, face),
            DeviceKind::Tun => {}
        }
        let tun = TunConfig {
            name: plan.device.clone(),
            mtu: plan.mtu,
            addresses: parsed(&plan.kernel)?,
            ..TunConfig::default()
        };
        let again = match &face {
            Face::Sockets => Face::Sockets,
            Face::Native(recipe) => Face::Native(recipe.clone()),
        };
        match launch(describe(plan)?.tun(tun), face) {
            Ok(stack) => {
                let offload = stack.device().segmentation_offload;
                Ok(OwnNetwork::over(stack, None, tun_setup(plan, offload)))
            }
            Err(error) if lacks_device(&error) && fallback == Fallback::Pipe => {
                OwnNetwork::over_pipe(plan, again, &error)
            }
            Err(error) => Err(start_fault(plan, &error)),
        }
    }

    fn over_packet<R: Recipe>(plan: &Plan, face: Face<R>) -> Result<OwnNetwork, Fault> {
        let config = PacketConfig {
            interface: plan.device.clone(),
            mtu: plan.mtu,
            ..PacketConfig::default()
        };
        let mut builder = describe(plan)?.packet(config);
        for gateway in &plan.gateways {
            builder = builder.gateway(*gateway);
        }
        let stack = launch(builder, face).map_err(|error| start_fault(plan, &error))?;
        let setup = packet_setup(plan, stack.device());
        Ok(OwnNetwork::over(stack, None, setup))
    }

    fn over_xdp<R: Recipe>(plan: &Plan, face: Face<R>) -> Result<OwnNetwork, Fault> {
        let config = XdpConfig {
            interface: plan.device.clone(),
            first_queue: plan.queue,
            mtu: plan.mtu,
            ..XdpConfig::default()
        };
        let told = config.told.clone();
        let mut builder = describe(plan)?.xdp(config);
        for gateway in &plan.gateways {
            builder = builder.gateway(*gateway);
        }
        let stack = launch(builder, face).map_err(|error| start_fault(plan, &error))?;
        let mut setup = packet_setup(plan, stack.device());
        setup.summary = format!("AF_XDP {}, mtu {}", plan.device, stack.device().mtu);
        let mode = told.get();
        let how = mode.map_or(String::new(), |mode| format!("; {mode}"));
        let summary = format!("{}, queue {}{how}", setup.summary, plan.queue);
        setup.steps.splice(..1, [Step::new("device", summary)]);
        if mode.is_some_and(|mode| !mode.native) {
            setup.notice = Some(
                "the driver runs no XDP programs: large packets of senders on this machine are lost"
                    .into(),
            );
        }
        Ok(OwnNetwork::over(stack, None, setup))
    }

    fn over_pipe<R: Recipe>(
        plan: &Plan,
        face: Face<R>,
        why: &io::Error,
    ) -> Result<OwnNetwork, Fault> {
        if !plan.auth.is_empty() {
            return Err(Fault::run(
                "--auth: without a device there is no peer to protect",
                "run it as root, so that it can make a TUN device, or leave --auth out",
            ));
        }
        let config = memory::PipeConfig { mtu: plan.mtu, offload: true };
        let (near, mut far) = memory::pair_of(config, (plan.shards.into(), 1));
        let failed = |error: io::Error| start_fault(plan, &error);
        let stack = launch(describe(plan)?.memory_queues(near), face).map_err(failed)?;
        let clients = Plan { stack: plan.kernel.clone(), shards: 1, pin: false, ..plan.clone() };
        let dialer = describe(&clients)?.memory(far.remove(0)).name("usertcp-client");
        let dialer = dialer.start().map_err(failed)?;
        let server = plan.stack.first().map_or(Ipv4Addr::LOCALHOST.into(), |cidr| cidr.address);
        Ok(OwnNetwork::over(stack, Some((dialer, server)), pipe_setup(plan, why)))
    }

    fn over(stack: Stack, dialer: Option<(Stack, IpAddr)>, setup: Setup) -> OwnNetwork {
        let facts = Arc::new(OwnFacts { start: Instant::now(), stack: stack.clone() });
        OwnNetwork { stack, dialer, setup, facts }
    }

    /// The stack itself.
    pub fn stack(&self) -> &Stack {
        &self.stack
    }
}

fn launch<R: Recipe>(builder: Builder, face: Face<R>) -> io::Result<Stack> {
    match face {
        Face::Sockets => builder.start(),
        Face::Native(recipe) => builder.run_native_each(move |_| recipe.clone().make()),
    }
}

/// Everything but the device.
fn describe(plan: &Plan) -> Result<Builder, Fault> {
    let algorithm = match plan.congestion {
        Congestion::Reno => Algorithm::Reno,
        Congestion::Cubic => Algorithm::Cubic,
    };
    let memory = usize::try_from(plan.memory_octets).unwrap_or(usize::MAX);
    // Answers are written in one piece: there is nothing to gather for.
    let ecn = match plan.ecn {
        Ecn::Off => EcnMode::Off,
        Ecn::Accept => EcnMode::Accept,
        Ecn::Ask => EcnMode::Ask,
        Ecn::AcceptAccurate => EcnMode::AcceptAccurate,
        Ecn::Accurate => EcnMode::AskAccurate,
    };
    let settings = Settings { no_delay: true, ecn, ..Settings::default() };
    let builder = Stack::builder()
        .addresses(parsed(&plan.stack)?)
        .algorithm(algorithm)
        .settings(settings)
        .limits(Limits::default())
        .memory_budget(memory)
        .shards(plan.shards)
        .pin(plan.pin)
        .busy_poll(plan.busy_poll);
    let builder = match plan.profile {
        WireProfile::Own => builder,
        WireProfile::Linux => builder.linux_manner(),
    };
    let builder = plan.auth.iter().cloned().fold(builder, Builder::auth_key);
    let builder = match plan.rate_octets_per_second {
        Some(rate) => builder.rate_limit(rate),
        None => builder,
    };
    Ok(match plan.total_rate_octets_per_second {
        Some(rate) => builder.total_rate_limit(rate),
        None => builder,
    })
}

/// The same addresses as another crate's type writes them.
fn parsed<T: std::str::FromStr>(list: &[crate::cidr::Cidr]) -> Result<Vec<T>, Fault> {
    list.iter()
        .map(|cidr| {
            cidr.to_string().parse().map_err(|_| {
                Fault::usage(format!("{cidr}: no address a host may have"), "choose another")
            })
        })
        .collect()
}

fn lacks_device(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound)
}

/// What went wrong and what to do: as the device tells it in two lines, with this command's own
/// options where they are the remedy.
fn start_fault(plan: &Plan, error: &io::Error) -> Fault {
    let text = error.to_string();
    let (what, remedy) = text.split_once('\n').unwrap_or((&text, "see usertcp --help"));
    let what = match what.contains(&plan.device) {
        true => what.to_owned(),
        false => format!("{}: {what}", plan.device),
    };
    let remedy = match error.kind() {
        io::ErrorKind::ResourceBusy | io::ErrorKind::AlreadyExists => {
            "stop the program that has the device, or choose another with --dev"
        }
        io::ErrorKind::AddrInUse if plan.kind == DeviceKind::Tun => {
            "choose other addresses with --addr and --peer"
        }
        _ => remedy,
    };
    Fault::run(what, remedy)
}

fn queues(plan: &Plan) -> String {
    match plan.shards {
        1 => String::new(),
        shards => format!(", {shards} queues"),
    }
}

fn tun_setup(plan: &Plan, offload: bool) -> Setup {
    let offload = if offload { ", offload" } else { "" };
    let offload = format!("{offload}{}", queues(plan));
    let mut steps =
        vec![Step::new("device", format!("TUN {}, mtu {}{offload}", plan.device, plan.mtu))];
    steps.extend(plan.kernel.iter().map(|cidr| Step::new("kernel side", cidr.to_string())));
    steps.extend(plan.stack.iter().map(|cidr| Step::new("stack", cidr.to_string())));
    Setup {
        summary: format!("TUN {}, mtu {}{offload}", plan.device, plan.mtu),
        steps,
        addresses: plan.stack.iter().map(|cidr| cidr.address).collect(),
        notice: None,
    }
}

fn packet_setup(plan: &Plan, device: DeviceFacts) -> Setup {
    let queues = queues(plan);
    let summary = format!("AF_PACKET {}, mtu {}, offload{queues}", plan.device, device.mtu);
    let mut steps = vec![Step::new("device", summary.clone())];
    if let Medium::Ethernet { mac } = device.medium {
        let [a, b, c, d, e, f] = mac;
        let text = format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
        steps.push(Step::new("link address", text));
    }
    steps.extend(plan.gateways.iter().map(|gateway| Step::new("gateway", gateway.to_string())));
    steps.extend(plan.stack.iter().map(|cidr| Step::new("stack", cidr.to_string())));
    Setup {
        summary,
        steps,
        addresses: plan.stack.iter().map(|cidr| cidr.address).collect(),
        notice: None,
    }
}

fn pipe_setup(plan: &Plan, why: &io::Error) -> Setup {
    let reason = why.to_string();
    let reason = reason.lines().next().unwrap_or_default().to_owned();
    Setup {
        summary: format!("in-memory pipe, mtu {}", plan.mtu),
        steps: vec![
            Step::new("device", "none: two stacks joined by a pipe in memory"),
            Step::new("published", "on the kernel's loopback, stream by stream"),
        ],
        addresses: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
        notice: Some(format!(
            "{reason}; the same stack runs over a pipe in memory and is published on 127.0.0.1"
        )),
    }
}

impl Acceptor for TcpListener {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        TcpListener::accept(self).await
    }
}

impl Network for OwnNetwork {
    type Stream = TcpStream;
    type Acceptor = TcpListener;
    type Facts = OwnFacts;

    fn setup(&self) -> &Setup {
        &self.setup
    }

    async fn listen(&self, port: u16, fast_open: FastOpen) -> io::Result<TcpListener> {
        let address = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
        let fast_open = (fast_open == FastOpen::On).then(FastOpenListen::default);
        let options = ListenOptions { fast_open, ..ListenOptions::default() };
        TcpListener::bind_with(&self.stack, address, options).await
    }

    async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(&self.stack, to).await
    }

    async fn connect_with_data(
        &self,
        to: SocketAddr,
        data: &[u8],
    ) -> io::Result<(TcpStream, usize)> {
        TcpStream::connect_with_data(&self.stack, to, ConnectOptions::default(), data).await
    }

    async fn reachable_at(&self, port: u16, kernel_port: u16) -> io::Result<Vec<SocketAddr>> {
        let Some((dialer, server)) = self.dialer.clone() else {
            let addresses = self.setup.addresses.iter();
            return Ok(addresses.map(|address| SocketAddr::new(*address, port)).collect());
        };
        let outside = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, kernel_port)).await;
        let outside = outside.map_err(|error| {
            io::Error::new(error.kind(), format!("127.0.0.1:{kernel_port} of the kernel: {error}"))
        })?;
        let at = outside.local_addr()?;
        tokio::spawn(bridge::publish(outside, move |_| {
            let dialer = dialer.clone();
            async move { TcpStream::connect(&dialer, SocketAddr::new(server, port)).await }
        }));
        Ok(vec![at])
    }

    fn facts(&self) -> Arc<OwnFacts> {
        self.facts.clone()
    }

    async fn stop(self) {
        // Joining threads blocks: not for a runtime's worker.
        let _ = tokio::task::spawn_blocking(move || {
            self.stack.shutdown();
            if let Some((dialer, _)) = self.dialer {
                dialer.shutdown();
            }
        })
        .await;
    }
}

/// What the stack tells.
pub struct OwnFacts {
    start: Instant,
    stack: Stack,
}

impl LiveFacts for OwnFacts {
    async fn snapshot(&self, rows: usize) -> Snapshot {
        let snapshot = self.stack.snapshot();
        let connections = self.stack.connections(rows).await.unwrap_or_default();
        let asked = self.stack.run_each(|shard| (shard.now(), shard.connections().len())).await;
        let asked = asked.unwrap_or_default();
        // Shards have one clock.
        let now = asked.iter().map(|(now, _)| *now).max().unwrap_or_default();
        let total: usize = asked.iter().map(|(_, count)| count).sum();
        let shards = match self.stack.shards() {
            1 => Vec::new(),
            _ => self.stack.snapshots().iter().map(shard_row).collect(),
        };
        Snapshot {
            uptime: self.start.elapsed(),
            counters: facts::counts(&snapshot.counters),
            drops: facts::drops(&snapshot.counters),
            memory: Memory {
                used_octets: snapshot.memory.used_octets as u64,
                peak_octets: snapshot.memory.peak_octets as u64,
                budget_octets: snapshot.memory.budget_octets as u64,
            },
            shards,
            connections_total: total as u64,
            connections: connections.iter().map(|connection| row(now, connection)).collect(),
        }
    }
}

fn shard_row(snapshot: &usertcp::Snapshot) -> ShardRow {
    ShardRow {
        connections: snapshot.connections as u64,
        packets_in: snapshot.counters.packets_in,
        packets_out: snapshot.counters.packets_out,
        steered_in: snapshot.counters.steered_in,
        steered_out: snapshot.counters.steered_out,
    }
}

fn row(now: usertcp::Instant, connection: &usertcp::ConnectionRow) -> ConnectionRow {
    let micros = |span: usertcp::Span| span.as_micros();
    let (shard, id) = (connection.shard, connection.id);
    let id = format!("{shard}.{}.{}", id.slot, id.generation);
    let (state, local, remote) = (connection.state.label(), connection.local, connection.remote);
    let Some(info) = &connection.info else {
        return ConnectionRow {
            id,
            state,
            local,
            remote,
            age: Duration::ZERO,
            rtt_us: None,
            cwnd_octets: 0,
            in_flight_octets: 0,
            peer_window_octets: 0,
            send_queue_octets: 0,
            receive_queue_octets: 0,
            octets_in: 0,
            octets_out: 0,
            retransmits: 0,
            limiter: usertcp::Limiter::NAMES[usertcp::Limiter::Application as usize],
            limited_us: [0; usertcp::Limiter::COUNT],
        };
    };
    ConnectionRow {
        id,
        state,
        local,
        remote,
        age: Duration::from_micros(micros(now.since(info.established))),
        rtt_us: (!info.srtt.is_zero()).then(|| micros(info.srtt)),
        cwnd_octets: info.congestion_window_octets.into(),
        in_flight_octets: info.in_flight_octets.into(),
        peer_window_octets: info.peer_window_octets.into(),
        send_queue_octets: info.send_queue_octets.into(),
        receive_queue_octets: info.receive_queue_octets.into(),
        octets_in: info.octets_received,
        octets_out: info.octets_acknowledged,
        retransmits: info.retransmissions.into(),
        limiter: usertcp::Limiter::NAMES[info.limiter as usize],
        limited_us: info.limited.map(micros),
    }
}
