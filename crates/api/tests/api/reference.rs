//! What is generated from the code: the OpenAPI document, the pages, the reference of codes.

use std::collections::BTreeSet;
use std::path::Path;

use http::StatusCode;
use serde_json::Value;

use crate::contract::Contract;
use crate::support::Api;

/// Compares with the file; `AMENDS_UPDATE_GOLDEN=1 cargo test` writes it.
#[test]
fn the_reference_of_error_codes_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/error-codes.md");
    let text = amends_api::error_reference();
    if std::env::var_os("AMENDS_UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == text, "docs/error-codes.md is old; run with AMENDS_UPDATE_GOLDEN=1");
}

#[test]
fn the_openapi_document_is_whole() {
    let contract = Contract::new();
    let document = contract.document();
    assert_eq!(document["openapi"], "3.1.0");
    let mut refs = BTreeSet::new();
    collect(document, &mut refs);
    for name in refs {
        let name = name.strip_prefix("#/components/schemas/").unwrap();
        assert!(document["components"]["schemas"].get(name).is_some(), "{name}");
    }
    let ids: Vec<&str> = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|item| item.as_object().unwrap().values())
        .map(|operation| operation["operationId"].as_str().unwrap())
        .collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    insta::assert_snapshot!(
        "operations",
        contract.operations().into_iter().collect::<Vec<_>>().join("\n")
    );
}

fn collect<'a>(value: &'a Value, refs: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(map) => {
            refs.extend(map.get("$ref").and_then(Value::as_str));
            map.values().for_each(|own| collect(own, refs));
        }
        Value::Array(list) => list.iter().for_each(|own| collect(own, refs)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[tokio::test(start_paused = true)]
async fn the_pages_need_nothing_from_elsewhere() {
    let api = Api::new().await;
    for (path, media) in [
        ("/docs", "text/html; charset=utf-8"),
        ("/docs/errors", "text/html; charset=utf-8"),
        ("/docs/docs.js", "text/javascript; charset=utf-8"),
        ("/docs/docs.css", "text/css; charset=utf-8"),
        ("/openapi.json", "application/json"),
    ] {
        let answer = api.get(path).await;
        assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, Some(media)));
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(!text.contains("https://") || path != "/docs", "{path}");
        assert!(!text.contains("<script>") && !text.contains("onclick"), "{path}");
        if media.starts_with("text/html") {
            let policy = answer.header("content-security-policy").unwrap();
            assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{policy}");
        }
    }
    let served = api.get("/openapi.json").await.json();
    assert_eq!(&served, Contract::new().document());
}
