//! Regular expressions that mean the same to Envoy (RE2) and to everyone who reads them here.

use regex_syntax::ast::{
    AssertionKind, Ast, ClassSet, ClassSetItem, Flag, Flags, FlagsItemKind, GroupKind, HexLiteralKind, Literal,
    LiteralKind, RepetitionKind, RepetitionRange, parse::ParserBuilder,
};

/// The largest compiled expression, in RE2 instructions. Envoy refuses more than 100 unless its runtime says otherwise, so
/// every bootstrap must set `re2.max_program_size.error_level` to this or more (Envoy, "RegexMatcher").
pub const PROGRAM_SIZE: u32 = 32_768;

/// Whether Envoy will take the pattern and read it as we do.
///
/// Accepts the common ground of RE2 and of the `regex` crate. What only one of them knows, or what they read differently, is
/// refused: a proxy would NACK its whole configuration, or allow other requests than the evaluator says.
///
/// # Errors
///
/// What is wrong, in words for the pattern's author.
pub fn check(pattern: &str) -> Result<(), String> {
    const LONGEST: usize = 2048;
    if pattern.is_empty() {
        return Err("the expression is empty; `.*` matches anything".into());
    }
    if pattern.len() > LONGEST {
        return Err(format!("the expression is longer than {LONGEST} bytes"));
    }
    let parsed = ParserBuilder::new().nest_limit(100).build().parse(pattern);
    let ast = parsed.map_err(|error| format!("the expression cannot be read: {}", error.kind()))?;
    let size =
        size(&ast, 1).map_err(|what| format!("{what} is not part of RE2 syntax, or means something else there"))?;
    // Unicode off: in RE2 `\d`, `\w` and `\s` are ASCII.
    let compiled = ::regex::bytes::RegexBuilder::new(pattern).unicode(false).build();
    match compiled {
        Ok(_) if size <= u64::from(PROGRAM_SIZE) => Ok(()),
        Ok(_) | Err(::regex::Error::CompiledTooBig(_)) => Err("the expression is too large".into()),
        Err(error) => Err(error.to_string().lines().last().unwrap_or("cannot be parsed").replace("error: ", "")),
    }
}

/// Whether some text could match both patterns. May say yes where none does, never no where one does.
pub fn may_both_match(a: &str, b: &str) -> bool {
    match (beginning(a), beginning(b)) {
        (Beginning::Whole(a), Beginning::Whole(b)) => a == b,
        (Beginning::Whole(whole), Beginning::Prefix(prefix)) | (Beginning::Prefix(prefix), Beginning::Whole(whole)) => {
            whole.starts_with(prefix)
        }
        (Beginning::Prefix(a), Beginning::Prefix(b)) => a.starts_with(b) || b.starts_with(a),
    }
}

/// What every text begins with that a pattern matches.
enum Beginning<'a> {
    /// There is only one such text.
    Whole(&'a str),
    /// All begin so; perhaps empty.
    Prefix(&'a str),
}

fn beginning(pattern: &str) -> Beginning<'_> {
    const SPECIAL: [char; 14] = ['\\', '.', '+', '*', '?', '(', ')', '|', '[', ']', '{', '}', '^', '$'];
    let Some(end) = pattern.find(SPECIAL) else { return Beginning::Whole(pattern) };
    if pattern.contains('|') {
        return Beginning::Prefix("");
    }
    match pattern.as_bytes()[end] {
        // The last character before it may be missing.
        b'*' | b'?' | b'{' => Beginning::Prefix(&pattern[..end.saturating_sub(1)]),
        _ => Beginning::Prefix(&pattern[..end]),
    }
}

