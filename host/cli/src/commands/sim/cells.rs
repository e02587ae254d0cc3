//! The trials the options ask for. Owns: the product of all lists, and its bounds.
//! Must not know: figures.

use crate::fault::Fault;
use crate::options::SimArgs;
use usertcp::Algorithm;
use usertcp_base::{Rate, Span};
use usertcp_sim::table::{self, grid};
use usertcp_sim::trial::{Flow, Trial};

/// Trials at a time.
const MOST_CELLS: usize = 2000;
/// Octets that a path and its buffer may hold.
const MOST_PATH_OCTETS: u64 = 256 << 20;
/// Moments noted for a plot of one trial's course.
const MOMENTS: u32 = 240;

/// One trial.
#[derive(Clone, Debug)]
pub struct Cell {
    /// What it is determined by.
    pub trial: Trial,
}

impl Cell {
    /// The names of what may differ between trials.
    pub const AXES: [&'static str; 6] = ["rate", "RTT", "buffer", "loss", "reordering", "flows"];

    /// What this trial has of each.
    pub fn words(&self) -> Vec<String> {
        let trial = &self.trial;
        vec![
            table::rate_text(trial.rate),
            table::span_text(trial.rtt),
            table::per_mille_text(trial.buffer_per_mille),
            table::chance_text(trial.loss),
            table::reorder_text(trial.reorder),
            grid::controllers(&trial.flows),
        ]
    }

    /// For the table's runner.
    pub fn named(&self) -> table::Cell {
        table::Cell { label: self.words().join(" "), trial: self.trial.clone() }
    }
}

/// Every combination of the options' lists.
pub fn of(args: &SimArgs) -> Result<Vec<Cell>, Fault> {
    let base = Draft {
        trial: Trial {
            seed: args.seed,
            ecn: args.ecn,
            lasts: Span::from_secs(args.seconds),
            most_octets: args.octets.unwrap_or(u64::MAX),
            ..Trial::plain(Rate::UNLIMITED, Span::ZERO, Algorithm::default())
        },
        rtts: &[],
        controllers: &[],
        count: 0,
    };
    let counts = if args.flows.is_empty() { vec![0] } else { args.flows.clone() };
    let drafts = each(vec![base], &args.rate, |draft, rate| draft.trial.rate = *rate)?;
    let drafts = each(drafts, &args.rtt, |draft, rtts| draft.rtts = &rtts.0)?;
    let set_buffer = |draft: &mut Draft<'_>, buffer: &u64| draft.trial.buffer_per_mille = *buffer;
    let drafts = each(drafts, &args.buffer, set_buffer)?;
    let drafts = each(drafts, &args.loss, |draft, loss| draft.trial.loss = *loss)?;
    let drafts = each(drafts, &args.reorder, |draft, reorder| draft.trial.reorder = reorder.0)?;
    let drafts = each(drafts, &counts, |draft, count| draft.count = *count)?;
    let drafts = each(drafts, &args.cc, |draft, controllers| draft.controllers = &controllers.0)?;
    let mut cells = drafts.into_iter().map(Draft::cell).collect::<Result<Vec<_>, _>>()?;
    if let [only] = cells.as_mut_slice() {
        only.trial.moments = MOMENTS;
    }
    check_sizes(&cells)?;
    Ok(cells)
}

/// A trial whose flows are not worked out yet.
#[derive(Clone)]
struct Draft<'a> {
    trial: Trial,
    rtts: &'a [Span],
    controllers: &'a [Algorithm],
    /// Flows; zero for one of each kind.
    count: usize,
}

/// Every draft with every value.
fn each<'a, T>(
    drafts: Vec<Draft<'a>>,
    values: &'a [T],
    set: impl Fn(&mut Draft<'a>, &'a T),
) -> Result<Vec<Draft<'a>>, Fault> {
    let count = drafts.len().saturating_mul(values.len());
    if count > MOST_CELLS {
        return Err(Fault::usage(
            format!("the lists make {count} trials or more"),
            format!("give shorter lists: at most {MOST_CELLS} combinations"),
        ));
    }
    let with = |draft: &Draft<'a>, value: &'a T| {
        let mut draft = draft.clone();
        set(&mut draft, value);
        draft
    };
    Ok(drafts.iter().flat_map(|draft| values.iter().map(move |value| with(draft, value))).collect())
}

impl Draft<'_> {
    /// Works out the flows: as many of each round trip and each controller.
    fn cell(mut self) -> Result<Cell, Fault> {
        let kinds = self.rtts.len() * self.controllers.len();
        let count = if self.count == 0 { kinds } else { self.count };
        if !count.is_multiple_of(kinds) {
            return Err(Fault::usage(
                format!("--flows {count}: {kinds} kinds of flows cannot have as many each"),
                format!("use a multiple of {kinds}"),
            ));
        }
        self.trial.rtt = self.rtts.iter().copied().min().unwrap_or(Span::ZERO);
        self.trial.flows.clear();
        for &algorithm in self.controllers {
            for rtt in self.rtts {
                let flow = Flow { algorithm, detour: rtt.saturating_sub(self.trial.rtt) };
                self.trial.flows.extend(std::iter::repeat_n(flow, count / kinds));
            }
        }
        Ok(Cell { trial: self.trial })
    }
}

fn check_sizes(cells: &[Cell]) -> Result<(), Fault> {
    let path = |cell: &Cell| {
        let trial = &cell.trial;
        let longest = trial.flows.iter().map(|flow| flow.detour).max().unwrap_or(Span::ZERO);
        let path = trial.rate.octets_in(trial.rtt.saturating_add(longest));
        path.saturating_add(trial.buffer_octets())
    };
    if cells.iter().any(|cell| path(cell) > MOST_PATH_OCTETS) {
        return Err(Fault::usage(
            "a path of this rate, round trip and buffer holds more than 256 MiB",
            "use a lower --rate, a shorter --rtt or a smaller --buffer",
        ));
    }
    Ok(())
}
