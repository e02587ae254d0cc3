use super::*;

const NOW: Instant = Instant::from_millis(5);

/// What the stack would send to the peer of `number`.
fn sent<'a>(number: u32, numbers: (u32, u32), flags: u8, payload: &'a [u8]) -> Segment<'a> {
    Segment {
        // The writer puts `remote` first, as the sender.
        remote: packet::server(Family::V4),
        local: tuple::remote(Family::V4, number),
        seq: numbers.0,
        ack: numbers.1,
        flags,
        timestamps: (100, 0),
        payload,
    }
}

fn answer<'a>(
    peers: &mut Peers,
    segment: &Segment<'_>,
    out: &'a mut [u8; LARGEST],
) -> Option<Segment<'a>> {
    let mut packet = [0; LARGEST];
    let octets = packet::write(segment, &mut packet);
    let octets = peers.answer(NOW, &packet[..octets], out)?;
    Some(packet::read(&out[..octets]).unwrap())
}

#[test]
fn a_peer_opens_asks_answers_a_probe_and_closes_with_the_right_numbers() {
    let mut peers = Peers::new(Family::V4, 10, 10, false);
    let (number, mut out) = (peers.shuffle.at(3), [0; LARGEST]);
    let ours = 7000;
    // SYN-ACK: its third segment.
    let syn_ack = sent(number, (ours, iss(number) + 1), SYN | ACK, &[]);
    let third = answer(&mut peers, &syn_ack, &mut out).unwrap();
    assert_eq!((third.seq, third.ack, third.flags), (iss(number) + 1, ours + 1, ACK));
    assert_eq!(third.timestamps.1, 100);
    // A request.
    let octets = peers.request(NOW, 3, &mut out);
    let asked = packet::read(&out[..octets]).unwrap();
    assert_eq!((asked.seq, asked.ack), (iss(number) + 1, ours + 1));
    let right = reply(asked.payload.try_into().unwrap());
    let after = iss(number) + 1 + MESSAGE as u32;
    let thanks =
        answer(&mut peers, &sent(number, (ours + 1, after), ACK | PSH, &right), &mut out).unwrap();
    assert_eq!((thanks.seq, thanks.ack), (after, ours + 1 + MESSAGE as u32));
    // A bare acknowledgement is nothing to answer, but while probes are expected it is one.
    let probe = sent(number, (ours + MESSAGE as u32, after), ACK, &[]);
    assert!(answer(&mut peers, &probe, &mut out).is_none());
    peers.expect_probes(NOW, 10, Span::from_secs(75), Span::from_secs(300));
    let alive = answer(&mut peers, &probe, &mut out).unwrap();
    assert_eq!((alive.seq, alive.ack, alive.flags), (after, ours + 1 + MESSAGE as u32, ACK));
    // FIN.
    let fin = sent(number, (ours + 1 + MESSAGE as u32, after), FIN | ACK, &[]);
    let end = answer(&mut peers, &fin, &mut out).unwrap();
    assert_eq!((end.seq, end.ack, end.flags), (after, ours + 2 + MESSAGE as u32, FIN | ACK));
    assert_eq!((peers.opened, peers.answered, peers.closed), (1, 1, 1));
    assert_eq!(peers.problem, None);
}

#[test]
fn what_is_wrong_is_noticed() {
    let nobody = Segment { local: (Family::V4.server(), 9), ..sent(0, (1, 1), ACK, &[]) };
    let wrong = [
        ("another SYN", sent(2, (1, iss(2)), SYN | ACK, &[])),
        ("wrong reply", sent(2, (1, 1), ACK, b"something")),
        ("was reset", sent(2, (1, 1), RST, &[])),
        ("nobody", nobody),
    ];
    for (words, segment) in wrong {
        let mut peers = Peers::new(Family::V4, 10, 10, false);
        let mut out = [0; LARGEST];
        assert!(answer(&mut peers, &segment, &mut out).is_none());
        let problem = peers.problem.unwrap();
        assert!(problem.contains(words), "{problem}");
    }
}

#[test]
fn gaps_between_probes_are_judged() {
    let mut peers = Peers::new(Family::V4, 3, 0, false);
    let (interval, length) = (Span::from_secs(10), Span::from_secs(60));
    peers.expect_probes(Instant::ZERO, 3, interval, length);
    let probed = peers.probed.as_mut().unwrap();
    let at = Instant::from_millis;
    for (number, when) in [(0, 3000), (1, 5000), (0, 13_500), (1, 16_500), (0, 23_000)] {
        probed.note(at(when), number);
    }
    assert_eq!((probed.probes, probed.outside, probed.gaps.len()), (5, 1, 3));
    assert!((11_480..=11_510).contains(&probed.gaps.max()), "{}", probed.gaps.max());
    // Number 1 was probed at 16.5 s, number 2 never.
    assert_eq!(peers.missed(at(27_000), 3), 1);
    assert_eq!(peers.missed(at(27_700), 3), 2);
}

#[test]
fn the_dead_connect_and_then_say_nothing() {
    let mut peers = Peers::new(Family::V4, 100_000, 0, true);
    let dead: Vec<u32> = (0..100_000).filter(|number| peers.is_dead(*number)).collect();
    assert!((60..140).contains(&dead.len()), "{}", dead.len());
    let mut out = [0; LARGEST];
    let number = dead[0];
    assert!(
        answer(&mut peers, &sent(number, (1, iss(number) + 1), SYN | ACK, &[]), &mut out).is_some()
    );
    peers.expect_probes(NOW, 100_000, Span::from_secs(75), Span::from_secs(300));
    for flags in [ACK, FIN | ACK, RST] {
        assert!(answer(&mut peers, &sent(number, (1, 1), flags, &[]), &mut out).is_none());
    }
    assert_eq!(peers.problem, None);
}
