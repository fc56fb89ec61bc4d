//! Whole pods: what they become, that a second pass changes nothing, and that all of it can be taken back.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{container::MARKER, decision, *};
use crate::api::mesh_config::MeshConfigSpec;

pub(super) fn installation() -> Installation {
    Installation {
        mesh: "osm".into(),
        namespace: "osm-system".into(),
        envoy_image: "envoy:1".into(),
        init_image: "init:1".into(),
        pull_policy: "IfNotPresent".into(),
        control_plane: settings::ControlPlane {
            host: "osm-controller.osm-system.svc.cluster.local".into(),
            port: 15128,
            server_name: None,
            roots: "-----BEGIN CERTIFICATE-----\n".into(),
        },
        native_sidecar: true,
        ipv6: false,
    }
}

pub(super) fn namespace() -> Namespace {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Namespace {
        name: "shop".into(),
        labels: [pair(decision::MONITORED_BY, "osm")].into(),
        annotations: [pair(decision::INJECTION, "enabled")].into(),
    }
}

fn settings(config: Value) -> Settings {
    let config: MeshConfigSpec = serde_json::from_value(config).unwrap();
    Settings::new(installation(), &config)
}

fn classic(config: Value) -> Settings {
    let mut settings = settings(config);
    settings.installation.native_sidecar = false;
    settings
}

fn injection(pod: &Value, settings: &Settings) -> Injection {
    match patch(pod, &namespace(), settings).unwrap() {
        Decision::Inject(injection) => injection,
        Decision::Skip(skip) => panic!("{skip}"),
    }
}

fn injected(pod: &Value, settings: &Settings) -> Value {
    let mut after = pod.clone();
    json_patch::patch(&mut after, &injection(pod, settings).patch).unwrap();
    after
}

fn refusal(pod: &Value, settings: &Settings) -> String {
    patch(pod, &namespace(), settings).unwrap_err().to_string()
}

fn simple() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "web", "namespace": "shop", "labels": { "app": "web" } },
        "spec": { "serviceAccountName": "web", "containers": [{ "name": "web", "image": "web:1", "newField": { "a": [1] } }] },
    })
}

fn busy() -> Value {
    let http = |port: Value| json!({ "httpGet": { "path": "/live", "port": port }, "timeoutSeconds": 3 });
    json!({
        "metadata": {
            "generateName": "shop-",
            "annotations": {
                "prometheus.io/port": "8080",
                "openservicemesh.io/outbound-port-exclusion-list": "6379",
                "openservicemesh.io/outbound-port-exclude": "6379",
            },
        },
        "spec": {
            "initContainers": [{ "name": "migrate", "image": "migrate:1" }],
            "containers": [
                {
                    "name": "web", "image": "web:1",
                    "ports": [{ "name": "http", "containerPort": 8080 }],
                    "livenessProbe": http("http".into()),
                    "readinessProbe": { "grpc": { "port": 9090 } },
                },
                { "name": "db", "image": "db:1", "livenessProbe": http(81.into()), "startupProbe": { "tcpSocket": { "port": 5432 } } },
            ],
            "volumes": [{ "name": "data", "emptyDir": {} }],
        },
    })
}

/// With the long arguments as what they are, so that a snapshot can be read.
fn readable(mut pod: Value) -> String {
    for key in ["initContainers", "containers"] {
        for container in document::items_mut(&mut pod["spec"], key) {
            for list in ["args", "command"] {
                for argument in document::items_mut(container, list) {
                    let text = argument.as_str().unwrap_or_default().to_owned();
                    if text.starts_with('{') {
                        *argument = serde_json::from_str(&text).unwrap();
                    } else if text.contains('\n') {
                        *argument = text.lines().collect();
                    }
                }
            }
        }
    }
    format!("{pod:#}")
}

#[test]
fn a_simple_pod_gets_a_native_sidecar() {
    insta::assert_snapshot!(readable(injected(&simple(), &settings(json!({})))));
}

