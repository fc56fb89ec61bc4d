//! How a request begins and ends, and how one proxy reaches the next: weighted clusters, endpoints, pods.

use std::{borrow::Cow, net::SocketAddr, sync::Arc};

use super::{
    Caller, Delivered, Evaluation, Evaluator, INBOUND_PORT, OUTBOUND_PORT, Placed,
    certificate::PeerCertificate,
    cluster::{Cluster, EndpointSource, Endpoints, Upstream},
    handshake::{Hello, Presented, own_certificate},
    message::Message,
    proxy::ProxyConfig,
    serve::{Connection, Payload},
    tls::ClientTls,
    trace::{Rejected, Stage, Step},
    unmodelled::{Modelled, Unmodelled},
    way::{Branches, Form, Refused, Way, merge},
};
use crate::{
    exchange::Request,
    scenario::model::{Because, Proto},
};

/// The evaluation of one request.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    pub(super) evaluator: &'a Evaluator,
    pub(super) explain: bool,
}

/// A proxy about to open a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sender<'a> {
    pub(super) pod: &'a Placed,
    pub(super) config: &'a ProxyConfig,
    /// The client's certificate, as the proxy verified it.
    pub(super) certificate: Option<&'a PeerCertificate>,
    /// What it writes into `x-forwarded-client-cert`.
    pub(super) states: Option<&'a str>,
    /// What it shows to its client if a connection fails.
    pub(super) failure: Form,
    /// Where its client dialled.
    pub(super) dialled: SocketAddr,
    /// The client's own TLS, which goes through unopened.
    pub(super) opaque: Option<&'a Hello<'a>>,
}

impl<'a> Walk<'a> {
    /// Walks all ways and adds up equal ends.
    pub(super) fn run(&self, caller: &Caller, request: &Request) -> Modelled<Evaluation> {
        let message;
        let payload = match request.proto {
            Proto::Tcp => Payload::Raw { server_first: false },
            Proto::TcpServerFirst => Payload::Raw { server_first: true },
            _ => {
                message = Message::new(request)?;
                Payload::Http(&message)
            }
        };
        let mut out = Branches::new();
        let way = Way::new(self.explain);
        let mut connection = Connection { destination: request.destination, source: None, hello: None, payload };
        if let Caller::Pod(address) | Caller::PodTls(address, _) | Caller::Direct(address, _) = caller {
            connection.source = Some(*address);
        }
        let hello;
        if let Caller::Tls(tls) | Caller::PodTls(_, tls) | Caller::Direct(_, Some(tls)) = caller {
            let server_name = Cow::Owned(tls.server_name.as_deref().unwrap_or("").to_ascii_lowercase());
            let certificate = tls.certificate.as_ref().map(Presented::Own);
            hello = Hello { server_name, alpn: &tls.alpn, certificate, checks: None };
            connection.hello = Some(&hello);
        }
        let outside = || Arc::from("client");
        match caller {
            Caller::Pod(address) | Caller::PodTls(address, _) => {
                let Some(pod) = self.evaluator.pods.get(address) else {
                    return Err(Unmodelled::new("caller", format!("there is no pod {address}")));
                };
                match &pod.config {
                    Some(config) => self.serve(pod, config, OUTBOUND_PORT, &connection, way, &mut out)?,
                    None => self.dial(&pod.name, &connection, way, &mut out)?,
                }
            }
            Caller::Plaintext | Caller::Tls(_) | Caller::Direct(..) => {
                self.dial(&outside(), &connection, way, &mut out)?;
            }
        }
        merge(out)
    }

    /// Someone dials who has no sidecar: kube-proxy picks the pod.
    fn dial(&self, name: &Arc<str>, connection: &Connection<'_>, mut way: Way, out: &mut Branches) -> Modelled<()> {
        let destination = connection.destination;
        let Some(endpoints) = self.evaluator.services.get(&destination) else {
            return self.arrive(name, connection, Because::NoRoute, way, out);
        };
        way.trace
            .push(|| Step::new(Stage::Endpoint, name, format!("{destination} is one of {} pods", endpoints.len())));
        if endpoints.is_empty() {
            way.refuse(Refused::new(name, Stage::Endpoint, Form::Refused, Because::NoEndpoint), out);
            return Ok(());
        }
        for &endpoint in endpoints {
            let connection = Connection { destination: endpoint, ..*connection };
            self.arrive(name, &connection, Because::NoEndpoint, way.part(1, endpoints.len() as u64)?, out)?;
        }
        Ok(())
    }

