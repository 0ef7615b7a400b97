//! The audit: do the participants' own books agree with the ends of the sagas?
//!
//! Nothing here trusts the coordinator but for each saga's end: stock, money and orders are
//! counted in the participants' databases.

use std::collections::{BTreeMap, BTreeSet};

use crate::books::{Hold, Ledger};
use crate::plan::{Plan, PlannedSaga};

/// How a saga ended, as its coordinator says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// All of it happened.
    Completed,
    /// None of it happened, in the end.
    Undone,
    /// It has not ended; why, as far as that is known.
    Open(String),
}

/// Every disagreement between the books and `ends` (by saga id), one sentence each.
///
/// Checks that nothing was made or lost (units, money), that no saga had an effect twice, that of
/// a completed saga everything stands exactly as it was ordered and of an undone one nothing, and
/// that nothing stands for a saga of this run that has no end. To be called when no call is under
/// way any more. A saga that is open is not a disagreement by itself.
pub fn audit(plan: &Plan, ledger: &Ledger, ends: &BTreeMap<String, End>) -> Vec<String> {
    let mut faults = Vec::new();
    count_units(plan, ledger, &mut faults);
    count_money(plan, ledger, &mut faults);
    let traces = Traces::collect(ledger);
    for saga in &plan.sagas {
        let trace = traces.of(&saga.id);
        trace.check_once(&saga.id, &mut faults);
        match ends.get(&saga.id) {
            Some(End::Completed) => trace.check_whole(saga, &mut faults),
            Some(End::Undone) => trace.check_gone(saga, &mut faults),
            Some(End::Open(_)) | None => {}
        }
    }
    traces.check_strangers(plan, &mut faults);
    faults
}

fn count_units(plan: &Plan, ledger: &Ledger, faults: &mut Vec<String>) {
    let mut found = ledger.stock.clone();
    for reservation in ledger.reservations.iter().filter(|one| one.state == "reserved") {
        *found.entry(reservation.sku.clone()).or_default() += reservation.qty;
    }
    for (sku, initial) in &plan.stock {
        let now = found.get(sku).copied().unwrap_or_default();
        if now != *initial {
            faults
                .push(format!("{sku}: {initial} units at first, {now} on shelf and reserved now"));
        }
    }
}

fn count_money(plan: &Plan, ledger: &Ledger, faults: &mut Vec<String>) {
    let sum_of = |user: &str, state: &str| -> i64 {
        let is_it = |hold: &&Hold| hold.user == user && hold.state == state;
        ledger.holds.iter().filter(is_it).map(|hold| hold.amount).sum()
    };
    for (user, initial) in &plan.accounts {
        let (balance, held) = ledger.accounts.get(user).copied().unwrap_or_default();
        let now = balance + held + sum_of(user, "captured");
        if now != *initial {
            faults.push(format!("{user}: {initial} cents at first, {now} accounted for now"));
        }
        let open = sum_of(user, "open");
        if held != open {
            faults.push(format!("{user}: {held} cents are held, but open holds are {open}"));
        }
    }
}

/// What each saga left in the books.
struct Traces<'a> {
    by_saga: BTreeMap<&'a str, Trace<'a>>,
}

#[derive(Clone, Default)]
struct Trace<'a> {
    reservations: Vec<&'a crate::books::Reservation>,
    holds: Vec<&'a Hold>,
    orders: Vec<&'a crate::books::Order>,
}

impl<'a> Traces<'a> {
    fn collect(ledger: &'a Ledger) -> Self {
        let mut by_saga: BTreeMap<&str, Trace<'a>> = BTreeMap::new();
        for reservation in &ledger.reservations {
            by_saga.entry(&reservation.saga).or_default().reservations.push(reservation);
        }
        for hold in &ledger.holds {
            by_saga.entry(&hold.saga).or_default().holds.push(hold);
        }
        for order in &ledger.orders {
            by_saga.entry(&order.saga).or_default().orders.push(order);
        }
        Self { by_saga }
    }

    fn of(&self, saga: &str) -> Trace<'a> {
        self.by_saga.get(saga).cloned().unwrap_or_default()
    }

    /// Sagas of this run that nobody planned. Those of other runs are not ours to judge.
    fn check_strangers(&self, plan: &Plan, faults: &mut Vec<String>) {
        let planned: BTreeSet<&str> = plan.sagas.iter().map(|saga| saga.id.as_str()).collect();
        let ours = format!("{}-", plan.run);
        for saga in self.by_saga.keys() {
            if saga.starts_with(&ours) && !planned.contains(saga) {
                faults.push(format!("{saga}: has left effects, but was never started"));
            }
        }
    }
}

