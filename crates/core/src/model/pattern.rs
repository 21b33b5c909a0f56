//! Names of conversations and patterns of names: an exact name, a prefix such as `chat:*` or `room-*`, or `*`.
//!
//! A prefix ends in a separator. Vendors allow different characters in names, so there are several separators. They all
//! have the same meaning: a prefix contains all names that start with it.
//!
//! There are two relations. An allow rule must *cover* the request: all requested names are inside the pattern. For
//! bans, mutes, blocks and deny rules, it is enough that they *overlap* the request: at least one requested name is
//! inside.
//!
//! Ably Chat keeps a room `r` in the channel `r::$chat` and in channels in `r::$chat:*`. Such a channel belongs to the
//! room, so a pattern that names `r` covers it. It is also inside `r:*` and `r::*`, as at Ably. The room `r` itself is
//! not inside them.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

/// The characters that can end the prefix of a pattern and that can stand beside a placeholder.
const SEPARATORS: [char; 5] = [':', '.', '-', '_', '/'];

/// An exact conversation, a prefix, or everything.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pattern {
    /// One name.
    Exact(String),
    /// `ns:*`: all names that start with `ns:`. Contains `ns:`, with its separator.
    Namespace(String),
    /// `*`.
    Everything,
}

/// The error of an invalid pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The pattern is empty.
    #[error("must not be empty")]
    Empty,
    /// A `*` is in a position where it has no meaning.
    #[error("may hold a `*` only alone or as the last segment, as in `chat:*` or `room-*`")]
    Star,
    /// The pattern is a separator and `*`, such as `:*`.
    #[error("must name the namespace before the separator, as in `chat:*`")]
    Nameless,
}

impl Pattern {
    /// The text after a room's name in the name of its Ably Chat channel.
    pub const CHAT_SUFFIX: &str = "::$chat";

    /// Reads a pattern.
    ///
    /// # Errors
    /// Returns an error if the text is empty, or if it contains a `*` that is neither the whole text nor at the end
    /// after a name and a separator.
    pub fn parse(text: &str) -> Result<Pattern, PatternError> {
        if text == "*" {
            return Ok(Pattern::Everything);
        }
        let prefix = text.strip_suffix('*').filter(|prefix| prefix.ends_with(SEPARATORS));
        if prefix.unwrap_or(text).contains('*') {
            return Err(PatternError::Star);
        }
        match prefix {
            Some(prefix) if prefix.len() == 1 => Err(PatternError::Nameless),
            Some(prefix) => Ok(Pattern::Namespace(prefix.to_owned())),
            None if text.is_empty() => Err(PatternError::Empty),
            None => Ok(Pattern::Exact(text.to_owned())),
        }
    }

    /// Returns the name, if the pattern is exactly one name.
    pub fn exact(&self) -> Option<&str> {
        match self {
            Pattern::Exact(name) => Some(name),
            _ => None,
        }
    }

    /// Returns how specific the pattern is, to compare the scopes of two bindings that cover the same conversation. An
    /// exact name is more specific than a prefix, a longer prefix than a shorter one, and `*` is the least specific.
    pub fn specificity(&self) -> (u8, usize) {
        match self {
            Pattern::Everything => (0, 0),
            Pattern::Namespace(prefix) => (1, prefix.len()),
            Pattern::Exact(_) => (2, 0),
        }
    }