    /// A connection from `from` arrives at the pod with the destination's address. `missing`: what it means if there is none.
    fn arrive(
        &self,
        from: &Arc<str>,
        connection: &Connection<'_>,
        missing: Because,
        mut way: Way,
        out: &mut Branches,
    ) -> Modelled<()> {
        let Some(pod) = self.evaluator.pods.get(&connection.destination.ip()) else {
            way.trace
                .push(|| Step::new(Stage::Endpoint, from, format!("there is no pod {}", connection.destination.ip())));
            way.refuse(Refused::new(from, Stage::Endpoint, Form::Refused, missing), out);
            return Ok(());
        };
        match &pod.config {
            Some(config) => self.serve(pod, config, INBOUND_PORT, connection, way, out),
            None => self.bare(pod, connection, way, out),
        }
    }

    /// A connection arrives at the application of a pod without a sidecar.
    fn bare(&self, pod: &Placed, connection: &Connection<'_>, mut way: Way, out: &mut Branches) -> Modelled<()> {
        let port = connection.destination.port();
        let speaks_tls = pod.tls_ports.is_empty() || pod.tls_ports.contains(&port);
        let failure = match (connection.hello, pod.presents.as_ref().filter(|_| speaks_tls)) {
            (None, None) => None,
            (None, Some(_)) => Some((Form::Closed, Because::NoIdentity, "plaintext where TLS is spoken".to_owned())),
            (Some(_), None) => Some((Form::Tls, Because::NoIdentity, "the server does not speak TLS".to_owned())),
            (Some(hello), Some(server)) => {
                let refusal = self.evaluator.client_refuses(hello, Presented::Kept(server))?;
                refusal.map(|refusal| (Form::Tls, Because::BadIdentity, refusal.to_string()))
            }
        };
        if let Some((form, because, decided)) = failure {
            way.trace.push(|| Step::new(Stage::UpstreamTls, &pod.name, decided));
            way.refuse(Refused::new(&pod.name, Stage::UpstreamTls, form, because), out);
            return Ok(());
        }
        deliver(pod, port, connection.payload, (None, None), way, out);
        Ok(())
    }

    /// On to one of `clusters`, by weight.
    pub(super) fn split(
        &self,
        sender: &Sender<'_>,
        clusters: &[(Arc<str>, u64)],
        payload: Payload<'_>,
        mut way: Way,
        out: &mut Branches,
    ) -> Modelled<()> {
        if let [(name, _)] = clusters {
            return self.connect(sender, name, payload, way, out);
        }
        let total = clusters.iter().map(|(_, weight)| weight).sum();
        way.trace.push(|| {
            let shares: Vec<_> = clusters.iter().map(|(name, weight)| format!("{name} {weight}")).collect();
            let never = clusters
                .iter()
                .filter(|(_, weight)| *weight == 0)
                .map(|(name, _)| Rejected::new(&**name, "its weight is 0"));
            Step::new(Stage::Split, &sender.pod.name, shares.join(", ")).instead_of(never.collect())
        });
        for (name, weight) in clusters.iter().filter(|(_, weight)| *weight > 0) {
            self.connect(sender, name, payload, way.part(*weight, total)?, out)?;
        }
        Ok(())
    }

    /// On to one of the cluster's endpoints.
    fn connect(
        &self,
        sender: &Sender<'_>,
        name: &str,
        payload: Payload<'_>,
        mut way: Way,
        out: &mut Branches,
    ) -> Modelled<()> {
        let pod = sender.pod;
        let Some(cluster) = sender.config.cluster(name)? else {
            way.trace.push(|| Step::new(Stage::Cluster, &pod.name, format!("{name} does not exist")));
            way.refuse(Refused::new(&pod.name, Stage::Cluster, sender.failure, Because::NoEndpoint), out);
            return Ok(());
        };
        way.trace.push(|| Step::new(Stage::Cluster, &pod.name, name).because_of(&cluster.objects));
        check_upstream(cluster, payload).map_err(|error| error.inside(format!("cluster {name}")))?;
        let looked_up;
        let Endpoints(endpoints) = match &cluster.endpoints {
            EndpointSource::Static(endpoints) => endpoints,
            EndpointSource::Eds(service) => sender.config.endpoints(service)?,
            EndpointSource::Dialled => {
                looked_up = Endpoints(vec![(sender.dialled, 1)]);
                &looked_up
            }
            EndpointSource::Dns(hosts) => {
                looked_up = Endpoints(self.look_up(hosts));
                &looked_up
            }
        };
        let total = endpoints.iter().map(|(_, weight)| weight).sum();
        if endpoints.is_empty() {
            way.trace.push(|| Step::new(Stage::Endpoint, &pod.name, "the cluster has none"));
            way.refuse(Refused::new(&pod.name, Stage::Endpoint, sender.failure, Because::NoEndpoint), out);
            return Ok(());
        }
        let hello = match &cluster.tls {
            Some(tls) => Some(hello(sender, tls, cluster.http, payload)?),
            None => None,
        };
        for &(address, weight) in endpoints {
            let mut way = way.part(weight, total)?;
            way.trace.push(|| Step::new(Stage::Endpoint, &pod.name, format!("{address}, one of {}", endpoints.len())));
            let hello = hello.as_ref().or(sender.opaque);
            let source = Some(pod.address);
            let connection = Connection { destination: address, source, hello, payload };
            let first = out.len();
            self.reach(sender, &connection, way, out).map_err(|error| error.inside(format!("cluster {name}")))?;
            out[first..].iter_mut().for_each(|branch| branch.fail_as(sender.failure));
        }
        Ok(())
    }

