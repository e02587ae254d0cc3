use usertcp_base::{Rate, Span};
use usertcp_cc::Algorithm;
use usertcp_sim::trial::{Reorder, Trial};
fn main() {
    let a: Vec<u64> = std::env::args().skip(1).map(|x| x.parse().unwrap()).collect();
    let rtt = Span::from_millis(a[1]);
    let mut t = Trial::plain(
        Rate::from_bits_per_second(a[0] * 1_000_000),
        rtt,
        if a[2] == 0 { Algorithm::Cubic } else { Algorithm::Reno },
    );
    t.buffer_per_mille = a[3];
    t.lasts = Span::from_millis(a[4]);
    t.moments = a[5] as u32;
    let w0: u64 = std::env::var("W0").unwrap_or_default().parse().unwrap_or(0);
    let _ = w0;
    t.reorder = match a[6] {
        0 => Reorder::None,
        1 => Reorder::Overtaken { chance: 50_000, packets: 3 },
        _ => Reorder::Delayed { chance: 50_000, most: rtt.divided_by(2) },
    };
    t.seed = a[7];
    let f = t.run().unwrap();
    for m in &f.moments {
        println!(
            "{:>9} q {:>8} w {:>9} read {}",
            m.at.as_micros(),
            m.queue_octets,
            m.flows[0].window_octets,
            m.flows[0].octets
        );
    }
    println!("{:?} sent {} needless {} {:?}", f.flows, f.sent, f.needless, f.link);
}
