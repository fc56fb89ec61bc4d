//! A piece of the loopback network for one scenario: nobody else on the machine uses it meanwhile.

use std::{
    net::{IpAddr, Ipv4Addr, TcpListener},
    sync::atomic::{AtomicU16, Ordering},
};

use super::topology::{Addresses, TopologyError};

/// `127.x.y.0/24`: pods from .1, services from .128, the control plane at .126, nothing at .254.
///
/// Held by a listening socket at .127 for as long as the value lives, so that simulators side by side never share one.
#[derive(Debug)]
pub struct Subnet {
    prefix: [u8; 3],
    pods: u8,
    services: u8,
    _lease: TcpListener,
}

const PODS: u8 = 125;
const FIRST_SERVICE: u8 = 128;
const LAST_SERVICE: u8 = 253;
const LEASE_PORT: u16 = 15999;

/// No piece of the loopback network is free.
#[derive(Debug, thiserror::Error)]
#[error(
    "no free subnet of 127.0.0.0/8: stop other simulators, or check that the loopback interface takes 127.0.0.0/8 ({0})"
)]
pub struct NoSubnet(#[source] std::io::Error);

impl Subnet {
    /// Takes a free one.
    ///
    /// # Errors
    /// [`NoSubnet`] if none of a few thousand is free.
    pub fn lease() -> Result<Self, NoSubnet> {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        // Processes start at different places, so that they seldom meet.
        let start = (std::process::id() % 200) as u16 * 250;
        let mut last = std::io::Error::other("never tried");
        for _ in 0..5_000 {
            let n = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % (200 * 250);
            let prefix = [127, 16 + (n / 250) as u8, 1 + (n % 250) as u8];
            match TcpListener::bind((address(prefix, 127), LEASE_PORT)) {
                Ok(lease) => return Ok(Self { prefix, pods: 0, services: 0, _lease: lease }),
                Err(error) => last = error,
            }
        }
        Err(NoSubnet(last))
    }

    /// Where the control plane listens.
    pub fn control_plane(&self) -> IpAddr {
        address(self.prefix, 126)
    }

    /// An address that belongs to nobody: what a host name that does not exist would have.
    pub fn nowhere(&self) -> IpAddr {
        address(self.prefix, 254)
    }
}

impl Addresses for Subnet {
    fn pod(&mut self) -> Result<IpAddr, TopologyError> {
        self.pods += 1;
        if self.pods > PODS {
            return Err(TopologyError::TooMany(PODS.into(), "pods"));
        }
        Ok(address(self.prefix, self.pods))
    }

    fn service(&mut self) -> Result<IpAddr, TopologyError> {
        let last = FIRST_SERVICE + self.services;
        if last > LAST_SERVICE {
            return Err(TopologyError::TooMany((LAST_SERVICE - FIRST_SERVICE + 1).into(), "services"));
        }
        self.services += 1;
        Ok(address(self.prefix, last))
    }
}

fn address(prefix: [u8; 3], last: u8) -> IpAddr {
    Ipv4Addr::new(prefix[0], prefix[1], prefix[2], last).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_leases_never_share_a_subnet() {
        let (a, b) = (Subnet::lease().unwrap(), Subnet::lease().unwrap());
        assert_ne!(a.prefix, b.prefix);
        assert!(a.control_plane().is_loopback());
    }

    #[test]
    fn addresses_run_out_with_an_error() {
        let mut subnet = Subnet::lease().unwrap();
        for _ in 0..PODS {
            subnet.pod().unwrap();
        }
        assert_eq!(subnet.pod(), Err(TopologyError::TooMany(125, "pods")));
    }
}
