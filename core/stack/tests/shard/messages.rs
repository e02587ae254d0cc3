//! Questions and answers: what their packets say, and that each of a burst comes to its connection.

use crate::pair::{Pair, pattern, read_all};
use usertcp_base::{ConnId, ListenerId};
use usertcp_device::{Queue, RxBatch};

/// Both ends of a connection on which questions were answered again and again.
fn talking(pair: &mut Pair, listener: ListenerId) -> (ConnId, ConnId) {
    let (client, server) = pair.open(listener);
    for _ in 0..40 {
        ask(pair, client);
        pair.settle();
        answer(pair, server, b"answer");
        pair.settle();
        assert_eq!(read_all(&mut pair.client.shard, pair.now, client).unwrap(), b"answer");
    }
    (client, server)
}

fn ask(pair: &mut Pair, client: ConnId) {
    assert_eq!(pair.client.shard.write(pair.now, client, b"question"), Ok(8));
}

fn answer(pair: &mut Pair, server: ConnId, octets: &[u8]) {
    assert_eq!(read_all(&mut pair.server.shard, pair.now, server).unwrap(), b"question");
    assert_eq!(pair.server.shard.write(pair.now, server, octets), Ok(octets.len()));
}

/// DSCP and hop limit of the only packet that the client sends now. It arrives after that.
fn service_of_question(pair: &mut Pair, client: ConnId) -> (u8, u8) {
    ask(pair, client);
    pair.client.shard.flush(pair.now, &mut pair.client.queue);
    let mut batch = RxBatch::new(16);
    pair.server.queue.receive(pair.server.shard.pool(), &mut batch);
    assert_eq!(batch.len(), 1);
    let mut header = [0; 20];
    batch.front().unwrap().octets.copy_to(0, &mut header);
    pair.server.shard.handle_frames(pair.now, &mut batch);
    (header[1] >> 2, header[8])
}

/// What was made ready for one message is not said of the next, when something else is set meanwhile.
#[test]
fn messages_say_what_is_set() {
    let mut pair = Pair::new();
    let listener = pair.listen(5);
    let (client, server) = talking(&mut pair, listener);
    for (dscp, hop_limit) in [(0, 64), (9, 7), (9, 7), (0, 64), (46, 255)] {
        let set = pair.client.shard.set_option(pair.now, client, |settings| {
            (settings.dscp, settings.hop_limit) = (dscp, hop_limit);
        });
        set.unwrap();
        pair.settle();
        for _ in 0..5 {
            assert_eq!(service_of_question(&mut pair, client), (dscp, hop_limit));
            answer(&mut pair, server, b"answer");
            pair.settle();
            assert_eq!(read_all(&mut pair.client.shard, pair.now, client).unwrap(), b"answer");
        }
    }
}

/// Answers, a long one and one with FIN among them, leave and arrive in one burst.
#[test]
fn each_answer_of_a_burst_comes_to_its_connection() {
    let mut pair = Pair::new();
    let listener = pair.listen(16);
    let connections = [(); 8].map(|()| talking(&mut pair, listener));
    let expected: Vec<_> = (0..8).map(|at| pattern(if at == 2 { 5000 } else { 50 + at })).collect();
    for (client, _) in connections {
        ask(&mut pair, client);
    }
    pair.settle();
    for ((_, server), octets) in connections.iter().zip(&expected) {
        answer(&mut pair, *server, octets);
    }
    pair.server.shard.close(pair.now, connections[5].1).unwrap();
    pair.server.shard.flush(pair.now, &mut pair.server.queue);
    let _ = pair.client.shard.receive(pair.now, &mut pair.client.queue);
    for ((client, _), octets) in connections.iter().zip(&expected) {
        let read = read_all(&mut pair.client.shard, pair.now, *client).unwrap();
        assert_eq!(&read, octets, "{client:?}");
    }
}
