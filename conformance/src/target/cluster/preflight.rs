//! What a cluster has and lacks, before anything runs on it.

use std::collections::BTreeMap;

use http::Request;
use kube::Client;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::profile::{Patch, Profile, Switch};
use crate::{clause::Api, report::HeaderEncoding};

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Preflight {
    /// The version of the API server, for example `v1.34.4`.
    pub server: String,
    /// The versions of each SMI API that are served, newest first as the server prefers them.
    pub apis: BTreeMap<Api, Vec<String>>,
    /// How headers of an HTTPRouteGroup may be written, as far as its schema says; none if the kind is not served.
    pub header_encodings: Vec<HeaderEncoding>,
    /// What was looked at.
    pub findings: Vec<Finding>,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Finding {
    /// What must be.
    pub what: String,
    /// Whether it is.
    pub ok: bool,
    /// What was seen.
    pub observed: String,
    /// What to do, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// The API server cannot be asked at all.
#[derive(Debug, thiserror::Error)]
#[error("ask the API server for {what}: {source}")]
pub struct PreflightError {
    what: String,
    source: Box<kube::Error>,
}

/// The kind behind each feature that is a kind.
const KINDS: [(&str, Api, &str); 6] = [
    ("TrafficTarget", Api::Access, "traffictargets"),
    ("HttpRoutes", Api::Specs, "httproutegroups"),
    ("TcpRoutes", Api::Specs, "tcproutes"),
    ("UdpRoutes", Api::Specs, "udproutes"),
    ("TrafficSplit", Api::Split, "trafficsplits"),
    ("TrafficMetrics", Api::Metrics, "pods"),
];

/// What a run makes, beside SMI objects: group, resource, verb.
const MAKES: [(&str, &str, &str); 7] = [
    ("", "namespaces", "create"),
    ("", "namespaces", "delete"),
    ("", "serviceaccounts", "create"),
    ("", "services", "create"),
    ("apps", "deployments", "create"),
    ("", "pods/exec", "create"),
    ("", "pods/log", "get"),
];

/// Looks at everything that a run with this profile will need. Changes nothing.
///
/// # Errors
/// [`PreflightError`] if the API server cannot be asked. What it lacks is a finding.
pub async fn preflight(client: &Client, profile: &Profile) -> Result<Preflight, PreflightError> {
    let server = get(client, "/version").await?["gitVersion"].as_str().unwrap_or("unknown").to_owned();
    let apis = served(client).await?;
    let mut preflight = Preflight { server, header_encodings: Vec::new(), apis, findings: Vec::new() };
    for (feature, api, resource) in KINDS.iter().filter(|(feature, ..)| profile.features.contains(*feature)) {
        kind(client, (feature, *api, resource), &mut preflight).await?;
    }
    preflight.header_encodings = header_encodings(client, &preflight.apis).await?;
    let matches =
        preflight.apis.get(&Api::Split).is_some_and(|versions| versions.iter().any(|v| v > &"v1alpha2".to_owned()));
    if profile.features.contains("SplitMatches") {
        let hint = "TrafficSplit has matches since v1alpha3: take SplitMatches out of the profile's features";
        preflight.find("SplitMatches: TrafficSplit v1alpha3 or later is served", matches, String::new(), hint);
    }
    permissions(client, profile, &mut preflight).await?;
    control_plane(client, profile, &mut preflight).await?;
    for (mode, switch) in [("enforcing", &profile.modes.enforcing), ("allow-all", &profile.modes.allow_all)] {
        if let Some(Switch::Patch(patch)) = switch {
            let path = path(patch);
            let found = get_or_nothing(client, &path).await?.is_some();
            let observed = if found { "it is there" } else { "there is no such object" };
            let hint = "is the mesh installed, and is it the version of the profile?";
            preflight.find(&format!("mode {mode}: {path} can be changed"), found, observed.into(), hint);
        }
    }
    Ok(preflight)
}

impl Preflight {
    /// Whether nothing is missing.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.findings.iter().all(|finding| finding.ok)
    }

    fn find(&mut self, what: &str, ok: bool, observed: String, hint: &str) {
        let hint = (!ok).then(|| hint.to_owned());
        self.findings.push(Finding { what: what.to_owned(), ok, observed, hint });
    }
}

/// The SMI versions that the API server serves.
async fn served(client: &Client) -> Result<BTreeMap<Api, Vec<String>>, PreflightError> {
    let groups = get(client, "/apis").await?;
    let mut apis = BTreeMap::new();
    for group in groups["groups"].as_array().into_iter().flatten() {
        let api = [Api::Access, Api::Specs, Api::Split, Api::Metrics]
            .into_iter()
            .find(|api| group["name"] == format!("{api}.smi-spec.io"));
        if let Some(api) = api {
            let versions = group["versions"].as_array().into_iter().flatten();
            apis.insert(api, versions.filter_map(|v| v["version"].as_str().map(ToOwned::to_owned)).collect());
        }
    }
    Ok(apis)
}

async fn kind(
    client: &Client,
    (feature, api, resource): (&str, Api, &str),
    preflight: &mut Preflight,
) -> Result<(), PreflightError> {
    let mut versions = Vec::new();
    for version in preflight.apis.get(&api).cloned().unwrap_or_default() {
        let list = get_or_nothing(client, &format!("/apis/{api}.smi-spec.io/{version}")).await?.unwrap_or_default();
        if list["resources"].as_array().into_iter().flatten().any(|one| one["name"] == resource) {
            versions.push(version);
        }
    }
    let observed = if versions.is_empty() { "not served".into() } else { versions.join(", ") };
    let hint = format!("install the mesh's CRDs, or take {feature} out of the profile's features");
    preflight.find(
        &format!("{feature}: {resource}.{api}.smi-spec.io is served"),
        !versions.is_empty(),
        observed,
        &hint,
    );
    Ok(())
}

/// What the newest served HTTPRouteGroup takes, by its schema.
async fn header_encodings(
    client: &Client,
    apis: &BTreeMap<Api, Vec<String>>,
) -> Result<Vec<HeaderEncoding>, PreflightError> {
    let Some(version) = apis.get(&Api::Specs).and_then(|versions| versions.iter().max()) else { return Ok(Vec::new()) };
    let path = format!("/openapi/v3/apis/specs.smi-spec.io/{version}");
    Ok(get_or_nothing(client, &path).await?.as_ref().map(encodings).unwrap_or_default())
}

/// The encodings that a schema takes. Where it says nothing of the type, the mesh may take both.
fn encodings(document: &Value) -> Vec<HeaderEncoding> {
    let schemas = document["components"]["schemas"].as_object();
    let group = schemas.into_iter().flatten().find(|(name, _)| name.ends_with(".HTTPRouteGroup"));
    let Some((_, schema)) = group else { return Vec::new() };
    // By version, matches are below `spec` or at the top.
    let places = [&schema["properties"]["spec"]["properties"]["matches"], &schema["properties"]["matches"]];
    let mut headers = places.iter().map(|matches| &matches["items"]["properties"]["headers"]);
    match headers.find(|headers| headers.is_object()).map(|headers| headers["type"].as_str()) {
        Some(Some("array")) => vec![HeaderEncoding::List],
        Some(Some("object")) => vec![HeaderEncoding::Map],
        Some(_) => vec![HeaderEncoding::List, HeaderEncoding::Map],
        None => Vec::new(),
    }
}

async fn permissions(client: &Client, profile: &Profile, preflight: &mut Preflight) -> Result<(), PreflightError> {
    let mut wanted: Vec<(String, String, &str)> =
        MAKES.iter().map(|(group, resource, verb)| ((*group).into(), (*resource).into(), *verb)).collect();
    for (feature, api, resource) in KINDS {
        if profile.features.contains(feature) && api != Api::Metrics {
            let group = format!("{api}.smi-spec.io");
            wanted.extend(["create", "delete"].map(|verb| (group.clone(), resource.to_owned(), verb)));
        }
    }
    for (group, resource, verb) in wanted {
        let (resource_name, subresource) = resource.split_once('/').unwrap_or((&resource, ""));
        let attributes = json!({ "group": group, "resource": resource_name, "subresource": subresource, "verb": verb });
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": { "resourceAttributes": attributes },
        });
        let answer = post(client, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", &review).await?;
        let allowed = answer["status"]["allowed"] == true;
        let observed = if allowed { "allowed" } else { "not allowed" };
        let what =
            format!("may {verb} {resource}{}", if group.is_empty() { String::new() } else { format!(".{group}") });
        preflight.find(&what, allowed, observed.into(), "use a context whose user may, or bind a role to this one");
    }
    Ok(())
}

