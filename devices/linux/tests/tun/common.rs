//! A device in its namespace, waiting.

#[path = "../common/mod.rs"]
mod shared;

pub use shared::*;

use usertcp_device::Packet;
use usertcp_device_linux::tun::{Tun, TunConfig, TunQueue, check_permission};
use usertcp_frame::FramePool;

/// Whether tests with devices cannot run here; then it says so.
pub fn skipped() -> bool {
    let Err(error) = check_permission() else { return false };
    say_skipped(&error);
    true
}

/// Runs `test` on a thread with a network namespace of its own.
pub fn in_namespace(test: impl FnOnce() + Send + 'static) {
    if !skipped() {
        in_new_namespace(test);
    }
}

pub fn config() -> TunConfig {
    TunConfig { addresses: vec!["10.9.0.1/24".parse().unwrap()], ..TunConfig::default() }
}

pub fn open(config: &TunConfig) -> TunQueue {
    let mut tun = Tun::open(config).unwrap_or_else(|error| panic!("{error}"));
    tun.handles.remove(0).into_queue()
}

/// The first packet that `wanted` accepts, or a panic after two seconds.
pub fn wait_for(
    queue: &mut TunQueue,
    pool: &FramePool,
    wanted: impl FnMut(&[u8]) -> bool,
) -> Packet {
    first(queue, pool, wanted).unwrap_or_else(|| panic!("the packet did not come"))
}
