//! What the two examples of idle streams share.

pub mod demo;
pub mod peers;
