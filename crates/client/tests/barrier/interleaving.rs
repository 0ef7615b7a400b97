//! Two calls at once, driven step by step in every order.
//!
//! A call has three steps: enter, work, end. The driver allows one step after the other. Where a
//! step doesn't come to its end because the database makes it wait for the other call, the driver
//! goes on with the next one; what it measures is the state at the end, which must be right
//! whichever way the two went.

use std::time::Duration;

use amends_client::barrier::Forward;
use amends_client::participant::{Call, Op};
use tokio::sync::mpsc;

use crate::bed::{Bed, Entered, attempt, call, done, effect_of, no};

/// How long a step may take before the driver allows the next one.
const STEP_WAIT: Duration = Duration::from_millis(20);
/// Attempts after which a call should have its answer.
const ATTEMPTS_MAX: u32 = 100;
/// Steps of a call.
const STEPS: usize = 3;

/// How a call ends by itself; afterwards it comes again until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Done,
    Refused,
    Crash,
}

pub(crate) async fn forward_beside_forward(bed: &impl Bed) {
    for (number, (order, ends)) in of_equals(&[End::Done, End::Refused, End::Crash]).enumerate() {
        let saga = format!("s{number}");
        let calls = [call(&saga, Op::Action), call(&saga, Op::Action)];
        drive(bed, &calls, &order, ends).await;
        let effects = bed.effects(&effect_of(&calls[0])).await;
        let [a, b] = [answer(bed, &calls[0]).await, answer(bed, &calls[1]).await];
        assert_eq!(a, b, "{order:?} {ends:?}");
        assert_eq!(effects, i64::from(a != no()), "{order:?} {ends:?}: {a:?}");
    }
}

pub(crate) async fn forward_beside_its_undo(bed: &impl Bed) {
    let mut undone_before = 0;
    for (number, (order, ends)) in runs(&[End::Done, End::Crash]).enumerate() {
        let saga = format!("s{number}");
        let calls = [call(&saga, Op::Action), call(&saga, Op::Compensation)];
        drive(bed, &calls, &order, ends).await;
        let forward = answer(bed, &calls[0]).await;
        let actions = bed.effects(&effect_of(&calls[0])).await;
        let undos = bed.effects(&effect_of(&calls[1])).await;
        assert_eq!(actions, undos, "{order:?} {ends:?}: {forward:?}");
        assert!(actions <= 1, "{order:?} {ends:?}: {actions}");
        if actions == 0 {
            assert_eq!(forward.status.as_u16(), 409, "{order:?} {ends:?}");
            undone_before += 1;
        }
    }
    assert!(undone_before > 0, "no order let the undo go first");
}

pub(crate) async fn undo_beside_undo(bed: &impl Bed) {
    for (number, (order, ends)) in of_equals(&[End::Done, End::Refused, End::Crash]).enumerate() {
        let saga = format!("s{number}");
        attempt(bed, call(&saga, Op::Try)).await.unwrap();
        let calls = [call(&saga, Op::Cancel), call(&saga, Op::Cancel)];
        drive(bed, &calls, &order, ends).await;
        assert_eq!(bed.effects(&effect_of(&calls[0])).await, 1, "{order:?} {ends:?}");
        assert_eq!(bed.effects(&format!("{saga}/charge/try")).await, 1);
    }
}

/// The orders of two calls of one kind: who goes first makes no difference.
fn of_equals(ends: &[End]) -> impl Iterator<Item = (Vec<usize>, [End; 2])> {
    runs(ends).filter(|(order, _)| order[0] == 0)
}

/// Every order of the steps of two calls, with every pair of ends.
fn runs(ends: &[End]) -> impl Iterator<Item = (Vec<usize>, [End; 2])> {
    let pairs: Vec<[End; 2]> =
        ends.iter().flat_map(|a| ends.iter().map(move |b| [*a, *b])).collect();
    let orders = (0_u32..1 << (2 * STEPS)).filter(|bits| bits.count_ones() as usize == STEPS);
    orders.flat_map(move |bits| {
        let order: Vec<usize> = (0..2 * STEPS).map(|at| ((bits >> at) & 1) as usize).collect();
        pairs.clone().into_iter().map(move |ends| (order.clone(), ends))
    })
}

