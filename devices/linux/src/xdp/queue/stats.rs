//! What a queue tells of itself.
//! Owns: its counts, and how it works with its interface. Must not know: how it does what is counted.

use std::fmt;

/// What a queue did, since it was bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct XdpStats {
    /// Packets received.
    pub received: u64,
    /// Packets handed to the kernel.
    pub sent: u64,
    /// Calls of the kernel to send, and for nothing else: a sleep sends as well, where that was
    /// promised.
    pub kicks: u64,
    /// Of those, calls that failed: the interface was down.
    pub kicks_failed: u64,
    /// Calls of the kernel to receive: none but with zero-copy devices and busy polling.
    pub polls: u64,
    /// Octets copied by this queue, for whichever reason below.
    pub octets_copied: u64,
    /// Packets to send copied together: from another pool, or of too many parts.
    pub gathered: u64,
    /// Buffers received and copied to another frame, as the pool had none to give the kernel in
    /// exchange.
    pub detours: u64,
    /// Packets received and dropped for want of a frame.
    pub no_frame: u64,
    /// Packets dropped that could not be sent: too short, too long, or no frame to copy them to.
    pub refused: u64,
    /// Packets whose sender left the checksum unfinished, and that were vouched for.
    pub unfinished_checksums: u64,
    /// Entries of the kernel that named nothing it was given.
    pub strange: u64,
}

/// How a queue works with its interface.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct XdpMode {
    /// The program runs in the driver, not in the kernel's stack.
    pub native: bool,
    /// The device reads and writes frames itself; else the kernel copies.
    pub zero_copy: bool,
    /// Packets may lie in several frames.
    pub multi_buffer: bool,
}

impl fmt::Display for XdpMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.native { "program in the driver" } else { "generic program" })?;
        f.write_str(if self.zero_copy { ", zero-copy" } else { ", the kernel copies" })?;
        f.write_str(if self.multi_buffer { ", multi-buffer" } else { ", one buffer a packet" })
    }
}
