//! Regular expressions as RE2 reads them, executed by Rust's `regex`. Only syntax on which both agree is accepted.

use regex::bytes::{Regex, RegexBuilder};

/// Escapes of a letter that mean the same in RE2 and in Rust, on ASCII text.
const LETTER_ESCAPES: &str = "dDwWsSbBnrtfaA";

/// RE2 refuses more repetitions than this, nested ones multiplied.
const MAX_REPEAT: u64 = 1000;

/// A regular expression that must match the whole text (`RE2::FullMatch`). The text must be ASCII.
#[derive(Clone, Debug)]
pub(super) struct Pattern(Regex);

impl Pattern {
    /// Reads `source`, or says why it cannot be trusted to mean the same in RE2 and here.
    pub(super) fn new(source: &str) -> Result<Self, String> {
        if source.is_empty() {
            return Err("Envoy refuses an empty expression".into());
        }
        Scanner { rest: source.as_bytes(), repeats: 1, after: After::Nothing }.check()?;
        RegexBuilder::new(&format!(r"\A(?:{source})\z"))
            .unicode(false)
            .build()
            .map(Self)
            .map_err(|error| format!("`{source}` is not understood: {error}"))
    }

    /// Whether it matches all of `text`.
    pub(super) fn matches(&self, text: &str) -> bool {
        self.0.is_match(text.as_bytes())
    }
}

/// What came before the current position.
#[derive(Clone, Copy, PartialEq)]
enum After {
    Nothing,
    Atom,
    Repetition,
}

struct Scanner<'a> {
    rest: &'a [u8],
    repeats: u64,
    after: After,
}

impl Scanner<'_> {
    fn check(&mut self) -> Result<(), String> {
        while let Some(byte) = self.next() {
            match byte {
                b'\\' => self.escape()?,
                b'[' => self.class()?,
                b'(' => self.group()?,
                b'*' | b'+' | b'?' => self.repetition()?,
                b'{' => self.counted()?,
                b'}' => return Err("a lone `}` is not modelled".into()),
                b'|' | b'^' | b'$' => self.after = After::Nothing,
                b')' | b' '..=b'~' => self.after = After::Atom,
                _ => return Err("only printable ASCII is modelled".into()),
            }
        }
        Ok(())
    }

    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    fn eat(&mut self, text: &str) -> bool {
        self.rest.strip_prefix(text.as_bytes()).map(|rest| self.rest = rest).is_some()
    }

    fn escape(&mut self) -> Result<(), String> {
        self.after = After::Atom;
        match self.next() {
            Some(b'b' | b'B' | b'A') => self.after = After::Nothing,
            Some(letter) if LETTER_ESCAPES.as_bytes().contains(&letter) => {}
            Some(sign) if sign.is_ascii_punctuation() && !b"<>_".contains(&sign) => {}
            other => return Err(format!("the escape `\\{}` is not modelled", other.map_or(' ', char::from))),
        }
        // Rust reads `\b{start}` as one token.
        if self.after == After::Nothing && self.rest.first() == Some(&b'{') {
            return Err("a count after an assertion is not modelled".into());
        }
        Ok(())
    }

    fn group(&mut self) -> Result<(), String> {
        self.after = After::Nothing;
        if self.rest.first() != Some(&b'?') || ["?:", "?i:", "?i)", "?P<"].into_iter().any(|known| self.eat(known)) {
            return Ok(());
        }
        Err("this kind of group is not modelled".into())
    }

    fn repetition(&mut self) -> Result<(), String> {
        match self.after {
            After::Atom => {}
            After::Nothing => return Err("a repetition of nothing, or of an assertion, is not modelled".into()),
            After::Repetition => return Err("RE2 refuses a repetition of a repetition".into()),
        }
        self.eat("?");
        self.after = After::Repetition;
        Ok(())
    }

    fn counted(&mut self) -> Result<(), String> {
        let end = self.rest.iter().position(|&b| b == b'}').ok_or("a lone `{` is not modelled")?;
        let (count, rest) = self.rest.split_at(end);
        let count = std::str::from_utf8(count).map_err(|_| "only ASCII is modelled")?;
        let (min, max) = count.split_once(',').map_or((count, count), |(min, max)| (min, max));
        let max = if max.is_empty() { min } else { max };
        let number = |text: &str| match text.parse::<u64>() {
            // RE2 does not take `{00}` for a count.
            Ok(number) if number.to_string() == text => Ok(number),
            _ => Err(format!("`{{{count}}}` is not modelled")),
        };
        let most = number(min)?.max(number(max)?).max(1);
        self.repeats = self.repeats.saturating_mul(most);
        if self.repeats > MAX_REPEAT {
            return Err(format!("repetitions multiply to more than {MAX_REPEAT}"));
        }
        self.rest = &rest[1..];
        self.repetition()
    }

    fn class(&mut self) -> Result<(), String> {
        self.eat("^");
        let mut first = true;
        let mut range_ended = false;
        loop {
            let byte = self.next().ok_or("a class is not closed")?;
            match byte {
                b']' if !first => break,
                b']' => return Err("a class that starts with `]` is not modelled".into()),
                b'[' => return Err("`[` inside a class is not modelled".into()),
                b'&' | b'~' | b'-' if self.rest.first() == Some(&byte) => {
                    return Err("class operators are not modelled".into());
                }
                b'-' if range_ended && self.rest.first() != Some(&b']') => {
                    return Err("a `-` after a range is not modelled".into());
                }
                b'\\' => self.escape()?,
                b' '..=b'~' => {}
                _ => return Err("only printable ASCII is modelled".into()),
            }
            range_ended = !first && byte == b'-' && self.rest.first() != Some(&b']') && self.range_end()?;
            first = false;
        }
        self.after = After::Atom;
        Ok(())
    }

    /// Consumes the upper end of a range.
    fn range_end(&mut self) -> Result<bool, String> {
        match self.next() {
            Some(b'\\') => self.escape()?,
            Some(b'[' | b'-') | None => return Err("this range is not modelled".into()),
            Some(_) => {}
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn the_whole_text_must_match() {
        let books = Pattern::new("/books|/b").expect("plain");
        assert!(books.matches("/books") && books.matches("/b"));
        assert!(!books.matches("/books/1") && !books.matches("x/b"));
        assert!(Pattern::new(".*").expect("plain").matches(""));
    }

    #[test]
    fn common_syntax_is_modelled() {
        for source in [
            "/a/[0-9]+",
            "(?i)firefox",
            r"v\d{1,3}\.[^/]*?",
            "(a|b)?c{2,}",
            r"[\w.-]+@[a-z-]+",
            r"(?P<id>x)",
            "^/x$",
            r"\/a\-b",
        ] {
            assert!(Pattern::new(source).is_ok(), "{source}: {:?}", Pattern::new(source));
        }
    }

    #[test]
    fn where_re2_and_rust_differ_nothing_is_said() {
        for source in [
            "",
            "[a&&b]",
            "[a--b]",
            "[a~~b]",
            "[a[b]]",
            "(?x)a",
            "(?u)a",
            "(?R)a",
            r"\b{start}",
            r"\<a",
            "é",
            "[é]",
            "a**",
            "a{2}{3}",
            "a{,3}",
            "a{1001}",
            "a{00}",
            "(a{100}){100}",
            r"\pL",
            r"\Qa\E",
            r"\u{41}",
            "(?<n>a)",
            "*a",
            "^*",
            "[a-c-e]",
            "a}",
            r"\1",
            "(?=a)",
            r"\z",
            "[[:alpha:]]",
        ] {
            assert!(Pattern::new(source).is_err(), "{source}");
        }
    }
}
