//! How random worlds are drawn.

use proptest::{
    collection::vec,
    option::weighted,
    prelude::*,
    sample::{select, subsequence},
};

use super::world::{Group, Match, PORTS, Pods, Request, Split, Target, To, World};

const METHODS: [&str; 6] = ["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH"];
/// Written in many ways, and over the letters of the expressions, so that many match.
const PATHS: [&str; 22] = [
    "/", "/a", "/b", "/ab", "/a/b", "/a/", "/a/1", "/1", "/b/a", "/A", "/aa", "/a?x=1", "/a?b", "//a", "/./a",
    "/b/../a", "/a/..", "/a%2Fb", "/%2e/a", "/a.b", "/c", "/a/b/1",
];
const HEADERS: [(&str, &str); 8] =
    [("x-a", "a"), ("x-a", "ab"), ("x-a", "b"), ("X-A", "a"), ("x-b", "1"), ("x-b", ""), ("x-b", "a1"), ("x-c", "a")];
/// Bounds of a reference; it is taken modulo what there is.
const ANY: usize = 60;

/// A world with at most so many requests.
pub(crate) fn world(requests: usize) -> impl Strategy<Value = World> {
    (
        prop_oneof![5 => Just((false, false)), 2 => Just((true, false)), 2 => Just((false, true))],
        vec(pods(), 2..=6),
        weighted(0.4, (0..ANY, any::<bool>())),
        vec(target(), 1..=5),
        vec(split(), 0..=3),
        weighted(0.15, 0..ANY),
        vec(request(), 1..=requests),
    )
        .prop_map(|((permissive, open), pods, alias, targets, splits, unready, requests)| World {
            permissive,
            open,
            pods,
            alias,
            targets,
            splits,
            unready,
            requests,
        })
}

fn pods() -> impl Strategy<Value = Pods> {
    (
        prop_oneof![8 => Just(0_usize), 2 => Just(1), 1 => Just(2)],
        prop::bool::weighted(0.3),
        1..=3_u16,
        subsequence((0..PORTS.len()).collect::<Vec<_>>(), 1..=PORTS.len()),
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.5),
    )
        .prop_map(|(namespace, common_account, replicas, ports, shifted, pooled)| Pods {
            namespace,
            common_account,
            replicas,
            ports,
            shifted,
            pooled,
        })
}

fn target() -> impl Strategy<Value = Target> {
    let ports = prop_oneof![2 => Just(Vec::new()), 2 => subsequence((0..PORTS.len()).collect::<Vec<_>>(), 1..=3)];
    (
        (0..ANY, prop::bool::weighted(0.2), weighted(0.1, 0..ANY)),
        vec(0..ANY, 1..=3),
        prop_oneof![1 => Just(Vec::new()), 2 => vec(group(), 1..=2)],
        weighted(0.5, ports),
        prop::bool::weighted(0.08),
        weighted(0.1, 0..PORTS.len()),
    )
        .prop_map(|((destination, omitted, foreign), sources, groups, tcp, missing, port)| Target {
            destination,
            omitted,
            foreign,
            sources,
            groups,
            tcp,
            missing,
            port,
        })
}

fn group() -> impl Strategy<Value = Group> {
    let only = prop_oneof![3 => Just(Vec::new()), 1 => vec(0..4_usize, 1..=2)];
    (vec(one_match(), 1..=3), only, prop::bool::weighted(0.2)).prop_map(|(matches, mut only, map)| {
        only.sort_unstable();
        only.dedup();
        Group { matches, only, map }
    })
}

