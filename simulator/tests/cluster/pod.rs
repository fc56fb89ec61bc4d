//! A pod's network namespace, and a thread that lives in it.

use std::{
    fs::File,
    future::Future,
    net::{IpAddr, Ipv4Addr},
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::{runtime, sync::oneshot};

use crate::node;

/// The network of one pod. Sockets opened by [`Network::run`] are inside of it.
pub(crate) struct Network {
    /// Name of the namespace (`ip netns`).
    pub(crate) namespace: String,
    /// The pod's address.
    pub(crate) address: IpAddr,
    handle: runtime::Handle,
    _stop: oneshot::Sender<()>,
}

static NEXT: AtomicU16 = AtomicU16::new(2);

impl Network {
    /// A new network with an address of its own.
    pub(crate) fn new() -> Arc<Self> {
        node::set_up();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let [high, low] = number.to_be_bytes();
        let address = Ipv4Addr::new(10, 244, high, low);
        let namespace = format!("pod{number}");
        node::ip(&["netns", "add", &namespace]);
        let inside = |arguments: &[&str]| node::ip(&[&["-n", &namespace], arguments].concat());
        let outer = format!("veth{number}");
        node::ip(&["link", "add", &outer, "type", "veth", "peer", "name", "eth0", "netns", &namespace]);
        node::ip(&["link", "set", &outer, "master", "mesh", "up"]);
        inside(&["address", "add", &format!("{address}/16"), "dev", "eth0"]);
        inside(&["link", "set", "lo", "up"]);
        inside(&["link", "set", "eth0", "up"]);
        inside(&["route", "add", "default", "via", &node::address().to_string()]);
        let (started, handle) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let name = namespace.clone();
        std::thread::spawn(move || live_in(&name, &started, stopped));
        Arc::new(Self { namespace, address: address.into(), handle: handle.recv().unwrap(), _stop: stop })
    }

    /// Runs a future inside of the network.
    pub(crate) async fn run<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T {
        self.handle.spawn(future).await.unwrap()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        node::ip(&["netns", "delete", &self.namespace]);
    }
}

/// The life of a thread in the namespace: it runs what is sent to its runtime until the network is dropped.
fn live_in(namespace: &str, started: &std::sync::mpsc::Sender<runtime::Handle>, stopped: oneshot::Receiver<()>) {
    let file = File::open(format!("/run/netns/{namespace}")).unwrap();
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    started.send(runtime.handle().clone()).unwrap();
    // The sender is dropped with the network.
    let _ = runtime.block_on(stopped);
}
