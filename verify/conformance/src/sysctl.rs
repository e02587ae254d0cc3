//! Kernel parameters that scripts set. Owns: which of them the stack has, and what they mean to it.
//! Must not know: when a command runs.

use usertcp_tcp::{MtuProbing, Settings};

/// `sysctl [-q] [-w] name=value …`: changes what later sockets start with. Whether all of it is known.
pub fn run(command: &str, settings: &mut Settings) -> bool {
    let mut words = command.split_whitespace();
    if words.next() != Some("sysctl") {
        return false;
    }
    words
        .filter(|word| !matches!(*word, "-q" | "-w"))
        .all(|word| word.split_once('=').is_some_and(|(name, value)| set(name, value, settings)))
}

/// One parameter.
fn set(name: &str, value: &str, settings: &mut Settings) -> bool {
    let Ok(value) = value.trim_matches(['"', '\'']).parse::<u16>() else { return false };
    match (name, value) {
        ("net.ipv4.tcp_mtu_probing", 0) => settings.mtu_probing = MtuProbing::Off,
        ("net.ipv4.tcp_mtu_probing", 1) => settings.mtu_probing = MtuProbing::AfterBlackHole,
        ("net.ipv4.tcp_mtu_probing", 2) => settings.mtu_probing = MtuProbing::Always,
        ("net.ipv4.tcp_base_mss", mss) => settings.base_mss_octets = mss,
        ("net.ipv4.tcp_no_metrics_save", flag @ (0 | 1)) => settings.share_path_facts = flag == 0,
        _ => return false,
    }
    true
}

/// What the field's suites set before every script.
pub fn suite_defaults(settings: &mut Settings) {
    settings.mtu_probing = MtuProbing::Off;
    settings.share_path_facts = false;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_parameters_change_settings_and_others_are_refused() {
        let mut settings = Settings::default();
        assert!(run(
            "sysctl -q net.ipv4.tcp_mtu_probing=2 net.ipv4.tcp_base_mss=1024",
            &mut settings
        ));
        assert_eq!((settings.mtu_probing, settings.base_mss_octets), (MtuProbing::Always, 1024));
        assert!(run("sysctl -q -w net.ipv4.tcp_no_metrics_save=1", &mut settings));
        assert!(!settings.share_path_facts);
        for unknown in ["sysctl net.ipv4.tcp_mtu_probing=3", "sysctl a=1", "sysctl a", "ls"] {
            assert!(!run(unknown, &mut settings), "{unknown}");
        }
    }
}
