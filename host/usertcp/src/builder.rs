//! A stack to be described, and its start.
//!
//! Owns: what can be chosen, and the defaults. Must not know: how any of it works.

use crate::engine::shard::Machine;
use crate::memory::ThreadPipe;
use crate::native::Handler;
use crate::runtime::launch::{self, Parts};
use crate::runtime::worker::{Control, Manners};
use crate::sockets::driver::Driver;
use crate::sockets::hub::Hub;
use crate::stack::Stack;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use usertcp_base::{Limits, Observer, Rate, Span};
use usertcp_cc::{Algorithm, AnyController, CongestionController, PathStart};
use usertcp_device::Queue;
use usertcp_device_linux::packet::{self, Packet, PacketConfig};
use usertcp_device_linux::tun::{OpenError, Tun, TunConfig};
use usertcp_frame::PoolConfig;
use usertcp_ip::Cidr;
use usertcp_stack::{AuthKey, Profile, Shard, ShardConfig};
use usertcp_tcp::Settings;

/// Makes the device's queue, on the stack's thread.
type MakeQueue = Box<dyn FnOnce() -> io::Result<Box<dyn Queue>> + Send>;

/// Where packets come from and go to.
enum Device {
    None,
    Tun(TunConfig),
    Packet(PacketConfig),
    Memory(ThreadPipe),
    Queue(MakeQueue),
}

/// Describes a stack. Everything but a device and an address has a default.
///
/// `C` is the congestion controller and `O` the observer of its connections; neither appears in
/// the types of what is started.
pub struct Builder<C = AnyController, O = ()> {
    name: String,
    device: Device,
    addresses: Vec<Cidr>,
    gateways: Vec<IpAddr>,
    seed: Option<[u8; 32]>,
    limits: Limits,
    memory: PoolConfig,
    profile: Profile<C>,
    auth: Vec<AuthKey>,
    observer: O,
    busy_poll: Span,
    linger: Span,
}

impl Builder<AnyController, ()> {
    pub(crate) fn new() -> Self {
        Builder {
            name: "usertcp".into(),
            device: Device::None,
            addresses: Vec::new(),
            gateways: Vec::new(),
            seed: None,
            limits: Limits::default(),
            memory: PoolConfig::default(),
            profile: Profile::default(),
            auth: Vec::new(),
            observer: (),
            busy_poll: Span::ZERO,
            linger: Span::from_millis(500),
        }
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
        self.addresses.push(address);
        self
    }

    /// Adds addresses.
    #[must_use]
    pub fn addresses(mut self, addresses: impl IntoIterator<Item = Cidr>) -> Self {
        self.addresses.extend(addresses);
        self
    }

    /// On an Ethernet: who carries packets to other networks than those of the stack's addresses. The
    /// first of each family counts.
    #[must_use]
    pub fn gateway(mut self, gateway: IpAddr) -> Self {
        self.gateways.push(gateway);
        self
    }

    /// Runs over a TUN interface, where the kernel's own programs are the peers. Its `addresses`
    /// are the kernel's side. One queue is used.
    #[must_use]
    pub fn tun(mut self, config: TunConfig) -> Self {
        self.device = Device::Tun(TunConfig { queues: 1, ..config });
        self
    }

    /// Runs over packet sockets on an Ethernet interface, beside the kernel's own stack, whose peers are
    /// the hosts of that network. `config.addresses` may be left empty: they are the stack's, which
    /// must be none of the kernel's. One socket is used.
    #[must_use]
    pub fn packet(mut self, config: PacketConfig) -> Self {
        self.device = Device::Packet(PacketConfig { queues: 1, ..config });
        self
    }

    /// Runs over one end of a pipe, at whose other end is another stack of this process.
    #[must_use]
    pub fn memory(mut self, end: ThreadPipe) -> Self {
        self.device = Device::Memory(end);
        self
    }

