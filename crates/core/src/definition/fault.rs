//! What is wrong with a document: where, what, and what to do.

use serde::{Deserialize, Serialize};

/// Whether a fault keeps a definition from being stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The definition is refused.
    Error,
    /// The definition is stored; its author should look.
    Warning,
}

/// One fault of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// JSON pointer (RFC 6901) to the place; the empty text is the whole document.
    pub pointer: String,
    /// Stable code.
    pub code: FaultCode,
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong and what to do about it.
    pub detail: String,
}

macro_rules! fault_codes {
    ($($(#[doc = $doc:literal])+ $name:ident => $text:literal, $severity:ident;)+) => {
        /// Stable code of a fault; each has a section in `docs/error-codes.md`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum FaultCode {
            $($(#[doc = $doc])+ #[serde(rename = $text)] $name,)+
        }

        impl FaultCode {
            /// All codes.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The code as it is written.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// Whether it refuses the definition.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)+ }
            }

            /// One sentence on what the code means.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii_start(),)+ }
            }
        }
    };
}

fault_codes! {
    /// The document is not JSON or YAML.
    Syntax => "syntax", Error;
    /// A field has a value of the wrong type or form.
    WrongType => "wrong-type", Error;
    /// A field that no definition has; often a spelling mistake.
    UnknownField => "unknown-field", Error;
    /// A field that must be there is missing.
    MissingField => "missing-field", Error;
    /// Two fields that exclude each other, or one that does not fit the kind of step.
    FieldConflict => "field-conflict", Error;
    /// An id or name with a character or length that is not allowed.
    BadId => "bad-id", Error;
    /// Two steps with the same id.
    DuplicateId => "duplicate-id", Error;
    /// `after` names a step that does not exist.
    UnknownStep => "unknown-step", Error;
    /// Steps wait for one another in a circle.
    Cycle => "cycle", Error;
    /// A step names a participant that is not registered.
    UnknownParticipant => "unknown-participant", Error;
    /// An expression that does not parse.
    BadExpression => "bad-expression", Error;
    /// An expression names something that cannot be known where it stands.
    UnknownReference => "unknown-reference", Error;
    /// A step before the pivot that cannot be undone and does not say so.
    MissingUndo => "missing-undo", Error;
    /// Two pivots on one path.
    TwoPivots => "two-pivots", Error;
    /// A pivot or TCC step that is also optional.
    CannotBeOptional => "cannot-be-optional", Error;
    /// A TCC step without confirm or cancel.
    IncompleteTcc => "incomplete-tcc", Error;
    /// A TCC step that would be tried after the pivot, when nothing may be cancelled any more.
    TccPastPivot => "tcc-past-pivot", Error;
    /// A duration, number or retry policy that is out of range.
    OutOfRange => "out-of-range", Error;
    /// A header that the engine sets itself or that HTTP does not allow.
    ForbiddenHeader => "forbidden-header", Error;
    /// Too many steps, keys, bytes or levels.
    TooLarge => "too-large", Error;
    /// An input schema that is not a JSON schema, or refers to another document.
    BadSchema => "bad-schema", Error;
    /// An endpoint of a participant that is no base URL which may be called.
    BadEndpoint => "bad-endpoint", Error;
    /// A target that the server's settings do not allow to be called.
    TargetNotAllowed => "target-not-allowed", Error;
    /// A secret that cannot be used: empty, masked, ill-formed or in a forbidden place.
    BadSecret => "bad-secret", Error;
    /// Something that this release cannot do.
    NotSupported => "not-supported", Error;
    /// An undo reads the output of a call whose outcome may be unknown.
    UndoReadsUnknown => "undo-reads-unknown", Warning;
    /// The retries of a step can take longer than the deadline.
    RetryPastDeadline => "retry-past-deadline", Warning;
    /// A participant is used without a time-out of its own, the step's or the definition's.
    NoTimeout => "no-timeout", Warning;
    /// Two steps that do not wait for each other write to one participant.
    ConcurrentWrites => "concurrent-writes", Warning;
    /// Sagas of this definition may work on one business key at once.
    NoLock => "no-lock", Warning;
    /// An undo that can never run, since the step comes after the pivot.
    UselessUndo => "useless-undo", Warning;
}

impl Fault {
    /// A fault with the severity that goes with its code.
    pub fn new(pointer: impl Into<String>, code: FaultCode, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code, severity: code.severity(), detail: detail.into() }
    }

    /// Whether it refuses the definition.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}
