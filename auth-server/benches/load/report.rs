//! What was measured, as a table, as a file, and as the goals that were reached or missed.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Outcome;
use crate::contest::{Row, Spread};

/// What one run has measured.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    /// The machine and the programs, a line each.
    pub(crate) machine: Vec<String>,
    pub(crate) sections: Vec<Section>,
}

/// What was measured side by side, and what follows.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Section {
    pub(crate) title: String,
    pub(crate) rows: Vec<Row>,
    pub(crate) figures: Vec<Figure>,
    /// What the rows do not say.
    pub(crate) notes: Vec<String>,
    pub(crate) curves: Vec<Curve>,
}

/// A figure that has a goal, or that is told without one.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// Its number among the goals, such as `P8`.
    pub(crate) number: String,
    pub(crate) what: String,
    pub(crate) value: Spread,
    pub(crate) unit: String,
    pub(crate) goal: Option<Goal>,
}

/// What a figure is to be.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

/// A line of a plot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Curve {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

impl Figure {
    /// How many times as much one contender did as another, from the rounds of both.
    pub(crate) fn ratio(number: &str, what: &str, row: &Row, beside: &Row, goal: Goal) -> Self {
        let rounds = row.rates.iter().zip(&beside.rates);
        let ratios: Vec<f64> = rounds.map(|(rate, beside)| rate / beside).collect();
        Self {
            number: number.to_owned(),
            what: what.to_owned(),
            value: Spread::of(&ratios),
            unit: String::new(),
            goal: Some(goal),
        }
    }

    /// Something that was measured so many times.
    pub(crate) fn measured(
        number: &str,
        what: &str,
        values: &[f64],
        unit: &str,
        goal: Option<Goal>,
    ) -> Self {
        Self {
            number: number.to_owned(),
            what: what.to_owned(),
            value: Spread::of(values),
            unit: unit.to_owned(),
            goal,
        }
    }

    fn verdict(&self) -> String {
        let median = self.value.median;
        if !median.is_finite() {
            return "not measured".to_owned();
        }
        let (goal, missed_by) = match self.goal {
            None => return String::new(),
            Some(Goal::AtLeast(goal)) => (format!("≥ {}", number(goal)), 1.0 - median / goal),
            Some(Goal::AtMost(goal)) => (format!("≤ {}", number(goal)), median / goal - 1.0),
        };
        if missed_by <= 0.0 {
            return format!("{goal}: reached");
        }
        format!("{goal}: missed by {:.0} %", (missed_by * 100.0).ceil())
    }
}

impl Report {
    /// Where a run leaves its results.
    pub(crate) fn folder() -> PathBuf {
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("load")
    }

    pub(crate) fn save(&self) -> Outcome<()> {
        let folder = Self::folder();
        fs::create_dir_all(&folder)?;
        fs::write(
            folder.join("results.json"),
            serde_json::to_vec_pretty(self)?,
        )?;
        fs::write(folder.join("results.md"), self.to_markdown())?;
        Ok(())
    }

    pub(crate) fn load() -> Outcome<Self> {
        let file = Self::folder().join("results.json");
        let saved = fs::read(&file)
            .map_err(|error| format!("no run has left {}: {error}", file.display()))?;
        Ok(serde_json::from_slice(&saved)?)
    }

    /// The whole report: the goals first.
    pub(crate) fn to_markdown(&self) -> String {
        let mut text = String::new();
        for line in &self.machine {
            let _ = writeln!(text, "- {line}");
        }
        let figures = self.sections.iter().flat_map(|section| &section.figures);
        let mut figures: Vec<_> = figures.collect();
        figures.sort_by_key(|figure| digits(&figure.number));
        if !figures.is_empty() {
            let rows = figures.into_iter().map(figure_cells);
            let head = ["", "figure", "median", "rounds", "goal"];
            let _ = write!(text, "\n### Figures\n\n{}", table(head, rows));
        }
        for section in &self.sections {
            let _ = write!(text, "\n{}", section.to_markdown());
        }
        text
    }
}

impl Section {
    pub(crate) fn to_markdown(&self) -> String {
        let mut text = format!("### {}\n", self.title);
        if !self.rows.is_empty() {
            let head = [
                "what",
                "connections",
                "per second",
                "rounds",
                "p50 ms",
                "p99 ms",
                "p99.9 ms",
                "server's CPU µs",
            ];
            let _ = write!(text, "\n{}", table(head, self.rows.iter().map(row_cells)));
        }
        for note in &self.notes {
            let _ = write!(text, "\n{note}\n");
        }
        text
    }
}

fn figure_cells(figure: &Figure) -> [String; 5] {
    let unit = match figure.unit.as_str() {
        "" => String::new(),
        unit => format!(" {unit}"),
    };
    [
        figure.number.clone(),
        figure.what.clone(),
        format!("{}{unit}", number(figure.value.median)),
        span(figure.value),
        figure.verdict(),
    ]
}

fn row_cells(row: &Row) -> [String; 8] {
    let connections = row.connections.map(|count| count.to_string());
    let [p50, p99, p999] = match row.millis {
        Some(millis) => millis.map(number),
        None => Default::default(),
    };
    [
        row.name.clone(),
        connections.unwrap_or_default(),
        number(row.rate().median),
        span(row.rate()),
        p50,
        p99,
        p999,
        row.cost.map(number).unwrap_or_default(),
    ]
}

fn span(spread: Spread) -> String {
    format!("{} – {}", number(spread.least), number(spread.most))
}

/// A number to three digits at least, with thousands apart.
pub(crate) fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let decimals = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) && digit.is_ascii_digit() {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

fn digits(number: &str) -> u32 {
    number.trim_start_matches('P').parse().unwrap_or(u32::MAX)
}

/// A table of Markdown, with columns that line up in a terminal, too.
fn table<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let head = head.map(str::to_owned);
    let rows: Vec<[String; N]> = std::iter::once(head).chain(rows).collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for (place, row) in rows.iter().enumerate() {
        for (width, cell) in widths.iter().zip(row) {
            let _ = write!(text, "| {cell:<width$} ");
        }
        text.push_str("|\n");
        if place == 0 {
            for width in widths {
                let _ = write!(text, "|{}", "-".repeat(width + 2));
            }
            text.push_str("|\n");
        }
    }
    text
}
