//! The paths of moderation, which do not depend on the configuration.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::parts::{
    JSON, OperationExample, answers, content, error_response, headers, parameter, parse_part, reference,
};

/// The description of one method of a path in `text/moderation.json`.
#[derive(Default, Deserialize)]
struct ModerationText {
    id: String,
    summary: String,
    #[serde(default)]
    description: String,
    /// The parameters in the path or in the query.
    #[serde(default)]
    parameters: BTreeMap<String, ModerationParameter>,
    /// The schema of the body, if there is one.
    body: Option<Value>,
    /// The schema of the successful answer.
    answer: Value,
    /// The media type of the successful answer, if it is not JSON.
    media: Option<String>,
    /// The statuses of errors in addition to those that all routes have.
    #[serde(default)]
    errors: Vec<String>,
    examples: BTreeMap<String, OperationExample>,
}

#[derive(Deserialize)]
struct ModerationParameter {
    schema: Value,
    #[serde(rename = "in", default = "query")]
    place: String,
}

fn query() -> String {
    "query".to_owned()
}

/// Returns all paths. `responses` are the responses of the components.
pub(super) fn paths(security: &Value, responses: &Value) -> Map<String, Value> {
    let paths: BTreeMap<String, BTreeMap<String, ModerationText>> = parse_part(include_str!("text/moderation.json"));
    let item = |methods: BTreeMap<String, ModerationText>| {
        methods.into_iter().map(|(method, about)| (method, about.operation(security, responses))).collect()
    };
    paths.into_iter().map(|(path, methods)| (path, Value::Object(item(methods)))).collect()
}

impl ModerationText {
    fn operation(&self, security: &Value, responses: &Value) -> Value {
        let mut operation = Map::from_iter([
            ("operationId".to_owned(), json!(self.id)),
            ("tags".to_owned(), json!(["moderation"])),
            ("summary".to_owned(), json!(self.summary)),
            ("security".to_owned(), security.clone()),
            ("responses".to_owned(), self.responses(responses)),
        ]);
        if !self.description.is_empty() {
            operation.insert("description".to_owned(), json!(self.description));
        }
        if !self.parameters.is_empty() {
            let parameters = self.parameters.iter().map(|(name, parameter)| self.parameter(name, parameter));
            operation.insert("parameters".to_owned(), parameters.collect());
        }
        if let Some(schema) = &self.body {
            let examples = self.examples.iter();
            let examples =
                examples.map(|(name, example)| (name.clone(), example.with_caller(&example.request))).collect();
            operation.insert("requestBody".to_owned(), json!({ "content": { JSON: content(schema, examples) } }));
        }
        Value::Object(operation)
    }

    fn parameter(&self, name: &str, ModerationParameter { schema, place }: &ModerationParameter) -> Value {
        let mut parameter = parameter(name, place, schema, self.examples.iter(), |example| {
            example.path.get(name).or_else(|| example.request.get(name).filter(|_| self.body.is_none()))
        });
        if place == "path" {
            parameter.insert("required".to_owned(), json!(true));
        }
        Value::Object(parameter)
    }

    fn responses(&self, components: &Value) -> Value {
        let media = self.media.as_deref().unwrap_or(JSON);
        let good = content(&self.answer, answers(self.examples.iter(), "200"));
        let mut headers = headers();
        headers["Moderation-Version"] = reference("headers", "Moderation-Version");
        let good = json!({ "description": "Done", "headers": headers, "content": { media: good } });
        let mut all = Map::from_iter([("200".to_owned(), good)]);
        // Some errors occur only with a body, and some only with a query.
        let elsewhere: &[_] = if self.body.is_some() { &["414"] } else { &["408", "413", "415"] };
        for (name, component) in components.as_object().into_iter().flatten() {
            let Some((shape, status)) = name.split_once('-') else { continue };
            let is_own = shape == "moderation" && self.errors.iter().any(|own| own == status);
            if is_own || ["problem", "any"].contains(&shape) && !elsewhere.contains(&status) {
                all.insert(status.to_owned(), error_response(name, component, &answers(self.examples.iter(), status)));
            }
        }
        Value::Object(all)
    }
}
