//! What the control plane makes if nobody else has.

use kube::{
    Api, Client, Error,
    api::{DynamicObject, PostParams},
};
use serde_json::{Value, json};

use super::{FIELD_MANAGER, MESH_CONFIG, source};
use crate::model::Kind;

/// The MeshConfig with what holds if nothing is said, written out where it matters: it can be edited in place.
pub fn mesh_config(namespace: &str) -> Value {
    json!({
        "apiVersion": "config.openservicemesh.io/v1alpha2",
        "kind": "MeshConfig",
        "metadata": { "name": MESH_CONFIG, "namespace": namespace },
        "spec": {
            "sidecar": { "logLevel": "error", "localProxyMode": "Localhost" },
            "traffic": { "enableEgress": false, "enablePermissiveTrafficPolicyMode": false },
            "observability": { "osmLogLevel": "info", "enableDebugServer": false },
            "certificate": { "serviceCertValidityDuration": "24h" },
        },
    })
}

/// Makes the MeshConfig if there is none; tells whether it did. For the leader.
///
/// # Errors
/// If the API server cannot be asked, does not know the kind, or refuses.
pub async fn ensure_mesh_config(client: &Client, namespace: &str) -> Result<bool, Error> {
    let resource = source::resource(Kind::MeshConfig, "v1alpha2");
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let object = serde_json::from_value(mesh_config(namespace)).map_err(Error::SerdeError)?;
    let parameters = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
    match api.create(&parameters, &object).await {
        Ok(_) => Ok(true),
        Err(Error::Api(answer)) if answer.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::mesh_config::MeshConfigSpec,
        k8s::convert::{Custom, custom::custom},
        model::TrustDomain,
    };

    #[test]
    fn it_says_what_holds_anyway() {
        let Ok(Custom::MeshConfig(written)) = custom(&mesh_config("osm-system")) else { panic!("a MeshConfig") };
        let settings = |spec: &MeshConfigSpec| spec.settings(TrustDomain::default());
        assert_eq!(settings(&written), settings(&MeshConfigSpec::default()));
    }
}
