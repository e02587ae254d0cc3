//! The shard as its callers see it.
//!
//! Owns: the parts of a shard, and the calls that only ask.
//! Must not know: threads, clocks, sockets.
//! Implements: DESIGN §6.0.
//!
//! Rules for callers: time never goes back. After any `handle_*` or application call, drain
//! [`Shard::poll_transmit`], then [`Shard::poll_event`], then read [`Shard::next_deadline`].
//! Nothing here calls outward and nothing blocks. [`Shard::turn`] is these calls in the right order.

use crate::config::{Birth, ShardConfig, StartError};
use crate::cookies::Cookies;
use crate::egress::Outbox;
use crate::events::{Events, ShardEvent};
use crate::fast_open::cache::CookieCache;
use crate::fast_open::keys::Keys;
use crate::greeting::Greetings;
use crate::host_cache::HostCache;
use crate::link;
use crate::listener::Listeners;
use crate::memory::Shedding;
use crate::ports::Ports;
use crate::rates::Rates;
use crate::ready::ReadyList;
use crate::steer::{Elsewhere, Seat};
use crate::table::Table;
use crate::turns::Turns;
use crate::usual::{Gathered, LastLocal, offload};
use crate::watch::Watch;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use usertcp_auth::Auth;
use usertcp_base::{
    CloseReason, ConnId, Counters, DropReason, Event, Instant, Limits, Observer, Prng, Secrets,
};
use usertcp_cc::CongestionController;
use usertcp_device::{DeviceFacts, RxBatch, TxBatch};
use usertcp_frame::{Chain, FramePool, Offload};
use usertcp_ip::{Cidr, Ip, IpConfig, Link};
use usertcp_tcp::{Answered, Env, Lags, SettingsShelf};
use usertcp_wire::checksum;
use usertcp_wire::usual::IPV4_OCTETS;

/// One core's connections, over one device queue.
///
/// It stays on its thread, and with it every connection:
///
/// ```compile_fail,E0277
/// fn travels<T: Send>() {}
/// travels::<usertcp_stack::Shard<usertcp_cc::Reno, ()>>();
/// ```
pub struct Shard<C, O> {
    pub(crate) table: Table<C>,
    pub(crate) listeners: Listeners<Birth<C>>,
    pub(crate) greetings: Greetings,
    pub(crate) common: Common<O>,
    pub(crate) ip: Ip,
    /// What is below IP, on an Ethernet.
    pub(crate) link: Option<Box<Link>>,
    pub(crate) last_local: LastLocal,
    /// Data of one flow that arrived in several packets of this burst.
    pub(crate) gathered: Option<Gathered>,
    /// Whether a short packet may be a question or an answer: nothing that came before is gathered, and when the burst
    /// came, no packet had to be authentic and memory was not tight.
    pub(crate) takes_answers: bool,
    pub(crate) device: DeviceFacts,
    pub(crate) secrets: Secrets,
    pub(crate) ports: Ports,
    pub(crate) cookies: Cookies,
    /// Fast Open: cookies we give out, and cookies we were given.
    pub(crate) fast_open_keys: Keys,
    pub(crate) fast_open_cache: CookieCache,
    /// What earlier connections found out.
    pub(crate) hosts: HostCache,
    /// Keys and sessions of protected connections.
    pub(crate) auth: Auth,
    /// Directed broadcast addresses of our networks: nobody's.
    pub(crate) broadcasts: Vec<Ipv4Addr>,
    /// Who has something to send.
    pub(crate) transmit: Turns,
    /// Who found no frame to write into.
    pub(crate) starved: ReadyList,
    /// The search for memory that can be given back.
    pub(crate) shedding: Shedding,
    /// Peers that must make progress.
    pub(crate) watch: Watch,
    /// When to look for frames again.
    pub(crate) memory_retry: Option<Instant>,
    /// Who was told of frames last found none that suits: the most octets that were in use since.
    pub(crate) vain_at_octets: Option<usize>,
    /// Rates that connections share.
    pub(crate) rates: Rates,
    /// Packets that are ready to go.
    pub(crate) outbox: Outbox,
    pub(crate) events: Events,
    /// `None` while it is being handled.
    pub(crate) rx: Option<Box<RxBatch>>,
    /// `None` while it is being filled.
    pub(crate) tx: Option<Box<TxBatch>>,
    /// Its place among several shards, and packets that belong to the others.
    pub(crate) seat: Option<Seat>,
    pub(crate) elsewhere: Elsewhere,
}