    /// Returns the conversation that this pattern belongs to: the room `r` for `r::$chat…`, otherwise the pattern
    /// itself.
    pub fn home_conversation(&self) -> Cow<'_, Pattern> {
        match self.room() {
            Some(room) => Cow::Owned(Pattern::Exact(room.to_owned())),
            None => Cow::Borrowed(self),
        }
    }

    /// Returns the room, if all names of the pattern are channels of one room.
    pub fn room(&self) -> Option<&str> {
        match self {
            Pattern::Exact(name) | Pattern::Namespace(name) => room(name).filter(|room| !room.is_empty()),
            Pattern::Everything => None,
        }
    }

    /// Returns the channels in which Ably Chat keeps this room: `r::$chat` and `r::$chat:*`. All names in them have the
    /// same role and kind.
    pub fn channels_of(room: &str) -> [Pattern; 2] {
        let own = format!("{room}{}", Self::CHAT_SUFFIX);
        [Pattern::Namespace(format!("{own}:")), Pattern::Exact(own)]
    }

    /// Returns the patterns that an entry with this scope affects. For a room, this includes its channels, which have
    /// other names than the room.
    pub fn affected_patterns(&self) -> Vec<Pattern> {
        let home = self.home_conversation().into_owned();
        let channels = home.exact().map(Pattern::channels_of);
        std::iter::once(home).chain(channels.into_iter().flatten()).collect()
    }

    /// Returns whether all names of `asked` are inside this pattern.
    ///
    /// `*` does not cover names that start with `[`: Ably's metachannels and qualified names. Only exactly the same
    /// name covers them.
    pub fn covers(&self, asked: &Pattern) -> bool {
        self.covers_by_name(asked) || asked.room().is_some_and(|room| self.covers_name(room))
    }

    fn covers_by_name(&self, asked: &Pattern) -> bool {
        match asked {
            Pattern::Exact(name) => self.covers_name(name),
            Pattern::Namespace(inner) => match self {
                Pattern::Exact(_) => false,
                Pattern::Namespace(outer) => {
                    inner == outer || inner.starts_with(outer.as_str()) && !is_bracketed(inner)
                }
                Pattern::Everything => !is_bracketed(inner),
            },
            Pattern::Everything => *self == Pattern::Everything,
        }
    }

    fn covers_name(&self, name: &str) -> bool {
        match self {
            Pattern::Exact(own) => own == name,
            Pattern::Namespace(outer) => name.starts_with(outer.as_str()) && !is_bracketed(name),
            Pattern::Everything => !is_bracketed(name),
        }
    }

    /// Returns whether at least one name of `asked`, or the conversation that it belongs to, is inside this pattern.
    ///
    /// This relation is for entries and rules that deny, so in doubt it returns true. A name with Ably's qualifier
    /// (`[?rewind=1]chat`) also counts as the name after the qualifier, and `*` overlaps everything.
    pub fn overlaps(&self, asked: &Pattern) -> bool {
        if let Some(conversation) = self.room().or(self.exact()) {
            return asked.contains_part_of(conversation);
        }
        match (self, asked) {
            (Pattern::Namespace(outer), Pattern::Exact(name)) => {
                name.starts_with(outer) || unqualified(name).starts_with(outer)
            }
            (Pattern::Namespace(outer), Pattern::Namespace(inner)) => {
                outer.starts_with(inner) || inner.starts_with(outer) || unqualified(inner).starts_with(outer)
            }
            _ => true,
        }
    }

    /// Returns whether an entry with this scope applies to a name, or to all names of a pattern that no scope inside
    /// the pattern names.
    pub fn applies_to_all(&self, place: &Pattern) -> bool {
        if place.home_conversation().exact().is_some() {
            self.overlaps(place)
        } else {
            self.home_conversation().covers(place)
        }
    }

    /// Returns whether this pattern contains the conversation `name` or a name that belongs to it.
    fn contains_part_of(&self, name: &str) -> bool {
        let own = unqualified(name);
        match self {
            Pattern::Exact(asked) => [asked, unqualified(asked)]
                .into_iter()
                .any(|asked| asked == name || is_channel_of(asked, name) || is_channel_of(asked, own) || asked == own),
            Pattern::Namespace(prefix) => {
                let prefix = unqualified(prefix);
                let of_chat = |rest: &str| Self::CHAT_SUFFIX.starts_with(rest) || is_channel_suffix(rest);
                own.starts_with(prefix) || prefix.strip_prefix(own).is_some_and(of_chat)
            }
            Pattern::Everything => true,
        }
    }

    /// Returns whether Ably reads this pattern as the name of one channel: a prefix that does not end in `:`.
    pub fn is_literal_at_ably(&self) -> bool {
        matches!(self, Pattern::Namespace(prefix) if !prefix.ends_with(':'))
    }

    /// Returns the prefixes of patterns that contain the name, the shortest first.
    pub fn prefixes_around(name: &str) -> impl DoubleEndedIterator<Item = &str> {
        name.match_indices(SEPARATORS).map(|(at, separator)| &name[..at + separator.len()])
    }

    /// Compares the texts of two patterns, as they are written in a request.
    pub fn cmp_text(&self, other: &Pattern) -> Ordering {
        let star = |pattern: &Pattern| if matches!(pattern, Pattern::Exact(_)) { "" } else { "*" };
        self.prefix().bytes().chain(star(self).bytes()).cmp(other.prefix().bytes().chain(star(other).bytes()))
    }

    /// Returns the text that all names of the pattern start with.
    pub fn prefix(&self) -> &str {
        match self {
            Pattern::Exact(name) | Pattern::Namespace(name) => name,
            Pattern::Everything => "",
        }
    }
}

