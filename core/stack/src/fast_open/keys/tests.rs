//! Cookies as Linux makes them, and what keeps them apart.

use super::*;
use alloc::vec::Vec;

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// The form of Linux's setting: four words, each stored with its lower octets first.
fn key(words: [u32; 4]) -> SharedKey {
    let octets: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    SharedKey::from_octets(octets.try_into().expect("16 octets"))
}

fn keys(current: SharedKey, previous: Option<SharedKey>) -> Keys {
    let mut keys = Keys::new(&Secrets::from_seed([7; 32]).expect("entropy"));
    keys.set(current, previous);
    keys
}

const WORDS: [u32; 4] = [0xA1A1_A1A1, 0xB2B2_B2B2, 0xC3C3_C3C3, 0xD4D4_D4D4];

// proves 7413-2, AT-33
#[test]
fn a_cookie_is_good_for_one_pair_of_addresses_and_one_key() {
    let keys = keys(key(WORDS), None);
    let (client, server) = (address("192.0.2.1"), address("192.168.0.1"));
    let cookie = keys.cookie(client, server);
    assert_eq!(cookie.octets().len(), 8);
    assert_eq!(keys.check(&cookie, client, server), Checked::Current);
    assert_eq!(keys.check(&cookie, address("192.0.2.2"), server), Checked::Invalid);
    assert_eq!(keys.check(&cookie, client, address("192.168.0.2")), Checked::Invalid);
    assert_eq!(keys.check(&cookie, server, client), Checked::Invalid);
    for at in 0..64 {
        let mut octets = cookie.octets().to_vec();
        octets[at / 8] ^= 1 << (at % 8);
        let forged = Cookie::new(&octets).expect("a cookie");
        assert_eq!(keys.check(&forged, client, server), Checked::Invalid, "bit {at}");
    }
    for length in [0, 4, 6] {
        let short = Cookie::new(&cookie.octets()[..length]).expect("a cookie");
        assert_eq!(keys.check(&short, client, server), Checked::Invalid, "{length} octets");
    }
    let long = Cookie::new(&[cookie.octets(), &[0, 0]].concat()).expect("a cookie");
    assert_eq!(keys.check(&long, client, server), Checked::Invalid);
    let (client, server) = (address("fd3d::1"), address("fd3d::2"));
    let cookie = keys.cookie(client, server);
    assert_eq!(keys.check(&cookie, client, server), Checked::Current);
    assert_eq!(keys.check(&cookie, client, address("fd3d::3")), Checked::Invalid);
}

// proves 7413-2: hosts that share a key with Linux understand each other. The values are those of
// the kernel's own tests, for its key in both families and for a key of zeros.
#[test]
fn cookies_are_linuxes() {
    let (four, six) = (("192.0.2.1", "192.168.0.1"), ("fd3d:fa7b:d17d::1", "fd3d:0a0b:17d6::1"));
    let table = [
        (WORDS, four, 0x3021_b9d8_8901_7eeb_u64),
        ([0; 4], four, 0xb7c1_2350_a90d_c8f5),
        (WORDS, six, 0xc1d1_e974_2a47_a9bc),
        ([0; 4], six, 0x82af_1a8f_9a20_5c34),
    ];
    for (words, (client, server), expected) in table {
        let cookie = keys(key(words), None).cookie(address(client), address(server));
        assert_eq!(cookie.octets(), expected.to_be_bytes(), "{words:?} {client}");
    }
}

// proves 7413-2
#[test]
fn the_key_before_is_good_for_one_rotation() {
    let mut keys = keys(key(WORDS), None);
    let (client, server) = (address("192.0.2.1"), address("192.168.0.1"));
    let old = keys.cookie(client, server);
    keys.rotate(key([1, 2, 3, 4]));
    assert_eq!(keys.check(&old, client, server), Checked::Previous);
    let new = keys.cookie(client, server);
    assert_eq!(keys.check(&new, client, server), Checked::Current);
    // The same key again is no rotation.
    keys.rotate(key([1, 2, 3, 4]));
    assert_eq!(keys.check(&old, client, server), Checked::Previous);
    keys.rotate(key([5, 6, 7, 8]));
    assert_eq!(keys.check(&old, client, server), Checked::Invalid);
    assert_eq!(keys.check(&new, client, server), Checked::Previous);
}

#[test]
fn two_shards_with_secrets_of_their_own_differ() {
    let (client, server) = (address("192.0.2.1"), address("192.168.0.1"));
    let of = |seed| Keys::new(&Secrets::from_seed([seed; 32]).expect("entropy"));
    assert_ne!(of(1).cookie(client, server), of(2).cookie(client, server));
    assert_eq!(of(1).cookie(client, server), of(1).cookie(client, server));
}
