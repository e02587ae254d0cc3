//! Answers that refuse. Owns: status, one line of what, one of what to do; as text or as a page.
//! Must not know: who refuses, and why.

use super::body::Body;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use rustix::io::Errno;

/// A refusal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The status code.
    pub status: StatusCode,
    /// What is refused.
    pub what: String,
    /// What to do instead; may be empty.
    pub remedy: String,
    /// Methods that would be allowed here (405).
    pub allow: Option<&'static str>,
    /// The file's length (416).
    pub length: Option<u64>,
}

impl Refusal {
    /// A refusal with a status and a reason.
    pub fn new(status: StatusCode, what: impl Into<String>, remedy: impl Into<String>) -> Refusal {
        Refusal { status, what: what.into(), remedy: remedy.into(), allow: None, length: None }
    }

    /// 404.
    pub fn not_found() -> Refusal {
        Refusal::new(StatusCode::NOT_FOUND, "there is nothing here", "")
    }

    /// 405.
    pub fn method(allow: &'static str, remedy: &str) -> Refusal {
        let what = "this method is not served here";
        Refusal { allow: Some(allow), ..Refusal::new(StatusCode::METHOD_NOT_ALLOWED, what, remedy) }
    }

    /// 412.
    pub fn precondition() -> Refusal {
        let what = "the file is not in the state the request was made for";
        Refusal::new(StatusCode::PRECONDITION_FAILED, what, "look at the file again")
    }

    /// 416.
    pub fn range(length: u64) -> Refusal {
        let what = format!("the file has {length} octets, none of them in that range");
        let refusal = Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, what, "");
        Refusal { length: Some(length), ..refusal }
    }

    /// What the system's error means to a client.
    pub fn from_errno(errno: Errno) -> Refusal {
        match errno {
            Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::LOOP => Refusal::not_found(),
            Errno::ACCESS | Errno::PERM | Errno::ROFS | Errno::XDEV | Errno::NXIO => {
                Refusal::new(StatusCode::FORBIDDEN, "the server may not touch this file", "")
            }
            Errno::NOSPC | Errno::DQUOT => {
                Refusal::new(StatusCode::INSUFFICIENT_STORAGE, "the disk is full", "")
            }
            other => Refusal::failed(&other.into()),
        }
    }

    /// 500.
    pub fn failed(error: &std::io::Error) -> Refusal {
        let what = format!("the server could not do it: {}", crate::fault::plain(error));
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, what, "")
    }

    /// The answer: a page for whoever asks for HTML, text for the rest.
    pub fn into_response(self, request: &HeaderMap) -> Response<Body> {
        let html = accepts_html(request);
        let text = if html { self.page() } else { self.text() };
        let mut response = Response::new(Body::whole(text));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        let kind = if html { "text/html; charset=utf-8" } else { "text/plain; charset=utf-8" };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        if let Some(allow) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        if let Some(length) = self.length
            && let Ok(value) = HeaderValue::try_from(format!("bytes */{length}"))
        {
            headers.insert(header::CONTENT_RANGE, value);
        }
        response
    }

    fn title(&self) -> String {
        let reason = self.status.canonical_reason().unwrap_or("Refused");
        format!("{} {reason}", self.status.as_u16())
    }

    fn text(&self) -> String {
        let mut text = format!("{}: {}\n", self.title(), self.what);
        if !self.remedy.is_empty() {
            text.push_str(&self.remedy);
            text.push('\n');
        }
        text
    }

    fn page(&self) -> String {
        use super::listing::{escape, page_start};
        let mut page = page_start(&self.title());
        page.push_str("<header><h1><b>");
        page.push_str(&self.title());
        page.push_str("</b></h1></header><p>");
        escape(&mut page, &self.what);
        page.push_str("</p><p>");
        escape(&mut page, &self.remedy);
        page.push_str("</p><footer><a href=\"/\">All files</a></footer></main>\n");
        page
    }
}

fn accepts_html(request: &HeaderMap) -> bool {
    request
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}
