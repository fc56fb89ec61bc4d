//! Every mistake, with the message that it gets. Objects begin with three lines of `apiVersion`, `kind` and `metadata`.

use insta::assert_snapshot;

use super::{object, refused};

#[test]
fn shape_of_the_document() {
    assert_snapshot!(refused("just text"), @"t.yaml:1:1: expected an object: a mapping with `apiVersion`, `kind` and `metadata`");
    assert_snapshot!(refused("[]"), @"t.yaml:1:1: expected an object: a mapping with `apiVersion`, `kind` and `metadata`");
    assert_snapshot!(refused("kind: TCPRoute\n"), @"t.yaml:1:1: TCPRoute apiVersion: is missing");
    assert_snapshot!(refused("apiVersion: v1\nkind: [Service]\n"), @"t.yaml:2:7: kind: expected text");
    assert_snapshot!(refused("a: b\n  c: d\n"), @"t.yaml:2:4: mapping values are not allowed in this context");
    assert_snapshot!(refused("a: 'open\n"), @"t.yaml:1:4: unclosed quote");
    assert_snapshot!(refused("a: *nowhere\n"), @"t.yaml:1:4: alias references unknown anchor");
    assert_snapshot!(refused("a: !odd b\n"), @"t.yaml:1:9: unsupported tag `!odd`");
    assert_snapshot!(refused("apiVersion: v1\nkind: List\nitem: []\n"), @"t.yaml:3:1: item: unknown field: known here are `apiVersion`, `kind`, `metadata`, `items` (did you mean `items`?)");
    assert_snapshot!(refused("apiVersion: v2\nkind: List\nitems: []\n"), @"t.yaml:1:13: apiVersion: a List is served as `v1`");
    assert_snapshot!(refused("apiVersion: v1\nkind: List\nitems: {}\n"), @"t.yaml:3:8: items: expected a list");
}

#[test]
fn kinds_and_versions() {
    assert_snapshot!(refused(&object("v1", "Servcie", "")), @"t.yaml:2:7: Servcie shop/n kind: `Servcie` is not a kind that the mesh reads; it reads `TrafficTarget`, `HTTPRouteGroup`, `TCPRoute`, `UDPRoute`, `TrafficSplit`, `Service`, `MeshConfig`, `Egress`, `IngressBackend`, `Retry`, `UpstreamTrafficSetting`, `Telemetry`, `ExtensionService`, `MeshRootCertificate` (did you mean `Service`?)");
    assert_snapshot!(refused(&object("v1", "Pod", "")), @"t.yaml:2:7: Pod shop/n kind: `Pod` is not a kind that the mesh reads; it reads `TrafficTarget`, `HTTPRouteGroup`, `TCPRoute`, `UDPRoute`, `TrafficSplit`, `Service`, `MeshConfig`, `Egress`, `IngressBackend`, `Retry`, `UpstreamTrafficSetting`, `Telemetry`, `ExtensionService`, `MeshRootCertificate`");
    assert_snapshot!(refused(&object("split.smi-spec.io/v1beta1", "TrafficSplit", "")), @"t.yaml:1:13: TrafficSplit shop/n apiVersion: TrafficSplit is served as `split.smi-spec.io/v1alpha1`, `split.smi-spec.io/v1alpha2`, `split.smi-spec.io/v1alpha3`, `split.smi-spec.io/v1alpha4`, not as `split.smi-spec.io/v1beta1` (did you mean `split.smi-spec.io/v1alpha1`?)");
    assert_snapshot!(refused(&object("specs.smi-spec.io/v1alpha4", "TrafficSplit", "")), @"t.yaml:1:13: TrafficSplit shop/n apiVersion: TrafficSplit is served as `split.smi-spec.io/v1alpha1`, `split.smi-spec.io/v1alpha2`, `split.smi-spec.io/v1alpha3`, `split.smi-spec.io/v1alpha4`, not as `specs.smi-spec.io/v1alpha4` (did you mean `split.smi-spec.io/v1alpha4`?)");
    assert_snapshot!(refused(&object("access.smi-spec.io/v1alpha4", "TrafficTarget", "")), @"t.yaml:1:13: TrafficTarget shop/n apiVersion: TrafficTarget is served as `access.smi-spec.io/v1alpha1`, `access.smi-spec.io/v1alpha2`, `access.smi-spec.io/v1alpha3`, not as `access.smi-spec.io/v1alpha4` (did you mean `access.smi-spec.io/v1alpha3`?)");
    assert_snapshot!(refused(&object("specs.smi-spec.io/v1alpha3", "UDPRoute", "")), @"t.yaml:1:13: UDPRoute shop/n apiVersion: UDPRoute is served as `specs.smi-spec.io/v1alpha4`, not as `specs.smi-spec.io/v1alpha3` (did you mean `specs.smi-spec.io/v1alpha4`?)");
}

