//! TrafficMetrics, served to the front proxy of the API server.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Serving, Webhook, flags::Flags};
use crate::{
    admin::Metrics,
    ca::SystemClock,
    inject::METRICS_PORT,
    metrics::{
        Api, GROUP, Observer, VERSION,
        admission::{self, FrontProxy, RequestHeader},
        observer::Sidecars,
        resource::Owners,
        server,
    },
    run::Worlds,
};

/// The server, if a flag asks for it. What it needs beside runs as long as it does.
pub(super) fn serve(
    flags: &Flags,
    client: Client,
    serving: watch::Receiver<Serving>,
    metrics: Arc<Metrics>,
    worlds: Worlds,
) -> Option<Webhook> {
    let port = flags.metrics.metrics_api_port?;
    let pods = {
        let worlds = worlds.clone();
        move || worlds.now().workloads().map(|pod| (pod.name.clone(), pod.address)).collect()
    };
    let sidecars = Sidecars::new(pods, METRICS_PORT)
        .inspect_err(|error| tracing::error!(%error, "no HTTP client: there is no metrics API"))
        .ok()?;
    let tls = serving.borrow().tls();
    let tls = tls.inspect_err(|error| tracing::error!(%error, "no TLS: there is no metrics API")).ok()?;
    let (tls_in, tls) = watch::channel(Arc::new(tls));
    let (header_in, header) = watch::channel(RequestHeader::default());
    tokio::spawn(admission::follow(client.clone(), serving, header_in, tls_in));
    let window = Duration::from_secs(flags.metrics.metrics_window);
    let observer = Arc::new(Observer::new(Box::new(sidecars), Arc::new(SystemClock), window));
    let every = Duration::from_secs(flags.metrics.metrics_interval);
    tokio::spawn(server::observe(Arc::downgrade(&observer), every, metrics));
    let api = Api::new(observer, move || worlds.now(), Owners::of_kubernetes(), None);
    let router = server::router(Arc::new(api), Arc::new(FrontProxy::new(client, header)));
    Some(Webhook { name: "metrics-api", listen: flags.listen.at(port), router, tls: Some(tls) })
}

/// The object that leads the API server there, if a flag asks for it.
pub(super) fn registration(flags: &Flags, serving: &Serving) -> Option<Value> {
    let port = flags.metrics.metrics_api_port?;
    Some(json!({
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": { "name": format!("{VERSION}.{GROUP}") },
        "spec": {
            "group": GROUP,
            "version": VERSION,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "service": { "name": flags.webhooks.webhook_service, "namespace": flags.osm_namespace, "port": port },
            "caBundle": BASE64_STANDARD.encode(&*serving.roots_pem),
        },
    }))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs, path::Path};

    use clap::Parser as _;

    use super::*;
    use crate::ca::{Clock as _, ControlCa, Validity};

    /// Every object of `deploy/manifests`, by kind and name.
    fn manifests() -> BTreeMap<String, Value> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/manifests");
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let yaml = files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
        let objects = yaml.flat_map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            serde_saphyr::from_multiple::<Value>(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        });
        let named = |object: Value| {
            let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{object}")).to_owned();
            (format!("{} {}", text(&object["kind"]), text(&object["metadata"]["name"])), object)
        };
        objects.map(named).collect()
    }

    #[test]
    fn the_manifests_lead_where_the_controller_listens() {
        let all = manifests();
        let container = &all["Deployment osm-controller"]["spec"]["template"]["spec"]["containers"][0];
        let arguments = container["args"].as_array().unwrap().iter().filter_map(Value::as_str);
        let flags = Flags::try_parse_from(["osm-controller"].into_iter().chain(arguments.filter(|a| !a.contains('$'))));
        let flags = flags.unwrap();
        let now = SystemClock.now();
        let ca = ControlCa::generate(now).unwrap();
        let names: Vec<_> = flags.server_names();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let made = ca.server_certificate(&names, &[], Validity::starting(now, Duration::from_secs(60))).unwrap();
        let serving = Serving { chain_pem: made.chain_pem, key: made.key, roots_pem: ca.root_pem().clone() };
        let mut registered = registration(&flags, &serving).unwrap();
        assert!(registered["spec"].as_object_mut().unwrap().remove("caBundle").is_some());
        assert_eq!(registered, all["APIService v1alpha1.metrics.smi-spec.io"]);

        // By way of the Service to the port that is listened on, under a name that the certificate has.
        let service = &registered["spec"]["service"];
        let ports = all["Service osm-controller"]["spec"]["ports"].as_array().unwrap();
        let port = ports.iter().find(|port| port["port"] == service["port"]).unwrap();
        let listening =
            container["ports"].as_array().unwrap().iter().find(|p| p["name"] == port["targetPort"]).unwrap();
        assert_eq!(listening["containerPort"], flags.metrics.metrics_api_port.unwrap());
        let name = format!("{}.{}.svc", service["name"].as_str().unwrap(), service["namespace"].as_str().unwrap());
        assert!(names.contains(&&*name), "{names:?}");
        let open = all["NetworkPolicy osm-controller"]["spec"]["ingress"][0]["ports"].as_array().unwrap();
        assert!(open.iter().any(|open| open["port"] == port["targetPort"]));
    }

    #[test]
    fn the_controller_may_do_what_the_metrics_api_needs() {
        let all = manifests();
        let rules = all["ClusterRole osm-controller"]["rules"].as_array().unwrap();
        let may = |resource: &str, verb: &str| {
            let has = |list: &Value, wanted: &str| list.as_array().is_some_and(|l| l.iter().any(|v| v == wanted));
            rules.iter().any(|rule| has(&rule["resources"], resource) && has(&rule["verbs"], verb))
        };
        for (resource, verb) in
            [("subjectaccessreviews", "create"), ("apiservices", "patch"), ("apiservices", "create"), ("pods", "watch")]
        {
            assert!(may(resource, verb), "{verb} {resource}");
        }
        let reader = &all["RoleBinding osm-controller-authentication-reader"];
        assert_eq!(reader["metadata"]["namespace"], "kube-system");
        assert_eq!(reader["roleRef"]["name"], "extension-apiserver-authentication-reader");
    }

    #[test]
    fn without_its_flag_there_is_no_metrics_api() {
        let flags = Flags::try_parse_from(["osm-controller"]).unwrap();
        assert_eq!(flags.metrics.metrics_api_port, None);
        let wrong = Flags::try_parse_from(["osm-controller", "--metrics-window", "0"]);
        assert!(wrong.is_err());
    }
}
