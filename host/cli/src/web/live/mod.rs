//! The live page and its data. Owns: `/_usertcp/` and what is below it.
//! Must not know: where the facts come from.

mod metrics;

use super::body::Body;
use super::refusal::Refusal;
use super::site::{About, html};
use super::tally::{Tally, Totals};
use crate::facts::{LiveFacts, Snapshot};
use http::header::{self, HeaderValue};
use http::{Request, Response, StatusCode};
use serde::Serialize;
use usertcp_base::Limiter;

/// Self-contained: no other request but for stats.json.
const PAGE: &str = concat!(
    "<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n<title>usertcp</title>\n<style>\n",
    include_str!("page.css"),
    "</style>\n",
    include_str!("page.html"),
    "<script>\n",
    include_str!("page.js"),
    "</script>\n"
);

/// Connections in one page of facts; more would not be read by anybody.
const ROWS: usize = 200;

/// What stats.json holds.
#[derive(Serialize)]
struct Stats<'a> {
    version: &'static str,
    about: &'a About,
    limiters: [&'static str; Limiter::COUNT],
    http: Totals,
    #[serde(flatten)]
    stack: Snapshot,
}

/// The answer for `/_usertcp` followed by `rest`.
pub async fn answer<F: LiveFacts, B>(
    rest: &str,
    facts: &F,
    tally: &Tally,
    about: &About,
    request: &Request<B>,
) -> Response<Body> {
    match rest {
        "/" => html(PAGE),
        "" => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
            let location = HeaderValue::from_static("/_usertcp/");
            response.headers_mut().insert(header::LOCATION, location);
            response
        }
        "/stats.json" => {
            let stats = Stats {
                version: env!("CARGO_PKG_VERSION"),
                about,
                limiters: Limiter::NAMES,
                http: tally.totals(),
                stack: facts.snapshot(ROWS).await,
            };
            match serde_json::to_vec(&stats) {
                Ok(json) => data("application/json", json),
                Err(error) => Refusal::failed(&error.into()).into_response(request.headers()),
            }
        }
        "/metrics" => {
            let text = metrics::text(&facts.snapshot(0).await, &tally.totals());
            data("text/plain; version=0.0.4; charset=utf-8", text.into_bytes())
        }
        _ => Refusal::not_found().into_response(request.headers()),
    }
}

/// Facts of this moment: not to be kept.
fn data(kind: &'static str, octets: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::whole(octets));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
