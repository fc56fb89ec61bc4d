//! DNS for names outside of the mesh: what the sidecars of one scenario look up.
//!
//! Answers questions for A records over UDP (RFC 1035). Of a name that it knows it says that there are no others; of any other
//! name, that it does not exist. That is all that Envoy's resolver asks for.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use tokio::{net::UdpSocket, task::JoinHandle};

use super::{Lab, LabError, topology::Topology};

/// A running name server. Dropping it ends it.
#[derive(Debug)]
pub struct NameServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

/// Addresses by name, in lower case.
pub type Hosts = BTreeMap<String, Vec<IpAddr>>;

impl NameServer {
    /// Starts to answer, on any free port of `ip`.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn start(ip: IpAddr, hosts: Hosts) -> io::Result<Self> {
        let socket = UdpSocket::bind(SocketAddr::new(ip, 0)).await?;
        let address = socket.local_addr()?;
        let task = tokio::spawn(async move {
            let mut buffer = [0; 1500];
            loop {
                // A datagram that cannot be received or sent is lost, as datagrams may be: the resolver asks again.
                let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
                if let Some(answer) = answer(&buffer[..length], &hosts) {
                    let _ = socket.send_to(&answer, from).await;
                }
            }
        });
        Ok(Self { address, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Lab {
    /// Gives those outside of the cluster their addresses, and tells DNS.
    pub(super) async fn place_outside(&mut self, topology: &mut Topology) -> Result<(), LabError> {
        if let Some(live) = &mut self.live {
            for pod in topology.pods.values_mut().filter(|pod| pod.outside.is_some() && !pod.ports.is_empty()) {
                if let Some(address) = live.unmeshed_address().await? {
                    pod.object.address = address;
                }
            }
            let names = NameServer::start(live.address().ip(), topology.hosts()).await?;
            live.look_up_at(names.address());
            self.names = Some(names);
        }
        for (host, addresses) in topology.hosts() {
            self.evaluator.set_host(&host, addresses);
        }
        Ok(())
    }
}

const HEADER: usize = 12;
const TYPE_A: u16 = 1;
const CLASS_IN: u16 = 1;
const NO_SUCH_NAME: u8 = 3;

/// The answer to a message; `None` if it is no question.
fn answer(message: &[u8], hosts: &Hosts) -> Option<Vec<u8>> {
    let header = message.get(..HEADER)?;
    let (is_response, questions) = (header[2] & 0x80 != 0, u16::from_be_bytes([header[4], header[5]]));
    if is_response || questions != 1 {
        return None;
    }
    let (name, end) = name(message, HEADER)?;
    let number = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
    let (kind, class) = (number(end)?, number(end + 2)?);
    let known = hosts.get(&name);
    let addresses: Vec<Ipv4Addr> = match known {
        Some(addresses) if kind == TYPE_A && class == CLASS_IN => addresses.iter().filter_map(v4).collect(),
        _ => Vec::new(),
    };
    let code = if known.is_some() { 0 } else { NO_SUCH_NAME };
    // A response, authoritative, recursion desired as asked and available.
    let mut reply = vec![header[0], header[1], 0x84 | (header[2] & 1), 0x80 | code];
    reply.extend([0, 1]);
    reply.extend(u16::try_from(addresses.len()).ok()?.to_be_bytes());
    reply.extend([0; 4]);
    reply.extend(&message[HEADER..end + 4]);
    for address in addresses {
        // The name is that of the question, told by its place; it holds for a second.
        reply.extend([0xc0, HEADER as u8, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
        reply.extend(address.octets());
    }
    Some(reply)
}

fn v4(address: &IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(*address),
        IpAddr::V6(_) => None,
    }
}

/// The name at `at`, in lower case, and where it ends. Questions hold no pointers.
fn name(message: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        match length {
            0 => return Some((labels.join("."), at)),
            1..=63 => {
                let label = message.get(at..at + length)?;
                labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
                at += length;
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(name: &str, kind: u8) -> Vec<u8> {
        let mut message = vec![7, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            message.push(label.len() as u8);
            message.extend(label.bytes());
        }
        message.extend([0, 0, kind, 0, 1]);
        message
    }

    #[test]
    fn known_names_have_their_addresses_and_no_others() {
        let hosts = Hosts::from([("api.test".to_owned(), vec![[127, 1, 2, 3].into()])]);
        let a = answer(&question("API.test", 1), &hosts).unwrap();
        assert_eq!((&a[..2], a[3] & 15, &a[6..8]), (&[7, 9][..], 0, &[0, 1][..]));
        assert!(a.ends_with(&[127, 1, 2, 3]));
        let aaaa = answer(&question("api.test", 28), &hosts).unwrap();
        assert_eq!((aaaa[3] & 15, &aaaa[6..8]), (0, &[0, 0][..]));
        assert_eq!(answer(&question("other.test", 1), &hosts).unwrap()[3] & 15, NO_SUCH_NAME);
    }

    #[test]
    fn garbage_gets_no_answer() {
        let whole = question("api.test", 1);
        for length in 0..whole.len() {
            assert_eq!(answer(&whole[..length], &Hosts::new()), None, "{length}");
        }
    }
}
