//! One step on the desk: renders its calls, sends them, and measures their effect.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use amends_core::definition::Step;
use amends_core::expression::{Scope, ScopeForward, ScopeStep};
use amends_core::saga::{ForwardOutcome, Op};
use amends_core::{Json, SagaId, StepIndex};
use http::{HeaderMap, Method};
use url::Url;

use crate::answer::Answer;
use crate::effect::EffectSource;
use crate::headers::{Envelope, Signing};
use crate::plan::Plan;
use crate::run::Sandbox;
use crate::wire::{Parcel, Wire};

/// One step, where it is called, and what is known of it.
pub(crate) struct Desk<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) sandbox: &'a Sandbox,
    pub(crate) wire: &'a Wire,
    pub(crate) index: StepIndex,
    pub(crate) urls: &'a [Url],
    pub(crate) lock_keys: &'a [String],
    /// Outputs of the steps before it.
    pub(crate) outputs: &'a BTreeMap<String, Json>,
    /// Where its effect can be seen; taken away when it turns out that it can't.
    pub(crate) effect: RefCell<Option<EffectSource>>,
    /// By how much one forward call changes the measured number, once that is known.
    pub(crate) unit: Cell<Option<f64>>,
    /// Sagas whose effect may still be there, and why.
    pub(crate) left_behind: RefCell<Vec<String>>,
    sagas: Cell<u32>,
    turns: Cell<usize>,
}

/// One call to be made.
#[derive(Clone, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) saga: &'a SagaId,
    pub(crate) op: Op,
    pub(crate) attempt: u32,
    pub(crate) forward_outcome: ForwardOutcome,
    pub(crate) forward_output: Option<&'a Json>,
    pub(crate) token: Option<u64>,
    pub(crate) signing: Signing,
}