    /// Runs over any queue. `make` is called on the stack's thread, where the queue stays. A queue
    /// without a wait handle is asked for packets only when something else wakes the stack: give
    /// it a handle, or [`Builder::busy_poll`].
    #[must_use]
    pub fn queue<Q: Queue + 'static>(
        mut self,
        make: impl FnOnce() -> io::Result<Q> + Send + 'static,
    ) -> Self {
        let make: MakeQueue = Box::new(move || Ok(Box::new(make()?)));
        self.device = Device::Queue(make);
        self
    }

    /// Runs a congestion controller of the program's own.
    #[must_use]
    pub fn controller<D: CongestionController + 'static>(
        self,
        start: fn(&PathStart) -> D,
    ) -> Builder<D, O> {
        Builder {
            profile: Profile { settings: self.profile.settings, controller: start },
            name: self.name,
            device: self.device,
            addresses: self.addresses,
            gateways: self.gateways,
            seed: self.seed,
            limits: self.limits,
            memory: self.memory,
            auth: self.auth,
            observer: self.observer,
            busy_poll: self.busy_poll,
            linger: self.linger,
        }
    }

    /// Has `observer` told every event of every connection, on the stack's thread.
    #[must_use]
    pub fn observer<P: Observer + Send + 'static>(self, observer: P) -> Builder<C, P> {
        Builder {
            observer,
            name: self.name,
            device: self.device,
            addresses: self.addresses,
            gateways: self.gateways,
            seed: self.seed,
            limits: self.limits,
            memory: self.memory,
            auth: self.auth,
            profile: self.profile,
            busy_poll: self.busy_poll,
            linger: self.linger,
        }
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
    /// [`Stack::run`].
    #[must_use]
    pub fn auth_key(mut self, key: AuthKey) -> Self {
        self.auth.push(key);
        self
    }

    /// Payload octets per second each connection may send, until it is told otherwise.
    #[must_use]
    pub fn rate_limit(mut self, octets_per_second: u64) -> Self {
        self.profile.settings.rate_limit = Rate::from_octets_per_second(octets_per_second);
        self
    }

    /// Every bound of the stack.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Memory for packets and queues, in all. Default: 64 MiB, touched only as it is needed.
    #[must_use]
    pub fn memory_budget(mut self, octets: usize) -> Self {
        self.memory.octets = octets;
        self
    }

    /// Looks for work for this long before it sleeps. Default: zero, sleep at once. It saves the
    /// time a sleeping thread takes to wake (some 20 µs across cores) and costs a core.
    #[must_use]
    pub fn busy_poll(mut self, time: Duration) -> Self {
        self.busy_poll = span(time);
        self
    }

    /// How long connections may take to close when the stack is shut down. Default: 500 ms.
    #[must_use]
    pub fn linger(mut self, time: Duration) -> Self {
        self.linger = span(time);
        self
    }

    /// Fixes what would be drawn from the system's entropy: initial sequence numbers, ports,
    /// hashes. For tests only: an outsider who knows it can forge segments.
    #[must_use]
    pub fn seed(mut self, seed: [u8; 32]) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Names the thread. Default: `usertcp`.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Starts the stack for [`TcpListener`](crate::TcpListener) and
    /// [`TcpStream`](crate::TcpStream).
    ///
    /// # Errors
    /// `InvalidInput` without a device or an address, or with keys that exclude each other; what the device says, with an
    /// [`OpenError`] inside for TUN; what the system says when it has no thread or entropy left.
    pub fn start(self) -> io::Result<Stack> {
        let control = launch::control()?;
        let bell = Arc::clone(&control.doorbell);
        let hub = Arc::new(Hub::new(bell, self.memory.octets, &self.limits));
        let shared = Arc::clone(&hub);
        self.launch(control, Some(hub), move |super_segments| Driver::new(shared, super_segments))
    }

    /// Starts the stack with `handler` on its thread.
    ///
    /// # Errors
    /// As [`Builder::start`].
    pub fn run_native<H: Handler + Send>(self, handler: H) -> io::Result<Stack> {
        self.run_native_with(move || handler)
    }

    /// The same with a handler that is made on the stack's thread and need not be `Send`.
    ///
    /// # Errors
    /// As [`Builder::start`].
    pub fn run_native_with<H: Handler>(
        self,
        make: impl FnOnce() -> H + Send + 'static,
    ) -> io::Result<Stack> {
        self.launch(launch::control()?, None, move |_| make())
    }

    fn launch<H: Handler>(
        self,
        control: Arc<Control>,
        hub: Option<Arc<Hub>>,
        handler: impl FnOnce(bool) -> H + Send + 'static,
    ) -> io::Result<Stack> {
        if self.addresses.is_empty() {
            return Err(missing("a stack needs at least one address"));
        }
        let seed = match self.seed {
            Some(seed) => seed,
            None => entropy()?,
        };
        let manners = Manners { busy_poll: self.busy_poll, linger: self.linger };
        let name = self.name.clone();
        launch::launch(name, control, hub, manners, move |control| {
            let queue = open(self.device, &self.addresses, control)?;
            let device = queue.facts();
            let mut config = ShardConfig::new(self.addresses, seed, device);
            config.gateways = self.gateways;
            config.limits = self.limits;
            config.pool = self.memory;
            config.checksum = usertcp_device_linux::checksum::engine();
            let mut shard = Shard::new(config, self.observer, control.clock.now())
                .map_err(|_| missing("the seed must not be all zeros"))?;
            for key in self.auth {
                let refused = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
                shard.add_auth_key(key).map_err(refused)?;
            }
            let handler = handler(device.segmentation_offload && device.checksum_offload);
            let engine = Box::new(Machine { shard, queue, profile: self.profile });
            Ok(Parts { engine, device, handler })
        })
    }
}

