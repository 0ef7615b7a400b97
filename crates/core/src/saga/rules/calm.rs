//! What follows the moves: nothing disturbs any more, so the saga has to come to rest.

use super::moves::{Move, Reply, Weather, Wish, any_moves};
use super::plan::{Plan, Role, any_plan};
use super::story::Story;
use super::world::World;
use crate::Timestamp;
use crate::saga::{CallState, Command, Input, Status, Timer};
use proptest::prelude::*;

/// How participants answer in the end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Calm {
    /// Everything that can succeed does.
    Kind,
    /// Everything is refused.
    Refusing,
    /// Nothing is answered.
    Silent,
}

/// A definition, what happens to a saga of it, and how it goes on for good.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) plan: Plan,
    moves: Vec<Move>,
    pub(super) calm: Calm,
}

/// Inputs until rest: far above six steps with twenty attempts each.
const INPUTS_MAX: usize = 2_000;

pub(super) fn any_run(weather: Weather) -> impl Strategy<Value = Run> {
    let calm =
        prop_oneof![3 => Just(Calm::Kind), 1 => Just(Calm::Refusing), 1 => Just(Calm::Silent)];
    (any_plan(weather), any_moves(weather), calm).prop_map(|(plan, moves, calm)| Run {
        plan,
        moves,
        calm,
    })
}

impl Run {
    /// Plays it to the end.
    pub(super) fn story(&self) -> Story {
        let mut world = World::new(&self.plan);
        for one in &self.moves {
            world.play(one);
        }
        world.calm_down(self.calm);
        while !world.late.is_empty() {
            world.play(&Move::Late { pick: 0 });
        }
        for call in std::mem::take(&mut world.pending) {
            world.take(call, true);
        }
        world.crash(usize::MAX, 0);
        world.into_story()
    }
}

impl World {
    fn calm_down(&mut self, calm: Calm) {
        if self.is_held {
            self.crash(usize::MAX, 0);
        }
        if self.saga.is_paused() && !self.has_ended() {
            let _ = self.command(Command::Resume);
        }
        let mut inputs = 0;
        while !self.has_ended() && self.step_on(calm) {
            inputs += 1;
            if inputs > INPUTS_MAX {
                self.faults.push(format!("no rest after {INPUTS_MAX} inputs"));
                return;
            }
        }
        self.check_rest(calm);
    }

    /// Does the next thing; whether there was one.
    fn step_on(&mut self, calm: Calm) -> bool {
        let reply = match calm {
            Calm::Kind => Reply::Succeed,
            Calm::Refusing => Reply::Refuse,
            Calm::Silent => Reply::Silence { took_effect: false },
        };
        if let Some(call) = self.open.keys().next().copied() {
            self.answer(call, reply);
            return true;
        }
        if self.lock_asked {
            self.grant();
            return true;
        }
        let waited_for = |world: &Self| {
            let is_pending = |call: &_| matches!(world.state(*call), CallState::Pending { .. });
            world.pending.iter().copied().find(is_pending)
        };
        if let Some(call) = waited_for(self).filter(|_| calm != Calm::Silent) {
            self.complete(call, reply);
            return true;
        }
        let next = self.timers.iter().filter(|(timer, _)| self.is_worth(**timer, calm));
        let next = next.min_by_key(|(_, at)| **at).map(|(timer, _)| *timer);
        if let Some(timer) = next {
            self.fire(timer);
            return true;
        }
        match self.plan.role {
            Role::Part { commits } if self.is_prepared() => {
                self.wish(Wish::Decide { commits }, 0);
                true
            }
            Role::Alone | Role::Part { .. } | Role::Interactive { .. } => false,
        }
    }

    /// Where nothing gets better, stuck calls may be tried for ever.
    fn is_worth(&self, timer: Timer, calm: Calm) -> bool {
        match timer {
            Timer::Retry(call) if calm != Calm::Kind => {
                !matches!(self.state(call), CallState::Stuck { .. })
            }
            _ => true,
        }
    }

    /// Rule 2: it has ended, or it is suspended and says why.
    fn check_rest(&mut self, calm: Calm) {
        let text = self.saga.explain();
        if !self.has_ended() {
            let stuck =
                self.saga.stuck().map(|(step, op)| (&self.saga.definition().step(step).id, op));
            let says_why = stuck.is_some_and(|(step, op)| {
                text.contains(step.as_str()) && text.contains(op.as_str())
            });
            if self.saga.status() != Status::Suspended || !says_why {
                self.faults.push(format!("at rest, but not at an end: {text}"));
            }
            if calm == Calm::Kind && self.plan.is_sound() {
                self.faults.push(format!("everything succeeds, but it does not end: {text}"));
            }
            return;
        }
        for wish in [Wish::Commit, Wish::Cancel, Wish::Repeat, Wish::Extend { secs: 9 }] {
            self.wish(wish, 0);
        }
        let late = Input::Recovered { epoch: 99 };
        let handled = self.saga.handle(Timestamp(i64::MAX), late);
        if handled.is_ok() || !self.open.is_empty() {
            self.faults.push(format!("not over after its end: {handled:?}, {:?}", self.open));
        }
    }
}
