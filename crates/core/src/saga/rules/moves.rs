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
}

pub(super) fn any_moves(weather: Weather) -> impl Strategy<Value = Vec<Move>> {
    prop::collection::vec(any_move(weather), 0..60)
}

fn any_move(weather: Weather) -> impl Strategy<Value = Move> {
    let pick = || any::<usize>();
    let reply = || any_reply(weather);
    // Completions, late arrivals, crashes, hand-overs, questions.
    let [complete, late, crash, hold, ask] = match weather {
        Weather::Fair => [4, 2, 1, 1, 2],
        Weather::Rough => [4, 6, 3, 1, 6],
        Weather::Slow => [25, 12, 4, 1, 5],
        Weather::Crashes => [6, 6, 24, 4, 10],
        Weather::Meddling => [6, 4, 4, 2, 50],
    };
    prop_oneof![
        50 => (pick(), reply()).prop_map(|(pick, reply)| Move::Answer { pick, reply }),
        22 => pick().prop_map(|pick| Move::Fire { pick }),
        complete => (pick(), reply()).prop_map(|(pick, reply)| Move::Complete { pick, reply }),
        4 => Just(Move::Grant),
        late => pick().prop_map(|pick| Move::Late { pick }),
        crash => (pick(), any::<u8>()).prop_map(|(kept, arrived)| Move::Crash { kept, arrived }),
        3 => Just(Move::Flush),
        hold => Just(Move::Hold),
        ask => (any_ask(), pick()).prop_map(|(what, pick)| Move::Ask { what, pick }),
        3 => (any::<u8>(), pick()).prop_map(|(what, pick)| Move::Stray { what, pick }),
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