#[test]
fn metadata() {
    assert_snapshot!(refused("apiVersion: v1\nkind: Service\nspec: {}\n"), @"t.yaml:1:1: Service metadata: is missing");
    assert_snapshot!(refused("apiVersion: v1\nkind: Service\nmetadata: {}\nspec: {}\n"), @"t.yaml:3:11: Service metadata.name: is missing");
    assert_snapshot!(refused("apiVersion: v1\nkind: Service\nmetadata: {name: a, lables: {}}\nspec: {}\n"), @"t.yaml:3:21: Service default/a metadata.lables: unknown field: known here are `name`, `namespace`, `labels`, `annotations`, `creationTimestamp`, `uid`, `resourceVersion`, `generation`, `generateName`, `selfLink`, `managedFields`, `ownerReferences`, `finalizers`, `deletionTimestamp`, `deletionGracePeriodSeconds` (did you mean `labels`?)");
    assert_snapshot!(refused("apiVersion: v1\nkind: Service\nmetadata: {name: 7}\nspec: {}\n"), @"t.yaml:3:18: Service metadata.name: expected text, found `7` (put it in quotes)");
    assert_snapshot!(refused("apiVersion: v1\nkind: Service\nmetadata: {name: a, labels: {app.io/on: true}}\nspec: {}\n"), @r#"t.yaml:3:41: Service default/a metadata.labels["app.io/on"]: expected text, found `true` (put it in quotes)"#);
    assert_snapshot!(refused("apiVersion: v1\nkind: Service\nmetadata: {name: a.b}\nspec: {clusterIP: None}\n"), @"t.yaml:3:18: Service default/a.b metadata.name: `a.b` is not a valid name: lower-case letters, digits and `-`, 63 at most, beginning with a letter and ending with a letter or digit");
    assert_snapshot!(refused("apiVersion: specs.smi-spec.io/v1alpha1\nkind: TCPRoute\nmetadata: {name: ../../etc}\n"), @"t.yaml:3:18: TCPRoute default/../../etc metadata.name: `../../etc` is not a valid name: lower-case letters, digits, `-` and `.`, 253 at most, each part beginning and ending with a letter or digit");
    assert_snapshot!(refused("apiVersion: specs.smi-spec.io/v1alpha1\nkind: TCPRoute\nmetadata: {name: Shop}\n"), @"t.yaml:3:18: TCPRoute default/Shop metadata.name: `Shop` is not a valid name: lower-case letters, digits, `-` and `.`, 253 at most, each part beginning and ending with a letter or digit (did you mean `shop`?)");
    assert_snapshot!(refused("apiVersion: specs.smi-spec.io/v1alpha1\nkind: TCPRoute\nmetadata: {name: \"a\\nb\"}\n"), @r#"t.yaml:3:18: TCPRoute default/a\nb metadata.name: `a\nb` is not a valid name: lower-case letters, digits, `-` and `.`, 253 at most, each part beginning and ending with a letter or digit"#);
    assert_snapshot!(refused("apiVersion: specs.smi-spec.io/v1alpha1\nkind: TCPRoute\nmetadata: {name: a, namespace: a.b}\n"), @"t.yaml:3:32: TCPRoute a.b/a metadata.namespace: `a.b` is not a valid name: lower-case letters, digits and `-`, 63 at most, beginning and ending with a letter or digit");
    assert_snapshot!(refused("apiVersion: split.smi-spec.io/v1alpha4\nkind: TrafficSplit\nmetadata: {name: a, creationTimestamp: yesterday}\nspec: {service: a, backends: []}\n"), @"t.yaml:3:40: TrafficSplit default/a metadata.creationTimestamp: `yesterday` is not a time such as `2024-05-01T12:00:00Z`");
    assert_snapshot!(refused("apiVersion: specs.smi-spec.io/v1alpha1\nkind: TCPRoute\nmetadata: {name: a}\nkind: TCPRoute\n"), @"t.yaml:4:1: TCPRoute default/a kind: is given twice");
    assert_snapshot!(refused("apiVersion: v1\nkind: Service\nmetadata: {name: a, labels: {a: b, a.b/c: x, a.b/c: y}}\nspec: {}\n"), @r#"t.yaml:3:46: Service default/a metadata.labels["a.b/c"]: is given twice"#);
}

#[test]
fn traffic_targets() {
    assert_snapshot!(refused(&object("access.smi-spec.io/v1alpha3", "TrafficTarget", "spec: {}")), @"t.yaml:4:7: TrafficTarget shop/n spec.destination: is missing");
    assert_snapshot!(refused(&object("access.smi-spec.io/v1alpha3", "TrafficTarget", "spec: {destination: {kind: ServiceAccount}}")), @"t.yaml:4:21: TrafficTarget shop/n spec.destination.name: is missing");
    assert_snapshot!(refused(&object("access.smi-spec.io/v1alpha3", "TrafficTarget", "spec: {destination: {kind: ServiceAccount, name: a, port: 80}}")), @"t.yaml:4:53: TrafficTarget shop/n spec.destination.port: unknown field: known here are `kind`, `name`, `namespace`");
    assert_snapshot!(refused(&object("access.smi-spec.io/v1alpha2", "TrafficTarget", "spec:\n  destination: {kind: ServiceAccount, name: a, port: 70000}")), @"t.yaml:5:54: TrafficTarget shop/n spec.destination.port: expected a port number from 1 to 65535, found `70000`");
    assert_snapshot!(refused(&object("access.smi-spec.io/v1alpha2", "TrafficTarget", "spec:\n  destination: {kind: ServiceAccount, name: a, port: '80'}")), @"t.yaml:5:54: TrafficTarget shop/n spec.destination.port: expected a port number from 1 to 65535, found the text `80` (take it out of the quotes)");
    assert_snapshot!(refused(&object("access.smi-spec.io/v1alpha1", "TrafficTarget", "destination: {kind: ServiceAccount, name: a}\nrules: []")), @"t.yaml:5:1: TrafficTarget shop/n rules: unknown field: known here are `apiVersion`, `kind`, `metadata`, `destination`, `specs`, `sources`, `status` (this version calls it `specs`)");
    assert_snapshot!(refused(&object("access.smi-spec.io/v1alpha3", "TrafficTarget", "destination: {kind: ServiceAccount, name: a}")), @"t.yaml:4:1: TrafficTarget shop/n destination: unknown field: known here are `apiVersion`, `kind`, `metadata`, `spec`, `status` (in this version it belongs under `spec`)");
    assert_snapshot!(refused(&object("access.smi-spec.io/v1alpha3", "TrafficTarget", "spec:\n  destination: {kind: ServiceAccount, name: a}\n  sorces: null")), @"t.yaml:6:3: TrafficTarget shop/n spec.sorces: unknown field: known here are `destination`, `rules`, `sources` (did you mean `sources`?)");
    assert_snapshot!(refused(&object("access.smi-spec.io/v1alpha3", "TrafficTarget", "spec:\n  destination: {kind: ServiceAccount, name: a}\n  sources:\n    kind: ServiceAccount")), @"t.yaml:7:5: TrafficTarget shop/n spec.sources: expected a list, found a mapping");
    assert_snapshot!(refused(&object("access.smi-spec.io/v1alpha3", "TrafficTarget", "spec:\n  destination: {kind: ServiceAccount, name: a}\n  sources:\n  - {kind: ServiceAccount, name: 'a b'}")), @"t.yaml:7:34: TrafficTarget shop/n spec.sources[0].name: `a b` is not a valid name: lower-case letters, digits, `-` and `.`, 253 at most, each part beginning and ending with a letter or digit");
    assert_snapshot!(refused(&object("access.smi-spec.io/v1alpha3", "TrafficTarget", "spec:\n  destination: {kind: ServiceAccount, name: a}\n  sources:\n  - {kind: ServiceAccount, name: a, namespace: a.b}")), @"t.yaml:7:48: TrafficTarget shop/n spec.sources[0].namespace: `a.b` is not a valid name: lower-case letters, digits and `-`, 63 at most, beginning and ending with a letter or digit");
    assert_snapshot!(refused(&object("access.smi-spec.io/v1alpha3", "TrafficTarget", "spec:\n  destination: {kind: ServiceAccount, name: a}\n  rules:\n  - kind: TCPRoute\n    name: A_b")), @"t.yaml:8:11: TrafficTarget shop/n spec.rules[0].name: `A_b` is not a valid name: lower-case letters, digits, `-` and `.`, 253 at most, each part beginning and ending with a letter or digit");
    assert_snapshot!(refused(&object("access.smi-spec.io/v1alpha3", "TrafficTarget", "spec:\n  destination: {kind: ServiceAccount, name: a}\n  rules:\n  - {kind: HTTPRouteGroup, name: r, matches: all}")), @"t.yaml:7:46: TrafficTarget shop/n spec.rules[0].matches: expected a list, found the text `all`");
    assert_snapshot!(refused(&object("access.smi-spec.io/v1alpha1", "TrafficTarget", "destination: {kind: ServiceAccount, name: a}\nspecs:\n- {kind: TCPRoute, name: '*'}")), @"t.yaml:6:26: TrafficTarget shop/n specs[0].name: `*` is not a valid name: lower-case letters, digits, `-` and `.`, 253 at most, each part beginning and ending with a letter or digit");
}

#[test]
fn http_route_groups() {
    assert_snapshot!(refused(&object("specs.smi-spec.io/v1alpha4", "HTTPRouteGroup", "matches: []")), @"t.yaml:4:1: HTTPRouteGroup shop/n matches: unknown field: known here are `apiVersion`, `kind`, `metadata`, `spec`, `status` (in this version it belongs under `spec`)");
    assert_snapshot!(refused(&object("specs.smi-spec.io/v1alpha4", "HTTPRouteGroup", "spec: {}")), @"t.yaml:4:7: HTTPRouteGroup shop/n spec.matches: is missing");
    assert_snapshot!(refused(&object("specs.smi-spec.io/v1alpha1", "HTTPRouteGroup", "matches: [{name: a, headers: []}]")), @"t.yaml:4:21: HTTPRouteGroup shop/n matches[0].headers: unknown field: known here are `name`, `pathRegex`, `methods`");
    assert_snapshot!(refused(&object("specs.smi-spec.io/v1alpha2", "HTTPRouteGroup", "spec: {matches: []}")), @"t.yaml:4:1: HTTPRouteGroup shop/n spec: unknown field: known here are `apiVersion`, `kind`, `metadata`, `matches`, `status` (this version has no `spec`)");
    assert_snapshot!(refused(&object("specs.smi-spec.io/v1alpha4", "HTTPRouteGroup", "spec:\n  matches:\n  - pathRegex: /a")), @"t.yaml:6:5: HTTPRouteGroup shop/n spec.matches[0].name: is missing");
    assert_snapshot!(refused(&object("specs.smi-spec.io/v1alpha4", "HTTPRouteGroup", "spec:\n  matches:\n  - name: ''")), @"t.yaml:6:11: HTTPRouteGroup shop/n spec.matches[0].name: an empty text is not a name that a rule can refer to");
    assert_snapshot!(refused(&object("specs.smi-spec.io/v1alpha4", "HTTPRouteGroup", "spec:\n  matches:\n  - {name: a, methods: [GET, get]}")), @"t.yaml:6:30: HTTPRouteGroup shop/n spec.matches[0].methods[1]: `get` is not one of `*`, `GET`, `HEAD`, `PUT`, `POST`, `DELETE`, `CONNECT`, `OPTIONS`, `TRACE`, `PATCH` (did you mean `GET`?)");
    assert_snapshot!(refused(&object("specs.smi-spec.io/v1alpha4", "HTTPRouteGroup", "spec:\n  matches:\n  - {name: a, methods: [FETCH]}")), @"t.yaml:6:25: HTTPRouteGroup shop/n spec.matches[0].methods[0]: `FETCH` is not one of `*`, `GET`, `HEAD`, `PUT`, `POST`, `DELETE`, `CONNECT`, `OPTIONS`, `TRACE`, `PATCH`");
    assert_snapshot!(refused(&object("specs.smi-spec.io/v1alpha4", "HTTPRouteGroup", "spec:\n  matches:\n  - {name: a, methods: '*'}")), @"t.yaml:6:24: HTTPRouteGroup shop/n spec.matches[0].methods: expected a list, found the text `*`");
    assert_snapshot!(refused(&object("specs.smi-spec.io/v1alpha4", "HTTPRouteGroup", "spec:\n  matches:\n  - {name: a, path: /}")), @"t.yaml:6:15: HTTPRouteGroup shop/n spec.matches[0].path: unknown field: known here are `name`, `pathRegex`, `methods`, `headers` (did you mean `pathRegex`?)");
    assert_snapshot!(refused(&object("specs.smi-spec.io/v1alpha4", "HTTPRouteGroup", "spec:\n  matches:\n  - name: a\n    headers:\n    - a: b\n    - {c: d, e: f}")), @"t.yaml:9:7: HTTPRouteGroup shop/n spec.matches[0].headers[1]: expected exactly one header, found 2; write each as a list element of its own");
    assert_snapshot!(refused(&object("specs.smi-spec.io/v1alpha4", "HTTPRouteGroup", "spec:\n  matches:\n  - name: a\n    headers: [{}]")), @"t.yaml:7:15: HTTPRouteGroup shop/n spec.matches[0].headers[0]: expected exactly one header, found 0; write each as a list element of its own");
    assert_snapshot!(refused(&object("specs.smi-spec.io/v1alpha4", "HTTPRouteGroup", "spec:\n  matches:\n  - name: a\n    headers:\n    - X-A: b\n    - x-a: c")), @"t.yaml:9:7: HTTPRouteGroup shop/n spec.matches[0].headers[1]: header `x-a` is given twice; names are case-insensitive (join the two expressions into one, with `|` for either)");
    assert_snapshot!(refused(&object("specs.smi-spec.io/v1alpha4", "HTTPRouteGroup", "spec:\n  matches:\n  - name: a\n    headers:\n      X-A: b\n      x-a: c")), @"t.yaml:9:7: HTTPRouteGroup shop/n spec.matches[0].headers.x-a: header `x-a` is given twice; names are case-insensitive (join the two expressions into one, with `|` for either)");
    assert_snapshot!(refused(&object("specs.smi-spec.io/v1alpha4", "HTTPRouteGroup", "spec:\n  matches:\n  - name: a\n    headers: {x-a: 1}")), @"t.yaml:7:20: HTTPRouteGroup shop/n spec.matches[0].headers.x-a: expected text, found `1` (put it in quotes)");
    assert_snapshot!(refused(&object("specs.smi-spec.io/v1alpha4", "HTTPRouteGroup", "spec:\n  matches:\n  - name: a\n    headers: {\"x\\ny\": a}")), @r#"t.yaml:7:15: HTTPRouteGroup shop/n spec.matches[0].headers["x\ny"]: `x\ny` is not a valid name: letters, digits and ``!#$%&'*+-.^_`|~``"#);
    assert_snapshot!(refused(&object("specs.smi-spec.io/v1alpha4", "HTTPRouteGroup", "spec:\n  matches:\n  - name: a\n    headers: x")), @"t.yaml:7:14: HTTPRouteGroup shop/n spec.matches[0].headers: expected header names with expressions, as a mapping or as a list of one-key mappings, found the text `x`");
    assert_snapshot!(refused(&object("specs.smi-spec.io/v1alpha1", "HTTPRouteGroup", "matches:\n- {name: ''}")), @"t.yaml:5:10: HTTPRouteGroup shop/n matches[0].name: an empty text is not a name that a rule can refer to");
}

#[test]
fn stream_routes() {
    assert_snapshot!(refused(&object("specs.smi-spec.io/v1alpha1", "TCPRoute", "spec: {}")), @"t.yaml:4:1: TCPRoute shop/n spec: unknown field: known here are `apiVersion`, `kind`, `metadata`, `status` (this version has no `spec`)");
    assert_snapshot!(refused(&object("specs.smi-spec.io/v1alpha3", "TCPRoute", "spec: {matches: {}}")), @"t.yaml:4:8: TCPRoute shop/n spec.matches: unknown field: none is known here");
    assert_snapshot!(refused(&object("specs.smi-spec.io/v1alpha4", "TCPRoute", "")), @"t.yaml:1:1: TCPRoute shop/n spec.matches.ports: is missing (for every port of the service write `ports: []`)");
    assert_snapshot!(refused(&object("specs.smi-spec.io/v1alpha4", "TCPRoute", "spec: {}")), @"t.yaml:4:7: TCPRoute shop/n spec.matches.ports: is missing (for every port of the service write `ports: []`)");
    assert_snapshot!(refused(&object("specs.smi-spec.io/v1alpha4", "TCPRoute", "spec: {matches: {}}")), @"t.yaml:4:17: TCPRoute shop/n spec.matches.ports: is missing (for every port of the service write `ports: []`)");
    assert_snapshot!(refused(&object("specs.smi-spec.io/v1alpha4", "TCPRoute", "spec: {matches: {ports: }}")), @"t.yaml:4:23: TCPRoute shop/n spec.matches.ports: is missing (for every port of the service write `ports: []`)");
    assert_snapshot!(refused(&object("specs.smi-spec.io/v1alpha4", "TCPRoute", "spec: {matches: {ports: [0]}}")), @"t.yaml:4:26: TCPRoute shop/n spec.matches.ports[0]: expected a port number from 1 to 65535, found `0`");
    assert_snapshot!(refused(&object("specs.smi-spec.io/v1alpha4", "TCPRoute", "spec: {matches: {ports: [80, 65536]}}")), @"t.yaml:4:30: TCPRoute shop/n spec.matches.ports[1]: expected a port number from 1 to 65535, found `65536`");
    assert_snapshot!(refused(&object("specs.smi-spec.io/v1alpha4", "TCPRoute", "spec: {matches: {ports: [-1]}}")), @"t.yaml:4:26: TCPRoute shop/n spec.matches.ports[0]: expected a port number from 1 to 65535, found `-1`");
    assert_snapshot!(refused(&object("specs.smi-spec.io/v1alpha4", "TCPRoute", "spec: {matches: {ports: [1.5]}}")), @"t.yaml:4:26: TCPRoute shop/n spec.matches.ports[0]: expected a port number from 1 to 65535, found `1.5`");
    assert_snapshot!(refused(&object("specs.smi-spec.io/v1alpha4", "TCPRoute", "spec: {matches: {ports: ['80']}}")), @"t.yaml:4:26: TCPRoute shop/n spec.matches.ports[0]: expected a port number from 1 to 65535, found the text `80` (take it out of the quotes)");
    assert_snapshot!(refused(&object("specs.smi-spec.io/v1alpha4", "TCPRoute", "spec: {matches: {ports: 80}}")), @"t.yaml:4:25: TCPRoute shop/n spec.matches.ports: expected a list, found `80`");
    assert_snapshot!(refused(&object("specs.smi-spec.io/v1alpha4", "UDPRoute", "spec: {matches: {port: [53]}}")), @"t.yaml:4:18: UDPRoute shop/n spec.matches.port: unknown field: known here are `name`, `ports` (did you mean `ports`?)");
}

#[test]
fn traffic_splits() {
    assert_snapshot!(refused(&object("split.smi-spec.io/v1alpha4", "TrafficSplit", "spec: {backends: []}")), @"t.yaml:4:7: TrafficSplit shop/n spec.service: is missing");
    assert_snapshot!(refused(&object("split.smi-spec.io/v1alpha4", "TrafficSplit", "spec: {service: web}")), @"t.yaml:4:7: TrafficSplit shop/n spec.backends: is missing");
    assert_snapshot!(refused(&object("split.smi-spec.io/v1alpha4", "TrafficSplit", "spec:\n  service: web\n  backends:\n  - {service: a, weight: 1}\n  - service: b\n    weight: 1.5")), @"t.yaml:9:13: TrafficSplit shop/n spec.backends[1].weight: expected a whole number from 0 to 1000000000, found `1.5`");
    assert_snapshot!(refused(&object("split.smi-spec.io/v1alpha4", "TrafficSplit", "spec:\n  service: web\n  backends:\n  - {service: a, weight: 1}\n  - service: b\n    weight: -1")), @"t.yaml:9:13: TrafficSplit shop/n spec.backends[1].weight: expected a whole number from 0 to 1000000000, found `-1`");
    assert_snapshot!(refused(&object("split.smi-spec.io/v1alpha4", "TrafficSplit", "spec:\n  service: web\n  backends:\n  - {service: a, weight: 1}\n  - service: b\n    weight: '1'")), @"t.yaml:9:13: TrafficSplit shop/n spec.backends[1].weight: expected a whole number from 0 to 1000000000, found the text `1` (take it out of the quotes)");
    assert_snapshot!(refused(&object("split.smi-spec.io/v1alpha4", "TrafficSplit", "spec:\n  service: web\n  backends:\n  - {service: a, weight: 1}\n  - service: b\n    weight: 500m")), @"t.yaml:9:13: TrafficSplit shop/n spec.backends[1].weight: expected a whole number from 0 to 1000000000, found the quantity `500m`, as v1alpha1 has it");
    assert_snapshot!(refused(&object("split.smi-spec.io/v1alpha4", "TrafficSplit", "spec:\n  service: web\n  backends:\n  - {service: a, weight: 1}\n  - service: b\n    weight: 1000000001")), @"t.yaml:9:13: TrafficSplit shop/n spec.backends[1].weight: expected a whole number from 0 to 1000000000, found `1000000001`");
    assert_snapshot!(refused(&object("split.smi-spec.io/v1alpha4", "TrafficSplit", "spec:\n  service: web\n  backends:\n  - {service: a, weight: 1}\n  - service: b\n    weight: 99999999999999999999")), @"t.yaml:9:13: TrafficSplit shop/n spec.backends[1].weight: expected a whole number from 0 to 1000000000, found `100000000000000000000`");
    assert_snapshot!(refused(&object("split.smi-spec.io/v1alpha4", "TrafficSplit", "spec:\n  service: web\n  backends:\n  - {service: a, weight: 1}\n  - service: b\n    weight: many")), @"t.yaml:9:13: TrafficSplit shop/n spec.backends[1].weight: expected a whole number from 0 to 1000000000, found the text `many`");
    assert_snapshot!(refused(&object("split.smi-spec.io/v1alpha4", "TrafficSplit", "spec:\n  service: web\n  backends:\n  - {service: a, weight: 1}\n  - service: b\n    weight: ")), @"t.yaml:9:11: TrafficSplit shop/n spec.backends[1].weight: is missing");
    assert_snapshot!(refused(&object("split.smi-spec.io/v1alpha4", "TrafficSplit", "spec:\n  service: web\n  backends:\n  - {service: a, weight: 1}\n  - service: b\n    weight: [1]")), @"t.yaml:9:13: TrafficSplit shop/n spec.backends[1].weight: expected a whole number from 0 to 1000000000, found a list");
    assert_snapshot!(refused(&object("split.smi-spec.io/v1alpha4", "TrafficSplit", "spec:\n  service: web\n  backends:\n  - {service: b}")), @"t.yaml:7:5: TrafficSplit shop/n spec.backends[0].weight: is missing");
    assert_snapshot!(refused(&object("split.smi-spec.io/v1alpha1", "TrafficSplit", "spec:\n  service: web\n  backends:\n  - {service: b, weight: -1}")), @"t.yaml:7:26: TrafficSplit shop/n spec.backends[0].weight: `-1` is negative");
    assert_snapshot!(refused(&object("split.smi-spec.io/v1alpha1", "TrafficSplit", "spec:\n  service: web\n  backends:\n  - {service: b, weight: 1u}")), @"t.yaml:7:26: TrafficSplit shop/n spec.backends[0].weight: `1u` is finer than a thousandth");
    assert_snapshot!(refused(&object("split.smi-spec.io/v1alpha1", "TrafficSplit", "spec:\n  service: web\n  backends:\n  - {service: b, weight: many}")), @"t.yaml:7:26: TrafficSplit shop/n spec.backends[0].weight: `many` is not a quantity such as `1`, `0.5` or `500m`");
    assert_snapshot!(refused(&object("split.smi-spec.io/v1alpha1", "TrafficSplit", "spec:\n  service: web\n  backends:\n  - {service: b, weight: 1e30}")), @"t.yaml:7:26: TrafficSplit shop/n spec.backends[0].weight: `1000000000000000000000000000000` is more than 1000000000");
    assert_snapshot!(refused(&object("split.smi-spec.io/v1alpha1", "TrafficSplit", "spec:\n  service: web\n  backends:\n  - {service: b, weight: 2G}")), @"t.yaml:7:26: TrafficSplit shop/n spec.backends[0].weight: `2G` is more than 1000000000");
    assert_snapshot!(refused(&object("split.smi-spec.io/v1alpha1", "TrafficSplit", "spec:\n  service: web\n  backends:\n  - {service: b, weight: true}")), @"t.yaml:7:26: TrafficSplit shop/n spec.backends[0].weight: expected a quantity such as `1`, `0.5` or `500m`, found `true`");
    assert_snapshot!(refused(&object("split.smi-spec.io/v1alpha4", "TrafficSplit", "spec: {service: a/b, backends: []}")), @"t.yaml:4:17: TrafficSplit shop/n spec.service: `a/b` is not a valid name: lower-case letters, digits, `-` and `.`, 253 at most, each part beginning and ending with a letter or digit");
    assert_snapshot!(refused(&object("split.smi-spec.io/v1alpha4", "TrafficSplit", "spec: {service: '', backends: []}")), @"t.yaml:4:17: TrafficSplit shop/n spec.service: an empty text is not a valid name: lower-case letters, digits, `-` and `.`, 253 at most, each part beginning and ending with a letter or digit");
    assert_snapshot!(refused(&object("split.smi-spec.io/v1alpha4", "TrafficSplit", "spec: {service: a, backends: [{service: Web, weight: 1}]}")), @"t.yaml:4:41: TrafficSplit shop/n spec.backends[0].service: `Web` is not a valid name: lower-case letters, digits, `-` and `.`, 253 at most, each part beginning and ending with a letter or digit (did you mean `web`?)");
    assert_snapshot!(refused(&object("split.smi-spec.io/v1alpha2", "TrafficSplit", "spec: {service: a, backends: [], matches: []}")), @"t.yaml:4:34: TrafficSplit shop/n spec.matches: unknown field: known here are `service`, `backends`");
    assert_snapshot!(refused(&object("split.smi-spec.io/v1alpha4", "TrafficSplit", "spec: {service: a, backends: [], matches: [{kind: TCPRoute, name: a}]}")), @"t.yaml:4:51: TrafficSplit shop/n spec.matches[0].kind: `TCPRoute` cannot select requests: write `HTTPRouteGroup`");
    assert_snapshot!(refused(&object("split.smi-spec.io/v1alpha4", "TrafficSplit", "spec: {service: a, backends: [], matches: [{kind: HTTPRouteGroup, apiGroup: x.io, name: a}]}")), @"t.yaml:4:77: TrafficSplit shop/n spec.matches[0].apiGroup: `x.io` cannot select requests: write `specs.smi-spec.io`");
    assert_snapshot!(refused(&object("split.smi-spec.io/v1alpha4", "TrafficSplit", "spec: {service: a, backends: [], matches: [a]}")), @"t.yaml:4:44: TrafficSplit shop/n spec.matches[0]: expected a mapping, found the text `a`");
    assert_snapshot!(refused(&object("split.smi-spec.io/v1alpha4", "TrafficSplit", "spec: {service: a, backend: []}")), @"t.yaml:4:20: TrafficSplit shop/n spec.backend: unknown field: known here are `service`, `backends`, `matches` (did you mean `backends`?)");
}

#[test]
fn services() {
    assert_snapshot!(refused(&object("v1", "Service", "spec: {}")), @"t.yaml:4:7: Service shop/n spec.ports: is missing (only a headless service, `clusterIP: None`, needs none)");
    assert_snapshot!(refused(&object("v1", "Service", "spec: {clusterIP: none, ports: [{port: 80}]}")), @"t.yaml:4:19: Service shop/n spec.clusterIP: `none` is not an address, nor `None` for a headless service (did you mean `None`?)");
    assert_snapshot!(refused(&object("v1", "Service", "spec: {clusterIP: 10.0.0, ports: [{port: 80}]}")), @"t.yaml:4:19: Service shop/n spec.clusterIP: `10.0.0` is not an address, nor `None` for a headless service");
    assert_snapshot!(refused(&object("v1", "Service", "spec: {clusterIP: 224.0.0.1, ports: [{port: 80}]}")), @"t.yaml:4:19: Service shop/n spec.clusterIP: `224.0.0.1` is not an address, nor `None` for a headless service");
    assert_snapshot!(refused(&object("v1", "Service", "spec: {type: ExternalName, externalName: a.b}")), @"t.yaml:4:28: Service shop/n spec.externalName: unknown field: known here are `type`, `clusterIP`, `selector`, `ports`");
    assert_snapshot!(refused(&object("v1", "Service", "spec: {type: ExternalName}")), @"t.yaml:4:14: Service shop/n spec.type: `ExternalName` is not one of `ClusterIP`, `NodePort`, `LoadBalancer`");
    assert_snapshot!(refused(&object("v1", "Service", "spec: {ports: [{port: 0}]}")), @"t.yaml:4:23: Service shop/n spec.ports[0].port: expected a port number from 1 to 65535, found `0`");
    assert_snapshot!(refused(&object("v1", "Service", "spec: {ports: [{}]}")), @"t.yaml:4:16: Service shop/n spec.ports[0].port: is missing");
    assert_snapshot!(refused(&object("v1", "Service", "spec: {ports: [{port: 80, targetPort: 0}]}")), @"t.yaml:4:39: Service shop/n spec.ports[0].targetPort: expected a port number from 1 to 65535, or the name of a container port, found `0`");
    assert_snapshot!(refused(&object("v1", "Service", "spec: {ports: [{port: 80, targetPort: web_1}]}")), @"t.yaml:4:39: Service shop/n spec.ports[0].targetPort: `web_1` is not a valid name: lower-case letters, digits and single `-`, 15 at most, with at least one letter");
    assert_snapshot!(refused(&object("v1", "Service", "spec: {ports: [{port: 80, targetPort: []}]}")), @"t.yaml:4:39: Service shop/n spec.ports[0].targetPort: expected a port number from 1 to 65535, or the name of a container port, found a list");
    assert_snapshot!(refused(&object("v1", "Service", "spec: {ports: [{port: 80}, {port: 81}]}")), @"t.yaml:4:16: Service shop/n spec.ports[0].name: is missing (of several ports each needs a name)");
    assert_snapshot!(refused(&object("v1", "Service", "spec: {ports: [{name: a, port: 80}, {name: a, port: 81}]}")), @"t.yaml:4:44: Service shop/n spec.ports[1].name: two ports are called `a`");
    assert_snapshot!(refused(&object("v1", "Service", "spec: {ports: [{name: a, port: 80}, {name: b, port: 80}]}")), @"t.yaml:4:53: Service shop/n spec.ports[1].port: port 80 occurs twice");
    assert_snapshot!(refused(&object("v1", "Service", "spec: {ports: [{name: A, port: 80}]}")), @"t.yaml:4:23: Service shop/n spec.ports[0].name: `A` is not a valid name: lower-case letters, digits and `-`, 63 at most, beginning and ending with a letter or digit (did you mean `a`?)");
    assert_snapshot!(refused(&object("v1", "Service", "spec: {ports: [{port: 80, protocol: tcp}]}")), @"t.yaml:4:37: Service shop/n spec.ports[0].protocol: `tcp` is not one of `TCP`, `UDP`, `SCTP` (did you mean `TCP`?)");
    assert_snapshot!(refused(&object("v1", "Service", "spec: {selector: {app: 1}, ports: [{port: 80}]}")), @"t.yaml:4:24: Service shop/n spec.selector.app: expected text, found `1` (put it in quotes)");
}

#[test]
fn mesh_configs() {
    assert_snapshot!(refused(&object("config.openservicemesh.io/v1alpha2", "MeshConfig", "")), @"t.yaml:1:1: MeshConfig shop/n spec: is missing");
    assert_snapshot!(refused(&object("config.openservicemesh.io/v1alpha2", "MeshConfig", "spec: {sidecar: {image: x}}")), @"t.yaml:4:18: MeshConfig shop/n spec.sidecar.image: unknown field: known here are `enablePrivilegedInitContainer`, `logLevel`, `envoyImage`, `envoyWindowsImage`, `initContainerImage`, `maxDataPlaneConnections`, `configResyncInterval`, `resources`, `tlsMinProtocolVersion`, `tlsMaxProtocolVersion`, `cipherSuites`, `ecdhCurves`, `localProxyMode`");
    assert_snapshot!(refused(&object("config.openservicemesh.io/v1alpha2", "MeshConfig", "spec: {sidecar: {tlsMinProtocolVersion: TLSv1_3, tlsMaxProtocolVersion: TLSv1_2}}")), @"t.yaml:4:41: MeshConfig shop/n spec.sidecar.tlsMinProtocolVersion: is newer than `tlsMaxProtocolVersion`: no connection could be made");
    assert_snapshot!(refused(&object("config.openservicemesh.io/v1alpha2", "MeshConfig", "spec: {traffic: {enablePermissiveTrafficPolicyMode: 'true'}}")), @"t.yaml:4:53: MeshConfig shop/n spec.traffic.enablePermissiveTrafficPolicyMode: expected `true` or `false`, found the text `true` (take it out of the quotes)");
}

#[test]
fn mesh_root_certificates() {
    let refused = |spec: &str| {
        refused(&object("config.openservicemesh.io/v1alpha2", "MeshRootCertificate", &format!("spec: {spec}")))
    };
    let tresor = "tresor: {ca: {secretRef: {name: a, namespace: b}}}";
    let cert_manager = "certManager: {issuerName: i}";
    let vault = |host: &str, role: &str, key: &str| {
        let token = format!("{{secretKeyRef: {{name: t, namespace: n, key: '{key}'}}}}");
        format!("{{provider: {{vault: {{host: '{host}', port: 8200, role: '{role}', token: {token}}}}}}}")
    };
    for (spec, expected) in [
        ("{}".to_owned(), "spec.provider: is missing"),
        ("{provider: {}}".to_owned(), "spec.provider: names no provider"),
        (format!("{{provider: {{{tresor}, {cert_manager}}}}}"), "spec.provider: names several providers"),
        (format!("{{provider: {{{tresor}}}, role: main}}"), "spec.role: `main` is not one of"),
        (format!("{{provider: {{{tresor}}}, trustDomain: a/b}}"), "spec.trustDomain: `a/b` is not a valid name"),
        ("{provider: {tresor: {ca: {secretRef: {name: a}}}}}".to_owned(), "secretRef.namespace: is missing"),
        (vault("https://vault", "r", "k"), "spec.provider.vault.host: `https://vault` is no host name"),
        (vault("vault", "a/b", "k"), "spec.provider.vault.role: `a/b` is no role"),
        (vault("vault", "..", "k"), "spec.provider.vault.role: `..` is no role"),
        (vault("vault", "r", ""), "secretKeyRef.key: is empty"),
        (
            "{provider: {certManager: {issuerName: i, issuerKind: Other}}}".to_owned(),
            "issuerKind: `Other` is not one of",
        ),
    ] {
        let told = refused(&spec);
        assert!(told.contains(expected), "{spec}: {told}");
    }
}
