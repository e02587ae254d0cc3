#[test]
fn sizes() {
    use crate::recv::*;
    std::eprintln!(
        "receiver {} reassembly {} sack {} urgent {} advertise {} autotune {} ack {} paws {} chain {}",
        size_of::<receiver::Receiver>(),
        size_of::<reassembly::Reassembly>(),
        size_of::<sack::SackReport>(),
        size_of::<urgent::Urgent>(),
        size_of::<advertise::Advertise>(),
        size_of::<autotune::Autotune>(),
        size_of::<ack_policy::AckPolicy>(),
        size_of::<paws::Timestamps>(),
        size_of::<usertcp_frame::Chain>()
    );
}
