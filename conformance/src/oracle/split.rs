//! Which services share a call of a root.

use super::{
    Readings, Unknown,
    manifest::{Content, Service, ServicePort, Split},
    route::{Clauses, Conditions, HttpRequest},
    world::World,
};

/// A service that takes a share.
#[derive(Clone, Debug)]
pub(super) struct Leaf<'a> {
    /// The service with its port; none if the share can only fail.
    pub(super) service: Option<(&'a Service, &'a ServicePort)>,
    pub(super) weight: u64,
    pub(super) name: &'a str,
}

/// What the name of a service in a split means.
enum Named<'a> {
    Here(&'a str),
    Elsewhere { namespace: &'a str, name: &'a str },
}

impl World {
    /// The leaves among which calls of this service and port are shared; `None` if they go to its own pods.
    pub(super) fn leaves<'a>(
        &'a self,
        root: &'a Service,
        port: u16,
        http: Option<&HttpRequest>,
        readings: &Readings,
        clauses: &mut Clauses,
    ) -> Result<Option<Vec<Leaf<'a>>>, Unknown> {
        let Some(split) = self.split_of(root, readings, clauses)? else { return Ok(None) };
        if !split.matches.is_empty() && !self.is_selected(split, http, readings, clauses)? {
            clauses.insert("TS-20");
            return Ok(None);
        }
        let mut leaves = Vec::new();
        for (name, weight) in &split.backends {
            leaves.extend(self.leaf(split, name, *weight, (root, port), readings, clauses)?);
        }
        let weights = leaves.iter().try_fold(0_u64, |sum, leaf| sum.checked_add(leaf.weight));
        match weights {
            Some(0) => {
                Unknown::because("no backend with a weight is left, and the specification does not say what then")
            }
            None => Unknown::because("the weights have no sum"),
            Some(_) => {
                clauses.insert("TS-01");
                Ok(Some(leaves))
            }
        }
    }

    /// The split that holds for a root.
    fn split_of<'a>(
        &'a self,
        root: &Service,
        readings: &Readings,
        clauses: &mut Clauses,
    ) -> Result<Option<&'a Split>, Unknown> {
        let mut found = Vec::new();
        let mut refused = 0;
        for (split, created, written) in self.splits() {
            if !split.is_for(root, readings, clauses) {
                continue;
            }
            if split.backends.iter().any(|(name, _)| split.means(name, root)) {
                clauses.insert("TS-17");
                refused += 1;
            } else {
                found.push((split, created, written));
            }
        }
        if found.len() + refused < 2 {
            return Ok(found.first().map(|(split, ..)| *split));
        }
        clauses.insert("TS-23");
        if refused > 0 {
            return Unknown::because("nobody says whether a split that is not honoured counts as the first of two");
        }
        if readings.is("TS-23", "refused") {
            return Ok(None);
        }
        if readings.is("TS-23", "last") {
            return Ok(found.iter().max_by_key(|(.., written)| written).map(|(split, ..)| *split));
        }
        if readings.is("TS-23", "merged") {
            return Unknown::because("nobody says how two splits are merged");
        }
        // Of one age, or of none that they tell: the first by name, as long as it was written first too.
        let by_name = found.iter().min_by_key(|(split, created, _)| (*created, &split.name));
        let by_age = found.iter().min_by_key(|(_, created, written)| (*created, written));
        match (by_name, by_age) {
            (Some((first, ..)), Some((oldest, ..))) if first.name == oldest.name => Ok(Some(first)),
            _ => Unknown::because("which of two splits is the older is not told"),
        }
    }

    /// Whether one of the split's route groups matches the request (TS-19, TS-21).
    fn is_selected(
        &self,
        split: &Split,
        http: Option<&HttpRequest>,
        readings: &Readings,
        clauses: &mut Clauses,
    ) -> Result<bool, Unknown> {
        let Some(request) = http else {
            return Unknown::because("nothing is said of splits with matches where no HTTP is spoken");
        };
        clauses.insert(if split.matches.len() > 1 { "TS-21" } else { "TS-19" });
        let count = if readings.is("TS-22", "headers-only") { Conditions::HeadersOnly } else { Conditions::All };
        let mut unknown = None;
        for reference in &split.matches {
            if reference.kind != "HTTPRouteGroup" {
                return Unknown::because(format!("a split with matches of kind {} may be refused", reference.kind));
            }
            let Some(Content::Group(group)) = self.content(&reference.kind, &split.namespace, &reference.name) else {
                continue;
            };
            if group.matches.iter().any(|route| route.path_regex.is_some() || !route.methods.is_empty()) {
                clauses.insert("TS-22");
            }
            match group.selects(None, request, count, readings, clauses) {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(why) => unknown = Some(why),
            }
        }
        unknown.map_or(Ok(false), Err)
    }

    fn leaf<'a>(
        &'a self,
        split: &'a Split,
        name: &'a str,
        weight: u64,
        (root, port): (&Service, u16),
        readings: &Readings,
        clauses: &mut Clauses,
    ) -> Result<Option<Leaf<'a>>, Unknown> {
        if weight == 0 {
            clauses.insert("TS-04");
            return Ok(None);
        }
        let service = match Named::read(name, &split.namespace) {
            Named::Here(name) => self.service(&split.namespace, name),
            Named::Elsewhere { namespace, name } => {
                clauses.insert("TS-24");
                if readings.is("TS-24", "refused") {
                    return Ok(None);
                }
                self.service(namespace, name)
            }
        };
        let fails = Ok(Some(Leaf { service: None, weight, name }));
        let Some(service) = service else {
            clauses.insert("TS-07");
            return if readings.is("TS-07", "left-out") { Ok(None) } else { fails };
        };
        let has = |number: u16| service.ports.iter().any(|port| port.port == number);
        let lacks_some = !root.ports.iter().all(|port| has(port.port));
        if lacks_some {
            clauses.insert(if has(port) { "TS-15" } else { "TS-12" });
        }
        if lacks_some && readings.is("TS-15", "whole-backend") {
            return Ok(None);
        }
        let Some(port) = service.ports.iter().find(|one| one.port == port) else { return Ok(None) };
        if service.headless {
            return Unknown::because("a headless service is not balanced");
        }
        if self.endpoints(service, port).is_empty() {
            clauses.insert("TS-08");
            return if readings.is("TS-08", "left-out") { Ok(None) } else { fails };
        }
        clauses.insert("TS-13");
        Ok(Some(Leaf { service: Some((service, port)), weight, name }))
    }
}

