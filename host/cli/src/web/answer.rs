//! A file as an answer. Owns: validators, conditions, ranges, and the headers they bring.
//! Must not know: where the file was found.
//! Implements: RFC 9110 §8.8 (validators), §13 (conditions), §14 (ranges).

use super::body::{Body, Piece};
use super::ranges::{self, Asked, Span};
use super::refusal::Refusal;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Response, StatusCode};
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What changes when a file does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Version {
    /// Octets in the file.
    pub length: u64,
    /// Seconds and nanoseconds of the last change of content.
    pub modified: (i64, u64),
    /// As above, of content or of anything else; set by the kernel alone.
    changed: (i64, u64),
    inode: u64,
    device: u64,
}

impl Version {
    /// From what the system says.
    #[allow(clippy::unnecessary_cast, reason = "the fields' types differ between architectures")]
    pub fn of(stat: &rustix::fs::Stat) -> Version {
        Version {
            length: u64::try_from(stat.st_size).unwrap_or(0),
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as u64),
            changed: (stat.st_ctime as i64, stat.st_ctime_nsec as u64),
            inode: stat.st_ino as u64,
            device: stat.st_dev as u64,
        }
    }

    /// Whether the last change is long enough ago that one more would show: clocks of file
    /// systems tick every few milliseconds.
    pub fn is_settled(&self) -> bool {
        const TICKS: Duration = Duration::from_millis(100);
        let changed = time(self.changed.0) + Duration::from_nanos(self.changed.1);
        SystemTime::now().duration_since(changed).is_ok_and(|age| age > TICKS)
    }

    /// The strong entity tag.
    pub fn tag(&self) -> String {
        let (seconds, nanos) = self.modified;
        format!("\"{seconds:x}.{nanos:x}-{:x}-{:x}\"", self.length, self.inode)
    }
}

fn time(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

/// A file, ready to answer with.
pub struct Entity {
    /// Its state when it was opened.
    pub version: Version,
    /// Its octets.
    pub content: Content,
    kind: HeaderValue,
    tag: HeaderValue,
    modified: HeaderValue,
}

/// A file's octets.
pub enum Content {
    /// Read before.
    Memory(Bytes),
    /// To be read as they are sent.
    Disk(Arc<File>),
}

impl Entity {
    /// An entity with the headers that do not depend on the request.
    pub fn new(version: Version, kind: &'static str, content: Content) -> Entity {
        let modified = httpdate::fmt_http_date(time(version.modified.0));
        let header = |text: String| {
            HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
        };
        Entity {
            kind: HeaderValue::from_static(kind),
            tag: header(version.tag()),
            modified: header(modified),
            version,
            content,
        }
    }

    /// The answer to a GET or HEAD.
    pub fn answer(&self, method: &Method, request: &HeaderMap) -> Result<Response<Body>, Refusal> {
        if let Some(outcome) = condition(request, Some(&self.version)) {
            return match outcome {
                Condition::Failed => Err(Refusal::precondition()),
                Condition::NotModified => {
                    let mut response = self.labelled(Body::empty());
                    *response.status_mut() = StatusCode::NOT_MODIFIED;
                    response.headers_mut().remove(header::CONTENT_TYPE);
                    Ok(response)
                }
            };
        }
        match self.asked(method, request) {
            Asked::Whole => Ok(self.labelled(self.part(0, self.version.length))),
            Asked::Nothing => Err(Refusal::range(self.version.length)),
            Asked::Parts(spans) => match spans.as_slice() {
                [span] => Ok(self.single(*span)),
                spans => Ok(self.multiple(spans)),
            },
        }
    }

    fn asked(&self, method: &Method, request: &HeaderMap) -> Asked {
        let Some(range) = request.get(header::RANGE).and_then(|value| value.to_str().ok()) else {
            return Asked::Whole;
        };
        // RFC 9110 §14.2: a range is defined for GET only.
        if *method != Method::GET || !self.same_as(request.get(header::IF_RANGE)) {
            return Asked::Whole;
        }
        ranges::asked(range, self.version.length)
    }

    /// RFC 9110 §13.1.5: parts only if the client's other parts are of this very file.
    fn same_as(&self, if_range: Option<&HeaderValue>) -> bool {
        if_range.is_none_or(|value| *value == self.tag || *value == self.modified)
    }

    fn labelled(&self, body: Body) -> Response<Body> {
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, self.kind.clone());
        headers.insert(header::ETAG, self.tag.clone());
        headers.insert(header::LAST_MODIFIED, self.modified.clone());
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        response
    }

    fn part(&self, offset: u64, length: u64) -> Body {
        match &self.content {
            Content::Memory(octets) => Body::whole(slice(octets, offset, length)),
            Content::Disk(file) => Body::pieces(file.clone(), [Piece::File { offset, length }]),
        }
    }

    fn single(&self, span: Span) -> Response<Body> {
        let mut response = self.labelled(self.part(span.offset, span.length));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        if let Ok(value) = HeaderValue::try_from(self.content_range(span)) {
            response.headers_mut().insert(header::CONTENT_RANGE, value);
        }
        response
    }

    /// RFC 9110 §14.6: several parts in one body.
    fn multiple(&self, spans: &[Span]) -> Response<Body> {
        let boundary = format!("usertcp-{:016x}", RandomState::new().hash_one(spans.len()));
        let kind = self.kind.to_str().unwrap_or("application/octet-stream");
        let mut pieces = Vec::with_capacity(spans.len() * 2 + 1);
        for (index, span) in spans.iter().enumerate() {
            let start = if index == 0 { "" } else { "\r\n" };
            let range = self.content_range(*span);
            pieces.push(Piece::Octets(Bytes::from(format!(
                "{start}--{boundary}\r\nContent-Type: {kind}\r\nContent-Range: {range}\r\n\r\n"
            ))));
            pieces.push(match &self.content {
                Content::Memory(octets) => Piece::Octets(slice(octets, span.offset, span.length)),
                Content::Disk(_) => Piece::File { offset: span.offset, length: span.length },
            });
        }
        pieces.push(Piece::Octets(Bytes::from(format!("\r\n--{boundary}--\r\n"))));
        let body = match &self.content {
            Content::Disk(file) => Body::pieces(file.clone(), pieces),
            Content::Memory(_) => Body::whole(joined(&pieces)),
        };
        let mut response = self.labelled(body);
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let kind = format!("multipart/byteranges; boundary={boundary}");
        if let Ok(kind) = HeaderValue::try_from(kind) {
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
        }
        response
    }

    fn content_range(&self, span: Span) -> String {
        format!("bytes {}-{}/{}", span.offset, span.last(), self.version.length)
    }
}

