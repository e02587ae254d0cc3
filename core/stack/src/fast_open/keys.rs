//! The cookies we give out.
//!
//! Owns: the key, the one before it, what a cookie is a function of.
//! Must not know: listeners, segments.
//! Implements: RFC 7413 §4.1.2 (bound to both addresses, not to be forged, rotated); 7413-2, AT-33.
//!
//! A cookie is SipHash-2-4 of the client's address and ours: 64 bits, which nobody guesses. Hosts
//! that share an address and a key accept each other's; Linux's cookies are the same function.

use core::net::IpAddr;
use usertcp_base::{Purpose, Secrets, SharedKey};
use usertcp_wire::tcp::Cookie;

/// Octets of a cookie of ours.
const COOKIE_OCTETS: usize = 8;

/// The keys in force.
#[derive(Debug)]
pub(crate) struct Keys {
    current: SharedKey,
    /// Cookies made with it are still good, and answered with one made with the current key.
    previous: Option<SharedKey>,
}

/// What a cookie of a client is worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Checked {
    /// Made with the current key.
    Current,
    /// Made with the key before.
    Previous,
    /// Not ours, or not for this pair of addresses.
    Invalid,
}

impl Keys {
    pub(crate) fn new(secrets: &Secrets) -> Keys {
        Keys { current: secrets.shared_key(Purpose::FastOpen), previous: None }
    }

    /// A new key; the present one becomes the previous one.
    pub(crate) fn rotate(&mut self, key: SharedKey) {
        if key != self.current {
            self.previous = Some(core::mem::replace(&mut self.current, key));
        }
    }

    /// Both keys.
    pub(crate) fn set(&mut self, current: SharedKey, previous: Option<SharedKey>) {
        (self.current, self.previous) = (current, previous);
    }

    /// The cookie for a client at `client` of ours at `server`.
    pub(crate) fn cookie(&self, client: IpAddr, server: IpAddr) -> Cookie {
        let octets = octets(&self.current, client, server);
        // Eight octets always make a cookie.
        Cookie::new(&octets).unwrap_or(Cookie::REQUEST)
    }

    /// What `cookie` is worth.
    pub(crate) fn check(&self, cookie: &Cookie, client: IpAddr, server: IpAddr) -> Checked {
        let good = |key: &SharedKey| equal(cookie.octets(), &octets(key, client, server));
        if good(&self.current) {
            Checked::Current
        } else if self.previous.as_ref().is_some_and(good) {
            Checked::Previous
        } else {
            Checked::Invalid
        }
    }
}

fn octets(key: &SharedKey, client: IpAddr, server: IpAddr) -> [u8; COOKIE_OCTETS] {
    let mut message = [0; 32];
    let length = match (client, server) {
        (IpAddr::V4(client), IpAddr::V4(server)) => {
            message[..4].copy_from_slice(&client.octets());
            message[4..8].copy_from_slice(&server.octets());
            8
        }
        (client, server) => {
            message[..16].copy_from_slice(&six(client));
            message[16..].copy_from_slice(&six(server));
            32
        }
    };
    key.hash(&message[..length]).to_le_bytes()
}

fn six(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// In a time that does not tell how much of it is right.
fn equal(cookie: &[u8], ours: &[u8; COOKIE_OCTETS]) -> bool {
    let differing = cookie.iter().zip(ours).fold(0, |bits, (a, b)| bits | (a ^ b));
    cookie.len() == COOKIE_OCTETS && differing == 0
}

#[cfg(test)]
mod tests;