/// Returns whether the channel `name` belongs to the room.
fn is_channel_of(name: &str, room: &str) -> bool {
    name.strip_prefix(room).is_some_and(is_channel_suffix)
}

/// Returns whether this text can follow a room's name in the name of one of its channels.
fn is_channel_suffix(rest: &str) -> bool {
    rest.strip_prefix(Pattern::CHAT_SUFFIX).is_some_and(|tail| tail.is_empty() || tail.starts_with(':'))
}

/// Returns the room that the channel `name` belongs to: the text before Ably Chat's suffix. The search for `$` comes
/// first, because it is much cheaper and few names contain a `$`.
pub fn room(name: &str) -> Option<&str> {
    if !name.contains('$') {
        return None;
    }
    let mut ends = name.match_indices(Pattern::CHAT_SUFFIX).map(|(end, _)| name.split_at(end));
    ends.find(|(_, rest)| is_channel_suffix(rest)).map(|(room, _)| room)
}

fn is_bracketed(name: &str) -> bool {
    name.starts_with('[')
}

/// Returns the name after Ably's `[qualifier]`, or the whole name if it has no qualifier.
pub fn unqualified(name: &str) -> &str {
    match name.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((_, name)) => name,
        None => name,
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Exact(name) => f.write_str(name),
            Pattern::Namespace(prefix) => write!(f, "{prefix}*"),
            Pattern::Everything => f.write_str("*"),
        }
    }
}

/// A pattern in a rule, in which `{client}` and `{claim:NAME}` are placeholders for one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    source: String,
    pieces: Vec<TemplatePiece>,
    /// The pattern, if there are no placeholders.
    fixed: Option<Pattern>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum TemplatePiece {
    Text(String),
    Placeholder(Placeholder),
}

