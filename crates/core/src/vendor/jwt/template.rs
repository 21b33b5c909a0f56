//! Templates of claims. A template is a JSON value, so the serializer writes the token. A placeholder is a whole value, or
//! a part of a text whose alphabet cannot change the text's structure.

use serde_json::{Map, Value};

use crate::model::{Action, ActionSet, RequestedGrant};

/// The claims that the signer writes itself.
const SIGNER_CLAIMS: [&str; 4] = ["exp", "iat", "nbf", "jti"];

/// Names of members that say what a token is for or what it allows. Their values are constants, or the channels that the
/// policy granted.
const CONSTANT_NAMES: [&str; 16] = [
    "iss",
    "aud",
    "azp",
    "role",
    "roles",
    "scope",
    "scopes",
    "scp",
    "admin",
    "administrator",
    "server",
    "permissions",
    "groups",
    "kid",
    "alg",
    "amr",
];

/// The actions that a template can name for a channel.
pub const CHANNEL_ACTIONS: ActionSet =
    ActionSet::of(&[Action::Join, Action::Subscribe, Action::Publish, Action::Presence, Action::History]);

/// The claims of an app's tokens, without those that the signer writes itself.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimTemplate(Vec<(String, Node)>);

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Constant(Value),
    /// A claim of the caller's token, of any type.
    Claim(String),
    Text(Vec<Piece>),
    Object(Vec<(String, Node)>),
    List(Vec<Item>),
}

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Fixed(String),
    Client,
    Channel,
    /// A claim of the caller's token, which must be a word.
    Claim(String),
}

#[derive(Clone, Debug, PartialEq)]
enum Item {
    Node(Node),
    /// A text for each channel on which the action is granted.
    Each(Action, Vec<Piece>),
}

/// What fills a template.
#[derive(Clone, Copy, Debug)]
pub struct Filling<'a> {
    /// The client.
    pub client: &'a str,
    /// The channel of the request.
    pub channel: Option<&'a str>,
    /// What the policy granted.
    pub granted: &'a [RequestedGrant],
    /// The claims of the caller's token that the template names.
    pub claims: &'a Map<String, Value>,
}

impl ClaimTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// Returns the path of a claim and what is wrong with it.
    pub fn parse(claims: &Map<String, Value>) -> Result<ClaimTemplate, (String, String)> {
        if let Some(name) = claims.keys().find(|name| SIGNER_CLAIMS.contains(&name.as_str())) {
            return Err((name.clone(), "must be left out: chat-signer writes it".to_owned()));
        }
        Ok(ClaimTemplate(members(claims, "", false)?))
    }

    /// Returns whether a request must name a channel.
    pub fn has_channel(&self) -> bool {
        self.pieces().contains(&&Piece::Channel)
    }

    /// Returns the actions in lists of granted channels.
    pub fn granted_actions(&self) -> ActionSet {
        let items =
            self.nodes().into_iter().filter_map(|node| if let Node::List(items) = node { Some(items) } else { None });
        items.flatten().filter_map(|item| if let Item::Each(action, _) = item { Some(*action) } else { None }).collect()
    }

    /// Returns the names of the claims of the caller's token.
    pub fn caller_claims(&self) -> Vec<String> {
        let in_text = self.pieces().into_iter().filter_map(|piece| match piece {
            Piece::Claim(name) => Some(name.clone()),
            Piece::Fixed(_) | Piece::Client | Piece::Channel => None,
        });
        let whole = self.nodes().into_iter();
        in_text
            .chain(whole.filter_map(|node| if let Node::Claim(name) = node { Some(name.clone()) } else { None }))
            .collect()
    }

    /// Returns whether the token names its client.
    pub fn names_client(&self) -> bool {
        self.pieces().contains(&&Piece::Client)
    }

    fn pieces(&self) -> Vec<&Piece> {
        let texts =
            self.nodes().into_iter().filter_map(|node| if let Node::Text(pieces) = node { Some(pieces) } else { None });
        texts.flatten().collect()
    }

    fn nodes(&self) -> Vec<&Node> {
        let mut all = Vec::new();
        for (_, node) in &self.0 {
            flatten(node, &mut all);
        }
        all
    }

    /// Fills in the placeholders.
    ///
    /// # Errors
    /// Returns what is missing or has the wrong form, in words that complete "the token …".
    pub fn fill(&self, filling: Filling<'_>) -> Result<Map<String, Value>, String> {
        fill_members(&self.0, filling)
    }
}

