//! Access logs: lines on the sidecar's standard output, and entries for an OTLP receiver.

use std::{collections::HashMap, sync::LazyLock};

use envoy_types::pb::{
    envoy::{
        config::{
            accesslog::v3::{AccessLog, access_log::ConfigType},
            core::v3::{
                DataSource, GrpcService, HttpService, HttpUri, SubstitutionFormatString,
                data_source::Specifier,
                grpc_service::{EnvoyGrpc, TargetSpecifier},
                http_uri::HttpUpstreamType,
                substitution_format_string::Format as EnvoyFormat,
            },
        },
        extensions::access_loggers::{
            open_telemetry::v3::OpenTelemetryAccessLogConfig,
            stream::v3::{StdoutAccessLog, stdout_access_log::AccessLogFormat},
        },
    },
    google::protobuf::{Any, Duration, Struct, Value, value::Kind},
    opentelemetry::proto::common::v1::{AnyValue, KeyValue, KeyValueList, any_value},
};
use prost::Name;
use serde_json::Map;

use super::{
    encode::{pack, pack_merged},
    name,
    structure::{Fields, with},
};
use crate::policy::telemetry::{Format, Receiver};

/// Lines on standard output. Not through `/dev/stdout`: whoever is not the file's owner may not open it again.
pub(super) fn lines(format: &Format) -> AccessLog {
    let config = match format {
        Format::Default => DEFAULT.clone(),
        Format::Text(text) => text_lines(text),
        Format::Json(object) => json_lines(object),
    };
    logger("envoy.access_loggers.stdout", config)
}

/// Entries for a receiver: the body is the line's JSON object in the default format, or what the format says.
pub(super) fn entries(receiver: &Receiver, format: &Format) -> AccessLog {
    let text = |text: &str| AnyValue { value: Some(any_value::Value::StringValue(text.to_owned())) };
    let pair =
        |(key, value): (&str, &str)| KeyValue { key: key.into(), value: Some(text(value)), ..Default::default() };
    let body = match format {
        Format::Default => {
            let values = FIELDS.iter().copied().map(pair).collect();
            AnyValue { value: Some(any_value::Value::KvlistValue(KeyValueList { values })) }
        }
        Format::Text(format) => text(format),
        Format::Json(object) => any(&serde_json::Value::Object(object.clone())),
    };
    let attributes = receiver.attributes.iter().map(|(key, value)| pair((key, value))).collect();
    let service = &receiver.service;
    let cluster = name::extension(&service.name);
    let (grpc_service, http_service) = if service.http2 {
        (Some(grpc(cluster, &service.host, service.port)), None)
    } else {
        (None, Some(http(cluster, &service.host, service.port)))
    };
    let config = OpenTelemetryAccessLogConfig {
        log_name: "osm-access-log".into(),
        grpc_service,
        http_service,
        body: Some(body),
        attributes: Some(KeyValueList { values: attributes }),
        ..Default::default()
    };
    logger("envoy.access_loggers.open_telemetry", pack(&config))
}

/// A gRPC service behind a cluster. By default Envoy would send the cluster's name as `:authority`, which servers refuse: it is
/// no host name.
pub(super) fn grpc(cluster: String, host: &str, port: u16) -> GrpcService {
    let authority = authority(host, port);
    let target = EnvoyGrpc { cluster_name: cluster, authority, ..Default::default() };
    GrpcService { target_specifier: Some(TargetSpecifier::EnvoyGrpc(target)), ..Default::default() }
}

/// `host:port`, an IPv6 address in brackets.
fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// OTLP over HTTP.
fn http(cluster: String, host: &str, port: u16) -> HttpService {
    HttpService {
        http_uri: Some(HttpUri {
            uri: format!("http://{}/v1/logs", authority(host, port)),
            timeout: Some(Duration { seconds: 5, nanos: 0 }),
            http_upstream_type: Some(HttpUpstreamType::Cluster(cluster)),
        }),
        ..Default::default()
    }
}

