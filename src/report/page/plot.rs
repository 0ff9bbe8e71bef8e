//! Plots as SVG: bars, histograms with a law, profiles. Each is one element that refers to nothing else; a title on
//! each mark gives its numbers.

#![expect(clippy::cast_precision_loss, reason = "what is drawn has a few digits")]

use std::fmt::Write as _;

use crate::report::page::text::{escape, grouped_f64};

/// Width of a plot, in its own coordinates.
const WIDTH: f64 = 640.0;
/// Height of a plot with axes.
const HEIGHT: f64 = 260.0;
/// Room for the numbers of the vertical axis.
const LEFT: f64 = 64.0;
/// Room for the numbers and the name of the horizontal axis.
const BOTTOM: f64 = 44.0;
/// Room at the top.
const MARGIN: f64 = 12.0;
/// Room at the right: half of the last number.
const RIGHT: f64 = 22.0;
/// Height of a horizontal bar, and the gap after a group of bars.
const BAR: f64 = 14.0;
const GAP: f64 = 12.0;
/// Room for the names of horizontal bars.
const NAMES: f64 = 190.0;
/// Most bars of a histogram: with more counts, neighbours share a bar.
const MOST_BARS: usize = 60;
/// Letters of a name that are drawn at most; the title has the whole name.
const MOST_LETTERS: usize = 26;

/// A plot's name and the names of its axes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Labels<'a> {
    /// A description of the plot, for screen readers.
    pub(crate) title: &'a str,
    /// The horizontal axis.
    pub(crate) across: &'a str,
    /// The vertical axis.
    pub(crate) up: &'a str,
}

/// Horizontal bars in groups: a group's name, and the text of each of its bars.
#[must_use]
pub(crate) fn groups(
    title: &str,
    series: &[&str],
    groups: &[(String, Vec<f64>)],
    shown: impl Fn(f64) -> String,
) -> String {
    let of_group = series_height(series.len());
    let height = groups.len() as f64 * of_group + 2.0 * MARGIN + if series.len() > 1 { 20.0 } else { 0.0 };
    let most = groups.iter().flat_map(|(_, values)| values).copied().fold(0.0, f64::max);
    let scale = if most > 0.0 { (WIDTH - NAMES - 90.0) / most } else { 0.0 };
    let mut marks = String::new();
    let mut y = MARGIN;
    if series.len() > 1 {
        legend(&mut marks, NAMES, y, series);
        y += 20.0;
    }
    for (name, values) in groups {
        let middle = y + (of_group - GAP) / 2.0 + 4.0;
        let _ = writeln!(
            marks,
            r#"<text x="{:.1}" y="{middle:.1}" text-anchor="end"><title>{}</title>{}</text>"#,
            NAMES - 8.0,
            escape(name),
            escape(&shortened(name))
        );
        for (index, value) in values.iter().enumerate() {
            let top = y + BAR * index as f64;
            let width = value * scale;
            let text = escape(&shown(*value));
            let _ = writeln!(
                marks,
                r#"<rect class="s{index}" x="{NAMES:.1}" y="{top:.1}" width="{width:.1}" height="{:.1}"><title>{}: {text}</title></rect><text x="{:.1}" y="{:.1}">{text}</text>"#,
                BAR - 2.0,
                escape(name),
                NAMES + width + 6.0,
                top + BAR - 4.0,
            );
        }
        y += of_group;
    }
    svg(title, height, &marks)
}

fn series_height(bars: usize) -> f64 {
    BAR * bars as f64 + GAP
}