#[test]
fn a_busy_pod_keeps_what_it_has() {
    let settings = settings(json!({
        "sidecar": { "logLevel": "debug", "resources": { "limits": { "cpu": "1500m", "memory": "256Mi" } }, "localProxyMode": "PodIP" },
    }));
    let mut scraped = namespace();
    scraped.annotations.insert(decision::METRICS.into(), "yes".into());
    let Decision::Inject(injection) = patch(&busy(), &scraped, &settings).unwrap() else { panic!("not injected") };
    assert_eq!(injection.warnings.len(), 1, "{:?}", injection.warnings);
    let mut after = busy();
    json_patch::patch(&mut after, &injection.patch).unwrap();
    insta::assert_snapshot!(readable(after.clone()));
    assert_eq!(remove(&after).unwrap(), busy());
}

#[test]
fn an_old_cluster_gets_a_classic_sidecar() {
    let config = json!({ "sidecar": { "enablePrivilegedInitContainer": true, "envoyImage": "mine:2" } });
    insta::assert_snapshot!(readable(injected(&simple(), &classic(config))));
}

#[test]
fn a_copy_without_annotations_gets_what_the_pod_got() {
    let settings = settings(json!({}));
    let mut copy = injected(&busy(), &settings);
    copy["metadata"] = json!({ "name": "debug" });
    let again = injected(&copy, &settings);
    assert_eq!(again["spec"]["containers"], copy["spec"]["containers"], "the probes are those of the pod");
    let names = |pod: &Value| {
        document::items(&pod["spec"], "initContainers").iter().map(|c| document::name(c).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&again), ["osm-init", "envoy", "migrate"]);
}

#[test]
fn what_others_add_between_two_passes_is_kept_and_looked_at() {
    let settings = settings(json!({}));
    let mut pod = injected(&simple(), &settings);
    pod["spec"]["initContainers"][1]["resources"] = json!({ "limits": { "cpu": "1" } });
    pod["spec"]["initContainers"][1]["volumeMounts"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "name": "tools", "mountPath": "/t" }));
    let late = json!({ "name": "late", "readinessProbe": { "tcpSocket": { "port": 1 } } });
    pod["spec"]["containers"].as_array_mut().unwrap().push(late);
    let again = injected(&pod, &settings);
    assert_eq!(again["spec"]["containers"][1]["readinessProbe"]["httpGet"]["port"], 15901);
    assert_eq!(again["spec"]["initContainers"][1]["resources"], json!({ "limits": { "cpu": "1" } }));
    assert_eq!(again["spec"]["initContainers"][1]["volumeMounts"][1]["name"], "tools");
    assert_eq!(injected(&again, &settings), again);
}

#[test]
fn nobody_evades_by_looking_injected() {
    let mut pod = simple();
    pod["metadata"]["annotations"] = json!({ MARKER: "osm" });
    pod["spec"]["initContainers"] =
        json!([{ "name": "envoy", "image": "evil", "args": ["x"], "env": [{ "name": "OSM_ORIGIN", "value": "{}" }] }]);
    let after = injected(&pod, &settings(json!({})));
    assert_eq!(after["spec"]["initContainers"][0]["name"], "osm-init");
    assert_eq!(after["spec"]["initContainers"][1]["image"], "envoy:1");
    pod["spec"]["initContainers"][0]["env"][0]["value"] = "[".into();
    assert!(refusal(&pod, &settings(json!({}))).contains("OSM_ORIGIN"));
}

#[test]
fn no_argument_holds_a_reference_that_kubernetes_would_replace() {
    let mut pod = simple();
    pod["spec"]["containers"][0]["livenessProbe"] = json!({ "httpGet": { "path": "/$(POD_NAME)", "port": 1 } });
    let after = injected(&pod, &settings(json!({})));
    let envoy = &after["spec"]["initContainers"][1];
    assert!(!envoy["args"].as_array().unwrap().last().unwrap().as_str().unwrap().contains('$'));
    assert!(!envoy["env"].as_array().unwrap().last().unwrap()["value"].as_str().unwrap().contains('$'));
    assert!(!after["spec"]["initContainers"][0]["command"][2].as_str().unwrap().contains("$("));
    assert_eq!(remove(&after).unwrap(), pod);
}