/// An upper limit of the instructions that RE2 makes of the expression; or the first construct that RE2 refuses or reads
/// differently. `copies` is how often the repetitions around it repeat it: RE2 refuses more than 1000.
fn size(ast: &Ast, copies: u32) -> Result<u64, &'static str> {
    match ast {
        Ast::Empty(_) => Ok(1),
        Ast::Flags(set) => flags(&set.flags).map(|()| 0),
        Ast::Literal(found) => literal(found).map(|()| 8),
        // Everything in UTF-8 but a few characters takes a dozen byte ranges.
        Ast::Dot(_) | Ast::ClassPerl(_) => Ok(24),
        Ast::Assertion(assertion) => match assertion.kind {
            AssertionKind::StartLine
            | AssertionKind::EndLine
            | AssertionKind::StartText
            | AssertionKind::EndText
            | AssertionKind::WordBoundary
            | AssertionKind::NotWordBoundary => Ok(1),
            _ => Err(r"a word boundary other than `\b` and `\B`"),
        },
        Ast::ClassUnicode(_) => Err(r"a Unicode class (`\p`)"),
        Ast::ClassBracketed(class) => match &class.kind {
            ClassSet::Item(item) => members(item).map(|n| 24 + 4 * n),
            ClassSet::BinaryOp(_) => Err("a class operation (`&&`, `--`, `~~`)"),
        },
        Ast::Repetition(repetition) => {
            if matches!(*repetition.ast, Ast::Repetition(_)) {
                return Err("a repetition of a repetition without a group between");
            }
            let span = &repetition.op.span;
            let (times, length) = times(&repetition.op.kind);
            if length.is_some_and(|l| l + usize::from(!repetition.greedy) != span.end.offset - span.start.offset) {
                return Err("a repetition with spaces or leading zeros");
            }
            let copies = copies.saturating_mul(times.max(1));
            if copies > 1000 {
                return Err("a repetition above 1000");
            }
            Ok(size(&repetition.ast, copies)?.saturating_mul(u64::from(times) + 1) + 2)
        }
        Ast::Group(found) => {
            group(&found.kind)?;
            Ok(size(&found.ast, copies)? + 2)
        }
        Ast::Alternation(alternation) => sum(&alternation.asts, copies),
        Ast::Concat(concat) => sum(&concat.asts, copies),
    }
}

fn sum(parts: &[Ast], copies: u32) -> Result<u64, &'static str> {
    parts.iter().try_fold(0_u64, |total, part| Ok(total.saturating_add(size(part, copies)?) + 1))
}

/// How many copies a repetition takes at most, and how long a count is when written plainly.
fn times(kind: &RepetitionKind) -> (u32, Option<usize>) {
    let (times, written) = match kind {
        RepetitionKind::ZeroOrOne | RepetitionKind::ZeroOrMore | RepetitionKind::OneOrMore => return (1, None),
        RepetitionKind::Range(RepetitionRange::Exactly(n)) => (*n, format!("{{{n}}}")),
        RepetitionKind::Range(RepetitionRange::AtLeast(n)) => (*n, format!("{{{n},}}")),
        RepetitionKind::Range(RepetitionRange::Bounded(m, n)) => (*n, format!("{{{m},{n}}}")),
    };
    (times, Some(written.len()))
}

fn literal(literal: &Literal) -> Result<(), &'static str> {
    if !literal.c.is_ascii() {
        return Err("a character outside ASCII");
    }
    match &literal.kind {
        LiteralKind::Verbatim | LiteralKind::Meta | LiteralKind::Superfluous | LiteralKind::Special(_) => Ok(()),
        LiteralKind::HexFixed(HexLiteralKind::X) | LiteralKind::HexBrace(HexLiteralKind::X) => Ok(()),
        LiteralKind::HexFixed(_) | LiteralKind::HexBrace(_) => Err(r"`\u`"),
        LiteralKind::Octal => Err("an octal escape"),
    }
}

/// The number of members of a class.
fn members(item: &ClassSetItem) -> Result<u64, &'static str> {
    match item {
        ClassSetItem::Empty(_) | ClassSetItem::Ascii(_) | ClassSetItem::Perl(_) => Ok(1),
        ClassSetItem::Literal(found) => literal(found).map(|()| 1),
        ClassSetItem::Range(range) => literal(&range.start).and_then(|()| literal(&range.end)).map(|()| 1),
        ClassSetItem::Unicode(_) => Err(r"a Unicode class (`\p`)"),
        ClassSetItem::Bracketed(_) => Err("a class inside a class, or an unknown `[:name:]`,"),
        ClassSetItem::Union(union) => union.items.iter().try_fold(0, |n, item| Ok(n + members(item)?)),
    }
}

