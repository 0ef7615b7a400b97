//! The closed list of error codes. Clients act on the code; everything else is for people.

use http::StatusCode;

macro_rules! error_codes {
    ($($name:ident => $text:literal, $status:ident, $retryable:literal,
        $title:literal, $meaning:literal, $advice:literal;)+) => {
        /// Stable code of a problem; each has a section in `docs/error-codes.md`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ErrorCode {
            $(#[doc = $title] $name,)+
        }

        impl ErrorCode {
            /// All codes, by status.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The code as it is written.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// The status it is answered with.
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)+ }
            }

            /// Whether the same request may succeed later without being changed.
            pub const fn is_retryable(self) -> bool {
                match self { $(Self::$name => $retryable,)+ }
            }

            /// A few words.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)+ }
            }

            /// What it means.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)+ }
            }

            /// What to do about it.
            pub const fn advice(self) -> &'static str {
                match self { $(Self::$name => $advice,)+ }
            }
        }
    };
}

error_codes! {
    JsonSyntax => "json-syntax", BAD_REQUEST, false,
        "The body is not JSON",
        "The request's body is empty, cut off, starts with a byte order mark, or breaks a rule of JSON (RFC 8259); `detail` says where.",
        "Send one JSON value, as UTF-8 without a byte order mark.";
    YamlSyntax => "yaml-syntax", BAD_REQUEST, false,
        "The body is not YAML",
        "A definition that was sent as YAML cannot be read; `detail` says where.",
        "Mend the document, or send it as JSON. Anchors, aliases and tags are bounded or refused.";
    NotUtf8 => "not-utf8", BAD_REQUEST, false,
        "The body is not UTF-8",
        "The request's body holds bytes that are not UTF-8, for example UTF-16 or Latin-1.",
        "Encode the body as UTF-8.";
    TooDeep => "too-deep", BAD_REQUEST, false,
        "The body is nested too deeply",
        "Arrays and objects stand in one another deeper than 64 levels.",
        "Flatten the value, or send the deep part as a text.";
    DuplicateName => "duplicate-name", BAD_REQUEST, false,
        "A name stands twice in an object",
        "An object of the body has two members of one name, so that it is not clear which one is meant. `pointer` shows the place.",
        "Remove one of them.";
    NulCharacter => "nul-character", BAD_REQUEST, false,
        "The NUL character is not allowed",
        "A text holds the character U+0000, which the store cannot keep.",
        "Remove it; send binary data as base64.";
    BadParameter => "bad-parameter", BAD_REQUEST, false,
        "A parameter of the URL cannot be used",
        "The query holds an unknown parameter, or one whose value is not what it takes.",
        "See `detail` and the page `/docs` for the parameters of this route. A cursor must come from a page of the same list.";
    BadHeader => "bad-header", BAD_REQUEST, false,
        "A header cannot be used",
        "A request header that this route reads (`Idempotency-Key`, `If-Match`, `If-None-Match`, `Amends-Actor`) is ill-formed.",
        "See `detail` for the form that is expected.";
    CrossSiteRequest => "cross-site-request", FORBIDDEN, false,
        "Requests from other sites are refused",
        "A browser says that the request comes from a page of another site or origin (`Sec-Fetch-Site`, `Origin`). Or the server listens on a loopback address, and the request names another host (`Host`).",
        "Open the console under the address of the server itself, and set `server.public-url` to it.";
    RouteNotFound => "route-not-found", NOT_FOUND, false,
        "There is no such route",
        "Nothing answers under this path.",
        "See `/docs` for all routes. Paths have no slash at the end.";
    SagaNotFound => "saga-not-found", NOT_FOUND, false,
        "There is no such saga",
        "No saga has this id; it never existed, or it ended and its retention is over.",
        "Check the id with `GET /v1/sagas?q=…`.";
    StepNotFound => "step-not-found", NOT_FOUND, false,
        "The saga has no such step",
        "The definition that the saga runs has no step with this id.",
        "See `steps` of the saga for their ids.";
    DefinitionNotFound => "definition-not-found", NOT_FOUND, false,
        "There is no such definition",
        "No definition has this name, or it has no such version.",
        "Register it with `POST /v1/definitions`, or see `GET /v1/definitions` for the names.";
    ParticipantNotFound => "participant-not-found", NOT_FOUND, false,
        "There is no such participant",
        "No participant is registered under this name.",
        "Register it with `PUT /v1/participants/{name}`, or see `GET /v1/participants` for the names.";
    CallbackNotFound => "callback-not-found", NOT_FOUND, false,
        "There is no such callback",
        "The URL is not one that was handed out as `Saga-Callback-Url`.",
        "Call the URL of the header unchanged. Its token belongs to one call of one saga.";
    LockNotFound => "lock-not-found", NOT_FOUND, false,
        "Nobody holds this lock key or waits for it",
        "No saga has a ticket for the key: it is free, or no saga ever named it.",
        "Check the key with `GET /v1/locks?prefix=…`; in a path it must be percent-encoded.";
    MethodNotAllowed => "method-not-allowed", METHOD_NOT_ALLOWED, false,
        "The route does not take this method",
        "The path exists, but not with this method.",
        "Use one of the methods in the `Allow` header.";
    BodyTimeout => "body-timeout", REQUEST_TIMEOUT, true,
        "The body did not come in time",
        "The request's body was not complete within the bound, by default 10 seconds. Nothing was done.",
        "Send it again, faster.";
    CallbackLate => "callback-late", CONFLICT, false,
        "Nothing waits for this completion any more",
        "The call was completed before, or the time for it is over. This completion changed nothing.",
        "Nothing has to be done: the coordinator calls again, or undoes, as its definition says. Answer those calls by what you know.";
    ParticipantInUse => "participant-in-use", CONFLICT, false,
        "The participant is in use",
        "Definitions (their newest version, or one that a live saga runs) name this participant; `definitions` lists some of them.",
        "Register versions of them that name another one and wait for their sagas to end, or delete it with `?force=true`: its calls then fail until it is registered again.";
    SagaEnded => "saga-ended", CONFLICT, false,
        "The saga has ended",
        "The saga is completed, compensated or abandoned; nothing about it changes any more.",
        "Nothing. Start a new saga if its effect is wanted or is to be taken back.";
    CommitDecided => "commit-decided", CONFLICT, false,
        "The saga can only go forward",
        "Commit is decided: the pivot has succeeded, every step is done, or the client of an interactive transaction asked for it and its nested sagas have done their parts. So the saga can not be cancelled, nor a step of it be given up, nor a branch be added.",
        "Let it complete; take its effect back with another saga if need be.";
    CommitRequested => "commit-requested", CONFLICT, false,
        "The client asked for the commit already",
        "An interactive transaction whose commit was asked for takes nothing else. Commit is decided when every nested saga has done its part; if one of them fails, or the deadline passes before, it aborts.",
        "Wait for the decision: commit again with `Prefer: wait`, which changes nothing.";
    AbortDecided => "abort-decided", CONFLICT, false,
        "The saga can only go back",
        "Abort is decided: its client or an operator cancelled it, its deadline passed, or a part of it failed. What may have happened is undone, or is undone already; a commit comes too late, and nothing can be added.",
        "Take it as rolled back. Begin a new transaction if its effect is still wanted.";
    NotInteractive => "not-interactive", CONFLICT, false,
        "The saga is not an interactive transaction",
        "Branches, commit and extend are for sagas that were begun with `mode: interactive`; what this one does, and when it commits, its definition says.",
        "Begin one with `POST /v1/sagas` and `\"mode\": \"interactive\"`.";
    NotRunning => "not-running", CONFLICT, true,
        "The transaction does not run",
        "It still waits for its lock keys, is paused, or has passed its deadline and its client is being asked after; `detail` says which. Nothing was changed.",
        "Wait until it runs: begin it with `Prefer: wait=N`, or look at `lock` of the saga. A transaction past its deadline takes nothing more.";
    ParentDecides => "parent-decides", CONFLICT, false,
        "Another saga decides",
        "The saga is a branch of another one and has done its part; whether it stays, that one decides.",
        "Cancel the other one: `parent` of the saga names it.";
    LockNotHeld => "lock-not-held", CONFLICT, true,
        "Nobody holds the lock key just now",
        "There is nothing to take away: sagas wait for the key, and the first one is about to get it.",
        "Look at the key again; ask again if it is held by the wrong saga then.";
    PivotUndecided => "pivot-undecided", CONFLICT, true,
        "The pivot's outcome is not known yet",
        "The pivot may have happened. Until its outcome is known the saga can go neither way.",
        "Ask again when it is known, or resolve the step after looking at the participant.";
    WrongStepState => "wrong-step-state", CONFLICT, false,
        "The step is not in a state for this command",
        "The command fits only a step in another state; `detail` names both. `allowed` lists what fits now.",
        "Look at the saga again; it may have gone on.";
    OtherCall => "other-call", CONFLICT, false,
        "Another call of the step is open now",
        "What was said is of the operation that `op` names, and the saga has gone on since: the step's open call is that of another one, and what became of that one nobody has said. `detail` names both.",
        "Look at the saga again. If its open call needs somebody, look into the participant's books for that one, and name it.";
    WrongStatus => "wrong-status", CONFLICT, false,
        "The saga is not in a status for this command",
        "The command fits only sagas in another status; `detail` names both. `allowed` lists what fits now.",
        "Look at the saga again; it may have gone on.";
    NothingToRetry => "nothing-to-retry", CONFLICT, false,
        "There is nothing to retry",
        "No call of the saga (or of the step named) waits for a retry or is stuck.",
        "Look at the saga again; it may have gone on.";
    RevisionMismatch => "revision-mismatch", PRECONDITION_FAILED, false,
        "Somebody else changed it meanwhile",
        "The stored revision is not the one that `If-Match` names (or there is one already, with `If-None-Match: *`). Nothing was changed.",
        "Read it again, apply the change to what it is now, and send it with the new `ETag`.";
    BodyTooLarge => "body-too-large", PAYLOAD_TOO_LARGE, false,
        "The body is too large",
        "The request's body is longer than the bound, by default 1 MiB.",
        "Keep large data elsewhere and send a reference to it.";
    UriTooLong => "uri-too-long", URI_TOO_LONG, false,
        "The URL is too long",
        "Path and query together have more than 16 KiB.",
        "Ask for less at once: fewer `label` conditions, a shorter prefix.";
    UnsupportedMediaType => "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, false,
        "The body's type is not accepted",
        "The `Content-Type` is missing or not one that the route takes, or the body is compressed (`Content-Encoding`).",
        "Send `Content-Type: application/json` (definitions also `application/yaml`) and no `Content-Encoding`.";
    UnknownField => "unknown-field", UNPROCESSABLE_ENTITY, false,
        "The body has an unknown field",
        "The document has a field that nothing reads, often a spelling mistake. `pointer` shows it; `faults` lists everything that is wrong.",
        "Correct or remove it.";
    MissingField => "missing-field", UNPROCESSABLE_ENTITY, false,
        "The body lacks a field",
        "A field that must be there is missing. `pointer` shows where.",
        "Add it.";
    WrongType => "wrong-type", UNPROCESSABLE_ENTITY, false,
        "A field has a value of the wrong type or form",
        "`pointer` shows the field, `detail` says what it takes.",
        "Correct it.";
    OutOfRange => "out-of-range", UNPROCESSABLE_ENTITY, false,
        "A value is out of range",
        "A number, duration, time or length is outside its bounds. `pointer` shows the field, `detail` the bounds.",
        "Correct it.";
    FieldConflict => "field-conflict", UNPROCESSABLE_ENTITY, false,
        "Two fields do not go together",
        "Two fields exclude each other, or a name in the body differs from the one in the path.",
        "Remove one of them.";
    BadId => "bad-id", UNPROCESSABLE_ENTITY, false,
        "An id or name is ill-formed",
        "An id or name in the path or the body is empty, too long, or holds a character that is not allowed.",
        "Use 1 to 128 letters, digits, `_`, `-` and `.`, a letter or digit first (step ids: at most 64, no `.`, a letter first).";
    DefinitionInvalid => "definition-invalid", UNPROCESSABLE_ENTITY, false,
        "The definition has faults",
        "The definition was not stored (or not started, if it came inside a start request). `faults` lists everything that is wrong, each with its place, code and what to do.",
        "Mend the faults whose severity is `error`; `POST /v1/definitions/validate` checks without storing.";
    ParticipantInvalid => "participant-invalid", UNPROCESSABLE_ENTITY, false,
        "The registration has faults",
        "The participant was not registered. `faults` lists everything that is wrong.",
        "Mend the faults and send it again.";
    InputInvalid => "input-invalid", UNPROCESSABLE_ENTITY, false,
        "The input does not fit the definition's schema",
        "The definition has an `input_schema`, and the input differs from it at the places that `faults` lists. No saga was started.",
        "Correct the input.";
    LockKeyInvalid => "lock-key-invalid", UNPROCESSABLE_ENTITY, false,
        "A lock key cannot be made from the input",
        "An expression under `lock.keys` of the definition failed on this input, or gave no text of 1 to 256 bytes without control characters. No saga was started.",
        "Correct the input or the expression; an `input_schema` catches such inputs earlier.";
    BranchInvalid => "branch-invalid", UNPROCESSABLE_ENTITY, false,
        "The branch or check-back has faults",
        "The branch was not added (or the transaction not begun, if its `prepared` has them). `faults` lists everything that is wrong: no way to undo or confirm it, an unknown participant or definition, a nested definition that cannot be undone, a field that is not known.",
        "Mend the faults and send it again under the same id.";
    BranchMismatch => "branch-mismatch", UNPROCESSABLE_ENTITY, false,
        "The branch's id is taken by another one",
        "The transaction has a branch with this id and other content; that one stands.",
        "Repeat a request unchanged, or give a new branch a new id.";
    TooManyBranches => "too-many-branches", UNPROCESSABLE_ENTITY, false,
        "The transaction has as many branches as it can have",
        "The number of branches of one transaction is bounded; `detail` names the bound.",
        "Split the work into several transactions, or nest sagas of several steps.";
    IdempotencyMismatch => "idempotency-mismatch", UNPROCESSABLE_ENTITY, false,
        "The key or id was used for another request",
        "A saga with this `Idempotency-Key` or id was made by a request with other content. Nothing was started.",
        "Repeat a request unchanged, or give a new request a new key and id.";
    Internal => "internal", INTERNAL_SERVER_ERROR, false,
        "A fault of the server",
        "Something happened that should not. The server's log has the details under the answer's `X-Request-Id`.",
        "Report it with the request id. A start with an `Idempotency-Key` or an id of your own is safe to repeat.";
    TimedOut => "timed-out", SERVICE_UNAVAILABLE, true,
        "The answer took too long",
        "The server did not finish within its bound, by default 30 seconds. What was asked may still happen.",
        "Repeat it: starts with the same `Idempotency-Key` or id, commands and registrations are harmless to repeat.";
    Draining => "draining", SERVICE_UNAVAILABLE, true,
        "The coordinator is shutting down",
        "It accepts no new sagas; those it has are handed over. Nothing was stored.",
        "Repeat the request after `Retry-After`, at another coordinator if there is one.";
    Overloaded => "overloaded", SERVICE_UNAVAILABLE, true,
        "The coordinator is at a bound",
        "As many requests, event streams, sagas in flight or journal entries as allowed are on their way; `detail` names the bound. Nothing was stored.",
        "Repeat the request after `Retry-After`; if it stays, raise the bound or add a coordinator.";
    StoreUnavailable => "store-unavailable", SERVICE_UNAVAILABLE, true,
        "The store is not available",
        "The database does not answer, or the answer to a write was lost. Repeating the request with the same `Idempotency-Key` or id is safe.",
        "Repeat it after `Retry-After`; see `/readyz`.";
    OutcomeUnknown => "outcome-unknown", SERVICE_UNAVAILABLE, true,
        "It is not known whether the saga was stored",
        "The answer to the commit was lost. The saga may exist.",
        "Repeat the request with the same `Idempotency-Key` or id: it starts the saga if it does not exist, and answers the same one if it does. Without a key and an id, look for it in the list.";
    OwnerUnreachable => "owner-unreachable", SERVICE_UNAVAILABLE, true,
        "The coordinator that drives the saga did not answer",
        "The command is stored in its inbox and may still be carried out, by it or by the one that takes over.",
        "Look at the saga after a while, or repeat the command: that is harmless.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_kebab_case_unique_and_sorted_by_status() {
        let codes: BTreeSet<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(codes.len(), ErrorCode::ALL.len());
        for code in &codes {
            assert!(
                code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-' || b == b'8'),
                "{code}"
            );
        }
        assert!(ErrorCode::ALL.is_sorted_by_key(|code| code.status()));
    }

    #[test]
    fn what_the_server_is_to_blame_for_may_be_retried_unless_it_is_a_bug() {
        for code in ErrorCode::ALL {
            let is_ours = code.status().is_server_error() && *code != ErrorCode::Internal;
            let may_pass = [
                ErrorCode::BodyTimeout,
                ErrorCode::PivotUndecided,
                ErrorCode::NotRunning,
                ErrorCode::LockNotHeld,
            ]
            .contains(code);
            assert_eq!(code.is_retryable(), is_ours || may_pass, "{}", code.as_str());
        }
    }
}
