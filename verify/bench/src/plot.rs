//! Line plots as SVG. Owns: axes, ticks, where lines and words go.
//! Must not know: what the numbers are.
//!
//! The x axis is logarithmic. Nothing is drawn behind the plot, and words take the reader's colour, so
//! that a page may be light or dark.

use std::fmt::Write;

/// How the y axis counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum YScale {
    /// From nought, evenly.
    Linear,
    /// By factors; values that are not positive are left out.
    Log,
}

/// One line.
pub struct Series {
    /// What the legend says.
    pub name: String,
    /// In the order in which they are joined; x is positive.
    pub points: Vec<(f64, f64)>,
    /// Quoted rather than measured: drawn broken.
    pub quoted: bool,
}

/// A plot.
pub struct Plot {
    /// Above it.
    pub title: String,
    /// What x counts, with its unit.
    pub x_label: String,
    /// What y counts, with its unit.
    pub y_label: String,
    /// How y counts.
    pub y_scale: YScale,
    /// The lines.
    pub series: Vec<Series>,
}

const WIDTH: f64 = 820.0;
const HEIGHT: f64 = 440.0;
/// The frame around the lines: left, right, top, bottom.
const LEFT: f64 = 78.0;
const RIGHT: f64 = 560.0;
const TOP: f64 = 56.0;
const BOTTOM: f64 = 378.0;
/// Told apart by people who see colours differently too, on white and on black (Okabe and Ito).
const COLOURS: [&str; 7] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#7f7f7f"];

