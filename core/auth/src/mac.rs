//! Algorithms: traffic keys from master keys, codes from messages.
//!
//! Owns: which primitive stands behind which name. The primitives are RustCrypto's.
//! Must not know: what a message consists of.
//! Implements: RFC 5926 §3.1.1 (KDFs), §3.2 (MACs); RFC 2385 §2.0 (MD5).

use aes::Aes128;
use cmac::Cmac;
use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use sha1::Sha1;

/// Octets of the code of either mandatory algorithm (RFC 5926 §3.2).
pub const MAC_OCTETS: usize = 12;
/// Octets of an MD5 digest.
pub const MD5_OCTETS: usize = 16;
/// Octets of an AES-128 key.
const AES_KEY_OCTETS: usize = 16;
/// Octets of the longest traffic key.
const LONGEST_KEY_OCTETS: usize = 20;

/// The algorithms every TCP-AO must have (RFC 5926 §2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Algorithm {
    /// KDF_HMAC_SHA1 with HMAC-SHA-1-96.
    #[default]
    HmacSha1,
    /// KDF_AES_128_CMAC with AES-128-CMAC-96.
    AesCmac,
}

/// A key for one direction of one connection.
#[derive(Clone)]
pub(crate) struct TrafficKey {
    octets: [u8; LONGEST_KEY_OCTETS],
    algorithm: Algorithm,
}

impl core::fmt::Debug for TrafficKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("TrafficKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl TrafficKey {
    /// Traffic_Key = KDF(master, i ‖ "TCP-AO" ‖ context ‖ bits), i = 1: each fits one block.
    pub(crate) fn derive(algorithm: Algorithm, master: &[u8], context: &[&[u8]]) -> TrafficKey {
        let mut octets = [0; LONGEST_KEY_OCTETS];
        let bits: u16 = match algorithm {
            Algorithm::HmacSha1 => 160,
            Algorithm::AesCmac => 128,
        };
        let key = master_key(algorithm, master);
        let mut mac = Running::new(algorithm, key.octets(master));
        mac.update(&[1]);
        mac.update(b"TCP-AO");
        for part in context {
            mac.update(part);
        }
        mac.update(&bits.to_be_bytes());
        mac.finish(&mut octets);
        TrafficKey { octets, algorithm }
    }

    /// A code to be computed.
    pub(crate) fn begin(&self) -> Running {
        let octets = match self.algorithm {
            Algorithm::HmacSha1 => &self.octets[..],
            Algorithm::AesCmac => self.octets.split_at(AES_KEY_OCTETS).0,
        };
        Running::new(self.algorithm, octets)
    }
}

/// RFC 5926 §3.1.1.2: an AES key of another length than 16 octets is made one.
enum Master {
    AsItIs,
    Shortened([u8; AES_KEY_OCTETS]),
}

impl Master {
    fn octets<'a>(&'a self, master: &'a [u8]) -> &'a [u8] {
        match self {
            Master::AsItIs => master,
            Master::Shortened(octets) => octets,
        }
    }
}

fn master_key(algorithm: Algorithm, master: &[u8]) -> Master {
    if algorithm == Algorithm::HmacSha1 || master.len() == AES_KEY_OCTETS {
        return Master::AsItIs;
    }
    let mut mac = Running::new(Algorithm::AesCmac, &[0; AES_KEY_OCTETS]);
    mac.update(master);
    let mut octets = [0; AES_KEY_OCTETS];
    mac.finish(&mut octets);
    Master::Shortened(octets)
}

/// A code while its message is fed in. It lives on the stack for one segment: a box would cost more
/// than the room.
#[allow(clippy::large_enum_variant)]
pub(crate) enum Running {
    HmacSha1(Hmac<Sha1>),
    AesCmac(Cmac<Aes128>),
    Md5(Md5),
}

impl Running {
    fn new(algorithm: Algorithm, key: &[u8]) -> Running {
        match algorithm {
            // Any length will do for one, and the other's is 16 at every call.
            Algorithm::HmacSha1 => match Hmac::new_from_slice(key) {
                Ok(mac) => Running::HmacSha1(mac),
                Err(_) => Running::HmacSha1(Hmac::new(&Default::default())),
            },
            Algorithm::AesCmac => match Cmac::new_from_slice(key) {
                Ok(mac) => Running::AesCmac(mac),
                Err(_) => Running::AesCmac(Cmac::new(&Default::default())),
            },
        }
    }

    pub(crate) fn md5() -> Running {
        Running::Md5(Md5::new())
    }

    pub(crate) fn update(&mut self, octets: &[u8]) {
        match self {
            Running::HmacSha1(mac) => mac.update(octets),
            Running::AesCmac(mac) => mac.update(octets),
            Running::Md5(digest) => Digest::update(digest, octets),
        }
    }

    /// As much of the code as `out` takes.
    pub(crate) fn finish(self, out: &mut [u8]) {
        fn copy(out: &mut [u8], code: &[u8]) {
            for (to, from) in out.iter_mut().zip(code) {
                *to = *from;
            }
        }
        match self {
            Running::HmacSha1(mac) => copy(out, &mac.finalize().into_bytes()),
            Running::AesCmac(mac) => copy(out, &mac.finalize().into_bytes()),
            Running::Md5(digest) => copy(out, &digest.finalize()),
        }
    }

    /// Whether the code begins with all of `expected`, in a time that does not tell where it
    /// differs.
    pub(crate) fn matches(self, expected: &[u8]) -> bool {
        match self {
            Running::HmacSha1(mac) => mac.verify_truncated_left(expected).is_ok(),
            Running::AesCmac(mac) => mac.verify_truncated_left(expected).is_ok(),
            Running::Md5(digest) => {
                let code = digest.finalize();
                let pairs = code.iter().zip(expected);
                let difference = pairs.fold(0, |all, (a, b)| all | (a ^ b));
                expected.len() == MD5_OCTETS && core::hint::black_box(difference) == 0
            }
        }
    }
}
