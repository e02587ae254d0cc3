//! The directory that is served. Owns: opening what lies below it, and nothing else.
//! Must not know: HTTP's answers. Every opening is one system call that the kernel confines to the
//! directory (openat2), so no symlink, rename or race leads out.

use super::answer::Version;
use super::path::WebPath;
use super::refusal::Refusal;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// The directory that is served.
#[derive(Debug)]
pub struct Root {
    directory: OwnedFd,
    /// Where it is, without symlinks.
    path: PathBuf,
}

/// What is at a place.
#[derive(Debug)]
pub enum Found {
    /// A regular file.
    File(File, Version),
    /// A directory.
    Directory(OwnedFd, Version),
}

/// Non-blocking, so that opening a pipe without a writer does not hang.
const READ: OFlags =
    OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

impl Root {
    /// Opens the directory to serve.
    pub fn open(path: &Path) -> io::Result<Root> {
        let path = std::fs::canonicalize(path)?;
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        Ok(Root { directory: rustix::fs::open(&path, flags, Mode::empty())?, path })
    }

    /// Where it is, without symlinks.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is at `place`.
    pub fn find(&self, place: &WebPath) -> Result<Found, Refusal> {
        self.find_relative(place.relative()).map_err(Refusal::from_errno)
    }

    /// The regular file `name` in the directory at `place`, if there is one.
    pub fn find_inside(&self, place: &WebPath, name: &str) -> Option<(PathBuf, File, Version)> {
        let relative = place.relative().join(name);
        match self.find_relative(&relative) {
            Ok(Found::File(file, version)) => Some((relative, file, version)),
            _ => None,
        }
    }

    fn find_relative(&self, relative: &Path) -> Result<Found, Errno> {
        let opened = self.open_below(relative, READ)?;
        let stat = rustix::fs::fstat(&opened)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(Found::File(File::from(opened), Version::of(&stat))),
            FileType::Directory => Ok(Found::Directory(opened, Version::of(&stat))),
            _ => Err(Errno::PERM), // Devices, pipes and sockets are nobody's files.
        }
    }

    /// The directory at `relative`, to put files into.
    pub fn directory(&self, relative: &Path) -> Result<OwnedFd, Errno> {
        self.open_below(relative, READ | OFlags::DIRECTORY)
    }

    /// The version of what is at `relative` now: what tells a fresh cache entry from a stale one.
    /// It may follow a symlink out of the root; it says nothing but whether the file is the same.
    pub fn version(&self, relative: &Path) -> Option<Version> {
        let stat = rustix::fs::statat(&self.directory, relative, AtFlags::empty()).ok()?;
        Some(Version::of(&stat))
    }

    fn open_below(&self, relative: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        match self.open_confined(relative, flags) {
            // A symlink that is absolute, or that climbs and comes back, may still lead inside.
            Err(Errno::XDEV | Errno::NOSYS) => {
                let place = std::fs::canonicalize(self.path.join(relative))
                    .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
                let inside = place.strip_prefix(&self.path).map_err(|_| Errno::XDEV)?;
                let inside = if inside.as_os_str().is_empty() { Path::new(".") } else { inside };
                match self.open_confined(inside, flags) {
                    // A kernel before 5.6, or a sandbox. The place was checked a moment ago.
                    Err(Errno::NOSYS) => {
                        let flags = flags | OFlags::NOFOLLOW;
                        rustix::fs::openat(&self.directory, inside, flags, Mode::empty())
                    }
                    other => other,
                }
            }
            other => other,
        }
    }

    fn open_confined(&self, relative: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        loop {
            match rustix::fs::openat2(&self.directory, relative, flags, Mode::empty(), resolve) {
                // Something was renamed just then (AGAIN), or a signal came.
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return other,
            }
        }
    }
}

/// The state of `name` in `directory`, without following a symlink.
pub fn state(directory: impl AsFd, name: &std::ffi::OsStr) -> Result<Option<Stat>, Errno> {
    match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}
