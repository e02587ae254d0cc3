use super::*;
use std::vec;

fn table(addresses: &[&str]) -> AddressTable {
    AddressTable::new(addresses.iter().map(|text| text.parse().unwrap()).collect())
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn both_forms_of_an_address_lead_to_each_other() {
    for text in ["10.1.2.3", "2001:db8::1", "::", "fe80::1"] {
        assert_eq!(ip_address(remote_address(ip(text))), ip(text));
    }
}

#[test]
fn prefixes_are_read() {
    let cidr: Cidr = "10.0.0.1/24".parse().unwrap();
    assert_eq!((cidr.address(), cidr.prefix_len()), (ip("10.0.0.1"), 24));
    assert!(cidr.contains(ip("10.0.0.200")) && !cidr.contains(ip("10.0.1.1")));
    assert!(!cidr.contains(ip("::ffff:10.0.0.2")));
    assert_eq!(cidr.broadcast(), Some(Ipv4Addr::new(10, 0, 0, 255)));
    assert_eq!("10.0.0.1".parse::<Cidr>().unwrap().prefix_len(), 32);
    assert_eq!("10.0.0.1/31".parse::<Cidr>().unwrap().broadcast(), None);
    assert_eq!("2001:db8::1".parse::<Cidr>().unwrap().prefix_len(), 128);
    let all: Cidr = "10.0.0.1/0".parse().unwrap();
    assert!(all.contains(ip("200.1.1.1")));
    for bad in ["10.0.0.1/33", "10.0.0.1/x", "2001:db8::1/129"] {
        assert_eq!(bad.parse::<Cidr>(), Err(CidrError::PrefixLen));
    }
    for bad in ["10.0.0/8", "::ffff:10.0.0.1/96"] {
        assert_eq!(bad.parse::<Cidr>(), Err(CidrError::Address));
    }
}

#[test]
fn indices_lead_both_ways() {
    let table = table(&["10.0.0.1/24", "2001:db8::1/64", "10.0.0.2/24", "10.0.0.1/8"]);
    assert_eq!(table.index(ip("10.0.0.2")), Some(LocalIndex(2)));
    assert_eq!(table.index(ip("10.0.0.1")), Some(LocalIndex(0)), "the first of two");
    assert_eq!(table.index(ip("10.0.0.3")), None);
    assert_eq!(table.index(ip("::ffff:10.0.0.1")), None);
    assert_eq!(table.index(ip("2001:db8::1")), Some(LocalIndex(1)));
    assert_eq!(table.address(LocalIndex(1)), Some(ip("2001:db8::1")));
    assert_eq!(table.address(LocalIndex(4)), None);
    assert!(AddressTable::new(vec![]).index(ip("10.0.0.1")).is_none());
}

#[test]
fn broadcasts_are_known() {
    let table = table(&["10.0.0.1/24", "192.0.2.255/23"]);
    assert!(table.is_broadcast(Ipv4Addr::BROADCAST));
    assert!(table.is_broadcast(Ipv4Addr::new(10, 0, 0, 255)));
    assert!(!table.is_broadcast(Ipv4Addr::new(10, 0, 1, 255)));
    assert!(!table.is_broadcast(Ipv4Addr::new(192, 0, 2, 255)), "ours");
}

#[test]
fn the_source_has_the_longest_common_prefix() {
    let table = table(&["fe80::1/64", "10.0.0.1/24", "192.168.1.1/16", "2001:db8::1/64"]);
    assert_eq!(table.source_for(ip("192.168.7.7")), Some(LocalIndex(2)));
    assert_eq!(table.source_for(ip("10.9.9.9")), Some(LocalIndex(1)));
    assert_eq!(table.source_for(ip("2001:db8:1::1")), Some(LocalIndex(3)));
    assert_eq!(table.source_for(ip("fe80::99")), Some(LocalIndex(0)));
    assert_eq!(table.source_for(ip("fd00::99")), Some(LocalIndex(3)), "not the link's");
    let only_six = self::table(&["2001:db8::1/64"]);
    assert_eq!(only_six.source_for(ip("10.0.0.1")), None);
}
