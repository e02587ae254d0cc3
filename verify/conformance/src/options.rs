//! How a run is set up. Owns: the mode, the `--name=value` lines, the stack's profile.
//! Must not know: packets, calls.

use crate::posix::profile::Defaults;
use crate::script::{Script, Stop};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use usertcp_base::{Instant, Parking};

/// The port that scripts listen at and connect to.
pub const PORT: u16 = 8080;
/// When a script begins, unless its sequence numbers are to wrap.
pub const START: Instant = Instant::from_millis(1_000_000);

/// How a script is run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Mode {
    /// With IPv6.
    pub v6: bool,
    /// Sequence numbers of both sides pass 2^32 early.
    pub wrap: bool,
    /// The profile, if the script names none.
    pub profile: Profile,
    /// When idle connections are parked.
    pub parking: Parking,
}

impl Mode {
    /// The IPv6 header is 20 octets longer: so much larger is its link, so that one script fits
    /// both, as the field's runners do.
    pub fn family_octets(&self) -> u16 {
        if self.v6 { 20 } else { 0 }
    }
}

impl core::fmt::Display for Mode {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(if self.v6 { "v6" } else { "v4" })?;
        f.write_str(if self.wrap { " wrapped" } else { "" })?;
        match self.parking {
            Parking::AtRest => Ok(()),
            Parking::AtOnce => f.write_str(" parking at once"),
            Parking::Never => f.write_str(" never parking"),
        }
    }
}

/// How the stack behaves where the standards leave a choice.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Profile {
    /// Its own way, until a script runs the suites' `defaults.sh`, which expects Linux.
    #[default]
    Own,
    /// In the manner of Linux from the beginning.
    Linux,
}

/// What the option lines and the mode come to.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The mode.
    pub mode: Mode,
    /// Least tolerance of times, microseconds.
    pub tolerance: u64,
    /// Packets are compared one by one: a burst is not joined.
    pub strict_segments: bool,
    /// What our timestamps echo is compared. (An option of this runner alone: the field's does not
    /// look at it, and its scripts write anything there.)
    pub check_ts_echo: bool,
    /// Octets of the largest packet.
    pub mtu: u16,
    /// Our address.
    pub local: IpAddr,
    /// The peer's.
    pub remote: IpAddr,
    /// The port that is bound.
    pub bind_port: u16,
    /// The port that is connected to.
    pub connect_port: u16,
    /// Payload octets of the segments that longer inbound packets were merged from.
    pub merged_mss: Option<u16>,
    /// A tick of the timestamps' clock, microseconds: their values are compared.
    pub stamp_tick: Option<u64>,
    /// Echoes that were not recorded are scaled.
    pub scaled_echoes: bool,
    /// A wrong packet does not end the script.
    pub forgives_packets: bool,
    /// A wrong call does not end the script.
    pub forgives_calls: bool,
    /// Words that are replaced.
    pub definitions: Vec<(String, String)>,
    /// The profile.
    pub profile: Profile,
}

impl Setup {
    /// Reads the option lines of `script`.
    pub fn new(script: &Script, mode: Mode) -> Result<Setup, Stop> {
        let mut mode = mode;
        let version = script.options.iter().rev().find(|(name, _)| name == "ip_version");
        match version.map(|(_, value)| value.as_str()) {
            None => {}
            Some("ipv4") => mode.v6 = false,
            Some("ipv6") => mode.v6 = true,
            Some(other) => {
                return Err(Stop::unsupported(1, format!("option `--ip_version={other}`")));
            }
        }
        // The addresses of the kernel's own runner: Fast Open cookies depend on them.
        let (local, remote): (IpAddr, IpAddr) = if mode.v6 {
            let end = |a, b, c| Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 1);
            (end(0xfd3d, 0x0a0b, 0x17d6).into(), end(0xfd3d, 0xfa7b, 0xd17d).into())
        } else {
            (Ipv4Addr::new(192, 168, 0, 1).into(), Ipv4Addr::new(192, 0, 2, 1).into())
        };
        let mut setup = Setup {
            mode,
            tolerance: 4000,
            strict_segments: false,
            check_ts_echo: false,
            mtu: 1500 + mode.family_octets(),
            local,
            remote,
            bind_port: PORT,
            connect_port: PORT,
            merged_mss: None,
            stamp_tick: None,
            scaled_echoes: false,
            forgives_packets: false,
            forgives_calls: false,
            definitions: Vec::new(),
            profile: mode.profile,
        };
        for (name, value) in &script.options {
            setup.option(name, value)?;
        }
        Ok(setup)
    }

    fn option(&mut self, name: &str, value: &str) -> Result<(), Stop> {
        let bad = || Stop::failed(1, format!("option `--{name}={value}`: not such a value"));
        let unknown = || Stop::unsupported(1, format!("option `--{name}={value}`"));
        let number = || value.parse::<u64>().map_err(|_| bad());
        let short = || value.parse::<u16>().map_err(|_| bad());
        match name {
            "tolerance_usecs" => self.tolerance = number()?.max(4000),
            "tolerance_percent" if value == "12.5" => {}
            "strict_segments" => self.strict_segments = true,
            "check_ts_echo" => self.check_ts_echo = true,
            "mtu" => {
                let least = if self.mode.v6 { 1280 } else { 576 };
                self.mtu = Some(short()?).filter(|mtu| *mtu >= least).ok_or_else(bad)?;
            }
            "mss" => self.merged_mss = Some(short()?).filter(|mss| *mss > 0),
            "tcp_ts_tick_usecs" => self.stamp_tick = Some(number()?).filter(|tick| *tick > 0),
            "tcp_ts_ecr_scaled" => self.scaled_echoes = true,
            "bind_port" => self.bind_port = short()?,
            "connect_port" => self.connect_port = short()?,
            "non_fatal" => {
                for word in value.split(',') {
                    match word {
                        "packet" => self.forgives_packets = true,
                        "syscall" => self.forgives_calls = true,
                        _ => return Err(unknown()),
                    }
                }
            }
            "define" => {
                let (name, value) = value.split_once('=').ok_or_else(bad)?;
                self.definitions.push((name.to_string(), value.to_string()));
            }
            "profile" => {
                self.profile = match value {
                    "own" => Profile::Own,
                    "linux" => Profile::Linux,
                    _ => return Err(unknown()),
                }
            }
            "local_ip" => self.local = self.address(value).ok_or_else(unknown)?,
            "remote_ip" => self.remote = self.address(value).ok_or_else(unknown)?,
            "verbose" | "send_omit_free" | "dry_run" => {}
            // They are about the host that a script runs on, and there is none; `ip_version` was
            // read before.
            "ip_version" | "gateway_ip" | "netmask_ip" | "persistent_tun_dev" | "init_scripts"
            | "speed" => {}
            _ => return Err(unknown()),
        }
        Ok(())
    }

    /// An address of the family in force, a prefix length after it left out.
    fn address(&self, text: &str) -> Option<IpAddr> {
        let address: IpAddr = text.split('/').next()?.parse().ok()?;
        (address.is_ipv6() == self.mode.v6).then_some(address)
    }

    /// What the stack starts with.
    pub fn defaults(&self) -> Defaults {
        let prefix = if self.mode.v6 { 64 } else { 24 };
        let mut defaults = Defaults::new(vec![(self.local, prefix)], self.mtu);
        defaults.family_octets = self.mode.family_octets();
        defaults.limits.parking = self.mode.parking;
        if self.profile == Profile::Linux {
            defaults.use_linux();
        }
        defaults
    }
}