/// What calls on connections share.
pub(crate) struct Common<O> {
    pub limits: Limits,
    pub prng: Prng,
    pub counters: Counters,
    pub observer: O,
    pub pool: FramePool,
    /// Something that is seldom there may be there: what [`Shard::is_anything_unusual`] looks for. Nobody does while this
    /// is false; whoever brings such a thing about makes it true.
    pub unusual: bool,
    /// Settings of connections, shared by equals.
    pub shelf: SettingsShelf,
    pub super_segments: bool,
    /// As [`Shard::tell_lag`] told it.
    pub lags: Lags,
    /// The device completes checksums.
    pub checksum_offload: bool,
    /// What the device is told of a segment by IPv4 of the usual shape.
    pub offload_v4: Offload,
    /// Sums payload.
    pub checksum: checksum::Engine,
}

impl<O: Observer> Common<O> {
    /// The surroundings of one call on connection `id`.
    #[inline]
    pub(crate) fn env(&mut self, now: Instant, id: ConnId) -> Env<'_, O> {
        Env {
            now,
            id,
            limits: &self.limits,
            prng: &mut self.prng,
            counters: &mut self.counters,
            observer: &mut self.observer,
            pool: &self.pool,
            super_segments: self.super_segments,
            lags: &self.lags,
            ceiling: None,
        }
    }

    /// Counts packets of the device.
    #[inline(always)]
    pub(crate) fn count_packets_in(&mut self, packets: usize) {
        let counters = &mut self.counters;
        counters.packets_in = counters.packets_in.wrapping_add(packets as u64);
    }

    /// Counts a segment that arrived.
    #[inline]
    pub(crate) fn count_in(&mut self, wire_segments: u16, payload: &Chain) {
        self.count_in_octets(wire_segments, payload.len());
    }

    /// The same of so many octets.
    #[inline]
    pub(crate) fn count_in_octets(&mut self, wire_segments: u16, payload_octets: usize) {
        let counters = &mut self.counters;
        counters.segments_in = counters.segments_in.wrapping_add(u64::from(wire_segments));
        counters.payload_octets_in = counters.payload_octets_in.wrapping_add(payload_octets as u64);
    }

    /// Counts a question or an answer of so many octets, and tells of what it acknowledged.
    #[inline(always)] // nothing is told, mostly
    pub(crate) fn note_answer(
        &mut self,
        now: Instant,
        id: ConnId,
        payload_octets: usize,
        answered: Answered,
    ) {
        answered.report(|event| self.observer.on_event(Some(id), now, event));
        self.count_in_octets(1, payload_octets);
    }

    /// Counts a segment that leaves.
    #[inline]
    pub(crate) fn count_out(&mut self, payload_octets: usize) {
        let counters = &mut self.counters;
        counters.segments_out = counters.segments_out.wrapping_add(1);
        counters.payload_octets_out =
            counters.payload_octets_out.wrapping_add(payload_octets as u64);
    }

    /// Counts messages that leave, but for their octets.
    #[inline(always)]
    pub(crate) fn count_messages(&mut self, messages: usize) {
        let counters = &mut self.counters;
        counters.segments_out = counters.segments_out.wrapping_add(messages as u64);
        self.count_packets(messages);
    }

    /// Counts and reports a connection that is over.
    #[inline]
    pub(crate) fn note_end(&mut self, now: Instant, id: ConnId, reason: CloseReason) {
        self.counters.closes = self.counters.closes.wrapping_add(1);
        self.observer.on_event(Some(id), now, &Event::Closed(reason));
    }

    /// Counts `segments` with `payload_octets` in all that leave.
    #[inline]
    pub(crate) fn count_cut(&mut self, segments: u64, payload_octets: u32) {
        let counters = &mut self.counters;
        counters.segments_out = counters.segments_out.wrapping_add(segments);
        counters.payload_octets_out =
            counters.payload_octets_out.wrapping_add(u64::from(payload_octets));
    }

    /// Counts packets for the device.
    #[inline(always)]
    pub(crate) fn count_packets(&mut self, packets: usize) {
        let counters = &mut self.counters;
        counters.packets_out = counters.packets_out.wrapping_add(packets as u64);
    }

    /// Counts and reports a packet that died.
    pub(crate) fn drop_packet(&mut self, who: Option<ConnId>, now: Instant, reason: DropReason) {
        self.counters.count_drop(reason);
        self.observer.on_event(who, now, &Event::Dropped(reason));
    }
}

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// A shard without listeners or connections, whose time begins at `now`.
    pub fn new(config: ShardConfig, observer: O, now: Instant) -> Result<Shard<C, O>, StartError> {
        let secrets = Secrets::from_seed(config.seed).ok_or(StartError::NoEntropy)?;
        let link = link::open(&config, &secrets, now);
        let limits = config.limits;
        let device = config.device;
        let broadcasts = config.addresses.iter().filter_map(Cidr::broadcast).collect();
        let ip = Ip::new(IpConfig {
            addresses: config.addresses,
            mtu: device.mtu,
            limits: limits.clone(),
            secrets: secrets.clone(),
        });
        Ok(Shard {
            table: Table::new(&secrets, &limits, now),
            listeners: Listeners::new(secrets.clone(), &limits),
            greetings: Greetings::default(),
            ip,
            link,
            last_local: LastLocal::NONE,
            gathered: None,
            takes_answers: false,
            ports: Ports::new(secrets.clone(), config.ports),
            cookies: Cookies::new(secrets.clone()),
            fast_open_keys: Keys::new(&secrets),
            fast_open_cache: CookieCache::default(),
            hosts: HostCache::new(secrets.clone(), limits.hosts),
            auth: Auth::new(),
            transmit: Turns::new(
                device.segmentation_offload && device.checksum_offload,
                limits.transmits_per_turn,
            ),
            starved: ReadyList::new(),
            shedding: Shedding::default(),
            watch: Watch::default(),
            memory_retry: None,
            vain_at_octets: None,
            rates: Rates::open(&config.rate, u32::from(device.mtu), now),
            outbox: Outbox::new(),
            events: Events::default(),
            rx: Some(Box::new(RxBatch::new(usize::from(config.receive_batch.max(1))))),
            tx: Some(Box::new(TxBatch::new(usize::from(config.transmit_batch.max(1))))),
            seat: config.seat.filter(|seat| seat.rule.shards() > 1),
            elsewhere: Elsewhere::new(),
            common: Common {
                prng: secrets.prng(),
                counters: Counters::default(),
                observer,
                pool: FramePool::new(&config.pool),
                unusual: true,
                shelf: SettingsShelf::new(),
                super_segments: device.segmentation_offload && device.checksum_offload,
                lags: Lags::NONE,
                checksum_offload: device.checksum_offload,
                offload_v4: offload(device.checksum_offload, IPV4_OCTETS, None),
                checksum: config.checksum,
                limits,
            },
            device,
            broadcasts,
            secrets,
        })
    }

    /// What was flushed last, with the moment `flushed`, was at the device at `now`. Where that is late, because the processor
    /// was taken away or the device took long, rate limits make up for less to who left then: two releases of which the
    /// first came late would be ahead of their limit. Who never tells has limits as exact as the device is fast.
    pub fn tell_lag(&mut self, flushed: Instant, now: Instant) {
        if self.common.lags.tell(flushed, now) {
            self.transmit.came_late();
        }
    }

    /// What happened, one event at a time.
    #[inline]
    pub fn poll_event(&mut self) -> Option<ShardEvent> {
        self.events.poll(&mut self.table.anchors)
    }

    /// When [`Shard::handle_deadlines`] has something to do.
    pub fn next_deadline(&self) -> Option<Instant> {
        let or_far = |deadline: Option<Instant>| deadline.unwrap_or(Instant::FAR);
        let link = self.link.as_ref().and_then(|link| link.next_deadline());
        let network = or_far(self.ip.next_deadline()).min(or_far(link));
        let own = or_far(self.table.next_deadline()).min(or_far(self.watch.next_deadline()));
        let earliest = network.min(own).min(or_far(self.memory_retry));
        (earliest != Instant::FAR).then_some(earliest)
    }

    /// Whether a turn has more to look at than packets of the usual shape, and the wheel.
    #[inline(never)] // never, where there is nothing of the kind
    pub(crate) fn is_anything_unusual(&self) -> bool {
        self.link.is_some()
            || self.seat.is_some()
            || self.table.has_time_waits()
            || !self.auth.is_idle()
            || !self.rates.is_empty()
            || !self.outbox.is_empty()
            || self.ip.next_deadline().is_some()
            || !self.watch.is_empty()
            || self.memory_retry.is_some()
            || self.shedding.has_seen_any()
    }

    /// What was counted since the start.
    pub fn counters(&self) -> &Counters {
        &self.common.counters
    }

    /// Where frames come from: for applications that fill them, and devices.
    pub fn pool(&self) -> &FramePool {
        &self.common.pool
    }

    /// The bounds.
    pub fn limits(&self) -> &Limits {
        &self.common.limits
    }

    /// Who looks.
    pub fn observer(&self) -> &O {
        &self.common.observer
    }

    /// The same, to change.
    pub fn observer_mut(&mut self) -> &mut O {
        &mut self.common.observer
    }

    /// The network below.
    pub fn ip(&self) -> &Ip {
        &self.ip
    }

    /// The Ethernet below that, when the device is one.
    pub fn link(&self) -> Option<&Link> {
        self.link.as_deref()
    }

    /// Connections that are established and not over, idle or not.
    pub fn synchronised(&self) -> u32 {
        self.table.tcbs() + self.table.parked()
    }

    /// Whether there is a TCB for one that is idle, without taking another's.
    pub fn has_tcb_room(&self) -> bool {
        self.table.has_tcb_room()
    }

    /// How full the tables are.
    pub fn usage(&self) -> Usage {
        let (timers, demux) = self.table.listed();
        Usage {
            anchors: self.table.anchors.len(),
            tcbs: self.table.tcbs(),
            parked: self.table.parked(),
            moulds: self.table.moulds.len(),
            time_waits: self.table.time_waits(),
            timers,
            demux,
            listeners: self.listeners.len() as u32,
            committed_anchors: self.table.anchors.committed(),
            hosts: self.hosts.len(),
        }
    }
}

/// How full the tables of a shard are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// Records of connections in any state.
    pub anchors: u32,
    /// TCBs.
    pub tcbs: u32,
    /// Connections without one because they are idle.
    pub parked: u32,
    /// What those have in common, each kept once.
    pub moulds: u32,
    /// Records in TIME-WAIT.
    pub time_waits: u32,
    /// Records in the timer wheel.
    pub timers: u32,
    /// Flows in the demultiplexer.
    pub demux: u32,
    /// Listeners.
    pub listeners: u32,
    /// Records that memory was committed for.
    pub committed_anchors: u32,
    /// Remote hosts whose path is remembered.
    pub hosts: u32,
}
