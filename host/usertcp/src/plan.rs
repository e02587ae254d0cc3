//! What each shard of a stack is started with.
//!
//! Owns: the division of a stack's bounds and memory among its shards, and of its secrets.
//! Must not know: devices, threads.

use std::io;
use usertcp_base::{Limits, Purpose, Secrets, SharedKey};
use usertcp_device::{DeviceFacts, Medium, SteerRule};
use usertcp_frame::PoolConfig;
use usertcp_ip::Cidr;
use usertcp_stack::{Seat, ShardConfig};

/// A stack's shards, as they are to be.
pub(crate) struct Plan {
    /// Which flow is whose.
    pub(crate) rule: SteerRule,
    secrets: Secrets,
    seed: [u8; 32],
    limits: Limits,
    memory: PoolConfig,
}

impl Plan {
    /// Of `shards` shards, which have `limits` and `memory` in all.
    pub(crate) fn new(
        seed: [u8; 32],
        shards: u16,
        limits: &Limits,
        memory: &PoolConfig,
    ) -> io::Result<Plan> {
        let secrets = Secrets::from_seed(seed);
        let secrets =
            secrets.ok_or_else(|| crate::builder::missing("the seed must not be all zeros"))?;
        let word = |label| secrets.hash(Purpose::Shards, label);
        let rule = SteerRule::new([word(b"steer 0"), word(b"steer 1")], shards);
        let memory = PoolConfig { octets: memory.octets / usize::from(shards), ..memory.clone() };
        Ok(Plan { rule, seed, limits: divide(limits, u32::from(shards)), memory, secrets })
    }

    /// The shard at `index`, its device not known yet; and the key of the cookies it gives out: a client's next
    /// connection may be another shard's.
    pub(crate) fn of(&self, index: usize, addresses: Vec<Cidr>) -> (ShardConfig, SharedKey) {
        let unknown = DeviceFacts::plain(Medium::Ip, 1500);
        let mut config = ShardConfig::new(addresses, self.seed_of(index), unknown);
        config.limits = self.limits.clone();
        config.pool = self.memory.clone();
        config.seat = Some(Seat { rule: self.rule, index: index as u16 });
        (config, self.secrets.shared_key(Purpose::FastOpen))
    }

    /// Each shard has secrets of its own: nothing they protect outlives a connection or leaves its flow, the Fast Open
    /// key excepted.
    fn seed_of(&self, index: usize) -> [u8; 32] {
        if self.rule.shards() == 1 {
            return self.seed;
        }
        let mut seed = [0; 32];
        for (word, octets) in seed.chunks_exact_mut(8).enumerate() {
            let label = [(index >> 8) as u8, index as u8, word as u8];
            octets.copy_from_slice(&self.secrets.hash(Purpose::Shards, &label).to_le_bytes());
        }
        seed
    }
}

/// A shard's part of what is promised for the whole stack.
fn divide(limits: &Limits, shards: u32) -> Limits {
    Limits {
        connections: limits.connections.div_ceil(shards),
        hot_connections: limits.hot_connections.div_ceil(shards),
        embryos_per_listener: limits.embryos_per_listener.div_ceil(shards),
        time_wait: limits.time_wait.div_ceil(shards),
        resets_per_second: limits.resets_per_second.div_ceil(shards),
        icmp_errors_per_second: limits.icmp_errors_per_second.div_ceil(shards),
        echo_replies_per_second: limits.echo_replies_per_second.div_ceil(shards),
        fragment_octets: limits.fragment_octets.div_ceil(shards),
        ..limits.clone()
    }
}

#[cfg(test)]
mod tests;
