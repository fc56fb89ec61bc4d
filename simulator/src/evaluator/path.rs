//! What Envoy's connection manager does to path and host before routing.

use std::borrow::Cow;

/// Path options of an HTTP connection manager.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Normalisation {
    /// `path_with_escaped_slashes_action: UNESCAPE_AND_FORWARD`.
    pub(super) unescape_slashes: bool,
    /// `normalize_path`.
    pub(super) dot_segments: bool,
    /// `merge_slashes`.
    pub(super) merge_slashes: bool,
}

impl Normalisation {
    /// The path and query that routing sees and that is forwarded. The order is Envoy's: unescape, canonicalise, merge.
    pub(super) fn apply<'a>(self, path: Cow<'a, str>) -> Cow<'a, str> {
        let end = path.find('?').unwrap_or(path.len());
        let bare = &path[..end];
        if !bare.bytes().any(|b| matches!(b, b'%' | b'\\')) && !bare.contains("//") && !bare.contains("/.") {
            return path;
        }
        let mut changed = bare.to_owned();
        if self.unescape_slashes {
            changed = unescape_slashes(&changed);
        }
        if self.dot_segments {
            changed = canonical(&changed);
        }
        if self.merge_slashes {
            changed = merge_slashes(&changed);
        }
        changed.push_str(&path[end..]);
        Cow::Owned(changed)
    }
}

/// `strip_trailing_host_dot`: one dot at the end of the name goes, before a port too.
pub(super) fn strip_trailing_dot(authority: Cow<'_, str>) -> Cow<'_, str> {
    match authority.rfind('.') {
        Some(dot) if dot + 1 == authority.len() => Cow::Owned(authority[..dot].to_owned()),
        Some(dot) if authority.as_bytes()[dot + 1] == b':' => {
            Cow::Owned(format!("{}{}", &authority[..dot], &authority[dot + 1..]))
        }
        _ => authority,
    }
}

/// The path with all its slashes and unreserved characters plain.
pub(super) fn plain(path: &str) -> String {
    unescape_unreserved(&unescape_slashes(path)).replace('\\', "/")
}

fn unescape_slashes(path: &str) -> String {
    path.replace("%2F", "/").replace("%2f", "/").replace("%5C", "\\").replace("%5c", "\\")
}

/// Backslashes are slashes, escaped unreserved characters are themselves, and dot segments go (RFC 3986, section 5.2.4).
fn canonical(path: &str) -> String {
    let path = unescape_unreserved(path).replace('\\', "/");
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let mut kept: Vec<&str> = Vec::with_capacity(segments.len());
    for (i, segment) in segments.iter().enumerate() {
        match *segment {
            "." => {}
            ".." => drop(kept.pop()),
            plain => {
                kept.push(plain);
                continue;
            }
        }
        // "/a/." is "/a/": the slash stays.
        if i + 1 == segments.len() {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

fn unescape_unreserved(path: &str) -> String {
    let mut parts = path.split('%');
    let mut out = parts.next().unwrap_or("").to_owned();
    for part in parts {
        let code = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match code {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                out.push(char::from(byte));
                out.push_str(&part[2..]);
            }
            _ => {
                out.push('%');
                out.push_str(part);
            }
        }
    }
    out
}

/// A path of nothing but slashes becomes two of them: Envoy keeps the first and the last.
fn merge_slashes(path: &str) -> String {
    if !path.contains("//") {
        return path.to_owned();
    }
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let end = if path.ends_with('/') { "/" } else { "" };
    format!("/{}{end}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::{Normalisation, strip_trailing_dot};

    const ALL: Normalisation = Normalisation { unescape_slashes: true, dot_segments: true, merge_slashes: true };

    /// Each pair was observed on Envoy 1.40 with all three options on.
    #[test]
    fn paths_become_what_envoy_makes_of_them() {
        for (sent, seen) in [
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/..", "/"),
            ("/a/..", "/"),
            ("/a/.", "/a/"),
            ("//", "//"),
            ("//a", "/a"),
            ("/a//b", "/a/b"),
            ("/a//../b", "/a/b"),
            ("///", "//"),
            ("/a/%2e%2e/b", "/b"),
            ("/a%2Fb", "/a/b"),
            ("/a%5Cb", "/a/b"),
            ("/a\\b", "/a/b"),
            ("/a%41b", "/aAb"),
            ("/a%7eb", "/a~b"),
            ("/a%20b", "/a%20b"),
            ("/a/..%2Fb", "/b"),
            ("/a%252Fb", "/a%252Fb"),
            ("/a;x/../b", "/b"),
            ("/a?b=../c//d", "/a?b=../c//d"),
            ("/a%2F%2Fb?x=%2F", "/a/b?x=%2F"),
            ("/...", "/..."),
            ("/a/..b", "/a/..b"),
            ("/a/b..", "/a/b.."),
            ("/a//", "/a/"),
            ("//a//?b//c", "/a/?b//c"),
            ("/a/b/../../../c", "/c"),
            ("/%2f", "//"),
            ("//..", "/"),
            ("/a\\..\\b", "/b"),
            ("/a/%2E%2E/b/%2E", "/b/"),
            ("/a//..", "/a/"),
            ("/a/b//../..//c", "/a/c"),
            ("/.//", "//"),
            ("/a/..//", "//"),
            ("/!$&'()*+,;=:@-._~", "/!$&'()*+,;=:@-._~"),
        ] {
            assert_eq!(ALL.apply(Cow::Borrowed(sent)), seen, "{sent}");
        }
        assert_eq!(Normalisation::default().apply(Cow::Borrowed("/a//../%2F")), "/a//../%2F");
    }

    #[test]
    fn one_trailing_dot_of_the_host_goes() {
        for (sent, seen) in
            [("web.", "web"), ("web.:80", "web:80"), ("a..", "a."), ("web.ns", "web.ns"), ("web.ns:80", "web.ns:80")]
        {
            assert_eq!(strip_trailing_dot(Cow::Borrowed(sent)), seen);
        }
    }
}
