//! Requests as `kubectl` makes them, with all that the API server answers: also warnings, which clients drop.

use hyper::Request;
use kube::Client;
use serde_json::{Value, json};

/// What the API server answers.
#[derive(Debug)]
pub(crate) struct Answer {
    /// HTTP status.
    pub(crate) status: u16,
    /// The object, or a `Status`.
    pub(crate) body: Value,
    /// The texts of `Warning` headers.
    pub(crate) warnings: Vec<String>,
}

impl Answer {
    /// Why it was refused; empty if it was not.
    pub(crate) fn refusal(&self) -> &str {
        if self.status < 300 { "" } else { self.body["message"].as_str().unwrap_or_default() }
    }

    /// The object.
    ///
    /// # Panics
    /// If it was refused.
    pub(crate) fn object(self) -> Value {
        assert!(self.status < 300, "{self:?}");
        self.body
    }
}

/// One request.
pub(crate) async fn call(client: &Client, method: &str, path: &str, body: &Value) -> Answer {
    let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let response = client.send(request.body(bytes.into()).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let warning = |value: &hyper::header::HeaderValue| {
        // `299 - "text"`, in which quotes are escaped.
        let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
        text.strip_prefix("299 - ").unwrap_or(&text).trim_matches('"').replace("\\\"", "\"")
    };
    let warnings = response.headers().get_all("warning").iter().map(warning).collect();
    let bytes = response.into_body().collect_bytes().await.unwrap();
    let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes)));
    Answer { status, body, warnings }
}

/// Where objects of a kind are: `plural` is as in `trafficsplits.split.smi-spec.io/v1alpha4`, or `pods.v1`.
pub(crate) fn collection(namespace: &str, plural: &str) -> String {
    let (plural, group) = plural.split_once('.').unwrap();
    let root = if group == "v1" { "/api" } else { "/apis" };
    format!("{root}/{group}/namespaces/{namespace}/{plural}")
}

/// Creates an object of YAML in its namespace. With `query` `dryRun=All` nothing stays.
pub(crate) async fn create(client: &Client, namespace: &str, query: &str, yaml: &str) -> Answer {
    let object: Value = serde_saphyr::from_str(yaml).unwrap_or_else(|e| panic!("{e}: {yaml}"));
    let path = collection(namespace, &plural(&object));
    call(client, "POST", &format!("{path}?{query}"), &object).await
}

/// Replaces an object by another of the same name, whatever its version is now.
pub(crate) async fn replace(client: &Client, namespace: &str, query: &str, yaml: &str) -> Answer {
    let mut object: Value = serde_saphyr::from_str(yaml).unwrap_or_else(|e| panic!("{e}: {yaml}"));
    let name = object["metadata"]["name"].as_str().unwrap();
    let path = format!("{}/{name}", collection(namespace, &plural(&object)));
    let now = call(client, "GET", &path, &Value::Null).await.object();
    object["metadata"]["resourceVersion"] = now["metadata"]["resourceVersion"].clone();
    call(client, "PUT", &format!("{path}?{query}"), &object).await
}

fn plural(object: &Value) -> String {
    let [version, kind] = ["apiVersion", "kind"].map(|field| object[field].as_str().unwrap());
    let kind = kind.to_lowercase();
    let plural = match &*kind {
        "egress" => "egresses".to_owned(),
        "retry" => "retries".to_owned(),
        "telemetry" => "telemetries".to_owned(),
        other => format!("{other}s"),
    };
    format!("{plural}.{version}")
}
