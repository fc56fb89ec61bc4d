//! Whether the process is well, and whether it can serve.

use std::fmt::Write;

use futures::future::BoxFuture;

/// One thing that must be so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What is looked at, in one word.
    pub name: &'static str,
    /// Fine, with a remark that may be empty; or what is wrong and what it waits for.
    pub result: Result<String, String>,
}

impl Check {
    /// A check that passes if `holds`; `why` tells what is wrong otherwise.
    pub fn that(name: &'static str, holds: bool, why: impl FnOnce() -> String) -> Self {
        Self { name, result: if holds { Ok(String::new()) } else { Err(why()) } }
    }
}

/// What the probes of Kubernetes ask.
pub trait Health: Send + Sync + 'static {
    /// `/healthz`: if one fails, only a restart helps.
    fn alive(&self) -> BoxFuture<'_, Vec<Check>>;
    /// `/readyz`: if one fails, proxies and the API server should turn to another replica.
    fn ready(&self) -> BoxFuture<'_, Vec<Check>>;
}

/// Whether all pass, and a line for each, in the manner of the Kubernetes API server.
pub fn report(checks: &[Check]) -> (bool, String) {
    let mut text = String::new();
    for Check { name, result } in checks {
        let written = match result {
            Ok(remark) if remark.is_empty() => writeln!(text, "[+] {name} ok"),
            Ok(remark) => writeln!(text, "[+] {name} ok: {remark}"),
            Err(why) => writeln!(text, "[-] {name} failed: {why}"),
        };
        written.expect("a string takes all");
    }
    (checks.iter().all(|check| check.result.is_ok()), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_what_fails_and_why() {
        let fine = Check::that("ads", true, String::new);
        assert_eq!(report(std::slice::from_ref(&fine)), (true, "[+] ads ok\n".into()));
        let bad = Check::that("watch", false, || "pods are not listed yet".into());
        let (well, text) = report(&[fine, bad]);
        assert!(!well);
        assert_eq!(text, "[+] ads ok\n[-] watch failed: pods are not listed yet\n");
    }
}
