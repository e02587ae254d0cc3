use super::*;

fn trial() -> Trial {
    let mut trial = Trial::plain(
        Rate::from_bits_per_second(10_000_000),
        Span::from_millis(20),
        Algorithm::Reno,
    );
    trial.lasts = Span::from_secs(4);
    trial
}

#[test]
fn the_same_trial_gives_the_same_figures() {
    let mut trial = trial();
    trial.loss = 10_000;
    trial.moments = 10;
    let first = trial.run().unwrap();
    assert_eq!(trial.run().unwrap(), first);
    assert_eq!(first.moments.len(), 10);
    assert_eq!(first.moments[9].flows[0].octets, first.flows[0].octets);
    trial.seed = 2;
    assert_ne!(trial.run().unwrap(), first);
}

#[test]
fn jain_is_one_for_equals_and_one_nth_for_a_winner() {
    assert_eq!(jain_per_mille(&[7, 7, 7, 7]), 1000);
    assert_eq!(jain_per_mille(&[0, 0, 0, 9]), 250);
    assert_eq!(jain_per_mille(&[0, 0]), 1000);
    assert_eq!(jain_per_mille(&[1, 3]), 800);
}

#[test]
fn a_lone_flow_fills_the_link_and_no_more() {
    let figures = trial().run().unwrap();
    let share = |rate: Rate| rate.octets_per_second() * 8 / 10_000;
    // Headers take 52 of 1500 octets.
    assert!((900..=966).contains(&share(figures.late_goodput())), "{figures:?}");
}

#[test]
fn a_detour_lengthens_the_round_trip_of_its_flow_alone() {
    let mut trial = trial();
    trial.loss = 10_000;
    let near = trial.run().unwrap();
    trial.flows[0].detour = Span::from_millis(60);
    let far = trial.run().unwrap();
    // Goodput under loss is as the inverse of the round trip: here a quarter, and slack.
    let (near, far) = (near.flows[0].octets, far.flows[0].octets);
    assert!(far * 5 / 2 < near && near < far * 6, "{near} {far}");
}

#[test]
fn marks_come_instead_of_losses() {
    let mut trial = trial();
    trial.buffer_per_mille = 4000;
    let plain = trial.run().unwrap();
    trial.ecn = true;
    let figures = trial.run().unwrap();
    assert!(figures.link.marked > 0 && plain.link.marked == 0);
    // Slow start hears of its marks a round trip late and may still overflow once.
    assert!(figures.link.overflowed * 2 < plain.link.overflowed, "{figures:?} {plain:?}");
}
