//! MeshRootCertificate (`config.openservicemesh.io/v1alpha2`): where the root of all workload certificates comes from.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    error::{Fault, quoted},
    mesh_config::SecretReference,
    metadata::{Port, Resource},
    name,
};
use crate::model::TrustDomain;

/// A MeshRootCertificate.
pub type MeshRootCertificate = Resource<MeshRootCertificateSpec>;

/// `spec`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MeshRootCertificateSpec {
    /// Who signs. Fixed for the object's life: another provider is another root, and takes another object.
    pub provider: ProviderSpec,
    /// The domain of all identities; `cluster.local` if omitted. Fixed for the object's life.
    #[serde(default)]
    pub trust_domain: Option<String>,
    /// What the root is used for; `active` if omitted, for objects of OSM 1.2 know no role.
    #[serde(default)]
    pub role: Role,
    /// Accepted for compatibility: certificates always carry a SPIFFE ID, besides the DNS name.
    #[serde(default)]
    pub spiffe_enabled: bool,
}

/// `spec.role`: what a root is used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It signs, and is trusted.
    #[default]
    Active,
    /// It is trusted.
    Passive,
    /// It is neither.
    Inactive,
}

/// `spec.provider`: exactly one of the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct ProviderSpec {
    /// The built-in authority.
    pub tresor: Option<TresorSpec>,
    /// HashiCorp Vault, or what speaks its PKI API.
    pub vault: Option<VaultSpec>,
    /// cert-manager.
    pub cert_manager: Option<CertManagerSpec>,
}

/// `spec.provider.tresor`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TresorSpec {
    /// Its root.
    pub ca: TresorCaSpec,
}

/// `spec.provider.tresor.ca`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TresorCaSpec {
    /// Where root and key are kept, as `ca.crt` and `private.key`. Made if it is not there.
    pub secret_ref: SecretReference,
}

/// `spec.provider.vault`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VaultSpec {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: Port,
    /// The role of the PKI engine that signs.
    pub role: String,
    /// How Vault is spoken to; `https` if omitted.
    #[serde(default)]
    pub protocol: VaultProtocol,
    /// The token that allows it.
    pub token: VaultTokenSpec,
}

/// `spec.provider.vault.protocol`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VaultProtocol {
    /// In the clear: the token can be read on the way.
    Http,
    /// Over TLS.
    #[default]
    Https,
}

/// `spec.provider.vault.token`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VaultTokenSpec {
    /// Where it is kept.
    pub secret_key_ref: SecretKeyReference,
}

/// A key of a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretKeyReference {
    /// Name of the Secret.
    pub name: String,
    /// Key therein.
    pub key: String,
    /// Namespace of the Secret.
    pub namespace: String,
}

/// `spec.provider.certManager`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CertManagerSpec {
    /// Name of the issuer.
    pub issuer_name: String,
    /// Kind of the issuer; `Issuer` if omitted.
    #[serde(default)]
    pub issuer_kind: IssuerKind,
    /// API group of the issuer; `cert-manager.io` if omitted.
    #[serde(default)]
    pub issuer_group: Option<String>,
}

/// `spec.provider.certManager.issuerKind`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum IssuerKind {
    /// An issuer of the control plane's namespace.
    #[default]
    Issuer,
    /// An issuer of the whole cluster.
    ClusterIssuer,
}

/// The provider that was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider<'s> {
    /// The built-in authority.
    Tresor(&'s TresorSpec),
    /// Vault.
    Vault(&'s VaultSpec),
    /// cert-manager.
    CertManager(&'s CertManagerSpec),
}

impl ProviderSpec {
    /// The one that is given.
    ///
    /// # Errors
    /// If none is, or more than one.
    pub fn chosen(&self) -> Result<Provider<'_>, Fault> {
        match (&self.tresor, &self.vault, &self.cert_manager) {
            (Some(tresor), None, None) => Ok(Provider::Tresor(tresor)),
            (None, Some(vault), None) => Ok(Provider::Vault(vault)),
            (None, None, Some(cert_manager)) => Ok(Provider::CertManager(cert_manager)),
            (None, None, None) => {
                Err(Fault::new("spec.provider", "names no provider: give `tresor`, `vault` or `certManager`"))
            }
            _ => Err(Fault::new(
                "spec.provider",
                "names several providers: keep one, and put the other in an object of its own",
            )),
        }
    }
}

impl MeshRootCertificateSpec {
    /// The domain of all identities.
    pub fn trust_domain(&self) -> TrustDomain {
        self.trust_domain.as_deref().map_or_else(TrustDomain::default, TrustDomain::new)
    }

    /// What the schema cannot tell.
    ///
    /// # Errors
    /// If a name is none, or not exactly one provider is given.
    pub fn check(&self) -> Result<(), Fault> {
        if let Some(domain) = &self.trust_domain {
            name::subdomain(domain, "spec.trustDomain")?;
        }
        match self.provider.chosen()? {
            Provider::Tresor(tresor) => {
                secret(&tresor.ca.secret_ref.namespace, &tresor.ca.secret_ref.name, "spec.provider.tresor.ca.secretRef")
            }
            Provider::Vault(vault) => vault.check(),
            Provider::CertManager(cert_manager) => {
                name::subdomain(&cert_manager.issuer_name, "spec.provider.certManager.issuerName")?;
                match &cert_manager.issuer_group {
                    Some(group) => name::subdomain(group, "spec.provider.certManager.issuerGroup"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl VaultSpec {
    fn check(&self) -> Result<(), Fault> {
        let Self { host, role, token, .. } = self;
        let address = host.parse::<std::net::IpAddr>().is_ok();
        if !address && name::subdomain(host, "spec.provider.vault.host").is_err() {
            let message =
                format!("{} is no host name and no address: give it without protocol, port and path", quoted(host));
            return Err(Fault::new("spec.provider.vault.host", message));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if role.is_empty() || !role.chars().all(plain) || role.chars().all(|c| c == '.') {
            let message = format!("{} is no role of Vault: use letters, digits, `-`, `_` and `.`", quoted(role));
            return Err(Fault::new("spec.provider.vault.role", message));
        }
        let key = &token.secret_key_ref;
        if key.key.is_empty() {
            return Err(Fault::new(
                "spec.provider.vault.token.secretKeyRef.key",
                "is empty: name the key that has the token",
            ));
        }
        secret(&key.namespace, &key.name, "spec.provider.vault.token.secretKeyRef")
    }
}

fn secret(namespace: &str, name: &str, field: &str) -> Result<(), Fault> {
    name::label(namespace, &format!("{field}.namespace"))?;
    name::subdomain(name, &format!("{field}.name"))
}
