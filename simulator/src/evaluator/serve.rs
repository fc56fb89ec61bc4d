//! One connection into one proxy: listener, filter chain, TLS, network RBAC.

use std::net::{IpAddr, SocketAddr};

use super::{
    OUTBOUND_PORT, Placed,
    certificate::PeerCertificate,
    cluster::{EndpointSource, Endpoints},
    connect::{Sender, Walk},
    filter::Terminal,
    handshake::{Hello, Refusal},
    listener::{Body, Chain, Listener},
    message::Message,
    proxy::ProxyConfig,
    rbac::{Ruling, Subject},
    sieve::{Miss, Traits},
    trace::{Rejected, Stage, Step},
    unmodelled::{Modelled, Unmodelled},
    way::{Branches, Form, Refused, Way},
};
use crate::scenario::model::Because;

/// No generated configuration chains more proxies.
const MAX_HOPS: usize = 8;

/// What is sent on a connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum Payload<'a> {
    Http(&'a Message<'a>),
    /// Bytes; the server may be the one to speak first.
    Raw {
        server_first: bool,
    },
}

/// A connection as it arrives at a proxy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connection<'a> {
    pub(super) destination: SocketAddr,
    /// Where it comes from; `None`: nobody knows.
    pub(super) source: Option<IpAddr>,
    /// `None`: plaintext.
    pub(super) hello: Option<&'a Hello<'a>>,
    pub(super) payload: Payload<'a>,
}

/// What the proxy that holds a connection knows of the other end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer<'a> {
    pub(super) destination: SocketAddr,
    pub(super) server_name: &'a str,
    pub(super) tls: bool,
    pub(super) certificate: Option<&'a PeerCertificate>,
}

