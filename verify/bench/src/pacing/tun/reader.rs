//! The kernel's side: sockets that read what comes, and cost as little as they can.
//!
//! Owns: when each socket is read. Must not know: limits, what is made of the figures.
//!
//! Nobody sleeps on these sockets, so an arriving packet wakes no thread: that would be done in the
//! stack's call of the device. They are read in turn instead, and what they hold is thrown away
//! uncopied.

use super::gaps;
use crate::idle::{Progress, Quantiles};
use crate::kernel;
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant as Clock};

/// All slow ones are read within so many looks at the fast ones.
const ROUNDS: usize = 512;
/// Between two of those.
const PAUSE: Duration = Duration::from_millis(2);
/// Octets that a fast one may hold unread.
const BUFFER_OCTETS: i32 = 8 << 20;

/// The sockets, in the order in which they were connected, and how many of the last are fast.
pub struct Readers {
    sockets: Vec<TcpStream>,
    fast: usize,
}

/// Connects `streams` sockets one after another.
pub fn connect(streams: usize, to: (Ipv4Addr, u16), fast: usize) -> Result<Readers, String> {
    let connect = |at: usize| {
        let socket =
            TcpStream::connect(to).map_err(|error| format!("the kernel's connect: {error}"))?;
        if at + fast >= streams {
            kernel::set_receive_buffer(&socket, BUFFER_OCTETS)
                .map_err(|error| format!("a receive buffer: {error}"))?;
        }
        Ok(socket)
    };
    let sockets = (0..streams).map(connect).collect::<Result<_, String>>()?;
    Ok(Readers { sockets, fast })
}

impl Readers {
    /// Reads for so long, and says how far it is. Beside it another thread does nothing but sleep: nanoseconds by which it woke late.
    pub fn read(&self, what: &str, span: Duration) -> Result<Quantiles, String> {
        let over = Arc::new(AtomicBool::new(false));
        let sleeper = std::thread::spawn({
            let over = Arc::clone(&over);
            move || lateness(&over)
        });
        let (slow, fast) = self.sockets.split_at(self.sockets.len() - self.fast);
        let parts = slow.chunks(slow.len().div_ceil(ROUNDS).max(1));
        let (begun, mut next) = (Clock::now(), parts.clone());
        let mut progress = Progress::new(what, span.as_secs());
        while begun.elapsed() < span {
            let part = next.next().or_else(|| {
                next = parts.clone();
                next.next()
            });
            for socket in fast.iter().chain(part.unwrap_or_default()) {
                kernel::discard(socket).map_err(|error| format!("reading: {error}"))?;
            }
            std::thread::sleep(PAUSE);
            progress.at(begun.elapsed().as_secs());
        }
        progress.end(begun.elapsed().as_secs());
        over.store(true, Ordering::Relaxed);
        sleeper.join().map_err(|_| "the sleeping thread is gone".to_owned())
    }
}

/// Nanoseconds by which sleeps of a millisecond end late.
fn lateness(over: &AtomicBool) -> Quantiles {
    const SLEEP: Duration = Duration::from_millis(1);
    let mut late = Quantiles::new();
    gaps::sleep_until(over, SLEEP, |due, woke| {
        late.add(woke.saturating_duration_since(due).as_nanos() as u64);
    });
    late
}
