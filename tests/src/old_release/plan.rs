//! Sagas in every status and phase, for a fixture.

use serde_json::{Value, json};

use super::{INBOX, Plan};

/// The participants at `url`, one of them with secrets.
pub fn participants(url: &str) -> [(&'static str, Value); 2] {
    let secret = "whsec_Zmlyc3QtcmVsZWFzZS1zaWduaW5nLXNlY3JldA==";
    [
        ("worker", json!({ "endpoints": [url], "timeout": "30d" })),
        (
            "bank",
            json!({
                "endpoints": [url], "timeout": "30d", "signing_secrets": [secret],
                "auth": { "type": "bearer", "token": "token-of-the-first-release" },
                "labels": { "team": "money" }, "max_concurrency": 16,
            }),
        ),
    ]
}

/// The definitions, each as its first version.
pub fn definitions() -> [Value; 12] {
    let once = json!({ "max_attempts": 1 });
    let daily = json!({ "max_attempts": 1000, "initial": "1d", "max": "1d", "jitter": "none" });
    let step = |id: &str, action: &str, undo: &str| {
        json!({ "id": id, "participant": "worker", "action": { "path": action },
            "compensation": { "path": undo } })
    };
    let last = |id: &str, action: &str| {
        json!({ "id": id, "participant": "worker", "action": { "path": action },
            "compensation": "none" })
    };
    let define = |name: &str, steps: Vec<Value>| json!({ "name": name, "steps": steps });
    let with = |mut value: Value, name: &str, field: Value| {
        value[name] = field;
        value
    };
    let stuck_undo = json!({ "id": "first", "participant": "worker", "action": { "path": "/do" },
        "compensation": { "path": "/busy/undo", "retry": once } });
    let tcc = json!({ "id": "pay", "participant": "bank", "try": { "path": "/do" },
        "confirm": { "path": "/hang/confirm" }, "cancel": { "path": "/undo" } });
    let optional = json!({ "id": "maybe", "participant": "worker", "when": "input.maybe",
        "action": { "path": "/do" }, "compensation": { "path": "/undo" } });
    let by_bank = with(last("second", "/hang/second"), "participant", json!("bank"));
    [
        define("chain", vec![step("first", "/do", "/undo"), by_bank, last("third", "/do")]),
        with(
            define("locked", vec![last("only", "/hang/locked")]),
            "lock",
            json!({ "keys": ["sku:1", "user:${input.user}"] }),
        ),
        with(
            define("short", vec![optional, step("only", "/do", "/undo")]),
            "output",
            json!({ "done": "${steps.only.output.done}" }),
        ),
        define("busy", vec![with(last("only", "/busy/retry"), "retry", daily)]),
        define("callback", vec![with(last("only", "/later"), "completion", json!("callback"))]),
        define(
            "poll",
            vec![with(
                last("only", "/poll"),
                "completion",
                json!({ "poll": { "interval": "1s" } }),
            )],
        ),
        define("tcc", vec![tcc]),
        define("undo", vec![step("first", "/do", "/hang/undo"), last("second", "/refuse")]),
        define("stuck-undo", vec![stuck_undo, last("second", "/refuse")]),
        define(
            "stuck-pivot",
            vec![with(
                with(last("only", "/busy/pivot"), "pivot", json!(true)),
                "retry",
                json!({ "max_attempts": 1 }),
            )],
        ),
        define("refused", vec![step("first", "/do", "/undo"), last("second", "/refuse")]),
        json!({ "name": "cart", "mode": "interactive", "deadline": "3650d" }),
    ]
}

/// A second version of `chain`, stored when sagas of the first one run.
pub fn revised() -> Value {
    json!({ "name": "chain", "steps": [{ "id": "other", "participant": "worker",
        "action": { "path": "/hang/other" }, "compensation": "none" }] })
}

impl Plan {
    fn new(id: &'static str, definition: &str, before: &'static str, end: &'static str) -> Self {
        let request = json!({ "definition": definition, "id": id, "input": { "user": 7,
            "maybe": false, "price": 12.50 }, "labels": { "shop": "north" } });
        Self {
            id,
            request,
            key: None,
            branches: Vec::new(),
            commands: Vec::new(),
            before,
            open: "",
            finish: Vec::new(),
            end,
        }
    }

    fn open(self, path: &'static str) -> Self {
        Self { open: path, ..self }
    }

    fn finish(self, commands: &[&'static str]) -> Self {
        Self { finish: commands.to_vec(), ..self }
    }

    fn commands(self, commands: &[(&'static str, &'static str)]) -> Self {
        Self { commands: commands.to_vec(), ..self }
    }

    fn branch(mut self, id: &'static str, branch: Value) -> Self {
        self.branches.push((id, branch));
        self
    }

    fn field(mut self, name: &str, value: Value) -> Self {
        self.request[name] = value;
        self
    }

    fn key(mut self, key: &'static str) -> Self {
        if let Some(request) = self.request.as_object_mut() {
            request.remove("id");
        }
        Self { key: Some(key), ..self }
    }
}

/// Every saga, in the order in which they are made.
pub fn plans() -> Vec<Plan> {
    let mut plans = waiting();
    plans.extend(under_way());
    plans.extend(ended());
    plans.extend(interactive());
    let ids = ["inbox-0", "inbox-1", "inbox-2", "inbox-3", "inbox-4", "inbox-5"];
    plans.extend(ids.map(|id| {
        debug_assert!(id.starts_with(INBOX), "the name says what it is for");
        Plan::new(id, "chain", "running", "completed").open("/hang/").finish(&["resume"])
    }));
    plans
}

fn waiting() -> Vec<Plan> {
    vec![
        Plan::new("holder", "locked", "running", "completed").open("/hang/locked"),
        Plan::new("queued", "locked", "queued", "completed"),
        Plan::new("later", "short", "queued", "compensated")
            .field("start_at", json!("2090-01-01T00:00:00Z"))
            .finish(&["cancel"]),
    ]
}

fn under_way() -> Vec<Plan> {
    vec![
        Plan::new("running", "chain", "running", "completed").open("/hang/second"),
        Plan::new("keyed", "chain", "running", "completed").open("/hang/second").key("key-1"),
        Plan::new("waiting-retry", "busy", "running", "completed")
            .open("/busy/retry")
            .finish(&["retry"]),
        Plan::new("pending-callback", "callback", "running", "completed").open("/later"),
        Plan::new("pending-poll", "poll", "running", "completed").open("/poll"),
        Plan::new("confirming", "tcc", "confirming", "completed").open("/hang/confirm"),
        Plan::new("compensating", "undo", "compensating", "compensated").open("/hang/undo"),
        Plan::new("suspended-undo", "stuck-undo", "suspended", "compensated").finish(&["retry"]),
        Plan::new("suspended-pivot", "stuck-pivot", "suspended", "completed").finish(&["retry"]),
        Plan::new("paused", "chain", "running", "completed")
            .open("/hang/second")
            .commands(&[("pause", "running")])
            .finish(&["resume"]),
    ]
}

fn ended() -> Vec<Plan> {
    vec![
        Plan::new("completed", "short", "completed", "completed"),
        Plan::new("completed-keyed", "short", "completed", "completed").key("key-2"),
        Plan::new("compensated", "refused", "compensated", "compensated"),
        Plan::new("abandoned", "stuck-undo", "suspended", "abandoned")
            .commands(&[("abandon", "abandoned")]),
    ]
}

fn interactive() -> Vec<Plan> {
    let undo = json!({ "participant": "worker", "compensation": { "path": "/undo" } });
    let hold = json!({ "participant": "bank", "confirm": { "path": "/hang/confirm" },
        "cancel": { "path": "/undo", "method": "DELETE" } });
    let mail =
        json!({ "participant": "worker", "action": { "path": "/do", "body": { "n": 1.50 } } });
    let flight = json!({ "saga": { "definition": "short", "input": { "maybe": true } } });
    let asked = json!({ "mode": "interactive", "id": "cart-asked", "name": "asked",
        "deadline": "1s", "prepared": { "participant": "worker", "path": "/hang/prepared" } });
    let mut prepared = Plan::new("cart-asked", "", "running", "completed").open("/hang/prepared");
    prepared.request = asked;
    let child = Plan::new("cart-nested.flight", "", "running", "completed");
    vec![
        Plan::new("cart-open", "cart", "running", "completed")
            .branch("stock", undo.clone())
            .branch("pay", hold.clone())
            .branch("mail", mail.clone())
            .finish(&["commit"]),
        prepared.branch("mail", mail),
        Plan::new("cart-confirming", "cart", "running", "completed")
            .branch("pay", hold)
            .commands(&[("commit", "confirming")])
            .finish(&["commit"]),
        Plan::new("cart-dropped", "cart", "running", "compensated")
            .branch("stock", undo)
            .finish(&["rollback"]),
        Plan::new("cart-nested", "cart", "running", "completed")
            .branch("flight", flight)
            .finish(&["commit"]),
        Plan { request: Value::Null, ..child },
    ]
}
