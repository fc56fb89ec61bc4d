//! One leader.

use std::time::Duration;

use mesh::k8s::lease::{self, Candidacy, Terms};

use super::harness::{PATIENCE, Test, client, namespace, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![test("leases::one_leads_and_another_follows_when_it_dies_or_releases", one_leads)]
}

async fn leads(candidacy: &Candidacy) {
    let mut leads = candidacy.leads();
    tokio::time::timeout(PATIENCE, leads.wait_for(|leads| *leads)).await.expect("it leads in the end").unwrap();
}

async fn one_leads() {
    let client = client().await;
    let ns = namespace(&client, "lease").await;
    let terms =
        Terms { duration: Duration::from_secs(3), deadline: Duration::from_secs(2), retry: Duration::from_millis(300) };
    let run = |identity: &str| lease::run(client.clone(), &ns, "osm-controller", identity, terms);
    let first = run("first");
    leads(&first).await;
    let (second, third) = (run("second"), run("third"));
    // Killed: it tells nobody.
    first.kill();
    let others = async {
        tokio::select! {
            () = leads(&second) => (second, third),
            () = leads(&third) => (third, second),
        }
    };
    let (leader, follower) = Box::pin(others).await;
    assert!(!*follower.leads().borrow(), "one leads");
    leader.release().await;
    leads(&follower).await;
}
