//! Manifests as their authors wrote them, in any released version.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use regex::Regex;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

/// Kind, namespace and name.
pub(super) type Key = (String, String, String);

/// One object of a manifest.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) key: Key,
    /// `metadata.creationTimestamp`.
    pub(super) created: Option<String>,
    pub(super) content: Content,
}

/// What an object says.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Target(Arc<Target>),
    Group(Arc<Group>),
    TcpRoute(Arc<Vec<u16>>),
    Split(Arc<Split>),
    Service(Arc<Service>),
    /// UDP is no part of what scenarios send.
    UdpRoute,
    /// Something that the specification does not know. The oracle cannot tell what it changes.
    Foreign,
}

/// A TrafficTarget.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) namespace: String,
    pub(super) destination: Subject,
    pub(super) rules: Vec<Rule>,
    pub(super) sources: Vec<Subject>,
}

/// An identity; `port` is that of a destination before v1alpha3.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Subject {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    pub(super) port: Option<u16>,
}

/// One of a target's rules.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Rule {
    pub(super) kind: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) matches: Option<Vec<String>>,
}

/// An HTTPRouteGroup.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Group {
    pub(super) matches: Vec<Match>,
}

/// One route of a group.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Match {
    pub(super) name: String,
    pub(super) path_regex: Option<Pattern>,
    #[serde(default)]
    pub(super) methods: Vec<String>,
    pub(super) headers: Option<Headers>,
}

/// Header conditions in either encoding.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Headers {
    List(Vec<BTreeMap<String, Pattern>>),
    Map(BTreeMap<String, Pattern>),
}

/// A regular expression.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "String")]
pub(super) struct Pattern {
    text: String,
    whole: OnceLock<Option<Regex>>,
    start: OnceLock<Option<Regex>>,
    part: OnceLock<Option<Regex>>,
}

/// A TrafficSplit.
#[derive(Clone, Debug)]
pub(super) struct Split {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) service: String,
    /// Services with their weights.
    pub(super) backends: Vec<(String, u64)>,
    pub(super) matches: Vec<Rule>,
}

/// A Service of Kubernetes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) namespace: String,
    pub(super) name: String,
    /// No labels: no pods.
    pub(super) selector: BTreeMap<String, String>,
    pub(super) ports: Vec<ServicePort>,
    pub(super) headless: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServicePort {
    pub(super) port: u16,
    pub(super) target: TargetPort,
    pub(super) speaks: Speaks,
}

/// The port of a pod, by number or by the pod's own name for it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum TargetPort {
    Number(u16),
    Name(String),
}

/// What a port carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Speaks {
    Http,
    Tcp,
    ServerFirst,
    Other,
}

/// The objects of a manifest. What does not fit the published schemas is an error: an API server refuses it.
pub(super) fn read(text: &str) -> Result<Vec<Object>, String> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| error.to_string())?;
    documents.iter().filter(|document| !document.is_null()).map(object).collect()
}

fn object(value: &Value) -> Result<Object, String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let (kind, version) = (text(&value["kind"]).ok_or("no kind")?, text(&value["apiVersion"]).ok_or("no apiVersion")?);
    let metadata = &value["metadata"];
    let name = text(&metadata["name"]).ok_or("no name")?;
    let namespace = text(&metadata["namespace"]).unwrap_or_else(|| "default".to_owned());
    let body =
        Body { version: version.rsplit('/').next().unwrap_or_default(), value, namespace: &namespace, name: &name };
    let content = match (version.split('/').next(), kind.as_str()) {
        (Some("access.smi-spec.io"), "TrafficTarget") => Content::Target(Arc::new(body.target()?)),
        (Some("specs.smi-spec.io"), "HTTPRouteGroup") => Content::Group(Arc::new(body.group()?)),
        (Some("specs.smi-spec.io"), "TCPRoute") => Content::TcpRoute(Arc::new(body.tcp_route()?)),
        (Some("specs.smi-spec.io"), "UDPRoute") => Content::UdpRoute,
        (Some("split.smi-spec.io"), "TrafficSplit") => Content::Split(Arc::new(body.split()?)),
        (Some("v1"), "Service") => Content::Service(Arc::new(body.service()?)),
        _ => Content::Foreign,
    };
    // Annotations may say what a version cannot.
    let annotated = metadata["annotations"].as_object().is_some_and(|all| !all.is_empty());
    let content = if annotated { Content::Foreign } else { content };
    Ok(Object { created: text(&metadata["creationTimestamp"]), key: (kind, namespace, name), content })
}

/// An object and what its metadata says.
struct Body<'a> {
    version: &'a str,
    value: &'a Value,
    namespace: &'a str,
    name: &'a str,
}

