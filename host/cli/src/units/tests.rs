use super::*;

#[test]
fn rates() {
    for (text, expected) in [
        ("10mbit", 1_250_000),
        ("10Mbit", 1_250_000),
        ("1.5gbit", 187_500_000),
        ("500kbit", 62_500),
        ("1MB", 1_000_000),
        ("1MiB", 1 << 20),
        ("64KiB/s", 64 << 10),
        ("8bit", 1),
        ("100B", 100),
        ("2.50GB", 2_500_000_000),
        ("1tbit/s", 125_000_000_000),
        ("1 mbit", 125_000),
    ] {
        assert_eq!(parse_rate(text), Ok(expected), "{text}");
    }
}

#[test]
fn wrong_rates_say_why_and_what_to_do() {
    for (text, what, remedy) in [
        ("10", "there is no unit", "write 10mbit or 10MB"),
        ("fast", "it does not start with a number", RATE_HELP),
        ("", "it does not start with a number", RATE_HELP),
        ("-1mbit", "it does not start with a number", RATE_HELP),
        ("1.2.3mbit", "it does not start with a number", RATE_HELP),
        ("10furlong", "\"furlong\" is not a unit of rate", RATE_HELP),
        ("10M", "\"M\" is not a unit of rate", RATE_HELP),
        ("10Mbps", "\"Mbps\" may mean bits or octets", "write 10mbit for bits, 10MB for octets"),
        (
            "0mbit",
            "a rate below one octet a second would never send anything",
            "choose a higher rate, or leave --rate out for no limit",
        ),
        (
            "99999999999999tbit",
            "that is more than fits in a number",
            "leave --rate out for no limit",
        ),
    ] {
        let fault = parse_rate(text).unwrap_err();
        assert_eq!((fault.what.as_str(), fault.remedy.as_str()), (what, remedy), "{text}");
    }
}

#[test]
fn sizes() {
    for (text, expected) in
        [("256MiB", 256 << 20), ("64MB", 64_000_000), ("1G", 1 << 30), ("1.5K", 1536), ("9B", 9)]
    {
        assert_eq!(parse_size(text), Ok(expected), "{text}");
    }
    assert_eq!(parse_size("256").unwrap_err().what, "there is no unit");
    assert_eq!(parse_size("256mbit").unwrap_err().what, "\"mbit\" is not a unit of size");
    assert_eq!(parse_size("x").unwrap_err().what, "it does not start with a number");
}

#[test]
fn numbers_read_well() {
    assert_eq!(octets(0), "0 B");
    assert_eq!(octets(1023), "1023 B");
    assert_eq!(octets(1536), "1.5 KiB");
    assert_eq!(octets(1 << 30), "1 GiB");
    assert_eq!(octets(u64::MAX), "16383.9 PiB");
    assert_eq!(rate(1_250_000), "10 Mbit/s");
    assert_eq!(rate(187_500_000), "1.5 Gbit/s");
    assert_eq!(count(0), "0");
    assert_eq!(count(999), "999");
    assert_eq!(count(1000), "1,000");
    assert_eq!(count(1_234_567), "1,234,567");
    assert_eq!(counted(1, "request"), "1 request");
    assert_eq!(counted(2000, "request"), "2,000 requests");
    assert_eq!(duration(Duration::from_secs(59)), "59 s");
    assert_eq!(duration(Duration::from_secs(185)), "3 min 5 s");
    assert_eq!(duration(Duration::from_secs(7620)), "2 h 7 min");
}
