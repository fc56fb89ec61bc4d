//! How random worlds are drawn.

use proptest::{
    collection::vec,
    option::{of, weighted},
    prelude::*,
    sample::{select, subsequence},
};
use simulator::scenario::model::Proto;

use super::world::{Match, PORTS, Presented, Request, Split, Target, To, Workload, World};

/// Patterns: literals, classes, alternations, repetitions, anchors; some of them overlap.
const PATTERNS: [&str; 18] = [
    "/books",
    "/books/.*",
    "/books(/.*)?",
    "/(books|b)",
    "/[a-z]+",
    "/[^/]+/[0-9]{1,2}",
    "/b.*",
    ".*",
    "/",
    "/.+s",
    "^/books$",
    "/books|/b",
    r"/v\.json",
    "/v.json",
    "/(?i)books",
    r"/\w+/\d+",
    "/shop.*List",
    "/simulator.Echo/Call",
];
const PATHS: [&str; 21] = [
    "/",
    "/books",
    "/books/",
    "/books/7",
    "/books/77/x",
    "/b",
    "/BOOKS",
    "/books?author=me",
    "/books?x=/b",
    "//books",
    "/./books",
    "/x/../books",
    "/books/..",
    "/%62ooks",
    "/books%2F7",
    "/books%2f..%2fb",
    "/v.json",
    "/vxjson",
    "/books;x=1",
    "/a-b_c~d",
    "/caf%C3%A9",
];
const METHODS: [&str; 7] = ["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS"];
const HEADER_PATTERNS: [(&str, &str); 7] = [
    ("x-kind", "a"),
    ("x-kind", "a|b"),
    ("x-kind", "[ab]+"),
    ("x-kind", ".*"),
    ("x-kind", ".+"),
    ("user-agent", "test/.*"),
    ("x-other", "1"),
];
const HEADERS: [(&str, &str); 8] = [
    ("x-kind", "a"),
    ("x-kind", "b"),
    ("x-kind", "aab"),
    ("x-kind", "c"),
    ("x-kind", ""),
    ("user-agent", "test/1.0"),
    ("x-other", "1"),
    ("X-Other", "1, 1"),
];
const HOSTS: [&str; 7] =
    ["w0", "w0.shop", "w1.store.svc.cluster.local", "pool", "alias", "W0.SHOP:8080", "elsewhere.example"];
const PROTOS: [Proto; 7] =
    [Proto::Http1, Proto::Http2, Proto::Grpc, Proto::GrpcStream, Proto::Tcp, Proto::TcpServerFirst, Proto::Websocket];
const STRANGE_PORTS: [u16; 3] = [7777, 80, 9080];
/// Bounds of a reference; it is taken modulo what there is.
const ANY: usize = 60;

/// A world with `requests` requests.
pub(crate) fn world(requests: usize) -> impl Strategy<Value = World> {
    (
        prop::bool::weighted(0.08),
        prop::bool::weighted(0.2),
        vec(workload(), 3..=5),
        of((0..ANY, any::<bool>())),
        vec(target(), 1..=5),
        vec(split(), 0..=2),
        vec(request(), 1..=requests),
    )
        .prop_map(|(permissive, naked, workloads, alias, targets, splits, requests)| World {
            permissive,
            naked,
            workloads,
            alias,
            targets,
            splits,
            requests,
        })
}

fn workload() -> impl Strategy<Value = Workload> {
    (
        0..3_usize,
        prop::bool::weighted(0.3),
        1..=2_u16,
        subsequence((0..PORTS.len()).collect::<Vec<_>>(), 1..=PORTS.len()),
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.4),
    )
        .prop_map(|(namespace, common_account, replicas, ports, shifted, pooled)| Workload {
            // Most live together, or nothing would be shared.
            namespace: if namespace == 2 { 1 } else { 0 },
            common_account,
            replicas,
            ports,
            shifted,
            pooled,
        })
}

fn target() -> impl Strategy<Value = Target> {
    let ports = prop_oneof![3 => Just(Vec::new()), 2 => subsequence((0..PORTS.len()).collect::<Vec<_>>(), 1..=3)];
    (
        0..ANY,
        vec(0..ANY, 1..=3),
        weighted(0.7, vec(one_match(), 1..=3)),
        prop::bool::weighted(0.2),
        weighted(0.45, ports),
        weighted(0.15, 0..PORTS.len()),
    )
        .prop_map(|(destination, sources, http, first_only, tcp, port)| Target {
            destination,
            sources,
            http,
            first_only,
            tcp,
            port,
        })
}

fn one_match() -> impl Strategy<Value = Match> {
    (
        weighted(0.85, select(&PATTERNS[..]).prop_map(str::to_owned)),
        prop_oneof![
            2 => Just(Vec::new()),
            1 => Just(vec!["*"]),
            2 => subsequence(METHODS.to_vec(), 1..=3),
        ],
        prop_oneof![3 => Just(Vec::new()), 1 => subsequence(HEADER_PATTERNS.to_vec(), 1..=2)],
    )
        .prop_map(|(path, methods, headers)| {
            // A match without any criterion is refused by the API.
            let path = if methods.is_empty() && headers.is_empty() { path.or(Some(".*".into())) } else { path };
            let mut headers: Vec<_> = headers;
            headers.dedup_by_key(|(name, _)| *name);
            Match { path, methods, headers }
        })
}

fn split() -> impl Strategy<Value = Split> {
    let backend = (weighted(0.92, 0..ANY), prop_oneof![1 => Just(0_u64), 4 => 1..=3_u64, 1 => Just(100_u64)]);
    (0..ANY, vec(backend, 1..=3), weighted(0.4, vec(one_match(), 1..=2))).prop_map(|(root, backends, matches)| Split {
        root,
        backends,
        matches,
    })
}

fn request() -> impl Strategy<Value = Request> {
    let headers = prop_oneof![3 => Just(Vec::new()), 2 => subsequence(HEADERS.to_vec(), 1..=2)];
    (
        (0..ANY, to(), weighted(0.1, select(&PROTOS[..])), 0..ANY),
        (weighted(0.5, select(&METHODS[..])), weighted(0.9, select(&PATHS[..]).prop_map(str::to_owned)), headers),
        (
            weighted(0.08, select(&HOSTS[..])),
            prop_oneof![3 => Just(1_u32), 2 => 2..=6_u32],
            prop::bool::weighted(0.3),
            weighted(0.2, presented()),
        ),
    )
        .prop_map(|((from, to, proto, variant), (method, path, headers), (host, n, keep_alive, present))| {
            let mut headers = headers;
            headers.dedup_by_key(|(name, _)| name.to_ascii_lowercase());
            Request { from, to, proto, variant, method, path, headers, host, n, keep_alive, present }
        })
}

fn to() -> impl Strategy<Value = To> {
    let port = prop_oneof![9 => (0..ANY).prop_map(Ok), 1 => select(&STRANGE_PORTS[..]).prop_map(Err)];
    prop_oneof![
        5 => (0..ANY, port.clone()).prop_map(|(service, port)| To::Service { service, port }),
        1 => (0..ANY, port).prop_map(|(workload, port)| To::Pod { workload, port }),
    ]
}

fn presented() -> impl Strategy<Value = Presented> {
    prop_oneof![
        2 => Just(Presented::Own),
        2 => Just(Presented::Plaintext),
        2 => (0..ANY).prop_map(Presented::Account),
        1 => Just(Presented::Anonymous),
        1 => Just(Presented::Expired),
        1 => Just(Presented::ForeignCa),
        1 => Just(Presented::ForeignDomain),
    ]
}
