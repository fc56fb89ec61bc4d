//! One HTTP request through one connection manager: path, virtual host, route, RBAC, and where it goes next.

use std::{borrow::Cow, sync::Arc};

use super::{
    Placed,
    connect::{Sender, Walk},
    filter::{Hcm, RouteSource},
    message::Message,
    path::strip_trailing_dot,
    proxy::ProxyConfig,
    rbac::{Rbac, Ruling},
    route::{Destination, Route, Routes, VirtualHost},
    serve::{Payload, Peer},
    trace::{Stage, Step},
    unmodelled::{Modelled, Unmodelled},
    way::{Branches, Form, Refused, Way},
};
use crate::scenario::model::{Because, Proto};

/// A request and what routing found for it.
struct Routed<'a> {
    message: &'a Message<'a>,
    peer: &'a Peer<'a>,
    routes: &'a Routes,
    host: Option<&'a VirtualHost>,
    route: Option<&'a Route>,
}

impl Walk<'_> {
    /// The request passes the connection manager, or is answered by it.
    #[expect(clippy::too_many_arguments, reason = "one call, and a struct for it would only rename them")]
    pub(super) fn http(
        &self,
        pod: &Placed,
        config: &ProxyConfig,
        hcm: &Hcm,
        message: &Message<'_>,
        peer: &Peer<'_>,
        mut way: Way,
        out: &mut Branches,
    ) -> Modelled<()> {
        let message = &normalised(pod, hcm, message, &mut way);
        let routes = match &hcm.routes {
            RouteSource::Inline(routes) => routes,
            RouteSource::Rds(name) => config.routes(name)?,
        };
        if message.proto == Proto::Websocket && !hcm.websocket {
            way.trace.push(|| Step::new(Stage::Upgrade, &pod.name, "websockets are not allowed: 403"));
            way.refuse(Refused::new(&pod.name, Stage::Upgrade, Form::Status(403), Because::NoRoute), out);
            return Ok(());
        }
        let host = routes.host(&message.authority);
        let route = self.route(pod, host, message, &mut way)?;
        let routed = Routed { message, peer, routes, host, route };
        if let Some(refused) = routed.refused_by_rbac(pod, hcm, &mut way)? {
            way.refuse(refused, out);
            return Ok(());
        }
        let Some(route) = route else {
            way.refuse(routed.not_found(pod)?, out);
            return Ok(());
        };
        let uri = peer.certificate.and_then(|certificate| certificate.uris().first());
        let states = uri.filter(|_| hcm.states_peer).map(String::as_str);
        let sender = Sender {
            pod,
            config,
            certificate: peer.certificate,
            states,
            failure: Form::Status(503),
            dialled: peer.destination,
            opaque: None,
        };
        self.act(&sender, route, message, way, out)
    }

    /// What the route says.
    fn act(
        &self,
        sender: &Sender<'_>,
        route: &Route,
        message: &Message<'_>,
        mut way: Way,
        out: &mut Branches,
    ) -> Modelled<()> {
        match route.action.as_ref().map_err(Unmodelled::clone)? {
            Destination::Answer(status) => {
                let pod = &sender.pod.name;
                way.trace.push(|| Step::new(Stage::Route, pod, format!("answers {status} itself")));
                way.refuse(Refused::new(pod, Stage::Route, Form::Status(*status), why_answered(*status)), out);
                Ok(())
            }
            Destination::Clusters(clusters) => self.split(sender, clusters, Payload::Http(message), way, out),
        }
    }

    /// The route, with its steps in the trace.
    fn route<'r>(
        &self,
        pod: &Placed,
        host: Option<&'r VirtualHost>,
        message: &Message<'_>,
        way: &mut Way,
    ) -> Modelled<Option<&'r Route>> {
        let Some(host) = host else {
            way.trace.push(|| Step::new(Stage::VirtualHost, &pod.name, format!("none for {}: 404", message.authority)));
            return Ok(None);
        };
        way.trace.push(|| Step::new(Stage::VirtualHost, &pod.name, &*host.name).because_of(&host.objects));
        let mut rejected = self.explain.then(Vec::new);
        let route = host.route(message, rejected.as_mut())?;
        way.trace.push(|| {
            let number = rejected.as_ref().map_or(0, Vec::len);
            let decided = route.map_or_else(|| "none matches: 404".to_owned(), |route| route.label(number));
            let objects = route.map_or(&[][..], |route| &route.objects);
            Step::new(Stage::Route, &pod.name, decided).because_of(objects).instead_of(rejected.unwrap_or_default())
        });
        Ok(route)
    }
}

