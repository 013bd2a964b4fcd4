//! The plots of the report, as SVG.

use plotters::prelude::*;

use crate::Outcome;
use crate::report::{Curve, Report, Section, number};

const WIDTH: u32 = 860;

/// The height of the curves, and of what stands around them.
const HEIGHT: (u32, u32) = (380, 100);

/// The height of a line of the legend, which stands below the curves.
const LINE: u32 = 16;

/// A plot, and the file it goes to.
pub(crate) struct Plot {
    pub(crate) file: &'static str,
    pub(crate) title: &'static str,
    curves: Vec<Curve>,
    x: Axis,
    y: Axis,
}

/// An axis: what it shows, where a value stands on it, and which value stands there.
#[derive(Clone, Copy)]
struct Axis {
    name: &'static str,
    place: fn(f64) -> f64,
    value: fn(f64) -> f64,
}

impl Axis {
    /// From decade to decade.
    const fn logarithmic(name: &'static str) -> Self {
        Self {
            name,
            place: f64::log10,
            value: |place| 10_f64.powf(place),
        }
    }

    /// Shares of a hundred, with as much room from 90 to 99 as from 0 to 90.
    const fn tail(name: &'static str) -> Self {
        Self {
            name,
            place: |share| -(1.0 - share / 100.0).log10(),
            value: |place| 100.0 * (1.0 - 10_f64.powf(-place)),
        }
    }
}

/// The plots of those topics that were measured.
pub(crate) fn all(report: &Report) -> Vec<Plot> {
    let curves = |title| {
        let section = report
            .sections
            .iter()
            .find(|section| section.title == title);
        section
            .map(|section| section.curves.clone())
            .unwrap_or_default()
    };
    let per_second = Axis::logarithmic("answers per second");
    let mut plots = vec![
        Plot {
            file: "throughput.svg",
            title: "Throughput over connections",
            curves: report.sections.iter().flat_map(over_connections).collect(),
            x: Axis::logarithmic("connections"),
            y: per_second,
        },
        Plot {
            file: "flood.svg",
            title: "Latency under a flood of logins",
            curves: curves("Isolation"),
            x: Axis::tail("per cent of the answers came within"),
            y: Axis::logarithmic("milliseconds"),
        },
        Plot {
            file: "growth.svg",
            title: "Throughput over sessions",
            curves: curves("Growth"),
            x: Axis::logarithmic("sessions in the table"),
            y: per_second,
        },
    ];
    plots.retain(|plot| !plot.curves.is_empty());
    plots
}

/// What was measured with several numbers of connections.
fn over_connections(section: &Section) -> Vec<Curve> {
    let mut curves: Vec<Curve> = Vec::new();
    for row in &section.rows {
        let Some(connections) = row.connections else {
            continue;
        };
        let name = format!("{}: {}", section.title, row.name);
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let point = (connections as f64, row.rate().median);
        match curves.iter_mut().find(|curve| curve.name == name) {
            Some(curve) => curve.points.push(point),
            None => curves.push(Curve {
                name,
                points: vec![point],
            }),
        }
    }
    curves.retain(|curve| curve.points.len() > 1);
    curves
}

impl Plot {
    pub(crate) fn svg(&self) -> Outcome<String> {
        let mut svg = String::new();
        self.draw(&mut svg).map_err(|error| error.to_string())?;
        Ok(svg)
    }

    fn draw(&self, svg: &mut String) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
        let points = || self.curves.iter().flat_map(|curve| &curve.points);
        let x = range(points().map(|point| (self.x.place)(point.0)));
        let y = range(points().map(|point| (self.y.place)(point.1)));
        let (curves, around) = HEIGHT;
        let legend = self.curves.iter().fold(LINE, |height, _| height + LINE);
        let y = y.start - (y.end - y.start) * f64::from(legend) / f64::from(curves)..y.end;
        let size = (WIDTH, curves + legend + around);
        let area = SVGBackend::with_string(svg, size).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(self.title, ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(72)
            .build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .x_desc(self.x.name)
            .y_desc(self.y.name)
            .x_label_formatter(&|place| number((self.x.value)(*place)))
            .y_label_formatter(&|place| number((self.y.value)(*place)))
            .light_line_style(WHITE)
            .draw()?;
        for (index, curve) in self.curves.iter().enumerate() {
            let color = Palette99::pick(index).to_rgba();
            let points = curve.points.iter();
            let places = points.map(|point| ((self.x.place)(point.0), (self.y.place)(point.1)));
            chart
                .draw_series(LineSeries::new(places, color.stroke_width(2)).point_size(3))?
                .label(&curve.name)
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2))
                });
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.3))
            .label_font(("sans-serif", 12))
            .draw()?;
        area.present()
    }
}

/// From the least to the most, with a little room.
fn range(places: impl Iterator<Item = f64>) -> std::ops::Range<f64> {
    let (least, most) = places
        .filter(|place| place.is_finite())
        .fold((f64::MAX, f64::MIN), |(least, most), place| {
            (least.min(place), most.max(place))
        });
    let room = ((most - least) * 0.05).max(0.05);
    least - room..most + room
}