/// Lets the two go in this order, then asks both again until they are answered.
async fn drive<B: Bed>(bed: &B, calls: &[Call; 2], order: &[usize], ends: [End; 2]) {
    let (go_a, steps_a) = mpsc::channel(STEPS);
    let (go_b, steps_b) = mpsc::channel(STEPS);
    let (over, mut is_over) = mpsc::channel::<usize>(2 * STEPS);
    let gates = [go_a, go_b];
    let driver = async move {
        let mut open = [0_usize; 2];
        for &who in order {
            gates[who].send(()).await.unwrap();
            open[who] += 1;
            // One that waits for the other goes on when the other ends.
            while open[who] == 1
                && let Ok(Some(ended)) = tokio::time::timeout(STEP_WAIT, is_over.recv()).await
            {
                open[ended] -= 1;
            }
        }
        drop(gates);
        while is_over.recv().await.is_some() {}
    };
    tokio::join!(
        driver,
        steps(bed, &calls[0], ends[0], steps_a, (0, over.clone())),
        steps(bed, &calls[1], ends[1], steps_b, (1, over)),
    );
    for call in calls {
        bed.let_holds_pass().await;
        until_answered(bed, call).await;
    }
}

/// The three steps of one attempt, each when it is allowed.
async fn steps<B: Bed>(
    bed: &B,
    call: &Call,
    end: End,
    mut go: mpsc::Receiver<()>,
    (who, over): (usize, mpsc::Sender<usize>),
) {
    let mut turn = None;
    for step in 0..STEPS {
        go.recv().await.unwrap();
        match (step, turn.take()) {
            (0, _) => turn = enter(bed, call).await,
            (1, Some(mut held)) => {
                if B::IN_TRANSACTION || end != End::Refused {
                    work(bed, &mut held, call).await;
                }
                turn = Some(held);
            }
            (_, Some(held)) => finish(bed, call, held, end).await,
            (_, None) => {}
        }
        over.send(who).await.unwrap();
    }
}

async fn enter<B: Bed>(bed: &B, call: &Call) -> Option<B::Turn> {
    match bed.enter(call.clone()).await {
        Ok(Entered::Run(turn)) => Some(turn),
        Ok(Entered::Settled(_)) => None,
        Err(error) => {
            assert!(error.retry_after().is_some(), "{error:?}");
            None
        }
    }
}

/// An undo of a call whose end is not known looks up whether there is something to undo.
async fn work<B: Bed>(bed: &B, turn: &mut B::Turn, call: &Call) {
    if bed.forward(turn) == Some(Forward::Unknown) {
        let forward = Call { op: call.op.undoes().unwrap(), ..call.clone() };
        if bed.effects(&effect_of(&forward)).await == 0 {
            return;
        }
    }
    bed.work(turn, &effect_of(call)).await;
}

async fn finish<B: Bed>(bed: &B, call: &Call, turn: B::Turn, end: End) {
    match end {
        End::Crash => bed.crash(turn).await,
        End::Refused => drop(bed.settle(turn, no()).await.unwrap()),
        End::Done => drop(bed.settle(turn, done(&effect_of(call))).await.unwrap()),
    }
}

async fn until_answered<B: Bed>(bed: &B, call: &Call) {
    for _ in 0..ATTEMPTS_MAX {
        match bed.enter(call.clone()).await {
            Ok(Entered::Settled(_)) => return,
            Ok(Entered::Run(mut turn)) => {
                work(bed, &mut turn, call).await;
                bed.settle(turn, done(&effect_of(call))).await.unwrap();
            }
            Err(error) => assert!(error.retry_after().is_some(), "{error:?}"),
        }
    }
    panic!("{call:?} has no answer after {ATTEMPTS_MAX} attempts");
}

async fn answer<B: Bed>(bed: &B, call: &Call) -> amends_client::participant::Answer {
    bed.enter(call.clone()).await.unwrap().answer()
}
