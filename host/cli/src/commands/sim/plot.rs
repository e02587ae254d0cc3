//! Drawings of trials. Owns: what is drawn, and how it looks.
//! Must not know: how a trial runs.
#![allow(clippy::float_arithmetic)] // where a line lies on paper

use super::cells::Cell;
use crate::fault::Fault;
use plotters::coord::Shift;
use plotters::prelude::*;
use std::path::Path;
use usertcp_sim::trial::{Figures, FlowMoment, Moment};

/// Lines that can be told apart.
const MOST_LINES: usize = 12;
const SIZE: (u32, u32) = (960, 760);
const FONT: &str = "sans-serif";
/// Colours that most people can tell apart.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(90, 90, 90),
    RGBColor(150, 75, 30),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A line of a plot: a name and points.
struct Line {
    name: String,
    colour: usize,
    points: Vec<(f64, f64)>,
}

/// One set of axes.
struct Panel<'a> {
    title: &'a str,
    x_title: &'a str,
    x_end: f64,
    /// Names at 0, 1, 2, … instead of numbers.
    x_names: Option<&'a [String]>,
    y_title: &'a str,
    y_least_end: f64,
    legend: bool,
}

/// Whether these trials can be drawn.
pub fn check(cells: &[Cell]) -> Result<(), Fault> {
    if cells.len() == 1 {
        return Ok(());
    }
    let lines = series(cells).1.len();
    if lines <= MOST_LINES {
        return Ok(());
    }
    Err(Fault::usage(
        format!("--plot: {lines} lines in one drawing cannot be told apart"),
        format!("give shorter lists: at most {MOST_LINES} combinations beside the longest list"),
    ))
}

/// Draws one trial's course, or what several reached.
pub fn draw(path: &Path, cells: &[Cell], figures: &[Figures]) -> Result<(), Fault> {
    let fault = |error: &dyn std::fmt::Display| {
        Fault::run(format!("drawing {}: {error}", path.display()), "choose another file for --plot")
    };
    let mut text = String::new();
    let drawn = {
        let root = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        match (cells, figures) {
            ([cell], [figures]) => draw_course(&root, cell, figures),
            _ => draw_comparison(&root, cells, figures),
        }
    };
    drawn.map_err(|error| fault(&error))?;
    std::fs::write(path, text).map_err(|error| {
        let doing = format!("writing {}", path.display());
        Fault::io(doing, &error, "choose another file for --plot")
    })
}

/// What was drawn, or why not.
type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

fn draw_course<'a>(root: &Area<'a>, cell: &Cell, figures: &Figures) -> Drawn<'a> {
    root.fill(&WHITE)?;
    let titled = root.titled(&constants(std::slice::from_ref(cell)), (FONT, 18))?;
    let panels = titled.split_evenly((3, 1));
    let end = figures.lasted.as_micros() as f64 / 1e6;
    let kibi = |octets: f64| octets / 1024.0;
    let course = |title, y_title, legend| Panel {
        title,
        x_title: "seconds",
        x_end: end,
        x_names: None,
        y_title,
        y_least_end: 0.0,
        legend,
    };
    let rates = flow_lines(cell, figures, |before, now, seconds| {
        (now.octets - before.octets) as f64 * 8.0 / 1e6 / seconds
    });
    draw_panel(&panels[0], &course("goodput", "Mbit/s", true), &rates)?;
    let windows = flow_lines(cell, figures, |_, now, _| kibi(f64::from(now.window_octets)));
    draw_panel(&panels[1], &course("congestion window", "KiB", false), &windows)?;
    let queue = |moment: &Moment| (seconds(moment), kibi(moment.queue_octets as f64));
    let points = figures.moments.iter().map(queue).collect();
    let queue = [Line { name: String::new(), colour: 6, points }];
    draw_panel(&panels[2], &course("waiting at the bottleneck", "KiB", false), &queue)?;
    root.present()
}