/// Adds the node and all nodes inside it.
fn flatten<'a>(node: &'a Node, all: &mut Vec<&'a Node>) {
    all.push(node);
    match node {
        Node::Object(members) => {
            for (_, node) in members {
                flatten(node, all);
            }
        }
        Node::List(items) => {
            for item in items {
                if let Item::Node(node) = item {
                    flatten(node, all);
                }
            }
        }
        Node::Constant(_) | Node::Claim(_) | Node::Text(_) => {}
    }
}

/// Reads the members of an object. `constant` forbids placeholders.
fn members(object: &Map<String, Value>, path: &str, constant: bool) -> Result<Vec<(String, Node)>, (String, String)> {
    let read = |(name, value): (&String, &Value)| {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let constant = constant || CONSTANT_NAMES.contains(&name.to_ascii_lowercase().as_str());
        Ok((name.clone(), node(value, &path, constant)?))
    };
    object.iter().map(read).collect()
}

fn node(value: &Value, path: &str, constant: bool) -> Result<Node, (String, String)> {
    match value {
        Value::String(text) => text_node(text, constant).map_err(|flaw| (path.to_owned(), flaw)),
        Value::Object(object) => Ok(Node::Object(members(object, path, constant)?)),
        Value::Array(list) => {
            let items =
                list.iter().enumerate().map(|(place, value)| item(value, &format!("{path}[{place}]"), constant));
            Ok(Node::List(items.collect::<Result<_, _>>()?))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(Node::Constant(value.clone())),
    }
}

/// Reads an element of a list. `{ each = "ACTION", text = "…{channel}" }` is a text for each granted channel.
fn item(value: &Value, path: &str, constant: bool) -> Result<Item, (String, String)> {
    let Some(object) = value.as_object().filter(|object| object.contains_key("each")) else {
        return Ok(Item::Node(node(value, path, constant)?));
    };
    let wrong = |flaw: &str| (path.to_owned(), flaw.to_owned());
    let action = object.get("each").and_then(Value::as_str).and_then(Action::parse);
    let action = action.filter(|action| CHANNEL_ACTIONS.contains(*action));
    let action = action
        .ok_or_else(|| wrong("must have `each` = \"join\", \"subscribe\", \"publish\", \"presence\" or \"history\""))?;
    let pieces = object.get("text").and_then(Value::as_str).filter(|_| object.len() == 2).map(pieces);
    match pieces {
        Some(Ok(pieces)) if channel_is_last(&pieces) => Ok(Item::Each(action, pieces)),
        _ => Err(wrong("must have `text` with `{channel}` at its end, and no other placeholder")),
    }
}

fn channel_is_last(pieces: &[Piece]) -> bool {
    matches!(pieces, [Piece::Channel] | [Piece::Fixed(_), Piece::Channel])
}

fn text_node(text: &str, constant: bool) -> Result<Node, String> {
    let pieces = pieces(text)?;
    match pieces.as_slice() {
        [] | [Piece::Fixed(_)] => Ok(Node::Constant(text.into())),
        _ if constant => Err("must be a constant: it says what a token is for or what it allows".to_owned()),
        [Piece::Claim(name)] => Ok(Node::Claim(name.clone())),
        _ => Ok(Node::Text(pieces)),
    }
}

fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, placeholder)) = rest.split_once('{') {
        let (name, after) = placeholder.split_once('}').ok_or("has a `{` without a `}`")?;
        if !before.is_empty() {
            pieces.push(Piece::Fixed(before.to_owned()));
        } else if !pieces.is_empty() {
            return Err("must have a text between two placeholders".to_owned());
        }
        pieces.push(match (name, name.strip_prefix("claim:")) {
            ("client", _) => Piece::Client,
            ("channel", _) => Piece::Channel,
            (_, Some(claim)) if !claim.is_empty() => Piece::Claim(claim.to_owned()),
            _ => return Err("has an unknown placeholder: write {client}, {channel} or {claim:NAME}".to_owned()),
        });
        rest = after;
    }
    if rest.contains('}') {
        return Err("has a `}` without a `{`".to_owned());
    }
    if !rest.is_empty() {
        pieces.push(Piece::Fixed(rest.to_owned()));
    }
    Ok(pieces)
}

