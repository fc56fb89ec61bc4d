//! TrafficSplit: v1alpha1 weighs in quantities; from v1alpha3 on there are `matches`.

use serde_json::Value;

use super::{
    Fields, annotation,
    annotation::{MATCHES, WEIGHTS},
    items,
};
use crate::api::{
    error::Fault,
    quantity::{MAX_WEIGHT, Quantity},
};

pub(super) fn up(object: &mut Fields, from: u8) -> Result<(), Fault> {
    match from {
        1 => to_whole(object),
        2 => {
            let matches: Option<Value> = annotation::kept(object, MATCHES)?;
            if let (Some(matches), Some(spec)) = (matches, object.get_mut("spec").and_then(Value::as_object_mut)) {
                spec.insert("matches".into(), matches);
                annotation::set(object, MATCHES, None)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

pub(super) fn down(object: &mut Fields, from: u8) -> Result<(), Fault> {
    match from {
        2 => to_quantities(object),
        3 => {
            let spec = object.get_mut("spec").and_then(Value::as_object_mut);
            let matches = spec.and_then(|spec| spec.remove("matches"));
            annotation::set(object, MATCHES, matches.map(|matches| matches.to_string()))
        }
        _ => Ok(()),
    }
}

fn backends(object: &mut Fields) -> impl Iterator<Item = &mut Fields> {
    items(object.get_mut("spec").and_then(|spec| spec.get_mut("backends")))
}

fn weights(object: &mut Fields) -> Vec<Value> {
    backends(object).map(|backend| backend.get("weight").cloned().unwrap_or_default()).collect()
}

fn to_whole(object: &mut Fields) -> Result<(), Fault> {
    let written = weights(object);
    let whole = whole(&written)?;
    for (backend, weight) in backends(object).zip(&whole) {
        backend.insert("weight".into(), (*weight).into());
    }
    let plain = written.iter().zip(&whole).all(|(written, whole)| written.as_u64() == Some(*whole));
    annotation::set(object, WEIGHTS, (!plain).then(|| Value::Array(written).to_string()))
}

fn to_quantities(object: &mut Fields) -> Result<(), Fault> {
    // An annotation that cannot be read, or that others have overtaken, has nothing more to say.
    let kept: Vec<Value> = annotation::kept(object, WEIGHTS).ok().flatten().unwrap_or_default();
    let now: Vec<_> = weights(object).iter().map(Value::as_u64).collect();
    let then: Vec<_> = whole(&kept).unwrap_or_default().into_iter().map(Some).collect();
    if now == then {
        for (backend, weight) in backends(object).zip(kept) {
            backend.insert("weight".into(), weight);
        }
    }
    annotation::set(object, WEIGHTS, None)
}

/// Whole numbers in the proportion of the quantities: their own if all are whole, else thousandths, shortened if too large.
fn whole(quantities: &[Value]) -> Result<Vec<u64>, Fault> {
    let read = |(i, quantity): (usize, &Value)| {
        let text = match quantity {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let read = Quantity::parse(&text).map_err(|why| Fault::new(format!("spec.backends[{i}].weight"), why));
        read.map(|quantity| quantity.thousandths)
    };
    let thousandths = quantities.iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
    let divisor = if thousandths.iter().all(|n| n % 1000 == 0) {
        1000
    } else if thousandths.iter().all(|n| *n <= MAX_WEIGHT) {
        1
    } else {
        thousandths.iter().copied().fold(0, gcd).max(1)
    };
    let whole: Vec<_> = thousandths.into_iter().map(|n| n / divisor).collect();
    if whole.iter().any(|weight| *weight > MAX_WEIGHT) {
        let message = format!("these quantities have no whole proportion below {MAX_WEIGHT}; use fewer digits");
        return Err(Fault::new("spec.backends", message));
    }
    Ok(whole)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
