//! The fake authorization service.

use std::time::Duration;

use envoy_types::pb::{
    envoy::{
        config::core::v3::{HeaderValue, HeaderValueOption},
        service::auth::v3::{
            AttributeContext, CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse,
            authorization_server::Authorization as Service, check_response::HttpResponse,
        },
        r#type::v3::HttpStatus,
    },
    google::rpc,
};
use tonic::{Request, Response, Status};

use crate::scenario::model::{Authorization, Refusal};

/// gRPC's PERMISSION_DENIED.
const PERMISSION_DENIED: i32 = 7;

/// Refuses by fixed rules.
#[derive(Debug)]
pub(super) struct Judge {
    rules: Authorization,
    delay: Duration,
}

impl Judge {
    pub(super) fn new(rules: Authorization, delay: Duration) -> Self {
        Self { rules, delay }
    }
}

#[tonic::async_trait]
impl Service for Judge {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        tokio::time::sleep(self.delay).await;
        let asked = request.into_inner().attributes.unwrap_or_default();
        let refused = self.rules.deny.iter().any(|refusal| fits(refusal, &asked));
        let code = if refused { PERMISSION_DENIED } else { 0 };
        let answer = if refused {
            let status = HttpStatus { code: self.rules.status.unwrap_or(403).into() };
            let denied = DeniedHttpResponse {
                status: Some(status),
                headers: vec![header("x-refused-by", "authorization")],
                body: "refused by the fake authorization service".into(),
            };
            HttpResponse::DeniedResponse(denied)
        } else {
            let headers = self.rules.add.iter().map(|(name, value)| header(name, value)).collect();
            HttpResponse::OkResponse(OkHttpResponse { headers, ..Default::default() })
        };
        Ok(Response::new(CheckResponse {
            status: Some(rpc::Status { code, ..Default::default() }),
            http_response: Some(answer),
            ..Default::default()
        }))
    }
}

fn fits(refusal: &Refusal, asked: &AttributeContext) -> bool {
    let http = asked.request.as_ref().and_then(|request| request.http.clone()).unwrap_or_default();
    let principal = asked.source.as_ref().map(|source| source.principal.as_str()).unwrap_or_default();
    let called_by = |caller: &String| {
        let (namespace, account) = caller.split_once('/').unwrap_or(("default", caller));
        principal.ends_with(&format!("/ns/{namespace}/sa/{account}"))
            || principal.ends_with(&format!("/{account}/{namespace}"))
            || principal.starts_with(&format!("{account}.{namespace}."))
    };
    refusal.path.as_ref().is_none_or(|path| http.path.starts_with(path))
        && refusal.headers.iter().all(|(name, value)| http.headers.get(name) == Some(value))
        && refusal.caller.as_ref().is_none_or(called_by)
}

fn header(name: &str, value: &str) -> HeaderValueOption {
    let header = HeaderValue { key: name.into(), value: value.into(), ..Default::default() };
    HeaderValueOption { header: Some(header), ..Default::default() }
}
