//! What coordinators tell one another through the inbox: commands and completions for sagas that
//! another one drives.

use amends_core::StepId;
use amends_core::saga::{Actor, Answer, Command, Op};
use serde::{Deserialize, Serialize};

/// A message in the inbox. Its JSON is read by other releases: what is added needs a new
/// [`amends_core::saga::JournalFormat`], as facts do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum InboxMessage {
    /// A command.
    Command {
        /// What is asked.
        command: Command,
        /// Who and why.
        by: Actor,
    },
    /// The end of a pending call.
    Complete {
        /// The step.
        step: StepId,
        /// The operation.
        op: Op,
        /// What became of it.
        answer: Box<Answer>,
    },
}

/// What the owner answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum InboxResult {
    /// It was carried out, and is durable.
    Done,
    /// The state machine refused it: ask the saga why.
    Refused,
}

impl InboxResult {
    /// As the store keeps it.
    pub(crate) fn encode(self) -> String {
        serde_json::to_string(&self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A release that knows no `op` must not take the message for one without.
    #[test]
    fn a_resolved_call_is_named_in_the_message() {
        let text = r#"{"command":{"command":{"resolve_succeeded":{"step":"pay","output":null,"op":"try"}},"by":{}}}"#;
        let (step, op) = (StepId::new("pay").unwrap(), Some(Op::Try));
        let command = Command::ResolveSucceeded { step, output: None, op };
        let message = InboxMessage::Command { command, by: Actor::default() };
        assert_eq!(serde_json::to_string(&message).unwrap(), text);
        assert_eq!(serde_json::from_str::<InboxMessage>(text).unwrap(), message);
        let unknown = text.replace("\"op\"", "\"since_format_3\"");
        assert!(serde_json::from_str::<InboxMessage>(&unknown).is_err());
    }
}
