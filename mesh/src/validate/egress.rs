//! Rules for Egress.

use serde_json::Value;

use super::Finding;

/// `matches` names HTTPRouteGroups and at most one UpstreamTrafficSetting, each with its group.
pub(super) fn matches(object: &Value) -> Vec<Finding> {
    const RULE: &str = "UnsupportedMatch";
    let mut found = Vec::new();
    let mut settings = 0;
    for (i, entry) in object["spec"]["matches"].as_array().into_iter().flatten().enumerate() {
        let text = |field: &str| entry[field].as_str().unwrap_or_default();
        let (written, kind) = (text("apiGroup"), text("kind"));
        let group = match kind {
            "HTTPRouteGroup" => "specs.smi-spec.io/v1alpha4",
            "UpstreamTrafficSetting" => "policy.openservicemesh.io/v1alpha1",
            _ => {
                let message =
                    format!("`{kind}` cannot be matched: name an HTTPRouteGroup or an UpstreamTrafficSetting");
                found.push(Finding::error(RULE, format!("spec.matches[{i}].kind"), message));
                continue;
            }
        };
        let name = |group: &str| group.split('/').next().unwrap_or_default().to_owned();
        if name(written) != name(group) {
            let message = format!("`{written}` has no {kind}: write `{group}`");
            found.push(Finding::error(RULE, format!("spec.matches[{i}].apiGroup"), message));
        }
        settings += u32::from(kind == "UpstreamTrafficSetting");
        if kind == "UpstreamTrafficSetting" && settings == 2 {
            let message =
                "a second UpstreamTrafficSetting: connections can only have the settings of one; take one out";
            found.push(Finding::error("DuplicateMatch", format!("spec.matches[{i}]"), message));
        }
    }
    found
}
