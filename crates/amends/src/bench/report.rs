//! What is printed: figures, and the method they were come by.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::latency::Latencies;

/// What one run came to. A figure that could not be had is left out.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Which mode.
    pub mode: String,
    /// The machine: cores and memory.
    pub machine: String,
    /// How it was measured, in words.
    pub method: String,
    /// What was asked for and what came of it, in the order in which it is shown.
    pub figures: Vec<Figure>,
}

/// One line of a report.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Its name, with its unit where it has one.
    pub name: &'static str,
    /// Its value.
    pub value: f64,
}

impl Report {
    /// A report without figures.
    pub fn new(mode: &str, method: &str) -> Self {
        let machine = super::machine::machine();
        Self { mode: mode.to_owned(), machine, method: method.to_owned(), figures: Vec::new() }
    }

    /// Adds a figure.
    pub fn figure(&mut self, name: &'static str, value: f64) {
        self.figures.push(Figure { name, value });
    }

    /// A figure that was added.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.figures.iter().find(|figure| figure.name == name).map(|figure| figure.value)
    }

    /// Adds a figure that may be unknown.
    pub fn known(&mut self, name: &'static str, value: Option<f64>) {
        if let Some(value) = value {
            self.figure(name, value);
        }
    }

    /// Adds the quantiles of what was waited for.
    pub fn latencies(&mut self, latencies: &Latencies) {
        let millis = |share| latencies.quantile(share).map(|took| took.as_secs_f64() * 1_000.0);
        self.known("p50_ms", millis(0.5));
        self.known("p99_ms", millis(0.99));
        self.known("p999_ms", millis(0.999));
    }

    /// Adds a time.
    pub fn seconds(&mut self, name: &'static str, took: Duration) {
        self.figure(name, took.as_secs_f64());
    }

    /// The same for programs.
    pub fn to_json(&self) -> String {
        let figures: serde_json::Map<_, _> = self
            .figures
            .iter()
            .map(|figure| (figure.name.to_owned(), serde_json::json!(rounded(figure.value))))
            .collect();
        let report = serde_json::json!({
            "mode": self.mode,
            "machine": self.machine,
            "method": self.method,
            "figures": figures,
        });
        format!("{report:#}")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({})", self.mode, self.machine)?;
        let width = self.figures.iter().map(|figure| figure.name.len()).max().unwrap_or_default();
        for Figure { name, value } in &self.figures {
            writeln!(f, "  {name:width$}  {:>12}", shown(*value))?;
        }
        write!(f, "{}", self.method)
    }
}

/// Three digits that mean something, and no more than a clock can tell.
fn rounded(value: f64) -> f64 {
    if value.abs() >= 100.0 { value.round() } else { (value * 1_000.0).round() / 1_000.0 }
}

fn shown(value: f64) -> String {
    let value = rounded(value);
    if value.fract() == 0.0 {
        let digits = format!("{value:.0}");
        let places = digits.len();
        let grouped = digits.chars().enumerate().flat_map(|(at, digit)| {
            let gap = at > 0 && (places - at).is_multiple_of(3);
            gap.then_some(' ').into_iter().chain([digit])
        });
        return grouped.collect();
    }
    format!("{value:.2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_shown_in_order_and_readably() {
        let mut report = Report::new("in-process", "As it is.");
        report.figure("sagas_per_second", 41_234.56);
        report.figure("p99_ms", 12.346);
        report.known("cpu_us_per_saga", None);
        report.machine = "2 cores".to_owned();
        let expected = "in-process (2 cores)\n  \
                        sagas_per_second        41 235\n  \
                        p99_ms                   12.35\n\
                        As it is.";
        assert_eq!(report.to_string(), expected);
        let json: serde_json::Value = serde_json::from_str(&report.to_json()).expect("JSON");
        assert_eq!(json["figures"]["p99_ms"], 12.346);
    }
}
