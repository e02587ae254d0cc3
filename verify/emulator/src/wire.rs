//! The emulator itself: packets from one device, over a path, to the other, in real time.
//! Owns: the clock, the two devices. Must not know: what the paths do, who is at the ends.
//!
//! A sleep ends some 80 µs late, sometimes 800 (a virtual machine's timers): the last
//! tenth of a millisecond before a packet is due is waited for by looking at clock and devices.

use crate::capture::Capture;
use crate::path::{Nanos, Offered, Path, PathCounts};
use crate::sys;
use crate::watch::Watch;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use usertcp_sim::signal::too_big;

/// Nearer than this nothing sleeps.
const SPIN: Nanos = 100_000;
/// No sleep is longer: the order to stop is looked for in between.
const LONGEST_SLEEP: Nanos = 20_000_000;
/// Packets read from one device before the other has its turn.
const BURST: usize = 64;
/// Lateness is counted in classes of so much, and the last holds all above.
const LATE_CLASS: Nanos = 10_000;
const LATE_CLASSES: usize = 1_000;
const LARGEST_PACKET: usize = 65_536;

/// What was seen on the wire.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What each direction did.
    pub counts: [PathCounts; 2],
    /// What each side's sender did.
    pub watches: [Watch; 2],
    /// Half of the packets were handed over by so much too late.
    pub late_median: Nanos,
    /// All but one of a hundred were within this.
    pub late_p99: Nanos,
    /// Packets the devices did not take.
    pub refused: u64,
}

/// Two devices and the paths between them. `paths[0]` carries what `devices[0]` gives.
pub struct Wire {
    devices: [File; 2],
    paths: [Path; 2],
    watches: [Watch; 2],
    lateness: Vec<u64>,
    refused: u64,
    capture: Option<Capture>,
    origin: Instant,
    buffer: Vec<u8>,
}

impl Wire {
    /// A wire at rest.
    pub fn new(devices: [File; 2], paths: [Path; 2], capture: Option<Capture>) -> Wire {
        Wire {
            devices,
            paths,
            watches: [Watch::default(); 2],
            lateness: vec![0; LATE_CLASSES],
            refused: 0,
            capture,
            origin: Instant::now(),
            buffer: vec![0; LARGEST_PACKET],
        }
    }

    /// Moves packets until `stop`.
    ///
    /// # Errors
    /// What a device or the capture file says.
    pub fn run(mut self, stop: &AtomicBool) -> io::Result<Seen> {
        sys::wake_promptly();
        while !stop.load(Ordering::Acquire) {
            let mut moved = false;
            for side in 0..2 {
                moved |= self.take_in(side)?;
            }
            let now = self.now();
            for side in 0..2 {
                moved |= self.hand_over(side, now)?;
            }
            if !moved {
                self.rest();
            }
        }
        Ok(Seen {
            counts: [self.paths[0].counts(), self.paths[1].counts()],
            watches: self.watches,
            late_median: self.late_quantile(500),
            late_p99: self.late_quantile(990),
            refused: self.refused,
        })
    }

    fn now(&self) -> Nanos {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Packets of `side` enter its path. Whether there were any.
    fn take_in(&mut self, side: usize) -> io::Result<bool> {
        for count in 0..BURST {
            let octets = match self.devices[side].read(&mut self.buffer) {
                Ok(octets) => octets,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(count != 0),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let now = self.now();
            let packet = self.buffer[..octets].to_vec();
            self.watches[side].observe(&packet);
            self.capture(side, now, &packet)?;
            let mtu = self.paths[side].config().mtu;
            let quote = if packet.len() > mtu { packet.clone() } else { Vec::new() };
            if self.paths[side].offer(now, packet) == Offered::TooBig {
                let mtu = u16::try_from(mtu).unwrap_or(u16::MAX);
                self.write(side, now, &too_big(&quote, mtu))?;
            }
        }
        Ok(true)
    }

    /// What has arrived on `side`'s path goes to the other device. Whether there was anything.
    fn hand_over(&mut self, side: usize, now: Nanos) -> io::Result<bool> {
        let mut any = false;
        while let Some((due, packet)) = self.paths[side].poll(now) {
            any = true;
            let class = (now.saturating_sub(due) / LATE_CLASS) as usize;
            self.lateness[class.min(LATE_CLASSES - 1)] += 1;
            self.write(1 - side, now, &packet)?;
        }
        Ok(any)
    }

    fn write(&mut self, side: usize, now: Nanos, packet: &[u8]) -> io::Result<()> {
        self.capture(side, now, packet)?;
        // A TUN device takes a packet whole or not at all.
        match self.devices[side].write_all(packet) {
            Ok(()) => Ok(()),
            // EINVAL: not an IP packet; EIO: the interface is down. No host sends such packets.
            Err(_) => {
                self.refused += 1;
                Ok(())
            }
        }
    }

    /// What passes the first device goes into the file, both ways.
    fn capture(&mut self, side: usize, now: Nanos, packet: &[u8]) -> io::Result<()> {
        match &mut self.capture {
            Some(capture) if side == 0 => capture.write(now, packet),
            _ => Ok(()),
        }
    }

    fn rest(&self) {
        let now = self.now();
        let next = self.paths.iter().filter_map(Path::next_arrival).min();
        let wait = next.map_or(LONGEST_SLEEP, |next| next.saturating_sub(now));
        if wait > SPIN {
            let sleep = Duration::from_nanos((wait - SPIN).min(LONGEST_SLEEP));
            sys::wait_readable([self.devices[0].as_raw_fd(), self.devices[1].as_raw_fd()], sleep);
        } else {
            std::hint::spin_loop();
        }
    }

    /// The lateness that so many of a thousand packets did not exceed.
    fn late_quantile(&self, thousandths: u64) -> Nanos {
        let all: u64 = self.lateness.iter().sum();
        let mut seen = 0;
        for (class, count) in (0u64..).zip(&self.lateness) {
            seen += count;
            if seen * 1000 >= all * thousandths {
                return class * LATE_CLASS;
            }
        }
        0
    }
}
