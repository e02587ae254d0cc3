//! What the handshake hands over.

use super::bench::*;
use usertcp_wire::tcp::Flags;

// proves 7323-2
#[test]
fn the_window_of_a_syn_is_never_scaled() {
    let start = Start { scale: Some(7), window: 1000, active: true, ..Start::default() };
    let mut bench = start.go();
    assert_eq!(bench.info().peer_window_octets, 1000);
    let out = bench.write(5000);
    assert_eq!(spans(&out), [(0, 1000)]);
    // Every later one is.
    let ack = bench.peer().window(100);
    let _ = bench.send(ack);
    assert_eq!(bench.info().peer_window_octets, 12_800);
    let passive = Start { scale: Some(7), window: 1000, ..Start::default() }.go();
    assert_eq!(passive.info().peer_window_octets, 128_000);
    assert!(bench.peer().flags == Flags::ACK);
}
