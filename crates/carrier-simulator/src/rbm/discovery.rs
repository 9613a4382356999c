//! The discovery document: what generic Google clients are made from, and what requests are held against.
//!
//! One document for both, so that what it says is what is taken. Surprising: names with underscores and nulls are taken as proto JSON
//! takes them; a name that isn't known is left out, or refused when the face is strict.

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use http::header;
use musubi_domain::{Error, ErrorKind};
use serde_json::{Map, Value};

use super::{Face, error::ApiError};

/// How deep a request's JSON may be.
const DEPTH: usize = 12;

/// The document, read once.
pub(crate) struct Discovery(Value);

impl Discovery {
    pub(crate) fn read() -> Result<Self, Error> {
        serde_json::from_str(include_str!("../../assets/discovery.json"))
            .map(Self)
            .map_err(|_| Error::new(ErrorKind::Internal, "the discovery document can't be read", ""))
    }

    /// The document of a service that is found at this address.
    fn at(&self, root: &str) -> Value {
        let mut document = self.0.clone();
        for key in ["rootUrl", "baseUrl"] {
            document[key] = root.into();
        }
        document
    }

    /// A request's body as this schema has it: known fields by their names, no nulls. The error names the field by its path.
    pub(crate) fn request(&self, schema: &str, body: &[u8], strict: bool) -> Result<Value, ApiError> {
        if body.is_empty() {
            return Ok(Value::Object(Map::new()));
        }
        let value: Value = serde_json::from_slice(body)
            .map_err(|error| ApiError::invalid("", format!("the body is no JSON: {}", place(&error))))?;
        let walk = Walk { schemas: &self.0["schemas"], strict };
        walk.object(schema, value, "", DEPTH)
    }
}

/// Where JSON goes wrong, without what stands there.
fn place(error: &serde_json::Error) -> String {
    format!("line {}, column {}", error.line(), error.column())
}

struct Walk<'a> {
    schemas: &'a Value,
    strict: bool,
}

