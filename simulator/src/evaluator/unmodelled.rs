//! What the evaluator does not know how to judge, and how it finds out: every message is taken apart field by field, and
//! whatever is left over afterwards must be empty.

use std::fmt;

use envoy_types::pb::google::protobuf::Any;
use prost::{Message, Name};
use thiserror::Error;

/// The configuration, or the request, holds something that the evaluator does not model. It then says nothing about the outcome.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{path}: {why}")]
pub struct Unmodelled {
    /// Where it is, from the proxy inwards, for example
    /// `default/web-0: inbound-listener: filter_chains[inbound_default/web_80_http]: HttpConnectionManager.add_user_agent`.
    pub path: String,
    /// What is not modelled, in words.
    pub why: String,
}

impl Unmodelled {
    /// Something at `path` is not modelled, because of `why`.
    pub fn new(path: impl Into<String>, why: impl Into<String>) -> Self {
        Self { path: path.into(), why: why.into() }
    }

    /// The same, seen from the message that contains it.
    #[must_use]
    pub fn inside(self, outer: impl fmt::Display) -> Self {
        Self { path: format!("{outer}: {}", self.path), why: self.why }
    }
}

/// Modelled, or not.
pub(super) type Modelled<T> = Result<T, Unmodelled>;

/// Checks that every field of `rest` is unset: the known ones have been taken out of it before.
pub(super) fn nothing_else<M: Message + Default + PartialEq + Name + fmt::Debug>(rest: &M) -> Modelled<()> {
    let empty = M::default();
    if *rest == empty {
        return Ok(());
    }
    let (rest, empty) = (format!("{rest:#?}"), format!("{empty:#?}"));
    let field = rest.lines().zip(empty.lines()).find(|(a, b)| a != b).map_or("?", |(a, _)| a);
    let field = field.trim().split(':').next().unwrap_or("?");
    Err(Unmodelled::new(format!("{}.{field}", M::NAME), "this field is not modelled"))
}

/// Decodes `any` if it holds an `M`.
pub(super) fn unpack<M: Message + Default + Name>(any: &Any) -> Modelled<M> {
    if any.type_url != M::type_url() {
        return Err(Unmodelled::new(M::NAME, format!("`{}` is not modelled here", any.type_url)));
    }
    decode(&any.value)
}

/// Decodes the bytes of an `M`.
pub(super) fn decode<M: Message + Default + Name>(bytes: &[u8]) -> Modelled<M> {
    M::decode(bytes).map_err(|error| Unmodelled::new(M::NAME, format!("Envoy would refuse it: {error}")))
}

/// For configuration that Envoy refuses: the proxy would keep what it had before, which nobody knows here.
pub(super) fn refused<T>(path: impl Into<String>, why: impl fmt::Display) -> Modelled<T> {
    Err(Unmodelled::new(path, format!("Envoy would refuse it: {why}")))
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::{envoy::config::route::v3::RouteAction, google::protobuf::Any};

    use super::{Unmodelled, nothing_else, unpack};

    #[test]
    fn a_left_over_field_is_named() {
        assert_eq!(nothing_else(&RouteAction::default()), Ok(()));
        let odd = RouteAction { append_x_forwarded_host: true, ..RouteAction::default() };
        let error = nothing_else(&odd).expect_err("one field is set");
        assert_eq!(error.path, "RouteAction.append_x_forwarded_host");
    }

    #[test]
    fn another_message_in_an_any_is_not_decoded() {
        let any = Any { type_url: "type.googleapis.com/x".into(), value: Vec::new() };
        let error = unpack::<RouteAction>(&any).expect_err("another type");
        assert_eq!(error, Unmodelled::new("RouteAction", "`type.googleapis.com/x` is not modelled here"));
    }
}
