//! Which names may stand in a certificate.

use rcgen::{SanType, string::Ia5String};

use super::issuer::IssueError;

/// A DNS SAN.
///
/// # Errors
/// [`IssueError::DnsName`] unless it is a host name of RFC 1123: labels of 1 to 63 characters, 253 in all.
pub(super) fn dns_san(name: &str) -> Result<SanType, IssueError> {
    let refuse = || IssueError::DnsName(name.to_owned());
    if !is_subdomain(name) || name.split('.').any(|label| label.len() > 63) {
        return Err(refuse());
    }
    Ia5String::try_from(name).map(SanType::DnsName).map_err(|_| refuse())
}

/// A URI SAN. The caller has checked the parts.
///
/// # Errors
/// [`IssueError::ObjectName`] if it is not ASCII.
pub(super) fn uri_san(uri: &str) -> Result<SanType, IssueError> {
    Ia5String::try_from(uri).map(SanType::URI).map_err(|_| IssueError::ObjectName(uri.to_owned()))
}

/// Checks a Kubernetes object name.
///
/// # Errors
/// [`IssueError::ObjectName`].
pub(super) fn check_object(name: &str) -> Result<(), IssueError> {
    if is_subdomain(name) { Ok(()) } else { Err(IssueError::ObjectName(name.to_owned())) }
}

/// Checks a namespace. It holds no dot, so that `<sa>.<ns>.<trust domain>` can be read in one way only.
///
/// # Errors
/// [`IssueError::Namespace`].
pub(super) fn check_namespace(name: &str) -> Result<(), IssueError> {
    if is_label(name) && name.len() <= 63 { Ok(()) } else { Err(IssueError::Namespace(name.to_owned())) }
}

/// A "DNS subdomain" as Kubernetes means it: 1 to 253 characters, labels of any length.
pub(super) fn is_subdomain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_label)
}

/// Letters, digits and inner hyphens.
pub(super) fn is_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_names_follow_rfc_1123() {
        let long_label = "a".repeat(64);
        let long_name = [&*"a".repeat(60); 5].join(".");
        for good in ["a", "bookstore.bookstore.cluster.local", "sa.with.dots.ns.td", &"a".repeat(63)] {
            assert!(dns_san(good).is_ok(), "{good}");
        }
        for bad in
            ["", ".", "a..b", "a.", "-a", "a-.b", "a_b", "a b", "a/b", "ä.b", "a\0", "*.a", &long_label, &long_name]
        {
            assert_eq!(dns_san(bad), Err(IssueError::DnsName(bad.to_owned())));
        }
    }

    #[test]
    fn a_namespace_has_no_dot() {
        assert!(check_namespace("bookstore").is_ok());
        assert!(check_namespace("book.store").is_err());
        assert!(check_namespace(&"a".repeat(64)).is_err());
    }
}
