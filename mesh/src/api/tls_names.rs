//! Names of cipher suites and curves. Envoy refuses every listener and every cluster for one that it does not know.

use super::{
    error::{Fault, quoted},
    suggest,
};
use crate::model::{TlsSettings, TlsVersion};

/// Suites of TLS 1.2 and before that Envoy (BoringSSL) knows and that mesh certificates, ECDSA P-256, can serve.
const CIPHER_SUITES: [&str; 5] = [
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA",
];

/// The others that it knows: harmless beside one of the first, for a certificate of another kind only.
const RSA_SUITES: [&str; 9] = [
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-RSA-AES256-SHA",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-SHA",
    "AES256-SHA",
];

/// Curves that Envoy knows.
const CURVES: [&str; 5] = ["X25519", "P-256", "P-384", "P-521", "X25519MLKEM768"];

/// Checks the names.
///
/// # Errors
/// For an unknown name, and for suites of which none can be used.
pub(super) fn check(tls: &TlsSettings) -> Result<(), Fault> {
    const SUITES: &str = "spec.sidecar.cipherSuites";
    for (i, suite) in tls.cipher_suites.iter().enumerate() {
        if !CIPHER_SUITES.contains(&&**suite) && !RSA_SUITES.contains(&&**suite) {
            let known = suggest::list(&CIPHER_SUITES);
            let why = format!("{} is no suite of TLS 1.2 that sidecars know; they know {known}", quoted(suite));
            let fault = Fault::new(format!("{SUITES}[{i}]"), why);
            return Err(fault.maybe_hint(suggest::nearest(suite, &CIPHER_SUITES)));
        }
    }
    let usable = tls.cipher_suites.is_empty() || tls.cipher_suites.iter().any(|s| CIPHER_SUITES.contains(&&**s));
    if tls.maximum < TlsVersion::V1_3 && !usable {
        return Err(Fault::new(SUITES, "certificates of the mesh are ECDSA; name one of the `ECDHE-ECDSA-…` suites"));
    }
    for (i, curve) in tls.ecdh_curves.iter().enumerate() {
        if !CURVES.contains(&&**curve) {
            let why = format!("{} is no curve that sidecars know; they know {}", quoted(curve), suggest::list(&CURVES));
            let fault = Fault::new(format!("spec.sidecar.ecdhCurves[{i}]"), why);
            return Err(fault.maybe_hint(suggest::nearest(curve, &CURVES)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn check_names(maximum: TlsVersion, suites: &[&str], curves: &[&str]) -> Result<(), Fault> {
        let names = |names: &[&str]| names.iter().map(|name| Arc::from(*name)).collect();
        check(&TlsSettings { maximum, cipher_suites: names(suites), ecdh_curves: names(curves), ..Default::default() })
    }

    #[test]
    fn what_envoy_would_refuse_is_refused_before() {
        let v1_2 = TlsVersion::V1_2;
        assert!(check_names(v1_2, &["ECDHE-ECDSA-AES128-GCM-SHA256", "AES128-SHA"], &["P-256"]).is_ok());
        assert!(check_names(v1_2, &["TLS_AES_128_GCM_SHA256"], &[]).is_err(), "a suite of TLS 1.3 cannot be chosen");
        assert!(check_names(v1_2, &["ECDHE-RSA-AES128-GCM-SHA256"], &[]).is_err(), "no certificate could be used");
        assert!(check_names(TlsVersion::V1_3, &["ECDHE-RSA-AES128-GCM-SHA256"], &[]).is_ok());
        assert_eq!(check_names(v1_2, &[], &["P256"]).unwrap_err().field, "spec.sidecar.ecdhCurves[0]");
    }
}
