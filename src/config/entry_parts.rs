//! Splits a file of entries into parts, so that a large file is never in memory as a whole.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};

use sha2::{Digest, Sha256};

use crate::files::unnamed_file;

/// The size from which a part ends before the next entry, in bytes.
const PART_BYTES: usize = 64 << 10;

/// A file of entries, which can be read several times. A pipe is copied to an unnamed file first.
pub(super) struct EntryParts {
    input: BufReader<File>,
    /// The first line of the next part, if it was read already.
    next_line: String,
    /// The number of lines before the next part.
    lines: usize,
    /// The kind of quotes around a text of several lines, if the next line is inside one.
    open_quotes: Option<Quotes>,
    hasher: Sha256,
}

/// Some whole entries of a file.
pub(super) struct TomlPart {
    /// The number of lines before the part.
    pub(super) lines_before: usize,
    pub(super) text: String,
}

/// The quotes around a text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quotes {
    /// `"`, with escape sequences.
    Basic,
    /// `'`, without escape sequences.
    Literal,
}

impl EntryParts {
    pub(super) fn new(mut file: File) -> io::Result<EntryParts> {
        if !file.metadata()?.is_file() {
            let mut copy = unnamed_file()?;
            io::copy(&mut file, &mut copy)?;
            file = copy;
        }
        let input = BufReader::with_capacity(PART_BYTES, file);
        let mut parts =
            EntryParts { input, next_line: String::new(), lines: 0, open_quotes: None, hasher: Sha256::new() };
        parts.restart()?;
        Ok(parts)
    }

    /// Returns to the beginning of the file.
    pub(super) fn restart(&mut self) -> io::Result<()> {
        self.input.seek(SeekFrom::Start(0))?;
        self.next_line.clear();
        (self.lines, self.open_quotes, self.hasher) = (0, None, Sha256::new());
        Ok(())
    }

    /// Reads the next part. `None`: at the end of the file.
    pub(super) fn next(&mut self) -> io::Result<Option<TomlPart>> {
        let mut part = TomlPart { lines_before: self.lines, text: std::mem::take(&mut self.next_line) };
        loop {
            let start = part.text.len();
            if self.input.read_line(&mut part.text)? == 0 {
                break;
            }
            let line = &part.text[start..];
            self.hasher.update(line);
            let is_next_part = start >= PART_BYTES && self.open_quotes.is_none() && begins_entry(line);
            self.open_quotes = quotes_after(line, self.open_quotes);
            if is_next_part {
                self.next_line = part.text.split_off(start);
                break;
            }
        }
        self.lines += part.text.matches('\n').count();
        Ok((!part.text.is_empty()).then_some(part))
    }

    /// Returns the SHA-256 of everything that was read since the beginning.
    pub(super) fn hash(&self) -> [u8; 32] {
        self.hasher.clone().finalize().into()
    }
}

/// Returns whether a line begins an entry, such as `[[bans]]`. A table inside an entry, such as `[bans.by]`, does not.
fn begins_entry(line: &str) -> bool {
    let name = line.trim_start().strip_prefix("[[").and_then(|rest| rest.split(']').next());
    name.is_some_and(|name| !name.contains('.'))
}

/// Returns the quotes around a text of several lines that is open after this line. `open`: it was open before.
fn quotes_after(line: &str, mut open: Option<Quotes>) -> Option<Quotes> {
    let mut rest = line;
    loop {
        if let Some(quotes) = open {
            let Some(end) = end_of_text(rest, quotes, quotes.triple()) else { return open };
            // One or two further quotes belong to the text.
            rest = rest[end..].trim_start_matches(quotes.character());
            open = None;
        }
        let start = rest.find(['"', '\'', '#'])?;
        let quotes = match rest.as_bytes()[start] {
            b'"' => Quotes::Basic,
            b'\'' => Quotes::Literal,
            _ => return None,
        };
        rest = &rest[start..];
        if let Some(inside) = rest.strip_prefix(quotes.triple()) {
            (rest, open) = (inside, Some(quotes));
        } else {
            let end = end_of_text(&rest[1..], quotes, &quotes.triple()[..1])?;
            rest = &rest[1 + end..];
        }
    }
}

/// Returns the place after the first `end` that no escape sequence contains.
fn end_of_text(text: &str, quotes: Quotes, end: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + text[from..].find(end)?;
        let backslashes = text[from..at].bytes().rev().take_while(|byte| *byte == b'\\').count();
        if quotes == Quotes::Literal || backslashes % 2 == 0 {
            return Some(at + end.len());
        }
        from = at + 1;
    }
}

impl Quotes {
    fn triple(self) -> &'static str {
        match self {
            Quotes::Basic => "\"\"\"",
            Quotes::Literal => "'''",
        }
    }

    fn character(self) -> char {
        match self {
            Quotes::Basic => '"',
            Quotes::Literal => '\'',
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Write;

    use super::*;

    fn parts(text: &str) -> EntryParts {
        let mut file = unnamed_file().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        EntryParts::new(file).unwrap()
    }

    #[test]
    fn parts_are_whole_entries_and_together_the_file() {
        let entry = |number: usize| match number % 4 {
            0 => format!("[[bans]]\nuser = \"u{number}\"\n[bans.by]\nkind = \"user\"\nsubject = \"bob\"\n\n"),
            1 => format!("[[bans]]\nuser = \"u{number}\" # \"\"\"\nreason = '\"\"\"'\n"),
            2 => format!("[[mutes]]\nuser = \"u{number}\"\nreason = \"\"\"\n[[bans]]\n\\\"\"\" '''\n\"\"\"\n"),
            _ => format!("[[mutes]]\nreason = '''\n[[bans]]\n\\'''\nuser = \"\\\"u{number}\\\\\"\n"),
        };
        let text: String = (0..5000).map(entry).collect();
        let mut parts = parts(&text);
        for _ in 0..2 {
            let mut whole = String::new();
            while let Some(TomlPart { lines_before, text }) = parts.next().unwrap() {
                assert_eq!(lines_before, whole.matches('\n').count());
                assert!(toml::de::DeTable::parse(&text).is_ok(), "{text}");
                assert!(text.len() < PART_BYTES + 200);
                whole += &text;
            }
            assert_eq!(whole, text);
            assert_eq!(parts.hash(), crate::crypto::sha256(text.as_bytes()));
            parts.restart().unwrap();
        }
    }
}
