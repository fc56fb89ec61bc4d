//! Reads the sources of the workspace and holds them to the rules of the house. Each rule is tested with what it must catch.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

const CRATES: [&str; 4] = ["mesh", "mesh/fuzz", "simulator", "conformance"];
const LONGEST: usize = 400;

/// What the pure half of `mesh` must not touch.
const IMPURE: [&str; 18] = [
    "tokio",
    "kube",
    "tonic",
    "fs",
    "env",
    "process",
    "thread",
    "TcpListener",
    "TcpStream",
    "UdpSocket",
    "SystemTime",
    "Instant",
    "rand",
    "async",
    "await",
    "HashMap",
    "HashSet",
    "RandomState",
];

/// Where a `HashMap` is allowed in the pure half, and why.
const HASH_MAPS: &[(&str, &str)] = &[
    ("mesh/src/snapshot/access_log.rs", "fields of the access log, one entry per merged part"),
    ("mesh/src/snapshot/cluster.rs", "typed_extension_protocol_options, one entry"),
    ("mesh/src/snapshot/connection.rs", "typed_extension_protocol_options, one entry"),
    ("mesh/src/snapshot/encode.rs", "filter_metadata and Struct fields, one entry each"),
    ("mesh/src/snapshot/extension.rs", "typed_extension_protocol_options, one entry"),
    ("mesh/src/snapshot/limit.rs", "typed_per_filter_config, one entry"),
    ("mesh/src/snapshot/rbac.rs", "policies, one entry per merged part"),
    ("mesh/src/snapshot/route.rs", "typed_per_filter_config, one entry"),
];

/// A source file, in two parts.
struct Source {
    /// From the top of the workspace, with `/`.
    path: String,
    /// What is compiled into the product. Empty for a file of tests.
    production: String,
    /// The rest.
    tests: String,
}

impl Source {
    fn new(path: &str, text: &str, is_test: bool) -> Self {
        let (production, tests) = if is_test { (String::new(), text.to_owned()) } else { divide(text) };
        Self { path: path.to_owned(), production, tests }
    }
}

/// Parts production code from the items below `#[cfg(test)]`, whose lines are left empty.
fn divide(text: &str) -> (String, String) {
    let (mut production, mut tests) = (String::new(), String::new());
    let mut end: Option<String> = None;
    let mut pending = false;
    for line in text.lines() {
        let indent = &line[..line.len() - line.trim_start().len()];
        let mut is_test = end.is_some() || pending;
        if line.trim() == "#[cfg(test)]" && end.is_none() {
            (pending, is_test) = (true, true);
        } else if pending && !line.trim_start().starts_with("#[") {
            pending = false;
            end = (!line.trim_end().ends_with([';', '}'])).then(|| format!("{indent}}}"));
        } else if end.as_deref() == Some(line) {
            end = None;
        }
        let (this, other) = if is_test { (&mut tests, &mut production) } else { (&mut production, &mut tests) };
        this.push_str(line);
        this.push('\n');
        other.push('\n');
    }
    (production, tests)
}

/// Lines of code with their numbers; comments are left out.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines()).filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn has_word(line: &str, word: &str) -> bool {
    let inner = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| !line[..at].ends_with(inner) && !line[at + word.len()..].starts_with(inner))
}

/// Without what stands between double quotes: text may speak of anything.
fn without_strings(line: &str) -> String {
    line.split('"').step_by(2).collect::<Vec<_>>().join("\"\"")
}

fn is_pure(path: &str) -> bool {
    let inside =
        |part: &str| path.strip_prefix(&format!("mesh/src/{part}")).is_some_and(|rest| rest.starts_with(['.', '/']));
    ["api", "model", "world", "policy", "snapshot"].into_iter().any(inside)
}

fn impure_words(source: &Source) -> Vec<String> {
    let allowed = |word: &str| word == "HashMap" && HASH_MAPS.iter().any(|(path, _)| *path == source.path);
    let mut found = Vec::new();
    for (number, line) in code(&source.production).filter(|_| is_pure(&source.path)) {
        let line = without_strings(line);
        for word in IMPURE.iter().filter(|word| has_word(&line, word) && !allowed(word)) {
            found.push(format!("{}:{number}: `{word}` in the pure half", source.path));
        }
    }
    found
}

