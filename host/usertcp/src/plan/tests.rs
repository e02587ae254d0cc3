use super::*;

fn plan(shards: u16) -> Plan {
    Plan::new([9; 32], shards, &Limits::default(), &PoolConfig::default()).unwrap()
}

#[test]
fn one_shard_has_everything_as_it_was_given() {
    let (config, _) = plan(1).of(0, Vec::new());
    assert_eq!(config.seed, [9; 32]);
    assert_eq!(config.limits.connections, Limits::default().connections);
    assert_eq!(config.pool.octets, PoolConfig::default().octets);
}

#[test]
fn several_share_what_is_promised_for_all() {
    let plan = plan(3);
    let configs: Vec<_> = (0..3).map(|index| plan.of(index, Vec::new())).collect();
    let whole = Limits::default();
    for (config, key) in &configs {
        let part = &config.limits;
        assert_eq!(part.connections, whole.connections.div_ceil(3));
        assert_eq!(part.time_wait, whole.time_wait.div_ceil(3));
        // A bound of one connection is not divided.
        assert_eq!(part.receive_buffer_octets, whole.receive_buffer_octets);
        assert!(config.pool.octets * 3 <= PoolConfig::default().octets);
        assert_eq!(*key, configs[0].1, "one key for the cookies of all");
        assert_eq!(config.seat.unwrap().rule, plan.rule);
    }
    let seeds: std::collections::HashSet<_> = configs.iter().map(|(c, _)| c.seed).collect();
    assert_eq!(seeds.len(), 3, "secrets of its own for each");
    assert!(!seeds.contains(&[9; 32]));
}
