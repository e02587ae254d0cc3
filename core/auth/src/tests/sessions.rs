//! What a connection goes through: opening, forged segments, other keys, the wrap, MD5.

use super::*;
use std::net::Ipv4Addr;
use usertcp_base::{Seq, WireWindow};
use usertcp_wire::tcp::{EmitChecksum, Flags, Timestamps, emit};

const NEAR: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const FAR: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
/// Initial numbers just below the wrap.
const ISS: u32 = u32::MAX - 10;
const IRS: u32 = u32::MAX - 20;

fn ao(peer: IpAddr, send_id: u8, receive_id: u8, secret: &[u8]) -> AuthKey {
    let kind = KeyKind::Ao {
        send_id,
        receive_id,
        algorithm: Algorithm::HmacSha1,
        cover_options: true,
        master: master(secret),
    };
    AuthKey { scope: Scope::host(peer), kind }
}

fn md5(peer: IpAddr, secret: &[u8]) -> AuthKey {
    AuthKey { scope: Scope::host(peer), kind: KeyKind::Md5(master(secret)) }
}

/// A client (port 5000) and a server (port 179).
struct Both {
    client: End,
    server: End,
}

impl Both {
    fn bare() -> Both {
        let client = End::new((NEAR, 5000), (FAR, 179));
        Both { client, server: End::new((FAR, 179), (NEAR, 5000)) }
    }

    fn ao() -> Both {
        let mut both = Both::bare();
        both.client.auth.add(ao(FAR, 1, 2, b"one")).unwrap();
        both.server.auth.add(ao(NEAR, 2, 1, b"one")).unwrap();
        both
    }

    fn md5() -> Both {
        let mut both = Both::bare();
        both.client.auth.add(md5(FAR, b"secret")).unwrap();
        both.server.auth.add(md5(NEAR, b"secret")).unwrap();
        both
    }

    fn open(mut self) -> Both {
        self.client_sends(Flags::SYN, 0, 0, &[]).unwrap();
        self.server_sends(Flags::SYN | Flags::ACK, 0, 1, &[]).unwrap();
        (self.client.known, self.server.known) = (true, true);
        self.client_sends(Flags::ACK, 1, 1, &[]).unwrap();
        self
    }

    /// A segment from the client, numbers counted from the initial ones; what the server says.
    fn client_sends(
        &mut self,
        flags: Flags,
        seq: u32,
        ack: u32,
        data: &[u8],
    ) -> Result<(), Refusal> {
        let header = header(5000, 179, flags, ISS.wrapping_add(seq), IRS.wrapping_add(ack));
        let segment = signed(&mut self.client, &header, data);
        self.server.verify(&segment)
    }

    fn server_sends(
        &mut self,
        flags: Flags,
        seq: u32,
        ack: u32,
        data: &[u8],
    ) -> Result<(), Refusal> {
        let header = header(179, 5000, flags, IRS.wrapping_add(seq), ISS.wrapping_add(ack));
        let segment = signed(&mut self.server, &header, data);
        self.client.verify(&segment)
    }
}

fn header(source_port: u16, destination_port: u16, flags: Flags, seq: u32, ack: u32) -> Header {
    Header {
        source_port,
        destination_port,
        seq: Seq(seq),
        ack: Seq(if flags.contains(Flags::ACK) { ack } else { 0 }),
        flags,
        window: WireWindow(1000),
        urgent: 0,
    }
}

fn write(header: &Header, options: &Options, data: &[u8]) -> Vec<u8> {
    let mut out = [0; 60];
    let octets = emit(&mut out, header, options, EmitChecksum::Partial(0));
    let mut segment = out[..octets].to_vec();
    segment.extend(data);
    segment
}

/// As the stack does it: reserved, written, signed.
fn signed(end: &mut End, header: &Header, data: &[u8]) -> Vec<u8> {
    let authentication = end.auth.reserve(end.remote, &end.flow, header);
    let timestamps = Some(Timestamps { value: 7, echo: 8 });
    let options = Options { authentication, timestamps, ..Options::default() };
    let mut segment = write(header, &options, data);
    if authentication.is_some() {
        let _ = end.sign(&mut segment);
    }
    segment
}