impl<'a> Desk<'a> {
    /// A desk for the step at `index` of the plan.
    pub(crate) fn new(
        (plan, sandbox, wire): (&'a Plan, &'a Sandbox, &'a Wire),
        index: StepIndex,
        urls: &'a [Url],
        lock_keys: &'a [String],
        outputs: &'a BTreeMap<String, Json>,
    ) -> Self {
        let effect = plan.effects.get(plan.definition.step(index).id.as_str()).cloned();
        Self {
            plan,
            sandbox,
            wire,
            index,
            urls,
            lock_keys,
            outputs,
            effect: RefCell::new(effect),
            unit: Cell::new(None),
            left_behind: RefCell::default(),
            sagas: Cell::new(0),
            turns: Cell::new(0),
        }
    }

    pub(crate) fn step(&self) -> &Step {
        self.plan.definition.step(self.index)
    }

    pub(crate) fn forward_op(&self) -> Op {
        self.step().forward_op()
    }

    pub(crate) fn undo_op(&self) -> Op {
        self.step().undo_op()
    }

    /// The id of a saga that nobody has heard of.
    ///
    /// # Errors
    ///
    /// A sentence: the run's name is no part of an id.
    pub(crate) fn new_saga(&self) -> Result<SagaId, String> {
        self.sagas.set(self.sagas.get() + 1);
        let id = format!("{}-{}-{}", self.sandbox.run, self.index.get(), self.sagas.get());
        SagaId::new(id).map_err(|error| error.to_string())
    }

    /// Whether effects can be seen.
    pub(crate) fn sees_effects(&self) -> bool {
        self.effect.borrow().is_some()
    }

    /// The measured number as it is now; none where no effect can be seen.
    ///
    /// # Errors
    ///
    /// A sentence: it was asked for in vain.
    pub(crate) async fn measure(&self) -> Result<Option<f64>, String> {
        let Some(source) = self.effect.borrow().clone() else { return Ok(None) };
        let url = if source.url.starts_with('/') {
            self.below_base(&source.url)?
        } else {
            Url::parse(&source.url).map_err(|error| format!("{}: {error}", source.url))?
        };
        let mut headers = HeaderMap::new();
        // Another server has no business with what authorizes us here.
        if self.urls.iter().any(|base| base.origin() == url.origin()) {
            self.add_own_headers(&mut headers);
        }
        let parcel = Parcel { method: Method::GET, url, headers, body: None };
        source.number(&self.wire.send(&parcel).await).map(Some)
    }

    /// The request of `call`, as a coordinator would make it.
    ///
    /// # Errors
    ///
    /// A sentence: the definition gives none here.
    pub(crate) fn parcel(&self, call: &Call<'_>) -> Result<Parcel, String> {
        let step = self.step();
        let operation = step
            .operation(call.op)
            .ok_or_else(|| format!("the step {} has no {}", step.id, call.op))?;
        let rendered = |error: amends_core::expression::ExpressionError| error.to_string();
        let scope = self.scope(call);
        let body = match &operation.body {
            Some(body) => Some(body.render(&scope).map_err(rendered)?),
            None if call.op.is_undo() => {
                let forward = Call { op: self.forward_op(), ..call.clone() };
                let scope = self.scope(&forward);
                step.forward
                    .body
                    .as_ref()
                    .map(|body| body.render(&scope))
                    .transpose()
                    .map_err(rendered)?
            }
            None => None,
        };
        let body = body.map(|body| body.as_str().to_owned());
        let path = operation.path.render(&scope).map_err(rendered)?;
        let envelope = self.envelope(call);
        let mut headers = HeaderMap::new();
        for (name, value) in &operation.headers {
            crate::headers::put(
                &mut headers,
                name,
                &value.render_header(&scope).map_err(rendered)?,
            )?;
        }
        headers.extend(envelope.headers(body.is_some())?);
        if let Some(secret) = &self.plan.secret {
            envelope.sign(
                &mut headers,
                body.as_deref().unwrap_or_default(),
                secret,
                call.signing,
            )?;
        }
        self.add_own_headers(&mut headers);
        let method =
            Method::from_bytes(operation.method.as_bytes()).map_err(|error| error.to_string())?;
        Ok(Parcel { method, url: self.below_base(&path)?, headers, body })
    }

    fn envelope<'b>(&'b self, call: &Call<'b>) -> Envelope<'b> {
        Envelope {
            saga: call.saga.as_str(),
            step: &self.step().id,
            op: call.op,
            attempt: call.attempt,
            forward_outcome: Some(call.forward_outcome),
            token: call.token.map(|token| (token, self.lock_keys)),
            now: (self.sandbox.now)(),
            timeout: self.plan.limits.timeout,
        }
    }

    fn scope<'b>(&'b self, call: &Call<'b>) -> Scope<'b> {
        let own = call.forward_output.filter(|_| !call.op.is_forward());
        let own = own.map(|output| (self.step().id.as_str(), output));
        let before = self.outputs.iter().map(|(id, output)| (id.as_str(), output));
        let steps = before.chain(own).map(|(id, output)| ScopeStep {
            id,
            status: "succeeded",
            output: Some(output),
        });
        Scope {
            saga_id: call.saga,
            labels: &self.sandbox.labels,
            input: &self.plan.input,
            steps: steps.collect(),
            step_key: Some(format!("{}/{}/{}", call.saga, self.step().id, call.op)),
            forward: call.op.is_undo().then_some(ScopeForward {
                outcome: call.forward_outcome,
                output: call.forward_output,
            }),
        }
    }

    /// `path` below the base URL whose turn it is.
    fn below_base(&self, path: &str) -> Result<Url, String> {
        let turn = self.turns.get();
        self.turns.set(turn.wrapping_add(1));
        let base = self.urls.get(turn % self.urls.len().max(1)).ok_or("no address is given")?;
        let text = format!("{}{path}", base.as_str().trim_end_matches('/'));
        Url::parse(&text).map_err(|error| format!("{text}: {error}"))
    }

    fn add_own_headers(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.plan.headers {
            headers.insert(name.clone(), value.clone());
        }
    }

    /// Sends what could be made; what could not is an answer too.
    pub(crate) async fn send(&self, parcel: Result<Parcel, String>) -> Answer {
        match parcel {
            Ok(parcel) => self.wire.send(&parcel).await,
            Err(why) => Answer::Unsent(why),
        }
    }
}
