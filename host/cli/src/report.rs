//! What the commands print about themselves. Owns: the text and JSON forms.
//! Must not know: the commands, or whether what it prints is true.

use crate::fault::Fault;
use crate::network::{Setup, Step};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};

/// How and where to print.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reporter {
    form: Form,
    channel: Channel,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Text { colour: bool },
    Json,
}

/// Where to print.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Channel {
    /// For commands whose report is their only output.
    Stdout,
    /// For commands that use stdout for data.
    Stderr,
}

/// What was started.
#[derive(Clone, Debug)]
pub struct Start<'a> {
    /// "serve".
    pub command: &'static str,
    /// "serving /srv/www, read-only".
    pub doing: String,
    /// What the network did to start.
    pub setup: &'a Setup,
    /// What the command adds to that.
    pub steps: Vec<Step>,
    /// Where to go: a word for the left column, and a URL or an address.
    pub places: Vec<Step>,
}

impl Reporter {
    /// A reporter; text has colour on a terminal whose user did not ask for none.
    pub fn new(json: bool, channel: Channel) -> Reporter {
        let terminal = match channel {
            Channel::Stdout => std::io::stdout().is_terminal(),
            Channel::Stderr => std::io::stderr().is_terminal(),
        };
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let form = if json { Form::Json } else { Form::Text { colour: terminal && !plain } };
        Reporter { form, channel }
    }

    /// Tells what was started.
    pub fn started(&self, start: &Start<'_>) {
        self.print(&match self.form {
            Form::Json => line(&start_json(start)),
            Form::Text { colour } => start_text(start, colour),
        });
    }

    /// Tells what happened, in one line; `facts` are the same for programs.
    pub fn event(&self, event: &str, text: &str, facts: Value) {
        self.print(&match self.form {
            Form::Json => line(&event_json(event, facts)),
            Form::Text { .. } => format!("usertcp: {text}\n"),
        });
    }

    fn print(&self, text: &str) {
        // Whoever closed our output does not want to read this.
        let _ = match self.channel {
            Channel::Stdout => {
                let mut out = std::io::stdout().lock();
                out.write_all(text.as_bytes()).and_then(|()| out.flush())
            }
            Channel::Stderr => std::io::stderr().lock().write_all(text.as_bytes()),
        };
    }
}

/// Prints a fault to stderr: two lines, or one of JSON.
pub fn fault(fault: &Fault, json: bool) {
    let text = if json {
        line(&json!({
            "event": "error", "what": fault.what, "help": fault.remedy, "code": fault.code(),
        }))
    } else {
        format!("{fault}\n")
    };
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

fn line(value: &Value) -> String {
    format!("{value}\n")
}

fn event_json(event: &str, facts: Value) -> Value {
    let mut object = json!({ "event": event });
    if let (Some(object), Value::Object(facts)) = (object.as_object_mut(), facts) {
        object.extend(facts);
    }
    object
}

fn start_json(start: &Start<'_>) -> Value {
    json!({
        "event": "started",
        "command": start.command,
        "version": env!("CARGO_PKG_VERSION"),
        "steps": start.setup.steps.iter().chain(&start.steps).collect::<Vec<_>>(),
        "addresses": start.setup.addresses,
        "places": start.places,
        "notice": start.setup.notice,
    })
}

fn start_text(start: &Start<'_>, colour: bool) -> String {
    let bold = |text: &str| if colour { format!("\x1b[1m{text}\x1b[0m") } else { text.into() };
    let mut out = format!("{} {}\n", bold("usertcp"), start.doing);
    if let Some(notice) = &start.setup.notice {
        let _ = write!(out, "\n  {}\n", bold(notice));
    }
    for group in
        [start.setup.steps.iter().chain(&start.steps).collect(), start.places.iter().collect()]
    {
        out.push('\n');
        out.push_str(&columns(group, colour));
    }
    out.push_str("\n  Ctrl-C stops it.\n");
    out
}

/// Two columns; a word on the left is not repeated below itself.
fn columns(steps: Vec<&Step>, colour: bool) -> String {
    let width = steps.iter().map(|step| step.what.chars().count()).max().unwrap_or(0).max(9);
    let mut out = String::new();
    let mut above = "";
    for step in steps {
        let what = if step.what == above { "" } else { &step.what };
        let padding = " ".repeat(width - what.chars().count());
        let (dim, end) = if colour { ("\x1b[2m", "\x1b[0m") } else { ("", "") };
        let _ = writeln!(out, "  {dim}{what}{end}{padding}  {}", step.detail);
        above = &step.what;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup() -> Setup {
        Setup {
            summary: "TUN utcp0".into(),
            steps: vec![
                Step::new("device", "utcp0 created, mtu 1500"),
                Step::new("kernel", "10.77.0.1/24"),
                Step::new("kernel", "fd77::1/64"),
            ],
            addresses: vec!["10.77.0.2".parse().unwrap()],
            notice: None,
        }
    }

    fn start(setup: &Setup) -> Start<'_> {
        Start {
            command: "serve",
            doing: "serves /srv/www".into(),
            setup,
            steps: vec![],
            places: vec![Step::new("open", "http://10.77.0.2/")],
        }
    }

    #[test]
    fn text_is_aligned() {
        let setup = setup();
        assert_eq!(
            start_text(&start(&setup), false),
            "usertcp serves /srv/www\n\n  \
             device     utcp0 created, mtu 1500\n  \
             kernel     10.77.0.1/24\n             fd77::1/64\n\n  \
             open       http://10.77.0.2/\n\n  \
             Ctrl-C stops it.\n"
        );
        assert!(start_text(&start(&setup), true).contains("\x1b[1musertcp\x1b[0m serves"));
    }

    #[test]
    fn json_is_one_line() {
        let setup = setup();
        let text = line(&start_json(&start(&setup)));
        assert_eq!(text.matches('\n').count(), 1);
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["event"], "started");
        assert_eq!(value["steps"][0]["what"], "device");
        assert_eq!(value["places"][0]["detail"], "http://10.77.0.2/");
        let value = event_json("stopped", json!({ "requests": 3 }));
        assert_eq!(value, json!({ "event": "stopped", "requests": 3 }));
    }
}