impl Split {
    /// Whether the split's root is this service.
    fn is_for(&self, root: &Service, readings: &Readings, clauses: &mut Clauses) -> bool {
        let bare = !self.service.contains(['.', '/']);
        if self.namespace != root.namespace {
            // It must name the root's namespace to mean it at all.
            let meant = !bare && self.means(&self.service, root);
            if meant {
                clauses.insert("TS-24");
            }
            return meant && readings.is("TS-24", "honoured");
        }
        if !self.means(&self.service, root) {
            return false;
        }
        if !bare {
            clauses.insert("TS-25");
        }
        match (bare, self.service.contains(".svc.")) {
            (true, _) => !readings.is("TS-25", "full-name"),
            (false, full) => readings.is("TS-25", "any-form") || (full && readings.is("TS-25", "full-name")),
        }
    }

    fn means(&self, name: &str, service: &Service) -> bool {
        match Named::read(name, &self.namespace) {
            Named::Here(name) => self.namespace == service.namespace && name == service.name,
            Named::Elsewhere { namespace, name } => namespace == service.namespace && name == service.name,
        }
    }
}

impl<'a> Named<'a> {
    /// `name`, `namespace/name`, `name.namespace`, or `name.namespace.svc` with or without the domain of the cluster.
    fn read(text: &'a str, own: &str) -> Self {
        if let Some((namespace, name)) = text.split_once('/') {
            return Self::Elsewhere { namespace, name };
        }
        let text = text.trim_end_matches('.');
        let short = [".svc.cluster.local", ".svc"].iter().find_map(|end| text.strip_suffix(end)).unwrap_or(text);
        match short.split_once('.') {
            Some((name, namespace)) if namespace != own => Self::Elsewhere { namespace, name },
            Some((name, _)) => Self::Here(name),
            None => Self::Here(short),
        }
    }
}
