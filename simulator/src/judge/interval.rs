//! What a count says about a share, for reports. Verdicts do not rest on these.

/// The two-sided 99.9 % quantile of the normal distribution.
const Z_999: f64 = 3.290_526_731_491_9;

/// Wilson's score interval at 99.9 % for a share of which `hits` of `n` were seen. `(0, 1)` if nothing was seen.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub fn wilson(hits: u64, n: u64) -> (f64, f64) {
    if n == 0 {
        return (0.0, 1.0);
    }
    let (n, share) = (n as f64, hits as f64 / n as f64);
    let z2 = Z_999 * Z_999;
    let middle = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z_999 / (1.0 + z2 / n) * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    ((middle - half).max(0.0), (middle + half).min(1.0))
}

/// The leak rate that `n` requests without a single hit exclude with 99.9 % confidence: 688 requests exclude 1 %, 6,905 exclude
/// 0.1 %. 1 (nothing is excluded) without requests.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub fn excluded_leak(n: u64) -> f64 {
    if n == 0 { 1.0 } else { 1.0 - 0.001_f64.powf(1.0 / n as f64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excludes_leaks_as_published() {
        assert!(excluded_leak(688) <= 0.01 && excluded_leak(687) > 0.01);
        assert!(excluded_leak(6905) <= 0.001 && excluded_leak(6904) > 0.001);
        assert!((excluded_leak(0) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_interval_holds_the_share_and_narrows() {
        let (low, high) = wilson(700, 1000);
        assert!((0.649..0.651).contains(&low) && (0.744..0.746).contains(&high), "{low} {high}");
        assert!(wilson(7000, 10_000).0 > low);
        assert!(wilson(0, 0) == (0.0, 1.0) && wilson(0, 100).0 < 1e-12 && wilson(100, 100).1 > 1.0 - 1e-12);
    }
}
