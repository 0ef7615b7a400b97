//! The closed sets of words that the API answers with, open to words of later servers.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Declares an enum over words of the API.
macro_rules! words {
    (
        $(#[$about:meta])*
        $name:ident { $($(#[$meaning:meta])* $variant:ident = $word:literal,)+ }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$meaning])* $variant,)+
            /// A word that this version of the client does not know.
            Other(String),
        }

        impl $name {
            /// The word as the API writes it.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Other(word) => word,
                }
            }
        }

        impl From<String> for $name {
            fn from(word: String) -> Self {
                match word.as_str() {
                    $($word => Self::$variant,)+
                    _ => Self::Other(word),
                }
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> Self {
                Self::from(word.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(word: $name) -> Self {
                word.as_str().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// Where a saga stands.
    Status {
        /// Accepted; waits for its lock keys or its start time.
        Queued = "queued",
        /// Its steps run, or its client enlists branches.
        Running = "running",
        /// Commit is decided; what comes after is on its way.
        Confirming = "confirming",
        /// Abort is decided; what may have happened is being undone.
        Compensating = "compensating",
        /// A call that must not give up needs an operator.
        Suspended = "suspended",
        /// Ended: all took effect.
        Completed = "completed",
        /// Ended: all that may have happened is undone.
        Compensated = "compensated",
        /// Ended: given up by an operator.
        Abandoned = "abandoned",
    }
}

impl Status {
    /// Whether the saga has ended: nothing about it changes any more.
    pub fn is_ended(&self) -> bool {
        matches!(self, Self::Completed | Self::Compensated | Self::Abandoned)
    }

    /// Whether the saga has ended or is suspended: it waits for nobody, or for an operator.
    pub fn is_settled(&self) -> bool {
        self.is_ended() || *self == Self::Suspended
    }
}

words! {
    /// The one decision of a saga.
    Decision {
        /// Go forward only.
        Commit = "commit",
        /// Undo what may have happened.
        Abort = "abort",
    }
}

words! {
    /// Who leads a saga.
    Mode {
        /// Its definition.
        Definition = "definition",
        /// Its client: an interactive transaction.
        Interactive = "interactive",
    }
}

words! {
    /// What a step consists of.
    StepKind {
        /// An action, maybe with its compensation.
        Saga = "saga",
        /// Try, confirm and cancel.
        Tcc = "tcc",
    }
}

words! {
    /// Where a step stands.
    StepStatus {
        /// Nothing of it was sent.
        Waiting = "waiting",
        /// Its forward call is open.
        Running = "running",
        /// Its forward call took effect.
        Succeeded = "succeeded",
        /// Its forward call will not be tried again.
        Failed = "failed",
        /// It is not run.
        Skipped = "skipped",
        /// It failed, and that does not matter.
        Ignored = "ignored",
        /// Its undo is open.
        Undoing = "undoing",
        /// It is undone.
        Undone = "undone",
        /// Its confirm is open.
        Confirming = "confirming",
        /// It is confirmed.
        Confirmed = "confirmed",
        /// A call of it needs an operator.
        Stuck = "stuck",
    }
}

words! {
    /// An operation of a step.
    Op {
        /// Forward operation of a saga step.
        Action = "action",
        /// Undo of a saga step.
        Compensation = "compensation",
        /// Forward operation of a TCC step.
        Try = "try",
        /// Called on a TCC step after the commit decision.
        Confirm = "confirm",
        /// Undo of a TCC step.
        Cancel = "cancel",
    }
}

words! {
    /// Where a call stands.
    CallState {
        /// An attempt may be on its way.
        InFlight = "in_flight",
        /// The next attempt waits for its time.
        WaitingRetry = "waiting_retry",
        /// It was accepted and will be answered later.
        Pending = "pending",
        /// It took effect.
        Succeeded = "succeeded",
        /// It had no effect, and that is final.
        Refused = "refused",
        /// It will not be tried again and may have had an effect.
        Unknown = "unknown",
        /// Its attempts are used up; an operator is needed.
        Stuck = "stuck",
    }
}

words! {
    /// What became of an attempt.
    Outcome {
        /// It took effect.
        Succeeded = "succeeded",
        /// It was accepted and will be answered later.
        Pending = "pending",
        /// It definitely had no effect.
        Refused = "refused",
        /// It had no effect or none is known.
        Retryable = "retryable",
        /// It may have had an effect.
        Unknown = "unknown",
        /// Every attempt timed out (explorations only).
        TimedOut = "timed_out",
    }
}

words! {
    /// How bad a fault of a document is.
    Severity {
        /// The document is refused.
        Error = "error",
        /// The document is taken; its author should look.
        Warning = "warning",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_later_servers_are_kept() {
        let known: Status = serde_json::from_str("\"compensating\"").unwrap();
        assert_eq!(known, Status::Compensating);
        let unknown: Status = serde_json::from_str("\"hibernating\"").unwrap();
        assert_eq!(unknown, Status::Other("hibernating".to_owned()));
        assert_eq!(serde_json::to_string(&unknown).unwrap(), "\"hibernating\"");
        assert!(!unknown.is_settled());
    }

    #[test]
    fn settled_is_ended_or_suspended() {
        for (status, is_ended, is_settled) in [
            (Status::Queued, false, false),
            (Status::Running, false, false),
            (Status::Confirming, false, false),
            (Status::Compensating, false, false),
            (Status::Suspended, false, true),
            (Status::Completed, true, true),
            (Status::Compensated, true, true),
            (Status::Abandoned, true, true),
        ] {
            assert_eq!((status.is_ended(), status.is_settled()), (is_ended, is_settled));
        }
    }
}
