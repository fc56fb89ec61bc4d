//! Objects in every version of their kind.

use mesh::api::{convert, crd, read};
use serde_json::Value;

/// Converts an object to every version and back. What could be read before says the same after.
pub fn run(data: &[u8]) {
    let Ok(object) = serde_json::from_slice::<Value>(data) else { return };
    let (Some(kind), Some(own)) = (object["kind"].as_str(), object["apiVersion"].as_str()) else {
        assert!(convert(object, "v1").is_err(), "what has no kind has no conversion");
        return;
    };
    for version in crd::served(kind) {
        let Ok(there) = convert(object.clone(), &version) else { continue };
        assert_eq!(there["apiVersion"].as_str(), Some(&*version));
        let back = convert(there.clone(), own);
        if let Ok(before) = read(&object) {
            assert_eq!(read(&there).as_ref(), Ok(&before), "{there}");
            assert_eq!(back.map(|back| read(&back)), Ok(Ok(before)), "over {there}");
        }
    }
}
