//! The nearest spelling, for hints.

/// `` did you mean `x`? `` for the known word nearest to `word`, if one is near enough to be a slip.
pub(super) fn nearest(word: &str, known: &[&str]) -> Option<String> {
    /// Nobody mistypes a word this long into a known one; comparing it would only cost.
    const LONGEST: usize = 64;
    if word.len() > LONGEST {
        return None;
    }
    let (folded, budget) = (word.to_lowercase(), (word.chars().count() / 3).max(1));
    known
        .iter()
        .map(|candidate| (distance(&folded, &candidate.to_lowercase()), candidate))
        .min_by_key(|(edits, _)| *edits)
        .filter(|(edits, _)| *edits <= budget)
        .map(|(_, candidate)| candidate)
        // `path` for `pathRegex`.
        .or_else(|| known.iter().find(|candidate| folded.len() > 2 && candidate.to_lowercase().starts_with(&folded)))
        .map(|candidate| format!("did you mean `{candidate}`?"))
}

/// The words in backticks, separated by commas.
pub(super) fn list<S: AsRef<str>>(words: &[S]) -> String {
    words.iter().map(|word| format!("`{}`", word.as_ref())).collect::<Vec<_>>().join(", ")
}

/// Edits (insert, drop, replace, swap neighbours) that turn `a` into `b`: optimal string alignment.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, edits) in
            [("", "", 0), ("", "abc", 3), ("weight", "wieght", 1), ("kitten", "sitting", 3), ("port", "ports", 1)]
        {
            assert_eq!(distance(a, b), edits, "{a} {b}");
            assert_eq!(distance(b, a), edits, "{b} {a}");
        }
    }

    #[test]
    fn only_slips_get_a_suggestion() {
        assert_eq!(nearest("get", &["GET", "PUT"]).as_deref(), Some("did you mean `GET`?"));
        assert_eq!(nearest("banana", &["GET", "PUT"]), None);
        assert_eq!(nearest("x", &[]), None);
    }
}
