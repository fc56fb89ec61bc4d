//! A pod as JSON. It is read as a whole by its type before; here only what is there is touched, so that fields which this
//! program does not know survive.

use serde_json::{Map, Value};

static NOTHING: [Value; 0] = [];

/// The items of a list; none if there is no list.
pub(super) fn items<'a>(object: &'a Value, key: &str) -> &'a [Value] {
    object.get(key).and_then(Value::as_array).map_or(&NOTHING, Vec::as_slice)
}

/// The items of a list, to be changed; none if there is no list.
pub(super) fn items_mut<'a>(object: &'a mut Value, key: &str) -> &'a mut [Value] {
    object.get_mut(key).and_then(Value::as_array_mut).map_or(&mut [], Vec::as_mut_slice)
}

/// The `name` of a container or a volume; empty if it has none.
pub(super) fn name(object: &Value) -> &str {
    object.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// Puts an item into a list, which is made if it is not there.
pub(super) fn put(object: &mut Value, key: &str, at: Place, item: Value) {
    let Value::Object(object) = object else { return };
    let list = object.entry(key).or_insert(Value::Null);
    if !list.is_array() {
        *list = Value::Array(Vec::new());
    }
    let Value::Array(list) = list else { return };
    match at {
        Place::First => list.insert(0, item),
        Place::Last => list.push(item),
    }
}

/// Where [`put`] puts an item.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    First,
    Last,
}

/// Takes the item of this name out of a list; an optional list that becomes empty goes too.
pub(super) fn take(object: &mut Value, key: &str, name: &str) -> Option<Value> {
    let list = object.get_mut(key)?.as_array_mut()?;
    let at = list.iter().position(|item| self::name(item) == name)?;
    let item = list.remove(at);
    if list.is_empty() && key != "containers" {
        object.as_object_mut()?.remove(key);
    }
    Some(item)
}

/// Sets or removes an annotation. Returns what it was.
pub(super) fn annotate(pod: &mut Value, name: &str, value: Option<String>) -> Option<String> {
    let metadata = member(pod.as_object_mut()?, "metadata")?;
    let annotations = member(metadata, "annotations")?;
    let before = match value {
        Some(value) => annotations.insert(name.to_owned(), value.into()),
        None => annotations.remove(name),
    };
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
    before.as_ref().and_then(Value::as_str).map(str::to_owned)
}

/// An object within an object, which is made if it is not there.
fn member<'a>(object: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Map<String, Value>> {
    let member = object.entry(key).or_insert(Value::Null);
    if member.is_null() {
        *member = Value::Object(Map::new());
    }
    member.as_object_mut()
}

/// JSON without a dollar sign: Kubernetes would take `$(…)` in arguments and variables for a reference.
pub(super) fn without_dollar(json: &Value) -> String {
    json.to_string().replace('$', "\\u0024")
}
