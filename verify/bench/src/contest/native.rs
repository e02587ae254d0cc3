//! The programs a run needs. Owns: building kbench, tunlim, lwIP and the `usertcp` command, and what is
//! made of their failing. Must not know: where they run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const NATIVE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/native");

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
        let directory = directory()?;
        let path = directory.join("kbench");
        succeed(compile(&path).arg(format!("{NATIVE}/kbench.c")), "the C compiler")?;
        Ok(Kbench { path, directory })
    }
}

/// Where the bench puts its files.
pub fn directory() -> Result<PathBuf, String> {
    let directory = target_directory()?.join("bench");
    std::fs::create_dir_all(&directory).map_err(|e| format!("{}: {e}", directory.display()))?;
    Ok(directory)
}

/// Builds the least TCP that answers on a TUN device.
pub fn build_tunlim(directory: &Path) -> Result<PathBuf, String> {
    let path = directory.join("tunlim");
    succeed(compile(&path).arg(format!("{NATIVE}/tunlim.c")), "the C compiler")?;
    Ok(path)
}

/// Builds lwIP's programs from `source`, or from what is fetched, and says in which directory they
/// are. Fetches only if it `may`.
pub fn build_lwip(
    directory: &Path,
    source: Option<&Path>,
    may_fetch: bool,
) -> Result<PathBuf, String> {
    let source = match source {
        Some(source) => source.to_owned(),
        None => {
            let fetched = directory.join("lwip-source");
            if !fetched.join("src/core/tcp.c").exists() {
                if !may_fetch {
                    return Err(
                        "its source was not fetched yet, which a smoke run does not do".into()
                    );
                }
                let mut fetch = Command::new("sh");
                fetch.arg(format!("{NATIVE}/lwip/fetch.sh")).arg(&fetched);
                succeed(&mut fetch, "fetching lwIP's source package")?;
            }
            fetched
        }
    };
    let programs = directory.join("lwip");
    let mut build = Command::new("sh");
    build.arg(format!("{NATIVE}/lwip/build.sh")).arg(source).arg(&programs);
    succeed(&mut build, "building lwIP")?;
    Ok(programs)
}

fn compile(to: &Path) -> Command {
    let mut gcc = Command::new(std::env::var("CC").unwrap_or_else(|_| "gcc".into()));
    gcc.args(["-O2", "-Wall", "-fno-strict-aliasing", "-o"]).arg(to);
    gcc
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept() {
        assert_eq!(last_lines("a\n\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("", 2), "");
    }
}
