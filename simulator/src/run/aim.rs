//! From a traffic step to concrete requests: who sends, from where, to which address, with which credentials.

use std::net::SocketAddr;

use mesh::model::{ObjectName, Service, TargetPort};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};

use crate::{
    client::{Route, tls::trusting_any_server},
    evaluator::{Caller, DirectTls, PeerCertificate},
    exchange::{Request, RequestId},
    lab::{Lab, LabError, account, resolve::service_behind, topology::Pod},
    scenario::model::{Credentials, OwnTls, Proto, Traffic},
};

/// Traffic, worked out.
#[derive(Clone, Debug)]
pub struct Aim {
    /// The sending pod.
    pub sender: Pod,
    /// The addresses that requests are spread over.
    pub addresses: Vec<SocketAddr>,
    /// The service meant, if the name is one.
    pub service: Option<ObjectName>,
    /// The sender as the evaluator sees it.
    pub caller: Caller,
    /// What it presents, if it goes past its sidecar.
    pub credentials: Option<Credentials>,
    /// The sender's way into the network, on a live runtime.
    pub route: Option<Route>,
    /// Whether a sidecar's pod is dialled on a port that no application of any pod has. In a cluster iptables brings that to the
    /// sidecar, which has its own way to refuse it; without iptables nobody listens there.
    pub unbound: bool,
    /// The request, without an id of its own.
    template: Request,
    /// One line for people.
    pub what: String,
}

impl Aim {
    /// Works traffic out.
    ///
    /// # Errors
    /// [`LabError`] if a name is unknown or credentials cannot be made.
    pub fn new(lab: &Lab, traffic: &Traffic) -> Result<Self, LabError> {
        let sender = lab.pods(&traffic.from)?.swap_remove(0);
        let resolved = lab.resolve(&traffic.to, &sender.object.name.namespace)?;
        let mut addresses = resolved.addresses;
        let past_sidecar = traffic.present.is_some() || !sender.meshed;
        if let Some(service) = resolved.service.as_ref().filter(|_| past_sidecar).and_then(|s| lab.store.service(s)) {
            addresses = endpoints(lab, service, &addresses);
        }
        if addresses.is_empty() {
            return Err(LabError::Unknown(format!("{} leads to no pod", traffic.to)));
        }
        let ports = lab.topology.container_ports();
        let meshed = |address: &SocketAddr| lab.topology.at(address.ip()).is_some_and(|pod| pod.meshed);
        let nobody_listens = addresses.iter().any(|address| meshed(address) && !ports.contains(&address.port()));
        let mut aim = Self {
            template: template(traffic, &resolved.authority, addresses[0]),
            addresses,
            service: resolved.service,
            caller: Caller::Pod(sender.object.address),
            credentials: traffic.present.clone(),
            route: lab.live.as_ref().map(|live| live.route(&sender)),
            what: describe(traffic),
            unbound: past_sidecar && nobody_listens,
            sender,
        };
        if let Some(credentials) = &traffic.present {
            aim.present(lab, credentials)?;
        } else if let Some(tls) = &traffic.tls {
            aim.wrap(tls)?;
        } else if !aim.sender.meshed {
            aim.caller = Caller::Direct(aim.sender.object.address, None);
        }
        Ok(aim)
    }

    /// What is spoken.
    pub fn proto(&self) -> Proto {
        self.template.proto
    }

    /// The `n`th request.
    pub fn request(&self, id: RequestId, n: usize) -> Request {
        Request { id, destination: self.addresses[n % self.addresses.len()], ..self.template.clone() }
    }

    /// Dials the receiving pod itself, with these credentials.
    fn present(&mut self, lab: &Lab, credentials: &Credentials) -> Result<(), LabError> {
        let source = lab.live.as_ref().and_then(|live| live.source(&self.sender));
        if credentials.plaintext {
            self.caller = Caller::Direct(self.sender.object.address, None);
            self.route = lab.live.is_some().then_some(Route::Direct { source });
            return Ok(());
        }
        let certificate = if credentials.anonymous {
            None
        } else {
            let account = account(credentials, &self.sender.object);
            Some(lab.certificates.forge(credentials, account)?)
        };
        let fqdn = || sni(lab, self.service.as_ref(), self.addresses[0]);
        let sni = credentials.sni.clone().unwrap_or_else(fqdn);
        let alpn = credentials.alpn.clone().unwrap_or_else(|| vec![mesh::snapshot::name::MESH_ALPN.to_owned()]);
        let offered: Vec<&str> = alpn.iter().map(String::as_str).collect();
        let config = match &certificate {
            None => trusting_any_server(None, &offered)?,
            Some(leaf) => {
                let chain = CertificateDer::pem_slice_iter(leaf.chain_pem.as_bytes()).collect::<Result<Vec<_>, _>>()?;
                let key = PrivateKeyDer::from_pem_slice(leaf.key.expose().as_bytes())?;
                trusting_any_server(Some((chain, key)), &offered)?
            }
        };
        let server_name = ServerName::try_from(sni.clone())
            .map_err(|_| LabError::Unknown(format!("{sni} cannot be sent as a server name")))?;
        self.route = lab.live.is_some().then_some(Route::DirectTls { source, config, server_name });
        let certificate = certificate.map(|leaf| PeerCertificate::from_pem(&leaf.chain_pem)).transpose();
        let certificate = certificate.map_err(|error| LabError::Unknown(error.to_string()))?;
        let tls = DirectTls { server_name: Some(sni), alpn, certificate };
        self.caller = Caller::Direct(self.sender.object.address, Some(tls));
        Ok(())
    }

