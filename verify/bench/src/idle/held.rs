//! What this process holds. Owns: reading the system's figures; how long memory takes to answer.
//! Must not know: who holds it.

use super::tuple::mix;
use crate::memory::counting;
use std::fs;
use std::hint::black_box;
use std::time::Instant;

/// At one moment, in octets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Held {
    /// Resident.
    pub resident: u64,
    /// Of that, in huge pages.
    pub huge: u64,
    /// Page tables, which are not resident memory of the process but are because of it.
    pub page_tables: u64,
    /// What this thread's heap was asked for.
    pub heap: u64,
}

impl Held {
    /// Now.
    pub fn now() -> Held {
        let rollup = fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Held {
            resident: kilobytes(&rollup, "Rss:")
                .or_else(|| kilobytes(&status, "VmRSS:"))
                .unwrap_or(0),
            huge: kilobytes(&rollup, "AnonHugePages:").unwrap_or(0),
            page_tables: kilobytes(&status, "VmPTE:").unwrap_or(0),
            heap: counting::heap().octets as u64,
        }
    }

    /// What came since `before`.
    pub fn since(&self, before: &Held) -> Held {
        Held {
            resident: self.resident.saturating_sub(before.resident),
            huge: self.huge.saturating_sub(before.huge),
            page_tables: self.page_tables.saturating_sub(before.page_tables),
            heap: self.heap.saturating_sub(before.heap),
        }
    }
}

/// Lets the allocator do from now on what it does at the start of a process: large blocks have memory of
/// their own, and give it back. Once a very large one was freed, glibc would keep them in its heap, and with
/// them the TCBs of everyone who was busy a moment ago.
#[allow(unsafe_code)]
pub fn pin_allocator() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the call has no conditions.
    unsafe {
        // No safe way calls it. The value is glibc's own first one.
        let _ = libc::mallopt(libc::M_MMAP_THRESHOLD, 128 << 10);
    }
}

/// Octets that the machine can still give, by its own estimate.
pub fn available_octets() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    kilobytes(&text, "MemAvailable:").unwrap_or(u64::MAX)
}

/// The figure after `name`, in octets.
pub fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|n| n * 1024)
}

/// Octets of a line of the caches.
const LINE: usize = 64;
/// Looks that are timed.
const LOOKS: u32 = 300_000;
/// More than any cache here, and enough for the tables of pages to miss too.
const MOST_OCTETS: usize = 512 << 20;

/// Nanoseconds until memory answers, when `octets` are looked at by chance and each look must wait for
/// the one before.
pub fn wait_nanos(octets: usize) -> f64 {
    let lines = (octets.min(MOST_OCTETS) / LINE).max(64);
    let mut next = vec![[0u32; LINE / 4]; lines];
    // Sattolo's order: one round through all lines.
    let mut order: Vec<u32> = (0..lines as u32).collect();
    for at in (1..lines).rev() {
        order.swap(at, (mix(at as u64) % at as u64) as usize);
    }
    for pair in order.windows(2) {
        next[pair[0] as usize][0] = pair[1];
    }
    next[order[lines - 1] as usize][0] = order[0];
    drop(order);
    let mut at = 0;
    // Others use the same memory: the median of some.
    let mut rounds: Vec<f64> = (0..5)
        .map(|_| {
            let began = Instant::now();
            for _ in 0..LOOKS {
                at = next[at as usize][0];
            }
            began.elapsed().as_secs_f64() * 1e9 / f64::from(LOOKS)
        })
        .collect();
    black_box(at);
    rounds.sort_by(f64::total_cmp);
    rounds[2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_by_name() {
        let text = "VmPeak:\t  10 kB\nVmRSS:\t    12 kB\nVmPTE:\t     3 kB\n";
        assert_eq!(kilobytes(text, "VmRSS:"), Some(12_288));
        assert_eq!(kilobytes(text, "Rss:"), None);
    }

    #[test]
    fn what_is_touched_is_held() {
        let before = Held::now();
        let block = black_box(vec![1u8; 8 << 20]);
        let grown = Held::now().since(&before);
        // What is resident, other tests change too.
        assert!(grown.heap >= 8 << 20, "{grown:?}");
        assert!(Held::now().resident > 8 << 20);
        drop(block);
    }
}