impl Body<'_> {
    /// `spec`; the object itself in the versions that had none.
    fn spec(&self, flat: &[&str]) -> Result<&Value, String> {
        if flat.contains(&self.version) {
            return Ok(self.value);
        }
        Some(&self.value["spec"]).filter(|spec| spec.is_object()).ok_or_else(|| "no spec".to_owned())
    }

    fn target(&self) -> Result<Target, String> {
        let spec = self.spec(&["v1alpha1"])?;
        let rules = if self.version == "v1alpha1" { &spec["specs"] } else { &spec["rules"] };
        Ok(Target {
            namespace: self.namespace.to_owned(),
            destination: typed(&spec["destination"])?,
            rules: typed::<Option<_>>(rules)?.unwrap_or_default(),
            sources: typed::<Option<_>>(&spec["sources"])?.unwrap_or_default(),
        })
    }

    fn group(&self) -> Result<Group, String> {
        let group: Group = typed(self.spec(&["v1alpha1", "v1alpha2"])?)?;
        let pairs = |headers: &Headers| match headers {
            Headers::List(list) => list.iter().any(|entry| entry.len() != 1),
            Headers::Map(_) => false,
        };
        match group.matches.iter().filter_map(|route| route.headers.as_ref()).any(pairs) {
            true => Err("an entry of a list of headers has one name".to_owned()),
            false => Ok(group),
        }
    }

    /// The ports; none stands for all, and before v1alpha4 no port could be written.
    fn tcp_route(&self) -> Result<Vec<u16>, String> {
        let ports = &self.value["spec"]["matches"]["ports"];
        if self.version == "v1alpha4" { Ok(typed::<Option<_>>(ports)?.unwrap_or_default()) } else { Ok(Vec::new()) }
    }

    fn split(&self) -> Result<Split, String> {
        let spec = self.spec(&[])?;
        let backends = spec["backends"].as_array().ok_or("no backends")?.iter().map(|backend| {
            let weight = &backend["weight"];
            let weight = if self.version == "v1alpha1" { thousandths(weight) } else { weight.as_u64() };
            Ok((typed(&backend["service"])?, weight.ok_or("a weight is a whole number")?))
        });
        Ok(Split {
            namespace: self.namespace.to_owned(),
            name: self.name.to_owned(),
            service: typed(&spec["service"])?,
            backends: backends.collect::<Result<_, String>>()?,
            matches: typed::<Option<_>>(&spec["matches"])?.unwrap_or_default(),
        })
    }

    fn service(&self) -> Result<Service, String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Port {
            name: Option<String>,
            port: u16,
            target_port: Option<TargetPort>,
            protocol: Option<String>,
            app_protocol: Option<String>,
        }
        let spec = self.spec(&[])?;
        let ports: Vec<Port> = typed::<Option<_>>(&spec["ports"])?.unwrap_or_default();
        let tcp = ports.into_iter().filter(|port| port.protocol.as_deref().is_none_or(|protocol| protocol == "TCP"));
        Ok(Service {
            namespace: self.namespace.to_owned(),
            name: self.name.to_owned(),
            selector: typed::<Option<_>>(&spec["selector"])?.unwrap_or_default(),
            ports: tcp
                .map(|port| ServicePort {
                    port: port.port,
                    target: port.target_port.unwrap_or(TargetPort::Number(port.port)),
                    speaks: Speaks::declared(port.app_protocol.as_deref(), port.name.as_deref()),
                })
                .collect(),
            headless: spec["clusterIP"] == "None",
        })
    }
}

fn typed<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    serde_json::from_value(value.clone()).map_err(|error| error.to_string())
}

/// A quantity (`1`, `500m`, `0.5`) in thousandths.
fn thousandths(weight: &Value) -> Option<u64> {
    let text = weight.as_str().map_or_else(|| weight.to_string(), str::to_owned);
    if let Some(milli) = text.strip_suffix('m') {
        return milli.parse().ok();
    }
    let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
    let rest = (rest.len() <= 3).then(|| format!("{rest:0<3}"))?;
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(rest.parse().ok()?)
}

impl Speaks {
    /// `appProtocol` decides; else the beginning of the port's name; else it is HTTP.
    pub(super) fn declared(app_protocol: Option<&str>, name: Option<&str>) -> Self {
        let known = |word: &str| match word {
            "http" | "http2" | "grpc" | "kubernetes.io/h2c" | "kubernetes.io/ws" => Some(Self::Http),
            "tcp" => Some(Self::Tcp),
            "tcp-server-first" => Some(Self::ServerFirst),
            _ => None,
        };
        if let Some(word) = app_protocol {
            return known(word).unwrap_or(Self::Other);
        }
        let name = name.unwrap_or_default();
        if name == "tcp-server-first" || name.starts_with("tcp-server-first-") {
            return Self::ServerFirst;
        }
        name.split('-').next().and_then(known).unwrap_or(Self::Http)
    }
}

impl From<String> for Pattern {
    fn from(text: String) -> Self {
        Self { text, whole: OnceLock::new(), start: OnceLock::new(), part: OnceLock::new() }
    }
}

impl Pattern {
    /// The expression must match all of the text.
    pub(super) fn matches_whole(&self, text: &str) -> bool {
        self.compiled(&self.whole, r"\A(?:", r")\z").is_some_and(|regex| regex.is_match(text))
    }

    /// It must match from the beginning.
    pub(super) fn matches_start(&self, text: &str) -> bool {
        self.compiled(&self.start, r"\A(?:", ")").is_some_and(|regex| regex.is_match(text))
    }

    /// It may match anywhere.
    pub(super) fn matches_part(&self, text: &str) -> bool {
        self.compiled(&self.part, "(?:", ")").is_some_and(|regex| regex.is_match(text))
    }

    /// Whether it can be parsed at all: what cannot matches nothing (HR-23).
    pub(super) fn is_valid(&self) -> bool {
        self.compiled(&self.part, "(?:", ")").is_some()
    }

    fn compiled<'a>(&self, slot: &'a OnceLock<Option<Regex>>, before: &str, after: &str) -> Option<&'a Regex> {
        // By itself first: `a)(b` is no expression, whatever stands around it.
        let compile = || Regex::new(&self.text).and_then(|_| Regex::new(&format!("{before}{}{after}", self.text))).ok();
        slot.get_or_init(compile).as_ref()
    }
}