    /// What DNS says of names. IP addresses are their own names.
    fn look_up(&self, hosts: &[(String, u16)]) -> Vec<(SocketAddr, u64)> {
        let of = |(host, port): &(String, u16)| {
            let literal = host.parse().ok().map(|ip| vec![ip]);
            let addresses = literal.or_else(|| self.evaluator.hosts.get(host).cloned()).unwrap_or_default();
            addresses.into_iter().map(|ip| (SocketAddr::new(ip, *port), 1)).collect::<Vec<_>>()
        };
        hosts.iter().flat_map(of).collect()
    }

    /// To an endpoint: another pod, or the pod's own application behind the loopback address.
    fn reach(&self, sender: &Sender<'_>, connection: &Connection<'_>, way: Way, out: &mut Branches) -> Modelled<()> {
        let address = connection.destination;
        if !address.ip().is_loopback() || self.evaluator.pods.contains_key(&address.ip()) {
            return self.arrive(&sender.pod.name, connection, Because::NoEndpoint, way, out);
        }
        if connection.hello.is_some() {
            return Err(Unmodelled::new(
                "Cluster.transport_socket",
                "TLS to the pod's own application is not modelled",
            ));
        }
        let identity = sender.certificate.and_then(|peer| peer.dns().first().or(peer.uris().first()));
        let peer = (sender.states, identity.map(String::as_str));
        deliver(sender.pod, address.port(), connection.payload, peer, way, out);
        Ok(())
    }
}

/// The first message of a TLS handshake with an endpoint.
fn hello<'a>(sender: &Sender<'a>, tls: &'a ClientTls, upstream: Upstream, payload: Payload<'_>) -> Modelled<Hello<'a>> {
    if tls.alpn.is_empty() && matches!((payload, sender.failure), (Payload::Http(_), Form::Status(_))) {
        let why = format!("what is offered by default for {upstream:?} is not modelled");
        return Err(Unmodelled::new("UpstreamTlsContext.common_tls_context.alpn_protocols", why));
    }
    Ok(Hello {
        server_name: if tls.sni.bytes().any(|b| b.is_ascii_uppercase()) {
            Cow::Owned(tls.sni.to_ascii_lowercase())
        } else {
            Cow::Borrowed(&tls.sni)
        },
        alpn: &tls.alpn,
        certificate: own_certificate(sender.config, &tls.common)?.map(Presented::Kept),
        checks: Some((sender.config, tls)),
    })
}

/// Whether what is sent survives the version of HTTP that the cluster speaks.
fn check_upstream(cluster: &Cluster, payload: Payload<'_>) -> Modelled<()> {
    let Payload::Http(message) = payload else { return Ok(()) };
    match cluster.http {
        Upstream::Http1 if message.is_grpc() => {
            Err(Unmodelled::new("HttpProtocolOptions", "gRPC over HTTP/1.1 is not modelled"))
        }
        Upstream::Http2 if message.proto == Proto::Websocket => {
            Err(Unmodelled::new("HttpProtocolOptions", "a websocket over HTTP/2 is not modelled"))
        }
        _ => Ok(()),
    }
}

/// The application's turn. `peer`: what is said of the caller in the request's header, and who was verified.
fn deliver(
    pod: &Placed,
    port: u16,
    payload: Payload<'_>,
    (peer, identity): (Option<&str>, Option<&str>),
    mut way: Way,
    out: &mut Branches,
) {
    if !pod.ports.contains(&port) {
        way.trace.push(|| Step::new(Stage::App, &pod.name, format!("nobody listens on port {port}")));
        way.refuse(Refused::new(&pod.name, Stage::App, Form::Refused, Because::NoEndpoint), out);
        return;
    }
    way.trace.push(|| Step::new(Stage::App, &pod.name, format!("port {port} gets it")));
    let (path, authority) = match payload {
        Payload::Http(message) => (message.path.to_string(), message.authority.to_string()),
        Payload::Raw { .. } => (String::new(), String::new()),
    };
    let (peer, identity) = (peer.map(str::to_owned), identity.map(str::to_owned));
    way.deliver(Delivered { pod: pod.name.clone(), port, path, authority, peer, identity, banner_only: false }, out);
}
