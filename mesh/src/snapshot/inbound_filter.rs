//! The HTTP filters of what a pod serves.
//!
//! In this order: answers to health checks, RBAC, local rate limits, external authorization, global rate limits, router. Health
//! checks come first (in OSM last): a probe needs no route, takes no token, and nobody has to be asked about it.

use envoy_types::pb::{
    envoy::{
        config::{
            core::v3::ApiVersion,
            route::v3::{HeaderMatcher, header_matcher::HeaderMatchSpecifier},
        },
        extensions::filters::{
            http::{
                ext_authz::v3::{BufferSettings, ExtAuthz, ext_authz::Services},
                health_check::v3::HealthCheck,
                rbac::v3::Rbac as HttpRbac,
            },
            network::http_connection_manager::v3::HttpFilter,
        },
        r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern},
    },
    google::protobuf::BoolValue,
};

use super::{
    Scope,
    connection::{HEALTH_HEADER, HEALTH_PATH},
    encode::pack,
    extension::grpc_service,
    filter::{http_filter, router},
    limit,
    route::RBAC_FILTER,
};
use crate::model::Protocol;

/// The most of a body that is shown to the authorization service.
const SHOWN_BODY: u32 = 8192;

/// The filters of requests to one of the pod's ports, router included.
pub(super) fn inbound_filters(scope: &Scope<'_>, target_port: u16, protocol: Protocol) -> Vec<HttpFilter> {
    let health = scope.world.settings().features.active_health_checks.then(health_answer);
    let rbac = http_filter(RBAC_FILTER, pack(&HttpRbac::default()));
    health
        .into_iter()
        .chain([rbac])
        .chain(limit::local_filter(scope, target_port))
        .chain(authorization(scope, protocol))
        .chain(limit::global_filters(scope, target_port))
        .chain([router()])
        .collect()
}

/// Asks the external authorization service, if there is one. For every way into a pod: from the mesh and from gateways.
///
/// Of ports that speak gRPC no body is shown: that of a stream does not end, and the call would wait for it.
pub(super) fn authorization(scope: &Scope<'_>, protocol: Protocol) -> Option<HttpFilter> {
    let service = scope.world.settings().external_authorization.as_ref()?;
    let body = (protocol != Protocol::Grpc).then_some(BufferSettings {
        max_request_bytes: SHOWN_BODY,
        allow_partial_message: true,
        pack_as_bytes: false,
    });
    let config = ExtAuthz {
        services: Some(Services::GrpcService(grpc_service(&service.address, service.port, service.timeout))),
        transport_api_version: ApiVersion::V3.into(),
        stat_prefix: service.stat_prefix.to_string(),
        with_request_body: body,
        failure_mode_allow: service.failure_mode_allow,
        ..Default::default()
    };
    Some(http_filter("envoy.filters.http.ext_authz", pack(&config)))
}

/// Answers the health checks of other sidecars, without the application.
fn health_answer() -> HttpFilter {
    let exactly = |name: &str, value: &str| HeaderMatcher {
        name: name.into(),
        header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(StringMatcher {
            match_pattern: Some(MatchPattern::Exact(value.into())),
            ..Default::default()
        })),
        ..Default::default()
    };
    let config = HealthCheck {
        pass_through_mode: Some(BoolValue { value: false }),
        headers: vec![exactly(":path", HEALTH_PATH), exactly(HEALTH_HEADER, "1")],
        ..Default::default()
    };
    http_filter("envoy.filters.http.health_check", pack(&config))
}

/// Whether the client's address must be that of its connection, whatever `x-forwarded-for` claims: something counts or judges
/// by it.
pub(super) fn trusts_connections_only(scope: &Scope<'_>, target_port: u16) -> bool {
    scope.world.settings().external_authorization.is_some() || limit::counts_addresses(scope, target_port)
}
