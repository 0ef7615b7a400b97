//! The real sagas that filled ones are copies of: one for each definition and fate.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::super::case::PARTICIPANT;
use super::super::super::stage::Stage;

/// Definitions of a shop; the sagas of the first three take a lock key.
pub(in super::super) const DEFINITIONS: [&str; 5] =
    ["bench-order", "bench-payment", "bench-return", "bench-booking", "bench-newsletter"];
const LOCKED: usize = 3;
/// How sagas end.
pub(in super::super) const FATES: [&str; 3] = ["completed", "compensated", "abandoned"];
/// Words of the patterns in whose place each copy has its own.
pub(super) const SKU: &str = "sku-of-the-pattern";
pub(super) const SHOP: &str = "shop-of-the-pattern";
pub(super) const CUSTOMER: &str = "customer-of-the-pattern";
pub(super) const CHANNEL: &str = "channel-of-the-pattern";

/// A saga that ended, in the order of definitions, and in each of those of fates.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    pub(super) saga_id: String,
    pub(super) is_locked: bool,
}

/// As much of a saga's view as is looked at.
#[derive(Deserialize)]
struct View {
    id: String,
    status: String,
}

/// Runs one saga for each definition and fate.
pub(super) async fn make(stage: &Stage) -> anyhow::Result<Vec<Pattern>> {
    let mut patterns = Vec::new();
    for (index, name) in DEFINITIONS.into_iter().enumerate() {
        let is_locked = index < LOCKED;
        stage.define(&definition(name, is_locked)).await?;
        for fate in FATES {
            let saga_id = end(stage, name, fate).await?;
            patterns.push(Pattern { saga_id, is_locked });
        }
    }
    Ok(patterns)
}

fn definition(name: &str, is_locked: bool) -> Value {
    let mut definition = json!({
        "name": name,
        // An undo that is refused stands still at once.
        "defaults": { "timeout": "10s", "retry": { "max_attempts": 1 } },
        "steps": [
            {
                "id": "reserve",
                "participant": PARTICIPANT,
                "action": { "path": "/do", "body": { "sku": "${input.sku}" } },
                "compensation": { "path": "/${input.undo}" },
            },
            {
                "id": "charge",
                "participant": PARTICIPANT,
                "action": { "path": "/${input.last}" },
                "compensation": { "path": "/undo" },
            },
        ],
    });
    if is_locked {
        definition["lock"] = json!({ "keys": ["sku:${input.sku}"] });
    }
    definition
}

/// Brings one saga to its end; its id.
async fn end(stage: &Stage, name: &str, fate: &str) -> anyhow::Result<String> {
    let (last, undo) = match fate {
        "completed" => ("do", "undo"),
        "compensated" => ("refuse", "undo"),
        _ => ("refuse", "refuse"),
    };
    let labels = json!({ "shop": SHOP, "customer": CUSTOMER, "channel": CHANNEL });
    let input = json!({ "sku": SKU, "last": last, "undo": undo });
    let start = json!({ "definition": name, "input": input, "labels": labels });
    let text = stage.post_and_wait("/v1/sagas", &start).await?;
    let mut view: View = serde_json::from_str(&text)?;
    if fate == "abandoned" {
        let path = format!("/v1/sagas/{}/abandon", view.id);
        let reason = json!({ "reason": "bench" });
        view = serde_json::from_str(&stage.post(&path, &reason).await?)?;
    }
    anyhow::ensure!(view.status == fate, "a pattern is {}, not {fate}", view.status);
    Ok(view.id)
}
