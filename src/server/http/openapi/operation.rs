//! One path of the document.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::parts::{
    JSON, OperationExample, ParameterLocation, answers, content, error_response, headers, parameter, reference,
};
use crate::server::http::signing_route::SigningRoute;

const FORM: &str = "application/x-www-form-urlencoded";

/// The description of one path in `text/`.
#[derive(Default, Deserialize)]
pub(super) struct OperationText {
    summary: String,
    #[serde(default)]
    description: String,
    /// The schema of a JSON body.
    body: Value,
    /// The schemas of the parameters in a query or a form.
    #[serde(default)]
    query: Map<String, Value>,
    /// The schema of the result, if the answer is not the token alone.
    answer: Value,
    examples: BTreeMap<String, OperationExample>,
}

/// A path with everything that its description needs.
pub(super) struct DescribedPath<'a> {
    pub(super) text: &'a OperationText,
    pub(super) route: &'a SigningRoute<'a>,
    pub(super) tag: &'a str,
    /// The prefix of the names of its error responses.
    pub(super) shape: &'a str,
    pub(super) security: Value,
    /// The responses of the components.
    pub(super) responses: &'a Value,
}

impl OperationText {
    pub(super) fn of(text: &Value) -> OperationText {
        OperationText::deserialize(text).unwrap_or_default()
    }
}

impl DescribedPath<'_> {
    /// Returns the path item.
    pub(super) fn path_item(&self) -> Value {
        let mut item = Map::from_iter([("post".to_owned(), self.post())]);
        if self.route.operation.supports_get {
            item.insert("get".to_owned(), self.get());
        }
        Value::Object(item)
    }

    fn post(&self) -> Value {
        let json = content(&self.text.body, self.requests(ParameterLocation::Body));
        let mut bodies = Map::from_iter([(JSON.to_owned(), Value::Object(json))]);
        if self.route.operation.accepts_forms {
            let schema = json!({ "type": "object", "properties": self.text.query });
            bodies.insert(FORM.to_owned(), Value::Object(content(&schema, self.requests(ParameterLocation::Form))));
        }
        let mut post = self.operation("", &[ParameterLocation::Body, ParameterLocation::Form]);
        post.insert("requestBody".to_owned(), json!({ "content": bodies }));
        Value::Object(post)
    }

    fn get(&self) -> Value {
        let parameters: Vec<_> = self.text.query.iter().map(|(name, schema)| self.parameter(name, schema)).collect();
        let mut get = self.operation(".by-query", &[ParameterLocation::Query]);
        get.insert("parameters".to_owned(), Value::Array(parameters));
        Value::Object(get)
    }

    fn parameter(&self, name: &str, schema: &Value) -> Value {
        let values = self.examples(&[ParameterLocation::Query]);
        Value::Object(parameter(name, "query", schema, values, |example| example.request.get(name)))
    }

    /// Returns the members that all methods have.
    fn operation(&self, ending: &str, places: &[ParameterLocation]) -> Map<String, Value> {
        let name = self.route.operation.name;
        let mut operation = Map::from_iter([
            ("operationId".to_owned(), json!(format!("{}.{name}{ending}", self.tag))),
            ("tags".to_owned(), json!([self.tag])),
            ("summary".to_owned(), json!(self.text.summary)),
            ("security".to_owned(), self.security.clone()),
            ("responses".to_owned(), self.all_responses(places)),
        ]);
        if !self.text.description.is_empty() {
            operation.insert("description".to_owned(), json!(self.text.description));
        }
        operation
    }

    fn all_responses(&self, places: &[ParameterLocation]) -> Value {
        let mut all = Map::from_iter([("200".to_owned(), self.success(places))]);
        // Some errors occur only with a body, and some only with a query.
        let elsewhere: &[_] =
            if places.contains(&ParameterLocation::Query) { &["408", "413", "415"] } else { &["414"] };
        for (name, response) in self.responses.as_object().into_iter().flatten() {
            let Some((shape, status)) = name.split_once('-') else { continue };
            if (shape == self.shape || shape == "any") && !elsewhere.contains(&status) {
                all.insert(status.to_owned(), error_response(name, response, &answers(self.examples(places), status)));
            }
        }
        Value::Object(all)
    }

    /// Returns the response of a successful request.
    fn success(&self, places: &[ParameterLocation]) -> Value {
        let answers = answers(self.examples(places), "200");
        let forms = self.route.operation.answers;
        let first_text = forms.iter().map(|(_, form)| form.media_type()).find(|media| *media != JSON);
        let contents = forms.iter().map(|(_, form)| {
            let (media, token) = (form.media_type(), reference("schemas", "Token"));
            let schema = if media == JSON { &self.text.answer } else { &token };
            let is_here =
                |example: &Value| if example["value"].is_string() { Some(media) == first_text } else { media == JSON };
            let of_this_form = answers.iter().filter(|(_, example)| is_here(example));
            let examples = of_this_form.map(|(name, example)| (name.clone(), example.clone())).collect();
            (media.to_owned(), Value::Object(content(schema, examples)))
        });
        json!({
            "description": "Signed",
            "headers": headers(),
            "content": contents.collect::<Map<_, _>>(),
        })
    }

    /// Returns the example requests with parameters in this location.
    fn requests(&self, place: ParameterLocation) -> Map<String, Value> {
        self.examples(&[place]).map(|(name, example)| (name.clone(), example.with_caller(&example.request))).collect()
    }

    fn examples<'s>(
        &'s self,
        places: &'s [ParameterLocation],
    ) -> impl Iterator<Item = (&'s String, &'s OperationExample)> {
        self.text.examples.iter().filter(|(_, example)| places.contains(&example.by))
    }
}