fn normalised<'m>(pod: &Placed, hcm: &Hcm, message: &'m Message<'m>, way: &mut Way) -> Message<'m> {
    let mut changed = message.clone();
    changed.path = hcm.normalisation.apply(Cow::Borrowed(&message.path));
    if hcm.strip_trailing_dot {
        changed.authority = strip_trailing_dot(Cow::Borrowed(&message.authority));
    }
    if changed.path != message.path || changed.authority != message.authority {
        let decided = || format!("{}{} becomes {}{}", message.authority, message.path, changed.authority, changed.path);
        way.trace.push(|| Step::new(Stage::Normalisation, &pod.name, decided()));
    }
    changed
}

impl Routed<'_> {
    /// RBAC filters, in order. `Some`: one of them refuses.
    fn refused_by_rbac(&self, pod: &Placed, hcm: &Hcm, way: &mut Way) -> Modelled<Option<Refused>> {
        for (filter, base) in &hcm.rbac {
            let Some(rules) = self.rules(filter, base.as_ref())? else { continue };
            let subject = self.peer.subject(Some(self.message));
            let near = match rules.judge(&subject)? {
                Ruling::Allowed(by) => {
                    way.trace.push(|| Step::new(Stage::HttpRbac, &pod.name, "allowed").because_of(by.as_slice()));
                    continue;
                }
                Ruling::Denied { near } => near,
            };
            way.trace.push(|| Step::new(Stage::HttpRbac, &pod.name, "denied: 403").instead_of(rules.misses(&subject)));
            let known = !near.is_empty() || self.some_route_knows(filter)?;
            let because = if known { Because::RouteNotAllowed } else { Because::WrongSource };
            return Ok(Some(Refused::new(&pod.name, Stage::HttpRbac, Form::Status(403), because).near(near)));
        }
        Ok(None)
    }

    /// The rules that count: the route's, else the virtual host's, else the route configuration's, else the filter's own.
    fn rules<'a>(&'a self, filter: &str, base: Option<&'a Rbac>) -> Modelled<Option<&'a Rbac>> {
        let (Some(route), Some(host)) = (self.route, self.host) else { return Ok(base) };
        let route = route.per_filter.as_ref().map_err(Unmodelled::clone)?;
        let scope = [route, &host.per_filter, &self.routes.per_filter].into_iter().find_map(|scope| scope.get(filter));
        Ok(scope.map_or(base, Option::as_ref))
    }

    /// Whether the caller is named by the rules of some route of this virtual host.
    fn some_route_knows(&self, filter: &str) -> Modelled<bool> {
        let subject = self.peer.subject(Some(self.message));
        let routes = self.host.map_or(&[][..], |host| &host.routes);
        for route in routes.iter().filter_map(|route| route.as_ref().ok()) {
            if let Ok(scopes) = &route.per_filter
                && let Some(Some(rules)) = scopes.get(filter)
                && rules.knows(&subject)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn not_found(&self, pod: &Placed) -> Modelled<Refused> {
        let stage = if self.host.is_some() { Stage::Route } else { Stage::VirtualHost };
        Ok(Refused::new(&pod.name, stage, Form::Status(404), self.why_no_route()?))
    }

    /// A 404 of the called pod's proxy means that no rule covers the request; one of the caller's own, that there is no such service.
    fn why_no_route(&self) -> Modelled<Because> {
        let (Some(host), true) = (self.host, self.peer.tls) else { return Ok(Because::NoRoute) };
        let filters = host.routes.iter().filter_map(|route| route.as_ref().ok()?.per_filter.as_ref().ok());
        let names: std::collections::BTreeSet<Arc<str>> =
            filters.flat_map(|scopes| scopes.keys().map(|name| name.as_str().into())).collect();
        if names.is_empty() && !host.routes.is_empty() {
            return Ok(Because::RouteNotAllowed);
        }
        for name in names {
            if self.some_route_knows(&name)? {
                return Ok(Because::RouteNotAllowed);
            }
        }
        Ok(Because::WrongSource)
    }
}

/// The generator answers by itself for a split that leaves no backend.
fn why_answered(status: u16) -> Because {
    match status {
        403 => Because::RouteNotAllowed,
        503 => Because::NoBackend,
        _ => Because::NoRoute,
    }
}
