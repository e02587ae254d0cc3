//! Real descriptors for the stack's ones. Owns: which belongs to which, and noticing that one was
//! closed behind our back. Must not know: sockets.
//!
//! The program closes what is open at the end by the C library's `close`, so each of our sockets
//! is a file of the system too: the end of a pipe, as its inode tells it from what may get the same
//! number later.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;

/// Our descriptors by the system's number.
#[derive(Debug, Default)]
pub struct Descriptors {
    all: BTreeMap<RawFd, (i32, u64)>,
}

impl Descriptors {
    /// A number of the system for `ours`; with what else had that number and is gone.
    pub fn hand_out(&mut self, ours: i32) -> io::Result<(RawFd, Option<i32>)> {
        let (reader, _) = io::pipe()?;
        let file = File::from(OwnedFd::from(reader));
        let inode = file.metadata()?.ino();
        let number = file.into_raw_fd();
        let before = self.all.insert(number, (ours, inode));
        Ok((number, before.map(|(gone, _)| gone)))
    }

    /// Ours behind `number`, if it still is.
    pub fn ours(&self, number: RawFd) -> Option<i32> {
        let (ours, inode) = self.all.get(&number)?;
        (inode_of(number) == Some(*inode)).then_some(*ours)
    }

    /// Closes `number`; what was ours behind it.
    pub fn close(&mut self, number: RawFd) -> Option<i32> {
        let ours = self.ours(number)?;
        self.all.remove(&number);
        // Not safely: the number was given away as a plain integer.
        // SAFETY: its inode says that it is still the file we opened, which we give up with this.
        drop(unsafe { OwnedFd::from_raw_fd(number) });
        Some(ours)
    }

    /// What the program closed behind our back.
    pub fn take_gone(&mut self) -> Vec<i32> {
        let gone = |number: &RawFd, inode: u64| inode_of(*number) != Some(inode);
        let mut out = Vec::new();
        self.all.retain(|number, (ours, inode)| {
            let keep = !gone(number, *inode);
            if !keep {
                out.push(*ours);
            }
            keep
        });
        out
    }
}

fn inode_of(number: RawFd) -> Option<u64> {
    if number < 0 {
        return None;
    }
    // Not safely: whether the number is open is the question.
    // SAFETY: it is only asked for its inode, which fails when it is not open, and never closed
    // here, as the file is not dropped.
    let file = ManuallyDrop::new(unsafe { File::from_raw_fd(number) });
    file.metadata().ok().map(|data| data.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_closed_by_the_system_is_noticed() {
        let mut all = Descriptors::default();
        let (first, _) = all.hand_out(7).unwrap();
        let (second, _) = all.hand_out(8).unwrap();
        assert_eq!((all.ours(first), all.ours(second), all.ours(-1)), (Some(7), Some(8), None));
        // SAFETY: ours, and closed once.
        drop(unsafe { OwnedFd::from_raw_fd(first) });
        assert_eq!(all.ours(first), None);
        assert_eq!(all.take_gone(), [7]);
        assert_eq!(all.close(second), Some(8));
        assert_eq!(all.close(second), None);
    }
}
