//! Commands of the shell that scripts use, as settings of the stack.
//! Owns: which word means what. Must not know: when a command is run.

use super::Posix;
use crate::sysctl;

/// Runs a command text; the error is the word that is not known.
pub fn run(posix: &mut Posix, text: &str) -> Result<(), String> {
    let commands = text.split([';', '\n']).map(str::trim).filter(|part| !part.is_empty());
    for one in commands {
        let defaults = one.ends_with("defaults.sh") && !one.contains(' ');
        if defaults {
            posix.fast_open_defaults();
            sysctl::suite_defaults(&mut posix.defaults.settings);
        } else if !one.starts_with('#')
            && !sysctl::run(one, &mut posix.defaults.settings)
            && !fast_open(posix, one)?
        {
            return Err(format!("shell command `{one}`"));
        }
    }
    Ok(())
}

/// A command that sets values of Fast Open; false when it is another.
fn fast_open(posix: &mut Posix, command: &str) -> Result<bool, String> {
    let mut words = command.split_whitespace();
    let program = words.next().unwrap_or_default();
    if program != "sysctl" && !program.ends_with("set_sysctls.py") {
        return Ok(false);
    }
    for word in words.filter(|word| !word.starts_with('-')) {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        let name = name.trim_start_matches("/proc/sys/").replace('/', ".");
        if !posix.fast_open_sysctl(&name, value)? {
            return Err(format!("sysctl `{name}`"));
        }
    }
    Ok(true)
}