fn too_long(source: &Source) -> Vec<String> {
    let lines = source.production.trim_end().lines().count();
    let text = format!("{}: {lines} lines of production code, more than {LONGEST}", source.path);
    if lines > LONGEST { vec![text] } else { Vec::new() }
}

/// Nothing panics but where an `#[expect]` a few lines above gives the reason.
fn panics(source: &Source) -> Vec<String> {
    let words = [".unwrap()", "panic!(", "todo!(", "unimplemented!(", "dbg!("];
    let (mut found, mut excused) = (Vec::new(), 0);
    for (number, line) in code(&source.production) {
        if line.contains("#[expect(clippy::panic") {
            excused = number + 5;
        }
        let line = without_strings(line);
        if let Some(word) = words.iter().find(|word| line.contains(**word) && number > excused) {
            found.push(format!("{}:{number}: `{word}` in production code", source.path));
        }
    }
    found
}

/// A test sleeps only between two looks at a condition: right inside a loop.
fn sleeps(source: &Source) -> Vec<String> {
    let (mut found, mut looping) = (Vec::new(), 0);
    for (number, line) in code(&source.tests) {
        let line = without_strings(line);
        if has_word(&line, "while") || has_word(&line, "loop") {
            looping = number + 3;
        }
        let sleeps = ["thread::sleep", "time::sleep"].iter().any(|word| has_word(&line, word));
        if sleeps && number > looping {
            found.push(format!("{}:{number}: a test that sleeps; wait for a condition", source.path));
        }
    }
    found
}

fn machine_paths(path: &str, text: &str) -> Vec<String> {
    let roots = ["work", "root", "home"].map(|name| format!("/{name}/"));
    let starts = |line: &str, root: &str| {
        line.match_indices(root)
            .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "./}*-_".contains(c)))
    };
    let found = (1..).zip(text.lines()).filter_map(|(number, line): (usize, _)| {
        let root = roots.iter().find(|root| starts(line, root))?;
        Some(format!("{path}:{number}: a path of one machine ({root})"))
    });
    found.collect()
}

/// The files that `mod` reaches from `root`, each with whether it belongs to the tests. `read` is `None` if there is no file.
fn reached(root: &str, is_test: bool, read: &dyn Fn(&str) -> Option<String>) -> BTreeMap<String, bool> {
    let mut found = BTreeMap::from([(root.to_owned(), is_test)]);
    let Some(text) = read(root) else { return found };
    let (folder, file) = root.rsplit_once('/').unwrap_or(("", root));
    let stem = file.trim_end_matches(".rs");
    let below = if ["lib", "main", "mod"].contains(&stem)
        || folder.ends_with("/bin")
        || folder.ends_with("/fuzz_targets")
        || folder.ends_with("/tests") && !folder.contains("src")
    {
        folder.to_owned()
    } else {
        format!("{folder}/{stem}")
    };
    let (production, tests) = divide(&text);
    for (part, is_test) in [(production, is_test), (tests, true)] {
        let mut named = None;
        for (_, line) in code(&part) {
            let children = match (module(line), named.take()) {
                (Some(_), Some(path)) => vec![format!("{folder}/{path}")],
                (Some(name), None) => vec![format!("{below}/{name}.rs"), format!("{below}/{name}/mod.rs")],
                (None, _) => Vec::new(),
            };
            for child in children.into_iter().filter(|child| read(child).is_some()) {
                found.extend(reached(&child, is_test, read));
            }
            named = line.trim().strip_prefix("#[path = \"").and_then(|rest| rest.strip_suffix("\"]"));
        }
    }
    found
}

/// The name in `mod name;`, with any visibility.
fn module(line: &str) -> Option<&str> {
    let line = line.trim();
    let rest = match line.strip_prefix("pub") {
        Some(rest) => rest.split_once("mod ")?.1,
        None => line.strip_prefix("mod ")?,
    };
    rest.strip_suffix(';')
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("mesh lies in the workspace").to_owned()
}