fn one_match() -> impl Strategy<Value = Match> {
    let path = prop_oneof![2 => Just(".*".to_owned()), 6 => expression("/"), 1 => Just("/a(".to_owned())];
    let headers = prop_oneof![3 => Just(Vec::new()), 1 => vec(header_condition(), 1..=2)];
    let methods = prop_oneof![
        2 => Just(Vec::new()),
        1 => Just(vec!["*"]),
        1 => subsequence(METHODS.to_vec(), 1..=2).prop_map(|mut methods| { methods.push("*"); methods }),
        4 => subsequence(METHODS.to_vec(), 1..=3),
    ];
    (weighted(0.8, path), methods, headers).prop_map(|(path, methods, mut headers)| {
        headers.dedup_by_key(|(name, _)| name.to_ascii_lowercase());
        // A match without any condition may be refused.
        let bare = methods.is_empty() && headers.is_empty();
        Match { path: if bare { path.or(Some(".*".into())) } else { path }, methods, headers }
    })
}

fn header_condition() -> impl Strategy<Value = (&'static str, String)> {
    let value = prop_oneof![1 => Just(".*".to_owned()), 3 => expression("")];
    (select(&["x-a", "x-b", "X-A"][..]), value)
}

/// A small grammar of regular expressions over `a`, `b`, `1`, `/` and `.`.
fn expression(start: &'static str) -> impl Strategy<Value = String> {
    let atom =
        select(&["a", "b", "1", ".", "/", "[ab]", "[^a]", "[0-9]", r"\.", r"\w", "(?:)"][..]).prop_map(str::to_owned);
    let inner = atom.prop_recursive(3, 10, 3, |inner| {
        prop_oneof![
            4 => vec(inner.clone(), 1..=3).prop_map(|parts| parts.concat()),
            2 => vec(inner.clone(), 2..=3).prop_map(|parts| format!("({})", parts.join("|"))),
            2 => (inner, select(&["*", "+", "?", "{1,2}"][..])).prop_map(|(part, times)| format!("({part}){times}")),
        ]
    });
    let anchors =
        prop_oneof![6 => Just(("", "")), 1 => Just(("^", "$")), 1 => Just(("", "(/.*)?")), 1 => Just(("", ".*"))];
    // An alternative at the top is where a forgotten group shows.
    let either = weighted(0.15, select(&["/a", "/b", "a"][..]));
    (inner, anchors, either).prop_map(move |(inner, (before, after), either)| match either {
        Some(other) => format!("{before}{start}{inner}{after}|{other}"),
        None => format!("{before}{start}{inner}{after}"),
    })
}

fn split() -> impl Strategy<Value = Split> {
    let backend = (weighted(0.92, 0..ANY), prop_oneof![1 => Just(0_u64), 6 => 1..=3_u64, 1 => Just(100_u64)]);
    let groups = prop_oneof![3 => Just(Vec::new()), 2 => vec(group(), 1..=2)];
    (0..ANY, 0..3_usize, vec(backend, 1..=4), groups, prop::bool::weighted(0.15))
        .prop_map(|(root, form, backends, groups, quantities)| Split { root, form, backends, groups, quantities })
}

fn request() -> impl Strategy<Value = Request> {
    let to = prop_oneof![
        4 => (0..ANY, 0..ANY).prop_map(|(service, port)| To::Service { service, port }),
        4 => (0..ANY, 0..ANY).prop_map(|(split, port)| To::Root { split, port }),
        4 => (0..ANY, 0..ANY).prop_map(|(target, port)| To::Destination { target, port }),
        1 => (0..ANY, 0..ANY).prop_map(|(pods, port)| To::Pod { pods, port }),
    ];
    let headers = prop_oneof![2 => Just(Vec::new()), 2 => vec(select(&HEADERS[..]), 1..=2)];
    let method = prop_oneof![3 => Just("GET"), 2 => select(&METHODS[..])];
    (0..ANY, to, prop::bool::weighted(0.3), method, select(&PATHS[..]), headers, prop::bool::weighted(0.04)).prop_map(
        |(from, to, http2, method, path, mut headers, plaintext)| {
            headers.dedup_by_key(|(name, _)| name.to_ascii_lowercase());
            Request { from, to, http2, method, path: path.into(), headers, plaintext }
        },
    )
}