// proves 5925-4
#[test]
fn what_is_not_signed_changes_nothing() {
    let mut both = Both::ao().open();
    // A reset with perfect numbers, a SYN, data: none of them signed.
    for flags in [Flags::RST, Flags::SYN, Flags::ACK] {
        let header = header(5000, 179, flags, ISS.wrapping_add(1), IRS.wrapping_add(1));
        let bare = write(&header, &Options::default(), b"x");
        assert_eq!(both.server.verify(&bare), Err(Refusal::Missing));
        let forged = Authentication::Ao { key_id: 1, next_key_id: 2 };
        let options = Options { authentication: Some(forged), ..Options::default() };
        assert_eq!(both.server.verify(&write(&header, &options, b"x")), Err(Refusal::Mismatch));
        let unknown = Authentication::Ao { key_id: 9, next_key_id: 2 };
        let options = Options { authentication: Some(unknown), ..Options::default() };
        assert_eq!(both.server.verify(&write(&header, &options, b"x")), Err(Refusal::UnknownKey));
        let options = Options { authentication: Some(Authentication::Md5), ..Options::default() };
        assert_eq!(both.server.verify(&write(&header, &options, b"x")), Err(Refusal::Missing));
    }
    assert_eq!(both.client_sends(Flags::RST, 1, 1, &[]), Ok(()));
}

#[test]
fn a_replay_from_an_older_connection_is_refused() {
    let mut both = Both::ao().open();
    let old = header(5000, 179, Flags::ACK, ISS.wrapping_add(1), IRS.wrapping_add(1));
    let old = signed(&mut both.client, &old, b"old");
    assert_eq!(both.server.verify(&old), Ok(()));
    // The same flow again, with other initial numbers.
    let syn = header(5000, 179, Flags::SYN, ISS.wrapping_add(900), 0);
    let syn = signed(&mut both.client, &syn, &[]);
    assert_eq!(both.server.verify(&syn), Ok(()));
    let answer = header(179, 5000, Flags::SYN | Flags::ACK, IRS.wrapping_add(900), ISS + 1);
    let _ = signed(&mut both.server, &Header { ack: Seq(ISS.wrapping_add(901)), ..answer }, &[]);
    assert_eq!(both.server.verify(&old), Err(Refusal::Mismatch));
}

// proves 5925-3
#[test]
fn both_directions_pass_the_wrap() {
    let mut both = Both::ao().open();
    let mut at = 1;
    for _ in 0..9000 {
        both.client_sends(Flags::ACK, at, at, b"data").unwrap();
        both.server_sends(Flags::ACK, at, at, b"data").unwrap();
        // A retransmission of long ago is still verified with its own extension.
        both.client_sends(Flags::ACK, at.wrapping_sub(100_000), at, b"data").unwrap();
        at = at.wrapping_add(1 << 20);
    }
}

// proves 5925-5
#[test]
fn keys_change_without_losing_the_connection() {
    let mut both = Both::ao().open();
    let old = KeyHandle(0);
    let (client, server) = (&mut both.client.auth, &mut both.server.auth);
    let _ = client.add(ao(FAR, 11, 12, b"two")).unwrap();
    let _ = server.add(ao(NEAR, 12, 11, b"two")).unwrap();
    assert_eq!(server.remove(old, |_| true), Err(KeyError::InUse));
    // The server asks for its new key; the client signs with it from the next segment on.
    server.ask_for(NEAR, &both.server.flow, 11).unwrap();
    both.client_sends(Flags::ACK, 1, 1, b"old").unwrap();
    both.server_sends(Flags::ACK, 1, 1, b"asks").unwrap();
    let info = |end: &End| end.auth.info(&end.flow).unwrap();
    assert_eq!(info(&both.client), AuthInfo::Ao { send_id: 11, next_receive_id: 2 });
    both.client_sends(Flags::ACK, 4, 5, b"new").unwrap();
    both.client.auth.ask_for(FAR, &both.client.flow, 12).unwrap();
    both.client_sends(Flags::ACK, 7, 5, b"asks").unwrap();
    assert_eq!(info(&both.server), AuthInfo::Ao { send_id: 12, next_receive_id: 11 });
    both.server_sends(Flags::ACK, 5, 11, b"new").unwrap();
    // Nobody needs the old one any more.
    assert_eq!(both.server.auth.remove(old, |_| true), Ok(()));
    assert_eq!(both.client.auth.remove(old, |_| true), Ok(()));
    both.client_sends(Flags::ACK, 11, 8, b"still").unwrap();
    both.server_sends(Flags::ACK, 8, 16, b"here").unwrap();
    assert_eq!(both.client.auth.ask_for(FAR, &both.client.flow, 2), Err(KeyError::Unknown));
}

