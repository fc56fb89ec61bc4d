//! A YAML file as a tree in which every key and value knows its place in the text.
//!
//! A scenario is typed from this tree and not from the text, because `${name}` is replaced in between: errors found afterwards
//! still point into the file as it was written.

use std::{fmt, ops::Range};

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Span};

/// Where in the text, in bytes.
pub type Place = Range<usize>;

/// One value of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The value.
    pub kind: Kind,
    /// Where it stands.
    pub place: Place,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A scalar. `plain` if it has neither quotes nor a block indicator, so that `true` and `7` are more than text.
    Scalar {
        /// Its text after YAML's escapes.
        text: String,
        /// Whether it is written without quotes.
        plain: bool,
    },
    /// A sequence.
    Sequence(Vec<Node>),
    /// A mapping, in the order of the file; keys are unique.
    Mapping(Vec<(Key, Node)>),
}

/// A key of a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its text.
    pub text: String,
    /// Where it stands.
    pub place: Place,
}

/// Names a field inside a file, for example `steps[2].traffic.from`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath(pub Vec<Segment>);

/// One part of a [`FieldPath`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// A field.
    Key(String),
    /// An element, counted from 0.
    Index(usize),
}

impl FieldPath {
    /// This path, one field deeper.
    #[must_use]
    pub fn key(&self, key: impl Into<String>) -> Self {
        self.with(Segment::Key(key.into()))
    }

    /// This path, one element deeper.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with(Segment::Index(index))
    }

    fn with(&self, segment: Segment) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment);
        Self(segments)
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(key) if at > 0 => write!(f, ".{key}")?,
                Segment::Key(key) => f.write_str(key)?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// Why a text is no tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// What is wrong.
    pub message: String,
    /// Where.
    pub place: Place,
}

impl Node {
    /// Reads the one YAML document of a text.
    ///
    /// # Errors
    /// Wrong syntax, a repeated key, no or a second document, an anchor, an alias or a tag.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let mut reader = Reader { parser: Parser::new_from_str(text), text };
        let (event, span) = reader.next()?;
        let root = match event {
            Event::StreamEnd => return Err(reader.error(&span, "the file is empty")),
            event => reader.node(event, &span)?,
        };
        match reader.next()? {
            (Event::StreamEnd, _) => Ok(root),
            (_, span) => {
                Err(reader
                    .error(&span, "a file holds one scenario: put the second YAML document into a file of its own"))
            }
        }
    }

    /// The value of a field of a mapping.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        match &self.kind {
            Kind::Mapping(entries) => entries.iter().find(|(k, _)| k.text == key).map(|(_, node)| node),
            Kind::Scalar { .. } | Kind::Sequence(_) => None,
        }
    }

    /// The text of a scalar.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, .. } => Some(text),
            Kind::Sequence(_) | Kind::Mapping(_) => None,
        }
    }

    /// What to underline for a field: its value if that is a scalar, its key otherwise; of a field that does not exist,
    /// the nearest that does.
    #[must_use]
    pub fn place_of(&self, path: &FieldPath) -> Place {
        let mut node = self;
        let mut place = self.head();
        for segment in &path.0 {
            match (segment, &node.kind) {
                (Segment::Key(key), Kind::Mapping(entries)) => {
                    let Some((key, value)) = entries.iter().find(|(k, _)| &k.text == key) else { break };
                    node = value;
                    place = if value.text().is_some() { value.place.clone() } else { key.place.clone() };
                }
                (Segment::Index(index), Kind::Sequence(items)) => {
                    let Some(item) = items.get(*index) else { break };
                    node = item;
                    place = item.head();
                }
                _ => break,
            }
        }
        place
    }

    /// What to underline for this value as a whole: a scalar itself, otherwise the first key or element.
    #[must_use]
    pub fn head(&self) -> Place {
        match &self.kind {
            Kind::Mapping(entries) => entries.first().map_or(&self.place, |(key, _)| &key.place).clone(),
            Kind::Sequence(items) => items.first().map_or(self.place.clone(), Self::head),
            Kind::Scalar { .. } => self.place.clone(),
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, serde_saphyr::granit_parser::StrInput<'a>>,
    text: &'a str,
}

impl<'a> Reader<'a> {
    /// The next event that matters.
    fn next(&mut self) -> Result<(Event<'a>, Span), SyntaxError> {
        loop {
            match self.parser.next_event() {
                Some(Ok((
                    Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd | Event::Comment(..),
                    _,
                ))) => {}
                Some(Ok(event)) => return Ok(event),
                Some(Err(error)) => {
                    let at = error.marker().byte_offset().unwrap_or(self.text.len()).min(self.text.len());
                    return Err(SyntaxError { message: error.info(), place: at..at });
                }
                None => {
                    let end = self.text.len();
                    return Err(SyntaxError { message: "the file ends too early".to_owned(), place: end..end });
                }
            }
        }
    }

    fn node(&mut self, event: Event<'a>, span: &Span) -> Result<Node, SyntaxError> {
        if event.tag().is_some() {
            return Err(self.error(span, "YAML tags have no meaning in a scenario"));
        }
        if event.is_alias() || event.anchor_id().is_some() {
            return Err(self.error(span, "YAML anchors and aliases are not supported: use `vars` and `${name}`"));
        }
        let start = self.place(span).start;
        match event {
            Event::Scalar(text, style, ..) => Ok(self.scalar(text.into_owned(), style, span)),
            Event::SequenceStart(..) => self.sequence(start),
            Event::MappingStart(..) => self.mapping(start),
            _ => Err(self.error(span, "the file ends too early")),
        }
    }

    fn scalar(&self, text: String, style: ScalarStyle, span: &Span) -> Node {
        let place = self.place(span);
        Node { kind: Kind::Scalar { text, plain: style == ScalarStyle::Plain }, place }
    }

    fn sequence(&mut self, start: usize) -> Result<Node, SyntaxError> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, span) => {
                    return Ok(Node { kind: Kind::Sequence(items), place: self.until(start, &span) });
                }
                (event, span) => items.push(self.node(event, &span)?),
            }
        }
    }

    fn mapping(&mut self, start: usize) -> Result<Node, SyntaxError> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(Node { kind: Kind::Mapping(entries), place: self.until(start, &span) });
            }
            let key = self.node(event, &span)?;
            let Kind::Scalar { text, .. } = key.kind else {
                return Err(self.error(&span, "a key must be a simple word"));
            };
            if entries.iter().any(|(k, _)| k.text == text) {
                return Err(self.error(&span, &format!("`{text}` is given twice")));
            }
            let (event, span) = self.next()?;
            let value = self.node(event, &span)?;
            entries.push((Key { text, place: key.place }, value));
        }
    }

    /// A block collection ends where the next token begins; a flow collection includes its bracket.
    fn until(&self, start: usize, end: &Span) -> Place {
        start..self.place(end).end.max(start)
    }

    fn place(&self, span: &Span) -> Place {
        let Range { start, end } = span.byte_range().unwrap_or(0..0);
        let start = start.min(self.text.len());
        start..end.clamp(start, self.text.len())
    }

    fn error(&self, span: &Span, message: &str) -> SyntaxError {
        SyntaxError { message: message.to_owned(), place: self.place(span) }
    }
}
