//! Contenders that are measured side by side: in each round all of them, one after the other, so
//! that a machine that changes its pace changes it for all.

use serde::{Deserialize, Deserializer, Serialize};

use crate::Outcome;
use crate::sample::{Latencies, Sample};

type Round<'a> = Box<dyn FnMut() -> Outcome<Sample> + 'a>;

/// What is measured side by side.
#[derive(Default)]
pub(crate) struct Contest<'a> {
    contenders: Vec<(String, Option<usize>, Round<'a>)>,
}

impl<'a> Contest<'a> {
    /// Adds a contender, and what it does in a round.
    pub(crate) fn enter(
        &mut self,
        name: &str,
        connections: Option<usize>,
        round: impl FnMut() -> Outcome<Sample> + 'a,
    ) {
        self.contenders
            .push((name.to_owned(), connections, Box::new(round)));
    }

    /// Measures so many rounds.
    pub(crate) fn run(mut self, rounds: usize) -> Outcome<Vec<Row>> {
        let mut samples: Vec<Vec<Sample>> = self.contenders.iter().map(|_| Vec::new()).collect();
        for _ in 0..rounds {
            for ((name, _, round), samples) in self.contenders.iter_mut().zip(&mut samples) {
                let sample = round().map_err(|error| format!("{name}: {error}"))?;
                samples.push(sample);
            }
        }
        let rows = self.contenders.into_iter().zip(samples);
        Ok(rows
            .map(|((name, connections, _), samples)| Row::new(name, connections, &samples))
            .collect())
    }
}

/// What the rounds of a contender gave.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) connections: Option<usize>,
    /// How many were done in a second, round by round.
    pub(crate) rates: Vec<f64>,
    /// Half, 99 in 100 and 999 in 1,000 of the answers came within these milliseconds.
    pub(crate) millis: Option<[f64; 3]>,
    /// Processor time of the server for each, in microseconds.
    pub(crate) cost: Option<f64>,
}

impl Row {
    pub(crate) fn new(name: String, connections: Option<usize>, samples: &[Sample]) -> Self {
        let mut latencies = Latencies::default();
        for sample in samples {
            latencies.add(&sample.latencies);
        }
        let costs: Option<Vec<f64>> = samples.iter().map(|sample| sample.cost).collect();
        Self {
            name,
            connections,
            rates: samples.iter().map(|sample| sample.rate).collect(),
            millis: (latencies.count() > 0)
                .then(|| [50.0, 99.0, 99.9].map(|share| latencies.millis(share))),
            cost: costs.map(|costs| Spread::of(&costs).median),
        }
    }

    pub(crate) fn rate(&self) -> Spread {
        Spread::of(&self.rates)
    }
}

/// The median of the rounds, and how far apart they were.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Spread {
    #[serde(deserialize_with = "or_nothing")]
    pub(crate) median: f64,
    #[serde(deserialize_with = "or_nothing")]
    pub(crate) least: f64,
    #[serde(deserialize_with = "or_nothing")]
    pub(crate) most: f64,
}

/// JSON has no number for the ratio to what did nothing in the time.
fn or_nothing<'de, D: Deserializer<'de>>(reader: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(reader)?.unwrap_or(f64::NAN))
}

impl Spread {
    pub(crate) fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        let last = sorted.len().saturating_sub(1);
        Self {
            median: (at(last / 2) + at(last.div_ceil(2))) / 2.0,
            least: at(0),
            most: at(last),
        }
    }
}

/// Finds the row of a contender.
pub(crate) fn row<'a>(rows: &'a [Row], name: &str, connections: Option<usize>) -> Outcome<&'a Row> {
    rows.iter()
        .find(|row| row.name == name && row.connections == connections)
        .ok_or_else(|| format!("{name} was not measured").into())
}