fn group(kind: &GroupKind) -> Result<(), &'static str> {
    match kind {
        GroupKind::CaptureIndex(_) => Ok(()),
        GroupKind::CaptureName { starts_with_p: false, .. } => Err("`(?<name>`; write `(?P<name>`: it"),
        GroupKind::CaptureName { name, .. } => {
            let word = name.name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if word { Ok(()) } else { Err("a group name with other characters than letters, digits and `_`") }
        }
        GroupKind::NonCapturing(set) => flags(set),
    }
}

fn flags(flags: &Flags) -> Result<(), &'static str> {
    let known = flags.items.iter().all(|item| {
        matches!(
            item.kind,
            FlagsItemKind::Negation
                | FlagsItemKind::Flag(Flag::CaseInsensitive)
                | FlagsItemKind::Flag(Flag::DotMatchesNewLine)
        )
    });
    if known { Ok(()) } else { Err("a group flag other than `i` and `s`") }
}

#[cfg(test)]
mod tests {
    use super::{check, may_both_match};

    #[test]
    fn the_common_ground_is_accepted() {
        for pattern in [
            "/",
            ".*",
            "/api(/.*)?",
            "/item/[0-9]+",
            r"/v\d+\.json",
            "^/api$",
            "(?i)android",
            "[^]a]",
            "[[:alpha:]]+",
            "a{2,3}",
            "a{2,}?b{3}c{1,2}?",
            ".*-http-client/*.*",
            ".*a-book.*new",
            "(?:a|b)",
            "(?P<x>a)",
            r"[\w-]+",
            "[a-]",
            r"\/api",
            r"\_\-\x41",
            "a*?",
            "(?:a*)*",
            "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            "[^/]{1000}",
        ] {
            assert_eq!(check(pattern), Ok(()), "{pattern}");
        }
    }

    #[test]
    fn what_re2_refuses_or_reads_differently_is_refused() {
        for pattern in [
            "(",
            "[",
            "a{1001}",
            "(?=x)",
            r"\1",
            "(?x)a b",
            "[a&&b]",
            "[a--b]",
            "[[a]b]",
            r"\<a",
            r"\pL",
            "é",
            r"\b{start}",
            "*a",
            "(?<name>a)",
            r"\Qa\E",
            "a{1, 2}",
            "",
            "a**",
            "a+*",
            "a*??",
            "a{2}{3}",
            "a{,3}",
            "(a{100}){11}",
            "(a{1000}b*){1,2}",
            "[[:foo:]]",
            "[:](?x)a b",
            "[a:](?m)b",
            r"\x80",
            r"\u0041",
            "(?m)a",
            "(?P<a.b>c)",
            "[^a][^b]{999}{2}",
            "(?:[^a][^b]){900}",
        ] {
            assert!(check(pattern).is_err(), "{pattern}");
        }
        assert!(check(&"a".repeat(3000)).is_err());
    }

    #[test]
    fn patterns_with_different_beginnings_have_no_text_in_common() {
        for (a, b) in
            [("/a", "/b"), ("/a/.*", "/b/.*"), ("/a", "/b.*"), ("/a", "/a/.*"), ("/ab+", "/b"), ("/b", r"/a\d")]
        {
            assert!(!may_both_match(a, b) && !may_both_match(b, a), "{a} {b}");
        }
        // `b*`, `b?`, `b{0}` may be nothing; `|` has a beginning on each side; `(?i)` changes letters.
        for (a, b) in [
            ("/a", "/a"),
            ("/ab*", "/a"),
            ("/ab?", "/a"),
            ("/ab{0,1}", "/a"),
            ("/a|/b", "/b"),
            ("(?i)/A", "/a"),
            ("/a.*", "/a/b"),
            ("/a.*", "/.*a"),
            ("^/a", "/a"),
        ] {
            assert!(may_both_match(a, b) && may_both_match(b, a), "{a} {b}");
        }
    }
}
