//! The shared object in the hands of a program that uses it as packetdrill does: `host.c`, compiled
//! here. Owns: how it is compiled and started. Must not know: what its scenarios check.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The shared object that cargo built beside this test.
fn object() -> PathBuf {
    let Ok(own) = std::env::current_exe() else { panic!("no place of our own") };
    let beside = own.with_file_name("libusertcp_packetdrill_shim.so");
    assert!(beside.exists(), "no {}", beside.display());
    beside
}

/// The program, compiled once.
fn host() -> &'static Path {
    static HOST: OnceLock<PathBuf> = OnceLock::new();
    HOST.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/host.c");
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("packetdrill-host");
        let mut cc = Command::new("cc");
        cc.args(["-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"]).arg(&program);
        let done = cc.arg(&source).arg("-ldl").output();
        let Ok(done) = done else { panic!("a C compiler is needed: cc") };
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        program
    })
}

fn start(scenario: &str, family: &str) -> Output {
    let local = if family == "v6" { "fd3d:fa7b:d17d:77::5" } else { "192.168.77.5" };
    let mut program = Command::new(host());
    program.arg(object()).args([scenario, family, &format!("--local_ip={local}")]);
    let Ok(output) = program.env("LD_PRELOAD", object()).output() else { panic!("not started") };
    output
}

macro_rules! scenarios {
    ($($name:ident,)*) => {
        $(
            #[test]
            fn $name() {
                for family in ["v4", "v6"] {
                    let output = start(stringify!($name), family);
                    let told = String::from_utf8_lossy(&output.stderr);
                    assert!(output.status.success(), "{family}: {:?}\n{told}", output.status);
                }
            }
        )*
    };
}

scenarios! {
    handshake,
    read_write,
    blocking_read,
    blocking_accept,
    blocking_connect,
    connect_refused,
    close_local_first,
    close_remote_first,
    reset,
    polling,
    epolling,
    preloaded_getsockopt,
    variadics,
    pipes,
    virtual_clock,
    vectors,
    preloaded_rest,
    closed_behind,
}

/// Flags that are not known are refused in words, as the interface has no other way.
#[test]
fn unknown_flags_are_refused() {
    let output = start("init", "colour=blue");
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("`colour=blue` is none of"), "{told}");
}
