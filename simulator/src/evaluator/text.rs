//! Envoy's StringMatcher.

use envoy_types::pb::envoy::r#type::matcher::v3::{RegexMatcher, StringMatcher, string_matcher::MatchPattern};
use prost::Message;

use super::{
    pattern::Pattern,
    unmodelled::{Modelled, Unmodelled, refused},
};

/// A test on a text (`envoy.type.matcher.v3.StringMatcher`).
#[derive(Clone, Debug)]
pub(super) struct TextMatch {
    test: Test,
    ignore_case: bool,
}

#[derive(Clone, Debug)]
enum Test {
    Exact(String),
    Prefix(String),
    Suffix(String),
    Contains(String),
    Regex(Pattern),
}

impl TextMatch {
    /// Reads the matcher.
    pub(super) fn new(matcher: StringMatcher) -> Modelled<Self> {
        let case = |text: String| if matcher.ignore_case { text.to_ascii_lowercase() } else { text };
        let some = |text: String| {
            if text.is_empty() { refused("StringMatcher", "an empty pattern") } else { Ok(case(text)) }
        };
        let test = match matcher.match_pattern {
            Some(MatchPattern::Exact(text)) => Test::Exact(case(text)),
            Some(MatchPattern::Prefix(text)) => Test::Prefix(some(text)?),
            Some(MatchPattern::Suffix(text)) => Test::Suffix(some(text)?),
            Some(MatchPattern::Contains(text)) => Test::Contains(some(text)?),
            Some(MatchPattern::SafeRegex(_)) if matcher.ignore_case => {
                return Err(Unmodelled::new("StringMatcher.ignore_case", "not modelled for expressions"));
            }
            Some(MatchPattern::SafeRegex(regex)) => Test::Regex(pattern(&regex)?),
            Some(MatchPattern::Custom(_)) => return Err(Unmodelled::new("StringMatcher.custom", "not modelled")),
            None => return refused("StringMatcher.match_pattern", "it is not set"),
        };
        Ok(Self { test, ignore_case: matcher.ignore_case })
    }

    /// Whether `text` (ASCII) passes.
    pub(super) fn matches(&self, text: &str) -> bool {
        if self.ignore_case { self.test(&text.to_ascii_lowercase()) } else { self.test(text) }
    }

    /// The text that must be met whole and in this very case, if that is the test.
    pub(super) fn exact(&self) -> Option<&str> {
        match &self.test {
            Test::Exact(text) if !self.ignore_case => Some(text),
            _ => None,
        }
    }

    fn test(&self, text: &str) -> bool {
        match &self.test {
            Test::Exact(wanted) => text == wanted,
            Test::Prefix(wanted) => text.starts_with(wanted.as_str()),
            Test::Suffix(wanted) => text.ends_with(wanted.as_str()),
            Test::Contains(wanted) => text.contains(wanted.as_str()),
            Test::Regex(pattern) => pattern.matches(text),
        }
    }
}

/// The length of `google_re2: {}` on the wire.
const EMPTY_ENGINE: usize = 2;

/// Reads a RegexMatcher.
pub(super) fn pattern(matcher: &RegexMatcher) -> Modelled<Pattern> {
    // The deprecated engine field has one field of its own, a limit.
    let engine = RegexMatcher { regex: String::new(), ..matcher.clone() };
    if engine.encode_to_vec().len() > EMPTY_ENGINE {
        return Err(Unmodelled::new("RegexMatcher.google_re2.max_program_size", "not modelled"));
    }
    Pattern::new(&matcher.regex).map_err(|why| Unmodelled::new("RegexMatcher.regex", why))
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern};

    use super::TextMatch;

    fn matches(pattern: MatchPattern, ignore_case: bool, text: &str) -> bool {
        TextMatch::new(StringMatcher { match_pattern: Some(pattern), ignore_case }).expect("modelled").matches(text)
    }

    #[test]
    fn each_kind_tests_its_own_part() {
        assert!(matches(MatchPattern::Exact("GET".into()), false, "GET"));
        assert!(!matches(MatchPattern::Exact("GET".into()), false, "get"));
        assert!(matches(MatchPattern::Exact("GET".into()), true, "get"));
        assert!(
            matches(MatchPattern::Prefix("a".into()), false, "ab")
                && !matches(MatchPattern::Prefix("a".into()), false, "ba")
        );
        assert!(
            matches(MatchPattern::Suffix("B".into()), true, "ab")
                && !matches(MatchPattern::Suffix("b".into()), false, "ba")
        );
        assert!(
            matches(MatchPattern::Contains("b".into()), false, "abc")
                && !matches(MatchPattern::Contains("x".into()), true, "abc")
        );
    }

    #[test]
    fn what_envoy_refuses_is_not_judged() {
        for pattern in [None, Some(MatchPattern::Prefix(String::new()))] {
            assert!(TextMatch::new(StringMatcher { match_pattern: pattern, ignore_case: false }).is_err());
        }
    }
}
