//! Objects of the API server arrive in the world, and leave it.

use mesh::model::{Kind, ObjectName, ObjectRef};

use super::harness::{
    ApiServer, Mirror, Phase, PodState, Test, apply, client, crds, delete, eventually, monitored, namespace, pod,
    replace, slice, smuggle, state, test,
};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test("watches::pods_services_and_slices_arrive_and_leave", built_in),
        test("watches::custom_resources_arrive_and_leave", custom),
        test("watches::an_unreadable_object_grants_nothing_and_does_not_stop_the_watch", unreadable),
        test("watches::a_namespace_that_is_labelled_enters_with_all_it_has", labelled),
        test("watches::the_mesh_config_is_followed", mesh_config),
    ]
}

/// The one call that `TARGET` and its group allow.
pub(crate) const TARGET: &str = "
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: t}
spec:
  destination: {kind: ServiceAccount, name: bookstore}
  rules: [{kind: HTTPRouteGroup, name: g}]
  sources: [{kind: ServiceAccount, name: bookbuyer}]
";

pub(crate) const GROUP: &str = "
apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: {name: g}
spec: {matches: [{name: all, pathRegex: /books, methods: [GET]}]}
";

pub(crate) const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: bookstore}
spec: {type: NodePort, selector: {app: bookstore}, ports: [{name: web, port: 80, targetPort: web}, {name: dns, port: 80, protocol: UDP}]}
";

async fn built_in() {
    let client = client().await;
    let mut mirror = Mirror::start(&client, "osm-system").await;
    let ns = monitored(&client, "builtin").await;
    apply(&client, &ns, SERVICE).await;
    apply(&client, &ns, "{apiVersion: v1, kind: Service, metadata: {name: away}, spec: {type: ExternalName, externalName: example.com}}").await;
    pod(&client, &ns, "one", "bookstore", "app=bookstore", "10.1.0.1").await;
    pod(&client, &ns, "two", "bookstore", "app=bookstore", "10.1.0.2").await;
    let service = ObjectName::new(ns.as_str(), "bookstore");
    mirror.until("two members", |m| m.world.members(&service).count() == 2).await;
    let found = mirror.world.service(&service).unwrap().clone();
    assert_eq!((found.ports.len(), found.cluster_ip.is_some()), (1, true), "{found:?}");
    let takes = |mirror: &Mirror| -> Vec<bool> {
        mirror.world.members(&service).map(|pod| mirror.world.takes_traffic(&service, pod)).collect()
    };
    mirror.until("both are ready", |m| takes(m) == [true, true]).await;
    slice(&client, &ns, "s", "bookstore", &[("10.1.0.1", false), ("10.1.0.2", true)]).await;
    mirror.until("the slice decides", |m| takes(m) == [false, true]).await;
    delete(&client, &ns, "discovery.k8s.io/v1/EndpointSlice", "s").await;
    mirror.until("the pods decide", |m| takes(m) == [true, true]).await;
    state(&client, &ns, "one", PodState { phase: Phase::Succeeded, ip: "10.1.0.1", ready: false }).await;
    mirror.sees(&ns, Kind::Pod, "one", false).await;
    delete(&client, &ns, "v1/Pod", "two").await;
    mirror.sees(&ns, Kind::Pod, "two", false).await;
    delete(&client, &ns, "v1/Service", "bookstore").await;
    mirror.sees(&ns, Kind::Service, "bookstore", false).await;
    assert!(mirror.world.service(&ObjectName::new(ns.as_str(), "away")).is_none());
}

async fn custom() {
    let client = client().await;
    crds(&client).await;
    let mut mirror = Mirror::start(&client, "osm-system").await;
    let ns = monitored(&client, "custom").await;
    apply(&client, &ns, TARGET).await;
    apply(&client, &ns, GROUP).await;
    apply(&client, &ns, "{apiVersion: split.smi-spec.io/v1alpha2, kind: TrafficSplit, metadata: {name: sp}, spec: {service: a, backends: [{service: b, weight: 1}]}}").await;
    for (kind, name) in [(Kind::TrafficTarget, "t"), (Kind::HttpRouteGroup, "g"), (Kind::TrafficSplit, "sp")] {
        mirror.sees(&ns, kind, name, true).await;
    }
    delete(&client, &ns, "access.smi-spec.io/v1alpha3/TrafficTarget", "t").await;
    mirror.sees(&ns, Kind::TrafficTarget, "t", false).await;
}

