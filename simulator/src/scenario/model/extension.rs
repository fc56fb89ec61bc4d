//! Services beside the mesh that sidecars ask.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A gRPC service beside the mesh that sidecars ask. Manifests call it `<name>.extension.sim`: that text becomes its address. It
/// is exactly one of `rateLimit` and `authorization`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Extension {
    /// Where it listens; no two extensions share one.
    pub port: u16,
    /// Does not run at all: connections are refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub down: bool,
    /// Waited before every answer, for example `2s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<String>,
    /// Counts descriptors (Envoy's rate limit service, v3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimits>,
    /// Lets requests through, or not (Envoy's external authorization, v3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Authorization>,
}

/// What a fake rate limit service counts, over the whole scenario. What no limit is for has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimits {
    /// The limits; of several for a descriptor the first counts.
    pub limits: Vec<DescriptorLimit>,
}

/// A limit of one kind of descriptor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DescriptorLimit {
    /// The domain; any if omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Keys with their values, no more and no fewer. `*` is any value, and each value is counted apart.
    pub entries: BTreeMap<String, String>,
    /// How many are let through.
    pub requests: u32,
}

/// Whom a fake authorization service refuses; it lets everybody else through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Authorization {
    /// Requests that are refused: one entry that fits suffices.
    pub deny: Vec<Refusal>,
    /// Status of a refusal; 403 if omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Headers that the application sees in requests that are let through.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub add: BTreeMap<String, String>,
}

/// Requests that are refused: all that is named must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Refusal {
    /// How the path begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Headers with their whole values, names in lower case.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The caller's identity, as `account` of the namespace `default` or `namespace/account`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
}
