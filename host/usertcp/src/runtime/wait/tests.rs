//! Sleeps beside devices that fail.

use super::*;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;

/// The writing end of a pipe nobody reads reports an error and nothing else, for ever.
fn failed_device() -> std::io::PipeWriter {
    std::io::pipe().unwrap().1
}

#[test]
fn a_device_that_failed_is_left_alone_longer_and_longer() {
    let (device, bell) = (failed_device(), Doorbell::new().unwrap());
    let mut waiter = Waiter::new(Some(device.as_raw_fd()));
    let rests: Vec<_> = (0..10)
        .map(|_| {
            // Were it waited for without a bound, this would not end.
            assert!(!waiter.sleep(&bell, None).doorbell);
            waiter.rest_nanos.unwrap() / FIRST_REST_NANOS
        })
        .collect();
    assert_eq!(rests, [1, 2, 4, 8, 16, 32, 64, 128, 128, 128]);
    // The doorbell is heard meanwhile.
    assert!(bell.lie_down());
    bell.ring();
    assert!(waiter.sleep(&bell, None).doorbell);
}

#[test]
fn a_device_that_recovers_is_slept_on_again() {
    let (device, peer) = UnixDatagram::pair().unwrap();
    let bell = Doorbell::new().unwrap();
    let mut waiter = Waiter::new(Some(device.as_raw_fd()));
    waiter.rest_nanos = Some(MOST_REST_NANOS);
    waiter.sleep(&bell, Some(0));
    assert_eq!(waiter.rest_nanos, None);
    peer.send(b"packet").unwrap();
    assert!(!waiter.sleep(&bell, None).doorbell);
    assert_eq!(waiter.rest_nanos, None);
}
