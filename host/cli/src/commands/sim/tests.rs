use super::*;
use crate::options::{Cli, Command};
use clap::Parser;

fn args(words: &str) -> SimArgs {
    let words = ["usertcp", "sim"].into_iter().chain(words.split_whitespace());
    let Command::Sim(args) = Cli::parse_from(words).command else { panic!() };
    args
}

fn run_all(words: &str) -> (SimArgs, Vec<Cell>, Vec<Figures>) {
    let args = args(words);
    let cells = cells::of(&args).unwrap();
    let named: Vec<table::Cell> = cells.iter().map(Cell::named).collect();
    let figures = table::run(&named, 2, |_| ()).into_iter().map(Result::unwrap).collect();
    (args, cells, figures)
}

#[test]
fn every_combination_is_tried_in_order() {
    let args =
        args("--rate 1mbit,1gbit --rtt 1ms,20ms+100ms --loss 0,0.01% --cc reno --reorder 1%");
    let words: Vec<String> =
        cells::of(&args).unwrap().iter().map(|cell| cell.words().join(" ")).collect();
    assert_eq!(words.len(), 8);
    assert_eq!(words[0], "1mbit 1ms 1 0% 1%/3packets reno");
    assert_eq!(words[7], "1gbit 20ms 1 0.01% 1%/3packets 1 reno + 1 reno+80ms");
}

#[test]
fn kinds_of_flows_have_as_many_each() {
    let cells = cells::of(&args("--loss 0 --cc cubic+reno --flows 4,8")).unwrap();
    assert_eq!(cells[0].words()[5], "2 cubic + 2 reno");
    assert_eq!(cells[1].words()[5], "4 cubic + 4 reno");
    let fault = cells::of(&args("--loss 0 --cc cubic+reno --flows 3")).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "error: --flows 3: 2 kinds of flows cannot have as many each\nhelp: use a multiple of 2"
    );
}

#[test]
fn what_is_too_much_is_refused() {
    let many = vec!["1ms"; 300].join(",");
    let fault = cells::of(&args(&format!("--rtt {many}"))).unwrap_err();
    assert_eq!((fault.code(), fault.what.as_str()), (2, "the lists make 3000 trials or more"));
    let fault = cells::of(&args("--rate 10gbit --rtt 1s")).unwrap_err();
    assert_eq!(fault.what, "a path of this rate, round trip and buffer holds more than 256 MiB");
    let cells = cells::of(&args("--rtt 1ms,2ms,3ms,4ms,5ms,6ms,7ms --loss 0,1%")).unwrap();
    assert!(plot::check(&cells).is_ok());
    let cells = cells::of(&args("--rtt 1ms,2ms,3ms,4ms,5ms,6ms,7ms --loss 0,1%,2%,3%,4%,5%,6%"));
    assert_eq!(plot::check(&cells.unwrap()).unwrap_err().code(), 2);
}

#[test]
fn the_table_is_the_same_every_time() {
    let (args, cells, figures) = run_all("--loss 0,1% --cc reno --seconds 2");
    let table = text(&args, &cells, &figures);
    let (again, ..) = run_all("--loss 0,1% --cc reno --seconds 2");
    assert_eq!(text(&again, &cells, &figures), table);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("rate    RTT   buffer  loss  reordering  flows"), "{table}");
    let end: Vec<&str> =
        lines[0].split("  ").map(str::trim).filter(|word| !word.is_empty()).collect();
    let expected = ["goodput", "of the link", "by theory", "sent again", "needless", "timeouts"];
    assert_eq!(end[6..], expected);
    assert!(lines[1].starts_with("10mbit  20ms  1       0%    0           reno"), "{table}");
    assert_eq!(lines.len(), 6, "{table}");
    let json = json_lines(&cells, &figures);
    let last: Value = serde_json::from_str(json.lines().last().unwrap()).unwrap();
    assert_eq!((&last["loss_per_million"], &last["event"]), (&10_000.into(), &"trial".into()));
    assert_eq!(last["flows"][0]["controller"], "reno");
    assert_eq!(last["lasted_us"], 2_000_000);
}

#[test]
fn a_trial_ends_with_its_octets() {
    let (args, cells, figures) = run_all("--loss 0 --cc reno --octets 100KiB");
    assert!((102_400..110_000).contains(&figures[0].flows[0].octets), "{figures:?}");
    assert!(figures[0].lasted.as_millis() < 500);
    assert!(text(&args, &cells, &figures).contains("or 100 KiB each"));
}

#[test]
fn one_trial_is_drawn_over_time_and_several_over_their_longest_list() {
    let directory = std::env::temp_dir().join(format!("usertcp-sim-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    for (name, words, expected) in [
        (
            "course.svg",
            "--loss 0 --cc cubic+reno --flows 2 --seconds 2",
            ["congestion window", "waiting at the bottleneck"],
        ),
        ("comparison.svg", "--loss 0,1%,3% --seconds 1", ["sent again", "% of the link"]),
    ] {
        let (_, cells, figures) = run_all(words);
        let path = directory.join(name);
        plot::draw(&path, &cells, &figures).unwrap();
        let svg = std::fs::read_to_string(&path).unwrap();
        for text in expected {
            assert!(svg.contains(text), "{name}: {text}");
        }
        assert!(svg.matches("<polyline").count() >= 4, "{name}");
        assert!(svg.contains("cubic") && svg.contains("reno"), "{name}");
    }
    let (_, cells, figures) = run_all("--loss 0 --cc reno --seconds 1");
    let fault = plot::draw(&directory.join("no/such/place.svg"), &cells, &figures).unwrap_err();
    assert_eq!(fault.code(), 1);
    std::fs::remove_dir_all(&directory).unwrap();
}
