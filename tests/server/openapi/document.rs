//! The document as a server gives it, and answers held to it.

use chat_signer::config::load;
use serde_json::Value;

use crate::common::{self, Answer, Server, Setup, request};
use crate::openapi::schema;

pub(crate) struct Document(pub(crate) Value);

impl Document {
    pub(crate) fn of(server: &Server) -> Document {
        let answer = server.ask(&request("GET", "/v1/openapi.json", "", ""));
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
        Document(answer.json())
    }

    /// Every operation: its method, its path, and what is said of it.
    pub(crate) fn operations(&self) -> impl Iterator<Item = (String, &str, &Value)> {
        let paths = self.0["paths"].as_object().unwrap().iter();
        paths.flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter();
            methods.map(move |(method, operation)| (method.to_uppercase(), path.as_str(), operation))
        })
    }

    pub(crate) fn operation(&self, method: &str, path: &str) -> &Value {
        &self.0["paths"][path][method.to_lowercase()]
    }

    /// What stands here, or where this leads.
    pub(crate) fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        let Some(target) = value["$ref"].as_str() else { return value };
        self.0.pointer(target.strip_prefix('#').unwrap()).unwrap_or_else(|| panic!("{target} leads nowhere"))
    }

    /// Holds an answer to what is said of it.
    pub(crate) fn check(&self, method: &str, path: &str, answer: &Answer) {
        let what = format!("{method} {path}: {answer:?}");
        let response = &self.operation(method, path)["responses"][answer.status.to_string()];
        assert!(response.is_object(), "the status is not documented: {what}");
        let response = self.resolve(response);
        for (name, header) in response["headers"].as_object().into_iter().flatten() {
            let (header, found) = (self.resolve(header), answer.header(&name.to_lowercase()));
            assert!(found.is_some() || header["required"] == false, "without {name}: {what}");
            let found = found.map(|text| text.parse::<u64>().map_or(Value::from(text), Value::from));
            if let Some(value) = found {
                schema::check(self, &header["schema"], &value, &what);
            }
        }
        let media = answer.header("content-type").unwrap().split(';').next().unwrap();
        let content = &response["content"][media];
        assert!(content.is_object(), "the type is not documented: {what}");
        let body = if media.ends_with("json") { answer.json() } else { Value::from(answer.body.as_str()) };
        schema::check(self, &content["schema"], &body, &what);
    }
}

/// The demonstration, running.
pub(crate) fn demonstration() -> Server {
    Server::run(common::demonstration(&[]), Setup::default())
}

/// The header by which the demonstration knows this caller.
pub(crate) fn credential(caller: &str) -> String {
    if caller == "orders" {
        return "x-api-key: demo-service-key-not-for-production\r\n".to_owned();
    }
    #[allow(clippy::disallowed_methods)]
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let demo = load("signer.toml".as_ref()).settings.unwrap().demo_caller.unwrap();
    format!("authorization: Bearer {}\r\n", demo.token(caller, &[], now, now + 300).unwrap())
}
