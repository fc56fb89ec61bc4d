//! A measured split as a plot. All lengths are per cent of the width, which stands for shares from 0 to 1.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One measurement.
#[derive(Debug, Serialize)]
pub(super) struct Plot {
    /// How many requests were sent, and how sure the verdict is.
    caption: String,
    rows: Vec<Row>,
    /// Requests that ended somewhere else.
    elsewhere: u64,
}

/// One backend.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    /// What the figure shows, in words.
    words: String,
    /// Whether the declared share lies within the interval; for a weight of zero, whether there was no hit.
    agrees: bool,
    declared: f64,
    observed: f64,
    /// The interval of the observed share.
    low: f64,
    width: f64,
    /// The declared share plus and minus δ.
    band_low: f64,
    band_width: f64,
}

/// The figures as `simulator::judge::sequential::SplitReport` writes them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    n: u64,
    delta: f64,
    alpha: f64,
    beta: f64,
    #[serde(default)]
    elsewhere: u64,
    categories: Vec<Category>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Category {
    name: Option<String>,
    weight: u64,
    declared: f64,
    count: u64,
    interval: (f64, f64),
    excluded_leak: Option<f64>,
}

impl Plot {
    /// `None` if these are no figures of a split.
    pub(super) fn of(statistics: &Value) -> Option<Self> {
        let figures = Figures::deserialize(statistics).ok()?;
        let caption = format!(
            "{} requests. A share that is off by {} points or more passes with a probability of at most {}; a correct mesh does not \
             pass with a probability of at most {}.",
            figures.n,
            round(figures.delta * 100.0),
            super::super::facts::probability(figures.alpha),
            super::super::facts::probability(figures.beta),
        );
        let rows = figures.categories.iter().enumerate().map(|(i, category)| Row::of(i, category, &figures)).collect();
        Some(Self { caption, rows, elsewhere: figures.elsewhere })
    }
}

impl Row {
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
    fn of(index: usize, category: &Category, figures: &Figures) -> Self {
        let observed = category.count as f64 / (figures.n.max(1)) as f64;
        let (low, high) = category.interval;
        // A weight of zero is no matter of δ: the first hit is one too many.
        let delta = if category.weight == 0 { 0.0 } else { figures.delta };
        let (band_low, band_high) = ((category.declared - delta).max(0.0), (category.declared + delta).min(1.0));
        let agrees = if category.weight == 0 { category.count == 0 } else { (low..=high).contains(&category.declared) };
        let mut words = format!(
            "declared {} % (weight {}), observed {} % ({} requests; between {} % and {} % at 99.9 % confidence)",
            percent(category.declared),
            category.weight,
            percent(observed),
            category.count,
            percent(low),
            percent(high),
        );
        if let Some(leak) = category.excluded_leak {
            words.push_str(&format!("; a leak of {} % or more is excluded", percent(leak)));
        }
        Self {
            name: category.name.clone().unwrap_or_else(|| format!("backend {}", index + 1)),
            words,
            agrees,
            declared: percent(category.declared),
            observed: percent(observed),
            low: percent(low),
            width: percent(high - low).max(0.3),
            band_low: percent(band_low),
            band_width: percent(band_high - band_low).max(0.3),
        }
    }
}

fn percent(share: f64) -> f64 {
    round(share.clamp(0.0, 1.0) * 100.0)
}

/// To one decimal place; what is no number is nought.
fn round(number: f64) -> f64 {
    if number.is_finite() { (number * 10.0).round() / 10.0 } else { 0.0 }
}
