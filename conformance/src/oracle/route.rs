//! Whether a request matches a route group.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Readings, Unknown,
    manifest::{Group, Headers, Match, Pattern},
};

/// An HTTP request, as its client sends it.
#[derive(Clone, Debug)]
pub(super) struct HttpRequest {
    pub(super) method: String,
    /// With query.
    pub(super) path: String,
    /// Names in lower case, each with a value for every line that carries it.
    pub(super) headers: BTreeMap<String, Vec<String>>,
    /// `Host` or `:authority`, if it is known.
    pub(super) authority: Option<String>,
    pub(super) http2: bool,
    /// Whatever makes it adds headers of its own.
    pub(super) adds_headers: bool,
}

/// The clauses by which something was decided.
pub(super) type Clauses = BTreeSet<&'static str>;

/// The published methods; others are refused, or match nothing.
const METHODS: [&str; 10] = ["*", "GET", "HEAD", "PUT", "POST", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// What of a match counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Conditions {
    All,
    HeadersOnly,
}

impl Group {
    /// Whether the request matches one of the group's routes, or of those with these names.
    pub(super) fn selects(
        &self,
        only: Option<&[String]>,
        request: &HttpRequest,
        count: Conditions,
        readings: &Readings,
        clauses: &mut Clauses,
    ) -> Result<bool, Unknown> {
        if self.is_refused(readings, clauses) {
            return Ok(false);
        }
        let mut unknown = None;
        for route in self.matches.iter().filter(|route| only.is_none_or(|names| names.contains(&route.name))) {
            match route.holds(request, count, readings, clauses) {
                Ok(false) => {}
                Err(why) => unknown = Some(why),
                // What may be refused as a whole grants nothing for sure, but denies for sure.
                Ok(true) if self.is_doubtful() => {
                    return Unknown::because(
                        "a group with an unknown method or a repeated name may be refused as a whole",
                    );
                }
                Ok(true) => return Ok(true),
            }
        }
        unknown.map_or(Ok(false), Err)
    }

    /// Whether any request at all can match one of these routes.
    pub(super) fn is_of_use(&self, only: Option<&[String]>, readings: &Readings) -> bool {
        let mut routes = self.matches.iter().filter(|route| only.is_none_or(|names| names.contains(&route.name)));
        !self.is_refused(readings, &mut Clauses::new()) && routes.any(Match::can_match)
    }

    /// The encoding of headers that the mesh does not read.
    fn is_refused(&self, readings: &Readings, clauses: &mut Clauses) -> bool {
        let mut refused = false;
        for headers in self.matches.iter().filter_map(|route| route.headers.as_ref()) {
            clauses.insert("API-03");
            refused |= match headers {
                Headers::List(_) => readings.is("API-03", "map"),
                Headers::Map(_) => readings.is("API-03", "list"),
            };
        }
        refused
    }

    fn is_doubtful(&self) -> bool {
        let methods = self.matches.iter().flat_map(|route| &route.methods);
        let names: BTreeSet<_> = self.matches.iter().map(|route| &route.name).collect();
        names.len() < self.matches.len() || methods.into_iter().any(|method| !METHODS.contains(&method.as_str()))
    }
}

impl Match {
    fn can_match(&self) -> bool {
        let headers = self.headers();
        self.path_regex.iter().chain(headers.iter().map(|(_, pattern)| *pattern)).all(Pattern::is_valid)
    }

    fn headers(&self) -> Vec<(String, &Pattern)> {
        let pairs: Vec<_> = match &self.headers {
            None => Vec::new(),
            Some(Headers::Map(map)) => map.iter().collect(),
            Some(Headers::List(list)) => list.iter().flatten().collect(),
        };
        pairs.into_iter().map(|(name, pattern)| (name.to_ascii_lowercase(), pattern)).collect()
    }

    /// Path, method and all headers must hold (HR-11, HR-13); what is not given holds (HR-15).
    fn holds(
        &self,
        request: &HttpRequest,
        count: Conditions,
        readings: &Readings,
        clauses: &mut Clauses,
    ) -> Result<bool, Unknown> {
        let headers = self.headers();
        if self.path_regex.is_none() && self.methods.is_empty() && headers.is_empty() {
            return Unknown::because("a match without any condition may be refused");
        }
        let mut parts = Vec::new();
        if let Some(pattern) = self.path_regex.as_ref().filter(|_| count == Conditions::All) {
            clauses.insert(if pattern.is_valid() { "HR-04" } else { "HR-23" });
            parts.push(path_holds(pattern, &request.path, readings, clauses));
        }
        if count == Conditions::All && !self.methods.is_empty() {
            let any = self.methods.iter().any(|method| method == "*");
            clauses.insert(if any { "HR-09" } else { "HR-08" });
            parts.push(Ok(any || self.methods.contains(&request.method)));
        }
        if headers.len() > 1 {
            clauses.insert("HR-13");
        }
        for (name, pattern) in headers {
            clauses.insert(if pattern.is_valid() { "HR-16" } else { "HR-23" });
            parts.push(header_holds(&name, pattern, request, readings, clauses));
        }
        // One condition that fails decides, whatever is not known of others.
        if parts.contains(&Ok(false)) { Ok(false) } else { parts.into_iter().find(Result::is_err).unwrap_or(Ok(true)) }
    }
}