async fn control_plane(client: &Client, profile: &Profile, preflight: &mut Preflight) -> Result<(), PreflightError> {
    let pods = &profile.control_plane;
    let selector: String = form_urlencoded::byte_serialize(pods.selector.as_bytes()).collect();
    let path = format!("/api/v1/namespaces/{}/pods?labelSelector={selector}", pods.namespace);
    let found = get_or_nothing(client, &path).await?.unwrap_or_default();
    let found = found["items"].as_array().cloned().unwrap_or_default();
    let conditions = |pod: &Value| pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let is_ready = |pod: &&Value| conditions(pod).iter().any(|c| c["type"] == "Ready" && c["status"] == "True");
    let ready = found.iter().filter(is_ready).count();
    let observed = format!("{ready} of {} pods are ready", found.len());
    let hint = format!("kubectl get pods -n {} -l {}", pods.namespace, pods.selector);
    preflight.find("the control plane is ready", ready > 0 && ready == found.len(), observed, &hint);
    Ok(())
}

fn path(patch: &Patch) -> String {
    let root = if patch.api_version.contains('/') { "/apis" } else { "/api" };
    let namespace = patch.namespace.as_ref().map_or_else(String::new, |name| format!("/namespaces/{name}"));
    format!("{root}/{}{namespace}/{}/{}", patch.api_version, patch.resource, patch.name)
}

