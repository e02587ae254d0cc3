use super::*;
use tokio::io::duplex;

#[tokio::test]
async fn our_end_ends_our_half_only() {
    let (ours, mut peer) = duplex(1000);
    let mut output = Vec::new();
    let server = async {
        let mut heard = Vec::new();
        peer.read_to_end(&mut heard).await.unwrap();
        peer.write_all(b"goodbye").await.unwrap();
        peer.shutdown().await.unwrap();
        heard
    };
    let (relayed, heard) =
        tokio::join!(relay(&b"hello"[..], &mut output, ours, Patience::Full), server);
    assert_eq!(relayed.unwrap(), Relayed { sent: 5, received: 7 });
    assert_eq!((heard.as_slice(), output.as_slice()), (&b"hello"[..], &b"goodbye"[..]));
}

#[tokio::test]
async fn the_peers_end_ends_a_conversation_but_not_a_file() {
    // A terminal that never ends.
    let (ours, mut peer) = duplex(1000);
    let (terminal, _typing) = duplex(10);
    peer.write_all(b"bye").await.unwrap();
    peer.shutdown().await.unwrap();
    let relayed = relay(terminal, tokio::io::sink(), ours, Patience::None).await.unwrap();
    assert_eq!(relayed, Relayed { sent: 0, received: 3 });
    // A file that is sent whole.
    let (ours, mut peer) = duplex(1000);
    peer.shutdown().await.unwrap();
    let file = vec![7; 100_000];
    let reader = async {
        let mut heard = Vec::new();
        peer.read_to_end(&mut heard).await.unwrap();
        heard.len()
    };
    let relaying = relay(&file[..], tokio::io::sink(), ours, Patience::Full);
    let (relayed, heard) = tokio::join!(relaying, reader);
    assert_eq!((relayed.unwrap().sent, heard), (100_000, 100_000));
}

#[tokio::test]
async fn both_ways_at_once_never_stand_still() {
    let (ours, peer) = duplex(1000);
    let echo = async {
        let (mut from, mut to) = tokio::io::split(peer);
        tokio::io::copy(&mut from, &mut to).await.unwrap();
        to.shutdown().await.unwrap();
    };
    let file: Vec<u8> = (0..1 << 20).map(|index: u32| ((index * 31) >> 3) as u8).collect();
    let mut output = Vec::new();
    let (relayed, ()) = tokio::join!(relay(&file[..], &mut output, ours, Patience::Full), echo);
    assert_eq!(relayed.unwrap(), Relayed { sent: 1 << 20, received: 1 << 20 });
    assert!(output == file);
}

#[tokio::test]
async fn hosts_are_addresses_or_names() {
    let first = |host: &'static str| async move { resolve(host, 7).await.map(|found| found[0]) };
    assert_eq!(first("10.77.0.1").await.unwrap().to_string(), "10.77.0.1:7");
    assert_eq!(first("fd77::1").await.unwrap().to_string(), "[fd77::1]:7");
    assert_eq!(first("[fd77::1]").await.unwrap().to_string(), "[fd77::1]:7");
    let fault = first("no such name").await.unwrap_err();
    assert_eq!(fault.what, "no address is known for \"no such name\"");
}
