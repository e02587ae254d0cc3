//! Settings of the kernel, inside the script's namespace. Owns: what every script starts from, and
//! the lines `sysctl NAME=VALUE` of scripts. Must not know: sockets.

use crate::script::Stop;
use std::io;
use std::path::PathBuf;

/// What the scripts of this project start from: buffers that make the window scale 8, and
/// everything else as the kernel has it by itself.
const BASE: [(&str, &str); 4] = [
    ("net.ipv4.tcp_rmem", "4096 540000 15728640"),
    ("net.ipv4.tcp_wmem", "4096 262144 4194304"),
    // As a stack that has not seen the peer before.
    ("net.ipv4.tcp_no_metrics_save", "1"),
    ("net.ipv4.tcp_pacing_ss_ratio", "200"),
];

/// What the suites of the field start from; their `defaults.sh` sets it.
const DEFAULTS: [(&str, &str); 17] = [
    ("net.ipv4.tcp_timestamps", "1"),
    ("net.ipv4.tcp_syn_retries", "5"),
    ("net.ipv4.tcp_synack_retries", "5"),
    ("net.ipv4.tcp_frto", "2"),
    ("net.ipv4.tcp_sack", "1"),
    ("net.ipv4.tcp_dsack", "1"),
    ("net.ipv4.tcp_reordering", "3"),
    ("net.ipv4.tcp_slow_start_after_idle", "0"),
    ("net.ipv4.tcp_early_retrans", "4"),
    ("net.ipv4.tcp_recovery", "1"),
    ("net.ipv4.tcp_tso_win_divisor", "3"),
    ("net.ipv4.tcp_ecn", "0"),
    ("net.ipv4.tcp_pacing_ca_ratio", "120"),
    ("net.ipv4.tcp_notsent_lowat", "4294967295"),
    ("net.ipv4.tcp_fastopen", "0x70403"),
    ("net.ipv4.tcp_fastopen_key", "a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4"),
    ("net.ipv4.tcp_syncookies", "1"),
];

/// Sets what every script starts from.
pub fn prepare() -> io::Result<()> {
    BASE.iter().try_for_each(|(name, value)| set(name, value))
}

/// Sets `NAME=VALUE NAME=VALUE…`, what the comment of a script asks of the kernel alone.
pub fn set_all(words: &str) -> io::Result<()> {
    let settings = settings(&format!("sysctl {words}"));
    let settings = settings.ok_or_else(|| io::Error::other(format!("`{words}` sets nothing")))?;
    settings.iter().try_for_each(|(name, value)| set(name, value))
}

fn set(name: &str, value: &str) -> io::Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !name.starts_with("net.") || name.contains("..") || !name.chars().all(plain) {
        return Err(io::Error::other(format!("`{name}` is no setting of the network")));
    }
    let path = PathBuf::from("/proc/sys").join(name.replace('.', "/"));
    std::fs::write(&path, value)
        .map_err(|error| io::Error::new(error.kind(), format!("{name}={value}: {error}")))
}

/// A command of a script: `defaults.sh`, or settings. Nothing else is run on this machine.
pub fn command(line: usize, text: &str) -> Result<(), Stop> {
    for one in text.split([';', '\n']).map(str::trim).filter(|part| !part.is_empty()) {
        if one.starts_with('#') {
            continue;
        }
        let mut words = one.split_whitespace();
        let first = words.next().unwrap_or("");
        if first.ends_with("defaults.sh") && words.next().is_none() {
            // What this kernel does not have (any more) is not set.
            DEFAULTS.iter().for_each(|(name, value)| drop(set(name, value)));
            continue;
        }
        let Some(settings) = settings(one) else {
            return Err(Stop::unsupported(line, format!("shell command `{one}`")));
        };
        for (name, value) in settings {
            if let Err(error) = set(&name, &value) {
                return Err(Stop::unsupported(line, format!("setting {error}")));
            }
        }
    }
    Ok(())
}

/// The settings of a command `sysctl [-q] [-w] NAME=VALUE…` or `… set_sysctls.py PATH=VALUE…`.
fn settings(command: &str) -> Option<Vec<(String, String)>> {
    let (program, rest) = command.split_once(char::is_whitespace)?;
    if program != "sysctl" && !program.ends_with("set_sysctls.py") {
        return None;
    }
    let mut out: Vec<(String, String)> = Vec::new();
    for word in rest.split_whitespace().filter(|word| !word.starts_with('-')) {
        match (word.split_once('='), out.last_mut()) {
            (Some((name, value)), _) => {
                let name = name.trim_start_matches("/proc/sys/").replace('/', ".");
                out.push((name, value.trim_matches(['"', '\'']).to_string()));
            }
            // A value of several words in quotes.
            (None, Some((_, value))) => {
                value.push(' ');
                value.push_str(word.trim_matches(['"', '\'']));
            }
            (None, None) => return None,
        }
    }
    (!out.is_empty()).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_string(), value.to_string())
    }

    #[test]
    fn settings_are_read_in_both_forms() {
        assert_eq!(
            settings("sysctl -q net.ipv4.tcp_sack=0 net.ipv4.tcp_rmem=\"4096 5 6\""),
            Some(vec![pair("net.ipv4.tcp_sack", "0"), pair("net.ipv4.tcp_rmem", "4096 5 6")])
        );
        assert_eq!(
            settings("./set_sysctls.py /proc/sys/net/ipv4/tcp_ecn=1"),
            Some(vec![pair("net.ipv4.tcp_ecn", "1")])
        );
        assert_eq!(settings("rm -rf ."), None);
        assert_eq!(settings("sysctl -q"), None);
    }

    #[test]
    fn nothing_but_the_network_is_set() {
        for name in ["kernel.panic", "net..kernel.panic", "net.ipv4/../../kernel"] {
            assert!(set(name, "1").is_err(), "{name}");
        }
        assert!(matches!(command(7, "reboot"), Err(Stop::Unsupported { line: 7, .. })));
    }
}
