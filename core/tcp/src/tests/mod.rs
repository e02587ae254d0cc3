//! One connection against a scripted peer: the rows of the requirement ledger, by behaviour.

mod acknowledging;
mod arrival;
mod attacks;
pub(crate) mod bench;
mod closing;
mod ecn;
mod hostile;
mod opened;
mod options;
mod pair;
mod path;
mod retransmitting;
mod script;
mod sending;
mod sizes;
mod timing;
mod window;
mod writing;
