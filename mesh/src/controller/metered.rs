//! Counts what an issuer issues.

use std::{sync::Arc, time::Instant};

use futures::{FutureExt as _, future::BoxFuture};

use crate::{
    admin::Metrics,
    ca::{CertificateRequest, Credential, IssueError, Issuer},
    model::PrivateKey,
};

/// An issuer, with its certificates counted and timed.
#[derive(Clone, Debug)]
pub struct Metered {
    issuer: Arc<dyn Issuer>,
    metrics: Arc<Metrics>,
}

impl Metered {
    /// Counts what `issuer` does.
    pub fn new(issuer: Arc<dyn Issuer>, metrics: Arc<Metrics>) -> Self {
        Self { issuer, metrics }
    }
}

impl Issuer for Metered {
    fn certify<'a>(&'a self, request: &'a CertificateRequest) -> BoxFuture<'a, Result<Credential, IssueError>> {
        async move {
            let began = Instant::now();
            let issued = self.issuer.certify(request).await;
            match &issued {
                Ok(_) => self.metrics.certificate_issued(began.elapsed()),
                Err(_) => self.metrics.error("CertificateNotIssued"),
            }
            issued
        }
        .boxed()
    }

    fn root_pem(&self) -> &Arc<str> {
        self.issuer.root_pem()
    }

    fn stored_pem(&self) -> Option<PrivateKey> {
        self.issuer.stored_pem()
    }
}