fn seconds(moment: &Moment) -> f64 {
    moment.at.as_micros() as f64 / 1e6
}

/// A line for each flow. Flows of one kind have a colour each, flows of several one for each kind.
fn flow_lines(
    cell: &Cell,
    figures: &Figures,
    value: impl Fn(&FlowMoment, &FlowMoment, f64) -> f64,
) -> Vec<Line> {
    let flows = &cell.trial.flows;
    let kinds: Vec<_> = flows.chunk_by(|a, b| a == b).map(|group| group[0]).collect();
    let line = |index: usize| {
        let flow = &flows[index];
        let kind = kinds.iter().position(|kind| kind == flow).unwrap_or(0);
        let name = usertcp_sim::table::grid::controllers(std::slice::from_ref(flow));
        let first = flows.iter().position(|other| other == flow) == Some(index);
        let points = figures.moments.windows(2).map(|pair| {
            let span = seconds(&pair[1]) - seconds(&pair[0]);
            let (before, now) = (&pair[0].flows[index], &pair[1].flows[index]);
            (seconds(&pair[1]), value(before, now, span.max(1e-6)))
        });
        Line {
            name: if first { name } else { String::new() },
            colour: if kinds.len() > 1 { kind } else { index },
            points: points.collect(),
        }
    };
    (0..flows.len()).map(line).collect()
}

fn draw_comparison<'a>(root: &Area<'a>, cells: &[Cell], figures: &[Figures]) -> Drawn<'a> {
    root.fill(&WHITE)?;
    let (axis, lines) = series(cells);
    let names = values_of(cells, axis);
    let title = constants(cells);
    let titled = root.titled(&title, (FONT, 18))?;
    let panels = titled.split_evenly((2, 1));
    let line_of = |value: &dyn Fn(&Cell, &Figures) -> f64| -> Vec<Line> {
        let line = |(colour, key): (usize, &Vec<String>)| {
            let own = cells.iter().zip(figures).filter(|(cell, _)| rest(cell, axis) == *key);
            let points = own.map(|(cell, figures)| {
                let word = &cell.words()[axis];
                let at = names.iter().position(|name| name == word).unwrap_or(0);
                (at as f64, value(cell, figures))
            });
            Line { name: varying(cells, axis, key), colour, points: points.collect() }
        };
        lines.iter().enumerate().map(line).collect()
    };
    let goodput = line_of(&|cell, figures| {
        let rate = cell.trial.rate.octets_per_second() as f64;
        figures.goodput().octets_per_second() as f64 * 100.0 / rate
    });
    let resent =
        line_of(&|_, figures| figures.resent() as f64 * 100.0 / figures.sent.max(1) as f64);
    let panel = |title, y_title, y_least_end, legend| Panel {
        title,
        x_title: Cell::AXES[axis],
        x_end: (names.len().max(2) - 1) as f64,
        x_names: Some(&names),
        y_title,
        y_least_end,
        legend,
    };
    draw_panel(&panels[0], &panel("goodput", "% of the link", 100.0, lines.len() > 1), &goodput)?;
    draw_panel(&panels[1], &panel("sent again", "% of segments", 1.0, false), &resent)?;
    root.present()
}

/// The axis of most values, and every combination of what the other axes have: one line each.
fn series(cells: &[Cell]) -> (usize, Vec<Vec<String>>) {
    let mut axis = 0;
    for other in 0..Cell::AXES.len() {
        if values_of(cells, other).len() > values_of(cells, axis).len() {
            axis = other;
        }
    }
    let mut lines: Vec<Vec<String>> = Vec::new();
    for cell in cells {
        let key = rest(cell, axis);
        if !lines.contains(&key) {
            lines.push(key);
        }
    }
    (axis, lines)
}

/// What a cell has of every axis but one.
fn rest(cell: &Cell, axis: usize) -> Vec<String> {
    let mut words = cell.words();
    words[axis].clear();
    words
}