#[test]
fn a_simultaneous_open_is_verified() {
    let mut both = Both::ao();
    let ours = header(5000, 179, Flags::SYN, ISS, 0);
    let theirs = header(179, 5000, Flags::SYN, IRS, 0);
    let (one, two) = (signed(&mut both.client, &ours, &[]), signed(&mut both.server, &theirs, &[]));
    assert_eq!(both.server.verify(&one), Ok(()));
    assert_eq!(both.client.verify(&two), Ok(()));
    both.client_sends(Flags::SYN | Flags::ACK, 0, 1, &[]).unwrap();
    both.server_sends(Flags::SYN | Flags::ACK, 0, 1, &[]).unwrap();
    both.client_sends(Flags::ACK, 1, 1, b"data").unwrap();
    both.server_sends(Flags::ACK, 1, 1, b"data").unwrap();
}

#[test]
fn without_a_connection_only_a_syn_can_be_verified() {
    let mut both = Both::ao().open();
    both.server.auth.sweep(|_| false);
    both.server.known = false;
    assert_eq!(both.client_sends(Flags::ACK, 1, 1, b"x"), Err(Refusal::NoConnection));
    assert_eq!(both.client_sends(Flags::SYN, 0, 0, &[]), Ok(()));
    // A reset that answers our SYN.
    let mut both = Both::ao();
    both.client_sends(Flags::SYN, 0, 0, &[]).unwrap();
    let reset = header(179, 5000, Flags::RST | Flags::ACK, 0, ISS + 1);
    let forged = Some(Authentication::Ao { key_id: 2, next_key_id: 1 });
    let options = Options { authentication: forged, ..Options::default() };
    assert_eq!(both.client.verify(&write(&reset, &options, &[])), Err(Refusal::NoConnection));
}

// proves 2385-1, OPT-19
#[test]
fn md5_protects_every_segment_and_strangers_can_be_answered() {
    let mut both = Both::md5().open();
    both.client_sends(Flags::ACK, 1, 1, b"data").unwrap();
    both.server_sends(Flags::ACK, 1, 5, b"data").unwrap();
    let reset = header(5000, 179, Flags::RST, ISS.wrapping_add(5), 0);
    let bare = write(&reset, &Options::default(), &[]);
    assert_eq!(both.server.verify(&bare), Err(Refusal::Missing));
    let options = Options { authentication: Some(Authentication::Md5), ..Options::default() };
    assert_eq!(both.server.verify(&write(&reset, &options, &[])), Err(Refusal::Mismatch));
    // After a restart of the server.
    both.server.auth.sweep(|_| false);
    both.server.known = false;
    assert_eq!(both.client_sends(Flags::ACK, 5, 5, b"data"), Ok(()));
    assert_eq!(both.server_sends(Flags::RST, 5, 9, &[]), Ok(()));
}

/// The digest of a segment computed by another program (Python's hashlib).
// proves 2385-1
#[test]
fn the_digest_is_over_pseudo_header_fixed_header_data_and_key() {
    let mut both = Both::md5();
    let syn = header(5000, 179, Flags::SYN, 1, 0);
    let segment = signed(&mut both.client, &syn, b"");
    // c0000201 c0000202 0006 0034 | 1388 00b3 00000001 00000000 d002 03e8 0000 0000 | "secret"
    let digest = [
        0x45, 0x85, 0x03, 0x4e, 0xdf, 0xc6, 0x06, 0x4c, 0x8d, 0x6f, 0x2c, 0x6e, 0x90, 0xd7, 0x77,
        0xb8,
    ];
    assert_eq!(segment[24..40], digest);
}

