//! Commands of the shell that scripts use, as settings of the stack.
//! Owns: which word means what. Must not know: when a command is run.

use super::Posix;

/// Runs a command text; the error is the word that is not known.
pub fn run(_posix: &mut Posix, text: &str) -> Result<(), String> {
    let commands = text.split([';', '\n']).map(str::trim).filter(|part| !part.is_empty());
    for one in commands {
        let defaults = one.ends_with("defaults.sh") && !one.contains(' ');
        if !defaults && !one.starts_with('#') {
            return Err(format!("shell command `{one}`"));
        }
    }
    Ok(())
}
