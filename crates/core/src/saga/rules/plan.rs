//! Arbitrary definitions, all of them valid.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::moves::Weather;
use crate::definition::{Definition, LockRelease, OnLost, Registry, parse};

/// What a definition is made from. Wishes that would be faults are not granted.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) steps: Vec<StepPlan>,
    /// Whether the list of steps stands in the reverse of their order.
    pub(super) reversed: bool,
    pub(super) locked: bool,
    pub(super) start_later: bool,
    pub(super) deadline: bool,
    pub(super) lock_wait: bool,
    pub(super) on_lost: OnLost,
    pub(super) release: LockRelease,
    pub(super) role: Role,
}

/// Who decides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Role {
    /// Its steps.
    Alone,
    /// Its parent, which in the end commits or not.
    Part { commits: bool },
    /// Its client, which may be asked back.
    Interactive { asks_back: bool },
}

/// One step.
#[derive(Clone, Debug)]
pub(super) struct StepPlan {
    /// Bits of the earlier steps that it comes after; none: the one before.
    after: Option<u8>,
    undo: Undo,
    pivot: bool,
    optional: bool,
    undo_refused: bool,
    when: When,
    attempts: Option<u8>,
    polls: bool,
    has_undo_body: bool,
    broken: Option<Broken>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Undo {
    Compensation,
    Declined,
    Left,
    Tcc,
}

#[derive(Clone, Copy, Debug)]
enum When {
    Always,
    Holds,
    Fails,
    Broken,
}

/// An operation whose body cannot be made.
#[derive(Clone, Copy, Debug)]
enum Broken {
    Forward,
    Undo,
    Confirm,
}

pub(super) fn any_plan(weather: Weather) -> impl Strategy<Value = Plan> {
    let flags = (
        prop::bool::weighted(0.2),
        prop::bool::weighted(if matches!(weather, Weather::Locks) { 0.95 } else { 0.3 }),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.4),
        any::<bool>(),
    );
    let on_lost =
        prop_oneof![2 => Just(OnLost::Pause), 1 => Just(OnLost::Fence), 1 => Just(OnLost::Abort)];
    let release = prop_oneof![Just(LockRelease::End), Just(LockRelease::Pivot)];
    let more = (on_lost, release, any_role(weather));
    (prop::collection::vec(any_step(), 1..=6), flags, more).prop_map(
        |(
            steps,
            (reversed, locked, start_later, deadline, lock_wait),
            (on_lost, release, role),
        )| {
            let is_interactive = matches!(role, Role::Interactive { .. });
            Plan {
                steps: if is_interactive { Vec::new() } else { steps },
                reversed,
                locked,
                start_later: start_later && !is_interactive,
                deadline: deadline || is_interactive,
                lock_wait,
                on_lost,
                release,
                role,
            }
        },
    )
}

fn any_role(weather: Weather) -> impl Strategy<Value = Role> {
    let [alone, part, interactive] = match weather {
        Weather::Client => [0, 0, 1],
        Weather::Family => [0, 1, 0],
        Weather::Locks => [2, 1, 2],
        Weather::Fair | Weather::Rough | Weather::Slow | Weather::Crashes | Weather::Meddling => {
            [1, 0, 0]
        }
    };
    prop_oneof![
        alone => Just(Role::Alone),
        part => any::<bool>().prop_map(|commits| Role::Part { commits }),
        interactive => any::<bool>().prop_map(|asks_back| Role::Interactive { asks_back }),
    ]
}

fn any_step() -> impl Strategy<Value = StepPlan> {
    let undo = prop_oneof![
        5 => Just(Undo::Compensation),
        1 => Just(Undo::Declined),
        2 => Just(Undo::Left),
        3 => Just(Undo::Tcc),
    ];
    let when = prop_oneof![
        12 => Just(When::Always),
        1 => Just(When::Holds),
        2 => Just(When::Fails),
        1 => Just(When::Broken),
    ];
    let broken = prop_oneof![Just(Broken::Forward), Just(Broken::Undo), Just(Broken::Confirm),];
    (
        prop::option::of(any::<u8>()),
        undo,
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.2),
        when,
        prop::option::weighted(0.8, 1..=3_u8),
        any::<bool>(),
        any::<bool>(),
        prop::option::weighted(0.04, broken),
    )
        .prop_map(
            |(
                after,
                undo,
                pivot,
                optional,
                undo_refused,
                when,
                attempts,
                polls,
                has_undo_body,
                broken,
            )| {
                StepPlan {
                    after,
                    undo,
                    pivot,
                    optional,
                    undo_refused,
                    when,
                    attempts,
                    polls,
                    has_undo_body,
                    broken,
                }
            },
        )
}

impl Plan {
    pub(super) fn definition(&self) -> Arc<Definition> {
        let document = self.document();
        let parsed = parse(&document, &Registry::default());
        parsed.definition.unwrap_or_else(|| panic!("{document:#}: {:?}", parsed.faults))
    }

    /// Whether a step that nothing undoes belongs to it: not in what a parent may undo.
    const fn is_part(&self) -> bool {
        matches!(self.role, Role::Part { .. })
    }

    /// Whether everything in it can succeed.
    pub(super) fn is_sound(&self) -> bool {
        self.steps.iter().all(|step| step.broken.is_none() && !matches!(step.when, When::Broken))
    }

    /// What every saga is started with.
    pub(super) fn input() -> Value {
        json!({ "yes": true, "no": false, "n": 3 })
    }

