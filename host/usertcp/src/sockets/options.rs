//! The options of a stream, as every kind of stream offers them.
//! Owns: their names and what they change in the settings. Must not know: how settings reach the
//! connection.

use std::time::Duration;
use usertcp_base::Span;

/// In the core's terms.
pub(crate) fn span(duration: Duration) -> Span {
    Span::from_micros(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}

/// Methods for a type that has `settings()` and `set_settings(change)`. As a kernel does, they succeed after the
/// connection's end too: a peer that resets must not fail a server that sets an option of what it accepted.
macro_rules! stream_options {
    () => {
        /// Whether small segments are sent at once.
        ///
        /// # Errors
        /// None; the signature is that of every other stream.
        pub fn nodelay(&self) -> std::io::Result<bool> {
            Ok(self.settings().no_delay)
        }

        /// Sends small segments at once (Nagle's algorithm off).
        ///
        /// # Errors
        /// None; the signature is that of every other stream.
        pub fn set_nodelay(&self, nodelay: bool) -> std::io::Result<()> {
            self.set_settings(|settings| settings.no_delay = nodelay)
        }

        /// Holds back the last, partial segment of what is written, up to 200 ms; `false`
        /// sends it at once, as a shutdown of the writing half does.
        ///
        /// # Errors
        /// None; the signature is that of every other stream.
        pub fn set_cork(&self, cork: bool) -> std::io::Result<()> {
            self.set_settings(|settings| settings.cork = cork)
        }

        /// Probes an idle peer, or does not.
        ///
        /// # Errors
        /// None; the signature is that of every other stream.
        pub fn set_keepalive(
            &self,
            keep_alive: Option<usertcp_tcp::KeepAlive>,
        ) -> std::io::Result<()> {
            let keep_alive = match keep_alive {
                Some(keep_alive) => usertcp_tcp::KeepAlive { enabled: true, ..keep_alive },
                None => {
                    usertcp_tcp::KeepAlive { enabled: false, ..usertcp_tcp::KeepAlive::default() }
                }
            };
            self.set_settings(|settings| settings.keep_alive = keep_alive)
        }

        /// How long sent data may stay unacknowledged before the connection ends with `TimedOut`
        /// (RFC 9293 §3.9.1, the user timeout). `None`: for ever. From then on the peer's user-timeout
        /// option does not change it (RFC 5482 §3.1).
        ///
        /// # Errors
        /// None; the signature is that of every other stream.
        pub fn set_user_timeout(
            &self,
            timeout: Option<std::time::Duration>,
        ) -> std::io::Result<()> {
            self.set_settings(|settings| {
                settings.give_up = timeout.map($crate::sockets::options::span);
                if matches!(
                    settings.user_timeout_option,
                    usertcp_tcp::UserTimeoutOption::Follow { .. }
                ) {
                    settings.user_timeout_option = usertcp_tcp::UserTimeoutOption::Advise;
                }
            })
        }

        /// Whether the user timeout is told to the peer, and the peer's followed (RFC 5482).
        ///
        /// # Errors
        /// None; the signature is that of every other stream.
        pub fn set_user_timeout_option(
            &self,
            option: usertcp_tcp::UserTimeoutOption,
        ) -> std::io::Result<()> {
            self.set_settings(|settings| settings.user_timeout_option = option)
        }

        /// Bounds the rate of sending, in octets per second of packets that carry data or FIN, from the IP header on,
        /// whatever is retransmitted included. Also for what waits at present. `None`: no bound.
        ///
        /// # Errors
        /// None; the signature is that of every other stream.
        pub fn set_rate_limit(&self, octets_per_second: Option<u64>) -> std::io::Result<()> {
            let rate = octets_per_second
                .map_or(usertcp_base::Rate::UNLIMITED, usertcp_base::Rate::from_octets_per_second);
            self.set_settings(|settings| settings.rate_limit = rate)
        }

        /// Marks packets with a differentiated services code point, 0 to 63.
        ///
        /// # Errors
        /// `InvalidInput` above 63.
        pub fn set_dscp(&self, dscp: u8) -> std::io::Result<()> {
            if dscp > 63 {
                return Err(std::io::Error::new(
                    std::io::ErrorKind::InvalidInput,
                    "a code point has six bits",
                ));
            }
            self.set_settings(|settings| settings.dscp = dscp)
        }

        /// Sets the TTL, or hop limit, of packets.
        ///
        /// # Errors
        /// `InvalidInput` for zero.
        pub fn set_hop_limit(&self, hops: u8) -> std::io::Result<()> {
            if hops == 0 {
                return Err(std::io::Error::new(
                    std::io::ErrorKind::InvalidInput,
                    "no packet gets far with 0",
                ));
            }
            self.set_settings(|settings| settings.hop_limit = hops)
        }
    };
}

pub(crate) use stream_options;