#[test]
fn a_pod_that_would_break_is_refused() {
    let plain = settings(json!({}));
    let with = |pointer: &str, value: Value| {
        let mut pod = simple();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        pod.pointer_mut(parent).unwrap()[key] = value;
        pod
    };
    for (pod, expected) in [
        (with("/spec/securityContext", json!({ "runAsUser": 1500 })), "container `web` runs as user 1500"),
        (with("/spec/containers/0/securityContext", json!({ "runAsUser": 1500 })), "container `web` runs as user 1500"),
        (with("/spec/containers/0/name", "envoy".into()), "container `envoy` has the name"),
        (with("/spec/containers/0/ports", json!([{ "containerPort": 15001 }])), "declares port 15001"),
        (with("/spec/containers/0/ports", json!([{ "containerPort": 15901 }])), "declares port 15901"),
        (with("/spec/volumes", json!([{ "name": "osm-identity" }])), "volume `osm-identity` has the name"),
        (with("/spec/containers", json!([])), "it has no containers"),
        (json!({ "spec": 3 }), "this is not a pod"),
        (with("/metadata/annotations", json!({ exclusions::INTERFACES: "a b" })), "network-interface-exclusion-list"),
    ] {
        let refusal = refusal(&pod, &plain);
        assert!(refusal.contains(expected), "{refusal}");
    }
    let mut other = with("/spec/securityContext", json!({ "runAsUser": 1500 }));
    other["spec"]["containers"][0]["securityContext"] = json!({ "runAsUser": 1000 });
    injected(&other, &plain);
    let mut nameless = plain;
    nameless.installation.envoy_image.clear();
    assert!(refusal(&simple(), &nameless).contains("`spec.sidecar.envoyImage`"));
}

fn injector() -> Injector {
    let known = std::sync::Arc::new(settings(json!({})));
    Injector {
        namespace: std::sync::Arc::new(|name| (name == "shop").then(namespace)),
        settings: std::sync::Arc::new(move || known.clone()),
    }
}

