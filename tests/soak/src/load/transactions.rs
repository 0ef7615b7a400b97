//! Interactive transactions with as many branches as there may be, and one more.

use serde_json::json;

use super::{Asker, REST};

/// Begins, enlists up to the bound and beyond it, and rolls back.
pub(super) async fn branches(asker: Asker) {
    let branch = json!({ "participant": "soak", "compensation": { "path": "/fast" } });
    loop {
        let begun = json!({ "mode": "interactive", "deadline": "1m" });
        let Some(saga) = asker.post("a transaction", "/v1/sagas", &begun).await else { continue };
        let Some(id) = saga.body["id"].as_str() else { continue };
        for index in 0..=100 {
            let path = format!("/v1/sagas/{id}/branches/b{index}");
            let put = || asker.request(reqwest::Method::PUT, &path).json(&branch);
            asker.insist("a branch", put).await;
        }
        let path = format!("/v1/sagas/{id}/rollback");
        asker.post("a rollback", &path, &json!({})).await;
        tokio::time::sleep(REST).await;
    }
}
