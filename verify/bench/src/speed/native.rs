//! The programs a run needs. Owns: building kbench and the `usertcp` command, and reading what
//! kbench says. Must not know: where they run.

use crate::json::Json;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/native/kbench.c");

/// The load generator, built.
pub struct Kbench {
    /// The program.
    pub path: PathBuf,
    /// A directory for files of the bench.
    pub directory: PathBuf,
}

impl Kbench {
    /// Builds it under the target directory.
    pub fn build() -> Result<Kbench, String> {
        let directory = target_directory()?.join("bench");
        std::fs::create_dir_all(&directory).map_err(|e| format!("{}: {e}", directory.display()))?;
        let path = directory.join("kbench");
        let compiler = std::env::var("CC").unwrap_or_else(|_| "gcc".into());
        let mut gcc = Command::new(&compiler);
        gcc.args(["-O2", "-Wall", "-o"]).arg(&path).arg(SOURCE);
        succeed(&mut gcc, &compiler)?;
        Ok(Kbench { path, directory })
    }
}

/// Builds the `usertcp` command as it is now, and says where it is.
pub fn build_usertcp() -> Result<PathBuf, String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let mut build = Command::new(&cargo);
    build.args(["build", "--release", "--quiet", "-p", "usertcp-cli", "--manifest-path"]);
    build.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml"));
    succeed(&mut build, "cargo build")?;
    let path = target_directory()?.join("release/usertcp");
    if !path.exists() {
        return Err(format!("{}: not there after building usertcp-cli", path.display()));
    }
    Ok(path)
}

/// Runs to the end; what it said becomes the error if it failed.
pub fn succeed(command: &mut Command, name: &str) -> Result<String, String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{name} cannot be started: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = last_lines(&said, 5);
    // A program's own name in front of what it says is enough.
    Err(if said.starts_with(name) { said } else { format!("{name}: {said}") })
}

/// The last lines of a text.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// Where cargo puts things: this program is in `TARGET/PROFILE/`.
fn target_directory() -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|error| format!("current program: {error}"))?;
    let target = program.parent().and_then(Path::parent);
    target.map(Path::to_owned).ok_or_else(|| "this program is in no target directory".into())
}

/// What kbench measured.
#[derive(Clone, Default, Debug)]
pub struct Run {
    /// The window.
    pub seconds: f64,
    /// Payload octets that arrived.
    pub bytes: f64,
    /// Requests answered.
    pub operations: f64,
    /// Requests not answered, or wrongly.
    pub errors: f64,
    /// CPU time of the server's process.
    pub server_cpu_seconds: f64,
    /// CPU time of the client's.
    pub client_cpu_seconds: f64,
    /// CPU time of the whole machine.
    pub busy_seconds: f64,
    /// Context switches of the server.
    pub server_switches: f64,
    /// Half of the requests were answered within this time.
    pub p50_us: f64,
    /// All but one of a hundred were.
    pub p99_us: f64,
    /// All but one of a thousand were.
    pub p999_us: f64,
}

impl Run {
    /// Reads kbench's line.
    pub fn parse(line: &str) -> Result<Run, String> {
        let value = |name: &str| -> Result<f64, String> {
            line.split_whitespace()
                .filter_map(|word| word.split_once('='))
                .find(|(key, _)| *key == name)
                .and_then(|(_, value)| value.parse().ok())
                .ok_or_else(|| format!("kbench did not say {name}: {line}"))
        };
        Ok(Run {
            seconds: value("seconds")?,
            bytes: value("bytes")?,
            operations: value("ops")?,
            errors: value("errors")?,
            server_cpu_seconds: value("server_cpu")?,
            client_cpu_seconds: value("client_cpu")?,
            busy_seconds: value("busy")?,
            server_switches: value("server_switches")?,
            p50_us: value("p50")?,
            p99_us: value("p99")?,
            p999_us: value("p999")?,
        })
    }

    /// Cores that neither side used.
    pub fn foreign_cores(&self) -> f64 {
        let own = self.server_cpu_seconds + self.client_cpu_seconds;
        ((self.busy_seconds - own) / self.seconds).max(0.0)
    }

    /// For JSON.
    pub fn members(&self) -> Vec<(&'static str, Json)> {
        vec![
            ("seconds", self.seconds.into()),
            ("bytes", self.bytes.into()),
            ("operations", self.operations.into()),
            ("server_cpu_seconds", self.server_cpu_seconds.into()),
            ("client_cpu_seconds", self.client_cpu_seconds.into()),
            ("server_switches", self.server_switches.into()),
            ("p50_us", self.p50_us.into()),
            ("p99_us", self.p99_us.into()),
            ("p999_us", self.p999_us.into()),
            ("foreign_cores", self.foreign_cores().into()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "mode=rr conns=1 seconds=0.5 bytes=640 ops=10 errors=0 server_cpu=0.1 \
        client_cpu=0.2 busy=0.5 server_switches=3 client_calls=9 p50=42.0 p99=50.5 p999=60.0\n";

    #[test]
    fn a_line_is_read() {
        let run = Run::parse(LINE).unwrap();
        assert_eq!((run.operations, run.p99_us), (10.0, 50.5));
        assert!((run.foreign_cores() - 0.4).abs() < 1e-9);
        assert!(Run::parse("mode=rr").is_err());
    }

    #[test]
    fn the_last_lines_are_kept() {
        assert_eq!(last_lines("a\n\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("", 2), "");
    }
}
