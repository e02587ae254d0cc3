//! What went wrong, for a person. Owns: the two-line form and the exit code.
//! Must not know: where faults come from; each place says what it was doing.

use std::fmt;
use std::io;

/// How the program ends because of a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The command line was wrong: exit code 2.
    Usage,
    /// Something failed while running: exit code 1.
    Run,
}

/// One line that says what is wrong, one that says what to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
    /// Usage or run.
    pub kind: Kind,
}

impl Fault {
    /// A fault of the command line.
    pub fn usage(what: impl Into<String>, remedy: impl Into<String>) -> Fault {
        Fault { what: what.into(), remedy: remedy.into(), kind: Kind::Usage }
    }

    /// A fault while running.
    pub fn run(what: impl Into<String>, remedy: impl Into<String>) -> Fault {
        Fault { what: what.into(), remedy: remedy.into(), kind: Kind::Run }
    }

    /// A fault while running whose cause is `error`; the usual causes bring their own remedy,
    /// others get `remedy`.
    pub fn io(doing: impl fmt::Display, error: &io::Error, remedy: &str) -> Fault {
        let remedy = match error.kind() {
            io::ErrorKind::PermissionDenied => {
                "run it as root, or give the program the capability it needs \
                 (setcap cap_net_admin+ep)"
            }
            io::ErrorKind::AddrInUse => {
                "stop the program that has the address, or choose another with --port or --addr"
            }
            io::ErrorKind::ResourceBusy => {
                "stop the program that has the device, or choose another with --dev"
            }
            _ => remedy,
        };
        Fault::run(format!("{doing}: {}", plain(error)), remedy)
    }

    /// The same fault, with where it was found in front.
    #[must_use]
    pub fn within(mut self, place: impl fmt::Display) -> Fault {
        self.what = format!("{place}: {}", self.what);
        self
    }

    /// The exit code: 2 for usage, 1 for the rest.
    pub fn code(&self) -> u8 {
        match self.kind {
            Kind::Usage => 2,
            Kind::Run => 1,
        }
    }
}

/// An I/O error without the "(os error n)" that tells a person nothing.
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    let mut characters = text[..end].chars();
    match characters.next() {
        Some(first) => first.to_lowercase().chain(characters).collect(),
        None => text,
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}\nhelp: {}", self.what, self.remedy)
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_two_lines() {
        let fault = Fault::usage("it is wrong", "make it right").within("--addr x");
        assert_eq!(fault.to_string(), "error: --addr x: it is wrong\nhelp: make it right");
        assert_eq!((fault.code(), Fault::run("", "").code()), (2, 1));
    }

    #[test]
    fn usual_causes_bring_their_remedy() {
        let busy = io::Error::from_raw_os_error(16);
        let fault = Fault::io("opening utcp0", &busy, "look at it");
        assert_eq!(fault.what, "opening utcp0: device or resource busy");
        assert!(fault.remedy.contains("--dev"), "{}", fault.remedy);
        let missing = io::Error::from_raw_os_error(2);
        assert_eq!(Fault::io("x", &missing, "look at it").remedy, "look at it");
    }
}
