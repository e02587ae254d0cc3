//! The receive side, one leaf module per rule.
//!
//! Owns: what is decided about an arriving segment, what is held until it is read, and what is
//! announced in return.
//! Must not know: headers, the send queue, congestion control, who reads.
//! Implements: RFC 9293 §3.8.5, §3.8.6, §3.10.7.4; RFC 7323 §4, §5; RFC 2018; RFC 2883; RFC 5961.

pub mod ack_check;
pub mod ack_policy;
pub mod advertise;
pub mod autotune;
pub mod challenge;
pub mod compact;
pub mod paws;
pub mod reassembly;
pub mod receiver;
pub mod reset;
pub mod sack;
pub mod urgent;
pub mod window_check;

#[cfg(target_pointer_width = "64")]
const _: () = {
    use core::mem::size_of;
    assert!(size_of::<receiver::Receiver>() <= 128);
    let beside = size_of::<advertise::Advertise>() + size_of::<autotune::Autotune>();
    let policy = size_of::<ack_policy::AckPolicy>() + size_of::<paws::Timestamps>();
    assert!(size_of::<receiver::Receiver>() + beside + policy <= 288);
};

#[cfg(test)]
mod tests;
