//! Reads tables key by key. Each accessor notes the mistakes in a value. At the end, a section notes its unknown
//! keys.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::file::{ConfigFile, WHOLE_FILE};
use super::report::ByteRange;
use super::value;
use crate::model::Millis;

/// The title of the outermost table in messages.
const ROOT: &str = "the file";

/// A table, and the keys that were read from it.
pub(super) struct Section<'a> {
    pub(super) file: &'a ConfigFile<'a>,
    /// The title in messages: `[server]`.
    pub(super) title: String,
    /// The place of its header or its braces.
    pub(super) span: ByteRange,
    table: &'a DeTable<'a>,
    read_keys: Vec<&'static str>,
}

/// A value with its key.
#[derive(Clone)]
pub(super) struct ConfigItem<'a> {
    pub(super) file: &'a ConfigFile<'a>,
    /// The key. For an element of a list, the key of the list.
    pub(super) name: &'a str,
    /// The place of the key. For an element of a list, the start of the element.
    pub(super) key: ByteRange,
    /// The place of the value.
    pub(super) span: ByteRange,
    pub(super) value: &'a DeValue<'a>,
}

impl<'a> Section<'a> {
    /// Returns the outermost table of a file.
    pub(super) fn root(file: &'a ConfigFile<'a>, table: &'a DeTable<'a>) -> Section<'a> {
        Section { file, title: ROOT.to_owned(), span: WHOLE_FILE, table, read_keys: Vec::new() }
    }

    /// Returns the value of this key, if there is one.
    pub(super) fn get(&mut self, key: &'static str) -> Option<ConfigItem<'a>> {
        if !self.read_keys.contains(&key) {
            self.read_keys.push(key);
        }
        let (name, value) = self.table.get_key_value(key)?;
        Some(self.item(name, value))
    }

    /// Returns whether this key has a value of any type.
    pub(super) fn contains_key(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Returns the value of this key. If there is none, notes a mistake with this help text.
    pub(super) fn require(&mut self, key: &'static str, help: &str) -> Option<ConfigItem<'a>> {
        let item = self.get(key);
        if item.is_none() {
            self.file.missing(&self.span, format!("{} has no `{key}`", self.title), help);
        }
        item
    }

    /// Reads a size within these bounds, in bytes. Returns `default` if there is none, or if it has a mistake.
    pub(super) fn size_or(&mut self, key: &'static str, bounds: RangeInclusive<usize>, default: usize) -> usize {
        self.get(key).and_then(|item| item.size(bounds)).unwrap_or(default)
    }

    /// Reads a duration within these bounds. Returns `default` if there is none, or if it has a mistake.
    pub(super) fn duration_or(&mut self, key: &'static str, [least, most]: [&str; 2], default: Duration) -> Duration {
        self.get(key).and_then(|item| item.duration(least, most)).unwrap_or(default)
    }

    /// Reads a whole number within these bounds. Returns `default` if there is none, or if it has a mistake.
    pub(super) fn integer_or(&mut self, key: &'static str, bounds: RangeInclusive<u32>, default: u32) -> u32 {
        self.get(key).and_then(|item| item.integer(bounds)).unwrap_or(default)
    }

    /// Returns the table of this key.
    pub(super) fn section(&mut self, key: &'static str) -> Option<Section<'a>> {
        let title = self.title_below(key);
        self.get(key)?.section(title)
    }

    /// Returns the tables of the list of this key: `[[rules]]`.
    pub(super) fn sections(&mut self, key: &'static str) -> Vec<Section<'a>> {
        let Some(list) = self.get(key) else { return Vec::new() };
        let help = format!("write [[{key}]] above each of them");
        let Some(items) = list.elements(&help) else { return Vec::new() };
        items.into_iter().filter_map(|item| item.section(format!("[[{key}]]"))).collect()
    }

    /// Returns all keys with their values, in the order of the file.
    pub(super) fn entries(&self) -> Vec<ConfigItem<'a>> {
        let mut items: Vec<_> = self.table.iter().map(|(name, value)| self.item(name, value)).collect();
        items.sort_by_key(|item| item.key.start);
        items
    }

    /// Hides the values of all keys that were not read: they may contain secrets.
    pub(super) fn hide_unread_values(&self) {
        let rest = self.entries().into_iter().filter(|item| !self.read_keys.contains(&item.name));
        rest.for_each(|item| _ = item.hide());
    }

    /// Notes a mistake for each key that was not read, with the most similar known key.
    pub(super) fn report_unknown_keys(self) {
        self.hide_unread_values();
        for item in self.entries().into_iter().filter(|item| !self.read_keys.contains(&item.name)) {
            let help = match nearest(item.name, self.read_keys.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    format!("the keys here are {}", join_with_and(self.read_keys.iter().map(|key| format!("`{key}`"))))
                }
            };
            let message = format!("`{}` is not a key of {}", item.name.escape_debug(), self.title);
            self.file.mistake(&item.key, message, help);
        }
    }

    /// Returns the title of the table of this key.
    pub(super) fn title_below(&self, key: &str) -> String {
        match self.title.strip_prefix('[').and_then(|title| title.strip_suffix(']')) {
            Some(inner) if !inner.starts_with('[') => format!("[{inner}.{key}]"),
            None if self.title == ROOT => format!("[{key}]"),
            _ => format!("`{key}`"),
        }
    }

    fn item(
        &self,
        name: &'a toml::Spanned<toml::de::DeString<'a>>,
        value: &'a toml::Spanned<DeValue<'a>>,
    ) -> ConfigItem<'a> {
        ConfigItem {
            file: self.file,
            name: name.get_ref(),
            key: name.span(),
            span: value.span(),
            value: value.get_ref(),
        }
    }
}

impl<'a> ConfigItem<'a> {
    /// Notes a mistake in the value: `flaw` continues a sentence that starts with the key. Always returns `None`,
    /// so callers can return the result.
    pub(super) fn mistake<T>(&self, flaw: impl AsRef<str>, help: impl Into<String>) -> Option<T> {
        self.file.mistake(&self.span, format!("`{}` {}", self.name.escape_debug(), flaw.as_ref()), help);
        None
    }

    /// Notes that the item names a file or variable, which is the cause of mistakes in this item.
    pub(super) fn note_reference(&self) {
        self.file.note_reference(self.key.start.min(self.span.start)..self.span.end.max(self.key.end));
    }

    /// Reads a string.
    pub(super) fn text(&self) -> Option<&'a str> {
        match self.value {
            DeValue::String(text) => Some(text),
            _ => self.wrong_type("a string", "write it in quotes"),
        }
    }

    /// Reads a string that is not empty.
    pub(super) fn non_empty_text(&self) -> Option<&'a str> {
        match self.text()? {
            "" => self.mistake("must not be empty", "fill it in, or leave it out where it is optional"),
            text => Some(text),
        }
    }

    /// Reads `true` or `false`.
    pub(super) fn boolean(&self) -> Option<bool> {
        match self.value {
            DeValue::Boolean(value) => Some(*value),
            _ => self.wrong_type("true or false", "write true or false, without quotes"),
        }
    }

    /// Reads a whole number within these bounds.
    pub(super) fn integer(&self, bounds: RangeInclusive<u32>) -> Option<u32> {
        let DeValue::Integer(digits) = self.value else {
            return self.wrong_type("a whole number", "write a whole number, without quotes");
        };
        let number = u32::from_str_radix(digits.as_str(), digits.radix()).ok();
        let range = format!("write a whole number from {} to {}", bounds.start(), bounds.end());
        number.filter(|number| bounds.contains(number)).or_else(|| self.mistake("is out of range", range))
    }

    /// Reads a duration within these bounds.
    pub(super) fn duration(&self, least: &str, most: &str) -> Option<Duration> {
        let help = format!("write a whole number and ms, s, m, h or d, from \"{least}\" to \"{most}\"");
        let Some(duration) = value::duration(self.text()?) else {
            return self.mistake("is not a duration", help);
        };
        let within = value::duration(least)? <= duration && duration <= value::duration(most)?;
        if within { Some(duration) } else { self.mistake("is out of range", help) }
    }

    /// Reads a size within these bounds, in bytes.
    pub(super) fn size(&self, bounds: RangeInclusive<usize>) -> Option<usize> {
        let [least, most] = [bounds.start(), bounds.end()].map(|bytes| value::show_size(*bytes));
        let help = format!("write a whole number and B, KiB or MiB, from \"{least}\" to \"{most}\"");
        match value::size(self.text()?) {
            None => self.mistake("is not a size", help),
            Some(size) if !bounds.contains(&size) => self.mistake("is out of range", help),
            size => size,
        }
    }

    /// Reads a rate, in events per second.
    pub(super) fn rate(&self) -> Option<NonZeroU32> {
        let rate = value::rate(self.text()?);
        rate.or_else(|| self.mistake("is not a rate", "write a number per second, as in \"20/s\""))
    }

    /// Reads one of these words, and returns its meaning.
    pub(super) fn keyword<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*meaning);
        }
        let known = || words.iter().map(|(word, _)| *word);
        let help = match nearest(text, known()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("write {}", join_with_or(known().map(quoted))),
        };
        self.mistake(format!("can't be {}", quoted(text)), help)
    }

    /// Reads a list, and returns its elements.
    pub(super) fn elements(&self, help: &str) -> Option<Vec<ConfigItem<'a>>> {
        let DeValue::Array(array) = self.value else {
            return self.wrong_type("a list", help);
        };
        let element = |value: &'a toml::Spanned<DeValue<'a>>| ConfigItem {
            key: value.span().start..value.span().start,
            span: value.span(),
            value: value.get_ref(),
            ..self.clone()
        };
        Some(array.iter().map(element).collect())
    }

    /// Reads a list that is not empty, and returns its elements.
    pub(super) fn list(&self) -> Option<Vec<ConfigItem<'a>>> {
        let items = self.elements("write a list in brackets, as in [\"…\"]")?;
        if items.is_empty() {
            return self
                .mistake("must not be an empty list", "list at least one, or leave the key out where it is optional");
        }
        Some(items)
    }

    /// Reads a list that is not empty and has no duplicates. Each element is read with `read`. Returns `None` if any
    /// element is wrong.
    pub(super) fn read_unique_list<T: PartialEq>(&self, read: impl Fn(&ConfigItem<'a>) -> Option<T>) -> Option<Vec<T>> {
        let items = self.list()?;
        let mut values = Vec::new();
        for item in &items {
            match read(item) {
                Some(value) if values.contains(&value) => {
                    item.mistake::<()>("lists this twice", "write it once");
                }
                value => values.extend(value),
            }
        }
        (values.len() == items.len()).then_some(values)
    }

    /// Reads a list of strings that are not empty.
    pub(super) fn texts(&self) -> Option<Vec<String>> {
        self.read_unique_list(|item| item.non_empty_text().map(str::to_owned))
    }

    /// Reads a list of known words. `kind` describes such a word in messages. If no words are known, accepts any word,
    /// because another check has noted that.
    pub(super) fn known_words(&self, kind: &str, known: &[String]) -> Option<Vec<String>> {
        self.read_unique_list(|item| item.known_word(kind, known).map(str::to_owned))
    }

    /// Reads one of the known words, under the same conditions as [`ConfigItem::known_words`].
    pub(super) fn known_word(&self, kind: &str, known: &[String]) -> Option<&'a str> {
        let text = self.non_empty_text()?;
        if known.is_empty() || known.iter().any(|name| name == text) {
            return Some(text);
        }
        self.mistake(format!("names {}, which is not {kind}", quoted(text)), suggest(text, known))
    }

    /// Reads a table.
    pub(super) fn section(&self, title: String) -> Option<Section<'a>> {
        let DeValue::Table(table) = self.value else {
            let header = if title.starts_with('[') {
                format!("write {title} and its keys below it, or ")
            } else {
                String::new()
            };
            return self.wrong_type("a table", &format!("{header}put its keys in braces: {{ key = … }}"));
        };
        Some(Section { file: self.file, title, span: self.span.clone(), table, read_keys: Vec::new() })
    }

    /// Reads a point in time, with its offset.
    pub(super) fn time(&self) -> Option<Millis> {
        const HELP: &str =
            "write a date and time with an offset, without quotes: 2027-01-01T00:00:00Z or 2027-01-01T00:00:00+08:00";
        let DeValue::Datetime(time) = self.value else {
            return self.wrong_type("a date and time", HELP);
        };
        match (time.date, time.time, time.offset) {
            (None, ..) | (_, None, _) => self.mistake("must have both a date and a time", HELP),
            (.., None) => self.mistake("has no offset", "add Z for UTC, or an offset as in +08:00, at its end"),
            (Some(date), Some(time), Some(offset)) => value::time(&format!("{date}T{time}"), &offset.to_string())
                .or_else(|| self.mistake("is out of range", "write a time after 1970-01-01T00:00:00Z")),
        }
    }

    /// Notes that the value has the wrong type. The message does not show a value that may contain a secret.
    pub(super) fn wrong_type<T>(&self, expected: &str, help: &str) -> Option<T> {
        let found = match self.value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let can_hold = matches!(self.value, DeValue::String(_) | DeValue::Array(_) | DeValue::Table(_));
        let place = if can_hold && self.hide() { &self.key } else { &self.span };
        self.file.mistake(place, format!("`{}` must be {expected}, not {found}", self.name.escape_debug()), help);
        None
    }

    /// Hides the value if the file may contain a secret. A table under a header needs no hiding, because only its
    /// header is shown.
    fn hide(&self) -> bool {
        self.span.start >= self.key.end && self.file.hide_if_guarded(&self.span)
    }
}

