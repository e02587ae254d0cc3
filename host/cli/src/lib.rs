//! The `usertcp` command, as a library so that its parts can be tested without a device.
//!
//! Owns: the command line, the web server, the live page, the services, netcat, and what is
//! printed. Must not know: how the stack works. It sees streams ([`network::Stream`]), a way to
//! get them ([`network::Network`]) and facts to show ([`facts::LiveFacts`]).

pub mod auth;
pub mod bridge;
pub mod cidr;
pub mod commands;
pub mod facts;
pub mod fault;
pub mod kernel;
pub mod network;
pub mod options;
pub mod own;
pub mod plan;
pub mod report;
pub mod units;
pub mod usage;
pub mod web;
