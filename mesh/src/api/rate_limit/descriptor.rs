//! Descriptors of requests.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    api::{error::Fault, name},
    model::{DescriptorEntry, HeaderCondition},
};

/// One of `descriptors`: what is counted together.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DescriptorSpec {
    /// Its entries, one at least. If one does not apply to a request, the request is not counted by this descriptor.
    pub entries: Vec<EntrySpec>,
}

/// One of `descriptors[].entries`: exactly one of the four.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct EntrySpec {
    /// A fixed value.
    pub generic_key: Option<GenericKeySpec>,
    /// The client's address.
    pub remote_address: Option<RemoteAddressSpec>,
    /// The value of a header.
    pub request_header: Option<RequestHeaderSpec>,
    /// A fixed value for requests whose headers match.
    pub header_value_match: Option<HeaderValueMatchSpec>,
}

/// `genericKey`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GenericKeySpec {
    /// Value.
    pub value: String,
    /// Key; `generic_key` if omitted.
    #[serde(default)]
    pub key: Option<String>,
}

/// `remoteAddress`: `{}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoteAddressSpec {}

/// `requestHeader`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestHeaderSpec {
    /// The header. Requests without it are not counted.
    pub name: String,
    /// Key.
    pub key: String,
}

/// `headerValueMatch`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderValueMatchSpec {
    /// Value.
    pub value: String,
    /// Headers, all of which must match; one at least.
    pub headers: Vec<HeaderMatchSpec>,
    /// Key; `header_match` if omitted.
    #[serde(default)]
    pub key: Option<String>,
    /// Whether requests that match are counted (true, if omitted), or the others.
    #[serde(default)]
    pub expect_match: Option<bool>,
}

/// One of `headerValueMatch.headers`: a name and exactly one condition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct HeaderMatchSpec {
    /// The header.
    pub name: String,
    /// The whole value.
    pub exact: Option<String>,
    /// How the value begins.
    pub prefix: Option<String>,
    /// How the value ends.
    pub suffix: Option<String>,
    /// A regular expression for the whole value.
    pub regex: Option<String>,
    /// A part of the value.
    pub contains: Option<String>,
    /// Whether the header is there, or is not.
    pub present: Option<bool>,
}

/// Reads `descriptors`.
pub(in crate::api) fn descriptors(written: Vec<DescriptorSpec>) -> Result<Vec<Vec<DescriptorEntry>>, Fault> {
    let descriptor = |(i, descriptor): (usize, DescriptorSpec)| {
        let field = format!("descriptors[{i}].entries");
        if descriptor.entries.is_empty() {
            return Err(Fault::new(field, "is empty: a descriptor has one entry at least"));
        }
        let entry = |(j, entry): (usize, EntrySpec)| entry.model().map_err(|f| f.under(&format!("{field}[{j}]")));
        descriptor.entries.into_iter().enumerate().map(entry).collect()
    };
    written.into_iter().enumerate().map(descriptor).collect()
}

/// Envoy refuses empty keys, values and domains.
pub(in crate::api) fn refuse_empty(text: &str, field: &str) -> Result<(), Fault> {
    if text.is_empty() { Err(Fault::new(field, "is empty")) } else { Ok(()) }
}

impl EntrySpec {
    fn model(self) -> Result<DescriptorEntry, Fault> {
        match (self.generic_key, self.remote_address, self.request_header, self.header_value_match) {
            (Some(generic), None, None, None) => generic.model().map_err(|f| f.under("genericKey")),
            (None, Some(_), None, None) => Ok(DescriptorEntry::RemoteAddress),
            (None, None, Some(header), None) => header.model().map_err(|f| f.under("requestHeader")),
            (None, None, None, Some(headers)) => headers.model().map_err(|f| f.under("headerValueMatch")),
            _ => {
                let one_of = "`genericKey`, `remoteAddress`, `requestHeader`, `headerValueMatch`";
                Err(Fault::new("", format!("an entry is exactly one of {one_of}")))
            }
        }
    }
}

impl GenericKeySpec {
    fn model(self) -> Result<DescriptorEntry, Fault> {
        let key = self.key.unwrap_or_else(|| "generic_key".into());
        refuse_empty(&key, "key")?;
        refuse_empty(&self.value, "value")?;
        Ok(DescriptorEntry::GenericKey { key: key.into(), value: self.value.into() })
    }
}

impl RequestHeaderSpec {
    fn model(self) -> Result<DescriptorEntry, Fault> {
        name::header(&self.name, "name")?;
        refuse_empty(&self.key, "key")?;
        Ok(DescriptorEntry::RequestHeader { name: self.name.to_ascii_lowercase().into(), key: self.key.into() })
    }
}

impl HeaderValueMatchSpec {
    fn model(self) -> Result<DescriptorEntry, Fault> {
        let key = self.key.unwrap_or_else(|| "header_match".into());
        refuse_empty(&key, "key")?;
        refuse_empty(&self.value, "value")?;
        if self.headers.is_empty() {
            return Err(Fault::new("headers", "is empty: name one header at least"));
        }
        let header = |(i, header): (usize, HeaderMatchSpec)| {
            let name = header.name.to_ascii_lowercase();
            let condition = header.model().map_err(|f| f.under(&format!("headers[{i}]")))?;
            Ok((name.into(), condition))
        };
        Ok(DescriptorEntry::HeaderValueMatch {
            key: key.into(),
            value: self.value.into(),
            expect_match: self.expect_match.unwrap_or(true),
            headers: self.headers.into_iter().enumerate().map(header).collect::<Result<_, Fault>>()?,
        })
    }
}

impl HeaderMatchSpec {
    fn model(self) -> Result<HeaderCondition, Fault> {
        name::header(&self.name, "name")?;
        let text = |text: Option<String>, field: &str, of: fn(std::sync::Arc<str>) -> HeaderCondition| match text {
            // Envoy refuses empty texts but for `exact`.
            Some(text) if text.is_empty() && field != "exact" => Some(Err(Fault::new(field, "is empty"))),
            text => text.map(|text| Ok(of(text.into()))),
        };
        let conditions = [
            text(self.exact, "exact", HeaderCondition::Exact),
            text(self.prefix, "prefix", HeaderCondition::Prefix),
            text(self.suffix, "suffix", HeaderCondition::Suffix),
            text(self.regex, "regex", HeaderCondition::Regex),
            text(self.contains, "contains", HeaderCondition::Contains),
            self.present.map(|present| Ok(HeaderCondition::Present(present))),
        ];
        let mut given = conditions.into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(condition), None) => condition,
            _ => {
                let one_of = "`exact`, `prefix`, `suffix`, `regex`, `contains`, `present`";
                Err(Fault::new("", format!("besides its name a header has exactly one of {one_of}")))
            }
        }
    }
}
