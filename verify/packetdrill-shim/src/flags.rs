//! `--so_flags=`, and what of the program's own command line concerns the stack.
//! Owns: their words. Must not know: the stack.

use core::net::IpAddr;
use usertcp_conformance::posix::profile::Defaults;

/// Addresses that the program gives the stack when it is told none.
const USUAL: [&str; 3] = ["192.168.0.1", "fd3d:fa7b:d17d::1", "fd3d:0a0b:17d6::1"];

/// What the stack is to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Flags {
    /// Our addresses.
    pub addresses: Vec<IpAddr>,
    /// Octets of the largest packet.
    pub mtu: u16,
    /// In the manner of Linux.
    pub linux: bool,
    /// What the header of the family is longer than IPv4's, octets.
    pub family_octets: u16,
    /// Chooses the initial sequence numbers.
    pub seed: u64,
}

impl Flags {
    /// Reads `text`, words joined by commas, after the program's `arguments`. The error is what
    /// a person reads.
    pub fn read(text: &str, arguments: &[String]) -> Result<Flags, String> {
        let mut out =
            Flags { addresses: Vec::new(), mtu: 1500, linux: false, family_octets: 0, seed: 0 };
        for argument in arguments {
            match argument.trim_start_matches('-').split_once('=') {
                Some(("local_ip", value)) => out.addresses.push(parsed("local_ip", value)?),
                Some(("mtu", value)) => out.mtu = parsed("mtu", value)?,
                _ => {}
            }
        }
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            match word.split_once('=').unwrap_or((word, "")) {
                ("local", value) => out.addresses.insert(0, parsed("local", value)?),
                ("mtu", value) => out.mtu = parsed("mtu", value)?,
                ("seed", value) => out.seed = parsed("seed", value)?,
                ("v4" | "v6", "") => {
                    // A link 20 octets larger makes one script fit both families.
                    out.family_octets = if word == "v6" { 20 } else { 0 };
                    out.mtu = 1500 + out.family_octets;
                }
                ("profile", "own") => out.linux = false,
                ("profile", "linux") => out.linux = true,
                _ => {
                    return Err(format!(
                        "`{word}` is none of local=ADDRESS, mtu=N, profile=own|linux, seed=N, v4, v6"
                    ));
                }
            }
        }
        out.addresses.extend(USUAL.iter().filter_map(|address| address.parse::<IpAddr>().ok()));
        Ok(out)
    }

    /// What sockets start with.
    pub fn defaults(&self) -> Defaults {
        let with_prefix = |address: &IpAddr| (*address, prefix(*address));
        let addresses = self.addresses.iter().map(with_prefix).collect();
        let mut out = Defaults::new(addresses, self.mtu);
        out.family_octets = self.family_octets;
        if self.linux {
            out.use_linux();
        }
        out
    }
}

/// The length of an address's prefix: all that is not ours is a peer.
pub fn prefix(address: IpAddr) -> u8 {
    if address.is_ipv4() { 24 } else { 64 }
}

fn parsed<T: core::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{name}: `{value}`"))
}

/// The program's arguments.
pub fn command_line() -> Vec<String> {
    std::env::args().skip(1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_or_refused() {
        let arguments = ["--local_ip=10.1.2.3", "--mtu=1400", "x.pkt"].map(str::to_string);
        let Ok(got) = Flags::read("seed=7,local=fd00::9", &arguments) else { panic!("refused") };
        assert_eq!((got.mtu, got.seed), (1400, 7));
        let told = ["fd00::9", "10.1.2.3"].map(|text| text.parse::<IpAddr>().unwrap());
        assert_eq!(got.addresses[..2], told);
        assert_eq!(Flags::read("v6", &[]).map(|flags| flags.mtu), Ok(1520));
        for bad in ["seed=x", "colour", "v6=1", "local=", "profile=bsd"] {
            assert!(Flags::read(bad, &[]).is_err(), "{bad}");
        }
    }
}
