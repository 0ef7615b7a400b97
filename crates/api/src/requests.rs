//! What requests may hold, for the OpenAPI document: JSON Schema that stands in
//! `assets/requests.json`. Requests are read by hand, so nothing could be derived from.
//!
//! A schema says what can be said of one field. What else is checked (that names exist, that fields
//! go together, that durations lie within their bounds) is said in words.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::openapi::operations;

/// Schemas by `place name`, as in `path id`.
type Parameters = BTreeMap<String, Value>;

#[derive(Default, Deserialize)]
struct Requests {
    /// By name.
    schemas: Map<String, Value>,
    parameters: Parameters,
    /// By operation, where one differs from the others.
    parameters_of: BTreeMap<String, Parameters>,
    /// By operation.
    bodies: BTreeMap<String, Value>,
}

/// Puts bodies and the schemas of parameters into the document.
pub(crate) fn lay_over(document: &mut Value) {
    let requests: Requests =
        serde_json::from_str(include_str!("../assets/requests.json")).unwrap_or_default();
    for (_, _, operation) in operations(document) {
        let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
        if let Some(body) = requests.bodies.get(&id) {
            operation["requestBody"] = body.clone();
        }
        let own = requests.parameters_of.get(&id);
        let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
        for parameter in parameters.into_iter().flatten() {
            let key = [&parameter["in"], &parameter["name"]].map(Value::as_str);
            let key = key.map(Option::unwrap_or_default).join(" ");
            let schema =
                own.and_then(|own| own.get(&key)).or_else(|| requests.parameters.get(&key));
            if let Some(schema) = schema {
                parameter["schema"] = schema.clone();
            }
        }
    }
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        schemas.extend(requests.schemas);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::documented;

    #[test]
    fn schemas_of_requests_stand_in_nobodys_place() {
        let requests: Requests =
            serde_json::from_str(include_str!("../assets/requests.json")).unwrap();
        let others = documented().into_openapi().components.unwrap().schemas;
        for name in requests.schemas.keys() {
            assert!(!others.contains_key(name), "{name} is the schema of an answer, too");
        }
        let mut document = crate::document();
        let known: Vec<String> =
            operations(&mut document).map(|(.., own)| own["operationId"].to_string()).collect();
        for id in requests.bodies.keys().chain(requests.parameters_of.keys()) {
            assert!(known.contains(&format!("{id:?}")), "there is no operation {id}");
        }
    }
}
