//! The wire to the kernel: a TUN device. Owns: its descriptor, the time at which each packet left.
//! Must not know: what packets mean.

use crate::options::Setup;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};
use usertcp_device_linux::tun::{Tun, TunConfig};

/// Octets of the offload header in front of each packet; all zero is a plain packet.
const HEADER_OCTETS: usize = 10;
/// Room for the longest packet.
const ROOM_OCTETS: usize = HEADER_OCTETS + 65_535;

/// The kernel takes an interface that is up into use a little later, for IPv6 above all.
const SETTLE: Duration = Duration::from_millis(60);

/// The device and what came out of it.
pub struct Link {
    file: File,
    /// When the script began.
    start: Instant,
    /// Packets that left the kernel, with the script's time in microseconds, oldest first.
    pub sent: VecDeque<(u64, Vec<u8>)>,
    buffer: Vec<u8>,
}

impl Link {
    /// Makes the device in this thread's namespace. The script's time begins.
    pub fn open(setup: &Setup) -> io::Result<Link> {
        let prefix = if setup.mode.v6 { 64 } else { 24 };
        let address = format!("{}/{prefix}", setup.local).parse().map_err(io::Error::other)?;
        let config = TunConfig {
            name: "tun0".to_string(),
            mtu: setup.mtu,
            addresses: vec![address],
            // The peer is in another network, as with the field's runner.
            routes: vec![
                format!("{}/{}", setup.remote, if setup.mode.v6 { 128 } else { 32 })
                    .parse()
                    .map_err(io::Error::other)?,
            ],
            offload: false,
            ..TunConfig::default()
        };
        let tun = Tun::open(&config).map_err(io::Error::other)?;
        let handle = tun.handles.into_iter().next();
        let handle = handle.ok_or_else(|| io::Error::other("a device without a queue"))?;
        Ok(Link {
            file: handle.into_file(),
            start: Instant::now(),
            sent: VecDeque::new(),
            buffer: vec![0; ROOM_OCTETS],
        })
    }

    /// Time zero is now.
    pub fn begin(&mut self) {
        std::thread::sleep(SETTLE);
        self.start = Instant::now();
    }

    /// When the script began.
    pub fn clock(&self) -> Instant {
        self.start
    }

    /// The script's time, microseconds.
    pub fn now(&self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }

    /// A packet arrives at the kernel.
    pub fn deliver(&mut self, packet: &[u8]) -> io::Result<()> {
        let whole = [&[0; HEADER_OCTETS], packet].concat();
        self.file.write_all(&whole)?;
        self.drain()
    }

    /// Takes what has left the kernel until now.
    pub fn drain(&mut self) -> io::Result<()> {
        loop {
            match self.file.read(&mut self.buffer) {
                Ok(count) => {
                    let packet = self.buffer.get(HEADER_OCTETS..count).unwrap_or_default();
                    self.sent.push_back((self.start.elapsed().as_micros() as u64, packet.to_vec()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Sleeps until a packet left, `wake` is readable, or the script's time is `until`.
    pub fn wait(&mut self, until: u64, wake: BorrowedFd<'_>) -> io::Result<()> {
        let left = until.saturating_sub(self.now());
        let whole = PollTimeout::try_from(left / 1000).unwrap_or(PollTimeout::MAX);
        let mut all = [
            PollFd::new(self.file.as_fd(), PollFlags::POLLIN),
            PollFd::new(wake, PollFlags::POLLIN),
        ];
        // The last part of a millisecond is waited for without sleep: packets are timed by it.
        match poll(&mut all, whole) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => self.drain(),
            Err(error) => Err(error.into()),
        }
    }
}