/// A placeholder for one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Placeholder {
    source: ValueSource,
    /// The characters that end the segment: `:`, and the separators beside the placeholder.
    delimiters: Vec<char>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum ValueSource {
    Client,
    Claim(String),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// Returns a message that completes "conversations …": for an unknown or unfinished placeholder, a placeholder that
    /// is not a whole segment, or an invalid pattern.
    pub fn parse(text: &str) -> Result<Template, String> {
        let pieces = pieces(text)?;
        let filled: String =
            pieces.iter().map(|piece| if let TemplatePiece::Text(text) = piece { text } else { "x" }).collect();
        let pattern = Pattern::parse(&filled).map_err(|bad| bad.to_string())?;
        let fixed = pieces.iter().all(|piece| matches!(piece, TemplatePiece::Text(_))).then_some(pattern);
        Ok(Template { source: text.to_owned(), pieces, fixed })
    }

    /// Returns the pattern for this client and these claims.
    ///
    /// Returns `None` if a value is missing, is empty, is not a string, contains `:`, `*` or a separator that stands
    /// beside the placeholder, or starts with `[`. Then the template matches nothing.
    pub fn fill<'a>(&self, client: &str, claim: impl Fn(&str) -> Option<&'a str>) -> Option<Pattern> {
        match &self.fixed {
            Some(pattern) => Some(pattern.clone()),
            None => Pattern::parse(&self.fill_or(client, claim, |_, _| None)?).ok(),
        }
    }

    /// Returns the pattern for a deny rule. A placeholder without a usable value matches any segment: the pattern
    /// contains the segment that `asked` has in this position. So the pattern overlaps `asked` if it would do so for
    /// any value.
    pub fn fill_to_match<'a>(
        &self,
        client: &str,
        claim: impl Fn(&str) -> Option<&'a str>,
        asked: &'a Pattern,
    ) -> Option<Pattern> {
        self.fill_around(client, claim, asked, CHAT_SEGMENT)
    }

    /// Does the same as [`Template::fill_to_match`], but with `otherwise` where `asked` has no segment.
    pub fn fill_around<'a>(
        &self,
        client: &str,
        claim: impl Fn(&str) -> Option<&'a str>,
        asked: &'a Pattern,
        otherwise: &'a str,
    ) -> Option<Pattern> {
        if let Some(pattern) = &self.fixed {
            return Some(pattern.clone());
        }
        let any = |before: &str, placeholder: &Placeholder| Some(placeholder.segment_after(before, asked, otherwise));
        let text = self.fill_or(client, claim, any)?;
        // A segment of `asked` may make the text an invalid pattern, so the text is not parsed.
        Some(match text.strip_suffix('*').filter(|_| self.source.ends_with('*')) {
            Some(prefix) => Pattern::Namespace(prefix.to_owned()),
            None => Pattern::Exact(text),
        })
    }

    /// Fills in the placeholders. For a placeholder without a usable value, calls `otherwise` with the text before it.
    fn fill_or<'a>(
        &self,
        client: &str,
        claim: impl Fn(&str) -> Option<&'a str>,
        otherwise: impl Fn(&str, &Placeholder) -> Option<String>,
    ) -> Option<String> {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                TemplatePiece::Text(fixed) => text.push_str(fixed),
                TemplatePiece::Placeholder(placeholder) => {
                    let value = placeholder.value(client, |name| claim(name)).map(str::to_owned);
                    text.push_str(&value.or_else(|| otherwise(&text, placeholder))?);
                }
            }
        }
        Some(text)
    }

    /// Returns the names of the claims in the placeholders.
    pub fn claims(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            TemplatePiece::Placeholder(Placeholder { source: ValueSource::Claim(name), .. }) => Some(name.as_str()),
            TemplatePiece::Placeholder(Placeholder { source: ValueSource::Client, .. }) | TemplatePiece::Text(_) => {
                None
            }
        })
    }

    /// Returns the pattern, if it is the same for every client.
    pub fn fixed(&self) -> Option<&Pattern> {
        self.fixed.as_ref()
    }

    /// Returns the template as it is written in the policy file.
    pub fn source(&self) -> &str {
        &self.source
    }
}

/// The default segment for a placeholder. After `r::`, it gives the channel of the room `r`, and so matches the most
/// names.
const CHAT_SEGMENT: &str = "$chat";

impl Placeholder {
    /// Reads `{client}` or `{claim:NAME}` without its braces, with the texts beside it.
    fn parse(name: &str, before: &str, after: &str) -> Result<Placeholder, String> {
        let source = match (name, name.strip_prefix("claim:")) {
            ("client", _) => ValueSource::Client,
            (_, Some(claim)) if !claim.is_empty() => ValueSource::Claim(claim.to_owned()),
            _ => {
                return Err(format!(
                    "has the unknown placeholder `{{{name}}}`: write `{{client}}` or `{{claim:NAME}}`"
                ));
            }
        };
        let beside = before.chars().next_back().into_iter().chain(after.chars().next());
        Ok(Placeholder { source, delimiters: std::iter::once(':').chain(beside).collect() })
    }

