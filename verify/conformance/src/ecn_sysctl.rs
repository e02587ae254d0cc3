//! `sysctl` lines about ECN. Owns: what their numbers mean for the stack's settings.
//! Must not know: events, packets.

use usertcp_tcp::{EcnMode, EcnOption, Settings};

/// Does what one shell command says, if it is a `sysctl` that sets ECN and nothing else; whether it
/// was one.
pub fn run(command: &str, settings: &mut Settings) -> bool {
    let mut words = command.split_whitespace();
    if words.next() != Some("sysctl") {
        return false;
    }
    let mut changed = *settings;
    let mut any = false;
    for word in words {
        if word == "-q" || word == "-w" {
            continue;
        }
        let Some((name, value)) = word.split_once('=') else { return false };
        let name = name.strip_prefix("net.ipv4.").unwrap_or(name);
        if !set(name, value.trim_matches('"'), &mut changed) {
            return false;
        }
        any = true;
    }
    *settings = if any { changed } else { *settings };
    any
}

/// One assignment; false when it is none of these.
fn set(name: &str, value: &str, settings: &mut Settings) -> bool {
    match (name, value) {
        ("tcp_ecn", "0") => settings.ecn = EcnMode::Off,
        ("tcp_ecn", "1") => settings.ecn = EcnMode::Ask,
        ("tcp_ecn", "2") => settings.ecn = EcnMode::Accept,
        ("tcp_ecn", "3") => settings.ecn = EcnMode::AskAccurate,
        ("tcp_ecn", "4") => settings.ecn = EcnMode::AskClassic,
        ("tcp_ecn", "5") => settings.ecn = EcnMode::AcceptAccurate,
        ("tcp_ecn_option", "0") => settings.ecn_option = EcnOption::Never,
        ("tcp_ecn_option", "1") => settings.ecn_option = EcnOption::Least,
        ("tcp_ecn_option", "2") => settings.ecn_option = EcnOption::WhenChanged,
        ("tcp_ecn_option", "3") => settings.ecn_option = EcnOption::Persist,
        _ => return false,
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ecn_is_set_and_all_of_a_line_or_nothing() {
        let mut settings = Settings::default();
        assert!(run("sysctl -q net.ipv4.tcp_ecn=3 net.ipv4.tcp_ecn_option=0", &mut settings));
        let set = (settings.ecn, settings.ecn_option);
        assert_eq!(set, (EcnMode::AskAccurate, EcnOption::Never));
        for line in [
            "sysctl",
            "sysctl -q",
            "sysctl -q net.ipv4.tcp_ecn=1 net.ipv4.tcp_sack=0",
            "sysctl -q net.ipv4.tcp_ecn=6",
            "sysctl -q net.ipv4.tcp_ecn",
            "ip route",
        ] {
            assert!(!run(line, &mut settings), "{line}");
            assert_eq!((settings.ecn, settings.ecn_option), set);
        }
    }
}
