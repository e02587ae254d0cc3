//! From what was chosen to what each shard is made of.
//!
//! Owns: the division of a stack's choices among its shards, and the making of one on its own thread.
//! Must not know: what was chosen why; threads.

use super::source::MakeQueue;
use super::{Builder, Choices, missing};
use crate::engine::Engine;
use crate::engine::shard::Machine;
use crate::plan::Plan;
use crate::rates::loans::{Loans, SharedRate};
use crate::rates::purse::{Nudges, Purse};
use crate::rates::{part, purse_of};
use crate::runtime::doorbell::Doorbell;
use crate::runtime::launch::{Parts, Seat};
use crate::runtime::mesh::{Port, mesh};
use crate::runtime::pin::pin;
use crate::runtime::worker::Control;
use crate::sockets::hub::Hub;
use std::io;
use std::sync::Arc;
use usertcp_base::{Observer, Rate, SharedKey};
#[cfg(debug_assertions)]
use usertcp_cc::AnyController;
use usertcp_cc::CongestionController;
use usertcp_device::{DeviceFacts, Queue};
use usertcp_device_linux::checksum;
use usertcp_stack::{AuthKey, Profile, Shard, ShardConfig};

/// As many as a TUN device has queues.
const MOST_SHARDS: u16 = 256;

/// What each worker is to be made of.
pub(super) type Seats<F> = Vec<Seat<F>>;

/// Who is told of events.
pub(super) enum Observers<O> {
    /// One, for a stack of one shard.
    One(O),
    /// One for each shard.
    Each(Box<dyn Fn(usize) -> O + Send>),
}

impl<O> Observers<O> {
    /// One for each of `shards`.
    fn of(self, shards: u16) -> io::Result<Vec<O>> {
        match self {
            Observers::One(observer) if shards == 1 => Ok(vec![observer]),
            Observers::One(_) => Err(missing("several shards need an observer each")),
            Observers::Each(make) => Ok((0..usize::from(shards)).map(make).collect()),
        }
    }
}

/// What a shard has to do with the others of its stack; nothing where it is the only one.
#[derive(Default)]
struct Ties {
    /// The way to them.
    port: Option<Port>,
    /// Its place among those who lend each other parts of rates.
    loans: Option<Loans>,
    /// What all of them may send.
    purse: Option<Arc<Purse>>,
}

/// The ties of `shards` that listen to `bells` and may send `rate` together.
fn ties(bells: &[Arc<Doorbell>], rate: Rate) -> Vec<Ties> {
    if bells.len() == 1 {
        return vec![Ties::default()];
    }
    let nudges = Arc::new(Nudges::new(bells));
    let purse = purse_of(rate, bells.len());
    let tie = |(index, port)| Ties {
        port: Some(port),
        loans: Some(Loans::new(index, Arc::clone(&nudges))),
        purse: purse.clone(),
    };
    mesh(bells).into_iter().enumerate().map(tie).collect()
}

/// A shard, and what its device is.
type Opened = (Box<dyn Engine>, DeviceFacts);

/// A shard before its thread has begun.
struct Unborn<C, O> {
    /// All but its device.
    config: ShardConfig,
    /// Of the cookies it gives out.
    fast_open: SharedKey,
    keys: Vec<AuthKey>,
    profile: Profile<C>,
    observer: O,
    queue: MakeQueue,
    ties: Ties,
    /// What all shards may send together.
    total_rate: Rate,
    /// The core its thread is to stay on.
    core: Option<usize>,
}

