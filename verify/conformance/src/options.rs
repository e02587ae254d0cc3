//! How a run is set up. Owns: the mode, the `--name=value` lines, the stack's profile.
//! Must not know: packets, calls.

use crate::posix::profile::Defaults;
use crate::script::{Script, Stop};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use usertcp_base::Instant;

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
}

impl core::fmt::Display for Mode {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(if self.v6 { "v6" } else { "v4" })?;
        f.write_str(if self.wrap { " wrapped" } else { "" })
    }
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
    /// Octets of the largest packet.
    pub mtu: u16,
    /// Our address.
    pub local: IpAddr,
    /// The peer's.
    pub remote: IpAddr,
}

impl Setup {
    /// Reads the option lines of `script`.
    pub fn new(script: &Script, mode: Mode) -> Result<Setup, Stop> {
        let (local, remote) = if mode.v6 {
            let end = |last| IpAddr::V6(Ipv6Addr::new(0xfd3d, 0xfa7b, 0xd17d, 0, 0, 0, 0, last));
            (end(1), end(2))
        } else {
            let end = |last| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
            (end(1), end(2))
        };
        // The IPv6 header is 20 octets longer: so one script fits both, as the field's runners do.
        let mtu = if mode.v6 { 1520 } else { 1500 };
        let mut setup = Setup { mode, tolerance: 4000, strict_segments: false, mtu, local, remote };
        for (name, value) in &script.options {
            setup.option(name, value)?;
        }
        Ok(setup)
    }

    fn option(&mut self, name: &str, value: &str) -> Result<(), Stop> {
        let bad = |_| Stop::failed(1, format!("option `--{name}={value}`: not a number"));
        match name {
            "tolerance_usecs" => self.tolerance = value.parse::<u64>().map_err(bad)?.max(4000),
            "strict_segments" => self.strict_segments = true,
            "mtu" => self.mtu = value.parse().map_err(bad)?,
            // The mode says the family; addresses and these are about the host a script runs on.
            "ip_version" | "local_ip" | "remote_ip" | "gateway_ip" | "netmask_ip" | "bind_port"
            | "connect_port" | "verbose" | "send_omit_free" | "non_fatal" | "wire_client_dev"
            | "wire_server_dev" => {}
            _ => return Err(Stop::unsupported(1, format!("option `--{name}`"))),
        }
        Ok(())
    }

    /// What the stack starts with.
    pub fn defaults(&self) -> Defaults {
        let prefix = if self.mode.v6 { 64 } else { 24 };
        Defaults::new(vec![(self.local, prefix)], self.mtu)
    }
}
