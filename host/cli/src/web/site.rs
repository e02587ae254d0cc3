//! What is served. Owns: which request gets which answer.
//! Must not know: streams, or how HTTP is spoken on them.

use super::answer::{Content, Entity, Version};
use super::body::{Body, read_chunk};
use super::cache::{Answer, Cache, Entry, LARGEST_OCTETS};
use super::path::WebPath;
use super::refusal::Refusal;
use super::root::{Found, Root};
use super::tally::Tally;
use super::{kinds, listing, live, upload};
use crate::facts::LiveFacts;
use crate::fault::Fault;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use std::fmt::Display;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A directory's listing may be this old.
const LISTING_LIFE: Duration = Duration::from_millis(250);

/// What the live page says about the server.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct About {
    /// "TUN utcp0, mtu 1500".
    pub network: String,
    /// The URLs it is at.
    pub urls: Vec<String>,
    /// The directory served.
    pub directory: String,
    /// Whether files may be put there.
    pub writable: bool,
}

/// A directory, the live page, and what is needed to serve them.
pub struct Site<F> {
    root: Arc<Root>,
    cache: Cache,
    facts: Arc<F>,
    tally: Arc<Tally>,
    about: About,
}

/// What a look at the disk found; `None`: a directory whose URL lacks its slash.
type Lookup = Option<(Arc<Entry>, Keep)>;

/// Whether an entry may be given again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Yes,
    No,
}

impl<F: LiveFacts> Site<F> {
    /// A site for `directory`. `about.directory` is filled in.
    pub fn open(directory: &Path, facts: Arc<F>, mut about: About) -> Result<Site<F>, Fault> {
        let root = Root::open(directory).map_err(|error| {
            Fault::io(
                format!("directory {}", directory.display()),
                &error,
                "give the path of a directory that you may read",
            )
        })?;
        about.directory = root.path().display().to_string();
        let tally = Arc::new(Tally::default());
        Ok(Site { root: Arc::new(root), cache: Cache::default(), facts, tally, about })
    }

    /// What was counted.
    pub fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    /// What the live page says about the server.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// The answer to a request.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Unpin,
        B::Error: Display,
    {
        let (response, head) = match *request.method() {
            Method::GET => (self.get(&request).await, false),
            Method::HEAD => (self.get(&request).await, true),
            Method::PUT => (self.put(request).await, false),
            Method::OPTIONS => (self.options(), false),
            _ => (self.refuse(&request, Refusal::method(self.methods(), "")), false),
        };
        self.tally.answered(response.status().as_u16());
        let response = if head { without_body(response) } else { response };
        response.map(|body| body.counted(self.tally.clone()))
    }

    async fn get<B>(&self, request: &Request<B>) -> Response<Body> {
        let path = request.uri().path();
        if let Some(rest) = live_path(path) {
            return live::answer(rest, self.facts.as_ref(), &self.tally, &self.about, request)
                .await;
        }
        match self.entry(path).await {
            Ok(Some(entry)) => match &entry.answer {
                Answer::Listing(page, _) => html(page.clone()),
                Answer::File(entity) => entity
                    .answer(request.method(), request.headers())
                    .unwrap_or_else(|refusal| self.refuse(request, refusal)),
            },
            Ok(None) => redirect(path, request.uri().query()),
            Err(refusal) => self.refuse(request, refusal),
        }
    }

    /// What to answer with; `None` when a directory's URL lacks its slash.
    async fn entry(&self, path: &str) -> Result<Option<Arc<Entry>>, Refusal> {
        if let Some(entry) = self.cache.get(path)
            && self.is_fresh(&entry)
        {
            return Ok(Some(entry));
        }
        let place = WebPath::parse(path).ok_or_else(Refusal::not_found)?;
        let root = self.root.clone();
        let task = tokio::task::spawn_blocking(move || look_up(&root, &place));
        let found = task.await.map_err(|lost| Refusal::failed(&io::Error::other(lost)))??;
        Ok(found.map(|(entry, keep)| {
            if keep == Keep::Yes {
                self.cache.keep(path, entry.clone());
            }
            entry
        }))
    }

    /// One look at the file system, made here: the kernel has the names in memory, and going to
    /// another thread would cost more than the look.
    fn is_fresh(&self, entry: &Entry) -> bool {
        let in_time = match entry.answer {
            Answer::Listing(_, until) => Instant::now() < until,
            Answer::File(_) => true,
        };
        in_time && self.root.version(&entry.place) == Some(entry.version)
    }