    /// The application speaks TLS itself.
    fn wrap(&mut self, tls: &OwnTls) -> Result<(), LabError> {
        let host = self.template.authority.split(':').next().unwrap_or_default();
        let sni = tls.sni.clone().unwrap_or_else(|| host.to_owned());
        let server_name = ServerName::try_from(sni.clone())
            .map_err(|_| LabError::Unknown(format!("{sni} cannot be sent as a server name")))?;
        let config = trusting_any_server(None, &[])?;
        self.route = self.route.take().map(|route| match route {
            Route::ThroughSidecar { outbound, source } => {
                Route::ThroughSidecarTls { outbound, source, config, server_name }
            }
            Route::Direct { source } | Route::DirectTls { source, .. } => {
                Route::DirectTls { source, config, server_name }
            }
            wrapped @ Route::ThroughSidecarTls { .. } => wrapped,
        });
        let address = self.sender.object.address;
        let tls = DirectTls { server_name: Some(sni), ..DirectTls::default() };
        self.caller =
            if self.sender.meshed { Caller::PodTls(address, tls) } else { Caller::Direct(address, Some(tls)) };
        Ok(())
    }
}

/// The FQDN of the service called, or of the one that the pod's port belongs to: what its sidecar expects as SNI.
fn sni(lab: &Lab, called: Option<&ObjectName>, address: SocketAddr) -> String {
    if let Some(service) = called {
        return format!("{}.{}.svc.cluster.local", service.name, service.namespace);
    }
    let pod = lab.topology.at(address.ip());
    let service = pod.and_then(|pod| service_behind(&pod.object, address.port(), &lab.store));
    match service {
        Some((service, _)) => format!("{}.{}.svc.cluster.local", service.name.name, service.name.namespace),
        None => "unknown.invalid".into(),
    }
}

/// What kube-proxy does for whoever has no sidecar: a service address becomes one of its ready pods.
fn endpoints(lab: &Lab, service: &Service, addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let Some(port) = addresses.first().and_then(|a| service.port(a.port())) else { return addresses.to_vec() };
    let pods = lab.topology.pods.values().filter(|pod| service.selects(&pod.object.labels));
    let pods = pods.filter(|pod| pod.object.name.namespace == service.name.namespace);
    pods.filter_map(|pod| {
        let target = match &port.target {
            TargetPort::Number(number) => *number,
            TargetPort::Name(name) => *pod.object.named_ports.get(name)?,
        };
        Some(SocketAddr::new(pod.object.address, target))
    })
    .collect()
}

fn template(traffic: &Traffic, authority: &str, destination: SocketAddr) -> Request {
    let default_method = if is_grpc(traffic.proto) { "POST" } else { "GET" };
    let default_path = if is_grpc(traffic.proto) { "/simulator.Echo/Call" } else { "/" };
    Request {
        id: RequestId(0),
        proto: traffic.proto,
        destination,
        authority: traffic.host.clone().unwrap_or_else(|| authority.to_owned()),
        method: traffic.method.clone().unwrap_or_else(|| default_method.into()),
        path: traffic.path.clone().unwrap_or_else(|| default_path.into()),
        headers: traffic.headers.iter().map(|(k, v)| (k.to_ascii_lowercase(), v.clone())).collect(),
    }
}

fn is_grpc(proto: Proto) -> bool {
    matches!(proto, Proto::Grpc | Proto::GrpcStream)
}

/// `bookbuyer → bookstore GET /books [x-user: a] as plaintext`.
pub fn describe(traffic: &Traffic) -> String {
    let mut text = format!("{} → {}", traffic.from, traffic.to);
    match traffic.proto {
        Proto::Tcp => text.push_str(" TCP"),
        Proto::TcpServerFirst => text.push_str(" TCP (server first)"),
        proto => {
            let method = traffic.method.as_deref().unwrap_or(if is_grpc(proto) { "gRPC" } else { "GET" });
            text.push_str(&format!(" {method} {}", traffic.path.as_deref().unwrap_or("/")));
            match proto {
                Proto::Http2 => text.push_str(" over HTTP/2"),
                Proto::GrpcStream => text.push_str(" (stream)"),
                Proto::Websocket => text.push_str(" (websocket)"),
                _ => {}
            }
        }
    }
    if let Some(host) = &traffic.host {
        text.push_str(&format!(" Host {host}"));
    }
    for (name, value) in &traffic.headers {
        text.push_str(&format!(" [{name}: {value}]"));
    }
    if let Some(tls) = &traffic.tls {
        text.push_str(" over TLS");
        if let Some(sni) = &tls.sni {
            text.push_str(&format!(" to {sni}"));
        }
    }
    if let Some(present) = &traffic.present {
        text.push_str(&format!(", presenting {}", credentials(present)));
    }
    text
}

fn credentials(credentials: &Credentials) -> String {
    if credentials.plaintext {
        return "nothing, in plaintext".into();
    }
    let mut text = match &credentials.account {
        _ if credentials.anonymous => "no certificate".into(),
        Some(account) => format!("a certificate of {account}"),
        None => "a certificate of its own account".into(),
    };
    if credentials.expired {
        text.push_str(", expired");
    }
    if let Some(domain) = &credentials.trust_domain {
        text.push_str(&format!(", of trust domain {domain}"));
    }
    if credentials.foreign_ca {
        text.push_str(", of an unknown authority");
    }
    if credentials.retired_root {
        text.push_str(", of the root before");
    }
    if let Some(sni) = &credentials.sni {
        text.push_str(&format!(", to {sni}"));
    }
    text
}