impl Walk<'_> {
    /// A connection arrives at the listener of `pod` on `port`.
    pub(super) fn serve(
        &self,
        pod: &Placed,
        config: &ProxyConfig,
        port: u16,
        connection: &Connection<'_>,
        mut way: Way,
        out: &mut Branches,
    ) -> Modelled<()> {
        way.hops += 1;
        let listener = config.listener(port).map_err(|error| error.inside(&pod.name))?;
        let Some(listener) = listener else {
            way.trace.push(|| Step::new(Stage::Listener, &pod.name, format!("nobody listens on port {port}")));
            way.refuse(Refused::new(&pod.name, Stage::Listener, Form::Refused, Because::NoRoute), out);
            return Ok(());
        };
        way.trace.push(|| {
            Step::new(Stage::Listener, &pod.name, format!("{} takes {}", listener.name, connection.destination))
        });
        if way.hops > MAX_HOPS {
            return Err(Unmodelled::new(&*pod.name, "the request goes in circles"));
        }
        let silent = matches!(connection.payload, Payload::Raw { server_first: true }) && connection.hello.is_none();
        if listener.inspects(connection.destination.port()) && silent {
            let waits = "the TLS inspector waits for the client's first byte until it gives up";
            way.trace.push(|| Step::new(Stage::Listener, &pod.name, waits));
            way.refuse(Refused::new(&pod.name, Stage::Listener, Form::Closed, Because::NoIdentity), out);
            return Ok(());
        }
        let chain = match find_chain(pod, listener, connection, &mut way) {
            Ok(chain) => chain,
            Err(refused) => {
                way.refuse(refused, out);
                return Ok(());
            }
        };
        let body = chain.body.as_ref().map_err(|error| error.clone().inside(&listener.name).inside(&pod.name))?;
        self.enter(pod, config, body, connection, way, out).map_err(|error| error.inside(&chain.name).inside(&pod.name))
    }

    /// TLS, network RBAC, and on to the last filter.
    fn enter(
        &self,
        pod: &Placed,
        config: &ProxyConfig,
        body: &Body,
        connection: &Connection<'_>,
        mut way: Way,
        out: &mut Branches,
    ) -> Modelled<()> {
        let certificate = match self.accept(pod, config, body, connection, &mut way)? {
            Ok(certificate) => certificate,
            Err(refused) => {
                let early = hangs_up(pod, config, body)?;
                way.refuse(if early { refused.or_closed() } else { refused }, out);
                return Ok(());
            }
        };
        let peer = Peer {
            destination: connection.destination,
            server_name: connection.hello.map_or("", |hello| &hello.server_name),
            tls: body.tls.is_some(),
            certificate,
        };
        if let Some(refused) = refused_by_rbac(pod, body, &peer, connection.payload, &mut way)? {
            way.refuse(refused, out);
            return Ok(());
        }
        self.terminate(pod, config, body, connection, &peer, way, out)
    }

    /// The last filter of the chain.
    #[expect(clippy::too_many_arguments, reason = "one call, and a struct for it would only rename them")]
    fn terminate(
        &self,
        pod: &Placed,
        config: &ProxyConfig,
        body: &Body,
        connection: &Connection<'_>,
        peer: &Peer<'_>,
        mut way: Way,
        out: &mut Branches,
    ) -> Modelled<()> {
        // TLS records in a chain that does not speak TLS are just bytes to it.
        let opaque = connection.hello.is_some() && body.tls.is_none();
        match (&body.filters.terminal, connection.payload) {
            (Terminal::Tcp(clusters), payload) => {
                // Inside another handshake the peer would have to be asked twice.
                let wraps = |name: &str| matches!(config.cluster(name), Ok(Some(c)) if c.tls.is_some());
                if opaque && clusters.iter().any(|(name, _)| wraps(name)) {
                    return Err(Unmodelled::new("filters", "TLS within TLS is not modelled"));
                }
                let sender = Sender {
                    pod,
                    config,
                    certificate: peer.certificate,
                    states: None,
                    failure: Form::Closed,
                    dialled: connection.destination,
                    opaque: connection.hello.filter(|_| opaque),
                };
                self.split(&sender, clusters, payload, way, out)
            }
            (Terminal::Http(_), _) if opaque => {
                Err(Unmodelled::new("filters", "TLS in a plaintext HTTP chain is not modelled"))
            }
            (Terminal::Http(hcm), Payload::Http(message)) => self.http(pod, config, hcm, message, peer, way, out),
            (Terminal::Http(_), Payload::Raw { server_first: true }) => {
                Err(Unmodelled::new("filters", "a silent client at an HTTP connection manager is not modelled"))
            }
            (Terminal::Http(_), Payload::Raw { server_first: false }) => {
                way.trace.push(|| Step::new(Stage::Codec, &pod.name, "this is not HTTP: 400"));
                way.refuse(Refused::new(&pod.name, Stage::Codec, Form::NotHttp, Because::NoRoute), out);
                Ok(())
            }
        }
    }

    /// The chain's own TLS handshake. `Ok(Ok(certificate))`: done.
    fn accept<'c>(
        &self,
        pod: &Placed,
        config: &ProxyConfig,
        body: &Body,
        connection: &Connection<'c>,
        way: &mut Way,
    ) -> Modelled<Result<Option<&'c PeerCertificate>, Refused>> {
        let Some(tls) = &body.tls else { return Ok(Ok(None)) };
        let refusal = match connection.hello {
            None => Refusal::Anonymous,
            Some(hello) => match self.evaluator.handshake(hello, config, tls)? {
                Ok(peer) => {
                    way.trace.push(|| Step::new(Stage::DownstreamTls, &pod.name, identity_in_words(peer)));
                    return Ok(Ok(peer));
                }
                Err(refusal) => refusal,
            },
        };
        let (stage, form, because) = match refusal {
            Refusal::ByClient(_) => (Stage::UpstreamTls, Form::Tls, Because::BadIdentity),
            Refusal::ByServer(_) => (Stage::DownstreamTls, Form::Tls, Because::BadIdentity),
            Refusal::Anonymous if connection.hello.is_none() => {
                (Stage::DownstreamTls, Form::Closed, Because::NoIdentity)
            }
            Refusal::Anonymous => (Stage::DownstreamTls, Form::Tls, Because::NoIdentity),
        };
        way.trace.push(|| Step::new(stage, &pod.name, refusal.to_string()));
        Ok(Err(Refused::new(&pod.name, stage, form, because)))
    }
}

