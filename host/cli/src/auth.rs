//! Keys on the command line: `peer=10.77.0.1,md5=SECRET`, or
//! `peer=fd77::1,ao=hmac-sha1,send=1,receive=2,key=SECRET`.
//!
//! Owns: that form. Must not know: what protection is made of.

use crate::fault::Fault;
use std::net::IpAddr;
use usertcp::{AuthAlgorithm, AuthKey, KeyKind, MasterKey, Scope};

const REMEDY: &str = "use peer=ADDRESS[/BITS][,port=PEER'S PORT],md5=SECRET or \
                      peer=…,ao=hmac-sha1|aes-cmac,send=ID,receive=ID,key=SECRET";

fn wrong(what: impl Into<String>) -> Fault {
    Fault::usage(what, REMEDY)
}

/// Reads one `--auth`.
pub fn parse(text: &str) -> Result<AuthKey, Fault> {
    let mut scope = None;
    let (mut md5, mut algorithm, mut key) = (None, None, None);
    let (mut send, mut receive, mut port) = (None, None, None);
    for part in text.split(',') {
        let (name, value) =
            part.split_once('=').ok_or_else(|| wrong(format!("\"{part}\" is not NAME=VALUE")))?;
        match name {
            "peer" => scope = Some(peer(value)?),
            "port" => port = Some(number(name, value)?),
            "md5" => md5 = Some(secret(value)?),
            "ao" => algorithm = Some(algorithm_of(value)?),
            "send" => send = Some(number(name, value)?),
            "receive" => receive = Some(number(name, value)?),
            "key" => key = Some(secret(value)?),
            _ => return Err(wrong(format!("there is nothing called {name} in a key"))),
        }
    }
    let scope = scope.ok_or_else(|| wrong("whom is the key for? peer= is missing"))?;
    let scope = Scope { remote_port: port, ..scope };
    let kind = match (md5, algorithm, send, receive, key) {
        (Some(secret), None, None, None, None) => KeyKind::Md5(secret),
        (None, Some(algorithm), Some(send_id), Some(receive_id), Some(master)) => {
            KeyKind::Ao { send_id, receive_id, algorithm, cover_options: true, master }
        }
        _ => return Err(wrong("a key is md5= alone, or ao=, send=, receive= and key= together")),
    };
    Ok(AuthKey { scope, kind })
}

fn peer(text: &str) -> Result<Scope, Fault> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(number("the prefix", bits)?)),
        None => (text, None),
    };
    let address: IpAddr =
        address.parse().map_err(|_| wrong(format!("\"{address}\" is not an IP address")))?;
    let host = Scope::host(address);
    Ok(Scope { prefix_bits: bits.unwrap_or(host.prefix_bits), ..host })
}

fn number<T: std::str::FromStr>(name: &str, text: &str) -> Result<T, Fault> {
    text.parse().map_err(|_| wrong(format!("{name}: \"{text}\" is not such a number")))
}

fn secret(text: &str) -> Result<MasterKey, Fault> {
    MasterKey::new(text.as_bytes()).map_err(|error| wrong(error.to_string()))
}

fn algorithm_of(text: &str) -> Result<AuthAlgorithm, Fault> {
    match text {
        "hmac-sha1" => Ok(AuthAlgorithm::HmacSha1),
        "aes-cmac" => Ok(AuthAlgorithm::AesCmac),
        _ => Err(wrong(format!("\"{text}\" is no algorithm"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds() {
        let key = parse("peer=10.77.0.0/24,md5=hidden").unwrap();
        let scope = Scope { prefix_bits: 24, ..Scope::host("10.77.0.0".parse().unwrap()) };
        let kind = KeyKind::Md5(MasterKey::new(b"hidden").unwrap());
        assert_eq!(key, AuthKey { scope, kind });
        let key = parse("peer=fd77::1,port=179,ao=aes-cmac,send=1,receive=2,key=k").unwrap();
        assert_eq!((key.scope.local_port, key.scope.remote_port), (None, Some(179)));
        let expected = KeyKind::Ao {
            send_id: 1,
            receive_id: 2,
            algorithm: AuthAlgorithm::AesCmac,
            cover_options: true,
            master: MasterKey::new(b"k").unwrap(),
        };
        assert_eq!(key.kind, expected);
    }

    #[test]
    fn every_mistake_is_named() {
        for (text, what) in [
            ("md5=k", "peer= is missing"),
            ("peer=10.0.0.1", "md5= alone"),
            ("peer=10.0.0.1,md5=k,key=k", "md5= alone"),
            ("peer=10.0.0.1,ao=hmac-sha1,key=k", "together"),
            ("peer=10.0.0,md5=k", "not an IP address"),
            ("peer=10.0.0.1/x,md5=k", "not such a number"),
            ("peer=10.0.0.1,ao=sha,send=1,receive=2,key=k", "no algorithm"),
            ("peer=10.0.0.1,ao=aes-cmac,send=300,receive=2,key=k", "not such a number"),
            ("peer=10.0.0.1,md5=", "1 to 80"),
            ("peer=10.0.0.1,wrong=1", "nothing called wrong"),
            ("secret", "NAME=VALUE"),
        ] {
            let fault = parse(text).unwrap_err();
            assert!(fault.what.contains(what), "{text}: {}", fault.what);
        }
    }
}