/// Returns the known word that is most similar, if it is similar enough.
pub(super) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let distance = |known: &str| strsim::damerau_levenshtein(word, known);
    let most = word.chars().take(64).count().div_ceil(3).min(4);
    let near = known.into_iter().map(|known| (distance(known), known)).filter(|(distance, _)| *distance <= most);
    near.min().map(|(_, known)| known)
}

/// Returns the help text for an unknown word.
pub(super) fn suggest(word: &str, known: &[String]) -> String {
    match nearest(word, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("write {}", join_with_or(known.iter().map(|known| quoted(known)))),
    }
}

/// Puts text in quotes as in TOML, and shortens it to 80 characters.
pub(super) fn quoted(text: &str) -> String {
    let short: String = text.chars().take(80).collect();
    let rest = if short.len() < text.len() { "…" } else { "" };
    format!("\"{}{rest}\"", short.escape_debug())
}

/// `a, b or c`.
pub(super) fn join_with_or(words: impl Iterator<Item = String>) -> String {
    join_words(words.collect(), "or")
}

/// `a, b and c`.
pub(super) fn join_with_and(words: impl Iterator<Item = String>) -> String {
    join_words(words.collect(), "and")
}

fn join_words(mut words: Vec<String>, last: &str) -> String {
    match (words.pop(), words.is_empty()) {
        (None, _) => String::new(),
        (Some(only), true) => only,
        (Some(end), false) => format!("{} {last} {end}", words.join(", ")),
    }
}
