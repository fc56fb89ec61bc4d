//! What is wrong with a scenario file, and where.

use std::{fmt, path::PathBuf, sync::Arc};

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};
use serde::Serialize;

use super::tree::{FieldPath, Place};

/// The text of a file under its name; shared by everything that points into it.
pub type Source = Arc<NamedSource<String>>;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The scenario cannot run, or would prove nothing.
    Error,
    /// The scenario runs, but something in it has no effect.
    Warning,
}

/// Something wrong with a scenario, without regard to the file that it was written in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The field.
    pub path: FieldPath,
    /// How bad it is.
    pub severity: Severity,
    /// A stable word for the kind of finding, for example `unknown-workload`.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Something wrong with a file, at its place. Renders as an excerpt with a caret through miette, and as
/// `file:line:column: message` through `Display`.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The file's name and text.
    pub source: Source,
    /// The bytes to underline; `None` if the file as a whole is meant.
    pub place: Option<Place>,
    /// What is wrong.
    pub finding: Finding,
}

impl Finding {
    /// An error.
    #[must_use]
    pub fn error(path: FieldPath, code: &'static str, message: impl Into<String>) -> Self {
        Self { path, severity: Severity::Error, code, message: message.into(), hint: None }
    }

    /// A warning.
    #[must_use]
    pub fn warning(path: FieldPath, code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(path, code, message) }
    }

    /// The same with advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl Problem {
    /// A problem with a file that could not even be read.
    #[must_use]
    pub fn unreadable(path: &std::path::Path, error: &std::io::Error) -> Self {
        Self {
            source: Arc::new(NamedSource::new(path.display().to_string(), String::new())),
            place: None,
            finding: Finding::error(FieldPath::default(), "unreadable", format!("cannot be read: {error}")),
        }
    }

    /// Whether the scenario cannot run because of it.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.finding.severity == Severity::Error
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        PathBuf::from(self.source.name())
    }

    /// Line and column, both from 1; the column counts characters.
    #[must_use]
    pub fn position(&self) -> Option<(usize, usize)> {
        let before = self.source.inner().get(..self.place.as_ref()?.start)?;
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Some((before.matches('\n').count() + 1, before[line_start..].chars().count() + 1))
    }

    /// An excerpt of the file with the place underlined, in colours if `colour`.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let mut text = String::new();
        let handler =
            GraphicalReportHandler::new_themed(theme).with_width(120).with_links(false).without_syntax_highlighting();
        match handler.render_report(&mut text, &Excerpt(self)) {
            Ok(()) => text,
            // The excerpt could not be cut out; the plain message has all that matters.
            Err(_) => format!("{self}\n"),
        }
    }

    /// What to underline: one line at most, so that a block of text does not fill the screen.
    fn underline(&self) -> Option<Place> {
        let place = self.place.clone()?;
        let text = self.source.inner().get(place.clone())?;
        let line = text.lines().next().unwrap_or_default().trim_end();
        Some(place.start..place.start + line.len())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.source.name())?;
        if let Some((line, column)) = self.position() {
            write!(f, ":{line}:{column}")?;
        }
        let Finding { path, message, .. } = &self.finding;
        if path.0.is_empty() { write!(f, ": {message}") } else { write!(f, ": {path}: {message}") }
    }
}

impl std::error::Error for Problem {}

/// The same without file and line in the message: the excerpt's frame has them.
#[derive(Debug)]
struct Excerpt<'a>(&'a Problem);

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { path, message, .. } = &self.0.finding;
        if self.0.place.is_none() {
            write!(f, "{}: ", self.0.source.name())?;
        }
        if path.0.is_empty() { f.write_str(message) } else { write!(f, "{path}: {message}") }
    }
}

impl std::error::Error for Excerpt<'_> {}

impl Diagnostic for Excerpt<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Diagnostic::code(self.0)
    }

    fn severity(&self) -> Option<miette::Severity> {
        Diagnostic::severity(self.0)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Diagnostic::help(self.0)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Diagnostic::source_code(self.0)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Diagnostic::labels(self.0)
    }
}

impl Diagnostic for Problem {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.finding.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.finding.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.finding.hint.as_ref().map(|hint| Box::new(hint) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.place.as_ref().map(|_| &*self.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = LabeledSpan::underline(self.underline()?);
        Some(Box::new(std::iter::once(label)))
    }
}
