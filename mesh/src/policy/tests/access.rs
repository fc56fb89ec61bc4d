//! What a TrafficTarget grants.

use insta::assert_snapshot;

use super::{G, T, call, group, open, ports, shop, target, target_from, tcp, told};
use crate::testing::add;

#[test]
fn nothing_is_allowed_by_default() {
    assert_eq!(ports(&shop(&[]), "GET /"), ["unknown", "unknown", "unknown"]);
    assert_eq!(told(&shop(&[])), "");
}

#[test]
fn group_and_tcp_route_in_one_target_must_both_hold() {
    let both = [group("g", "{name: a, pathRegex: /a}"), tcp("t", "80, 90"), target("x", "store", &format!("{G}, {T}"))];
    let world = shop(&both);
    assert_eq!(ports(&world, "GET /a"), ["ok", "unknown", "ok"]);
    assert_eq!(ports(&world, "GET /b"), ["404", "unknown", "ok"]);
}

#[test]
fn a_tcp_route_alone_opens_its_ports_to_any_protocol() {
    let with = |listed| ports(&shop(&[tcp("t", listed), target("x", "store", T)]), "GET /any");
    assert_eq!(with("80, 90"), ["ok", "unknown", "ok"]);
    assert_eq!(with(""), ["ok", "ok", "ok"]);
    // Service ports are meant, not those of the pods.
    assert_eq!(with("8080, 9000"), ["unknown", "unknown", "unknown"]);
}

#[test]
fn a_group_alone_opens_no_port_that_is_not_http() {
    let world = shop(&[group("g", "{name: a}"), target("x", "store", G)]);
    assert_eq!(ports(&world, "GET /any"), ["ok", "ok", "unknown"]);
}

#[test]
fn the_whole_path_must_match() {
    let world = shop(&[group("g", "{name: a, pathRegex: /a/.}"), target("x", "store", G)]);
    for (path, fate) in [("/a/b", "ok"), ("/a/bc", "404"), ("/x/a/b", "404")] {
        assert_eq!(call(&world, "client", "store", 80, &format!("GET {path}")), fate, "{path}");
    }
}

#[test]
fn conditions_of_a_match_add_up_and_matches_are_alternatives() {
    let matches = "{name: a, pathRegex: /a, methods: [GET], headers: [{x-user: m.}, {x-team: red}]}, {name: b, headers: {x-user: boss}}";
    let world = shop(&[group("g", matches), target("x", "store", G)]);
    for (request, fate) in [
        ("GET /a x-user=me x-team=red", "ok"),
        ("GET /a x-user=me", "404"),
        ("POST /a x-user=me x-team=red", "404"),
        ("GET /b x-user=me x-team=red", "404"),
        // The whole value must match.
        ("GET /a x-user=meme x-team=red", "404"),
        ("PUT /any x-user=boss", "ok"),
    ] {
        assert_eq!(call(&world, "client", "store", 80, request), fate, "{request}");
    }
}

