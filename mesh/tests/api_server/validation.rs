//! Rules of admission, as people meet them: the API server says what is wrong with what they write.

mod rules;
mod schemas;

use mesh::world::World;
use serde_json::Value;

use super::harness::{
    Test, Validator, apply, call, client, collection, create, delete, eventually, monitored, namespace, replace, test,
};

pub(crate) fn tests() -> Vec<Test> {
    let tests = vec![
        test("validation::old_mistakes_stay_editable_and_deletion_is_never_refused", updates),
        test("validation::other_namespaces_are_not_looked_at", elsewhere),
        test("validation::roots_are_rotated_step_by_step", roots),
    ];
    tests.into_iter().chain(rules::tests()).chain(schemas::tests()).collect()
}

fn split(name: &str, root: &str, backends: &str) -> String {
    format!(
        "{{apiVersion: split.smi-spec.io/v1alpha4, kind: TrafficSplit, metadata: {{name: {name}}}, spec: {{service: {root}, backends: [{backends}]}}}}"
    )
}

const ONE: &str = "{service: v1, weight: 1}";

async fn updates() {
    let client = client().await;
    let validator = Validator::start(&client, "updates").await;
    // Written before the mesh came.
    let ns = namespace(&client, "updates").await;
    let bad =
        |weight: u8| split("s", "web", &format!("{{service: v1, weight: {weight}}}, {{service: v1.{ns}, weight: 1}}"));
    apply(&client, &ns, &bad(1)).await;
    let label = format!(
        "{{apiVersion: v1, kind: Namespace, metadata: {{name: {ns}, labels: {{openservicemesh.io/monitored-by: updates}}}}}}"
    );
    apply(&client, "", &label).await;
    let splits = |world: &World| world.splits().filter(|s| *s.name.namespace == *ns).count() == 1;
    validator.until("the split", |s| splits(&s.world)).await;
    let again = split("other", "v2", &format!("{{service: v1, weight: 1}}, {{service: v1.{ns}, weight: 1}}"));
    let asked = || async { (!create(&client, &ns, "dryRun=All", &again).await.refusal().is_empty()).then_some(()) };
    eventually("the namespace is validated", asked).await;
    let answer = replace(&client, &ns, "", &bad(7)).await;
    assert_eq!(answer.refusal(), "", "{answer:?}");
    assert!(answer.warnings.iter().any(|w| w.contains("is named more than once")), "{answer:?}");
    // Another mistake is another matter.
    let worse = split(
        "s",
        "web",
        &format!("{{service: v1, weight: 1}}, {{service: v1.{ns}, weight: 1}}, {{service: v2.elsewhere, weight: 1}}"),
    );
    let answer = replace(&client, &ns, "", &worse).await;
    assert!(answer.refusal().contains("v2.elsewhere is no service of namespace"), "{answer:?}");
    assert!(!answer.refusal().contains("more than once"), "{answer:?}");
    let mended = split("s", "web", ONE);
    assert_eq!(replace(&client, &ns, "", &mended).await.refusal(), "");
    let relapse = replace(&client, &ns, "", &bad(1)).await;
    assert!(relapse.refusal().contains("is named more than once"), "{relapse:?}");

    // Nobody answers: nothing is let in, and everything may go.
    let registered = validator.silence();
    let nobody = || async {
        let answer = replace(&client, &ns, "dryRun=All", &mended).await;
        answer.refusal().contains("failed calling webhook").then_some(())
    };
    eventually("nothing is let in", nobody).await;
    delete(&client, &ns, "split.smi-spec.io/v1alpha4/TrafficSplit", "s").await;
    registered.end().await;
}

async fn elsewhere() {
    let client = client().await;
    let validator = Validator::start(&client, "elsewhere").await;
    let bad = split("s", "web", "{service: v1.elsewhere, weight: 1}");
    let (own, none) = (validator.namespace("own").await, namespace(&client, "none").await);
    let other = monitored(&client, "other").await;
    let refused = || async { (!create(&client, &own, "dryRun=All", &bad).await.refusal().is_empty()).then_some(()) };
    eventually("its own are validated", refused).await;
    for ns in [&none, &other] {
        let answer = create(&client, ns, "", &bad).await;
        assert_eq!((answer.refusal(), answer.warnings.len()), ("", 0), "{ns}");
    }
    validator.end().await;
}

fn root(name: &str, role: &str, secret: &str) -> String {
    format!(
        "
apiVersion: config.openservicemesh.io/v1alpha2
kind: MeshRootCertificate
metadata: {{name: {name}}}
spec:
  role: {role}
  trustDomain: cluster.local
  provider: {{tresor: {{ca: {{secretRef: {{name: {secret}, namespace: osm-system}}}}}}}}
"
    )
}

async fn roots() {
    let client = client().await;
    let validator = Validator::start(&client, "roots").await;
    let home = validator.home.clone();
    let write = async |first: bool, yaml: String| {
        let answer =
            if first { create(&client, &home, "", &yaml).await } else { replace(&client, &home, "", &yaml).await };
        validator.look_at_roots().await;
        answer.refusal().to_owned()
    };
    let empty = root("first", "active", "one").replace("cluster.local", "''");
    assert!(write(true, empty).await.contains("trustDomain: is empty"));
    assert!(write(true, root("first", "active", "''")).await.contains("secretRef.name: is missing or empty"));
    assert!(write(true, root("first", "retired", "one")).await.contains("spec.role: Unsupported value"));
    assert_eq!(write(true, root("first", "active", "one")).await, "");
    assert!(write(true, root("second", "active", "two")).await.contains("first is active already"));
    assert_eq!(write(true, root("second", "passive", "two")).await, "");
    assert!(write(true, root("third", "passive", "three")).await.contains("and two are the most"));
    assert!(write(false, root("second", "passive", "other")).await.contains("spec.provider: cannot change"));
    assert!(write(false, root("first", "inactive", "one")).await.contains("from active to inactive"));
    assert!(write(false, root("first", "passive", "one")).await.contains("no root would be active"));
    assert_eq!(write(false, root("second", "active", "two")).await, "");
    assert_eq!(write(false, root("first", "passive", "one")).await, "");
    assert!(write(false, root("second", "passive", "two")).await.contains("no root would be active"));
    assert_eq!(write(false, root("first", "inactive", "one")).await, "");
    assert!(write(false, root("first", "active", "one")).await.contains("from inactive to active"));
    let domain = root("second", "active", "two").replace("cluster.local", "other.example");
    assert!(write(false, domain).await.contains("trustDomain cannot change"));
    let path = format!("{}/second", collection(&home, "meshrootcertificates.config.openservicemesh.io/v1alpha2"));
    call(&client, "DELETE", &path, &Value::Null).await.object();
    validator.end().await;
}
