//! A run in which whatever may be set is set, again and again, and hosts sleep.
//!
//! Owns: what a seed adds to its scenario: limits of rate, rates that are shared, keys, little memory, other settings while
//! data is under way, hosts that do not run for a while, moments at which clocks go round.
//! Must not know: how a stack works.

use crate::middlebox::Middlebox;
use crate::scenario::{Report, Scenario, address};
use crate::world::World;
use usertcp_base::{ConnId, Instant, Prng, Rate, RateGroupId, Span};
use usertcp_stack::{AuthAlgorithm, AuthKey, KeyKind, MasterKey, Scope};
use usertcp_tcp::{Manner, MtuProbing, Settings, UserTimeoutOption};

/// Moments at which a clock of a stack goes round, in microseconds: of stamps, of their half, of ticks, of their half, of
/// milliseconds, of parked records, of the seconds in these.
const ROUNDS: [u64; 7] =
    [1 << 32, 1 << 31, 1 << 38, 1 << 37, 1000 << 32, 1024 << 32, 1_000_000 << 24];

/// What a seed adds to its scenario.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    /// When it begins.
    pub start: Instant,
    /// Octets of each host's pool.
    pub pool_octets: usize,
    /// Segments are signed.
    pub signed: bool,
    /// Something is set about so often.
    pub every: Span,
}

impl Scenario {
    /// The scenario of `seed` with all of that.
    pub fn mixed(seed: u64) -> Scenario {
        let mut scenario = Scenario::from_seed(seed);
        let mut prng = Prng::from_seed(seed ^ 0x313D);
        let (silent, for_days) = (prng.below(2) == 0, prng.below(8) == 0);
        if silent || for_days {
            scenario = scenario.with_silences();
        }
        for settings in &mut scenario.settings {
            scenario_settings(settings, &mut prng);
        }
        if for_days {
            scenario.keep_silent_for_days(&mut prng);
        }
        let before = Span::from_micros(prng.below(20_000_000));
        let start = match prng.below(3) {
            0 => Instant::from_millis(1_000_000),
            _ => Instant::from_micros(ROUNDS[prng.below(ROUNDS.len() as u64) as usize]) - before,
        };
        let mix = Mix {
            start,
            pool_octets: [24 << 20, 24 << 20, 2 << 20, 700 << 10][prng.below(4) as usize],
            signed: prng.below(6) == 0,
            every: Span::from_millis([20, 200, 2000, 20_000][prng.below(4) as usize]),
        };
        let parkings = [usertcp_base::Parking::AtOnce, usertcp_base::Parking::AtRest];
        scenario.parking = parkings[prng.below(2) as usize];
        scenario.longest = Span::from_secs(4000 * 86_400);
        scenario.mix = Some(mix);
        if mix.signed {
            scenario.take_out_what_breaks_signatures();
        }
        scenario
    }

    /// Silences of up to forty days, few enough that all of them end, and keep-alives that are few in them.
    fn keep_silent_for_days(&mut self, prng: &mut Prng) {
        for plan in self.plans.iter_mut().flatten() {
            plan.silence = 50_000;
            plan.silence_most = Span::from_secs(1 + prng.below(40 * 86_400));
        }
        for settings in &mut self.settings {
            settings.keep_alive.idle = Span::from_secs(7200);
            settings.keep_alive.interval = Span::from_secs(3600);
            // By single octets there would be as many silences.
            settings.send_buffer_octets = 0;
        }
    }

    /// Boxes that change the TCP header: a signature covers all of it (RFC 5925 §5.1), so that nothing they change is taken.
    fn take_out_what_breaks_signatures(&mut self) {
        for link in &mut self.links {
            use Middlebox::{ClearsAce, ClearsFlags, StripsOption, ZeroesOption};
            if matches!(link.middlebox, StripsOption | ZeroesOption | ClearsAce | ClearsFlags) {
                link.middlebox = Middlebox::Transparent;
            }
        }
    }

    /// Runs it, and sets things meanwhile.
    pub fn run_mixed(&self) -> Result<Report, String> {
        let Some(mix) = self.mix else { return self.run() };
        let mut world = self.world();
        if mix.signed {
            sign(&mut world, self.v6);
        }
        self.open(&mut world)?;
        let (start, expected) = (world.now, self.plans.len() * 2);
        let mut prng = Prng::from_seed(self.seed ^ 0xAC75);
        let mut groups = [Vec::new(), Vec::new()];
        let mut left = 300;
        let done = loop {
            let pause = match left {
                0 => self.longest,
                _ => Span::from_micros(1 + prng.below(mix.every.as_micros())),
            };
            let is_over = |world: &World| {
                !world.oracle.violations().is_empty()
                    || world.hosts.iter().map(|host| host.finished.len()).sum::<usize>() >= expected
            };
            if world.run_until(world.now + pause, is_over) {
                break true;
            }
            if left == 0 || world.now.since(start) > self.longest {
                break false;
            }
            left -= 1;
            for (side, group) in groups.iter_mut().enumerate() {
                act(&mut world, side, group, &mut prng, left == 0);
            }
        };
        let took = world.now.since(start);
        self.judge(&world, done, took)?;
        let report = crate::scenario::report(&world, took);
        world.drain(Span::from_secs(600));
        self.judge_leaks(&world)?;
        Ok(report)
    }
}

