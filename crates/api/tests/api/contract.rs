//! The OpenAPI document as a judge of answers.

use std::collections::BTreeSet;

use boon::{Compiler, Schemas};
use serde_json::Value;

const LOCATION: &str = "amends:///openapi.json";

pub(crate) struct Contract {
    document: Value,
}

impl Contract {
    pub(crate) fn new() -> Self {
        Self { document: serde_json::to_value(amends_api::document()).unwrap() }
    }

    pub(crate) fn document(&self) -> &Value {
        &self.document
    }

    /// All operations as `METHOD template`.
    pub(crate) fn operations(&self) -> BTreeSet<String> {
        let paths = self.document["paths"].as_object().unwrap();
        paths
            .iter()
            .flat_map(|(path, item)| {
                let methods = item.as_object().unwrap().keys();
                methods.map(move |method| format!("{} {path}", method.to_uppercase()))
            })
            .collect()
    }

    /// The operation of a request, if there is one.
    pub(crate) fn operation(&self, method: &str, path: &str) -> Option<String> {
        let path = path.split('?').next().unwrap();
        let paths = self.document["paths"].as_object().unwrap();
        let fits = |template: &str| {
            let (own, other) = (template.split('/'), path.split('/'));
            own.clone().count() == other.clone().count()
                && own.zip(other).all(|(own, other)| own.starts_with('{') || own == other)
        };
        // What is fixed beats what is not.
        let template = paths
            .iter()
            .filter(|(template, item)| fits(template) && item.get(method.to_lowercase()).is_some())
            .map(|(template, _)| template)
            .min_by_key(|template| template.matches('{').count())?;
        Some(format!("{method} {template}"))
    }

    /// Checks one answer.
    pub(crate) fn check(&self, method: &str, path: &str, status: u16, media: &str, body: &[u8]) {
        let Some(operation) = self.operation(method, path) else {
            let problem = "#/components/schemas/Problem";
            assert_eq!(media, "application/problem+json", "{method} {path}");
            return self.validate(problem, body, &format!("{method} {path}"));
        };
        let (_, template) = operation.split_once(' ').unwrap();
        let what = format!("{operation} {status}");
        let responses = &self.document["paths"][template][method.to_lowercase()]["responses"];
        let response = responses.get(status.to_string());
        let response = response.unwrap_or_else(|| panic!("{what} is not documented"));
        let Some(content) = response.get("content") else {
            assert!(body.is_empty(), "{what} has no documented body");
            return;
        };
        let media = media.split(';').next().unwrap();
        assert!(content.get(media).is_some(), "{what} as {media:?} is not documented");
        if media.ends_with("json") {
            let escape = |text: &str| text.replace('~', "~0").replace('/', "~1");
            let pointer = format!(
                "#/paths/{}/{}/responses/{status}/content/{}/schema",
                escape(template).replace('{', "%7B").replace('}', "%7D"),
                method.to_lowercase(),
                escape(media),
            );
            self.validate(&pointer, body, &what);
        }
    }

    /// Checks the body of a request that was carried out.
    pub(crate) fn check_request(&self, method: &str, path: &str, body: &Value) {
        let operation = self.operation(method, path).unwrap();
        let (_, template) = operation.split_once(' ').unwrap();
        let pointer = format!(
            "#/paths/{}/{}/requestBody/content/application~1json/schema",
            template.replace('/', "~1").replace('{', "%7B").replace('}', "%7D"),
            method.to_lowercase(),
        );
        self.validate(&pointer, body.to_string().as_bytes(), &format!("a request of {operation}"));
    }

    fn validate(&self, pointer: &str, body: &[u8], what: &str) {
        let body: Value =
            serde_json::from_slice(body).unwrap_or_else(|_| panic!("{what}: no JSON"));
        let mut compiler = Compiler::new();
        compiler.add_resource(LOCATION, self.document.clone()).unwrap();
        let mut schemas = Schemas::new();
        let index = compiler
            .compile(&format!("{LOCATION}{pointer}"), &mut schemas)
            .unwrap_or_else(|error| panic!("{what}: {error:#}"));
        if let Err(error) = schemas.validate(&body, index) {
            panic!("{what} differs from the OpenAPI document: {error:#}\n{body:#}");
        }
    }
}
