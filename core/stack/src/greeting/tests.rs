//! What is kept against what is worked out anew.

use super::*;
use alloc::{format, vec};
use usertcp_base::{Ecn, Instant, Secrets, Seq, WireWindow};
use usertcp_ip::{Cidr, IpConfig};
use usertcp_tcp::{Handshake, UsualSyn};

/// That of a peer.
const SYN: UsualSyn = UsualSyn {
    seq: Seq(0),
    ack: None,
    window: WireWindow(500),
    mss_octets: 1460,
    scale: 7,
    value: 0,
    echo: 0,
};

fn network(mtu: u16) -> Ip {
    let address = "10.0.0.1".parse().unwrap();
    let secrets = Secrets::from_seed([1; 32]).unwrap();
    let addresses = vec![Cidr::new(address, 24).unwrap()];
    Ip::new(IpConfig { addresses, mtu, limits: Limits::default(), secrets })
}

#[test]
fn a_greeting_is_that_of_its_settings_and_of_the_interface_as_it_is() {
    let (now, limits) = (Instant::from_micros(77_000), Limits::default());
    let settings = [
        Settings::default(),
        Settings { mss_limit_octets: 1000, ..Settings::default() },
        Settings { receive_buffer_octets: 5000, ..Settings::default() },
        Settings { timestamps: false, ..Settings::default() },
    ]
    .map(Rc::new);
    let mut ip = network(1500);
    let mut greetings = Greetings::default();
    let mut seen = vec![];
    for mtu in [1500, 1500, 900, 1500] {
        ip.set_mtu(mtu);
        for settings in &settings {
            let offer = Offer::new(settings, &limits, &net::path_facts_v4(&ip));
            let fresh = Handshake::active(now, Seq(7), 9, &offer);
            let greeting = greetings.of(settings, &ip, &limits);
            let mut begun = *greeting.handshake();
            begun.begin(now, (Seq(7), 9));
            assert_eq!(format!("{begun:?}"), format!("{fresh:?}"));
            let fresh = fresh.usual_syn(now, settings);
            assert_eq!(greeting.syn(now, (Seq(7), 9)), fresh);
            let syn = UsualSyn { seq: Seq(50), value: 3, ..fresh.unwrap_or(SYN) };
            begun.answer_usual(&syn, Ecn::Capable0, &limits);
            let answer = begun.usual_syn(now, settings);
            assert_eq!(greeting.answer(now, (Seq(7), 9), &syn), answer);
            seen.push(fresh.map(|syn| (syn.mss_octets, syn.window.0)));
        }
    }
    let at_1500 = [Some((1460, 65_535)), Some((1000, 65_535)), Some((1460, 5000)), None];
    assert_eq!((&seen[..4], seen[8]), (&at_1500[..], Some((860, 65_535))));
}
