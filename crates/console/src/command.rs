//! Commands on a saga: which are offered, in which words, and how a form becomes one.

use std::time::Duration;

use amends_core::definition::Mode;
use amends_core::saga::{Command, Op, Saga};
use amends_core::{Json, StepId, Timestamp, parse_duration};

use crate::look::Look;
use crate::step_state::of_step;

/// Most characters of a reason, as everywhere in the API.
const REASON_CHARS_MAX: usize = 1_024;
/// Deepest nesting of an output that an operator gives, as everywhere in the API.
const JSON_DEPTH_MAX: usize = 64;
/// How far a deadline can be put off, as everywhere in the API.
const DEADLINE_MIN: Duration = Duration::from_secs(1);
const DEADLINE_MAX: Duration = Duration::from_hours(24 * 366);

/// One command as it is offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommandForm {
    /// Unique on the page.
    pub(crate) id: String,
    /// The word that the API has for it.
    pub(crate) command: &'static str,
    /// The step; empty for the whole saga.
    pub(crate) step: String,
    /// The operation of the call that is shown, where the command must say which it is about.
    pub(crate) op: Option<Op>,
    pub(crate) label: &'static str,
    /// What it does.
    pub(crate) meaning: &'static str,
    /// Whether it ends what the saga was for.
    pub(crate) is_grave: bool,
    pub(crate) needs_reason: bool,
    pub(crate) takes_output: bool,
    pub(crate) takes_deadline: bool,
}

/// The commands on one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StepCommands {
    pub(crate) step: String,
    pub(crate) look: Look,
    pub(crate) forms: Vec<CommandForm>,
    /// Nothing about the step calls for somebody: offered, but folded away.
    pub(crate) is_minor: bool,
}

/// The commands on the whole saga that are permitted at the time `now`; in an interactive
/// transaction what decides it stands first.
pub(crate) fn on_saga(saga: &Saga, now: Timestamp) -> Vec<CommandForm> {
    let mut commands = saga.permitted();
    let extend = Command::Extend { until: now };
    if saga.permits(&extend).is_ok() {
        commands.push(extend);
    }
    if saga.mode() == Mode::Interactive {
        let decides = |command: &Command| {
            matches!(command, Command::Commit | Command::Cancel | Command::Extend { .. })
        };
        commands.sort_by_key(|command| !decides(command));
    }
    commands.iter().map(|command| CommandForm::new(command, saga.mode())).collect()
}

/// The commands on steps that are permitted now, steps that need somebody first.
pub(crate) fn on_steps(saga: &Saga) -> Vec<StepCommands> {
    let mut groups: Vec<StepCommands> = saga
        .definition()
        .indices()
        .map(|index| {
            let permitted = saga.permitted_on(index);
            StepCommands {
                step: saga.definition().step(index).id.to_string(),
                look: of_step(saga, index),
                forms: permitted
                    .iter()
                    .map(|command| CommandForm::new(command, saga.mode()))
                    .collect(),
                is_minor: permitted.iter().all(|command| matches!(command, Command::Skip { .. })),
            }
        })
        .filter(|group| !group.forms.is_empty())
        .collect();
    groups.sort_by_key(|group| group.is_minor);
    groups
}

impl CommandForm {
    fn new(command: &Command, mode: Mode) -> Self {
        let step = match command {
            Command::Pause
            | Command::Resume
            | Command::Cancel
            | Command::Abandon
            | Command::Commit
            | Command::Extend { .. }
            | Command::Enlist { .. }
            | Command::ParentDecided { .. }
            | Command::Replace
            | Command::ReleaseLock => None,
            Command::RetryNow { step } => step.as_ref(),
            Command::Skip { step }
            | Command::ResolveSucceeded { step, .. }
            | Command::ResolveFailed { step }
            | Command::ResolveUndone { step } => Some(step),
        };
        let step = step.map(ToString::to_string).unwrap_or_default();
        let op = if let Command::ResolveSucceeded { op, .. } = command { *op } else { None };
        let (label, meaning) = words(command, mode);
        let is_easy = matches!(
            command,
            Command::Pause | Command::Resume | Command::RetryNow { .. } | Command::Extend { .. }
        );
        Self {
            id: format!("do-{step}-{}", command.as_str()),
            command: command.as_str(),
            step,
            op,
            label,
            meaning,
            is_grave: matches!(command, Command::Cancel | Command::Abandon),
            needs_reason: !is_easy,
            takes_output: matches!(command, Command::ResolveSucceeded { .. }),
            takes_deadline: matches!(command, Command::Extend { .. }),
        }
    }
}