impl Walk<'_> {
    fn object(&self, schema: &str, value: Value, path: &str, depth: usize) -> Result<Value, ApiError> {
        let Value::Object(fields) = value else {
            return Err(ApiError::invalid(path, format!("is {}, not an object", kind(&value))));
        };
        let Some(depth) = depth.checked_sub(1) else {
            return Err(ApiError::invalid(path, "is nested too deeply"));
        };
        let properties = &self.schemas[schema]["properties"];
        let mut taken = Map::new();
        for (name, value) in fields {
            let known = [name.clone(), camel(&name)].into_iter().find(|name| properties[name].is_object());
            let Some(known) = known else {
                if self.strict {
                    let problem = "holds a name that is not known; leave it out, or correct it";
                    return Err(ApiError::invalid(if path.is_empty() { "the body" } else { path }, problem));
                }
                continue;
            };
            if value.is_null() {
                continue;
            }
            let at = if path.is_empty() { known.clone() } else { format!("{path}.{known}") };
            let value = self.value(&properties[&known], value, &at, depth)?;
            taken.insert(known, value);
        }
        Ok(Value::Object(taken))
    }

    fn value(&self, schema: &Value, value: Value, path: &str, depth: usize) -> Result<Value, ApiError> {
        let wrong = |value: &Value, wanted: &str| {
            Err(ApiError::invalid(path, format!("is {}, not {wanted}", kind(value))))
        };
        if let Some(reference) = schema["$ref"].as_str() {
            return self.object(reference, value, path, depth);
        }
        match (schema["type"].as_str().unwrap_or("any"), value) {
            ("string", Value::String(text)) => {
                if let Some(words) = schema["enum"].as_array()
                    && !words.iter().any(|word| *word == text)
                {
                    let words: Vec<_> = words.iter().filter_map(Value::as_str).collect();
                    return Err(ApiError::invalid(path, format!("is none of {}", words.join(", "))));
                }
                Ok(Value::String(text))
            }
            ("string", value) => wrong(&value, "a string"),
            ("boolean", value @ Value::Bool(_)) => Ok(value),
            ("boolean", value) => wrong(&value, "true or false"),
            ("integer" | "number", value @ Value::Number(_)) => Ok(value),
            // Proto JSON takes numbers as text, too.
            ("integer" | "number", Value::String(text)) => match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(number.into()),
                Ok(_) | Err(_) => wrong(&Value::String(text), "a number"),
            },
            ("integer" | "number", value) => wrong(&value, "a number"),
            ("array", Value::Array(items)) => {
                let items = items.into_iter().enumerate().map(|(index, item)| {
                    self.value(&schema["items"], item, &format!("{path}[{index}]"), depth)
                });
                Ok(Value::Array(items.collect::<Result<_, _>>()?))
            }
            ("array", value) => wrong(&value, "a list"),
            (_, value) => Ok(value),
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// `snake_case` as `camelCase`.
fn camel(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut up = false;
    for c in name.chars() {
        match c {
            '_' => up = true,
            c if up => {
                camel.extend(c.to_uppercase());
                up = false;
            }
            c => camel.push(c),
        }
    }
    camel
}

/// `GET /$discovery/rest`: where the caller found this is where it finds the rest.
pub(crate) async fn document(State(face): State<Face>, request: Request) -> Response {
    let host = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    let host = host.or_else(|| request.uri().authority().map(|authority| authority.as_str()));
    let root = match (host, face.origin.split_once("://")) {
        (Some(host), Some((scheme, _))) => format!("{scheme}://{host}/"),
        (None, _) | (_, None) => format!("{}/", face.origin),
    };
    Json(face.discovery.at(&root)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(schema: &str, body: &str, strict: bool) -> Result<String, String> {
        let taken = Discovery::read().unwrap().request(schema, body.as_bytes(), strict);
        taken.map(|value| value.to_string()).map_err(|error| format!("{}: {}", error.field, error.message))
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn walk(value: &Value, schemas: &Value) {
            if let Some(reference) = value["$ref"].as_str() {
                assert_eq!(schemas[reference]["id"], reference);
            }
            let inner: Vec<&Value> = match value {
                Value::Object(fields) => fields.values().collect(),
                Value::Array(items) => items.iter().collect(),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
            };
            inner.into_iter().for_each(|value| walk(value, schemas));
        }
        let Discovery(document) = Discovery::read().unwrap();
        walk(&document, &document["schemas"]);
        assert_eq!(document["schemas"].as_object().unwrap().len(), 29);
    }

    #[test]
    fn a_body_is_taken_as_proto_json_is() {
        for (body, says) in [
            (r#"{"contentMessage":{"text":"a"}}"#, r#"{"contentMessage":{"text":"a"}}"#),
            (r#"{"content_message":{"text":"a","rich_card":null}}"#, r#"{"contentMessage":{"text":"a"}}"#),
            (r#"{"contentMessage":{"text":"a","shiny":1},"newer":[]}"#, r#"{"contentMessage":{"text":"a"}}"#),
            ("", "{}"),
        ] {
            assert_eq!(taken("AgentMessage", body, false).unwrap(), says, "{body}");
        }
    }

    #[test]
    fn what_is_of_another_kind_is_refused_by_its_path_and_never_shown() {
        for (body, strict, says) in [
            ("漏", false, ": the body is no JSON: line 1, column 1"),
            ("[]", false, ": is a list, not an object"),
            (r#"{"contentMessage":"漏"}"#, false, "contentMessage: is a string, not an object"),
            (r#"{"contentMessage":{"text":5}}"#, false, "contentMessage.text: is a number, not a string"),
            (
                r#"{"contentMessage":{"suggestions":[{"reply":{"text":["漏"]}}]}}"#,
                false,
                "contentMessage.suggestions[0].reply.text: is a list, not a string",
            ),
            (r#"{"ttl":60}"#, false, "ttl: is a number, not a string"),
            (
                r#"{"contentMessage":{"漏":1}}"#,
                true,
                "contentMessage: holds a name that is not known; leave it out, or correct it",
            ),
        ] {
            assert_eq!(taken("AgentMessage", body, strict).unwrap_err(), says, "{body}");
        }
        let wrong = taken("AgentMessage", r#"{"messageTrafficType":"漏"}"#, false).unwrap_err();
        assert!(wrong.starts_with("messageTrafficType: is none of MESSAGE_TRAFFIC") && !wrong.contains('漏'));
    }

    #[test]
    fn json_that_is_too_deep_is_refused() {
        let deep = |levels: usize| {
            let card = r#"{"composeAction":{"composeTextMessage":"#;
            format!(r#"{{"action":{card}{}1{}}}}}}}"#, "[".repeat(levels), "]".repeat(levels))
        };
        assert!(taken("Suggestion", &deep(5), false).is_ok());
        assert!(taken("Suggestion", &deep(500), false).is_err());
    }
}