fn logger(name: &str, config: Any) -> AccessLog {
    AccessLog { name: name.into(), config_type: Some(ConfigType::TypedConfig(config)), ..Default::default() }
}

/// One entry, one line: a line break is added where the format has none.
fn text_lines(text: &str) -> Any {
    let line = if text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") };
    let source = DataSource { specifier: Some(Specifier::InlineString(line)), ..Default::default() };
    let format = EnvoyFormat::TextFormatSource(source);
    let format = SubstitutionFormatString { format: Some(format), ..Default::default() };
    pack(&StdoutAccessLog { access_log_format: Some(AccessLogFormat::LogFormat(format)) })
}

fn json_lines(object: &Map<String, serde_json::Value>) -> Any {
    /// `StdoutAccessLog.log_format`.
    const LOG_FORMAT: u32 = 1;
    /// `SubstitutionFormatString.json_format`.
    const JSON_FORMAT: u32 = 2;
    let format = with(Vec::new(), JSON_FORMAT, &Fields::of(object));
    let mut value = Vec::new();
    prost::encoding::bytes::encode(LOG_FORMAT, &format, &mut value);
    Any { type_url: StdoutAccessLog::type_url(), value }
}

/// JSON as an OTLP value.
fn any(value: &serde_json::Value) -> AnyValue {
    use any_value::Value as Otlp;
    let value = match value {
        serde_json::Value::Null => None,
        serde_json::Value::Bool(value) => Some(Otlp::BoolValue(*value)),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(whole) => Some(Otlp::IntValue(whole)),
            None => number.as_f64().map(Otlp::DoubleValue),
        },
        serde_json::Value::String(text) => Some(Otlp::StringValue(text.clone())),
        serde_json::Value::Array(items) => {
            let values = items.iter().map(any).collect();
            Some(Otlp::ArrayValue(envoy_types::pb::opentelemetry::proto::common::v1::ArrayValue { values }))
        }
        serde_json::Value::Object(object) => {
            let pair = |(key, value): (&String, &serde_json::Value)| KeyValue {
                key: key.clone(),
                value: Some(any(value)),
                ..Default::default()
            };
            Some(Otlp::KvlistValue(KeyValueList { values: object.iter().map(pair).collect() }))
        }
    };
    AnyValue { value }
}

/// The mesh's own format.
const FIELDS: [(&str, &str); 18] = [
    ("start_time", "%START_TIME%"),
    ("method", "%REQ(:METHOD)%"),
    ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    ("protocol", "%PROTOCOL%"),
    ("response_code", "%RESPONSE_CODE%"),
    ("response_code_details", "%RESPONSE_CODE_DETAILS%"),
    ("connection_termination_details", "%CONNECTION_TERMINATION_DETAILS%"),
    ("upstream_transport_failure_reason", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"),
    ("upstream_cluster", "%UPSTREAM_CLUSTER%"),
    ("upstream_host", "%UPSTREAM_HOST%"),
    ("filter_chain", "%FILTER_CHAIN_NAME%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("duration", "%DURATION%"),
    ("request_id", "%REQ(X-REQUEST-ID)%"),
    ("requested_server_name", "%REQUESTED_SERVER_NAME%"),
    ("authority", "%REQ(:AUTHORITY)%"),
];

/// The same in every filter, and a third of the cost of a snapshot if it is encoded each time.
static DEFAULT: LazyLock<Any> = LazyLock::new(|| {
    let part = |(name, format): (&str, &str)| {
        let value = Value { kind: Some(Kind::StringValue(format.into())) };
        let fields = Struct { fields: HashMap::from([(name.to_owned(), value)]) };
        let format = EnvoyFormat::JsonFormat(fields);
        let format = SubstitutionFormatString { format: Some(format), ..Default::default() };
        StdoutAccessLog { access_log_format: Some(AccessLogFormat::LogFormat(format)) }
    };
    pack_merged(FIELDS.into_iter().map(part))
});
