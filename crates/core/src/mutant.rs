//! Faults that are planted on purpose, so that the simulator can show that it finds them.
//!
//! They are there only in builds with `--cfg amends_mutants`; in any other one [`Mutant::is_on`] is
//! `false` for the compiler, and nothing of them is left.

/// Names the mutants, and says what is wrong with each.
macro_rules! mutants {
    ($($(#[doc = $doc:literal])+ $name:ident => $text:literal;)+) => {
        /// One planted fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutant {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Mutant {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Its name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

mutants! {
    /// A write under an old epoch is taken.
    NoEpochCheck => "no-epoch-check";
    /// The participants have no barrier.
    NoBarrier => "no-barrier";
    /// Calls leave before the facts that lead to them are durable.
    NotDurable => "not-durable";
    /// A time-out counts as a refusal.
    TimeoutIsRefusal => "timeout-is-refusal";
    /// A step is undone while its forward call is on its way.
    UndoOvertakes => "undo-overtakes";
    /// Steps are undone in any order.
    UndoOrder => "undo-order";
    /// Tickets are granted last come, first served.
    TicketOrder => "ticket-order";
    /// A grant gives the token of the one before.
    SameToken => "same-token";
    /// A repeated commit ends the transaction without its confirms.
    ConfirmDropped => "confirm-dropped";
    /// A refusal ends a call of which an earlier attempt stayed unanswered.
    RefusalIsFinal => "refusal-is-final";
    /// A submission is answered before it is written.
    EarlyAnswer => "early-answer";
    /// Forward steps start after the abort decision.
    ForwardAfterAbort => "forward-after-abort";
    /// When the answer to a commit is lost, the coordinator goes on as if nothing was written.
    LostCommitIgnored => "lost-commit-ignored";
    /// What was in flight at a crash counts as never sent.
    CrashForgotten => "crash-forgotten";
    /// Lock keys are given back when the saga is decided, whatever its definition says.
    EarlyRelease => "early-release";
    /// Who waits for lock keys is not woken by their release.
    NotWoken => "not-woken";
    /// An operator's forced release keeps the tickets.
    ReleaseKeepsTickets => "release-keeps-tickets";
    /// After a forced release the next grant has the tokens of the one before.
    TokenKept => "token-kept";
    /// A completion is taken of a call that was completed already.
    CallbackTwice => "callback-twice";
    /// A nested saga that was never made is not ruled out before its undo is over.
    NestedNoTombstone => "nested-no-tombstone";
    /// A nested saga that has done its part aborts by itself at its deadline.
    NestedExpires => "nested-expires";
    /// A silent client that cannot be asked is taken to have said no.
    SilenceIsNo => "silence-is-no";
    /// A saga aborts though its pivot may have happened.
    PivotGuessed => "pivot-guessed";
    /// Calls start while the saga is paused.
    PauseIgnored => "pause-ignored";
    /// An operator may skip a step that may have had an effect.
    SkipBlind => "skip-blind";
    /// A retry is made before its time.
    EarlyRetry => "early-retry";
    /// What a participant asks for in `Retry-After` is passed over.
    RetryAfterIgnored => "retry-after-ignored";
    /// A saga starts before its time.
    StartsEarly => "starts-early";
    /// A deadline that was put off passes all the same.
    DeadlineKept => "deadline-kept";
    /// A saga leaves memory and does not say when it is to be woken.
    SleepsForEver => "sleeps-for-ever";
    /// A request with another body is handed the saga of the first one.
    OtherBody => "other-body";
    /// A command that the owner refused is answered as done if it would be permitted by now.
    RefusedIsDone => "refused-is-done";
    /// Sagas whose claim was not answered are not looked for.
    ClaimForgotten => "claim-forgotten";
    /// A saga that got its lock keys from the one before it is driven by nobody.
    SuccessorForgotten => "successor-forgotten";
}

#[cfg(amends_mutants)]
static PLANTED: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(usize::MAX);

impl Mutant {
    /// Whether this fault is planted.
    #[cfg(amends_mutants)]
    pub fn is_on(self) -> bool {
        PLANTED.load(std::sync::atomic::Ordering::Relaxed) == self as usize
    }

    /// Whether this fault is planted: never, in this build.
    #[cfg(not(amends_mutants))]
    pub const fn is_on(self) -> bool {
        false
    }

    /// Plants this fault and no other.
    #[cfg(amends_mutants)]
    pub fn plant(self) {
        PLANTED.store(self as usize, std::sync::atomic::Ordering::Relaxed);
    }
}