/// Whether the chain may close a connection in the middle of its handshake: a TCP proxy dials its cluster as soon as it is
/// connected to, and hangs up if nobody answers there.
fn hangs_up(pod: &Placed, config: &ProxyConfig, body: &Body) -> Modelled<bool> {
    let Terminal::Tcp(clusters) = &body.filters.terminal else { return Ok(false) };
    for (name, _) in clusters {
        let Some(cluster) = config.cluster(name)? else { return Ok(true) };
        if let EndpointSource::Static(Endpoints(endpoints)) = &cluster.endpoints
            && endpoints.iter().any(|(address, _)| !pod.ports.contains(&address.port()))
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// RBAC over connections, in order. `Some`: one of them refuses.
fn refused_by_rbac(
    pod: &Placed,
    body: &Body,
    peer: &Peer<'_>,
    payload: Payload<'_>,
    way: &mut Way,
) -> Modelled<Option<Refused>> {
    let subject = peer.subject(None);
    for rbac in &body.filters.rbac {
        let near = match rbac.judge(&subject)? {
            Ruling::Allowed(by) => {
                way.trace.push(|| Step::new(Stage::NetworkRbac, &pod.name, "allowed").because_of(by.as_slice()));
                continue;
            }
            Ruling::Denied { near } => near,
        };
        let step = |decided| Step::new(Stage::NetworkRbac, &pod.name, decided).instead_of(rbac.misses(&subject));
        if matches!(payload, Payload::Raw { server_first: true }) {
            way.trace.push(|| step("denied once the client speaks; the server speaks first"));
            way.banner_only = true;
            continue;
        }
        way.trace.push(|| step("denied: closed"));
        let because = if near.is_empty() { Because::WrongSource } else { Because::PortNotAllowed };
        return Ok(Some(Refused::new(&pod.name, Stage::NetworkRbac, Form::Closed, because).near(near)));
    }
    Ok(None)
}

/// The filter chain for the connection.
fn find_chain<'l>(
    pod: &Placed,
    listener: &'l Listener,
    connection: &Connection<'_>,
    way: &mut Way,
) -> Result<&'l Chain, Refused> {
    let hello = connection.hello.filter(|_| listener.inspects(connection.destination.port()));
    let traits = Traits {
        destination: connection.destination,
        source: connection.source,
        server_name: hello.map_or("", |hello| &hello.server_name),
        tls: hello.is_some(),
        alpn: hello.map_or(&[], |hello| hello.alpn),
    };
    let miss = match listener.sieve.find(&traits) {
        Ok(number) => {
            let chain = &listener.chains[number];
            way.trace.push(|| Step::new(Stage::Chain, &pod.name, &*chain.name).because_of(&chain.objects));
            return Ok(chain);
        }
        Err(miss) => miss,
    };
    let rejected = || vec![Rejected::new("any other chain", miss.explain(&traits))];
    if let Some(chain) = &listener.default {
        let decided = || format!("{} (the default)", chain.name);
        way.trace
            .push(|| Step::new(Stage::Chain, &pod.name, decided()).because_of(&chain.objects).instead_of(rejected()));
        return Ok(chain);
    }
    way.trace.push(|| Step::new(Stage::Chain, &pod.name, "none: closed").instead_of(rejected()));
    let because = match (listener.port, connection.hello, miss) {
        (OUTBOUND_PORT, ..) => Because::WrongSource,
        (_, None, _) => Because::NoIdentity,
        (_, Some(_), Miss::Port) => Because::PortNotAllowed,
        _ => Because::NoRoute,
    };
    Err(Refused::new(&pod.name, Stage::Chain, Form::Closed, because))
}

fn identity_in_words(peer: Option<&PeerCertificate>) -> String {
    match peer {
        None => "the client is anonymous".to_owned(),
        Some(peer) => format!("the client is {}", [peer.dns(), peer.uris()].concat().join(", ")),
    }
}

impl<'a> Peer<'a> {
    /// What RBAC looks at, for a request or for the connection itself.
    pub(super) fn subject(&self, message: Option<&'a Message<'a>>) -> Subject<'a> {
        Subject {
            destination: self.destination,
            server_name: Some(self.server_name),
            tls: self.tls,
            peer: self.certificate,
            message,
        }
    }
}