    fn document(&self) -> Value {
        let shape = Shape::of(self);
        let mut steps: Vec<Value> =
            (0..self.steps.len()).map(|index| shape.step(self, index)).collect();
        if self.reversed {
            steps.reverse();
        }
        let mut document = match self.role {
            Role::Interactive { .. } => json!({ "name": "any", "mode": "interactive" }),
            Role::Alone | Role::Part { .. } => json!({ "name": "any", "steps": steps }),
        };
        if self.locked {
            let on_lost = serde_json::to_value(self.on_lost).unwrap();
            let release = serde_json::to_value(self.release).unwrap();
            document["lock"] = json!({ "keys": ["k"], "on_lost": on_lost, "release": release });
        }
        document
    }
}

/// Who comes after whom, and what follows from it.
struct Shape {
    after: Vec<Vec<usize>>,
    ancestors: Vec<Vec<usize>>,
    pivots: Vec<usize>,
}

impl Shape {
    fn of(plan: &Plan) -> Self {
        let mut shape = Self { after: Vec::new(), ancestors: Vec::new(), pivots: Vec::new() };
        for (index, step) in plan.steps.iter().enumerate() {
            let after: Vec<usize> = match step.after {
                Some(bits) => (0..index).filter(|earlier| bits & (1 << earlier) != 0).collect(),
                None => index.checked_sub(1).into_iter().collect(),
            };
            let mut ancestors = after.clone();
            ancestors.extend(after.iter().flat_map(|earlier| shape.ancestors[*earlier].clone()));
            ancestors.sort_unstable();
            ancestors.dedup();
            shape.after.push(after);
            shape.ancestors.push(ancestors);
            if step.pivot && !shape.is_past_pivot(index) {
                shape.pivots.push(index);
            }
        }
        shape
    }

    fn is_past_pivot(&self, index: usize) -> bool {
        self.ancestors[index].iter().any(|earlier| self.pivots.contains(earlier))
    }

    fn undo(&self, plan: &Plan, index: usize) -> Undo {
        let is_last = self.pivots.is_empty() && self.ancestors[index].len() + 1 == plan.steps.len();
        let is_pivot = self.pivots.contains(&index);
        match plan.steps[index].undo {
            Undo::Left if plan.is_part() => Undo::Declined,
            Undo::Tcc if plan.is_part() && self.is_past_pivot(index) => Undo::Compensation,
            other if plan.is_part() => other,
            _ if self.is_past_pivot(index) => Undo::Left,
            Undo::Left if !is_last && !is_pivot && !plan.steps[index].optional => Undo::Declined,
            other => other,
        }
    }

    fn step(&self, plan: &Plan, index: usize) -> Value {
        let own = &plan.steps[index];
        let undo = self.undo(plan, index);
        let is_pivot = self.pivots.contains(&index);
        let mut step = json!({ "id": format!("s{index}"), "participant": "p" });
        if own.after.is_some() || plan.reversed {
            step["after"] = self.after[index].iter().map(|earlier| format!("s{earlier}")).collect();
        }
        let forward = self.operation(own, index, Broken::Forward);
        if undo == Undo::Tcc {
            step["try"] = forward;
            step["confirm"] = self.operation(own, index, Broken::Confirm);
            step["cancel"] = self.operation(own, index, Broken::Undo);
        } else {
            step["action"] = forward;
            match undo {
                Undo::Compensation => {
                    step["compensation"] = self.operation(own, index, Broken::Undo);
                }
                Undo::Declined => step["compensation"] = json!("none"),
                Undo::Left | Undo::Tcc => {}
            }
        }
        if is_pivot {
            step["pivot"] = json!(true);
        } else if own.optional && undo != Undo::Tcc {
            step["on_failure"] = json!("ignore");
        }
        if own.undo_refused && matches!(undo, Undo::Compensation | Undo::Tcc) {
            step["undo_refused"] = json!(true);
        }
        match own.when {
            When::Always => {}
            When::Holds => step["when"] = json!("input.yes"),
            When::Fails => step["when"] = json!("input.no"),
            When::Broken => step["when"] = json!("input.missing.deep > 1"),
        }
        if let Some(attempts) = own.attempts {
            step["retry"] = json!({ "max_attempts": attempts, "initial": "1s", "max": "3s" });
        }
        step["timeout"] = json!("2s");
        step["completion"] = json!(if own.polls { "poll" } else { "callback" });
        step
    }

    /// An operation that reads whatever it may.
    fn operation(&self, own: &StepPlan, index: usize, kind: Broken) -> Value {
        let mut body = json!({ "n": "${input.n}", "key": "${step.key}" });
        if let Some(earlier) = self.ancestors[index].first() {
            body["was"] = json!(format!("${{steps.s{earlier}.status}}"));
            body["gave"] = json!(given(&format!("steps.s{earlier}.output")));
        }
        let is_broken = match (kind, own.broken) {
            (Broken::Forward, Some(Broken::Forward))
            | (Broken::Undo, Some(Broken::Undo))
            | (Broken::Confirm, Some(Broken::Confirm)) => true,
            (Broken::Forward | Broken::Undo | Broken::Confirm, _) => false,
        };
        if is_broken {
            body["broken"] = json!("${input.missing.deep + 1}");
        }
        let mut operation = json!({ "path": format!("/s{index}") });
        match kind {
            Broken::Forward => operation["body"] = body,
            Broken::Confirm => {
                body["own"] = json!(given(&format!("steps.s{index}.output")));
                operation["body"] = body;
            }
            Broken::Undo if own.has_undo_body || is_broken => {
                body["outcome"] = json!("${forward.outcome}");
                body["own"] = json!(given("forward.output"));
                operation["body"] = body;
            }
            Broken::Undo => operation["path"] = json!("/undo/${forward.outcome}"),
        }
        operation
    }
}

/// What an operation answered, where it answered anything.
fn given(output: &str) -> String {
    format!("${{{output}.v if {output} is defined else 0}}")
}
