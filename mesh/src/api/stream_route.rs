//! TCPRoute and UDPRoute (`specs.smi-spec.io`): traffic told apart by service port alone.
//!
//! | version | TCPRoute | UDPRoute |
//! |---|---|---|
//! | v1alpha1, v1alpha2 | no content: all ports | – |
//! | v1alpha3 | `spec: {}`: all ports | – |
//! | v1alpha4 | `spec.matches.ports`; `[]` means all ports | same |

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Ignored,
    error::Fault,
    metadata::{Metadata, ObjectMeta, Port, Resource},
};
use crate::model::{self, RoutePorts};

/// traffic-specs v1alpha1.
pub mod v1alpha1 {
    use super::{Deserialize, Ignored, JsonSchema, ObjectMeta};

    /// A TCPRoute: nothing but a name.
    #[derive(Clone, Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    pub struct TcpRoute {
        /// Group and version.
        pub api_version: String,
        /// Kind.
        pub kind: String,
        /// Name, namespace and so on.
        pub metadata: ObjectMeta,
        /// Ignored.
        #[serde(default)]
        pub status: Option<Ignored>,
    }
}

/// traffic-specs v1alpha2: as v1alpha1.
pub mod v1alpha2 {
    pub use super::v1alpha1::TcpRoute;
}

/// traffic-specs v1alpha3.
pub mod v1alpha3 {
    use super::{Deserialize, JsonSchema, Resource};

    /// A TCPRoute.
    pub type TcpRoute = Resource<Option<TcpRouteSpec>>;

    /// `spec`, which has no field yet.
    #[derive(Clone, Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub struct TcpRouteSpec {}
}

/// traffic-specs v1alpha4.
pub mod v1alpha4 {
    use super::{Deserialize, JsonSchema, Port, Resource};

    /// A TCPRoute. A type of its own, because a UDPRoute reads the same.
    #[derive(Clone, Debug, Deserialize, JsonSchema)]
    #[serde(transparent)]
    pub struct TcpRoute(pub Resource<Option<RouteSpec>>);

    /// A UDPRoute.
    #[derive(Clone, Debug, Deserialize, JsonSchema)]
    #[serde(transparent)]
    pub struct UdpRoute(pub Resource<Option<RouteSpec>>);

    /// `spec`.
    #[derive(Clone, Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    pub struct RouteSpec {
        /// The traffic. Required; optional here so that its absence gets a telling message.
        #[schemars(required)]
        pub matches: Option<RouteMatch>,
    }

    /// `spec.matches`.
    #[derive(Clone, Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    pub struct RouteMatch {
        /// Allowed by the SDK, described nowhere; ignored.
        #[serde(default)]
        pub name: Option<String>,
        /// Service ports; `[]` means all of the service. Required; optional here as above.
        #[schemars(required)]
        pub ports: Option<Vec<Port>>,
    }
}

impl Metadata for v1alpha1::TcpRoute {
    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl Metadata for v1alpha4::TcpRoute {
    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.0.metadata
    }
}

impl Metadata for v1alpha4::UdpRoute {
    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.0.metadata
    }
}

impl TryFrom<v1alpha1::TcpRoute> for model::TcpRoute {
    type Error = Fault;

    fn try_from(wire: v1alpha1::TcpRoute) -> Result<Self, Fault> {
        Ok(Self { name: wire.metadata.object_name()?, ports: RoutePorts::All })
    }
}

impl TryFrom<v1alpha3::TcpRoute> for model::TcpRoute {
    type Error = Fault;

    fn try_from(wire: v1alpha3::TcpRoute) -> Result<Self, Fault> {
        Ok(Self { name: wire.metadata.object_name()?, ports: RoutePorts::All })
    }
}

impl TryFrom<v1alpha4::TcpRoute> for model::TcpRoute {
    type Error = Fault;

    fn try_from(v1alpha4::TcpRoute(wire): v1alpha4::TcpRoute) -> Result<Self, Fault> {
        Ok(Self { name: wire.metadata.object_name()?, ports: ports(wire.spec)? })
    }
}

impl TryFrom<v1alpha4::UdpRoute> for model::UdpRoute {
    type Error = Fault;

    fn try_from(v1alpha4::UdpRoute(wire): v1alpha4::UdpRoute) -> Result<Self, Fault> {
        Ok(Self { name: wire.metadata.object_name()?, ports: ports(wire.spec)? })
    }
}

fn ports(wire: Option<v1alpha4::RouteSpec>) -> Result<RoutePorts, Fault> {
    // Absent ports must not silently open all of them.
    let Some(ports) = wire.and_then(|spec| spec.matches).and_then(|matches| matches.ports) else {
        return Err(Fault::missing("spec.matches.ports").hint("for every port of the service write `ports: []`"));
    };
    Ok(if ports.is_empty() {
        RoutePorts::All
    } else {
        RoutePorts::Only(ports.into_iter().map(|port| port.0).collect())
    })
}