fn slice(octets: &Bytes, offset: u64, length: u64) -> Bytes {
    let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(octets.len());
    octets.slice(place(offset)..place(offset.saturating_add(length)))
}

fn joined(pieces: &[Piece]) -> Vec<u8> {
    let octets = pieces.iter().filter_map(|piece| match piece {
        Piece::Octets(octets) => Some(octets.as_ref()),
        Piece::File { .. } => None,
    });
    octets.collect::<Vec<_>>().concat()
}

/// What a request's conditions came to, when they hold the request back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    /// 412.
    Failed,
    /// 304 to a GET, 412 to anything that changes the file.
    NotModified,
}

/// Evaluates the conditions of a request against what is there (`None`: nothing), in the order
/// of RFC 9110 §13.2.2.
pub fn condition(request: &HeaderMap, current: Option<&Version>) -> Option<Condition> {
    const CONDITIONS: [HeaderName; 4] = [
        header::IF_MATCH,
        header::IF_NONE_MATCH,
        header::IF_MODIFIED_SINCE,
        header::IF_UNMODIFIED_SINCE,
    ];
    if !CONDITIONS.iter().any(|name| request.contains_key(name)) {
        return None;
    }
    let tag = current.map(Version::tag);
    let tag = tag.as_deref();
    let seconds = current.map(|version| version.modified.0);
    if request.contains_key(header::IF_MATCH) {
        if !matches(request, &header::IF_MATCH, tag, false) {
            return Some(Condition::Failed);
        }
    } else if let (Some(date), Some(seconds)) =
        (date(request, &header::IF_UNMODIFIED_SINCE), seconds)
        && time(seconds) > date
    {
        return Some(Condition::Failed);
    }
    if request.contains_key(header::IF_NONE_MATCH) {
        let same = matches(request, &header::IF_NONE_MATCH, tag, true);
        return same.then_some(Condition::NotModified);
    }
    let date = date(request, &header::IF_MODIFIED_SINCE)?;
    (time(seconds?) <= date).then_some(Condition::NotModified)
}

/// Whether a header lists `tag`, or "*" and there is one. Weak comparison ignores the "W/".
fn matches(request: &HeaderMap, name: &HeaderName, tag: Option<&str>, weak: bool) -> bool {
    let values = request.get_all(name).iter().filter_map(|value| value.to_str().ok());
    // Our own tags have no comma, so a foreign tag cut in two at one can never match.
    let mut listed = values.flat_map(|value| value.split(',')).map(str::trim);
    tag.is_some_and(|tag| {
        listed.any(|one| one == "*" || one == tag || (weak && one.strip_prefix("W/") == Some(tag)))
    })
}

fn date(request: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(request.get(name)?.to_str().ok()?).ok()
}
