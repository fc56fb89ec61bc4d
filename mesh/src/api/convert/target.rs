//! TrafficTarget: v1alpha1 has its content at the top and calls rules `specs`; v1alpha3 has no `destination.port`.

use super::{Fields, annotation, annotation::DESTINATION_PORT, to_the_top, under_spec};
use crate::api::error::Fault;

pub(super) fn up(object: &mut Fields, from: u8) -> Result<(), Fault> {
    if from == 1 {
        under_spec(object, &[("destination", "destination"), ("specs", "rules"), ("sources", "sources")]);
        return Ok(());
    }
    let destination = object.get_mut("spec").and_then(|spec| spec.get_mut("destination"));
    let port = destination.and_then(|destination| destination.as_object_mut()?.remove("port"));
    annotation::set(object, DESTINATION_PORT, port.filter(|port| !port.is_null()).map(|port| port.to_string()))
}

pub(super) fn down(object: &mut Fields, from: u8) -> Result<(), Fault> {
    if from == 2 {
        to_the_top(object, &[("destination", "destination"), ("rules", "specs"), ("sources", "sources")]);
        return Ok(());
    }
    // A text that is no port stays where it is: an answer to a reader must not fail, and the object has a diagnostic.
    let port = annotation::get(object, DESTINATION_PORT).and_then(|text| text.parse::<u16>().ok()).filter(|p| *p > 0);
    let destination = object.get_mut("spec").and_then(|spec| spec.get_mut("destination")?.as_object_mut());
    if let (Some(port), Some(destination)) = (port, destination) {
        destination.insert("port".into(), port.into());
        annotation::set(object, DESTINATION_PORT, None)?;
    }
    Ok(())
}
