//! RBAC filters: on the connection (network) and on each route (HTTP). One policy per TrafficTarget, named after it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use envoy_types::pb::envoy::{
    config::rbac::v3::{
        Permission, Policy, Principal, Rbac as Rules, permission, permission::Rule, principal::Authenticated,
        principal::Identifier,
    },
    extensions::filters::{
        http::rbac::v3::{Rbac as HttpRbac, RbacPerRoute},
        network::rbac::v3::Rbac as NetworkRbac,
    },
    r#type::matcher::v3::{PathMatcher, StringMatcher, path_matcher, string_matcher::MatchPattern},
};
use envoy_types::pb::google::protobuf::Any;

use super::{
    Scope,
    encode::pack_merged,
    name,
    route::{header_matchers, regex_matcher},
};
use crate::{
    model::ServiceAccount,
    policy::{
        access::Conditions,
        inbound::{Allowed, Caller},
        ingress::IngressGrant,
    },
};

/// Lets exactly these callers connect to the port. No caller: nobody.
pub(super) fn network(scope: &Scope<'_>, stat_prefix: &str, target_port: u16, callers: &[Caller]) -> Any {
    let port = Permission { rule: Some(Rule::DestinationPort(target_port.into())) };
    let policies = callers.iter().map(|c| (name::policy(&c.target), (vec![port.clone()], c.sources.clone())));
    let policies: BTreeMap<_, _> = policies.collect();
    let empty = NetworkRbac { rules: Some(Rules::default()), stat_prefix: stat_prefix.into(), ..Default::default() };
    let parts = policies.into_iter().map(|(name, (permissions, sources))| NetworkRbac {
        rules: Some(rules(scope, name, permissions, &sources)),
        stat_prefix: String::new(),
        ..Default::default()
    });
    pack_merged([empty].into_iter().chain(parts))
}

/// Lets exactly those requests of `allowed` through that can reach a route with these conditions. All targets whose
/// requests could take the route count, not only the route's own: the first matching route decides which filter a request meets,
/// and grants add up whatever the order (openservicemesh/osm#5297).
pub(super) fn per_route(scope: &Scope<'_>, conditions: &Conditions, allowed: &[Allowed]) -> Any {
    let anything = || vec![Permission { rule: Some(Rule::Any(true)) }];
    // A target that grants just this route grants all that comes here: its other matches would only take room.
    let own = allowed.iter().filter(|a| a.conditions == *conditions);
    let mut policies: BTreeMap<String, (Vec<Permission>, &BTreeSet<ServiceAccount>)> =
        own.map(|a| (name::policy(&a.target), (anything(), &a.sources))).collect();
    let whole: BTreeSet<String> = policies.keys().cloned().collect();
    for entry in allowed.iter().filter(|a| a.conditions.may_overlap(conditions)) {
        let policy = name::policy(&entry.target);
        if !whole.contains(&policy) {
            policies.entry(policy).or_insert((Vec::new(), &entry.sources)).0.push(permission(&entry.conditions));
        }
    }
    let empty = RbacPerRoute { rbac: Some(HttpRbac { rules: Some(Rules::default()), ..Default::default() }) };
    let parts = policies.into_iter().map(|(name, (permissions, sources))| RbacPerRoute {
        rbac: Some(HttpRbac { rules: Some(rules(scope, name, permissions, sources)), ..Default::default() }),
    });
    pack_merged([empty].into_iter().chain(parts))
}

/// Lets exactly those requests of an IngressBackend through that can reach a route with these conditions. As with
/// [`per_route`], all grants count whose requests could take the route. One policy per IngressBackend.
pub(super) fn from_outside(conditions: &Conditions, grants: &[IngressGrant]) -> Any {
    let mut policies: BTreeMap<String, Policy> = BTreeMap::new();
    for grant in grants {
        let all = grant.conditions();
        let own = all.iter().any(|(c, _)| c == conditions);
        let overlapping = all.iter().filter(|(c, _)| c.may_overlap(conditions)).map(|(c, _)| permission(c));
        let permissions: Vec<_> =
            if own { vec![Permission { rule: Some(Rule::Any(true)) }] } else { overlapping.collect() };
        if !permissions.is_empty() {
            let principals = match &grant.principals {
                None => vec![Principal { identifier: Some(Identifier::Any(true)) }],
                Some(names) => names.iter().map(|name| authenticated(name.to_string())).collect(),
            };
            let policy = policies.entry(grant.object.to_string()).or_default();
            policy.permissions.extend(permissions);
            policy.principals = principals;
        }
    }
    let empty = RbacPerRoute { rbac: Some(HttpRbac { rules: Some(Rules::default()), ..Default::default() }) };
    let parts = policies.into_iter().map(|(name, policy)| {
        let rules = Rules { policies: HashMap::from([(name, policy)]), ..Default::default() };
        RbacPerRoute { rbac: Some(HttpRbac { rules: Some(rules), ..Default::default() }) }
    });
    pack_merged([empty].into_iter().chain(parts))
}

/// Rules with one policy. `sources` is never empty: a policy without a principal would not be a policy.
fn rules(scope: &Scope<'_>, name: String, permissions: Vec<Permission>, sources: &BTreeSet<ServiceAccount>) -> Rules {
    let principals = sources.iter().map(|source| principal(scope, source)).collect();
    let policy = Policy { permissions, principals, ..Default::default() };
    Rules { policies: HashMap::from([(name, policy)]), ..Default::default() }
}

fn principal(scope: &Scope<'_>, account: &ServiceAccount) -> Principal {
    authenticated(account.principal(&scope.world.settings().trust_domain))
}

fn authenticated(name: String) -> Principal {
    let exact = StringMatcher { match_pattern: Some(MatchPattern::Exact(name)), ..Default::default() };
    Principal { identifier: Some(Identifier::Authenticated(Authenticated { principal_name: Some(exact) })) }
}

/// All conditions of a match, as one permission.
fn permission(conditions: &Conditions) -> Permission {
    let path = conditions.path.iter().map(|path| {
        let matcher =
            StringMatcher { match_pattern: Some(MatchPattern::SafeRegex(regex_matcher(path))), ..Default::default() };
        Rule::UrlPath(PathMatcher { rule: Some(path_matcher::Rule::Path(matcher)) })
    });
    let headers = header_matchers(conditions).into_iter().map(Rule::Header);
    let rules: Vec<_> = path.chain(headers).map(|rule| Permission { rule: Some(rule) }).collect();
    let rule = if rules.is_empty() { Rule::Any(true) } else { Rule::AndRules(permission::Set { rules }) };
    Permission { rule: Some(rule) }
}
