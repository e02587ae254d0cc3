//! The stack as a shared object for the stock packetdrill program (`--so_filename`).
//!
//! Owns: the one symbol the program looks up, and the C shapes of its table. Must not know: scripts.
//! Sockets are the same layer that the script runner uses (`usertcp_conformance::posix`).
//!
//! Where to look: the table's functions in `calls` and `streams`, the clock, waiting and descriptors
//! in `world`, foreign memory in `memory`, what is preloaded over the C library in `interpose`.
//!
//! This crate alone of the project is unsafe throughout: it is the C side of an interface of
//! pointers. Each block says why no safe way serves and why it is sound; what all of them rest on
//! is that the program hands over what the C calls of the same names take.
#![allow(unsafe_code)]

mod calls;
mod descriptors;
mod flags;
mod interpose;
mod memory;
mod message;
mod streams;
mod table;
mod world;

use std::ffi::{CStr, c_char};
use table::Interface;

/// What the program calls once for each script.
///
/// # Safety
/// `flags` is NULL or a C string, `interface` the program's table.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn packetdrill_interface_init(
    flags: *const c_char,
    interface: *mut Interface,
) {
    let text = if flags.is_null() {
        String::new()
    } else {
        // Not safely: a C string has its length in itself.
        // SAFETY: not NULL, so the program's own C string, which outlives this call.
        unsafe { CStr::from_ptr(flags) }.to_string_lossy().into_owned()
    };
    let started = flags::Flags::read(&text, &flags::command_line()).and_then(world::start);
    if let Err(why) = started {
        // The interface has no way to refuse but this.
        eprintln!("usertcp: --so_flags={text}: {why}");
        std::process::exit(2);
    }
    // Not safely: the table is the program's memory.
    // SAFETY: a table for us to fill in, which nothing else refers to meanwhile.
    if let Some(interface) = unsafe { interface.as_mut() } {
        *interface = table::filled();
    }
}