fn fill_members(members: &[(String, Node)], filling: Filling<'_>) -> Result<Map<String, Value>, String> {
    members.iter().map(|(name, node)| Ok((name.clone(), fill_node(node, filling)?))).collect()
}

fn fill_node(node: &Node, filling: Filling<'_>) -> Result<Value, String> {
    Ok(match node {
        Node::Constant(value) => value.clone(),
        Node::Claim(name) => {
            let claim = filling.claims.get(name);
            claim.ok_or_else(|| format!("needs the claim `{name}` of the caller's token, which is missing"))?.clone()
        }
        Node::Text(pieces) => fill_text(pieces, filling)?.into(),
        Node::Object(members) => fill_members(members, filling)?.into(),
        Node::List(items) => {
            let filled = items.iter().map(|item| fill_item(item, filling)).collect::<Result<Vec<_>, _>>()?;
            filled.concat().into()
        }
    })
}

fn fill_item(item: &Item, filling: Filling<'_>) -> Result<Vec<Value>, String> {
    match item {
        Item::Node(node) => Ok(vec![fill_node(node, filling)?]),
        Item::Each(action, pieces) => {
            let granted = filling.granted.iter().filter(|grant| grant.operations.contains(*action));
            let channels = granted.filter_map(|grant| grant.resource.exact());
            channels
                .map(|channel| Ok(fill_text(pieces, Filling { channel: Some(channel), ..filling })?.into()))
                .collect()
        }
    }
}