fn open(device: Device, addresses: &[Cidr], control: &Control) -> io::Result<Box<dyn Queue>> {
    match device {
        Device::None => Err(missing("a stack needs a device")),
        Device::Memory(end) => {
            end.attach(&control.doorbell);
            Ok(Box::new(end))
        }
        Device::Queue(make) => make(),
        Device::Packet(mut config) => {
            if config.addresses.is_empty() {
                config.addresses = addresses.iter().map(Cidr::address).collect();
            }
            let device = Packet::open(&config).map_err(packet_error)?;
            let handle = device.handles.into_iter().next();
            let handle = handle.ok_or_else(|| io::Error::other("the device has no queue"))?;
            Ok(Box::new(handle.into_queue()))
        }
        Device::Tun(config) => {
            let tun = Tun::open(&config).map_err(open_error)?;
            let handle = tun.handles.into_iter().next();
            let handle = handle.ok_or_else(|| io::Error::other("the device has no queue"))?;
            Ok(Box::new(handle.into_queue()))
        }
    }
}

fn open_error(error: OpenError) -> io::Error {
    let kind = match &error {
        OpenError::NoPermission { .. } => io::ErrorKind::PermissionDenied,
        OpenError::NoTunDevice { .. } => io::ErrorKind::NotFound,
        OpenError::Busy { .. } => io::ErrorKind::ResourceBusy,
        OpenError::AddressInUse { .. } => io::ErrorKind::AddrInUse,
        OpenError::NameTaken { .. } | OpenError::RouteTaken { .. } => io::ErrorKind::AlreadyExists,
        OpenError::BadName { .. } | OpenError::BadConfig { .. } => io::ErrorKind::InvalidInput,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

fn packet_error(error: packet::OpenError) -> io::Error {
    use packet::OpenError;
    let kind = match &error {
        OpenError::NoPermission { .. } => io::ErrorKind::PermissionDenied,
        OpenError::NoInterface { .. } => io::ErrorKind::NotFound,
        OpenError::AddressInUse { .. } => io::ErrorKind::AddrInUse,
        OpenError::Down { .. } => io::ErrorKind::NetworkDown,
        OpenError::NotEthernet { .. } | OpenError::BadConfig { .. } => io::ErrorKind::InvalidInput,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

fn missing(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

fn entropy() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(seed)
}

fn span(time: Duration) -> Span {
    Span::from_micros(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}
