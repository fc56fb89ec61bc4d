//! The syntax of Kubernetes names.
//!
//! A name ends up in DNS names, certificates, Envoy resource names and file names, so nothing else gets past this door.

use super::error::{Fault, quoted};

/// An RFC 1123 subdomain: labels joined by dots, 253 characters at most. Names of most objects, and host names.
pub(super) fn subdomain(name: &str, field: &str) -> Result<(), Fault> {
    let good = name.len() <= 253 && name.split('.').all(is_label);
    refuse_unless(
        good,
        name,
        field,
        "lower-case letters, digits, `-` and `.`, 253 at most, each part beginning and ending with a letter or digit",
    )
}

/// An RFC 1123 label: 63 characters at most and no dot. Names of namespaces and ports.
pub(super) fn label(name: &str, field: &str) -> Result<(), Fault> {
    let good = name.len() <= 63 && is_label(name);
    refuse_unless(
        good,
        name,
        field,
        "lower-case letters, digits and `-`, 63 at most, beginning and ending with a letter or digit",
    )
}

/// An RFC 1035 label: as [`label`], and begins with a letter. Names of services.
pub(super) fn service(name: &str, field: &str) -> Result<(), Fault> {
    let good = name.len() <= 63 && is_label(name) && name.starts_with(|c: char| c.is_ascii_lowercase());
    refuse_unless(
        good,
        name,
        field,
        "lower-case letters, digits and `-`, 63 at most, beginning with a letter and ending with a letter or digit",
    )
}

/// The name of a container port (RFC 6335): as [`label`], 15 characters at most, with a letter, no two `-` in a row.
pub(super) fn container_port(name: &str, field: &str) -> Result<(), Fault> {
    let letter = name.contains(|c: char| c.is_ascii_lowercase());
    let good = name.len() <= 15 && is_label(name) && letter && !name.contains("--");
    refuse_unless(good, name, field, "lower-case letters, digits and single `-`, 15 at most, with at least one letter")
}

/// An HTTP header name: a token (RFC 9110, section 5.6.2), or a pseudo-header such as `:authority`.
pub(super) fn header(name: &str, field: &str) -> Result<(), Fault> {
    let token = name.strip_prefix(':').unwrap_or(name);
    let good = !token.is_empty() && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
    refuse_unless(good, name, field, "letters, digits and ``!#$%&'*+-.^_`|~``")
}

fn is_label(label: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
}

fn refuse_unless(good: bool, name: &str, field: &str, rule: &str) -> Result<(), Fault> {
    if good {
        return Ok(());
    }
    let lower = name.to_ascii_lowercase();
    let hint = (lower != name && lower.split('.').all(is_label)).then(|| format!("did you mean `{lower}`?"));
    Err(Fault::new(field, format!("{} is not a valid name: {rule}", quoted(name))).maybe_hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let (at63, over63) = ("a".repeat(63), "a".repeat(64));
        let (at253, over253) = (vec!["a"; 127].join("."), format!("{}.a", vec!["a"; 127].join(".")));
        // (name, subdomain, label, service)
        let table = [
            ("shop", true, true, true),
            ("1shop", true, true, false),
            ("shop.v1", true, false, false),
            ("", false, false, false),
            ("Shop", false, false, false),
            ("-shop", false, false, false),
            ("shop-", false, false, false),
            ("a..b", false, false, false),
            ("a.", false, false, false),
            ("a b", false, false, false),
            ("a\n", false, false, false),
            ("../etc", false, false, false),
            ("schöp", false, false, false),
            (&at63, true, true, true),
            (&over63, true, false, false),
            (&at253, true, false, false),
            (&over253, false, false, false),
        ];
        for (name, is_subdomain, is_label, is_service) in table {
            assert_eq!(subdomain(name, "f").is_ok(), is_subdomain, "{name:?}");
            assert_eq!(label(name, "f").is_ok(), is_label, "{name:?}");
            assert_eq!(service(name, "f").is_ok(), is_service, "{name:?}");
        }
    }

    #[test]
    fn headers() {
        for (name, good) in [
            ("user-agent", true),
            ("X_Y", true),
            (":authority", true),
            ("", false),
            (":", false),
            ("a:b", false),
            ("a b", false),
            ("a\r\n", false),
        ] {
            assert_eq!(header(name, "f").is_ok(), good, "{name:?}");
        }
    }

    #[test]
    fn container_ports() {
        for (name, good) in
            [("http", true), ("8080", false), ("a--b", false), ("sixteen-letters-", false), ("fifteen-letters", true)]
        {
            assert_eq!(container_port(name, "f").is_ok(), good, "{name:?}");
        }
    }
}