#[test]
fn a_missing_route_or_match_grants_nothing() {
    let wrong = "{kind: HTTPRouteGroup, name: g, matches: [b]}, {kind: HTTPRouteGroup, name: gone}";
    let world = shop(&[group("g", "{name: a}"), target("x", "store", wrong)]);
    assert_eq!(ports(&world, "GET /"), ["unknown", "unknown", "unknown"]);
    assert_snapshot!(told(&world), @r#"
    TrafficTarget shop/x spec.rules[0].matches[0]: HTTPRouteGroup shop/g has no match called b; it opens nothing (MatchNotFound)
    TrafficTarget shop/x spec.rules[1].name: HTTPRouteGroup shop/gone does not exist; the rule opens nothing (NotFound)
    "#);
    // The target's other rules hold.
    let some = "{kind: HTTPRouteGroup, name: g, matches: [a, b]}, {kind: HTTPRouteGroup, name: gone}";
    assert_eq!(ports(&shop(&[group("g", "{name: a}"), target("x", "store", some)]), "GET /"), ["ok", "ok", "unknown"]);
}

#[test]
fn a_missing_tcp_route_does_not_widen_what_a_group_opens() {
    let world = shop(&[group("g", "{name: a}"), target("x", "store", &format!("{G}, {T}"))]);
    assert_eq!(ports(&world, "GET /"), ["unknown", "unknown", "unknown"]);
    assert_snapshot!(told(&world), @"TrafficTarget shop/x spec.rules[1].name: TCPRoute shop/t does not exist; the rule opens nothing, and the target's HTTPRouteGroups need one to hold too: create it (NotFound)");
}

#[test]
fn an_unparsable_expression_takes_its_match_away_only() {
    let matches = "{name: bad, pathRegex: '('}, {name: empty, headers: [{x-user: ''}]}, {name: good, pathRegex: /good}";
    let world = shop(&[group("g", matches), target("x", "store", G)]);
    assert_eq!(call(&world, "client", "store", 80, "GET /good"), "ok");
    assert_eq!(call(&world, "client", "store", 80, "GET / x-user="), "404");
    assert_snapshot!(told(&world), @r#"
    HTTPRouteGroup shop/g spec.matches[0].pathRegex: the expression cannot be read: unclosed group; match bad selects nothing until it is mended (InvalidRegex)
    HTTPRouteGroup shop/g spec.matches[1].headers.x-user: the expression is empty; `.*` matches anything; match empty selects nothing until it is mended (InvalidRegex)
    "#);
}

#[test]
fn only_accounts_are_subjects() {
    let sources = "{kind: Group, name: client}, {kind: ServiceAccount, name: client}";
    let world = shop(&[tcp("t", ""), target_from("x", "store", sources, T)]);
    assert_eq!(ports(&world, "GET /"), ["ok", "ok", "ok"]);
    assert_snapshot!(told(&world), @"TrafficTarget shop/x spec.sources[0].kind: a Group cannot be a source, only a ServiceAccount; it is ignored (UnsupportedSubject)");
    let target = target("x", "store", T).replace("kind: ServiceAccount, name: store", "kind: Group, name: store");
    let world = shop(&[tcp("t", ""), target]);
    assert_eq!(ports(&world, "GET /"), ["unknown", "unknown", "unknown"]);
    assert_snapshot!(told(&world), @"TrafficTarget shop/x spec.destination.kind: the destination is a Group; only a ServiceAccount can be one, so nothing is allowed (UnsupportedSubject)");
}

#[test]
fn an_omitted_namespace_is_the_targets_own() {
    let foreign = "{kind: ServiceAccount, name: client, namespace: other}";
    let world = shop(&[tcp("t", ""), target_from("x", "store", foreign, T)]);
    assert_eq!(ports(&world, "GET /"), ["unknown", "unknown", "unknown"]);
    let own = "{kind: ServiceAccount, name: client, namespace: shop}";
    assert_eq!(ports(&shop(&[tcp("t", ""), target_from("x", "store", own, T)]), "GET /"), ["ok", "ok", "ok"]);
}

#[test]
fn a_target_outside_its_destinations_namespace_grants_nothing() {
    let foreign = |text: String| {
        text.replace("{name: x}", "{name: x, namespace: other}").replace("{name: t}", "{name: t, namespace: other}")
    };
    let target = foreign(target_from("x", "store", "{kind: ServiceAccount, name: client, namespace: shop}", T))
        .replace("name: store}", "name: store, namespace: shop}");
    let world = shop(&[foreign(tcp("t", "")), target]);
    assert_eq!(ports(&world, "GET /"), ["unknown", "unknown", "unknown"]);
    assert_snapshot!(told(&world), @"TrafficTarget other/x spec.destination.namespace: the destination lies in namespace shop, the target in other; move the target there, until then nothing is allowed (ForeignTarget)");
}

#[test]
fn no_source_and_no_rule_allow_nothing() {
    let world = shop(&[tcp("t", ""), target_from("x", "store", "", T), target("y", "store", "")]);
    assert_eq!(ports(&world, "GET /"), ["unknown", "unknown", "unknown"]);
    assert_snapshot!(told(&world), @r#"
    TrafficTarget shop/x spec.sources: no source is named, so nobody is allowed (NoSource)
    TrafficTarget shop/y spec.rules: no rule is given, so nothing is allowed (NoRule)
    "#);
}

#[test]
fn overlapping_targets_add_up_in_any_order() {
    let thief = "{kind: ServiceAccount, name: thief}";
    let h = "{kind: HTTPRouteGroup, name: h}";
    for (wide, narrow) in [("a", "z"), ("z", "a")] {
        let world = shop(&[
            group("g", "{name: all, pathRegex: /.*}"),
            group("h", "{name: x, pathRegex: /x, methods: [GET]}"),
            target(wide, "store", G),
            target_from(narrow, "store", thief, h),
        ]);
        let fates = [("client", "GET /x"), ("thief", "GET /x"), ("client", "PUT /x"), ("thief", "PUT /x")]
            .map(|(from, request)| call(&world, from, "store", 80, request));
        assert_eq!(fates, ["ok", "ok", "ok", "403"], "{wide}");
    }
}

#[test]
fn udp_and_unknown_rules_open_nothing() {
    let rules = "{kind: UDPRoute, name: t}, {kind: Foo, name: t}";
    let world = shop(&[tcp("t", ""), target("x", "store", rules)]);
    assert_eq!(ports(&world, "GET /"), ["unknown", "unknown", "unknown"]);
    assert_snapshot!(told(&world), @r#"
    TrafficTarget shop/x spec.rules[0].kind: sidecars do not carry UDP; the rule opens nothing (UnsupportedRule)
    TrafficTarget shop/x spec.rules[1].kind: Foo is no kind of rule (HTTPRouteGroup, TCPRoute); it opens nothing (UnsupportedRule)
    "#);
}

#[test]
fn the_port_of_older_versions_limits_the_target() {
    let old = "kind: TrafficTarget
apiVersion: access.smi-spec.io/v1alpha2
metadata: {name: x}
spec: {destination: {kind: ServiceAccount, name: store, port: 80}, sources: [{kind: ServiceAccount, name: client}], rules: [RULE]}
";
    let with = |rule| ports(&shop(&[tcp("t", ""), group("g", "{name: a}"), old.replace("RULE", rule)]), "GET /");
    assert_eq!(with(T), ["ok", "unknown", "unknown"]);
    assert_eq!(with(G), ["ok", "unknown", "unknown"]);
}

#[test]
fn two_ports_with_one_target_port_are_one_to_the_pod() {
    let twins = "---\nkind: Service\napiVersion: v1\nmetadata: {name: store}\nspec:\n  clusterIP: 10.96.7.7\n  selector: {app: store}\n  ports: [{name: a, port: 80, targetPort: 8080}, {name: b, port: 81, targetPort: 8080}, {name: tcp-c, port: 82, targetPort: 8080}]\n";
    let mut world = shop(&[tcp("t", "80, 82"), target("x", "store", T)]);
    add(&mut world, twins);
    let fates = [80, 81, 82].map(|port| call(&world, "client", "store", port, "GET /"));
    // Of 81 the client's sidecar does not know; whoever addresses the pod's port 8080 has both.
    assert_eq!(fates, ["ok", "unknown", "unknown"]);
    assert_snapshot!(told(&world), @"Service shop/store spec.ports[2]: ports 80 and 82 lead to one target port but speak http and tcp; port 82 is not carried (PortConflict)");
}

#[test]
fn permissive_mode_asks_no_target() {
    let mut world = shop(&[]);
    add(
        &mut world,
        "kind: MeshConfig\napiVersion: config.openservicemesh.io/v1alpha2\nmetadata: {name: m}\nspec: {traffic: {enablePermissiveTrafficPolicyMode: true}}\n",
    );
    assert_eq!(ports(&world, "GET /"), ["ok", "ok", "ok"]);
    assert_eq!(call(&world, "thief", "v1", 90, "tcp"), "ok");
}

#[test]
fn a_target_opens_its_destination_only() {
    let world = shop(&open()[..2]);
    assert_eq!(call(&world, "client", "v1", 80, "GET /"), "unknown");
    assert_eq!(call(&world, "thief", "store", 80, "GET /"), "unknown");
}