impl<C, O> Unborn<C, O>
where
    C: CongestionController + 'static,
    O: Observer + Send + 'static,
{
    /// Makes it and what works with it, on its thread. `handler` is told whether its device cuts and sums what is sent.
    fn make<H>(
        self,
        control: &Control,
        handler: impl FnOnce(bool) -> io::Result<H>,
    ) -> io::Result<Parts<H>> {
        let (engine, device) = self.engine(control)?;
        let handler = handler(device.segmentation_offload && device.checksum_offload)?;
        Ok(Parts { engine, device, handler })
    }

    /// The same, without who handles its events: not another one for each kind of them.
    fn engine(self, control: &Control) -> io::Result<Opened> {
        if let Some(core) = self.core {
            pin(core)?;
        }
        let now = control.clock.now();
        let mut queue = (self.queue)()?;
        let device = queue.facts();
        let config = ShardConfig { device, checksum: checksum::engine(), ..self.config };
        let mut shard = Shard::new(config, self.observer, now)
            .map_err(|_| missing("the seed must not be all zeros"))?;
        queue.bind(shard.pool()).map_err(io::Error::other)?;
        shard.set_fast_open_keys(self.fast_open, None);
        for key in self.keys {
            let refused = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
            shard.add_auth_key(key).map_err(refused)?;
        }
        let Ties { port, loans, purse } = self.ties;
        let mut engine = Box::new(Machine { shard, queue, port, loans, profile: self.profile });
        if purse.is_some() {
            engine.fund_rate(now, SharedRate::Shard, self.total_rate, purse)?;
        }
        Ok((engine, device))
    }
}

/// What `USUAL` in `core/stack/src/turn.rs` is for the shard, for what this crate makes of it (without it each of the tests
/// and examples here took half a minute of CPU to compile).
#[cfg(debug_assertions)]
#[used]
static USUAL: fn(Unborn<AnyController, ()>, &Control) -> io::Result<Opened> = Unborn::engine;

impl<C, O> Builder<C, O>
where
    C: CongestionController + 'static,
    O: Observer + Send + 'static,
{
    /// What each shard is to be made of, on its own thread.
    pub(super) fn seats<H: 'static>(
        self,
        controls: Vec<Arc<Control>>,
        hubs: Vec<Option<Arc<Hub>>>,
        handler: impl Fn(usize, bool) -> io::Result<H> + Send + Sync + 'static,
    ) -> io::Result<Seats<impl FnOnce(&Control) -> io::Result<Parts<H>> + Send + 'static>> {
        let names = self.choices.names();
        let unborn = self.unborn(&controls)?;
        let handler = Arc::new(handler);
        let seat = |(index, (((name, control), hub), unborn)): (usize, (_, Unborn<C, O>))| {
            let handler = Arc::clone(&handler);
            let make = move |control: &Control| unborn.make(control, |cuts| handler(index, cuts));
            Seat { name, control, hub, make }
        };
        let seats = names.into_iter().zip(controls).zip(hubs).zip(unborn);
        Ok(seats.enumerate().map(seat).collect())
    }

    /// The shards, each with its part of what was chosen.
    fn unborn(self, controls: &[Arc<Control>]) -> io::Result<Vec<Unborn<C, O>>> {
        let Builder { profile, observers, choices } = self;
        let plan = choices.plan()?;
        let Choices { device, addresses, gateways, auth, shards, total_rate, .. } = choices;
        let queues = device.open(&addresses, &plan.rule, controls)?;
        let bells: Vec<_> = controls.iter().map(|it| Arc::clone(&it.doorbell)).collect();
        let rate = part(total_rate, usize::from(shards));
        let parts = queues.into_iter().zip(ties(&bells, total_rate)).zip(observers.of(shards)?);
        let unborn = |(index, ((queue, ties), observer))| {
            let (config, fast_open) = plan.of(index, addresses.clone());
            let config = ShardConfig { gateways: gateways.clone(), rate, ..config };
            let core = choices.pin.then_some(index);
            let keys = auth.clone();
            Unborn { config, fast_open, keys, profile, observer, queue, ties, total_rate, core }
        };
        Ok(parts.enumerate().map(unborn).collect())
    }
}

impl Choices {
    /// How the stack's bounds and secrets are divided among its shards.
    fn plan(&self) -> io::Result<Plan> {
        if self.addresses.is_empty() {
            return Err(missing("a stack needs at least one address"));
        }
        if !(1..=MOST_SHARDS).contains(&self.shards) {
            return Err(missing("a stack has 1 to 256 shards"));
        }
        let seed = self.seed.map_or_else(entropy, Ok)?;
        Plan::new(seed, self.shards, &self.limits, &self.memory)
    }

    /// The threads' names.
    fn names(&self) -> Vec<String> {
        match self.shards {
            1 => vec![self.name.clone()],
            shards => (0..shards).map(|index| format!("{}-{index}", self.name)).collect(),
        }
    }
}

fn entropy() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(seed)
}
