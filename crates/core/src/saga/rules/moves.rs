//! What may happen next in a world. Picks choose among whatever there is, whatever its number.

use proptest::prelude::*;

/// One thing that happens.
#[derive(Clone, Debug)]
pub(super) enum Move {
    /// An open attempt is answered, or times out.
    Answer { pick: usize, reply: Reply },
    /// A timer goes off, be it in order or late.
    Fire { pick: usize },
    /// Accepted work is finished, and says so.
    Complete { pick: usize, reply: Reply },
    /// The lock keys are granted.
    Grant,
    /// An attempt that nobody waits for any more arrives.
    Late { pick: usize },
    /// The coordinator dies; what was not awaited may be lost.
    Crash { kept: usize, arrived: u8 },
    /// What was written becomes durable by itself.
    Flush,
    /// The saga is to be handed over.
    Hold,
    /// Somebody asks for something.
    Ask { what: Ask, pick: usize },
    /// The client of an interactive transaction, or a parent, wants something.
    Client { wish: Wish, pick: usize },
    /// An operator takes the lock keys away.
    TakeLock,
    /// Something comes that nothing waits for.
    Stray { what: u8, pick: usize },
}

/// How an attempt ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Reply {
    /// It takes effect.
    Succeed,
    /// The participant does not want to.
    Refuse,
    /// No connection.
    Unsent,
    /// An error, with or without an effect.
    Fault { took_effect: bool },
    /// Silence, whatever happened.
    Silence { took_effect: bool },
    /// It is accepted and answered later.
    Later,
}

/// What may be asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ask {
    Pause,
    Resume,
    Cancel,
    RetryOne,
    RetryAll,
    Skip,
    Succeeded,
    Failed,
    Undone,
    Abandon,
}

/// What a client, or a parent, may want.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wish {
    /// Add a branch; `after` are bits of those before it.
    Enlist {
        kind: Kind,
        after: Option<u8>,
    },
    /// Add one again.
    Repeat,
    /// Add one again, but not the same.
    Change,
    /// Make the call of a branch.
    Call,
    Commit,
    Cancel,
    Extend {
        secs: u8,
    },
    /// Say what the parent has decided, or would like to have decided.
    Decide {
        commits: bool,
    },
}

/// What a branch is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Compensation,
    Tcc,
    Message,
    Nested,
}

/// What is frequent in a world.
#[derive(Clone, Copy, Debug)]
pub(super) enum Weather {
    /// Most things go well.
    Fair,
    /// Participants fail, fall silent and refuse.
    Rough,
    /// Much is accepted and answered later, or arrives late.
    Slow,
    /// Coordinators die and hand over.
    Crashes,
    /// Operators ask for this and that.
    Meddling,
    /// Clients drive interactive transactions.
    Client,
    /// A parent decides.
    Family,
    /// Lock keys come and go.
    Locks,
}

pub(super) fn any_moves(weather: Weather) -> impl Strategy<Value = Vec<Move>> {
    prop::collection::vec(any_move(weather), 0..60)
}

fn any_move(weather: Weather) -> impl Strategy<Value = Move> {
    let pick = || any::<usize>();
    let reply = || any_reply(weather);
    // Completions, late arrivals, crashes, hand-overs, questions, clients, lost keys.
    let [complete, late, crash, hold, ask, client, lock] = match weather {
        Weather::Fair => [4, 2, 1, 1, 2, 1, 1],
        Weather::Rough => [4, 6, 3, 1, 6, 1, 1],
        Weather::Slow => [25, 12, 4, 1, 5, 1, 1],
        Weather::Crashes => [6, 6, 24, 4, 10, 1, 1],
        Weather::Meddling => [6, 4, 4, 2, 50, 1, 1],
        Weather::Client => [8, 6, 5, 1, 10, 80, 2],
        Weather::Family => [8, 6, 5, 1, 10, 12, 2],
        Weather::Locks => [8, 4, 4, 1, 15, 20, 14],
    };
    let fire = if matches!(weather, Weather::Client) { 12 } else { 22 };
    let grant = if matches!(weather, Weather::Locks) { 25 } else { 4 };
    prop_oneof![
        50 => (pick(), reply()).prop_map(|(pick, reply)| Move::Answer { pick, reply }),
        fire => pick().prop_map(|pick| Move::Fire { pick }),
        complete => (pick(), reply()).prop_map(|(pick, reply)| Move::Complete { pick, reply }),
        grant => Just(Move::Grant),
        late => pick().prop_map(|pick| Move::Late { pick }),
        crash => (pick(), any::<u8>()).prop_map(|(kept, arrived)| Move::Crash { kept, arrived }),
        3 => Just(Move::Flush),
        hold => Just(Move::Hold),
        ask => (any_ask(), pick()).prop_map(|(what, pick)| Move::Ask { what, pick }),
        client => (any_wish(), pick()).prop_map(|(wish, pick)| Move::Client { wish, pick }),
        lock => Just(Move::TakeLock),
        3 => (any::<u8>(), pick()).prop_map(|(what, pick)| Move::Stray { what, pick }),
    ]
}

fn any_wish() -> impl Strategy<Value = Wish> {
    let kind = prop_oneof![
        4 => Just(Kind::Compensation),
        3 => Just(Kind::Tcc),
        2 => Just(Kind::Message),
        2 => Just(Kind::Nested),
    ];
    prop_oneof![
        30 => (kind, prop::option::weighted(0.3, any::<u8>()))
            .prop_map(|(kind, after)| Wish::Enlist { kind, after }),
        4 => Just(Wish::Repeat),
        2 => Just(Wish::Change),
        6 => Just(Wish::Call),
        6 => Just(Wish::Commit),
        3 => Just(Wish::Cancel),
        4 => (1..30_u8).prop_map(|secs| Wish::Extend { secs }),
        8 => any::<bool>().prop_map(|commits| Wish::Decide { commits }),
    ]
}

fn any_reply(weather: Weather) -> impl Strategy<Value = Reply> {
    let [succeed, refuse, unsent, fault, silence, later] = match weather {
        Weather::Fair => [80, 4, 4, 4, 4, 4],
        Weather::Rough => [40, 18, 14, 14, 20, 4],
        Weather::Slow => [35, 12, 5, 5, 15, 35],
        // Only attempts after one that was not sent can be lost without a trace.
        Weather::Crashes => [40, 18, 35, 6, 8, 6],
        Weather::Meddling => [45, 10, 15, 10, 15, 8],
        Weather::Client | Weather::Family | Weather::Locks => [60, 6, 8, 8, 8, 12],
    };
    prop_oneof![
        succeed => Just(Reply::Succeed),
        refuse => Just(Reply::Refuse),
        unsent => Just(Reply::Unsent),
        fault => any::<bool>().prop_map(|took_effect| Reply::Fault { took_effect }),
        silence => any::<bool>().prop_map(|took_effect| Reply::Silence { took_effect }),
        later => Just(Reply::Later),
    ]
}

fn any_ask() -> impl Strategy<Value = Ask> {
    prop_oneof![
        3 => Just(Ask::Pause),
        4 => Just(Ask::Resume),
        2 => Just(Ask::Cancel),
        2 => Just(Ask::RetryOne),
        1 => Just(Ask::RetryAll),
        2 => Just(Ask::Skip),
        2 => Just(Ask::Succeeded),
        2 => Just(Ask::Failed),
        2 => Just(Ask::Undone),
        1 => Just(Ask::Abandon),
    ]
}