    /// Returns the value, if it is usable. A value that contains a delimiter would be more than one segment. A value
    /// that starts with `[` is not usable either, because a rule must name such names.
    fn value<'a>(&self, client: &'a str, claim: impl Fn(&str) -> Option<&'a str>) -> Option<&'a str> {
        let value = match &self.source {
            ValueSource::Client => Some(client),
            ValueSource::Claim(name) => claim(name),
        };
        let is_segment = |value: &&str| !value.contains('*') && !value.contains(self.delimiters.as_slice());
        value.filter(|value| !value.is_empty() && !is_bracketed(value)).filter(is_segment)
    }

    /// Returns the segment of the pattern at the position where `before` ends, or `otherwise` if the pattern has no
    /// text there. If the pattern's prefix ends inside the segment, `otherwise` completes it. Ignores Ably's qualifier
    /// in both.
    fn segment_after(&self, before: &str, asked: &Pattern, otherwise: &str) -> String {
        let rest = unqualified(asked.prefix()).strip_prefix(unqualified(before)).unwrap_or_default();
        match rest.find(self.delimiters.as_slice()) {
            Some(0) => otherwise.to_owned(),
            Some(end) => rest[..end].to_owned(),
            None if asked.exact().is_some() && !rest.is_empty() => rest.to_owned(),
            None => format!("{rest}{otherwise}"),
        }
    }
}