fn fill_text(pieces: &[Piece], filling: Filling<'_>) -> Result<String, String> {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Fixed(fixed) => text.push_str(fixed),
            Piece::Client => text.push_str(filling.client),
            Piece::Channel => text.push_str(filling.channel.ok_or("needs a channel")?),
            Piece::Claim(name) => {
                let word = filling.claims.get(name).and_then(Value::as_str).filter(|word| is_word(word));
                text.push_str(word.ok_or_else(|| {
                    format!("needs the claim `{name}` of the caller's token with letters, digits and `._-@` only")
                })?);
            }
        }
    }
    Ok(text)
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::needless_pass_by_value)]

    use serde_json::json;

    use super::*;
    use crate::model::Pattern;

    fn parse(claims: Value) -> Result<ClaimTemplate, (String, String)> {
        ClaimTemplate::parse(claims.as_object().unwrap())
    }

    fn fill(claims: Value, own: Value, granted: &[RequestedGrant]) -> Result<Value, String> {
        let filling = Filling { client: "tom", channel: Some("chat:a"), granted, claims: own.as_object().unwrap() };
        parse(claims).unwrap().fill(filling).map(Value::Object)
    }

    #[test]
    fn placeholders_are_filled_in_as_values() {
        let template = json!({
            "sub": "{client}", "aud": ["a", "b"], "level": 7, "yes": true,
            "grants": {"identity": "user.{client}", "room": "{channel}", "topic": "https://a.example/{claim:team}/x"},
            "tags": "{claim:tags}",
        });
        let own = json!({"team": "red", "tags": ["x\",\"admin\":\"y", 1]});
        let filled = fill(template.clone(), own.clone(), &[]).unwrap();
        assert_eq!(
            filled,
            json!({
                "sub": "tom", "aud": ["a", "b"], "level": 7, "yes": true,
                "grants": {"identity": "user.tom", "room": "chat:a", "topic": "https://a.example/red/x"},
                "tags": ["x\",\"admin\":\"y", 1],
            })
        );
        let parsed = parse(template.clone()).unwrap();
        assert!(parsed.has_channel() && parsed.names_client());
        assert_eq!(parsed.caller_claims(), ["team", "tags"]);
        for (name, value) in [("team", json!("a/b")), ("team", json!(1)), ("team", json!("")), ("team", json!(null))] {
            let mut own = own.clone();
            own[name] = value;
            assert!(fill(template.clone(), own, &[]).unwrap_err().contains("needs the claim `team`"));
        }
        assert!(fill(template, json!({"team": "red"}), &[]).unwrap_err().contains("`tags` of the caller's token"));
    }

    #[test]
    fn lists_have_the_granted_channels_only() {
        let template = json!({"role": ["fixed", {"each": "subscribe", "text": "join.{channel}"}, {"each": "publish", "text": "{channel}"}]});
        let grant = |name: &str, actions: &[Action]| RequestedGrant {
            resource: Pattern::Exact(name.to_owned()),
            operations: ActionSet::of(actions),
        };
        let granted = [grant("a", &[Action::Subscribe, Action::Publish]), grant("b", &[Action::Subscribe])];
        assert_eq!(
            fill(template.clone(), json!({}), &granted).unwrap(),
            json!({"role": ["fixed", "join.a", "join.b", "a"]})
        );
        assert_eq!(fill(template.clone(), json!({}), &[]).unwrap(), json!({"role": ["fixed"]}));
        let parsed = parse(template).unwrap();
        assert_eq!(parsed.granted_actions(), ActionSet::of(&[Action::Subscribe, Action::Publish]));
        assert!(!parsed.has_channel());
    }

    #[test]
    fn what_says_what_a_token_allows_is_a_constant() {
        for name in ["iss", "aud", "role", "Role", "roles", "scope", "admin", "server", "permissions"] {
            for value in [json!("{client}"), json!("x{claim:a}"), json!(["{channel}"]), json!({"deep": "{claim:a}"})] {
                let (path, flaw) = parse(json!({ name: value })).unwrap_err();
                assert!(path.starts_with(name) && flaw.starts_with("must be a constant"), "{path} {flaw}");
            }
            assert!(parse(json!({ name: "x" })).is_ok());
        }
        assert_eq!(parse(json!({"a": {"role": "{client}"}})).unwrap_err().0, "a.role");
        for name in SIGNER_CLAIMS {
            assert!(parse(json!({ name: 1 })).unwrap_err().1.starts_with("must be left out"), "{name}");
        }
    }

    #[test]
    fn malformed_templates_are_refused() {
        for text in ["{", "}", "{}", "{now}", "{claim:}", "{client}{channel}", "a}", "{a{client}"] {
            assert!(parse(json!({"sub": text})).is_err(), "{text}");
        }
        for each in [
            json!({"each": "login", "text": "{channel}"}),
            json!({"each": "ban", "text": "{channel}"}),
            json!({"each": "publish", "text": "x"}),
            json!({"each": "publish", "text": "{channel}.x"}),
            json!({"each": "publish", "text": "{client}.{channel}"}),
            json!({"each": "publish", "text": "{channel}", "more": 1}),
            json!({"each": "publish"}),
        ] {
            assert_eq!(parse(json!({"a": [each]})).unwrap_err().0, "a[0]", "{each}");
        }
    }
}