/// All files below a folder of the workspace, by path from its top.
fn files(folder: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(workspace().join(folder)).into_iter().flatten().flatten() {
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            found.extend(files(&path).into_iter().filter(|p| !p.contains("/target/")));
        } else {
            found.insert(path);
        }
    }
    found
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(workspace().join(path)).ok()
}

fn is_rust(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|e| e == "rs")
}

/// The roots of a crate's module trees, each with whether it is a test.
fn roots(crate_: &str, all: &BTreeSet<String>) -> Vec<(String, bool)> {
    let directly = |path: &str, folder: &str| {
        path.strip_prefix(&format!("{crate_}/{folder}/")).is_some_and(|rest| !rest.contains('/') && is_rust(rest))
    };
    let fixed = ["src/lib.rs", "src/main.rs", "build.rs"].map(|root| format!("{crate_}/{root}"));
    // A folder with a `main.rs` is one test program.
    let folder_of_tests = |path: &str| path.starts_with(&format!("{crate_}/tests/")) && path.ends_with("/main.rs");
    let one = |path: &String| {
        let product = fixed.contains(path) || directly(path, "src/bin") || directly(path, "examples");
        let test = directly(path, "tests") || directly(path, "fuzz_targets") || folder_of_tests(path);
        (product || test).then(|| (path.clone(), !product))
    };
    all.iter().filter_map(one).collect()
}

/// Every source of the workspace that `mod` reaches, and the paths of those that it does not.
fn sources() -> (Vec<Source>, Vec<String>) {
    let (mut sources, mut lost) = (Vec::new(), Vec::new());
    for crate_ in CRATES {
        // A crate within a crate is a crate of its own.
        let inner = |path: &String| CRATES.iter().any(|c| c.len() > crate_.len() && path.starts_with(&format!("{c}/")));
        let all: BTreeSet<_> = files(crate_).into_iter().filter(|path| !inner(path)).collect();
        let mut found = BTreeMap::new();
        for (root, is_test) in roots(crate_, &all) {
            found.extend(reached(&root, is_test, &read));
        }
        lost.extend(all.into_iter().filter(|path| is_rust(path) && !found.contains_key(path)));
        sources
            .extend(found.into_iter().filter_map(|(path, is_test)| Some(Source::new(&path, &read(&path)?, is_test))));
    }
    (sources, lost)
}