/// The values of an axis, in order of appearance.
fn values_of(cells: &[Cell], axis: usize) -> Vec<String> {
    let mut values: Vec<String> = Vec::new();
    for cell in cells {
        let word = cell.words().swap_remove(axis);
        if !values.contains(&word) {
            values.push(word);
        }
    }
    values
}

/// What all trials have in common, for the title.
fn constants(cells: &[Cell]) -> String {
    let common = |axis: usize| {
        let values = values_of(cells, axis);
        let text = || match Cell::AXES[axis] {
            "flows" => values[0].clone(),
            name => format!("{name} {}", values[0]),
        };
        (values.len() == 1).then(text)
    };
    (0..Cell::AXES.len()).filter_map(common).collect::<Vec<_>>().join(", ")
}

/// What a line has that others have not.
fn varying(cells: &[Cell], axis: usize, key: &[String]) -> String {
    let differs = |other: &usize| *other != axis && values_of(cells, *other).len() > 1;
    let words = (0..Cell::AXES.len()).filter(differs).map(|other| match Cell::AXES[other] {
        "flows" | "rate" => key[other].clone(),
        name => format!("{name} {}", key[other]),
    });
    words.collect::<Vec<_>>().join(", ")
}

fn draw_panel<'a>(area: &Area<'a>, panel: &Panel<'_>, lines: &[Line]) -> Drawn<'a> {
    let highest = lines.iter().flat_map(|line| &line.points).map(|point| point.1);
    let top = highest.fold(panel.y_least_end, f64::max).max(1e-3) * 1.05;
    let room = panel.x_end * 0.02;
    let mut chart = ChartBuilder::on(area)
        .caption(panel.title, (FONT, 15))
        .margin(8)
        .margin_right(190)
        .x_label_area_size(36)
        .y_label_area_size(64)
        .build_cartesian_2d(-room..panel.x_end + room, 0.0..top)?;
    let names = panel.x_names;
    let x_name = |x: &f64| match names {
        None => format!("{x}"),
        Some(names) => {
            let near = (x - x.round()).abs() < 0.01 && *x > -0.5;
            let name = near.then(|| names.get(x.round() as usize)).flatten();
            name.cloned().unwrap_or_default()
        }
    };
    chart
        .configure_mesh()
        .x_desc(panel.x_title)
        .y_desc(panel.y_title)
        .x_labels(names.map_or(11, |names| names.len() * 2))
        .x_label_formatter(&x_name)
        .y_labels(6)
        .label_style((FONT, 12))
        .axis_desc_style((FONT, 12))
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(225, 225, 225))
        .draw()?;
    for line in lines {
        let colour = COLOURS[line.colour % COLOURS.len()];
        // The second round of colours is thinner.
        let width = if line.colour < COLOURS.len() { 2 } else { 1 };
        let style = colour.stroke_width(width);
        chart.draw_series(LineSeries::new(line.points.iter().copied(), style))?;
        if names.is_some() {
            let dots = line.points.iter().map(|point| Circle::new(*point, 3, colour.filled()));
            chart.draw_series(dots)?;
        }
    }
    if panel.legend { draw_legend(area, lines) } else { Ok(()) }
}

/// The names, to the right of the axes, where they hide nothing.
fn draw_legend<'a>(area: &Area<'a>, lines: &[Line]) -> Drawn<'a> {
    let (width, _) = area.dim_in_pixel();
    let left = width as i32 - 184;
    let named = lines.iter().filter(|line| !line.name.is_empty());
    for (row, line) in named.enumerate() {
        let y = 34 + row as i32 * 17;
        let colour = COLOURS[line.colour % COLOURS.len()];
        let stroke = colour.stroke_width(if line.colour < COLOURS.len() { 2 } else { 1 });
        area.draw(&PathElement::new(vec![(left, y), (left + 18, y)], stroke))?;
        area.draw(&Text::new(line.name.clone(), (left + 24, y - 6), (FONT, 12)))?;
    }
    Ok(())
}