#[test]
fn the_webhook_answers_reviews_and_nothing_else() {
    let injector = injector();
    let review = |namespace: &str, operation: &str, pod: Value| {
        let kind = json!({ "group": "", "version": "v1", "kind": "Pod" });
        let request = json!({ "uid": "u1", "kind": kind, "namespace": namespace, "operation": operation, "object": pod, "dryRun": true });
        let review = json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request });
        injector.review(review.to_string().as_bytes()).unwrap()["response"].clone()
    };
    let good = review("shop", "CREATE", simple());
    assert_eq!((&good["uid"], &good["allowed"], &good["patchType"]), (&json!("u1"), &json!(true), &json!("JSONPatch")));
    let unknown = review("elsewhere", "CREATE", simple());
    assert_eq!((&unknown["allowed"], &unknown["status"]["code"]), (&json!(false), &json!(503)));
    assert_eq!(review("shop", "UPDATE", simple())["allowed"], false);
    assert_eq!(review("shop", "CREATE", json!([]))["status"]["code"], 422);
    assert!(injector.review(b"{}").is_err() && injector.review(b"\xff").is_err());
    assert!(injector.review(br#"{"apiVersion":"v1","kind":"AdmissionReview","request":{"uid":""}}"#).is_err());
}

#[tokio::test]
async fn the_webhook_takes_json_of_a_sensible_size() {
    use axum::http::{Request, StatusCode};
    use tower::ServiceExt as _;
    let known = std::sync::Arc::new(settings(json!({})));
    let router = router(Injector {
        namespace: std::sync::Arc::new(|_| Some(namespace())),
        settings: std::sync::Arc::new(move || known.clone()),
    });
    for (kind, size, status) in [
        ("text/plain", 2, StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("application/json; charset=utf-8", 2, StatusCode::BAD_REQUEST),
        ("application/json", 5 << 20, StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let request: Request<axum::body::Body> =
            Request::post(WEBHOOK_PATH).header("content-type", kind).body("x".repeat(size).into()).unwrap();
        let response: axum::response::Response = router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status);
    }
}

#[test]
fn the_registration_fails_closed_and_has_no_side_effects() {
    let registration = webhook::Registration {
        mesh: "osm".into(),
        namespace: "osm-system".into(),
        address: webhook::Address::Service {
            name: "osm-controller".into(),
            namespace: "osm-system".into(),
            port: 9090,
        },
        authority: "PEM".into(),
        timeout: 10,
    };
    insta::assert_snapshot!(format!("{:#}", json!(registration.configuration())));
}

/// Any JSON, with keys that a pod has more often than not.
fn anything() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(vec![
        "metadata",
        "annotations",
        "spec",
        "containers",
        "initContainers",
        "volumes",
        "name",
        "env",
        "value",
        "livenessProbe",
        "httpGet",
        "tcpSocket",
        "grpc",
        "port",
        "path",
        "ports",
        "containerPort",
        "lifecycle",
        "preStop",
        "securityContext",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        prop::sample::select(vec!["envoy", "osm-init", "OSM_ORIGIN", "{}", "web", "http", "é", ""])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..5).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

fn probe() -> impl Strategy<Value = Value> {
    let port = prop_oneof![(1..65535_u16).prop_map(Value::from), Just(Value::from("http")), Just(Value::from("99"))];
    (port, 0..5_u8, 0..4_u32, "[/a-z?$(){}#é ]{0,12}").prop_map(|(port, kind, timeout, path)| {
        let mut probe = match kind {
            0 => json!({ "httpGet": { "path": path, "port": port } }),
            1 => json!({ "httpGet": { "port": port, "scheme": "HTTPS" } }),
            2 => json!({ "tcpSocket": { "port": port } }),
            3 => json!({ "grpc": { "port": 8080 } }),
            _ => json!({ "exec": { "command": ["true"] } }),
        };
        probe["timeoutSeconds"] = timeout.into();
        probe
    })
}

prop_compose! {
    fn pod()(
        probes in prop::collection::vec((prop::option::of(probe()), prop::option::of(probe()), any::<bool>()), 1..4),
        inits in 0..3_usize,
        volumes in 0..2_usize,
        port in prop::option::of(1..65535_u16),
    ) -> Value {
        let mut pod = json!({ "metadata": { "labels": { "a": "b" } }, "spec": { "containers": [] } });
        let container = |(number, (live, stop, ready)): (usize, (Option<Value>, Option<Value>, bool))| {
            let mut container = json!({ "name": format!("c{number}"), "ports": [{ "name": "http", "containerPort": 80 }] });
            if let Some(live) = live {
                container[if ready { "readinessProbe" } else { "livenessProbe" }] = live;
            }
            if let Some(stop) = stop {
                container["lifecycle"] = json!({ "preStop": stop });
            }
            container
        };
        pod["spec"]["containers"] = probes.into_iter().enumerate().map(container).collect();
        let named = |prefix: &str, count| (0..count).map(|i| json!({ "name": format!("{prefix}{i}") })).collect::<Value>();
        if inits > 0 {
            pod["spec"]["initContainers"] = named("i", inits);
        }
        if volumes > 0 {
            pod["spec"]["volumes"] = named("v", volumes);
        }
        if let Some(port) = port {
            pod["metadata"]["annotations"] = json!({ exclusions::INBOUND_PORTS: port.to_string(), "prometheus.io/scrape": "true" });
        }
        pod
    }
}

proptest! {
    #[test]
    fn nothing_panics(pod in anything()) {
        let _ = patch(&pod, &namespace(), &settings(json!({})));
        let _ = remove(&pod);
    }

    #[test]
    fn no_review_panics(
        object in prop_oneof![anything(), pod()],
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        bytes in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let kind = json!({ "group": "", "version": "v1", "kind": "Pod" });
        let request = json!({ "uid": "u", "kind": kind, "namespace": "shop", "operation": "CREATE", "object": object });
        let mut review =
            json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request }).to_string().into_bytes();
        let answer = injector().review(&review).expect("a review");
        prop_assert!(answer["response"]["allowed"].is_boolean(), "{}", answer);
        let place = at.index(review.len());
        review[place] = byte;
        let _ = injector().review(&review);
        let _ = injector().review(&review[..place]);
        let _ = injector().review(&bytes);
    }

    #[test]
    fn a_second_pass_changes_nothing_and_removal_gives_the_pod_back(pod in pod(), native in any::<bool>()) {
        let settings = if native { settings(json!({})) } else { classic(json!({})) };
        let after = injected(&pod, &settings);
        prop_assert_eq!(injection(&after, &settings).patch.0, Vec::new());
        prop_assert_eq!(remove(&after).unwrap(), pod);
    }
}
