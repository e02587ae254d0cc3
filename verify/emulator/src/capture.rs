//! A capture file of what passes the sender's device, for tshark.
//! Owns: the file's format (pcap, raw IP). Must not know: what the packets are.

use crate::path::Nanos;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

const MAGIC_NANOSECONDS: u32 = 0xA1B2_3C4D;
const LINK_RAW_IP: u32 = 101;
const SNAP_OCTETS: u32 = 128;

/// A file being written.
pub struct Capture {
    file: BufWriter<File>,
}

impl Capture {
    /// A new file; headers only are kept of long packets.
    ///
    /// # Errors
    /// What the file system says.
    pub fn create(path: &Path) -> io::Result<Capture> {
        let mut file = BufWriter::new(File::create(path)?);
        for word in [MAGIC_NANOSECONDS, 2 | 4 << 16, 0, 0, SNAP_OCTETS, LINK_RAW_IP] {
            file.write_all(&word.to_ne_bytes())?;
        }
        Ok(Capture { file })
    }

    /// Adds a packet.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&mut self, at: Nanos, packet: &[u8]) -> io::Result<()> {
        let kept = packet.len().min(SNAP_OCTETS as usize);
        let (seconds, nanos) = (at / 1_000_000_000, at % 1_000_000_000);
        for word in [seconds as u32, nanos as u32, kept as u32, packet.len() as u32] {
            self.file.write_all(&word.to_ne_bytes())?;
        }
        self.file.write_all(&packet[..kept])
    }
}