fn path_holds(pattern: &Pattern, sent: &str, readings: &Readings, clauses: &mut Clauses) -> Result<bool, Unknown> {
    let (path, query) = sent.split_once('?').map_or((sent, None), |(path, query)| (path, Some(query)));
    let normal = normal(path);
    let seen = match normal == path {
        true => path.to_owned(),
        false => {
            clauses.insert("HR-07");
            if readings.is("HR-07", "as-sent") { path.to_owned() } else { normal }
        }
    };
    let with_query = query.filter(|_| readings.is("HR-06", "included")).map(|query| format!("{seen}?{query}"));
    if query.is_some() {
        clauses.insert("HR-06");
    }
    let matches = |text: &str| match readings.is("HR-02", "prefix") {
        true => pattern.matches_start(text),
        false => pattern.matches_whole(text),
    };
    let text = with_query.unwrap_or(seen);
    let holds = matches(&text);
    if pattern.matches_whole(&text) != pattern.matches_start(&text) {
        clauses.insert("HR-02");
    }
    // Other escapes (`%62` for `b`) mean the same, but nobody says that a mesh must see it.
    if matches(&unescaped(&text)) != holds {
        return Unknown::because("the specification does not say whether escaped characters are decoded first");
    }
    Ok(holds)
}

/// Whether a path is written in a way that meshes may normalise, or refuse.
pub(super) fn is_tricky(path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    normal(path) != path
}

/// The path without dot segments, repeated slashes and escaped slashes.
fn normal(path: &str) -> String {
    let mut plain = path.replace('\\', "/");
    for (escaped, character) in [("%2F", "/"), ("%2f", "/"), ("%5C", "/"), ("%5c", "/"), ("%2E", "."), ("%2e", ".")] {
        plain = plain.replace(escaped, character);
    }
    let mut kept: Vec<&str> = Vec::new();
    let mut folder = false;
    for segment in plain.split('/').skip(1) {
        folder = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    let end = if folder && !kept.is_empty() { "/" } else { "" };
    format!("/{}{end}", kept.join("/"))
}

/// The text with escapes of letters, digits, `-`, `.`, `_` and `~` decoded.
fn unescaped(text: &str) -> String {
    let mut decoded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        decoded.push_str(before);
        let byte = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()).map(char::from);
        match byte.filter(|c| c.is_ascii_alphanumeric() || "-._~".contains(*c)) {
            Some(character) => {
                decoded.push(character);
                rest = &after[2..];
            }
            None => {
                decoded.push('%');
                rest = after;
            }
        }
    }
    decoded + rest
}

fn header_holds(
    name: &str,
    pattern: &Pattern,
    request: &HttpRequest,
    readings: &Readings,
    clauses: &mut Clauses,
) -> Result<bool, Unknown> {
    let matches = |text: &str| match readings.is("HR-16", "part") {
        true => pattern.matches_part(text),
        false => pattern.matches_whole(text),
    };
    if matches!(name, "host" | ":authority") {
        clauses.insert("HR-19");
        if readings.is("HR-19", "literal") && request.http2 {
            return if name == "host" { Ok(false) } else { Unknown::because("`:authority` is no header") };
        }
        return match &request.authority {
            Some(authority) => Ok(matches(authority)),
            None => Unknown::because("the authority is an address that is not known here"),
        };
    }
    if name.starts_with(':') || (request.adds_headers && !request.headers.contains_key(name)) {
        return Unknown::because(format!("what clients send as `{name}` is not known"));
    }
    let Some(lines) = request.headers.get(name) else {
        clauses.insert("HR-18");
        return Ok(false);
    };
    if let [line] = lines.as_slice()
        && (readings.is("HR-18", "joined") || !line.contains(','))
    {
        return Ok(matches(line));
    }
    clauses.insert("HR-18");
    let values: Vec<&str> = lines.iter().flat_map(|line| line.split(',')).map(str::trim).collect();
    // Lists may be written as one line or several, with or without a space, and mean the same.
    let (verdict, other) = if readings.is("HR-18", "joined") {
        (matches(&lines.join(",")), matches(&lines.join(", ")))
    } else if readings.is("HR-18", "first") {
        (lines.first().is_some_and(|line| matches(line)), values.first().is_some_and(|value| matches(value)))
    } else {
        (lines.iter().any(|line| matches(line)), values.iter().any(|value| matches(value)))
    };
    match verdict == other {
        true => Ok(verdict),
        false => Unknown::because("the specification does not say how lists of values are joined or taken apart"),
    }
}
