//! A stack to be described, and its start.
//!
//! Owns: what can be chosen, and the defaults. Must not know: how any of it works.

mod seats;
mod source;

use crate::memory::ThreadPipe;
use crate::native::Handler;
use crate::runtime::commands::lock;
use crate::runtime::launch;
#[cfg(feature = "local")]
use crate::runtime::launch::Parts;
use crate::runtime::worker::{Control, Manners};
use crate::sockets::driver::Driver;
use crate::sockets::hub::Hub;
use crate::stack::Stack;
use seats::Observers;
use source::{MakeQueue, Source, queues_of};
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use usertcp_base::{Limits, Observer, Rate, Span};
use usertcp_cc::{Algorithm, AnyController, CongestionController, PathStart};
use usertcp_device::{Device, Queue};
use usertcp_device_linux::packet::PacketConfig;
use usertcp_device_linux::tun::TunConfig;
use usertcp_device_linux::xdp::XdpConfig;
use usertcp_frame::PoolConfig;
use usertcp_ip::Cidr;
use usertcp_stack::{AuthKey, Profile};
use usertcp_tcp::Settings;

/// What a local stack is made of.
#[cfg(feature = "local")]
pub(crate) struct Local {
    pub(crate) engine: Box<dyn crate::engine::Engine>,
    pub(crate) clock: crate::runtime::clock::Clock,
    pub(crate) doorbell: Arc<crate::runtime::doorbell::Doorbell>,
    pub(crate) device: usertcp_device::DeviceFacts,
    pub(crate) manners: Manners,
}

/// Describes a stack. Everything but a device and an address has a default.
///
/// `C` is the congestion controller and `O` the observer of its connections; neither appears in
/// the types of what is started.
pub struct Builder<C = AnyController, O = ()> {
    profile: Profile<C>,
    observers: Observers<O>,
    choices: Choices,
}

/// All that can be chosen of a stack but what its connections start with and who observes them.
struct Choices {
    name: String,
    device: Source,
    addresses: Vec<Cidr>,
    gateways: Vec<IpAddr>,
    seed: Option<[u8; 32]>,
    limits: Limits,
    memory: PoolConfig,
    auth: Vec<AuthKey>,
    shards: u16,
    total_rate: Rate,
    pin: bool,
    manners: Manners,
}

impl Builder<AnyController, ()> {
    pub(crate) fn new() -> Self {
        let choices = Choices {
            name: "usertcp".into(),
            device: Source::None,
            addresses: Vec::new(),
            gateways: Vec::new(),
            seed: None,
            limits: Limits::default(),
            memory: PoolConfig::default(),
            auth: Vec::new(),
            shards: 1,
            total_rate: Rate::UNLIMITED,
            pin: false,
            manners: Manners { busy_poll: Span::ZERO, linger: Span::from_millis(500) },
        };
        let observers = Observers::Each(Box::new(|_| ()));
        Builder { profile: Profile::default(), observers, choices }
    }
}

impl<O: Observer + Send + 'static> Builder<AnyController, O> {
    /// The congestion control of connections that are not told otherwise. Default: CUBIC.
    #[must_use]
    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.profile.controller = match algorithm {
            Algorithm::Reno => |path| AnyController::start_with(Algorithm::Reno, path),
            Algorithm::Cubic => |path| AnyController::start_with(Algorithm::Cubic, path),
        };
        self
    }
}