const fn words(command: &Command, mode: Mode) -> (&'static str, &'static str) {
    match command {
        Command::Commit => (
            "Commit",
            "You decide for the client: what it called counts as done, and confirmations and \
             messages go out.",
        ),
        Command::Cancel if matches!(mode, Mode::Interactive) => (
            "Roll back",
            "You decide for the client: whatever it may have called is undone or cancelled.",
        ),
        Command::Extend { .. } => {
            ("Extend", "The client gets more time: the new deadline counts from now.")
        }
        Command::Pause => ("Pause", "Nothing new starts. Calls that are in flight are heard out."),
        Command::Resume => ("Resume", "What was held back starts."),
        Command::Cancel => (
            "Cancel",
            "The saga aborts: no further step starts, and what may have happened is undone.",
        ),
        Command::RetryNow { step: None } => (
            "Retry now",
            "Every call that waits or is stuck is tried again at once, and its attempts count anew.",
        ),
        Command::RetryNow { .. } => {
            ("Retry now", "The call is tried again at once, and its attempts count anew.")
        }
        Command::Skip { .. } => {
            ("Skip", "The step is not run; the steps after it go on without its output.")
        }
        Command::ResolveSucceeded { .. } => (
            "It succeeded",
            "You have looked at the participant: the call took effect. Give its output if later \
             steps read it.",
        ),
        Command::ResolveFailed { .. } => (
            "It failed",
            "You have looked at the participant: the call had no effect and cannot have one later.",
        ),
        Command::ResolveUndone { .. } => (
            "It is undone",
            "You have looked at the participant: the effect is undone, or you have undone it by hand.",
        ),
        Command::Enlist { .. }
        | Command::ParentDecided { .. }
        | Command::Replace
        | Command::ReleaseLock => ("Nothing", "No form of this page sends it."),
        Command::Abandon => (
            "Abandon",
            "The saga ends as it stands. What is half done stays half done and is yours to mend.",
        ),
    }
}

/// What a form sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    pub(crate) command: Command,
    pub(crate) reason: String,
}

/// The value of a form's field, without white space around it.
pub(crate) fn field<'a>(pairs: &'a [(String, String)], name: &str) -> &'a str {
    pairs.iter().find(|(own, _)| own == name).map_or("", |(_, value)| value.trim())
}

/// The reason that a form gives.
///
/// # Errors
///
/// A sentence for the one who sent it.
pub(crate) fn reason(pairs: &[(String, String)]) -> Result<String, String> {
    let reason = field(pairs, "reason").to_owned();
    if reason.chars().count() > REASON_CHARS_MAX || reason.contains('\0') {
        return Err(format!(
            "The reason must have at most {REASON_CHARS_MAX} characters and no NUL character."
        ));
    }
    Ok(reason)
}

/// Reads a form that was sent at the time `now`.
///
/// # Errors
///
/// A sentence for the one who sent it.
pub(crate) fn read(pairs: &[(String, String)], now: Timestamp) -> Result<Asked, String> {
    let field = |name: &str| field(pairs, name);
    let reason = reason(pairs)?;
    let step = || {
        StepId::new(field("step")).map_err(|error| format!("The step {:?} {error}.", field("step")))
    };
    let command = match field("command") {
        "pause" => Command::Pause,
        "resume" => Command::Resume,
        "cancel" => Command::Cancel,
        "abandon" => Command::Abandon,
        "commit" => Command::Commit,
        "extend" => Command::Extend { until: now.after(deadline(field("deadline"))?) },
        "retry" if field("step").is_empty() => Command::RetryNow { step: None },
        "retry" => Command::RetryNow { step: Some(step()?) },
        "skip" => Command::Skip { step: step()? },
        "resolve-succeeded" => Command::ResolveSucceeded {
            step: step()?,
            output: output(field("output"))?,
            op: Some(op(field("op"))?),
        },
        "resolve-failed" => Command::ResolveFailed { step: step()? },
        "resolve-undone" => Command::ResolveUndone { step: step()? },
        other => return Err(format!("{other:?} is no command.")),
    };
    let form = CommandForm::new(&command, Mode::Definition);
    if form.needs_reason && reason.is_empty() {
        return Err(format!("“{}” needs a reason, for the journal.", form.label));
    }
    Ok(Asked { command, reason })
}

