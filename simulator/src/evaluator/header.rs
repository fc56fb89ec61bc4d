//! Envoy's HeaderMatcher.

use envoy_types::pb::envoy::config::route::v3::{HeaderMatcher, header_matcher::HeaderMatchSpecifier};

use super::{
    message::{Message, is_plain_header},
    text::TextMatch,
    unmodelled::{Modelled, Unmodelled, refused},
};

/// A test on one header (`envoy.config.route.v3.HeaderMatcher`).
#[derive(Clone, Debug)]
pub(super) struct HeaderMatch {
    name: String,
    test: Test,
    invert: bool,
}

#[derive(Clone, Debug)]
enum Test {
    Present(bool),
    Text(TextMatch),
}

impl HeaderMatch {
    /// Reads the matcher.
    pub(super) fn new(matcher: HeaderMatcher) -> Modelled<Self> {
        let name = matcher.name.to_ascii_lowercase();
        if name.is_empty() {
            return refused("HeaderMatcher.name", "it is empty");
        }
        if !is_plain_header(&name) {
            return Err(Unmodelled::new("HeaderMatcher.name", format!("`{name}` is changed on the way")));
        }
        if matcher.treat_missing_header_as_empty {
            return Err(Unmodelled::new("HeaderMatcher.treat_missing_header_as_empty", "not modelled"));
        }
        let test = match matcher.header_match_specifier {
            None => Test::Present(true),
            Some(HeaderMatchSpecifier::PresentMatch(present)) => Test::Present(present),
            Some(HeaderMatchSpecifier::StringMatch(text)) => {
                Test::Text(TextMatch::new(text).map_err(|error| error.inside(format!("HeaderMatcher {name}")))?)
            }
            Some(_) => {
                return Err(Unmodelled::new(
                    format!("HeaderMatcher {name}"),
                    "only string_match and present_match are modelled",
                ));
            }
        };
        Ok(Self { name, test, invert: matcher.invert_match })
    }

    /// The header's name, in lower case.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether the request passes. A missing header fails every test of its value.
    pub(super) fn matches(&self, message: &Message<'_>) -> Modelled<bool> {
        let value = message.header(&self.name)?;
        let passes = match (&self.test, value) {
            (Test::Present(wanted), value) => value.is_some() == *wanted,
            (Test::Text(text), Some(value)) => text.matches(value),
            (Test::Text(_), None) if self.invert => {
                return Err(Unmodelled::new(
                    format!("HeaderMatcher {}.invert_match", self.name),
                    "not modelled for a missing header",
                ));
            }
            (Test::Text(_), None) => return Ok(false),
        };
        Ok(passes != self.invert)
    }
}
