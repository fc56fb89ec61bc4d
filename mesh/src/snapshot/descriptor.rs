//! What is counted of requests: the descriptors that a counting service is asked with.

use envoy_types::pb::{
    envoy::{
        config::route::v3::{
            HeaderMatcher, RateLimit,
            header_matcher::HeaderMatchSpecifier,
            rate_limit::{
                Action, action::ActionSpecifier, action::GenericKey, action::HeaderValueMatch, action::RemoteAddress,
                action::RequestHeaders,
            },
        },
        r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern},
    },
    google::protobuf::BoolValue,
};

use super::{encode::number, route::regex_matcher};
use crate::{
    model::{DescriptorEntry, HeaderCondition},
    policy::upstream::usable_descriptors,
};

/// The descriptors as Envoy has them, for the filter that looks at `stage`.
pub(super) fn rate_limits(stage: u32, descriptors: &[Vec<DescriptorEntry>]) -> Vec<RateLimit> {
    let limit = |entries: &Vec<DescriptorEntry>| RateLimit {
        stage: number(stage),
        actions: entries.iter().map(|entry| Action { action_specifier: Some(action(entry)) }).collect(),
        ..Default::default()
    };
    usable_descriptors(descriptors).map(limit).collect()
}

fn action(entry: &DescriptorEntry) -> ActionSpecifier {
    match entry {
        DescriptorEntry::GenericKey { key, value } => ActionSpecifier::GenericKey(GenericKey {
            descriptor_key: key.to_string(),
            descriptor_value: value.to_string(),
            ..Default::default()
        }),
        DescriptorEntry::RemoteAddress => ActionSpecifier::RemoteAddress(RemoteAddress {}),
        DescriptorEntry::RequestHeader { name, key } => ActionSpecifier::RequestHeaders(RequestHeaders {
            header_name: name.to_string(),
            descriptor_key: key.to_string(),
            ..Default::default()
        }),
        DescriptorEntry::HeaderValueMatch { key, value, expect_match, headers } => {
            ActionSpecifier::HeaderValueMatch(HeaderValueMatch {
                descriptor_key: key.to_string(),
                descriptor_value: value.to_string(),
                expect_match: Some(BoolValue { value: *expect_match }),
                headers: headers.iter().map(|(name, condition)| header(name, condition)).collect(),
                ..Default::default()
            })
        }
    }
}

fn header(name: &str, condition: &HeaderCondition) -> HeaderMatcher {
    let text = match condition {
        HeaderCondition::Exact(text) => MatchPattern::Exact(text.to_string()),
        HeaderCondition::Prefix(text) => MatchPattern::Prefix(text.to_string()),
        HeaderCondition::Suffix(text) => MatchPattern::Suffix(text.to_string()),
        HeaderCondition::Contains(text) => MatchPattern::Contains(text.to_string()),
        HeaderCondition::Regex(pattern) => MatchPattern::SafeRegex(regex_matcher(pattern)),
        HeaderCondition::Present(present) => {
            let specifier = Some(HeaderMatchSpecifier::PresentMatch(*present));
            return HeaderMatcher { name: name.into(), header_match_specifier: specifier, ..Default::default() };
        }
    };
    let matcher = StringMatcher { match_pattern: Some(text), ..Default::default() };
    HeaderMatcher {
        name: name.into(),
        header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(matcher)),
        ..Default::default()
    }
}