async fn unreadable() {
    let server = ApiServer::start().await;
    let client = server.client();
    crds(&client).await;
    let ns = monitored(&client, "unreadable").await;
    apply(&client, &ns, TARGET).await;
    let mut mirror = Mirror::start(&client, "osm-system").await;
    mirror.sees(&ns, Kind::TrafficTarget, "t", true).await;
    let broken =
        "{apiVersion: access.smi-spec.io/v1alpha3, kind: TrafficTarget, metadata: {name: t}, spec: {sources: 5}}";
    smuggle(&client, "traffictargets.access.smi-spec.io", &ns, broken).await;
    let object = ObjectRef::new(Kind::TrafficTarget, ObjectName::new(ns.as_str(), "t"));
    mirror.until("the diagnostic", |m| m.unreadable.contains_key(&object)).await;
    assert_eq!(mirror.world.targets().filter(|t| *t.name.namespace == *ns).count(), 0, "no grant stays");
    assert!(mirror.unreadable[&object].to_string().contains("spec"), "{}", mirror.unreadable[&object]);
    apply(&client, &ns, GROUP).await;
    mirror.sees(&ns, Kind::HttpRouteGroup, "g", true).await;
    // Not by server-side apply: the API server cannot merge into what its schema does not allow.
    replace(&client, &ns, "", TARGET).await.object();
    mirror.sees(&ns, Kind::TrafficTarget, "t", true).await;
    assert!(!mirror.unreadable.contains_key(&object), "healed");
}

async fn labelled() {
    let client = client().await;
    let ns = namespace(&client, "labelled").await;
    pod(&client, &ns, "one", "a", "app=a", "10.2.0.1").await;
    let mut mirror = Mirror::start(&client, "osm-system").await;
    mirror.sees(&ns, Kind::Pod, "one", false).await;
    let label =
        |labels: &str| format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {ns}, labels: {{{labels}}}}}}}");
    apply(&client, "", &label("openservicemesh.io/monitored-by: osm")).await;
    mirror.sees(&ns, Kind::Pod, "one", true).await;
    apply(&client, "", &label("openservicemesh.io/monitored-by: osm, openservicemesh.io/ignore: 'true'")).await;
    mirror.sees(&ns, Kind::Pod, "one", false).await;
    apply(&client, "", &label("openservicemesh.io/monitored-by: osm")).await;
    mirror.sees(&ns, Kind::Pod, "one", true).await;
    assert!(mirror.namespaces.is_monitored(&ns, "osm"));
    apply(&client, "", &label("")).await;
    mirror.sees(&ns, Kind::Pod, "one", false).await;
}

async fn mesh_config() {
    let server = ApiServer::start().await;
    let client = server.client();
    crds(&client).await;
    let home = namespace(&client, "home").await;
    let mut mirror = Mirror::start(&client, &home).await;
    assert!(!mirror.world.settings().egress);
    assert!(mesh::k8s::defaults::ensure_mesh_config(&client, &home).await.unwrap());
    assert!(!mesh::k8s::defaults::ensure_mesh_config(&client, &home).await.unwrap(), "it is there already");
    let config = |spec: &str| {
        format!(
            "{{apiVersion: config.openservicemesh.io/v1alpha2, kind: MeshConfig, metadata: {{name: osm-mesh-config}}, spec: {spec}}}"
        )
    };
    apply(&client, &home, &config("{traffic: {enableEgress: true}}")).await;
    mirror.until("egress", |m| m.world.settings().egress).await;
    let broken = config("{traffic: {enableEgress: maybe}}");
    smuggle(&client, "meshconfigs.config.openservicemesh.io", &home, &broken).await;
    let object = ObjectRef::new(Kind::MeshConfig, ObjectName::new(home.as_str(), "osm-mesh-config"));
    mirror.until("the diagnostic", |m| m.unreadable.contains_key(&object)).await;
    assert!(mirror.world.settings().egress, "the last good one stays");
    replace(&client, &home, "", &config("{traffic: {enableEgress: false}}")).await.object();
    mirror.until("no egress", |m| !m.world.settings().egress).await;
    eventually("nothing is wrong", || async { mirror.unreadable.is_empty().then_some(()) }).await;
}