impl Trace<'_> {
    fn check_once(&self, saga: &str, faults: &mut Vec<String>) {
        let counts = [
            (self.reservations.len(), "reservations"),
            (self.holds.len(), "holds"),
            (self.orders.len(), "orders"),
        ];
        for (count, what) in counts.into_iter().filter(|(count, _)| *count > 1) {
            faults.push(format!("{saga}: has {count} {what}, an effect happened twice"));
        }
    }

    fn check_whole(&self, saga: &PlannedSaga, faults: &mut Vec<String>) {
        let reserved = self.reservations.iter().any(|one| {
            one.state == "reserved" && one.sku == saga.sku && one.qty == i64::from(saga.qty)
        });
        let captured = self.holds.iter().any(|one| {
            one.state == "captured" && one.user == saga.user && one.amount == i64::from(saga.amount)
        });
        let ordered = self.orders.iter().any(|one| one.sku == saga.sku && one.user == saga.user);
        let checks = [(reserved, "reservation"), (captured, "captured hold"), (ordered, "order")];
        for (_, what) in checks.into_iter().filter(|(is_there, _)| !is_there) {
            faults.push(format!("{}: completed, but its {what} is missing or differs", saga.id));
        }
    }

    fn check_gone(&self, saga: &PlannedSaga, faults: &mut Vec<String>) {
        let reserved = self.reservations.iter().any(|one| one.state != "released");
        let held = self.holds.iter().any(|one| one.state != "voided");
        let checks =
            [(reserved, "reservation"), (held, "hold"), (!self.orders.is_empty(), "order")];
        for (_, what) in checks.into_iter().filter(|(is_there, _)| *is_there) {
            faults.push(format!("{}: undone, but its {what} is still in force", saga.id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::books::{Books, Order, Reservation};
    use crate::plan::Workload;

    /// A run of 20 in which the first completed and all others left nothing.
    fn balanced() -> (Plan, Ledger, BTreeMap<String, End>) {
        let plan = Plan::new(&Workload { sagas: 20, seed: 4, concurrency: 1 }, "run");
        let accounts = plan.accounts.iter().map(|(user, cents)| (user.clone(), (*cents, 0)));
        let mut ledger =
            Ledger { stock: plan.stock.clone(), accounts: accounts.collect(), ..Ledger::default() };
        let first = &plan.sagas[0];
        let (saga, sku, user) = (first.id.clone(), first.sku.clone(), first.user.clone());
        let (qty, amount) = (i64::from(first.qty), i64::from(first.amount));
        *ledger.stock.get_mut(&sku).unwrap() -= qty;
        ledger.accounts.get_mut(&user).unwrap().0 -= amount;
        ledger.reservations.push(Reservation {
            saga: saga.clone(),
            sku: sku.clone(),
            qty,
            state: "reserved".to_owned(),
        });
        ledger.holds.push(Hold {
            saga: saga.clone(),
            user: user.clone(),
            amount,
            state: "captured".to_owned(),
        });
        ledger.orders.push(Order { saga: saga.clone(), user, sku });
        let ends = plan.sagas.iter().map(|planned| {
            (planned.id.clone(), if planned.id == saga { End::Completed } else { End::Undone })
        });
        let ends = ends.collect();
        (plan, ledger, ends)
    }

    #[track_caller]
    fn check(plant: impl FnOnce(&mut Ledger, &mut BTreeMap<String, End>), expected: &[&str]) {
        let (plan, mut ledger, mut ends) = balanced();
        plant(&mut ledger, &mut ends);
        let faults = audit(&plan, &ledger, &ends);
        assert_eq!(faults.len(), expected.len(), "{faults:#?}");
        for (fault, words) in faults.iter().zip(expected) {
            assert!(fault.contains(words), "{fault:?} has not {words:?}");
        }
    }

    #[test]
    fn books_that_agree_have_no_faults() {
        check(|_, _| {}, &[]);
    }

    #[test]
    fn lost_units_are_found() {
        check(|ledger, _| *ledger.stock.values_mut().next().unwrap() -= 1, &["units at first"]);
    }

    #[test]
    fn made_money_is_found() {
        let plant = |ledger: &mut Ledger, _: &mut BTreeMap<String, End>| {
            ledger.accounts.values_mut().next().unwrap().0 += 5;
        };
        check(plant, &["cents at first"]);
    }

    #[test]
    fn a_hold_left_open_is_found() {
        check(
            |ledger, _| {
                let hold = ledger.holds.first_mut().unwrap();
                hold.state = "open".to_owned();
                ledger.accounts.get_mut(&hold.user).unwrap().1 = hold.amount;
            },
            &["captured hold is missing"],
        );
    }

    #[test]
    fn a_held_sum_without_a_hold_is_found() {
        check(
            |ledger, _| {
                let account = ledger.accounts.values_mut().next().unwrap();
                *account = (account.0 - 1, account.1 + 1);
            },
            &["are held"],
        );
    }

    #[test]
    fn a_missing_order_is_found() {
        check(|ledger, _| ledger.orders.clear(), &["order is missing"]);
    }

    #[test]
    fn an_order_made_twice_is_found() {
        check(|ledger, _| ledger.orders.push(ledger.orders[0].clone()), &["twice"]);
    }

    #[test]
    fn what_stands_of_an_undone_saga_is_found() {
        let plant = |ledger: &mut Ledger, ends: &mut BTreeMap<String, End>| {
            ends.insert(ledger.orders[0].saga.clone(), End::Undone);
        };
        let expected = ["reservation is still", "hold is still", "order is still"];
        check(plant, &expected);
    }

    #[test]
    fn a_saga_that_nobody_started_is_found() {
        let plant = |ledger: &mut Ledger, _: &mut BTreeMap<String, End>| {
            ledger.orders.push(Order {
                saga: "run-77777".to_owned(),
                user: "user".to_owned(),
                sku: "sku".to_owned(),
            });
        };
        check(plant, &["never started"]);
    }

    #[tokio::test]
    async fn fresh_books_balance_and_hold_what_was_planned() {
        let dir = tempfile::tempdir().unwrap();
        let plan = Plan::new(&Workload { sagas: 50, seed: 1, concurrency: 1 }, "run");
        let books = Books::open(dir.path().join("books"), &plan).await.unwrap();
        let ledger = books.read().await.unwrap();
        assert_eq!(ledger.stock, plan.stock);
        assert_eq!(ledger.accounts.len(), plan.accounts.len());
        assert_eq!(audit(&plan, &ledger, &BTreeMap::new()), Vec::<String>::new());
    }
}
