//! Each error tells its user two lines, and io its kind.
use super::*;

fn all() -> Vec<(OpenError, io::ErrorKind)> {
    let name = || "utcp0".to_string();
    let io = || io::Error::from_raw_os_error(libc::EIO);
    let (step, capabilities) = ("open /dev/net/tun", "cap_net_admin");
    let (address, interface) = ([10, 9, 0, 1].into(), 3);
    use io::ErrorKind::*;
    vec![
        (OpenError::BadConfig { what: "the MTU" }, InvalidInput),
        (OpenError::BadName { name: name() }, InvalidInput),
        (OpenError::NoInterface { name: name() }, NotFound),
        (OpenError::NotEthernet { name: name() }, InvalidInput),
        (OpenError::Down { name: name() }, NetworkDown),
        (OpenError::NoPermission { step, capabilities }, PermissionDenied),
        (OpenError::AddressInUse { address, interface }, AddrInUse),
        (OpenError::NoTunDevice { error: io() }, NotFound),
        (OpenError::Busy { name: name() }, ResourceBusy),
        (OpenError::NameTaken { name: name() }, AlreadyExists),
        (OpenError::RouteTaken { route: "10.9.0.0/24".parse().unwrap() }, AlreadyExists),
        (OpenError::ProgramTaken { name: name() }, ResourceBusy),
        (OpenError::QueueTaken { name: name(), queue: 3 }, ResourceBusy),
        (OpenError::NoQueue { name: name(), queue: 3 }, Other),
        (OpenError::TooMuchMemory { octets: 64 << 20 }, OutOfMemory),
        (OpenError::MtuTooLarge { most: 1810 }, Other),
        (OpenError::System { step, error: io() }, Other),
    ]
}

#[test]
fn every_error_says_what_and_what_to_do() {
    for (error, kind) in all() {
        let text = error.to_string();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.lines().all(|line| line.len() > 10), "{text}");
        assert_eq!(io::Error::from(error).kind(), kind, "{text}");
    }
}

#[test]
fn a_refusal_of_rights_names_the_rights() {
    let refused = |code| {
        OpenError::system("try", "cap_net_raw", io::Error::from_raw_os_error(code)).to_string()
    };
    for code in [libc::EPERM, libc::EACCES] {
        assert!(refused(code).contains("cap_net_raw+ep"), "{}", refused(code));
    }
    assert!(refused(libc::EIO).starts_with("could not try: "), "{}", refused(libc::EIO));
}