fn scenario_settings(settings: &mut Settings, prng: &mut Prng) {
    settings.give_up = None;
    settings.keep_alive.interval = Span::from_secs(60 + prng.below(100));
    settings.keep_alive.probes = 250;
    settings.open_timeout = Span::from_secs(1 << 30);
    settings.mtu_probing =
        [MtuProbing::Off, MtuProbing::AfterBlackHole, MtuProbing::Always][prng.below(3) as usize];
    settings.mss_limit_octets = [0, 0, 0, 536, 1000, 9000][prng.below(6) as usize];
    if prng.below(5) == 0 {
        settings.manner = Manner::Linux;
    }
    if prng.below(5) == 0 {
        settings.user_timeout_option = UserTimeoutOption::Advise;
    }
    set(settings, prng);
}

/// What may change while data is under way.
fn set(settings: &mut Settings, prng: &mut Prng) {
    match prng.below(12) {
        0 => settings.no_delay ^= true,
        1 => settings.cork ^= true,
        2 => settings.rate_limit = rate(prng),
        3 => settings.write_when_due ^= true,
        4 => settings.unsent_low_water_octets = [u32::MAX, 100, 3000][prng.below(3) as usize],
        5 => settings.keep_alive.enabled ^= true,
        6 => settings.ack_delay = Span::from_millis(prng.below(600)),
        7 => settings.tail_probe ^= true,
        8 => settings.restart_after_idle ^= true,
        9 => settings.send_buffer_octets = [0, 1, 5000, 1 << 20][prng.below(4) as usize],
        10 => settings.rto_min = Span::from_millis(prng.below(300)),
        _ => settings.dscp = prng.below(64) as u8,
    }
}

fn rate(prng: &mut Prng) -> Rate {
    match prng.below(6) {
        0 | 1 => Rate::UNLIMITED,
        2 => Rate::from_octets_per_second(u64::MAX - 1 - prng.below(3)),
        3 => Rate::from_octets_per_second(2_000 + prng.below(100_000)),
        _ => Rate::from_octets_per_second(1 << (11 + prng.below(40))),
    }
}

fn sign(world: &mut World, v6: bool) {
    for side in 0..2 {
        let Ok(master) = MasterKey::new(b"known to both") else { continue };
        let algorithm = AuthAlgorithm::AesCmac;
        let kind =
            KeyKind::Ao { send_id: 1, receive_id: 1, algorithm, cover_options: true, master };
        let key = AuthKey { scope: Scope::host(address(1 - side, v6)), kind };
        let added = world.hosts[side].shard.add_auth_key(key);
        assert!(added.is_ok(), "{added:?}");
    }
}

/// Something happens at a host; at the `last` time all that holds anything up is taken back.
fn act(world: &mut World, side: usize, groups: &mut Vec<RateGroupId>, prng: &mut Prng, last: bool) {
    let now = world.now;
    let host = &mut world.hosts[side];
    if host.sleeps_until > now && !last {
        return;
    }
    let mut conns: Vec<ConnId> = host.streams.keys().copied().collect();
    conns.sort();
    if last {
        host.shard.set_shard_rate(now, Rate::UNLIMITED);
        for group in groups.drain(..) {
            let removed = host.shard.remove_rate_group(group);
            assert!(removed.is_ok(), "{removed:?}");
        }
        for conn in conns {
            let _ = host.shard.set_option(now, conn, |settings| {
                settings.rate_limit = Rate::UNLIMITED;
                settings.send_buffer_octets = 0;
                settings.unsent_low_water_octets = u32::MAX;
            });
        }
        return;
    }
    let conn = match conns.len() {
        0 => return,
        count => conns[prng.below(count as u64) as usize],
    };
    match prng.below(24) {
        0..=8 => {
            let _ = host.shard.set_option(now, conn, |settings| set(settings, prng));
        }
        9 => host.shard.set_shard_rate(now, rate(prng)),
        10 => {
            if let Ok(group) = host.shard.create_rate_group(now, rate(prng)) {
                groups.push(group);
            }
        }
        11..=13 if !groups.is_empty() => {
            let group = groups[prng.below(groups.len() as u64) as usize];
            let group = if prng.below(3) == 0 { RateGroupId::NONE } else { group };
            let _ = host.shard.join_rate_group(now, conn, group, prng.below(5) as u16);
        }
        14 if !groups.is_empty() => {
            let at = prng.below(groups.len() as u64) as usize;
            let changed = host.shard.set_rate_group(now, groups[at], rate(prng));
            assert!(changed.is_ok(), "{changed:?}");
        }
        15 if !groups.is_empty() => {
            let at = prng.below(groups.len() as u64) as usize;
            let removed = host.shard.remove_rate_group(groups.swap_remove(at));
            assert!(removed.is_ok(), "{removed:?}");
        }
        16 => {
            let most = [1_000, 1_000_000, 100_000_000, 10_000_000_000][prng.below(4) as usize];
            host.sleeps_until = now + Span::from_micros(prng.below(most));
        }
        17 => drop(host.shard.mark_urgent(now, conn)),
        18 => drop(host.shard.push(now, conn)),
        _ => {}
    }
}