    async fn put<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Unpin,
        B::Error: Display,
    {
        let headers = request.headers().clone();
        let refuse = |refusal: Refusal| refusal.into_response(&headers);
        let path = request.uri().path();
        if live_path(path).is_some() {
            return refuse(Refusal::method("GET, HEAD, OPTIONS", ""));
        }
        if !self.about.writable {
            let remedy = "start the server with --writable to allow uploads";
            return refuse(Refusal::method(self.methods(), remedy));
        }
        let location = HeaderValue::try_from(path).ok();
        let Some(place) = WebPath::parse(path) else {
            let what = "no file can have this path";
            return refuse(Refusal::new(StatusCode::FORBIDDEN, what, "leave \"..\" out of it"));
        };
        match upload::store(&self.root, place, request, &self.tally).await {
            Err(refusal) => refuse(refusal),
            Ok(stored) if stored.replaced => status(StatusCode::NO_CONTENT),
            Ok(stored) => {
                let text = format!("stored {}\n", crate::units::counted(stored.octets, "octet"));
                let mut response = Response::new(Body::whole(text));
                *response.status_mut() = StatusCode::CREATED;
                if let Some(location) = location {
                    response.headers_mut().insert(header::LOCATION, location);
                }
                response
            }
        }
    }

    fn options(&self) -> Response<Body> {
        let mut response = status(StatusCode::NO_CONTENT);
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(self.methods()));
        response
    }

    fn methods(&self) -> &'static str {
        if self.about.writable { "GET, HEAD, OPTIONS, PUT" } else { "GET, HEAD, OPTIONS" }
    }

    fn refuse<B>(&self, request: &Request<B>, refusal: Refusal) -> Response<Body> {
        refusal.into_response(request.headers())
    }
}

/// The part of a path below `/_usertcp`, which is ours rather than the directory's.
fn live_path(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("/_usertcp")?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// Looks at the disk; may wait for it.
fn look_up(root: &Root, place: &WebPath) -> Result<Lookup, Refusal> {
    match root.find(place)? {
        Found::File(..) if place.slash => Err(Refusal::not_found()),
        Found::File(file, version) => file_entry(place.relative().to_owned(), file, version),
        Found::Directory(..) if !place.slash => Ok(None),
        Found::Directory(directory, version) => {
            if let Some((index, file, version)) = root.find_inside(place, "index.html") {
                return file_entry(index, file, version);
            }
            let page = listing::page(directory, place).map_err(|error| Refusal::failed(&error))?;
            let answer = Answer::Listing(page.into(), Instant::now() + LISTING_LIFE);
            let keep = if version.is_settled() { Keep::Yes } else { Keep::No };
            let place = place.relative().to_owned();
            Ok(Some((Arc::new(Entry { place, version, answer }), keep)))
        }
    }
}

fn file_entry(place: PathBuf, file: File, version: Version) -> Result<Lookup, Refusal> {
    let name = place.file_name().map(std::os::unix::ffi::OsStrExt::as_bytes).unwrap_or_default();
    let kind = kinds::kind_of(name);
    let small = version.length <= LARGEST_OCTETS;
    let content = if small {
        let octets = read_chunk(&file, 0, version.length);
        Content::Memory(octets.map_err(|error| Refusal::failed(&error))?)
    } else {
        Content::Disk(Arc::new(file))
    };
    let keep = if small && version.is_settled() { Keep::Yes } else { Keep::No };
    let answer = Answer::File(Entity::new(version, kind, content));
    Ok(Some((Arc::new(Entry { place, version, answer }), keep)))
}

/// A directory's URL ends with a slash, so that links in its page are relative to it.
fn redirect(path: &str, query: Option<&str>) -> Response<Body> {
    // One slash in front: "//host" would be another server.
    let path = path.trim_start_matches('/');
    let location = match query {
        Some(query) => format!("/{path}/?{query}"),
        None => format!("/{path}/"),
    };
    let mut response = status(StatusCode::MOVED_PERMANENTLY);
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// A page of ours: it needs nothing but itself, and the browser is told so.
pub(super) fn html(page: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::whole(page));
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
             img-src data:; connect-src 'self'",
        ),
    );
    response
}

/// The answer to HEAD: the length is told, the octets are not sent.
fn without_body(response: Response<Body>) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    if head.status != StatusCode::NOT_MODIFIED {
        head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.left()));
    }
    Response::from_parts(head, Body::empty())
}