fn pieces(text: &str) -> Result<Vec<TemplatePiece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        let (before, placeholder) = rest.split_at(start);
        let Some(end) = placeholder.find('}') else {
            return Err("has a `{` without a `}`".to_owned());
        };
        let (placeholder, after) = placeholder.split_at(end + 1);
        let alone = (before.is_empty() && pieces.is_empty() || before.ends_with(SEPARATORS))
            && (after.is_empty() || after.starts_with(SEPARATORS));
        if !alone {
            return Err(format!("must have `{placeholder}` as a whole segment, between `:` or other separators"));
        }
        if !before.is_empty() {
            pieces.push(TemplatePiece::Text(before.to_owned()));
        }
        pieces.push(TemplatePiece::Placeholder(Placeholder::parse(&placeholder[1..end], before, after)?));
        rest = after;
    }
    if rest.contains('}') {
        return Err("has a `}` without a `{`".to_owned());
    }
    if !rest.is_empty() {
        pieces.push(TemplatePiece::Text(rest.to_owned()));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    #[test]
    fn reads_three_forms_and_nothing_else() {
        for text in
            ["chat", "chat:lobby", "chat:*", "a:b:*", "*", "room::$chat", "_tmp:*", "a.*", "a-*", "a:b_*", "a/b/*"]
        {
            assert_eq!(pattern(text).to_string(), text);
        }
        for (text, error) in [
            ("", PatternError::Empty),
            (":*", PatternError::Nameless),
            ("-*", PatternError::Nameless),
            ("chat*", PatternError::Star),
            ("*:chat", PatternError::Star),
            ("a:*:b", PatternError::Star),
            ("[*]*", PatternError::Star),
            ("[*]chat:*", PatternError::Star),
            ("**", PatternError::Star),
            ("a:*:*", PatternError::Star),
        ] {
            assert_eq!(Pattern::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn covers_what_lies_inside() {
        let inside = [
            ("chat:*", "chat:lobby"),
            ("chat:*", "chat:a:b"),
            ("chat:*", "chat:*"),
            ("chat:*", "chat:a:*"),
            ("*", "chat"),
            ("*", "chat:*"),
            ("*", "*"),
            ("chat", "chat"),
            ("[meta]log", "[meta]log"),
            ("room", "room::$chat"),
            ("room", "room::$chat::$typing"),
            ("room", "room::$chat:*"),
            ("ns:*", "ns:room::$chat"),
            ("room:*", "room::$chat"),
            ("room::*", "room::$chat::$typing"),
            ("room-*", "room-1"),
            ("room-*", "room-1:*"),
            ("room-*", "room-a-*"),
            ("room-*", "room-1::$chat"),
            ("org.*", "org.team/chat"),
        ];
        for (outer, inner) in inside {
            assert!(pattern(outer).covers(&pattern(inner)), "{outer} covers {inner}");
        }
        let outside = [
            ("chat:*", "chat"),
            ("chat:*", "chatter:x"),
            ("chat:*", "*"),
            ("chat:a:*", "chat:*"),
            ("chat", "chat:*"),
            ("*", "[meta]log"),
            ("*", "[meta]log:*"),
            ("[meta]x:*", "[meta]x:y"),
            ("room", "room:x"),
            ("room", "room2::$chat"),
            ("room", "room::$chatter"),
            ("room::$chat", "room"),
            ("room:*", "room"),
            ("room-*", "room"),
            ("room-*", "room:1"),
            ("room-*", "room_*"),
            ("room-a-*", "room-*"),
            ("a-*", "[q]a-1"),
        ];
        for (outer, inner) in outside {
            assert!(!pattern(outer).covers(&pattern(inner)), "{outer} does not cover {inner}");
        }
    }

    #[test]
    fn overlaps_what_has_a_part_inside() {
        let touching = [
            ("chat:x", "chat:*"),
            ("chat:x", "*"),
            ("chat:*", "chat:x"),
            ("chat:*", "chat:a:*"),
            ("chat:a:*", "chat:*"),
            ("*", "[meta]log"),
            ("chat:x", "[?rewind=1]chat:x"),
            ("chat:*", "[?rewind=1]chat:x"),
            ("room", "room::$chat"),
            ("room", "room:*"),
            ("room", "room::*"),
            ("room", "room::$chat:*"),
            ("room::$chat", "room"),
            ("room::$chat::$typing", "room::$chat"),
            ("room::$chat:*", "room"),
            ("room:*", "room::$chat"),
            ("chat:room", "chat:room::$chat::$chatMessages"),
            ("chat:x", "chat:x:*"),
            ("room-1", "room-*"),
            ("room-*", "room-a:*"),
            ("room-a:*", "room-*"),
            ("room-*", "[?rewind=1]room-1"),
            ("org.*", "org.a::$chat"),
        ];
        for (own, asked) in touching {
            assert!(pattern(own).overlaps(&pattern(asked)), "{own} overlaps {asked}");
        }
        let apart = [
            ("chat:x", "chat:y"),
            ("chat:x", "chat"),
            ("chat:*", "chat"),
            ("chat:*", "chatter:*"),
            ("room", "room2::$chat"),
            ("room", "rooms:*"),
            ("chat:x", "Chat:x"),
            ("room", "room:x"),
            ("room", "room::$chatter"),
            ("room", "room::$chatter:*"),
            ("room:*", "room"),
            ("room-*", "room:*"),
            ("room-*", "rooms-*"),
            ("room-a", "room:*"),
        ];
        for (own, asked) in apart {
            assert!(!pattern(own).overlaps(&pattern(asked)), "{own} does not overlap {asked}");
        }
    }

    #[test]
    fn fills_in_one_segment() {
        let claim = |name: &str| (name == "tenant").then_some("acme");
        let fill = |text: &str, client: &str| Template::parse(text).unwrap().fill(client, claim).map(|p| p.to_string());
        assert_eq!(fill("user:{client}", "tom").as_deref(), Some("user:tom"));
        assert_eq!(fill("{claim:tenant}:*", "tom").as_deref(), Some("acme:*"));
        assert_eq!(fill("{claim:tenant}:{client}:x", "tom").as_deref(), Some("acme:tom:x"));
        assert_eq!(fill("user:{client}", "a:b"), None);
        assert_eq!(fill("user:{client}", "*"), None);
        assert_eq!(fill("{client}", "[meta]log"), None);
        assert_eq!(fill("{claim:other}:*", "tom"), None);
        assert_eq!(fill("chat:*", "*").as_deref(), Some("chat:*"));
    }

    #[test]
    fn a_separator_beside_a_placeholder_ends_its_segment() {
        let fill = |text: &str, client: &str| {
            Template::parse(text).unwrap().fill(client, |_| None).map(|pattern| pattern.to_string())
        };
        for (text, client, filled) in [
            ("user.{client}", "tom-x", Some("user.tom-x")),
            ("user.{client}", "tom.x", None),
            ("user.{client}", "tom:x", None),
            ("{client}-*", "tom", Some("tom-*")),
            ("{client}-*", "tom-x", None),
            ("a/{client}_b", "t.o-m", Some("a/t.o-m_b")),
            ("a/{client}_b", "t/m", None),
            ("a/{client}_b", "t_m", None),
            ("user:{client}", "t.o-m_/", Some("user:t.o-m_/")),
        ] {
            assert_eq!(fill(text, client).as_deref(), filled, "{text} {client}");
        }
    }

    #[test]
    fn any_segment_ends_at_the_separators_beside_its_placeholder() {
        let touches = |text: &str, asked: &str| {
            let asked = pattern(asked);
            Template::parse(text).unwrap().fill_to_match("*", |_| None, &asked).unwrap().overlaps(&asked)
        };
        for (text, asked) in [
            ("user.{client}", "user.a-b"),
            ("user.{client}", "user.*"),
            ("user.{client}", "user.a-*"),
            ("user.{client}-x", "user.a-x"),
            ("user.{client}-*", "user.a-b-c"),
            ("user:{client}", "user:a.b"),
            ("user:{client}:*", "user:a-*"),
        ] {
            assert!(touches(text, asked), "{text} {asked}");
        }
        for (text, asked) in [
            ("user.{client}", "user.a.b"),
            ("user.{client}", "user-a"),
            ("user.{client}-x", "user.a-b-x"),
            ("user:{client}", "user:a:b"),
            ("user.{client}", "user.a.*"),
        ] {
            assert!(!touches(text, asked), "{text} {asked}");
        }
    }

    #[test]
    fn a_placeholder_without_a_value_matches_any_one_segment() {
        let touches = |text: &str, client: &str, tenant: Option<&str>, asked: &str| {
            let asked = pattern(asked);
            let claim = |name: &str| tenant.filter(|_| name == "tenant");
            Template::parse(text).unwrap().fill_to_match(client, claim, &asked).unwrap().overlaps(&asked)
        };
        let archive = "archive:{claim:tenant}:*";
        for tenant in [None, Some(""), Some("a:b"), Some("*"), Some("[x")] {
            for asked in ["archive:x:y", "archive:x:*", "archive:x:y:*", "archive:*", "*", "[?rewind=1]archive:x:y"] {
                assert!(touches(archive, "tom", tenant, asked), "{tenant:?} {asked}");
            }
            assert!(touches(archive, "tom", tenant, "archive:[x:y"), "{tenant:?}: a segment may begin with a bracket");
            for asked in ["archive:x", "archive::y", "archive", "other:x:y", "other:*"] {
                assert!(!touches(archive, "tom", tenant, asked), "{tenant:?} {asked}");
            }
        }
        assert!(touches(archive, "tom", Some("acme"), "archive:acme:x"));
        assert!(!touches(archive, "tom", Some("acme"), "archive:x:y"));
        for client in ["", "*", "a:b"] {
            assert!(touches("user:{client}", client, None, "user:mary"), "{client}");
            assert!(touches("user:{client}", client, None, "user:mary::$chat"), "{client}");
            assert!(!touches("user:{client}", client, None, "user:mary:x"), "{client}");
        }
        assert!(touches("inbox:{client}", "[x", None, "inbox:[x"), "an unusable client matches any segment");
        assert!(touches("{claim:tenant}:{client}", "*", None, "x:y"));
        assert!(!touches("{claim:tenant}:{client}", "tom", None, "x:y"));
        assert!(touches("[?rewind=1]a:{claim:tenant}", "tom", None, "a:x"));
        assert!(touches("room::{claim:tenant}", "tom", None, "room"), "with `$chat` it is the room's own channel");
    }

    #[test]
    fn refuses_templates_that_mean_nothing() {
        for text in [
            "user:{client",
            "user:client}",
            "user{client}",
            "{client}x",
            "{name}",
            "{claim:}",
            "x*{client}",
            "{client}{client}",
            "",
        ] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }
}