const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#333}\
.title{font-size:16px;font-weight:600}\
.grid{stroke:#8886;stroke-width:1}\
.axis{stroke:#888;stroke-width:1.5}\
@media(prefers-color-scheme:dark){text{fill:#ddd}}";

/// One axis: which values it spans, and where they lie on the page.
struct Axis {
    scale: YScale,
    low: f64,
    high: f64,
    at_low: f64,
    at_high: f64,
}

impl Axis {
    fn place(&self, value: f64) -> f64 {
        let share = match self.scale {
            YScale::Linear => (value - self.low) / (self.high - self.low),
            YScale::Log => (value / self.low).ln() / (self.high / self.low).ln(),
        };
        self.at_low + share * (self.at_high - self.at_low)
    }

    /// Values that get a line and a number.
    fn ticks(&self) -> Vec<f64> {
        match self.scale {
            YScale::Linear => linear_ticks(self.low, self.high),
            YScale::Log => log_ticks(self.low, self.high),
        }
    }
}

/// Multiples of 1, 2 or 5 times a power of ten, about six of them.
fn linear_ticks(low: f64, high: f64) -> Vec<f64> {
    let step = nice_step((high - low) / 6.0);
    let first = (low / step).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last).map(|n| n as f64 * step).collect()
}

/// The least of 1, 2, 5 times a power of ten that is not below `least`.
fn nice_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .map(|n| n * power)
        .into_iter()
        .find(|s| *s >= least * 0.999_999)
        .unwrap_or(power)
}

/// Powers of ten; with few of them, their doubles and fivefolds too.
fn log_ticks(low: f64, high: f64) -> Vec<f64> {
    let decades = (high / low).log10();
    let factors: &[f64] = if decades < 2.5 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let all = (first..=last).flat_map(|n| factors.iter().map(move |f| f * 10f64.powi(n)));
    all.filter(|value| (low * 0.999..=high * 1.001).contains(value)).collect()
}

/// "1 k", "20 M", "0.5".
pub fn tick_text(value: f64) -> String {
    let (value, unit) = match value.abs() {
        size if size >= 1e9 => (value / 1e9, " G"),
        size if size >= 1e6 => (value / 1e6, " M"),
        size if size >= 1e3 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let text = format!("{value:.3}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

impl Plot {
    /// The points that can be drawn, of all lines.
    fn drawable(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.series.iter().flat_map(|series| &series.points).copied().filter(|p| self.can_draw(*p))
    }

    fn can_draw(&self, (x, y): (f64, f64)) -> bool {
        let positive = self.y_scale == YScale::Linear || y > 0.0;
        x > 0.0 && x.is_finite() && y.is_finite() && positive
    }

    fn axes(&self) -> (Axis, Axis) {
        let ends = |of: fn((f64, f64)) -> f64| {
            self.drawable().map(of).fold(None, |ends: Option<(f64, f64)>, value| {
                Some(ends.map_or((value, value), |(low, high)| (low.min(value), high.max(value))))
            })
        };
        let (x_low, x_high) = ends(|p| p.0).unwrap_or((1.0, 10.0));
        let (y_low, y_high) = ends(|p| p.1).unwrap_or((1.0, 10.0));
        // One size alone still gets an axis.
        let x_high = if x_high > x_low { x_high } else { x_low * 10.0 };
        let x = Axis { scale: YScale::Log, low: x_low, high: x_high, at_low: LEFT, at_high: RIGHT };
        let (low, high) = match self.y_scale {
            YScale::Linear => {
                let (low, high) = (y_low.min(0.0), if y_high > 0.0 { y_high } else { 1.0 });
                let step = nice_step((high - low) / 6.0);
                ((low / step).floor() * step, (high / step).ceil() * step)
            }
            YScale::Log => (y_low / 1.25, y_high * 1.25),
        };
        (x, Axis { scale: self.y_scale, low, high, at_low: BOTTOM, at_high: TOP })
    }

    /// The plot.
    pub fn svg(&self) -> String {
        let (x, y) = self.axes();
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\">\n<title>{title}</title>\n\
             <style>{STYLE}</style>\n<text class=\"title\" x=\"{LEFT}\" y=\"28\">{title}</text>\n",
            title = escaped(&self.title)
        );
        draw_grid(&mut out, &x, &y);
        let middle = (LEFT + RIGHT) / 2.0;
        let upright = (TOP + BOTTOM) / 2.0;
        put(
            &mut out,
            &format!("x=\"{middle}\" y=\"{}\" text-anchor=\"middle\"", BOTTOM + 44.0),
            &self.x_label,
        );
        put(
            &mut out,
            &format!("transform=\"translate(20 {upright}) rotate(-90)\" text-anchor=\"middle\""),
            &self.y_label,
        );
        for (at, series) in self.series.iter().enumerate() {
            self.draw_series(&mut out, at, series, &x, &y);
        }
        out.push_str("</svg>\n");
        out
    }

    fn draw_series(&self, out: &mut String, at: usize, series: &Series, x: &Axis, y: &Axis) {
        let colour = COLOURS[at % COLOURS.len()];
        let dash = if series.quoted { " stroke-dasharray=\"6 5\"" } else { "" };
        let places: Vec<(f64, f64)> = series
            .points
            .iter()
            .filter(|point| self.can_draw(**point))
            .map(|&(a, b)| (x.place(a), y.place(b)))
            .collect();
        let line: Vec<String> = places.iter().map(|(a, b)| format!("{a:.1},{b:.1}")).collect();
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2.2\"{dash}/>",
            line.join(" ")
        );
        if !series.quoted {
            for (a, b) in &places {
                let _ = writeln!(
                    out,
                    "<circle cx=\"{a:.1}\" cy=\"{b:.1}\" r=\"3.4\" fill=\"{colour}\"/>"
                );
            }
        }
        let line_y = TOP + 10.0 + 38.0 * at as f64;
        let (from, to) = (RIGHT + 22.0, RIGHT + 50.0);
        let _ = writeln!(
            out,
            "<line x1=\"{from}\" y1=\"{line_y}\" x2=\"{to}\" y2=\"{line_y}\" stroke=\"{colour}\" \
             stroke-width=\"3\"{dash}/>"
        );
        put(out, &format!("x=\"{}\" y=\"{}\"", to + 8.0, line_y + 4.0), &series.name);
        // The legend says where each line ends, which is what is asked first.
        let last = series.points.iter().rev().find(|point| self.can_draw(**point));
        if let Some((_, value)) = last {
            let text = format!("last {}", crate::stats::short(*value));
            put(
                out,
                &format!("x=\"{}\" y=\"{}\" opacity=\"0.75\"", to + 8.0, line_y + 20.0),
                &text,
            );
        }
    }
}

fn draw_grid(out: &mut String, x: &Axis, y: &Axis) {
    for tick in y.ticks() {
        let place = y.place(tick);
        rule(out, "grid", (LEFT, place), (RIGHT, place));
        put(
            out,
            &format!("x=\"{}\" y=\"{:.1}\" text-anchor=\"end\"", LEFT - 8.0, place + 4.0),
            &tick_text(tick),
        );
    }
    for tick in x.ticks() {
        let place = x.place(tick);
        rule(out, "grid", (place, TOP), (place, BOTTOM));
        put(
            out,
            &format!("x=\"{place:.1}\" y=\"{}\" text-anchor=\"middle\"", BOTTOM + 20.0),
            &tick_text(tick),
        );
    }
    rule(out, "axis", (LEFT, BOTTOM), (RIGHT, BOTTOM));
    rule(out, "axis", (LEFT, TOP), (LEFT, BOTTOM));
}

fn rule(out: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(
        out,
        "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn put(out: &mut String, attributes: &str, text: &str) {
    let _ = writeln!(out, "<text {attributes}>{}</text>", escaped(text));
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests;
