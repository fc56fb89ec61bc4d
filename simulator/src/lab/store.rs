//! What the Kubernetes API would know: the objects that outlive a control plane.

use std::{collections::BTreeMap, net::IpAddr};

use mesh::{
    api::Manifest,
    model::{Kind, ObjectName, ObjectRef, Service, Settings},
    world::{Change, Object},
};

/// All objects and settings, as the API server stores them.
#[derive(Clone, Debug, Default)]
pub struct Store {
    objects: BTreeMap<ObjectRef, Object>,
    settings: Settings,
    /// The settings that hold where no MeshConfig says otherwise.
    defaults: Settings,
}

impl Store {
    /// Holds `objects` from the start.
    pub fn new(settings: Settings, objects: Vec<Object>) -> Self {
        let objects = objects.into_iter().map(|o| (o.reference(), o)).collect();
        Self { objects, settings: settings.clone(), defaults: settings }
    }

    /// Everything, as a control plane that starts hears it.
    pub fn everything(&self) -> Vec<Change> {
        let settings = Change::Settings(self.settings.clone());
        [settings].into_iter().chain(self.objects.values().cloned().map(Change::Put)).collect()
    }

    /// Stores manifests; `assign` gives a new service its address. Returns what a watch would tell.
    pub fn apply<E>(
        &mut self,
        manifests: Vec<Manifest>,
        mut assign: impl FnMut() -> Result<IpAddr, E>,
    ) -> Result<Vec<Change>, E> {
        let mut changes = Vec::new();
        for manifest in manifests {
            changes.push(match manifest {
                Manifest::Object(object) => self.put(object),
                Manifest::UnassignedService(service) => {
                    let known = self.service(service.name()).and_then(|s| s.cluster_ip);
                    let address = known.map_or_else(&mut assign, Ok)?;
                    self.put(Object::Service(service.assign(address)))
                }
                Manifest::MeshConfig { spec, .. } => {
                    self.settings = spec.settings(self.settings.trust_domain.clone());
                    Change::Settings(self.settings.clone())
                }
                // Scenarios have an authority of their own: there is nothing that the object could change.
                Manifest::MeshRootCertificate { .. } => continue,
            });
        }
        Ok(changes)
    }

    /// Stores one object.
    pub fn put(&mut self, object: Object) -> Change {
        self.objects.insert(object.reference(), object.clone());
        Change::Put(object)
    }

    /// Forgets what the manifests name. Returns what a watch would tell.
    pub fn delete(&mut self, references: &[ObjectRef]) -> Vec<Change> {
        let mut changes = Vec::new();
        for reference in references {
            if reference.kind == Kind::MeshConfig {
                self.settings = self.defaults.clone();
                changes.push(Change::Settings(self.settings.clone()));
            } else if self.objects.remove(reference).is_some() {
                changes.push(Change::Gone(reference.clone()));
            }
        }
        changes
    }

    /// The service called `name`.
    pub fn service(&self, name: &ObjectName) -> Option<&Service> {
        match self.objects.get(&ObjectRef::new(Kind::Service, name.clone())) {
            Some(Object::Service(service)) => Some(service),
            _ => None,
        }
    }

    /// The object called `reference`.
    pub fn get(&self, reference: &ObjectRef) -> Option<&Object> {
        self.objects.get(reference)
    }

    /// All objects.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.objects.values()
    }
}
