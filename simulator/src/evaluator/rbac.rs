//! Envoy's role-based access control, for connections and for requests.

use std::{net::SocketAddr, sync::Arc};

use envoy_types::pb::envoy::config::rbac::v3::{
    Permission, Policy, Principal, Rbac as Rules, permission::Rule, principal::Identifier, rbac::Action,
};
use envoy_types::pb::envoy::r#type::matcher::v3::{PathMatcher, path_matcher};

use super::{
    certificate::PeerCertificate,
    header::HeaderMatch,
    message::Message,
    text::TextMatch,
    trace::Rejected,
    unmodelled::{Modelled, Unmodelled, nothing_else, refused},
};

/// One set of rules (`envoy.config.rbac.v3.RBAC`).
#[derive(Clone, Debug)]
pub(super) struct Rbac {
    action: Action,
    /// In the order of their names, as Envoy tries them.
    policies: Vec<NamedPolicy>,
}

#[derive(Clone, Debug)]
struct NamedPolicy {
    name: Arc<str>,
    permissions: Vec<Permits>,
    principals: Vec<Permits>,
}

/// A condition on the connection and the request.
#[derive(Clone, Debug)]
enum Permits {
    Any,
    All(Vec<Self>),
    OneOf(Vec<Self>),
    Not(Box<Self>),
    Header(HeaderMatch),
    Path(TextMatch),
    Port(u32),
    Ports(std::ops::Range<i64>),
    ServerName(TextMatch),
    /// A TLS connection, whoever the peer is.
    Tls,
    Peer(TextMatch),
}

/// What RBAC may look at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    /// The connection's original destination.
    pub(super) destination: SocketAddr,
    /// `Some` on a TLS connection: the server name that the client asked for.
    pub(super) server_name: Option<&'a str>,
    /// Whether the connection is TLS.
    pub(super) tls: bool,
    /// The verified certificate of the client.
    pub(super) peer: Option<&'a PeerCertificate>,
    /// The request; `None` for rules over connections.
    pub(super) message: Option<&'a Message<'a>>,
}

/// What the rules say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ruling {
    /// Passed, by this policy if one was needed.
    Allowed(Option<Arc<str>>),
    /// Not passed. `near`: policies whose principals the peer fulfils, but not their permissions.
    Denied { near: Vec<Arc<str>> },
}

impl Rbac {
    /// Reads the rules.
    pub(super) fn new(mut rules: Rules) -> Modelled<Self> {
        let Ok(action) = Action::try_from(std::mem::take(&mut rules.action)) else {
            return refused("RBAC.action", "it is unknown");
        };
        let mut policies: Vec<_> = std::mem::take(&mut rules.policies).into_iter().collect();
        policies.sort_by(|a, b| a.0.cmp(&b.0));
        nothing_else(&rules)?;
        let policies = policies
            .into_iter()
            .map(|(name, policy)| {
                NamedPolicy::new(&name, policy).map_err(|error| error.inside(format!("RBAC.policies[{name}]")))
            })
            .collect::<Modelled<_>>()?;
        Ok(Self { action, policies })
    }

    /// Judges a connection or a request.
    pub(super) fn judge(&self, subject: &Subject<'_>) -> Modelled<Ruling> {
        let mut near = Vec::new();
        let mut matched = None;
        for policy in &self.policies {
            let peer = any(&policy.principals, subject)?;
            if any(&policy.permissions, subject)? {
                if peer {
                    matched = Some(policy.name.clone());
                    break;
                }
            } else if peer {
                near.push(policy.name.clone());
            }
        }
        Ok(match (self.action, matched) {
            (Action::Log, by) | (Action::Allow, by @ Some(_)) => Ruling::Allowed(by),
            (Action::Deny, None) => Ruling::Allowed(None),
            (Action::Allow, None) | (Action::Deny, Some(_)) => Ruling::Denied { near },
        })
    }

    /// Whether some policy names the peer, whatever it may do.
    pub(super) fn knows(&self, subject: &Subject<'_>) -> Modelled<bool> {
        self.policies.iter().try_fold(false, |known, policy| Ok(known || any(&policy.principals, subject)?))
    }

    /// Every policy with the reason why it did not match.
    pub(super) fn misses(&self, subject: &Subject<'_>) -> Vec<Rejected> {
        let reason = |policy: &NamedPolicy| match any(&policy.principals, subject) {
            Ok(true) => "the peer is among its principals, but its permissions do not cover this".to_owned(),
            _ => "the peer is not among its principals".to_owned(),
        };
        self.policies.iter().map(|policy| Rejected::new(&*policy.name, reason(policy))).collect()
    }
}

