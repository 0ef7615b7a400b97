//! What comes from outside and must not get in: a problem, the right status, nothing stored.

use amends_api::ApiConfig;
use amends_engine::EngineConfig;
use amends_ports::testing::ScriptedParticipants;
use axum::body::{Body, Bytes};
use futures_util::stream;
use http::{Request, StatusCode};
use serde_json::json;

use crate::support::{Api, Transcript, order};

/// A start request with this body.
fn start(body: impl Into<Body>) -> Request<Body> {
    typed("application/json", body)
}

fn typed(media: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post("/v1/sagas").header("content-type", media).body(body.into()).unwrap()
}

async fn assert_nothing_stored(api: &Api) {
    let counts = api.get("/v1/sagas/counts").await.json();
    let all: u64 =
        counts["counts"].as_object().unwrap().values().map(|own| own.as_u64().unwrap()).sum();
    assert_eq!(all, 0, "{counts}");
}

#[tokio::test(start_paused = true)]
async fn bodies_that_are_not_acceptable_json() {
    let api = Api::new().await;
    api.prepare().await;
    let in_input = |text: &str| format!(r#"{{"definition":"order","input":{text}}}"#);
    let many = format!("[{}1]", "1,".repeat(10_000));
    for (what, body, status, code) in [
        ("cut off", b"{".to_vec(), 400, "json-syntax"),
        ("empty", Vec::new(), 400, "json-syntax"),
        ("two values", b"{} {}".to_vec(), 400, "json-syntax"),
        ("byte order mark", b"\xef\xbb\xbf{}".to_vec(), 400, "json-syntax"),
        ("utf-16", b"\xff\xfe{\0}\0".to_vec(), 400, "not-utf8"),
        (
            "bad utf-8",
            in_input("\"?\"").replace('?', "\u{e9}").into_bytes()[..]
                .iter()
                .copied()
                .filter(|b| *b != 0xc3)
                .collect(),
            400,
            "not-utf8",
        ),
        ("too deep", in_input(&"[".repeat(65)).into_bytes(), 400, "too-deep"),
        ("very deep", "[".repeat(100_000).into_bytes(), 400, "too-deep"),
        ("many members", in_input(&many).into_bytes(), 422, "out-of-range"),
        ("name twice", in_input(r#"{"a":1,"a":2}"#).into_bytes(), 400, "duplicate-name"),
        ("field twice", br#"{"definition":"a","definition":"b"}"#.to_vec(), 400, "duplicate-name"),
        ("number too large", in_input("1e400").into_bytes(), 400, "json-syntax"),
        ("not a number", in_input("NaN").into_bytes(), 400, "json-syntax"),
        ("lone surrogate", in_input(r#""\ud800""#).into_bytes(), 400, "json-syntax"),
        ("escaped nul", in_input(r#""\u0000""#).into_bytes(), 400, "nul-character"),
        ("raw nul", in_input("\"\0\"").into_bytes(), 400, "json-syntax"),
        ("a list", b"[]".to_vec(), 422, "wrong-type"),
    ] {
        let answer = api.send(start(body)).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{what}");
    }
    assert_nothing_stored(&api).await;
}

#[tokio::test(start_paused = true)]
async fn bodies_of_the_wrong_size_or_type() {
    let api = Api::new().await;
    for media in ["text/plain", "application/x-www-form-urlencoded", "application/yaml", "json"] {
        let answer = api.send(typed(media, "{}")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (415, "unsupported-media-type")
        );
    }
    let bare = Request::post("/v1/sagas").body(Body::from("{}")).unwrap();
    assert_eq!(api.send(bare).await.code(), "unsupported-media-type");
    let mut zipped = start("{}");
    zipped.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    assert_eq!(api.send(zipped).await.code(), "unsupported-media-type");

    // Judged by its length alone: the body would never come.
    let mut announced =
        start(Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>()));
    announced.headers_mut().insert("content-length", "1048577".parse().unwrap());
    assert_eq!(api.send(announced).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    // Cut off when it grows too long.
    let chunk = || Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 64 * 1024]));
    let endless = stream::repeat_with(chunk);
    assert_eq!(api.send(start(Body::from_stream(endless))).await.code(), "body-too-large");
    let just = format!("{}{{}}", " ".repeat(1024 * 1024 - 2));
    assert_eq!(api.send(start(just)).await.code(), "missing-field");
    // Given up when it does not come.
    let never = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
    let answer = api.send(start(never)).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (408, "body-timeout"));
    let broken = stream::iter([Err::<Bytes, _>(std::io::Error::other("gone"))]);
    assert_eq!(api.send(start(Body::from_stream(broken))).await.code(), "json-syntax");
    assert_nothing_stored(&api).await;
}

#[tokio::test(start_paused = true)]
async fn every_fault_of_a_start_request_is_reported_with_its_place() {
    let api = Api::new().await;
    api.prepare().await;
    let mut log = Transcript::default();
    for body in [
        json!({}),
        json!({ "definition": 7 }),
        json!({ "definition": "a/b" }),
        json!({
            "definition": "order", "version": 0, "id": "a b", "inptu": 1, "labels": { "a b": "c", "d": 1 },
            "start_at": "yesterday", "deadline": "0s"
        }),
        json!({ "definition": order(), "version": 1 }),
        json!({ "definition": "order", "id": "counts" }),
        json!({ "definition": "order", "id": "x".repeat(129) }),
        json!({ "definition": "order", "version": "1", "labels": [], "deadline": 3 }),
        json!({ "definition": "order", "labels": { "a": "x".repeat(257) } }),
    ] {
        log.add("start", &api.post("/v1/sagas", &body).await);
    }
    insta::assert_snapshot!("start_faults", log.text());
    assert_nothing_stored(&api).await;
}

#[tokio::test(start_paused = true)]
async fn headers_that_cannot_be_used() {
    let api = Api::new().await;
    api.prepare().await;
    let body = json!({ "definition": "order", "input": { "qty": 1 } });
    let long = "x".repeat(256);
    for (name, value) in [
        ("idempotency-key", long.as_str()),
        ("idempotency-key", "a b"),
        ("idempotency-key", "\"\""),
        ("idempotency-key", "schl\u{fc}ssel"),
    ] {
        let answer = api.post_with("/v1/sagas", &[(name, value)], &body).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (400, "bad-header"),
            "{value}"
        );
    }
    assert_nothing_stored(&api).await;
    let answer = api.post_with("/v1/sagas/x/pause", &[("amends-actor", &long)], &json!({})).await;
    assert_eq!(answer.code(), "bad-header");
}

#[tokio::test(start_paused = true)]
async fn parameters_that_cannot_be_used() {
    let api = Api::new().await;
    for (path, code) in [
        ("/v1/sagas?status=done", "bad-parameter"),
        ("/v1/sagas?status=';drop table saga", "bad-parameter"),
        ("/v1/sagas?status=", "bad-parameter"),
        ("/v1/sagas?definition=a/b", "bad-parameter"),
        ("/v1/sagas?label=x", "bad-parameter"),
        ("/v1/sagas?key=", "bad-parameter"),
        ("/v1/sagas?key=%01", "bad-parameter"),
        ("/v1/sagas?q=a%25", "bad-parameter"),
        ("/v1/sagas?q=%00", "nul-character"),
        ("/v1/sagas?from=1", "bad-parameter"),
        ("/v1/sagas?cursor=forged", "bad-parameter"),
        ("/v1/sagas?cursor=zz.a", "bad-parameter"),
        ("/v1/sagas?limit=0", "bad-parameter"),
        ("/v1/sagas?limit=501", "bad-parameter"),
        ("/v1/sagas?limit=-1", "bad-parameter"),
        ("/v1/sagas?limit=1e9", "bad-parameter"),
        ("/v1/sagas?limit=1&limit=2", "bad-parameter"),
        ("/v1/sagas?colour=red", "bad-parameter"),
        ("/v1/sagas/x?colour=red", "bad-parameter"),
        ("/v1/sagas/x/journal?from=-1", "bad-parameter"),
        ("/v1/sagas/counts?x", "bad-parameter"),
        ("/v1/sagas/events?label=a:b", "bad-parameter"),
        ("/v1/definitions?limit=1000", "bad-parameter"),
        ("/v1/participants?x=1", "bad-parameter"),
    ] {
        let path = path.replace(' ', "%20").replace('\'', "%27");
        let answer = api.get(&path).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, code), "{path}");
    }
    for (labels, status, code) in [(1_000, 400, "bad-parameter"), (5_000, 414, "uri-too-long")] {
        let many = "label=a:b&".repeat(labels);
        let answer = api.get(&format!("/v1/sagas?{many}")).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{labels}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_coordinator_itself_is_no_participant() {
    let config = ApiConfig { public_url: "http://127.0.0.1:7411".to_owned(), ..Default::default() };
    let api = Api::with(ScriptedParticipants::new(), EngineConfig::default(), config).await;
    for (url, status) in [
        ("http://127.0.0.1:7411", 422),
        ("http://localhost:7411/v1", 422),
        ("http://[::1]:7411", 422),
        ("http://127.1:7411", 422),
        ("http://127.0.0.1:7412", 201),
    ] {
        let body = json!({ "name": "own", "endpoints": [url] });
        let answer = api.post("/v1/participants", &body).await;
        assert_eq!(answer.status.as_u16(), status, "{url}: {}", answer.json());
    }
}

#[tokio::test(start_paused = true)]
async fn ids_in_paths_that_are_none() {
    let api = Api::new().await;
    let long = "x".repeat(129);
    for id in ["%2e%2e", "..%2f..", "a%20b", "a%00", "%ff", "-x", "%E2%80%8Bx", &long] {
        for path in
            ["/v1/sagas/ID", "/v1/sagas/ID/journal", "/v1/definitions/ID", "/v1/participants/ID"]
        {
            let answer = api.get(&path.replace("ID", id)).await;
            assert_eq!(
                (answer.status.as_u16(), answer.code().as_str()),
                (422, "bad-id"),
                "{path} {id}"
            );
        }
    }
    for path in ["/v1/sagas/x/steps/1st/skip", "/v1/sagas/x/steps/a.b/resolve-undone"] {
        assert_eq!(api.command(path).await.code(), "bad-id", "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn commands_read_their_bodies_strictly() {
    let api = Api::new().await;
    let path = "/v1/sagas/x/pause";
    for (body, code) in [
        (json!({ "reson": "x" }), "unknown-field"),
        (json!({ "reason": 1 }), "wrong-type"),
        (json!({ "reason": "x".repeat(1025) }), "out-of-range"),
        (json!({ "reason": "a\u{7}" }), "wrong-type"),
        (json!({ "reason": "fine" }), "saga-not-found"),
        (json!("text"), "wrong-type"),
    ] {
        assert_eq!(api.post(path, &body).await.code(), code, "{body}");
    }
    let form = Request::post(path).header("content-type", "text/plain").body(Body::from("x=1"));
    assert_eq!(api.send(form.unwrap()).await.code(), "unsupported-media-type");
}

#[tokio::test(start_paused = true)]
async fn routes_and_methods_that_do_not_exist() {
    let (api, mut log) = (Api::new().await, Transcript::default());
    log.add("GET /v2", &api.get("/v2").await);
    log.add("slash at the end", &api.get("/v1/sagas/").await);
    log.add("unknown command", &api.command("/v1/sagas/x/destroy").await);
    let patch = Request::patch("/v1/sagas").body(Body::empty()).unwrap();
    log.add("PATCH /v1/sagas", &api.send(patch).await);
    log.add("DELETE /v1/sagas/x", &api.delete("/v1/sagas/x").await);
    log.add("POST /livez", &api.command("/livez").await);
    insta::assert_snapshot!("routes", log.text());
}

#[tokio::test(start_paused = true)]
async fn pages_of_other_sites_change_nothing() {
    let api = Api::new().await;
    api.prepare().await;
    let body = json!({ "definition": "order", "input": { "qty": 1 } });
    for (headers, status) in [
        (vec![("sec-fetch-site", "cross-site")], 403),
        (vec![("sec-fetch-site", "same-site")], 403),
        (vec![("origin", "http://evil.test"), ("host", "amends.test")], 403),
        (vec![("origin", "null"), ("host", "amends.test")], 403),
        (vec![("sec-fetch-site", "same-origin"), ("origin", "http://amends.test")], 201),
        (vec![("origin", "http://amends.test"), ("host", "amends.test")], 201),
        (vec![("sec-fetch-site", "none")], 201),
    ] {
        let answer = api.post_with("/v1/sagas", &headers, &body).await;
        assert_eq!(answer.status.as_u16(), status, "{headers:?}");
    }
    let read = Request::get("/v1/sagas").header("sec-fetch-site", "cross-site");
    assert_eq!(api.send(read.body(Body::empty()).unwrap()).await.status, StatusCode::OK);
}