async fn get(client: &Client, path: &str) -> Result<Value, PreflightError> {
    ask(client, path, Request::get(path).body(Vec::new())).await
}

/// What is not there is nothing, not an error.
async fn get_or_nothing(client: &Client, path: &str) -> Result<Option<Value>, PreflightError> {
    match get(client, path).await {
        Ok(value) => Ok(Some(value)),
        Err(PreflightError { source, .. }) if matches!(&*source, kube::Error::Api(status) if status.code == 404) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

async fn post(client: &Client, path: &str, body: &Value) -> Result<Value, PreflightError> {
    let request = Request::post(path).header("content-type", "application/json").body(body.to_string().into_bytes());
    ask(client, path, request).await
}

async fn ask(
    client: &Client,
    path: &str,
    request: Result<Request<Vec<u8>>, http::Error>,
) -> Result<Value, PreflightError> {
    let failed = |source| PreflightError { what: path.to_owned(), source: Box::new(source) };
    let request = request.map_err(|error| failed(kube::Error::HttpError(error)))?;
    client.request(request).await.map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_tells_how_headers_are_written() {
        let of = |headers: Value, below_spec: bool| {
            let matches = json!({ "matches": { "items": { "properties": { "headers": headers } } } });
            let properties = if below_spec { json!({ "spec": { "properties": matches } }) } else { matches };
            encodings(&json!({ "components": { "schemas": {
                "io.smi-spec.specs.v1alpha4.HTTPRouteGroupList": {},
                "io.smi-spec.specs.v1alpha4.HTTPRouteGroup": { "properties": properties },
            } } }))
        };
        for below_spec in [true, false] {
            assert_eq!(of(json!({ "type": "array" }), below_spec), [HeaderEncoding::List]);
            assert_eq!(of(json!({ "type": "object" }), below_spec), [HeaderEncoding::Map]);
            let open = json!({ "x-kubernetes-preserve-unknown-fields": true });
            assert_eq!(of(open, below_spec), [HeaderEncoding::List, HeaderEncoding::Map]);
        }
        assert_eq!(encodings(&json!({})), []);
    }

    #[test]
    fn what_is_changed_for_a_mode_has_a_path() {
        let patch = |namespace: Option<&str>, version: &str| Patch {
            api_version: version.into(),
            resource: "meshes".into(),
            namespace: namespace.map(Into::into),
            name: "default".into(),
            merge: json!({}),
        };
        assert_eq!(path(&patch(Some("mesh"), "a.io/v1")), "/apis/a.io/v1/namespaces/mesh/meshes/default");
        assert_eq!(path(&patch(None, "v1")), "/api/v1/meshes/default");
    }
}
