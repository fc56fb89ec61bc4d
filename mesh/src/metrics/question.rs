//! What a path of the API asks for.

use std::sync::Arc;

use super::{GROUP, VERSION, resource::ResourceKind, selector, wire::LabelSelector};
use crate::model::ObjectName;

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Question {
    /// Which API groups there are.
    Groups,
    /// Which versions the group has.
    Group,
    /// Which kinds of resource have metrics.
    Resources,
    /// The metrics of all objects of a kind.
    List {
        /// The kind.
        kind: ResourceKind,
        /// In one namespace, or in all.
        namespace: Option<Arc<str>>,
        /// Which of them, and the text `?labelSelector=` if there was one.
        selector: Option<LabelSelector>,
    },
    /// The metrics of one object.
    Get {
        /// The kind.
        kind: ResourceKind,
        /// Its name; of a namespace in both parts.
        name: ObjectName,
    },
    /// The metrics between one object and each of its peers.
    Edges {
        /// The kind.
        kind: ResourceKind,
        /// Its name.
        name: ObjectName,
        /// Which peers.
        selector: Option<LabelSelector>,
    },
}

/// What a question needs the right to, as Kubernetes' RBAC names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// `get` or `list`.
    pub verb: &'static str,
    /// `pods`.
    pub resource: String,
    /// `edges`, or nothing.
    pub subresource: &'static str,
    /// The namespace; none stands for all.
    pub namespace: Option<String>,
    /// The name.
    pub name: Option<String>,
}

/// Why there is no answer: a `v1` Status in the making.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The HTTP status.
    pub code: u16,
    /// The reason, as Kubernetes names it.
    pub reason: &'static str,
    /// What to do about it.
    pub message: String,
}

impl Refusal {
    /// There is no such thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self { code: 404, reason: "NotFound", message: message.into() }
    }

    /// The question makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self { code: 400, reason: "BadRequest", message: message.into() }
    }
}

impl Question {
    /// Reads a request. `selector` is the parameter `labelSelector`, decoded.
    ///
    /// # Errors
    /// 404 for paths that do not exist, 405 for all but reading, 400 for a selector that makes no sense.
    pub fn read(method: &str, path: &str, selector: Option<&str>) -> Result<Self, Refusal> {
        if !matches!(method, "GET" | "HEAD") {
            let message = format!("metrics are measured, not written: {method} is not possible, use GET");
            return Err(Refusal { code: 405, reason: "MethodNotAllowed", message });
        }
        let selector = selector.filter(|text| !text.is_empty()).map(selector::parse).transpose();
        let selector = selector.map_err(|error| Refusal::bad_request(error.to_string()))?;
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let kind = |plural: &str| {
            ResourceKind::of_plural(plural).ok_or_else(|| {
                Refusal::not_found(format!("there are no metrics of {plural}: see /apis/{GROUP}/{VERSION}"))
            })
        };
        let rest = match parts.as_slice() {
            ["apis"] => return Ok(Self::Groups),
            ["apis", GROUP] => return Ok(Self::Group),
            ["apis", GROUP, VERSION] => return Ok(Self::Resources),
            ["apis", GROUP, VERSION, rest @ ..] => rest,
            _ => {
                return Err(Refusal::not_found(format!(
                    "nothing is at {path}; metrics are at /apis/{GROUP}/{VERSION}"
                )));
            }
        };
        let namespaced = |plural: &str| {
            kind(plural).and_then(|kind| {
                let inside = || Refusal::not_found(format!("{plural} are not in namespaces"));
                if kind.is_namespaced() { Ok(kind) } else { Err(inside()) }
            })
        };
        Ok(match rest {
            [plural] => Self::List { kind: kind(plural)?, namespace: None, selector },
            ["namespaces", name] => Self::Get { kind: ResourceKind::Namespace, name: ObjectName::new(*name, *name) },
            ["nodes", name] => Self::Get { kind: ResourceKind::Node, name: ObjectName::new(*name, *name) },
            ["namespaces", name, "edges"] => {
                Self::Edges { kind: ResourceKind::Namespace, name: ObjectName::new(*name, *name), selector }
            }
            ["namespaces", namespace, plural] => {
                Self::List { kind: namespaced(plural)?, namespace: Some((*namespace).into()), selector }
            }
            ["namespaces", namespace, plural, name] => {
                Self::Get { kind: namespaced(plural)?, name: ObjectName::new(*namespace, *name) }
            }
            ["namespaces", namespace, plural, name, "edges"] => {
                Self::Edges { kind: namespaced(plural)?, name: ObjectName::new(*namespace, *name), selector }
            }
            _ => return Err(Refusal::not_found(format!("nothing is at {path}"))),
        })
    }

