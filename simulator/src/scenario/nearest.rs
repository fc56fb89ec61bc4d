//! "Did you mean": the nearest of the words that are allowed.

/// The candidate that a writer most likely meant, if one is near enough: at most a third of its letters differ.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Of two that are equally near, the one of the same length: letters are swapped more often than lost.
    let (distance, _, best) = candidates
        .into_iter()
        .map(|candidate| {
            let distance = distance(&word.to_lowercase(), &candidate.to_lowercase());
            (distance, candidate.len().abs_diff(word.len()), candidate)
        })
        .min()?;
    let longest = word.chars().count().max(best.chars().count());
    (distance * 3 <= longest).then_some(best)
}

/// A hint that names the nearest candidate, or all of them if none is near and there are few.
#[must_use]
pub fn suggestion<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> Option<String> {
    if let Some(near) = nearest(word, candidates.clone()) {
        return Some(format!("did you mean `{near}`?"));
    }
    let mut all: Vec<&str> = candidates.into_iter().collect();
    all.sort_unstable();
    all.dedup();
    match all.len() {
        0 => None,
        1..=20 => Some(format!("known are {}", list(&all))),
        _ => None,
    }
}

/// The words in backquotes with commas.
#[must_use]
pub fn list(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// The number of letters to insert, delete, replace or swap with their neighbour (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_word_that_was_meant() {
        assert_eq!(nearest("trafic", ["apply", "traffic", "probes"]), Some("traffic"));
        assert_eq!(nearest("boookstore", ["bookbuyer", "bookstore"]), Some("bookstore"));
        assert_eq!(nearest("targetport", ["port", "targetPort"]), Some("targetPort"));
        assert_eq!(nearest("from", ["to", "host", "path"]), None);
        assert_eq!(nearest("form", ["for", "from"]), Some("from"));
    }

    #[test]
    fn names_all_words_when_none_is_near() {
        assert_eq!(suggestion("zzz", ["b", "a"]).as_deref(), Some("known are `a`, `b`"));
        assert_eq!(suggestion("zzz", []), None);
    }
}
