//! HTTPRouteGroup (`specs.smi-spec.io`): what HTTP requests look like.
//!
//! | version | shape | `headers` |
//! |---|---|---|
//! | v1alpha1 | `matches` at the top level | – |
//! | v1alpha2 | `matches` at the top level | yes |
//! | v1alpha3, v1alpha4 | `spec.matches` | yes |

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Deserialize;

pub use super::headers::{Header, Headers};
use super::{
    Ignored,
    error::{Fault, quoted},
    metadata::{Metadata, ObjectMeta, Resource},
};
use crate::model;

/// traffic-specs v1alpha1.
pub mod v1alpha1 {
    use super::{Deserialize, JsonSchema, Method, TopLevel};

    /// An HTTPRouteGroup.
    pub type HttpRouteGroup = TopLevel<HttpMatch>;

    /// One entry of `matches`.
    #[derive(Clone, Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    pub struct HttpMatch {
        /// The name that rules refer to.
        pub name: String,
        /// Regular expression for the path; any path if omitted or empty.
        #[serde(default)]
        pub path_regex: Option<String>,
        /// The methods; all if omitted or empty.
        #[serde(default)]
        pub methods: Vec<Method>,
    }
}

/// traffic-specs v1alpha2.
pub mod v1alpha2 {
    use super::{Deserialize, Headers, JsonSchema, Method, TopLevel};

    /// An HTTPRouteGroup.
    pub type HttpRouteGroup = TopLevel<HttpMatch>;

    /// One entry of `matches`.
    #[derive(Clone, Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    pub struct HttpMatch {
        /// The name that rules refer to.
        pub name: String,
        /// Regular expression for the path; any path if omitted or empty.
        #[serde(default)]
        pub path_regex: Option<String>,
        /// The methods; all if omitted or empty.
        #[serde(default)]
        pub methods: Vec<Method>,
        /// Regular expressions for header values; all must hold.
        #[serde(default)]
        pub headers: Option<Headers>,
    }
}

/// traffic-specs v1alpha3.
pub mod v1alpha3 {
    use super::{Deserialize, JsonSchema, Resource};

    pub use super::v1alpha2::HttpMatch;

    /// An HTTPRouteGroup.
    pub type HttpRouteGroup = Resource<HttpRouteGroupSpec>;

    /// `spec`.
    #[derive(Clone, Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    pub struct HttpRouteGroupSpec {
        /// The matches; a request belongs to the group if any holds.
        pub matches: Vec<HttpMatch>,
    }
}

/// traffic-specs v1alpha4: as v1alpha3.
pub mod v1alpha4 {
    pub use super::v1alpha3::{HttpMatch, HttpRouteGroup, HttpRouteGroupSpec};
}

/// An HTTPRouteGroup whose content lies at the top level.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TopLevel<M> {
    /// Group and version.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Name, namespace and so on.
    pub metadata: ObjectMeta,
    /// The matches; a request belongs to the group if any holds.
    pub matches: Vec<M>,
    /// Ignored.
    #[serde(default)]
    pub status: Option<Ignored>,
}

/// An HTTP method, as the CRDs of SMI list them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "each is the method that it is called after")]
pub enum Method {
    /// `*`: every method.
    #[serde(rename = "*")]
    Any,
    Get,
    Head,
    Put,
    Post,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
}

impl Method {
    /// The method as sent in a request; `*` for [`Method::Any`].
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Any => "*",
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
            Self::Options => "OPTIONS",
            Self::Trace => "TRACE",
            Self::Patch => "PATCH",
        }
    }
}

impl<M> Metadata for TopLevel<M> {
    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl From<v1alpha1::HttpMatch> for v1alpha2::HttpMatch {
    fn from(wire: v1alpha1::HttpMatch) -> Self {
        Self { name: wire.name, path_regex: wire.path_regex, methods: wire.methods, headers: None }
    }
}

impl<M: Into<v1alpha2::HttpMatch>> TryFrom<TopLevel<M>> for model::HttpRouteGroup {
    type Error = Fault;

    fn try_from(wire: TopLevel<M>) -> Result<Self, Fault> {
        let matches = matches(wire.matches.into_iter().map(Into::into))?;
        Ok(Self { name: wire.metadata.object_name()?, matches })
    }
}

impl TryFrom<v1alpha3::HttpRouteGroup> for model::HttpRouteGroup {
    type Error = Fault;

    fn try_from(wire: v1alpha3::HttpRouteGroup) -> Result<Self, Fault> {
        let matches = matches(wire.spec.matches.into_iter()).map_err(|fault| fault.under("spec"))?;
        Ok(Self { name: wire.metadata.object_name()?, matches })
    }
}

impl TryFrom<v1alpha2::HttpMatch> for model::HttpMatch {
    type Error = Fault;

    fn try_from(wire: v1alpha2::HttpMatch) -> Result<Self, Fault> {
        if wire.name.is_empty() || wire.name.contains(char::is_control) {
            let message = format!("{} is not a name that a rule can refer to", quoted(&wire.name));
            return Err(Fault::new("name", message));
        }
        Ok(Self {
            name: wire.name.into(),
            path: wire.path_regex.filter(|path| !path.is_empty()).map(Into::into),
            methods: methods(&wire.methods),
            headers: wire.headers.map_or(Ok(BTreeMap::new()), |headers| {
                headers.into_conditions().map_err(|fault| fault.under("headers"))
            })?,
        })
    }
}

fn matches(wire: impl Iterator<Item = v1alpha2::HttpMatch>) -> Result<Vec<model::HttpMatch>, Fault> {
    wire.enumerate()
        .map(|(i, entry)| entry.try_into().map_err(|fault: Fault| fault.under(&format!("matches[{i}]"))))
        .collect()
}

/// `*` among others still means all.
fn methods(wire: &[Method]) -> model::Methods {
    if wire.is_empty() || wire.contains(&Method::Any) {
        model::Methods::Any
    } else {
        model::Methods::Only(wire.iter().map(|method| method.as_str().into()).collect::<BTreeSet<_>>())
    }
}
