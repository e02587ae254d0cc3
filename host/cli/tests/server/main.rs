//! The web server over the kernel's loopback: what clients see, octet by octet.

mod client;
mod command;
mod files;
mod live;
mod protocols;
mod ranges;
mod uploads;
