//! One self-contained page: no other file, no network, readable without scripts. `html/page.html` is the template.
//!
//! Everything that comes from a mesh, a scenario or a report file is escaped; control characters and marks that turn the direction of
//! text are shown as such. The page's own policy forbids all scripts and styles but its own two, so that even a mistake here runs
//! nothing.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use minijinja::{AutoEscape, Environment, Output, State, Value, context, escape_formatter, value::ValueKind};
use sha2::{Digest, Sha256};

use super::Report;

mod mark;
mod plot;
mod view;

use view::Page;

const STYLE: &str = include_str!("html/style.css");
const SCRIPT: &str = include_str!("html/filter.js");
const TEMPLATES: [(&str, &str); 5] = [
    ("page.html", include_str!("html/page.html")),
    ("macros.html", include_str!("html/macros.html")),
    ("attention.html", include_str!("html/attention.html")),
    ("clauses.html", include_str!("html/clauses.html")),
    ("measured.html", include_str!("html/measured.html")),
];

/// The page.
///
/// # Errors
/// The template has a mistake; the tests render it.
pub fn html(report: &Report) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_formatter(harmless);
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    for (name, template) in TEMPLATES {
        environment.add_template(name, template)?;
    }
    environment.get_template("page.html")?.render(context! {
        page => Page::of(report),
        style => Value::from_safe_string(STYLE.to_owned()),
        script => Value::from_safe_string(SCRIPT.to_owned()),
        policy => Value::from_safe_string(policy()),
    })
}

/// Nothing from anywhere, but the page's own style and script, which are named by their hashes.
fn policy() -> String {
    let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)));
    format!("default-src 'none'; img-src data:; style-src {}; script-src {}", hash(STYLE), hash(SCRIPT))
}

/// Escapes, after what cannot be seen is made visible.
fn harmless(out: &mut Output<'_>, state: &State<'_, '_>, value: &Value) -> Result<(), minijinja::Error> {
    match value.as_str().filter(|text| value.kind() == ValueKind::String && text.contains(is_hidden)) {
        Some(text) if !value.is_safe() => escape_formatter(out, state, &Value::from(visible(text))),
        _ => escape_formatter(out, state, value),
    }
}

/// Control characters but line ends, and marks that change the direction of what follows.
fn is_hidden(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn visible(text: &str) -> String {
    let shown = |c: char| match c {
        '\0'..='\u{1f}' if c != '\n' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'),
        '\u{7f}' => '\u{2421}',
        c if is_hidden(c) => '\u{fffd}',
        c => c,
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests;
