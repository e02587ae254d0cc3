//! `usertcp serve`. Owns: putting the web server on the network, and its report.
//! Must not know: HTTP.

use super::{DEVICE_GONE, behaviour, listen_fault, stop_asked, url};
use crate::fault::Fault;
use crate::network::{FastOpen, Network, Step};
use crate::options::ServeArgs;
use crate::report::{Channel, Reporter, Start};
use crate::units::{counted, duration, octets};
use crate::web::{self, About, Site, Totals};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The port on the kernel's loopback when there is no device.
const PUBLISHED_PORT: u16 = 8077;

/// Serves until the user asks to stop.
pub async fn run<N: Network>(network: &N, args: &ServeArgs) -> Result<(), Fault> {
    let stop = stop_asked()?;
    let reporter = Reporter::new(args.network.json, Channel::Stdout);
    let fast_open = if args.fast_open { FastOpen::On } else { FastOpen::Off };
    let listening = |error| listen_fault(args.port, &error);
    let acceptor = network.listen(args.port, fast_open).await.map_err(listening)?;
    let reachable = network.reachable_at(args.port, PUBLISHED_PORT).await.map_err(listening)?;
    let urls: Vec<String> = reachable.into_iter().map(url).collect();
    let about = About {
        network: network.setup().summary.clone(),
        urls: urls.clone(),
        writable: args.writable,
        ..About::default()
    };
    let site = Arc::new(Site::open(&args.directory, network.facts(), about)?);
    reporter.started(&start(network, args, site.about(), &urls));
    let began = Instant::now();
    web::serve(acceptor, site.clone(), stop)
        .await
        .map_err(|error| Fault::io("accepting connections", &error, DEVICE_GONE))?;
    let totals = site.tally().totals();
    reporter.event(
        "stopped",
        &summary(&totals, began.elapsed()),
        json!({ "seconds": began.elapsed().as_secs(), "http": totals }),
    );
    Ok(())
}

fn start<'a, N: Network>(
    network: &'a N,
    args: &ServeArgs,
    about: &About,
    urls: &[String],
) -> Start<'a> {
    let access = if args.writable { "writable" } else { "read-only" };
    let mut places: Vec<Step> = urls.iter().map(|url| Step::new("open", url)).collect();
    if let Some(first) = urls.first() {
        places.push(Step::new("live page", format!("{first}_usertcp/")));
        places.push(Step::new("try", format!("curl {first}")));
        if args.writable {
            places.push(Step::new("try", format!("curl -T FILE {first}")));
        }
    }
    Start {
        command: "serve",
        doing: format!("serves {}, {access}", about.directory),
        setup: network.setup(),
        steps: vec![Step::new("streams", streams(args))],
        places,
    }
}

fn streams(args: &ServeArgs) -> String {
    let behaviour = behaviour(&args.network);
    if args.fast_open { format!("{behaviour}, fast open") } else { behaviour }
}

fn summary(totals: &Totals, time: Duration) -> String {
    format!(
        "stopped after {}: {} on {}, {} sent, {} received",
        duration(time),
        counted(totals.requests, "request"),
        counted(totals.connections, "connection"),
        octets(totals.octets_out),
        octets(totals.octets_in),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_one_line() {
        let totals = Totals {
            requests: 1234,
            connections: 1,
            octets_out: 3 << 29,
            octets_in: 10,
            ..Totals::default()
        };
        assert_eq!(
            summary(&totals, Duration::from_secs(75)),
            "stopped after 1 min 15 s: 1,234 requests on 1 connection, 1.5 GiB sent, 10 B received"
        );
    }
}