fn deadline(text: &str) -> Result<Duration, String> {
    let deadline = parse_duration(text).map_err(|error| format!("The new deadline: {error}."))?;
    if (DEADLINE_MIN..=DEADLINE_MAX).contains(&deadline) {
        return Ok(deadline);
    }
    Err(format!("The new deadline must be 1s to 366d from now, not {text}."))
}

fn op(text: &str) -> Result<Op, String> {
    text.parse().map_err(|error| format!("The operation: {error}."))
}

fn output(text: &str) -> Result<Option<Json>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let json = Json::parse_bounded(text, JSON_DEPTH_MAX);
    json.map(Some).map_err(|error| format!("The output {error}."))
}

/// What a command that was carried out is confirmed with.
pub(crate) fn done(word: &str) -> Option<&'static str> {
    Some(match word {
        "pause" => "Paused. Nothing new starts until it is resumed.",
        "resume" => "Resumed.",
        "cancel" => "The cancellation is in the journal.",
        "retry" => "The retry is on its way.",
        "skip" => "The step is skipped.",
        "resolve-succeeded" | "resolve-failed" | "resolve-undone" => "The step is resolved.",
        "abandon" => "The saga is abandoned.",
        "commit" => "The commit is in the journal.",
        "extend" => "The deadline is put off.",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(pairs: &[(&str, &str)]) -> Result<Asked, String> {
        let pairs: Vec<_> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        read(&pairs, Timestamp(0))
    }

    #[test]
    fn every_command_reads_back() {
        let step = Some(StepId::new("charge").unwrap());
        let asked = form(&[("command", "retry"), ("step", "charge"), ("reason", "")]).unwrap();
        assert_eq!(asked.command, Command::RetryNow { step });
        for word in ["pause", "resume", "cancel", "abandon", "skip", "resolve-failed", "commit"] {
            let asked = form(&[("command", word), ("step", "a"), ("reason", "seen")]).unwrap();
            assert_eq!(asked.command.as_str(), word);
            assert!(done(word).is_some());
        }
        let word = "resolve-succeeded";
        let pairs = [("command", word), ("step", "a"), ("op", "confirm"), ("reason", "seen")];
        let (step, op) = (StepId::new("a").unwrap(), Some(Op::Confirm));
        let resolved = Command::ResolveSucceeded { step, output: None, op };
        assert_eq!(form(&pairs).unwrap().command, resolved);
        assert!(done(word).is_some());
        let asked = form(&[("command", "extend"), ("deadline", "1m30s")]).unwrap();
        assert_eq!(asked.command, Command::Extend { until: Timestamp(90_000_000) });
        assert!(done("extend").is_some());
    }

    #[test]
    fn bad_forms_are_told_what_is_wrong() {
        assert!(form(&[("command", "explode")]).unwrap_err().contains("no command"));
        assert!(form(&[("command", "cancel")]).unwrap_err().contains("needs a reason"));
        let reason = |length| form(&[("command", "cancel"), ("reason", &"é".repeat(length))]);
        assert!(reason(1_024).is_ok());
        assert!(reason(1_025).unwrap_err().contains("at most 1024 characters"));
        let skip = form(&[("command", "skip"), ("step", "a b"), ("reason", "x")]);
        assert!(skip.unwrap_err().contains("step"));
        let output =
            [("command", "resolve-succeeded"), ("step", "a"), ("output", "{"), ("reason", "x")];
        assert!(form(&output).unwrap_err().contains("JSON"));
        let unnamed = [("command", "resolve-succeeded"), ("step", "a"), ("reason", "x")];
        assert!(form(&unnamed).unwrap_err().contains("operation"));
        for deadline in ["", "soon", "10ms", "400d"] {
            let extend = form(&[("command", "extend"), ("deadline", deadline)]);
            assert!(extend.unwrap_err().contains("deadline"), "{deadline:?}");
        }
    }
}
