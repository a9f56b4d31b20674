//! A definition's text with its path, so that a finding can point at a line and a column.

use serde::Serialize;

/// The largest definition that is read. The longest definitions people write are a few hundred
/// lines; a mebibyte is far beyond them and still read in milliseconds.
pub const SOURCE_BYTES_MAX: usize = 1024 * 1024;

/// A range of bytes in the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// The range from `start` up to `end`.
    pub const fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }
}

/// A place as people name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
}

/// The text of a definition and where it came from.
#[derive(Clone, Debug)]
pub struct Source {
    path: String,
    text: String,
    line_starts: Vec<usize>,
}

impl Source {
    /// Takes bytes as they came. What is no UTF-8 is replaced, so that even a file that cannot be
    /// read can be shown; the checker reports it.
    pub fn new(path: &str, bytes: &[u8]) -> Self {
        let bytes = &bytes[..bytes.len().min(SOURCE_BYTES_MAX)];
        let text = String::from_utf8_lossy(bytes).into_owned();
        let starts = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1);
        let line_starts = std::iter::once(0).chain(starts).collect();
        Self { path: path.to_owned(), text, line_starts }
    }

    /// The path given, for messages.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What stands at `span`; empty when it is no range of this text.
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.start..span.end).unwrap_or_default()
    }

    /// The line and column of a byte.
    pub fn place(&self, at: usize) -> Place {
        let at = at.min(self.text.len());
        let at = (0..=at).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or(0);
        let line = self.line_starts.partition_point(|start| *start <= at);
        let start = self.line_starts[line - 1];
        Place { line, column: self.text[start..at].chars().count() + 1 }
    }

    /// A line, counted from 1, without its line break.
    pub fn line(&self, line: usize) -> &str {
        let Some(&start) = line.checked_sub(1).and_then(|n| self.line_starts.get(n)) else {
            return "";
        };
        let end = self.line_starts.get(line).copied().unwrap_or(self.text.len());
        self.text[start..end].trim_end_matches(['\n', '\r'])
    }

    /// Where `part` stands inside `span`, when it stands there as it is (a scalar written with
    /// escapes does not); else the whole of `span`.
    pub fn find_within(&self, span: Span, part: &str) -> Span {
        match self.slice(span).find(part) {
            Some(at) if !part.is_empty() => {
                Span::new(span.start + at, span.start + at + part.len())
            }
            _ => span,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters_from_one() {
        let source = Source::new("x", "aä\nbc".as_bytes());
        assert_eq!(source.place(0), Place { line: 1, column: 1 });
        assert_eq!(source.place(3), Place { line: 1, column: 3 });
        assert_eq!(source.place(5), Place { line: 2, column: 2 });
        assert_eq!(source.place(999), Place { line: 2, column: 3 });
        assert_eq!(source.line(2), "bc");
        assert_eq!(source.line(9), "");
    }
}