// proves 5925-6, 2385-1
#[test]
fn keys_that_exclude_each_other_are_refused() {
    let mut auth = Auth::new();
    assert!(auth.is_idle());
    let network = |bits| Scope { prefix_bits: bits, ..Scope::host(FAR) };
    let with = |scope, key: AuthKey| AuthKey { scope, ..key };
    let first = auth.add(ao(FAR, 1, 2, b"k")).unwrap();
    assert_eq!(auth.add(ao(FAR, 1, 3, b"k")), Err(KeyError::Taken), "send");
    assert_eq!(auth.add(ao(FAR, 3, 2, b"k")), Err(KeyError::Taken), "receive");
    assert_eq!(auth.add(with(network(24), ao(FAR, 1, 9, b"k"))), Err(KeyError::Taken));
    assert_eq!(auth.add(with(network(0), md5(FAR, b"k"))), Err(KeyError::Mixed));
    assert_eq!(auth.add(with(network(33), md5(FAR, b"k"))), Err(KeyError::Prefix));
    let other_port = Scope { remote_port: Some(7), ..Scope::host(NEAR) };
    auth.add(with(other_port, md5(NEAR, b"k"))).unwrap();
    let port = Scope { remote_port: Some(8), ..Scope::host(NEAR) };
    auth.add(with(port, ao(NEAR, 1, 2, b"k"))).unwrap();
    auth.add(ao(FAR, 3, 4, b"k")).unwrap();
    assert_eq!(auth.remove(first, |_| true), Ok(()));
    assert_eq!(auth.remove(first, |_| true), Err(KeyError::Unknown));
    assert_eq!(MasterKey::new(b""), Err(KeyError::Length));
    assert_eq!(MasterKey::new(&[0; 81]), Err(KeyError::Length));
    assert_eq!(std::format!("{:?}", master(b"hidden")), "MasterKey(..)");
}

// proves 2385-1: without a key the option is one we do not know
#[test]
fn without_a_key_nothing_is_asked() {
    let mut both = Both::bare();
    both.client.auth.add(ao(FAR, 1, 2, b"one")).unwrap();
    assert_eq!(both.client_sends(Flags::SYN, 0, 0, &[]), Ok(()));
    let mut both = Both::bare();
    both.client.auth.add(md5(FAR, b"one")).unwrap();
    assert_eq!(both.client_sends(Flags::SYN, 0, 0, &[]), Ok(()));
}

#[test]
fn a_connection_from_before_the_key_stays_as_it_is() {
    let mut both = Both::bare().open();
    both.server.auth.add(ao(NEAR, 2, 1, b"one")).unwrap();
    assert_eq!(both.client_sends(Flags::ACK, 1, 1, b"x"), Ok(()));
    assert_eq!(both.server.auth.info(&both.server.flow), None);
    let answer = header(179, 5000, Flags::ACK, IRS.wrapping_add(1), ISS.wrapping_add(2));
    assert_eq!(both.server.auth.reserve(NEAR, &both.server.flow, &answer), None);
}

#[test]
fn sessions_of_flows_that_are_gone_are_swept() {
    let mut auth = Auth::new();
    auth.add(AuthKey { scope: Scope { prefix_bits: 0, ..Scope::host(FAR) }, ..md5(FAR, b"k") })
        .unwrap();
    let flow = End::new((NEAR, 1), (FAR, 2)).flow;
    let mut most = 0;
    for port in 1..5000 {
        let flow = FlowKey { remote_port: port, ..flow };
        let _ = auth.reserve(FAR, &flow, &header(1, port, Flags::SYN, 7, 0));
        if auth.sweep_is_due() {
            auth.sweep(|flow| flow.remote_port + 10 > port);
        }
        most = most.max(auth.sessions());
    }
    assert!(most <= 64, "{most}");
}
