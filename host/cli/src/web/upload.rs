//! PUT. Owns: a file on its way in: temporary name, writing, the rename that makes it appear.
//! Must not know: whether uploads are allowed here (`site` asks first).

use super::answer::{self, Version};
use super::path::WebPath;
use super::refusal::Refusal;
use super::root::{self, Root};
use super::tally::Tally;
use bytes::Bytes;
use http::header::{self, HeaderMap};
use http::{Request, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::task::JoinHandle;

/// Octets gathered before they are written. As many may be waiting while others are written.
const BATCH_OCTETS: usize = 512 << 10;
/// Names of files on their way in start so.
const UNFINISHED: &str = ".usertcp-put-";

/// Whether a name is that of a file on its way in.
pub fn is_unfinished(name: &[u8]) -> bool {
    name.starts_with(UNFINISHED.as_bytes())
}

/// What became of an upload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stored {
    /// Whether a file of that name was there before.
    pub replaced: bool,
    /// Octets of the file.
    pub octets: u64,
}

/// Stores the body of `request` at `place`.
pub async fn store<B>(
    root: &Arc<Root>,
    place: WebPath,
    request: Request<B>,
    tally: &Tally,
) -> Result<Stored, Refusal>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Display,
{
    let (head, body) = request.into_parts();
    if head.headers.contains_key(header::CONTENT_RANGE) {
        // RFC 9110 §14.5: or a client would overwrite a file with a part of it.
        let what = "parts of files cannot be stored";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, what, "send the whole file"));
    }
    let upload = {
        let root = root.clone();
        blocking(move || Upload::begin(&root, &place, &head.headers)).await??
    };
    receive(body, upload, tally).await
}

async fn receive<B>(mut body: B, upload: Upload, tally: &Tally) -> Result<Stored, Refusal>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Display,
{
    let mut batch = Batch::default();
    let mut writer = Writer::Idle(upload);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            let what = format!("the upload broke off: {error}");
            Refusal::new(StatusCode::BAD_REQUEST, what, "send it again")
        })?;
        let Ok(octets) = frame.into_data() else { continue };
        tally.received(octets.len());
        batch.push(octets);
        if batch.octets >= BATCH_OCTETS {
            writer = Writer::write(writer.idle().await?, std::mem::take(&mut batch));
        }
    }
    let upload = writer.idle().await?;
    blocking(move || upload.finish(batch)).await?
}

/// Octets to be written.
#[derive(Default)]
struct Batch {
    pieces: Vec<Bytes>,
    octets: usize,
}

impl Batch {
    fn push(&mut self, octets: Bytes) {
        self.octets += octets.len();
        self.pieces.push(octets);
    }
}

/// The file, with us or with the thread that writes to it.
enum Writer {
    Idle(Upload),
    Busy(JoinHandle<Result<Upload, Refusal>>),
}

impl Writer {
    fn write(mut upload: Upload, batch: Batch) -> Writer {
        Writer::Busy(tokio::task::spawn_blocking(move || {
            upload.write(batch)?;
            Ok(upload)
        }))
    }

    async fn idle(self) -> Result<Upload, Refusal> {
        match self {
            Writer::Idle(upload) => Ok(upload),
            Writer::Busy(task) => {
                task.await.map_err(|lost| Refusal::failed(&io::Error::other(lost)))?
            }
        }
    }
}

/// A file on its way in. Dropped before its end, it leaves nothing behind.
struct Upload {
    directory: OwnedFd,
    temporary: OsString,
    name: OsString,
    file: File,
    octets: u64,
    replaced: bool,
    finished: bool,
}

impl Upload {
    fn begin(root: &Root, place: &WebPath, headers: &HeaderMap) -> Result<Upload, Refusal> {
        let conflict = |what: &str, remedy: &str| Refusal::new(StatusCode::CONFLICT, what, remedy);
        let is_directory = || conflict("a directory is not a file", "add a file's name to the URL");
        let (parent, name) =
            place.split_last().filter(|_| !place.slash).ok_or_else(is_directory)?;
        let directory = root.directory(parent).map_err(|errno| match errno {
            rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR => {
                conflict("there is no such directory", "uploads do not make directories")
            }
            other => Refusal::from_errno(other),
        })?;
        let before = root::state(&directory, name).map_err(Refusal::from_errno)?;
        if before.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory) {
            return Err(is_directory());
        }
        if answer::condition(headers, before.as_ref().map(Version::of).as_ref()).is_some() {
            return Err(Refusal::precondition());
        }
        let (temporary, file) = temporary(&directory).map_err(Refusal::from_errno)?;
        let (name, replaced) = (name.to_owned(), before.is_some());
        Ok(Upload { directory, temporary, name, file, octets: 0, replaced, finished: false })
    }

    fn write(&mut self, batch: Batch) -> Result<(), Refusal> {
        for octets in &batch.pieces {
            self.file.write_all(octets).map_err(|error| {
                rustix::io::Errno::from_io_error(&error)
                    .map_or_else(|| Refusal::failed(&error), Refusal::from_errno)
            })?;
            self.octets += octets.len() as u64;
        }
        Ok(())
    }

    fn finish(mut self, last: Batch) -> Result<Stored, Refusal> {
        self.write(last)?;
        rustix::fs::renameat(&self.directory, &self.temporary, &self.directory, &self.name)
            .map_err(Refusal::from_errno)?;
        self.finished = true;
        Ok(Stored { replaced: self.replaced, octets: self.octets })
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.finished {
            // If even this fails there is nothing better to do; listings hide such names.
            let _ = rustix::fs::unlinkat(&self.directory, &self.temporary, AtFlags::empty());
        }
    }
}

/// A new file in `directory` that nobody else has.
fn temporary(directory: &OwnedFd) -> Result<(OsString, File), rustix::io::Errno> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{UNFINISHED}{}-{number}", std::process::id());
        match rustix::fs::openat(directory, OsStr::new(&name), flags, Mode::from(0o666)) {
            Err(rustix::io::Errno::EXIST) => {}
            other => return other.map(|file| (name.into(), File::from(file))),
        }
    }
}

/// Runs `work` where it may wait for a disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    let task = tokio::task::spawn_blocking(work);
    task.await.map_err(|lost| Refusal::failed(&io::Error::other(lost)))
}