    /// What one must have the right to. Nothing for discovery.
    ///
    /// It is what the API server itself reads from the path, and demands before it asks here: so the edges of a namespace are the
    /// resource `edges` in that namespace.
    pub fn access(&self) -> Option<Access> {
        let named = |verb, kind: ResourceKind, name: &ObjectName, subresource| Access {
            verb,
            resource: kind.plural(),
            subresource,
            namespace: (kind != ResourceKind::Node).then(|| name.namespace.to_string()),
            name: Some(name.name.to_string()),
        };
        match self {
            Self::Groups | Self::Group | Self::Resources => None,
            Self::List { kind, namespace, .. } => Some(Access {
                verb: "list",
                resource: kind.plural(),
                subresource: "",
                namespace: namespace.as_deref().map(ToOwned::to_owned),
                name: None,
            }),
            Self::Get { kind, name } => Some(named("get", *kind, name, "")),
            Self::Edges { kind: ResourceKind::Namespace, name, .. } => Some(Access {
                verb: "list",
                resource: "edges".into(),
                subresource: "",
                namespace: Some(name.namespace.to_string()),
                name: None,
            }),
            Self::Edges { kind, name, .. } => Some(named("get", *kind, name, "edges")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str) -> Result<Question, u16> {
        Question::read("GET", path, None).map_err(|refusal| refusal.code)
    }

    const BASE: &str = "/apis/metrics.smi-spec.io/v1alpha1";

    #[test]
    fn paths_are_those_of_kubernetes() {
        let (shop, pod) = (Some("shop".into()), ResourceKind::Pod);
        let web = ObjectName::new("shop", "web-1");
        let own = ObjectName::new("shop", "shop");
        assert_eq!(read(&format!("{BASE}/")), Ok(Question::Resources));
        assert_eq!(read(&format!("{BASE}/pods")), Ok(Question::List { kind: pod, namespace: None, selector: None }));
        let list = Question::List { kind: pod, namespace: shop, selector: None };
        assert_eq!(read(&format!("{BASE}/namespaces/shop/pods/")), Ok(list));
        assert_eq!(
            read(&format!("{BASE}/namespaces/shop/pods/web-1")),
            Ok(Question::Get { kind: pod, name: web.clone() })
        );
        let edges = Question::Edges { kind: pod, name: web, selector: None };
        assert_eq!(read(&format!("{BASE}/namespaces/shop/pods/web-1/edges")), Ok(edges));
        let namespace = Question::Get { kind: ResourceKind::Namespace, name: own };
        assert_eq!(read(&format!("{BASE}/namespaces/shop")), Ok(namespace));
        for wrong in [
            "/",
            "/apis/other",
            &format!("{BASE}/routes"),
            &format!("{BASE}/namespaces/a/nodes"),
            &format!("{BASE}/pods/x"),
        ] {
            assert_eq!(read(wrong), Err(404), "{wrong}");
        }
        assert_eq!(Question::read("DELETE", &format!("{BASE}/pods"), None).unwrap_err().code, 405);
        assert_eq!(Question::read("GET", &format!("{BASE}/pods"), Some("a b")).unwrap_err().code, 400);
    }

    #[test]
    fn edges_are_a_right_of_their_own() {
        let access = |path: &str| read(&format!("{BASE}{path}")).unwrap().access();
        let right = |verb, resource: &str, subresource, namespace: Option<&str>, name: Option<&str>| {
            Some(Access {
                verb,
                resource: resource.into(),
                subresource,
                namespace: namespace.map(Into::into),
                name: name.map(Into::into),
            })
        };
        assert_eq!(access("/namespaces/a/pods/b"), right("get", "pods", "", Some("a"), Some("b")));
        assert_eq!(access("/namespaces/a/pods/b/edges"), right("get", "pods", "edges", Some("a"), Some("b")));
        assert_eq!(access("/namespaces/a/pods"), right("list", "pods", "", Some("a"), None));
        assert_eq!(access("/pods"), right("list", "pods", "", None, None));
        assert_eq!(access("/namespaces/a"), right("get", "namespaces", "", Some("a"), Some("a")));
        assert_eq!(access("/namespaces/a/edges"), right("list", "edges", "", Some("a"), None));
        assert_eq!(access(""), None);
    }
}
