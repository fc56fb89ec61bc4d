//! Reads `x-forwarded-client-cert`, in which Envoy states who the caller is.
//!
//! Format: elements separated by `,`, oldest first; each is `Key=value` pairs separated by `;`; a value that contains
//! `,`, `;` or `=` is in double quotes, with `\"` for a quote (Envoy, HTTP header manipulation, x-forwarded-client-cert).

/// The URI SAN of the last element: the peer that the nearest sidecar verified. `None` if that element names no URI.
///
/// Of several `URI` values the first counts, as in Envoy's own identity check. `By`, the receiver's own URI, is another key.
pub fn peer_uri(header: &str) -> Option<String> {
    let last = split_outside_quotes(header, ',').pop()?;
    split_outside_quotes(last, ';').into_iter().find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        let value = unquote(value.trim());
        (key.trim().eq_ignore_ascii_case("uri") && !value.is_empty()).then_some(value)
    })
}

fn split_outside_quotes(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (at, c) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if quoted && c == '\\' {
            escaped = true;
        } else if c == '"' {
            quoted = !quoted;
        } else if c == separator && !quoted {
            parts.push(&text[start..at]);
            start = at + c.len_utf8();
        }
    }
    parts.push(&text[start..]);
    parts
}

fn unquote(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')) else { return value.into() };
    let mut out = String::with_capacity(inner.len());
    let mut escaped = false;
    for c in inner.chars() {
        if c == '\\' && !escaped {
            escaped = true;
        } else {
            out.push(c);
            escaped = false;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::peer_uri;

    #[test]
    fn the_last_element_names_the_peer() {
        let cases = [
            ("By=spiffe://c/a;Hash=00;URI=spiffe://c/b", Some("spiffe://c/b")),
            ("URI=spiffe://c/forged,By=spiffe://c/a;URI=spiffe://c/b", Some("spiffe://c/b")),
            (r#"Hash=1;Subject="CN=x,URI=spiffe://c/forged;O=\",\"";URI=spiffe://c/b"#, Some("spiffe://c/b")),
            (r#"URI="spiffe://c/b""#, Some("spiffe://c/b")),
            (r#"URI="a\"b""#, Some(r#"a"b"#)),
            ("URI=spiffe://c/first;URI=spiffe://c/second", Some("spiffe://c/first")),
            ("URI=spiffe://c/old,Hash=1;DNS=x", None),
            ("By=spiffe://c/a;URI=", None),
            ("", None),
        ];
        for (header, uri) in cases {
            assert_eq!(peer_uri(header).as_deref(), uri, "{header}");
        }
    }
}