impl NamedPolicy {
    fn new(name: &str, mut policy: Policy) -> Modelled<Self> {
        let permissions = std::mem::take(&mut policy.permissions);
        let principals = std::mem::take(&mut policy.principals);
        nothing_else(&policy)?;
        if permissions.is_empty() || principals.is_empty() {
            return refused("Policy", "permissions and principals must not be empty");
        }
        Ok(Self {
            name: name.into(),
            permissions: permissions.into_iter().map(permission).collect::<Modelled<_>>()?,
            principals: principals.into_iter().map(principal).collect::<Modelled<_>>()?,
        })
    }
}

fn permission(permission: Permission) -> Modelled<Permits> {
    Ok(match permission.rule {
        Some(Rule::Any(true)) => Permits::Any,
        Some(Rule::AndRules(set)) => Permits::All(set_of(set.rules, self::permission)?),
        Some(Rule::OrRules(set)) => Permits::OneOf(set_of(set.rules, self::permission)?),
        Some(Rule::NotRule(rule)) => Permits::Not(Box::new(self::permission(*rule)?)),
        Some(Rule::Header(header)) => Permits::Header(HeaderMatch::new(header)?),
        Some(Rule::UrlPath(PathMatcher { rule: Some(path_matcher::Rule::Path(path)) })) => {
            Permits::Path(TextMatch::new(path)?)
        }
        Some(Rule::DestinationPort(port)) => Permits::Port(port),
        Some(Rule::DestinationPortRange(range)) => Permits::Ports(range.start.into()..range.end.into()),
        Some(Rule::RequestedServerName(name)) => Permits::ServerName(TextMatch::new(name)?),
        Some(_) => return Err(Unmodelled::new("Permission", "this rule is not modelled")),
        None => return refused("Permission", "it is empty"),
    })
}

fn principal(principal: Principal) -> Modelled<Permits> {
    Ok(match principal.identifier {
        Some(Identifier::Any(true)) => Permits::Any,
        Some(Identifier::AndIds(set)) => Permits::All(set_of(set.ids, self::principal)?),
        Some(Identifier::OrIds(set)) => Permits::OneOf(set_of(set.ids, self::principal)?),
        Some(Identifier::NotId(id)) => Permits::Not(Box::new(self::principal(*id)?)),
        Some(Identifier::Authenticated(peer)) => match peer.principal_name {
            Some(name) => Permits::Peer(TextMatch::new(name)?),
            None => Permits::Tls,
        },
        Some(Identifier::Header(header)) => Permits::Header(HeaderMatch::new(header)?),
        Some(_) => return Err(Unmodelled::new("Principal", "this identifier is not modelled")),
        None => return refused("Principal", "it is empty"),
    })
}

fn set_of<T>(rules: Vec<T>, read: fn(T) -> Modelled<Permits>) -> Modelled<Vec<Permits>> {
    if rules.is_empty() {
        return refused("Permission or Principal", "a set must not be empty");
    }
    rules.into_iter().map(read).collect()
}

fn any(conditions: &[Permits], subject: &Subject<'_>) -> Modelled<bool> {
    for condition in conditions {
        if condition.holds(subject)? {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Permits {
    fn holds(&self, subject: &Subject<'_>) -> Modelled<bool> {
        Ok(match self {
            Self::Any => true,
            Self::All(conditions) => {
                for condition in conditions {
                    if !condition.holds(subject)? {
                        return Ok(false);
                    }
                }
                true
            }
            Self::OneOf(conditions) => any(conditions, subject)?,
            Self::Not(condition) => !condition.holds(subject)?,
            Self::Header(header) => match subject.message {
                Some(message) => header.matches(message)?,
                None => return Err(Unmodelled::new("RBAC header", "not modelled for connections")),
            },
            Self::Path(path) => subject.message.is_some_and(|message| path.matches(message.bare_path())),
            Self::Port(port) => u32::from(subject.destination.port()) == *port,
            Self::Ports(ports) => ports.contains(&i64::from(subject.destination.port())),
            Self::ServerName(name) => name.matches(subject.server_name.unwrap_or("")),
            Self::Tls => subject.tls,
            Self::Peer(name) => match (subject.tls, subject.peer) {
                (false, _) => false,
                (true, Some(peer)) => peer.is_principal(name)?,
                // Envoy compares with an empty subject.
                (true, None) => name.matches(""),
            },
        })
    }
}