fn none(found: &[String]) {
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn the_workspace_is_tidy() {
    let (sources, lost) = sources();
    assert!(sources.len() > 60, "only {} sources found", sources.len());
    let rules = [impure_words, too_long, panics, sleeps];
    let mut found: Vec<_> =
        sources.iter().flat_map(|source| rules.into_iter().flat_map(move |rule| rule(source))).collect();
    found.extend(lost.into_iter().map(|path| format!("{path}: no `mod` reaches it")));
    none(&found);
}

#[test]
fn no_file_knows_a_machine() {
    let folders = ["mesh", "simulator", "conformance", "scenarios", "deploy", "benches", ".ci"];
    let text = |path: &String| Some((path.clone(), read(path)?));
    let all = folders.into_iter().flat_map(files).filter(|path| !path.ends_with("Cargo.lock"));
    let found: Vec<_> = all.filter_map(|p| text(&p)).flat_map(|(path, text)| machine_paths(&path, &text)).collect();
    none(&found);
}

#[test]
fn every_exception_is_needed() {
    for (path, reason) in HASH_MAPS {
        assert!(read(path).is_some_and(|text| text.contains("HashMap")), "{path} ({reason})");
    }
}

/// The bad examples.
mod caught {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source::new(path, text, false)
    }

    #[test]
    fn forbidden_words_in_the_pure_half() {
        for line in [
            "use tokio::sync::watch;",
            "use std::{fmt, fs};",
            "use std::net::TcpListener;",
            "let now = SystemTime::now();",
            "pub async fn build() {}",
            "let map: HashMap<u8, u8> = HashMap::new();",
        ] {
            assert!(!impure_words(&source("mesh/src/policy/x.rs", line)).is_empty(), "{line}");
            assert!(impure_words(&source("mesh/src/xds/x.rs", line)).is_empty(), "{line}");
        }
        for line in ["// tokio", "let offset = 1;", "\"tokio\"", "#[cfg(test)]\nuse tokio::net;\n"] {
            assert!(impure_words(&source("mesh/src/policy.rs", line)).is_empty(), "{line}");
        }
        assert!(impure_words(&source("mesh/src/snapshot/rbac.rs", "HashMap::from(x)")).is_empty());
    }

    #[test]
    fn long_files_without_their_tests() {
        let long = "fn f() {}\n".repeat(LONGEST + 1);
        assert!(!too_long(&source("a.rs", &long)).is_empty());
        let tested = format!("fn f() {{}}\n#[cfg(test)]\nmod tests {{\n{long}}}\n");
        assert!(too_long(&source("a.rs", &tested)).is_empty());
        let after = format!("#[cfg(test)]\nmod tests;\n{long}");
        assert!(!too_long(&source("a.rs", &after)).is_empty());
    }

    #[test]
    fn panics_in_production_code() {
        for line in ["x.unwrap();", "panic!(\"no\")", "todo!()", "unimplemented!()"] {
            let line = format!("fn f() {{ {line} }}");
            assert!(!panics(&source("a.rs", &line)).is_empty(), "{line}");
            assert!(panics(&Source::new("a.rs", &line, true)).is_empty(), "{line}");
        }
        let excused = "#[expect(clippy::panic, reason = \"r\")]\nfn f() {\n    panic!()\n}\n";
        assert!(panics(&source("a.rs", excused)).is_empty());
        assert!(panics(&source("a.rs", "x.unwrap_or(1);\n/// x.unwrap()\nstd::panic::resume_unwind(x);")).is_empty());
    }

    #[test]
    fn sleeping_tests() {
        let sleeping = "#[cfg(test)]\nmod tests {\n    fn t() {\n        tokio::time::sleep(D).await;\n    }\n}\n";
        assert!(!sleeps(&source("a.rs", sleeping)).is_empty());
        assert!(!sleeps(&Source::new("a.rs", "std::thread::sleep(D);", true)).is_empty());
        assert!(
            sleeps(&Source::new("a.rs", "while !there() {\n    tokio::time::sleep(D).await;\n}\n", true)).is_empty()
        );
        assert!(sleeps(&source("a.rs", "tokio::time::sleep(D).await;")).is_empty());
        assert!(sleeps(&Source::new("a.rs", "tokio::time::sleep_until(D);", true)).is_empty());
    }

    #[test]
    fn paths_of_a_machine() {
        let path = ["/ro", "ot/x"].concat();
        assert!(!machine_paths("a.rs", &format!("open(\"{path}\")")).is_empty());
        assert!(machine_paths("a.rs", &format!("open(\"target{path}\")")).is_empty());
    }

    #[test]
    fn files_that_nobody_declares() {
        let files = BTreeMap::from([
            (
                "c/src/lib.rs",
                "pub mod a;\n#[cfg(test)]\nmod t;\n// mod comment;\n#[path = \"other/place.rs\"]\nmod p;\n",
            ),
            ("c/src/a.rs", "pub(crate) mod b;"),
            ("c/src/a/b.rs", ""),
            ("c/src/t.rs", "mod u;"),
            ("c/src/t/u.rs", ""),
            ("c/src/comment.rs", ""),
            ("c/src/other/place.rs", ""),
        ]);
        let found = reached("c/src/lib.rs", false, &|path| files.get(path).map(ToString::to_string));
        let lost: Vec<_> = files.keys().filter(|path| !found.contains_key(**path)).collect();
        assert_eq!(lost, [&"c/src/comment.rs"]);
        assert!(found["c/src/t/u.rs"] && !found["c/src/a/b.rs"]);
    }
}