/// Counts of the numbers from `first` on, and the expected counts if they are known.
#[must_use]
pub(crate) fn histogram(labels: Labels<'_>, first: u32, counts: &[u64], expected: Option<&[f64]>) -> String {
    let longest = counts.len().max(expected.map_or(0, significant));
    let of_bar = longest.div_ceil(MOST_BARS).max(1);
    let bars = longest.div_ceil(of_bar).max(1);
    let sums = |of: &dyn Fn(usize) -> f64| -> Vec<f64> {
        (0..bars).map(|bar| (bar * of_bar..(bar + 1) * of_bar).map(of).sum()).collect()
    };
    #[expect(clippy::cast_precision_loss, reason = "drawn")]
    let counted = sums(&|place| counts.get(place).map_or(0.0, |count| *count as f64));
    let law = expected.map(|expected| sums(&|place| expected.get(place).copied().unwrap_or_default()));
    let most = counted.iter().chain(law.iter().flatten()).copied().fold(0.0, f64::max);
    let axes = Axes::new(most);
    let wide = (WIDTH - LEFT - RIGHT) / bars as f64;
    let from = |bar: usize| u64::from(first) + (bar * of_bar) as u64;
    let range = |bar: usize| match of_bar {
        1 => from(bar).to_string(),
        _ => format!("{} to {}", from(bar), from(bar + 1) - 1),
    };
    let mut marks = axes.draw(labels);
    for (bar, count) in counted.iter().enumerate() {
        let (x, y) = (LEFT + wide * bar as f64, axes.y(*count));
        let by_law = law.as_ref().map_or(String::new(), |law| format!(", expected {}", grouped_f64(law[bar])));
        let _ = writeln!(
            marks,
            r#"<rect class="s0" x="{:.2}" y="{y:.2}" width="{:.2}" height="{:.2}"><title>{}: {}{by_law}</title></rect>"#,
            x + 0.05 * wide,
            0.9 * wide,
            HEIGHT - BOTTOM - y,
            range(bar),
            grouped_f64(*count),
        );
    }
    for bar in (0..bars).step_by(bars.div_ceil(10)) {
        axes.number(&mut marks, LEFT + wide * (bar as f64 + 0.5), &from(bar).to_string());
    }
    if let Some(law) = &law {
        let points = law.iter().enumerate().map(|(bar, spans)| (LEFT + wide * (bar as f64 + 0.5), axes.y(*spans)));
        polyline(&mut marks, "law", points);
        for (bar, spans) in law.iter().enumerate() {
            let (x, y) = (LEFT + wide * (bar as f64 + 0.5), axes.y(*spans));
            let _ = writeln!(marks, r#"<circle class="law" cx="{x:.2}" cy="{y:.2}" r="2"/>"#);
        }
    }
    svg(labels.title, HEIGHT, &marks)
}

/// The number of lengths up to the last one with an expected count of at least half a span.
fn significant(expected: &[f64]) -> usize {
    expected.iter().rposition(|spans| *spans >= 0.5).map_or(0, |last| last + 1)
}

/// Shares by position, from the first to the last part, and the mean of all.
#[must_use]
pub(crate) fn profile(labels: Labels<'_>, shares: &[Option<f64>], mean: Option<f64>) -> String {
    let most = shares.iter().flatten().copied().chain(mean).fold(0.0, f64::max);
    let axes = Axes::new(most);
    let wide = (WIDTH - LEFT - RIGHT) / shares.len().max(1) as f64;
    let mut marks = axes.draw(labels);
    let x = |part: usize| LEFT + wide * (part as f64 + 0.5);
    if let Some(mean) = mean {
        let y = axes.y(mean);
        let _ = writeln!(
            marks,
            r#"<line class="mean" x1="{LEFT}" y1="{y:.2}" x2="{:.2}" y2="{y:.2}"><title>all places: {mean:.4}</title></line>"#,
            WIDTH - RIGHT
        );
    }
    let points: Vec<(usize, f64)> =
        shares.iter().enumerate().filter_map(|(part, share)| Some((part, (*share)?))).collect();
    polyline(&mut marks, "line0", points.iter().map(|(part, share)| (x(*part), axes.y(*share))));
    for (part, share) in points {
        let _ = writeln!(
            marks,
            r#"<circle class="s0" cx="{:.2}" cy="{:.2}" r="2.5"><title>part {} of {}: {share:.4}</title></circle>"#,
            x(part),
            axes.y(share),
            part + 1,
            shares.len()
        );
    }
    for quarter in 0..=4_u32 {
        let x = LEFT + (WIDTH - LEFT - RIGHT) * f64::from(quarter) / 4.0;
        axes.number(&mut marks, x, &format!("{} %", 25 * quarter));
    }
    svg(labels.title, HEIGHT, &marks)
}

/// The vertical axis: from 0 to a round number.
struct Axes {
    step: f64,
    top: f64,
}

impl Axes {
    fn new(most: f64) -> Self {
        let most = if most > 0.0 { most } else { 1.0 };
        let power = 10_f64.powf((most / 4.0).log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * power).find(|step| step * 4.0 >= most);
        let step = step.unwrap_or(10.0 * power);
        Self { step, top: step * (most / step - 1e-9).ceil() }
    }

    fn y(&self, value: f64) -> f64 {
        MARGIN + (HEIGHT - BOTTOM - MARGIN) * (1.0 - value / self.top)
    }

    fn draw(&self, labels: Labels<'_>) -> String {
        let mut marks = String::new();
        let mut value = 0.0;
        while value <= self.top * (1.0 + 1e-9) {
            let y = self.y(value);
            let digits = if self.step < 1.0 { (-self.step.log10().floor()).clamp(0.0, 6.0) } else { 0.0 };
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 6")]
            let shown = if digits > 0.0 { format!("{value:.0$}", digits as usize) } else { grouped_f64(value) };
            let _ = writeln!(
                marks,
                r#"<line class="grid" x1="{LEFT}" y1="{y:.2}" x2="{:.2}" y2="{y:.2}"/><text x="{:.2}" y="{:.2}" text-anchor="end">{shown}</text>"#,
                WIDTH - RIGHT,
                LEFT - 6.0,
                y + 4.0
            );
            value += self.step;
        }
        let middle = f64::midpoint(HEIGHT - BOTTOM, MARGIN);
        let _ = writeln!(
            marks,
            r#"<text class="axis" x="{:.2}" y="{:.2}" text-anchor="middle">{}</text><text class="axis" transform="rotate(-90 12 {middle:.2})" x="12" y="{middle:.2}" text-anchor="middle">{}</text>"#,
            f64::midpoint(LEFT, WIDTH - RIGHT),
            HEIGHT - 6.0,
            escape(labels.across),
            escape(labels.up)
        );
        marks
    }

    #[expect(clippy::unused_self, reason = "it belongs to the axes")]
    fn number(&self, marks: &mut String, x: f64, text: &str) {
        let _ =
            writeln!(marks, r#"<text x="{x:.2}" y="{:.2}" text-anchor="middle">{text}</text>"#, HEIGHT - BOTTOM + 16.0);
    }
}

fn polyline(marks: &mut String, class: &str, points: impl Iterator<Item = (f64, f64)>) {
    let points: Vec<String> = points.map(|(x, y)| format!("{x:.2},{y:.2}")).collect();
    let _ = writeln!(marks, r#"<polyline class="{class}" points="{}"/>"#, points.join(" "));
}

fn legend(marks: &mut String, mut x: f64, y: f64, series: &[&str]) {
    for (index, name) in series.iter().enumerate() {
        let _ = writeln!(
            marks,
            r#"<rect class="s{index}" x="{x:.1}" y="{y:.1}" width="11" height="11"/><text x="{:.1}" y="{:.1}">{}</text>"#,
            x + 16.0,
            y + 10.0,
            escape(name)
        );
        x += 40.0 + 7.0 * name.len() as f64;
    }
}

fn shortened(name: &str) -> String {
    let letters = name.chars().count();
    if letters <= MOST_LETTERS {
        return name.to_owned();
    }
    // Names of sources differ at their ends.
    format!("…{}", name.chars().skip(letters - MOST_LETTERS + 1).collect::<String>())
}

fn svg(title: &str, height: f64, marks: &str) -> String {
    let title = escape(title);
    format!(
        "<svg viewBox=\"0 0 {WIDTH:.0} {height:.0}\" role=\"img\" aria-label=\"{title}\"><title>{title}</title>\n{marks}</svg>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_a_round_number_with_four_or_five_steps_at_most() {
        for (most, step, top) in
            [(1.0, 0.5, 1.0), (7.0, 2.0, 8.0), (0.15, 0.05, 0.15), (4001.0, 2000.0, 6000.0), (0.0, 0.5, 1.0)]
        {
            let axes = Axes::new(most);
            assert!(
                (axes.step - step).abs() < 1e-9 && (axes.top - top).abs() < 1e-9,
                "{most}: {} {}",
                axes.step,
                axes.top
            );
        }
    }

    #[test]
    fn a_histogram_of_many_numbers_has_few_bars_and_loses_none() {
        let labels = Labels { title: "t", across: "a", up: "u" };
        let svg = histogram(labels, 1, &vec![1; 1000], Some(&vec![1.0; 1000]));
        assert_eq!(svg.matches("<rect").count(), 59);
        assert!(svg.contains("<title>1 to 17: 17, expected 17</title>"), "{svg}");
        assert!(svg.contains("<title>987 to 1003: 14, expected 14</title>"), "{svg}");
        assert_eq!(histogram(labels, 0, &[], None).matches("<rect").count(), 1);
    }
}
