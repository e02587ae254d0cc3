//! What a connection costs.

use crate::recovery::Recovery;
use crate::recv::receiver::Receiver;
use crate::*;
use core::mem::offset_of;
use usertcp_cc::AnyController;

// proves BG-5 (its share), DESIGN §5.3
#[test]
fn a_connection_is_not_large() {
    let size = size_of::<Tcb<AnyController>>();
    std::println!("Tcb<AnyController> {size}");
    std::println!("Recovery {}", size_of::<recovery::Recovery>());
    std::println!("AnyController {}", size_of::<AnyController>());
    std::println!("Settings {}", size_of::<Settings>());
    std::println!("Receiver {}", size_of::<recv::receiver::Receiver>());
    std::println!("Stopwatches {}", size_of::<Stopwatches>());
    std::println!("Snd {}", size_of::<send::Snd>());
    std::println!("Autotune {}", size_of::<recv::autotune::Autotune>());
    std::println!("AckPolicy {}", size_of::<recv::ack_policy::AckPolicy>());
    std::println!("PathMtu {}", size_of::<PathMtu>());
    std::println!("Persist {}", size_of::<send::probe::Persist>());
    std::println!("Timestamps {}", size_of::<recv::paws::Timestamps>());
    std::println!("Chain {}", size_of::<usertcp_frame::Chain>());
    std::println!("Pacer {}", size_of::<pace::Pacer>());
    std::println!("Advertise {}", size_of::<recv::advertise::Advertise>());
    std::println!("Challenge {}", size_of::<recv::challenge::Challenge>());
    std::println!("Reassembly {}", size_of::<recv::reassembly::Reassembly>());
    std::println!("SackReport {}", size_of::<recv::sack::SackReport>());
    std::println!("Handshake {}", size_of::<Handshake>());
    std::println!("TimeWait {}", size_of::<TimeWait>());
    // More than the target of DESIGN §5.3 (512): recovery's 320, the controller's 128 and the
    // receiver's 88 are more than half of it.
    assert!(size <= 896, "{size}");
}

/// Octets of a cache line.
const LINE: usize = 64;

/// Which lines of a TCB fields lie in, the first to the last.
macro_rules! lines {
    ($from:ident + $skipped:expr => $to:ident + $octets:expr) => {{
        let [from, to] = [
            offset_of!(Tcb<AnyController>, $from) + $skipped,
            offset_of!(Tcb<AnyController>, $to) + $octets,
        ];
        from / LINE..=(to - 1) / LINE
    }};
}

// Where there are many connections, each line that a segment of a plain one looks at is waited for.
#[test]
fn what_a_question_and_its_answer_look_at_are_seven_lines_and_one_of_the_controller() {
    assert_eq!(align_of::<Tcb<AnyController>>(), LINE);
    let controller = size_of::<AnyController>();
    assert_eq!(lines!(controller + 68 => controller + controller), 1..=1);
    // What is paced has a line of its own.
    assert_eq!(lines!(stopwatches + 0 => release + 8), 2..=2);
    let (received, recorded) = (Receiver::LOOKED_AT, Recovery::ALONE_IN_FLIGHT);
    assert_eq!(lines!(receiver + received => recovery + recorded), 4..=10);
    let looked_at = lines!(queue + 0 => owed + 3);
    assert!(*looked_at.start() >= 4 && *looked_at.end() <= 10, "{looked_at:?}");
}

// `Tcb::touch` reads a field of each of these lines, `Tcb::touch_more` and `Tcb::touch_rest` of all but the first of
// the others.
#[test]
fn each_line_is_touched() {
    let nxt = size_of::<Receiver>() - 4;
    let touched = [
        lines!(controller + 100 => controller + 128),
        lines!(receiver + nxt => receiver + nxt + 4),
        lines!(settings + 0 => settings + 8),
        lines!(timestamps + 0 => timestamps + 4),
        lines!(last_sent + 0 => last_sent + 4),
        lines!(prediction + 0 => prediction + 1),
        lines!(recovery + Recovery::RTO => recovery + Recovery::RTO + 4),
        lines!(recovery + Recovery::UNA => recovery + Recovery::UNA + 4),
    ];
    let [first, rest @ ..] = touched;
    assert_eq!(first, 1..=1);
    assert!(rest.into_iter().eq((4..=10).map(|line| line..=line)));
    let more = [
        lines!(release + 0 => release + 8),
        lines!(user_timeout + 0 => user_timeout + 4),
        lines!(recovery + Recovery::TAIL => recovery + Recovery::TAIL + 8),
        lines!(recovery + Recovery::CREDIT => recovery + Recovery::CREDIT + 4),
        lines!(persist + 0 => persist + 16),
    ];
    assert!(more.into_iter().eq([2, 3, 11, 12, 13].map(|line| line..=line)));
}
