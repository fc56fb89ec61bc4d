use super::*;
use crate::{
    ca::ManualClock,
    metrics::flow::{Counts, Flow, Party},
};

/// Gives what it is told to give.
#[derive(Debug, Default)]
struct Script(Arc<Mutex<Pages>>);

impl Source for Script {
    fn pages(&self) -> BoxFuture<'_, Pages> {
        let pages = self.0.lock().unwrap().clone();
        async move { pages }.boxed()
    }
}

fn pod(name: &str) -> ObjectName {
    ObjectName::new("shop", name)
}

fn counted(client: &str, uptime: u64, success: u64) -> Page {
    let party = |pod: &str| Party { namespace: "shop".into(), kind: "Pod".into(), name: pod.into(), pod: pod.into() };
    let flow = Flow { source: party(client), destination: party("web"), service: "s".into(), split: "unknown".into() };
    Page { uptime: Some(uptime), traffic: Traffic([(flow, Counts { success, ..Counts::default() })].into()) }
}

fn total(observer: &Observer) -> u64 {
    observer.measured().unwrap().traffic.0.values().map(|counts| counts.success).sum()
}

#[tokio::test]
async fn a_silent_sidecar_is_a_gap_and_its_past_stays() {
    let clock = Arc::new(ManualClock::new(1000));
    let pages = Arc::<Mutex<Pages>>::default();
    let observer = Observer::new(Box::new(Script(pages.clone())), clock.clone(), Duration::from_secs(30));
    assert_eq!(observer.measured(), None);
    *pages.lock().unwrap() = vec![(pod("a"), Ok(counted("a", 5, 4))), (pod("b"), Ok(counted("b", 5, 2)))];
    assert_eq!(observer.observe().await, (2, 0));
    assert_eq!((total(&observer), observer.measured().unwrap().window), (6, 30));
    clock.advance(Duration::from_secs(10));
    *pages.lock().unwrap() = vec![(pod("a"), Ok(counted("a", 15, 9))), (pod("b"), Err("timeout".into()))];
    assert_eq!(observer.observe().await, (1, 1));
    assert_eq!(total(&observer), 11);
    assert_eq!(observer.measured().unwrap().gaps, BTreeMap::from([(pod("b"), "timeout".to_owned())]));
    // A pod that is gone is no gap, and is forgotten when the window has passed it.
    *pages.lock().unwrap() = vec![(pod("a"), Ok(counted("a", 25, 9)))];
    clock.advance(Duration::from_secs(10));
    observer.observe().await;
    assert_eq!((total(&observer), observer.measured().unwrap().gaps.len()), (11, 0));
    clock.advance(Duration::from_secs(30));
    *pages.lock().unwrap() = vec![(pod("a"), Ok(counted("a", 55, 10)))];
    observer.observe().await;
    assert_eq!(total(&observer), 1);
}

#[tokio::test]
async fn the_window_is_no_longer_than_what_is_known() {
    let clock = Arc::new(ManualClock::new(1000));
    let pages = Arc::new(Mutex::new(vec![(pod("a"), Ok(counted("a", 9000, 40)))]));
    let observer = Observer::new(Box::new(Script(pages.clone())), clock.clone(), Duration::from_secs(30));
    observer.observe().await;
    assert_eq!((total(&observer), observer.measured().unwrap().window), (0, 0));
    clock.advance(Duration::from_secs(10));
    *pages.lock().unwrap() = vec![(pod("a"), Ok(counted("a", 9010, 43)))];
    observer.observe().await;
    assert_eq!((total(&observer), observer.measured().unwrap().window), (3, 10));
}

#[tokio::test]
async fn nobody_tells_of_other_pods() {
    let clock = Arc::new(ManualClock::new(1000));
    let outside = |destination: &str| {
        let mut page = counted("unknown", 5, 7);
        let (mut flow, counts) = page.traffic.0.pop_first().unwrap();
        flow.destination.pod = destination.into();
        page.traffic.0.insert(flow, counts);
        page
    };
    for (page, believed) in [(counted("a", 5, 7), 7), (counted("b", 5, 7), 0), (outside("a"), 7), (outside("b"), 0)] {
        let pages = Arc::new(Mutex::new(vec![(pod("a"), Ok(page))]));
        let observer = Observer::new(Box::new(Script(pages)), clock.clone(), Duration::from_secs(30));
        observer.observe().await;
        assert_eq!(total(&observer), believed);
    }
}

#[tokio::test]
async fn sidecars_are_asked_over_http_and_each_tells_for_itself() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let text = "envoy_server_uptime{} 3\nosm_request_total{source_pod=\"a\",source_namespace=\"shop\",response_code=\"200\"} 4\n";
    let router = axum::Router::new().route("/stats/prometheus", axum::routing::get(async move || text));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let pods = move || vec![(pod("a"), address.ip()), (pod("b"), "127.99.98.97".parse().unwrap())];
    let sidecars = Sidecars::new(pods, address.port()).unwrap();
    let pages: BTreeMap<_, _> = sidecars.pages().await.into_iter().collect();
    assert_eq!(pages[&pod("a")].as_ref().unwrap().uptime, Some(3));
    assert_eq!(pages[&pod("a")].as_ref().unwrap().traffic.0.len(), 1);
    assert!(pages[&pod("b")].as_ref().unwrap_err().contains("refused"), "{pages:?}");
}
