//! The certificates that the control plane itself serves with: ADS, webhooks. They are swapped without a restart.

use std::{net::IpAddr, sync::Arc, time::Duration};

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::sync::watch;

use super::{
    clock::Clock,
    control::ControlCa,
    issuer::{Credential, IssueError, Validity},
};

/// A serving certificate that stays fresh. It is renewed for as long as this, or a receiver of it, lives.
#[derive(Debug)]
pub struct Serving {
    authorities: watch::Sender<Vec<ControlCa>>,
    served: watch::Receiver<Arc<Served>>,
    bundle: watch::Receiver<Arc<str>>,
}

/// Under which names a certificate serves, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServingNames {
    /// DNS names, such as `osm-controller.osm-system.svc`.
    pub dns_names: Vec<String>,
    /// Addresses.
    pub addresses: Vec<IpAddr>,
    /// Validity of each certificate; an hour at least. It is replaced when a third of it is left.
    pub validity: Duration,
}

/// What a server needs.
#[derive(Clone, Debug)]
pub struct Served {
    /// Certificate and key in PEM.
    pub credential: Credential,
    /// The same for rustls, without a demand for client certificates. HTTP/2 and HTTP/1.1.
    pub config: Arc<ServerConfig>,
}

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "what they carry says it")]
pub enum ServingError {
    #[error("a serving certificate: {0}")]
    Issue(#[from] IssueError),
    #[error("use a serving certificate: {0}")]
    Rustls(#[from] rustls::Error),
    #[error("read a serving certificate: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
}

const SHORTEST: Duration = Duration::from_secs(3600);
/// Wait after a failure, in seconds.
const RETRY: i64 = 60;

impl Serving {
    /// Makes the first certificate at once, and renews it on the clock. Call inside a Tokio runtime.
    ///
    /// # Errors
    /// [`ServingError`] if there is no name, or one is not fit for a certificate.
    pub fn start(ca: ControlCa, names: ServingNames, clock: Arc<dyn Clock>) -> Result<Self, ServingError> {
        let names = ServingNames { validity: names.validity.max(SHORTEST), ..names };
        let first = serve(&ca, &names, clock.now())?;
        let (bundle, bundle_out) = watch::channel(ca.root_pem().clone());
        let (authorities, cas) = watch::channel(vec![ca]);
        let (served, served_out) = watch::channel(Arc::new(first));
        tokio::spawn(Renewal { names, clock, cas, served, bundle }.run());
        Ok(Self { authorities, served: served_out, bundle: bundle_out })
    }

    /// What to serve with, now and from now on.
    pub fn served(&self) -> watch::Receiver<Arc<Served>> {
        self.served.clone()
    }

    /// The roots that clients must trust, in PEM, the newest first; for `caBundle`.
    pub fn bundle(&self) -> watch::Receiver<Arc<str>> {
        self.bundle.clone()
    }

    /// Signs with another authority from now on. The one before stays in the bundle: clients may still meet its last
    /// certificate. Of those before that nothing is left.
    pub fn replace_authority(&self, ca: ControlCa) {
        self.authorities.send_modify(|cas| {
            cas.insert(0, ca);
            cas.truncate(2);
        });
    }
}

struct Renewal {
    names: ServingNames,
    clock: Arc<dyn Clock>,
    cas: watch::Receiver<Vec<ControlCa>>,
    served: watch::Sender<Arc<Served>>,
    bundle: watch::Sender<Arc<str>>,
}

impl Renewal {
    async fn run(mut self) {
        let mut due = renew_at(&self.served.borrow(), self.clock.now());
        let mut owned = true;
        loop {
            let mut changed = false;
            tokio::select! {
                seen = self.cas.changed(), if owned => (changed, owned) = (seen.is_ok(), seen.is_ok()),
                () = self.clock.sleep_until(due) => {}
                () = self.served.closed() => return,
            }
            let now = self.clock.now();
            let starts = self.served.borrow().credential.validity.not_before;
            // Where the clock was set back, the certificate starts in the future.
            if changed || now >= due || now < starts {
                due = self.renew(now);
            }
        }
    }

    /// Returns when to come again. The bundle goes first: clients learn a root before they meet it.
    fn renew(&mut self, now: i64) -> i64 {
        let cas = self.cas.borrow_and_update().clone();
        let bundle: Arc<str> = cas.iter().map(|ca| &**ca.root_pem()).collect::<String>().into();
        self.bundle.send_if_modified(|told| {
            *told != bundle && {
                *told = bundle;
                true
            }
        });
        let Some(ca) = cas.first() else { return i64::MAX };
        match serve(ca, &self.names, now) {
            Ok(served) => {
                let due = renew_at(&served, now);
                self.served.send_replace(Arc::new(served));
                due
            }
            Err(error) => {
                tracing::error!(%error, "the serving certificate was not renewed");
                now.saturating_add(RETRY)
            }
        }
    }
}

fn renew_at(served: &Served, now: i64) -> i64 {
    let ends = served.credential.validity.not_after;
    (ends - (ends - now) / 3).max(now + 1)
}

fn serve(ca: &ControlCa, names: &ServingNames, now: i64) -> Result<Served, ServingError> {
    let dns: Vec<_> = names.dns_names.iter().map(String::as_str).collect();
    let validity = Validity::starting(now, names.validity);
    let credential = ca.server_certificate(&dns, &names.addresses, validity)?;
    let chain = CertificateDer::pem_slice_iter(credential.chain_pem.as_bytes()).collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(credential.key.expose().as_bytes())?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Served { credential, config: Arc::new(config) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ca::{ManualClock, testing::End, testing::handshake};

    fn names() -> ServingNames {
        let dns_names = vec!["osm-controller.osm-system.svc".to_owned()];
        ServingNames { dns_names, addresses: vec!["127.0.0.1".parse().unwrap()], validity: Duration::from_secs(86_400) }
    }

    async fn connects(served: &Served, roots: &str) -> Result<(), String> {
        let acceptor = tokio_rustls::TlsAcceptor::from(served.config.clone());
        let mut store = rustls::RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(roots.as_bytes()) {
            store.add(root.unwrap()).unwrap();
        }
        let client = rustls::ClientConfig::builder().with_root_certificates(store).with_no_client_auth();
        let name = rustls::pki_types::ServerName::try_from("osm-controller.osm-system.svc").unwrap();
        let (near, far) = tokio::io::duplex(16 * 1024);
        let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
        let (served, connected) = tokio::join!(acceptor.accept(far), connector.connect(name, near));
        connected.map_err(|error| error.to_string())?;
        served.map(drop).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn certificates_are_swapped_before_they_end() {
        let clock = ManualClock::at_system_time();
        let ca = ControlCa::generate(clock.now()).unwrap();
        let serving = Serving::start(ca, names(), Arc::new(clock.clone())).unwrap();
        let (mut served, bundle) = (serving.served(), serving.bundle());
        let first = served.borrow_and_update().clone();
        connects(&first, &bundle.borrow()).await.unwrap();
        clock.advance(Duration::from_secs(16 * 3600));
        served.changed().await.unwrap();
        let second = served.borrow_and_update().clone();
        assert_eq!(second.credential.validity.not_after, first.credential.validity.not_after + 16 * 3600);
        assert!(!bundle.has_changed().unwrap());
        // It goes on after its owner.
        drop(serving);
        clock.advance(Duration::from_secs(16 * 3600));
        served.changed().await.unwrap();
    }

    #[tokio::test]
    async fn a_new_authority_is_told_before_it_is_met() {
        let clock = ManualClock::at_system_time();
        let [old, new] = [0; 2].map(|_| ControlCa::generate(clock.now()).unwrap());
        let serving = Serving::start(old.clone(), names(), Arc::new(clock.clone())).unwrap();
        let mut served = serving.served();
        let first = served.borrow_and_update().clone();
        serving.replace_authority(new.clone());
        served.changed().await.unwrap();
        let second = served.borrow().clone();
        let both = serving.bundle().borrow().clone();
        assert_eq!(*both, *format!("{}{}", new.root_pem(), old.root_pem()));
        for served in [&first, &second] {
            connects(served, &both).await.unwrap();
        }
        connects(&second, old.root_pem()).await.unwrap_err();
    }

    #[tokio::test]
    async fn it_is_no_client_certificate() {
        let clock = ManualClock::at_system_time();
        let ca = ControlCa::generate(clock.now()).unwrap();
        let serving = Serving::start(ca.clone(), names(), Arc::new(clock)).unwrap();
        let served = serving.served().borrow().clone();
        let Credential { chain_pem, key, .. } = &served.credential;
        let end = End { chain: chain_pem, key: key.expose(), roots: ca.root_pem() };
        assert!(handshake(end, end, "127.0.0.1").await.unwrap_err().starts_with("server: invalid peer"));
    }
}
