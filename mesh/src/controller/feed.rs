//! What the cluster and the authority tell, into the control plane; and which accounts need a certificate, to the authority.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Weak,
};

use futures::{StreamExt as _, stream::BoxStream};
use tokio::sync::watch;

use super::{Issued, issued};
use crate::{
    ca::{Authority, AuthorityGone},
    model::{Kind, ObjectName, ServiceAccount},
    run::ControlPlane,
    world::{Change, Object},
};

/// Which accounts have pods.
#[derive(Debug, Default)]
struct Accounts {
    by_pod: BTreeMap<ObjectName, ServiceAccount>,
    pods: BTreeMap<ServiceAccount, BTreeSet<ObjectName>>,
}

/// What an account's first or last pod asks for.
#[derive(Debug, PartialEq, Eq)]
enum Need {
    Wanted(ServiceAccount),
    Unwanted(ServiceAccount),
}

/// Runs until the cluster tells nothing any more, or the control plane is gone.
pub(super) async fn run(
    mut batches: BoxStream<'static, Vec<Change>>,
    mut issued: BoxStream<'static, Issued>,
    mut authority: watch::Receiver<Option<Authority>>,
    plane: Weak<ControlPlane>,
) {
    let mut accounts = Accounts::default();
    let mut needs = Vec::new();
    loop {
        let (changes, done) = tokio::select! {
            batch = batches.next() => match batch {
                Some(batch) => (batch, None),
                None => break tracing::error!("the watches of the Kubernetes API have ended"),
            },
            Some(issued) = issued.next() => match issued {
                Issued::Changes(changes, done) => (changes, done),
                Issued::Acknowledged(answer) => {
                    tokio::spawn(issued::answer_when_synced(plane.clone(), answer));
                    continue;
                }
            },
            // The first root is open: certificates can be asked for.
            Ok(_) = authority.wait_for(Option::is_some), if !needs.is_empty() => (Vec::new(), None),
        };
        needs.extend(changes.iter().flat_map(|change| accounts.take(change)));
        let Some(plane) = plane.upgrade() else { return };
        count(&plane, &changes);
        if plane.apply(changes).await.is_err() {
            return;
        }
        if let Some(done) = done {
            // Who asked may have given up.
            let _ = done.send(());
        }
        let open = authority.borrow().clone();
        if let Some(authority) = open
            && let Err(error) = ask(&authority, std::mem::take(&mut needs)).await
        {
            return tracing::error!(%error, "no more certificates are issued");
        }
    }
}

async fn ask(authority: &Authority, needs: Vec<Need>) -> Result<(), AuthorityGone> {
    for need in needs {
        match need {
            Need::Wanted(account) => authority.want(account).await?,
            Need::Unwanted(account) => authority.unwant(account).await?,
        }
    }
    Ok(())
}

fn count(plane: &ControlPlane, changes: &[Change]) {
    for change in changes {
        match change {
            Change::Put(object) => {
                let reference = object.reference();
                plane.metrics().api_event(event(reference.kind, "put"), &reference.name.namespace);
            }
            Change::Gone(reference) => {
                plane.metrics().api_event(event(reference.kind, "gone"), &reference.name.namespace);
            }
            _ => {}
        }
    }
}

fn event(kind: Kind, what: &str) -> String {
    format!("{}-{what}", kind.as_str().to_ascii_lowercase())
}

impl Accounts {
    fn take(&mut self, change: &Change) -> Vec<Need> {
        match change {
            Change::Put(Object::Workload(pod)) if self.by_pod.get(&pod.name) != Some(&pod.account) => {
                let mut needs = self.forget(&pod.name);
                self.by_pod.insert(pod.name.clone(), pod.account.clone());
                let pods = self.pods.entry(pod.account.clone()).or_default();
                if pods.is_empty() {
                    needs.push(Need::Wanted(pod.account.clone()));
                }
                pods.insert(pod.name.clone());
                needs
            }
            Change::Gone(object) if object.kind == Kind::Pod => self.forget(&object.name),
            _ => Vec::new(),
        }
    }

    fn forget(&mut self, pod: &ObjectName) -> Vec<Need> {
        let Some(account) = self.by_pod.remove(pod) else { return Vec::new() };
        if let Some(pods) = self.pods.get_mut(&account) {
            pods.remove(pod);
            if !pods.is_empty() {
                return Vec::new();
            }
        }
        self.pods.remove(&account);
        vec![Need::Unwanted(account)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::ObjectRef, testing::pod};

    fn put(name: &str, account: &str) -> Change {
        Change::Put(Object::Workload(pod(name, account, "")))
    }

    fn gone(name: &str) -> Change {
        Change::Gone(ObjectRef::new(Kind::Pod, ObjectName::new("shop", name)))
    }

    #[test]
    fn an_account_is_wanted_from_its_first_pod_to_its_last() {
        let (mut accounts, books, buyer) =
            (Accounts::default(), ServiceAccount::new("shop", "books"), ServiceAccount::new("shop", "buyer"));
        assert_eq!(accounts.take(&put("a", "books")), [Need::Wanted(books.clone())]);
        assert_eq!(accounts.take(&put("a", "books")), []);
        assert_eq!(accounts.take(&put("b", "books")), []);
        assert_eq!(accounts.take(&gone("a")), []);
        assert_eq!(accounts.take(&gone("a")), []);
        let moved = [Need::Unwanted(books), Need::Wanted(buyer.clone())];
        assert_eq!(accounts.take(&put("b", "buyer")), moved, "a pod of the same name under another account");
        assert_eq!(accounts.take(&gone("b")), [Need::Unwanted(buyer)]);
    }
}
