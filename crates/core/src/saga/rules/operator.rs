//! The operator of a world: asks for anything, and says of a call only what is so.

use super::moves::Ask;
use super::story::{Entry, Fate};
use super::world::World;
use crate::saga::{Actor, CallId, CallState, Command, Decision, Event, Input, Refusal};

impl World {
    /// Asks for something. What is permitted is done, and nothing else.
    pub(super) fn ask(&mut self, what: Ask, pick: usize) {
        let Some(index) = pick.checked_rem(self.truth.len()) else { return };
        let step = self.saga.definition().steps[index].id.clone();
        let command = match what {
            Ask::Pause => Command::Pause,
            Ask::Resume => Command::Resume,
            Ask::Cancel => Command::Cancel,
            Ask::RetryOne => Command::RetryNow { step: Some(step) },
            Ask::RetryAll => Command::RetryNow { step: None },
            Ask::Skip => Command::Skip { step },
            Ask::Succeeded => Command::ResolveSucceeded { step, output: None, op: None },
            Ask::Failed => Command::ResolveFailed { step },
            Ask::Undone => Command::ResolveUndone { step },
            Ask::Abandon => Command::Abandon,
        };
        let permitted = self.saga.permits(&command);
        if permitted.is_ok() && !self.look(&command, index) {
            return;
        }
        let told = self.command(command.clone());
        if told != permitted {
            self.faults.push(format!("{command:?} was {permitted:?} and became {told:?}"));
        }
        let is_committed = self.records.iter().any(|record| {
            matches!(record.event, Event::Decided { decision: Decision::Commit, .. })
        });
        if command == Command::Cancel && is_committed && !self.has_ended() {
            let is_refused = told == Err(Refusal::Committed);
            if !is_refused {
                self.faults.push(format!("cancelled after commit: {told:?}"));
            }
        }
    }

    pub(super) fn command(&mut self, command: Command) -> Result<(), Refusal> {
        self.command_of("ann", command)
    }

    pub(super) fn command_of(&mut self, name: &str, command: Command) -> Result<(), Refusal> {
        let by = Actor { name: name.to_owned(), reason: String::new() };
        self.tell(Input::Command { command, by })
    }

    /// Makes what a command claims true; whether that can be.
    fn look(&mut self, command: &Command, index: usize) -> bool {
        let Some(call) = self.unsettled(index) else { return true };
        match command {
            Command::ResolveSucceeded { .. } => {
                self.entries.push(Entry::Settled { call, fate: Fate::Dirty });
                self.take(call, true)
            }
            Command::ResolveFailed { .. } => {
                if self.truth[index].effect {
                    return false;
                }
                self.late.retain(|late| *late != call);
                self.pending.remove(&call);
                self.entries.push(Entry::Cleared(call.step));
                true
            }
            Command::ResolveUndone { .. } => self.take(call, true),
            _ => true,
        }
    }

    fn unsettled(&self, index: usize) -> Option<CallId> {
        let is_unsettled = |step: usize, state: &CallState| {
            step == index && matches!(state, CallState::Waiting { .. } | CallState::Stuck { .. })
        };
        let mut calls = self.saga.calls();
        let (step, op, _) = calls.find(|(step, _, call)| is_unsettled(step.get(), &call.state))?;
        Some(CallId { step, op })
    }
}
