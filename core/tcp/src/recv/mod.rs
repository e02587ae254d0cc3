//! The receive side, one leaf module per rule.
//!
//! Owns: what is decided about an arriving segment, what is held until it is read, and what is
//! announced in return.
//! Must not know: headers, the send queue, congestion control, who reads.
//!
//! The order for one segment: `paws::Timestamps::check`; `window_check::check` (outside: report
//! the old part with `Receiver::on_old`, ask `challenge`, and stop); `Timestamps::observe`;
//! `reset::decide` for a RST; a challenge for a SYN; `ack_check`; `Receiver::on_urgent`;
//! `Receiver::on_data`, whose outcome goes to `AckPolicy::on_data`. `Advertise::on_arrival` and
//! `Autotune::on_data` learn from what was delivered. An acknowledgement takes its window from
//! `Advertise::announce`, its blocks from `Receiver::take_sack_blocks`, its echo from `Timestamps`,
//! and is told to `AckPolicy::on_ack_sent` and `Timestamps::on_ack_sent`. After a read:
//! `Autotune::on_copied`, then `Advertise::update_due`, then perhaps `AckPolicy::demand`.
//!
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
    assert!(size_of::<receiver::Receiver>() <= 112);
    let beside = size_of::<advertise::Advertise>() + size_of::<autotune::Autotune>();
    let policy = size_of::<ack_policy::AckPolicy>() + size_of::<paws::Timestamps>();
    assert!(size_of::<receiver::Receiver>() + beside + policy <= 192);
};

#[cfg(test)]
mod tests;