impl<C, O> Builder<C, O>
where
    C: CongestionController + 'static,
    O: Observer + Send + 'static,
{
    /// Adds an address of the stack, with its network's prefix. At least one is needed.
    #[must_use]
    pub fn address(mut self, address: Cidr) -> Self {
        self.choices.addresses.push(address);
        self
    }

    /// Adds addresses.
    #[must_use]
    pub fn addresses(mut self, addresses: impl IntoIterator<Item = Cidr>) -> Self {
        self.choices.addresses.extend(addresses);
        self
    }

    /// Runs over a TUN interface, where the kernel's own programs are the peers. Its `addresses`
    /// are the kernel's side. Each shard has a queue, whatever its `queues` says.
    #[must_use]
    pub fn tun(self, config: TunConfig) -> Self {
        self.device(config)
    }

    /// Runs over a device that opens a queue for each shard.
    #[must_use]
    pub fn device<D>(mut self, device: D) -> Self
    where
        D: Device + Send + 'static,
        io::Error: From<D::Error>,
    {
        self.choices.device = Source::Device(Box::new(move |rule| queues_of(device, rule)));
        self
    }

    /// On an Ethernet: who carries packets to other networks than those of the stack's addresses. The
    /// first of each family counts.
    #[must_use]
    pub fn gateway(mut self, gateway: IpAddr) -> Self {
        self.choices.gateways.push(gateway);
        self
    }

    /// Runs over packet sockets on an Ethernet interface, beside the kernel's own stack, whose peers are
    /// the hosts of that network. `config.addresses` may be left empty: they are the stack's, which
    /// must be none of the kernel's. Each shard has a socket, and with several one more for neighbours.
    #[must_use]
    pub fn packet(mut self, config: PacketConfig) -> Self {
        self.choices.device = Source::Packet(config);
        self
    }

    /// Runs over AF_XDP on an Ethernet interface: packets to and from the stack's addresses pass by
    /// the kernel, in the stack's own frames. `config.take` may be left empty: then it is the
    /// stack's addresses, which must be none of the kernel's. For a stack of one shard: answers of neighbours
    /// reach one queue. The packet memory is registered with the kernel, and takes its room at once.
    #[must_use]
    pub fn xdp(mut self, config: XdpConfig) -> Self {
        self.choices.device = Source::Xdp(config);
        self
    }

    /// Runs over one end of a pipe, at whose other end is another stack of this process.
    #[must_use]
    pub fn memory(self, end: ThreadPipe) -> Self {
        self.memory_queues(vec![end])
    }

    /// The same with a queue for each shard.
    #[must_use]
    pub fn memory_queues(mut self, ends: Vec<ThreadPipe>) -> Self {
        self.choices.device = Source::Memory(ends);
        self
    }

    /// Runs over any queue. `make` is called on the stack's thread, where the queue stays. A queue
    /// without a wait handle is asked for packets only when something else wakes the stack: give
    /// it a handle, or [`Builder::busy_poll`]. For a stack of one shard; see [`Builder::device`].
    #[must_use]
    pub fn queue<Q: Queue + 'static>(
        mut self,
        make: impl FnOnce() -> io::Result<Q> + Send + 'static,
    ) -> Self {
        let make: MakeQueue = Box::new(move || Ok(Box::new(make()?)));
        self.choices.device = Source::Queue(make);
        self
    }

    /// Runs a congestion controller of the program's own.
    #[must_use]
    pub fn controller<D: CongestionController + 'static>(
        self,
        start: fn(&PathStart) -> D,
    ) -> Builder<D, O> {
        let profile = Profile { settings: self.profile.settings, controller: start };
        Builder { profile, observers: self.observers, choices: self.choices }
    }

    /// Has `observer` told every event of every connection, on the stack's thread. For a stack of one
    /// shard; see [`Builder::observer_each`].
    #[must_use]
    pub fn observer<P: Observer + Send + 'static>(self, observer: P) -> Builder<C, P> {
        self.observers(Observers::One(observer))
    }

    /// Has an observer for each shard told every event of its connections, on its thread. `make` is called with
    /// the shard's index.
    #[must_use]
    pub fn observer_each<P: Observer + Send + 'static>(
        self,
        make: impl Fn(usize) -> P + Send + 'static,
    ) -> Builder<C, P> {
        self.observers(Observers::Each(Box::new(make)))
    }

    fn observers<P>(self, observers: Observers<P>) -> Builder<C, P> {
        Builder { profile: self.profile, observers, choices: self.choices }
    }

    /// What connections start with.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.profile.settings = settings;
        self
    }

    /// Looks like Linux on the wire, where the standards leave a choice: delayed acknowledgements,
    /// bursts and PSH, SYNs before it gives up. Other settings stay as they are.
    #[must_use]
    pub fn linux_manner(mut self) -> Self {
        let linux = Settings::linux();
        let settings = &mut self.profile.settings;
        (settings.manner, settings.syn_retries) = (linux.manner, linux.syn_retries);
        self
    }

    /// Protects connections by a key (TCP-AO, RFC 5925, or the MD5 option, RFC 2385). Keys can be added
    /// and taken away later: [`Context::add_auth_key`](crate::Context::add_auth_key), through
    /// [`Stack::run`], or [`Stack::run_each`] with several shards.
    #[must_use]
    pub fn auth_key(mut self, key: AuthKey) -> Self {
        self.choices.auth.push(key);
        self
    }

    /// What each connection may send, until it is told otherwise: octets per second of packets that carry data or
    /// FIN, from the IP header on, whatever is retransmitted included.
    #[must_use]
    pub fn rate_limit(mut self, octets_per_second: u64) -> Self {
        self.profile.settings.rate_limit = Rate::from_octets_per_second(octets_per_second);
        self
    }

    /// Whether a connection with a rate limit of its own is told that it may write when what it writes may leave, and not
    /// ahead of that ([`Settings::write_when_due`](usertcp_tcp::Settings::write_when_due)): with very many limited
    /// connections what waits is most of their memory, and of the time that a packet takes.
    #[must_use]
    pub fn write_when_due(mut self, when_due: bool) -> Self {
        self.profile.settings.write_when_due = when_due;
        self
    }

    /// What all connections may send together, counted likewise. Of several shards each has what it needs of it.
    /// [`Stack::set_total_rate_limit`] changes it.
    #[must_use]
    pub fn total_rate_limit(mut self, octets_per_second: u64) -> Self {
        self.choices.total_rate = Rate::from_octets_per_second(octets_per_second);
        self
    }

    /// Divides the stack's connections among `count` shards, each with a thread and a queue of the
    /// device. Default: one. A connection stays at one shard for its life; which one, is a keyed hash
    /// of its addresses and ports. Where the device delivers a packet to another shard's queue, it
    /// crosses one ring.
    ///
    /// Listeners listen at all shards, and streams do not tell where they are. [`Builder::memory_budget`] and
    /// the bounds of [`Builder::limits`] that count connections, half-open and TIME-WAIT records, fragments and
    /// unasked answers are those of the whole stack, and divided evenly: as the hash is even but not exact, one
    /// shard's part may be used up a little before another's. Backlogs of listeners are divided likewise.
    /// What is remembered of hosts (paths, cookies they gave us) is remembered by each shard.
    #[must_use]
    pub fn shards(mut self, count: u16) -> Self {
        self.choices.shards = count;
        self
    }

    /// Keeps each shard's thread on a core of its own, as far as there are enough that the process may use.
    /// Default: off, the system moves threads as it likes.
    #[must_use]
    pub fn pin(mut self, pin: bool) -> Self {
        self.choices.pin = pin;
        self
    }

    /// Every bound of the stack.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.choices.limits = limits;
        self
    }

    /// Memory for packets and queues, in all. Default: 64 MiB, touched only as it is needed.
    #[must_use]
    pub fn memory_budget(mut self, octets: usize) -> Self {
        self.choices.memory.octets = octets;
        self
    }

    /// Looks for work for this long before it sleeps. Default: zero, sleep at once. It saves the
    /// time a sleeping thread takes to wake (some 20 µs across cores) and costs a core.
    #[must_use]
    pub fn busy_poll(mut self, time: Duration) -> Self {
        self.choices.manners.busy_poll = span(time);
        self
    }

    /// How long connections may take to close when the stack is shut down. Default: 500 ms.
    #[must_use]
    pub fn linger(mut self, time: Duration) -> Self {
        self.choices.manners.linger = span(time);
        self
    }

    /// Fixes what would be drawn from the system's entropy: initial sequence numbers, ports,
    /// hashes. For tests only: an outsider who knows it can forge segments.
    #[must_use]
    pub fn seed(mut self, seed: [u8; 32]) -> Self {
        self.choices.seed = Some(seed);
        self
    }

    /// Names the thread; several get a number behind it. Default: `usertcp`.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.choices.name = name.into();
        self
    }

    /// Starts the stack for [`TcpListener`](crate::TcpListener) and
    /// [`TcpStream`](crate::TcpStream).
    ///
    /// # Errors
    /// `InvalidInput` without a device or an address, with keys that exclude each other, or with more or
    /// fewer queues than shards; what the device says, with an [`OpenError`](crate::OpenError) inside for TUN; what the system says when it has no thread or entropy left.
    pub fn start(self) -> io::Result<Stack> {
        let controls = launch::controls(usize::from(self.choices.shards))?;
        let octets = self.choices.memory.octets / controls.len().max(1);
        let hub = |control: &Arc<Control>| {
            Arc::new(Hub::new(Arc::clone(&control.doorbell), octets, &self.choices.limits))
        };
        let hubs: Vec<_> = controls.iter().map(hub).collect();
        let drivers = hubs.clone();
        let driver = move |index: usize, super_segments| {
            let hub = drivers.get(index).map(Arc::clone);
            let hub = hub.ok_or_else(|| missing("there is no such shard"))?;
            Ok(Driver::new(hub, super_segments))
        };
        self.launch(controls, hubs.into_iter().map(Some).collect(), driver)
    }

    /// Starts the stack with `handler` on its thread. For a stack of one shard; see
    /// [`Builder::run_native_each`].
    ///
    /// # Errors
    /// As [`Builder::start`]; `InvalidInput` with several shards.
    pub fn run_native<H: Handler + Send>(self, handler: H) -> io::Result<Stack> {
        self.run_native_with(move || handler)
    }

    /// The same with a handler that is made on the stack's thread and need not be `Send`.
    ///
    /// # Errors
    /// As [`Builder::run_native`].
    pub fn run_native_with<H: Handler>(
        self,
        make: impl FnOnce() -> H + Send + 'static,
    ) -> io::Result<Stack> {
        if self.choices.shards > 1 {
            return Err(missing("several shards need a handler each"));
        }
        let controls = launch::controls(usize::from(self.choices.shards))?;
        let make = Mutex::new(Some(make));
        self.launch(controls, vec![None], move |_, _| {
            let make = lock(&make).take();
            make.map(|make| make()).ok_or_else(|| missing("several shards need a handler each"))
        })
    }

    /// Starts the stack with a handler for each shard, made by `make` on its thread, with the shard's index.
    ///
    /// A listener listens at its shard only: each handler is to make its own, and gets the connections that
    /// are its shard's. A connection that a handler opens without a local port is its shard's.
    ///
    /// # Errors
    /// As [`Builder::start`].
    pub fn run_native_each<H: Handler>(
        self,
        make: impl Fn(usize) -> H + Send + Sync + 'static,
    ) -> io::Result<Stack> {
        let controls = launch::controls(usize::from(self.choices.shards))?;
        let hubs = controls.iter().map(|_| None).collect();
        self.launch(controls, hubs, move |index, _| Ok(make(index)))
    }

    /// Makes the stack for tasks of this thread: inside of a current-thread Tokio runtime whose I/O is
    /// enabled. The driver is to be spawned there (`tokio::task::spawn_local`).
    ///
    /// # Errors
    /// As [`Builder::start`].
    ///
    /// # Panics
    /// Outside of a runtime, as Tokio's sockets do.
    #[cfg(feature = "local")]
    pub fn start_local(self) -> io::Result<(crate::LocalStack, crate::LocalDriver)> {
        if self.choices.shards > 1 {
            return Err(missing("a local stack is one shard: start one in each thread"));
        }
        let manners = self.choices.manners;
        let controls = launch::controls(1)?;
        let mut seats = self.seats(controls, vec![None], |_, _| Ok(()))?;
        let seat = seats.pop().ok_or_else(|| missing("a stack has 1 to 256 shards"))?;
        let Parts { engine, device, .. } = (seat.make)(&seat.control)?;
        let Control { clock, doorbell, .. } = &*seat.control;
        let (clock, doorbell) = (*clock, Arc::clone(doorbell));
        crate::LocalStack::start(Local { engine, clock, doorbell, device, manners })
    }

    fn launch<H: Handler>(
        self,
        controls: Vec<Arc<Control>>,
        hubs: Vec<Option<Arc<Hub>>>,
        handler: impl Fn(usize, bool) -> io::Result<H> + Send + Sync + 'static,
    ) -> io::Result<Stack> {
        let manners = self.choices.manners;
        launch::launch(self.seats(controls, hubs, handler)?, manners)
    }
}

pub(crate) fn missing(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

fn span(time: Duration) -> Span {
    Span::from_micros(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}
