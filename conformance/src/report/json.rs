//! The canonical form, and its schema.

use serde::Deserialize;

use super::{FORMAT, Report};

/// Why a text is no report that can be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is no JSON at all.
    #[error("not JSON: {0}")]
    NotJson(serde_json::Error),
    /// It is JSON, and has no `format` of ours.
    #[error("not a conformance report: there is no `format: {FORMAT}`; `smi-conformance run -o json` writes reports")]
    NotAReport,
    /// It is a report of a version that this program does not know.
    #[error(
        "a report of format `{0}`; this program reads `{FORMAT}`: use the `smi-conformance` that wrote it, or run again"
    )]
    OtherVersion(String),
    /// It says that it is a report, and breaks the schema.
    #[error("a broken report, at `{path}`: {source}")]
    Broken {
        /// The place, for example `tests[3].verdict`.
        path: String,
        /// What is wrong there.
        source: serde_json::Error,
    },
}

/// The report as JSON: fields in the order of the schema, a final newline. The same report gives the same text.
///
/// # Errors
/// None with reports of [`super::assemble()`]; a report that holds what JSON cannot express otherwise.
pub fn write(report: &Report) -> Result<String, serde_json::Error> {
    Ok(serde_json::to_string_pretty(report)? + "\n")
}

/// Reads a report back.
///
/// # Errors
/// The text is no JSON, no report, a report of another format version, or does not follow the schema.
pub fn read(text: &str) -> Result<Report, ReadError> {
    #[derive(Deserialize)]
    struct Head {
        format: String,
    }
    let value: serde_json::Value = serde_json::from_str(text).map_err(ReadError::NotJson)?;
    let Ok(Head { format }) = Head::deserialize(&value) else { return Err(ReadError::NotAReport) };
    if format != FORMAT {
        let ours = format.starts_with("smi-conformance/");
        return Err(if ours { ReadError::OtherVersion(format) } else { ReadError::NotAReport });
    }
    serde_path_to_error::deserialize(value)
        .map_err(|error| ReadError::Broken { path: error.path().to_string(), source: error.into_inner() })
}

/// The schema of the JSON form, pretty-printed with a final newline: the content of `conformance/report.schema.json`.
///
/// # Panics
/// Never: a schema is always expressible as JSON.
#[must_use]
pub fn schema() -> String {
    let schema = schemars::schema_for!(Report);
    serde_json::to_string_pretty(&schema).expect("a schema is plain JSON") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn the_published_schema_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/report.schema.json");
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == schema(),
            "run `cargo run --bin smi-conformance -- report schema > conformance/report.schema.json`"
        );
    }

    #[test]
    fn what_is_written_is_read_back_and_written_the_same() {
        let written = write(&sample::report()).unwrap();
        assert_eq!(write(&read(&written).unwrap()).unwrap(), written);
        assert!(written.starts_with("{\n  \"format\": \"smi-conformance/v1\",\n  \"run\": {"), "{written}");
    }

    #[test]
    fn what_is_no_report_says_so() {
        let told = |text: &str| read(text).unwrap_err().to_string();
        assert!(told("<html>").starts_with("not JSON: "));
        assert!(told("[1, 2]").starts_with("not a conformance report: "));
        assert!(told("{}").starts_with("not a conformance report: "));
        assert!(told(r#"{"format": "smi-simulator/v1", "scenarios": []}"#).starts_with("not a conformance report: "));
        assert!(told(r#"{"format": "smi-conformance/v2"}"#).contains("`smi-conformance/v2`"));
        let broken = write(&sample::report()).unwrap().replace("\"known-failing\"", "\"so-so\"");
        let told = told(&broken);
        assert!(told.starts_with("a broken report, at `") && told.contains("so-so"), "{told}");
    }
}
