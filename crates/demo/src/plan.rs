//! What a demo will do, all of it from one seed: which saga buys what, and what trouble it meets.

use std::collections::BTreeMap;

use amends_client::participant::Op;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use crate::participants::{Kind, Trouble, Troubles};

/// How much a demo does. Arguments of `amends demo` and of tests.
#[derive(Clone, Debug, clap::Args)]
pub struct Workload {
    /// How many sagas to run.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub sagas: u32,
    /// What chance is drawn from: the same seed gives the same sagas and the same troubles.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How many sagas are under way at once.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    pub concurrency: u16,
}

/// What a saga meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    /// Nothing in its way: it completes.
    Smooth,
    /// Its goods are sold out: it is undone.
    EmptyShelf,
    /// Its buyer is out of money: it is undone.
    DeclinedCard,
    /// One of its calls is answered 500 for a while: it completes.
    ErrorsForAWhile,
    /// One of its calls does its work, but answers after the time-out: it completes.
    LateAnswer,
}

impl Fate {
    /// Dealt to the sagas in turn and then shuffled, so that even a small demo meets each.
    const DECK: [Self; 20] = {
        let mut deck = [Self::Smooth; 20];
        deck[1] = Self::EmptyShelf;
        deck[3] = Self::DeclinedCard;
        deck[5] = Self::ErrorsForAWhile;
        deck[7] = Self::LateAnswer;
        deck
    };

    /// The word for it in labels.
    pub fn label(self) -> &'static str {
        match self {
            Self::Smooth => "smooth",
            Self::EmptyShelf => "empty-shelf",
            Self::DeclinedCard => "declined-card",
            Self::ErrorsForAWhile => "errors-for-a-while",
            Self::LateAnswer => "late-answer",
        }
    }

    /// What happens, for people.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Smooth => "nothing in the way",
            Self::EmptyShelf => "the shelf is empty",
            Self::DeclinedCard => "the card is declined",
            Self::ErrorsForAWhile => "a participant answers 500 for a while",
            Self::LateAnswer => "a participant does its work but answers too late",
        }
    }
}

/// One saga to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedSaga {
    /// Its id, chosen by us: the coordinator takes it as it is.
    pub id: String,
    /// Who buys.
    pub user: String,
    /// What.
    pub sku: String,
    /// How many.
    pub qty: u32,
    /// For how much, in cents.
    pub amount: u32,
    /// What it meets.
    pub fate: Fate,
}

/// A participant that is killed and started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// Which.
    pub kind: Kind,
    /// When so many sagas have ended.
    pub after_ends: u32,
}

/// A whole demo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What all its saga ids begin with.
    pub run: String,
    /// The sagas, in the order they are started.
    pub sagas: Vec<PlannedSaga>,
    /// Units on the shelf at the beginning, by sku.
    pub stock: BTreeMap<String, i64>,
    /// Cents on the account at the beginning, by user.
    pub accounts: BTreeMap<String, i64>,
    /// What is done to whole participants.
    pub outage: Outage,
    /// What is done to single calls, by participant.
    pub troubles: BTreeMap<Kind, Troubles>,
}

/// How late a late answer is: well past the 500 ms of `place-order.yaml`.
const LATE_MS: u64 = 900;

impl Plan {
    /// The plan that `workload` gives. `run` makes its ids differ from those of other runs.
    pub fn new(workload: &Workload, run: &str) -> Self {
        let mut chance = StdRng::seed_from_u64(workload.seed);
        let mut fates: Vec<Fate> =
            (0..workload.sagas).zip(Fate::DECK.into_iter().cycle()).map(|(_, fate)| fate).collect();
        fates.shuffle(&mut chance);
        let kinds = workload.sagas / 8 + 8;
        let mut plan = Self {
            run: run.to_owned(),
            sagas: Vec::with_capacity(fates.len()),
            stock: BTreeMap::new(),
            accounts: BTreeMap::new(),
            outage: Outage {
                kind: Kind::ALL[chance.random_range(0..Kind::ALL.len())],
                after_ends: workload.sagas / 4 + chance.random_range(0..=workload.sagas / 4),
            },
            troubles: BTreeMap::new(),
        };
        for (number, fate) in fates.into_iter().enumerate() {
            let saga = PlannedSaga {
                id: format!("{run}-{number:05}"),
                user: person(fate, chance.random_range(0..kinds)),
                sku: goods(fate, chance.random_range(0..kinds)),
                qty: chance.random_range(1..=3),
                amount: chance.random_range(100..=9_999),
                fate,
            };
            plan.supply(&saga);
            plan.trouble(&saga, &mut chance);
            plan.sagas.push(saga);
        }
        plan
    }

    /// Puts enough on shelf and account for `saga`, unless its fate is that there is not enough.
    fn supply(&mut self, saga: &PlannedSaga) {
        let qty = if saga.fate == Fate::EmptyShelf { 0 } else { i64::from(saga.qty) };
        *self.stock.entry(saga.sku.clone()).or_default() += qty;
        let amount = if saga.fate == Fate::DeclinedCard { 0 } else { i64::from(saga.amount) };
        *self.accounts.entry(saga.user.clone()).or_default() += amount;
    }

    fn trouble(&mut self, saga: &PlannedSaga, chance: &mut StdRng) {
        let trouble = match saga.fate {
            Fate::ErrorsForAWhile => Trouble::FailsFirst(chance.random_range(1..=3)),
            Fate::LateAnswer => Trouble::AnswersLateByMs(LATE_MS),
            Fate::Smooth | Fate::EmptyShelf | Fate::DeclinedCard => return,
        };
        let places = [
            (Kind::Inventory, Op::Action),
            (Kind::Payment, Op::Try),
            (Kind::Payment, Op::Confirm),
            (Kind::Orders, Op::Action),
        ];
        let (kind, op) = places[chance.random_range(0..places.len())];
        self.troubles.entry(kind).or_default().0.insert(format!("{}/{op}", saga.id), trouble);
    }
}

/// Buyers whose cards are declined have empty accounts, and are nobody else.
fn person(fate: Fate, number: u32) -> String {
    match fate {
        Fate::DeclinedCard => format!("broke-{number:04}"),
        Fate::Smooth | Fate::EmptyShelf | Fate::ErrorsForAWhile | Fate::LateAnswer => {
            format!("user-{number:04}")
        }
    }
}

/// Goods that are sold out are nobody else's wish.
fn goods(fate: Fate, number: u32) -> String {
    match fate {
        Fate::EmptyShelf => format!("sold-out-{number:04}"),
        Fate::Smooth | Fate::DeclinedCard | Fate::ErrorsForAWhile | Fate::LateAnswer => {
            format!("sku-{number:04}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(sagas: u32, seed: u64) -> Plan {
        Plan::new(&Workload { sagas, seed, concurrency: 1 }, "run")
    }

    #[test]
    fn a_seed_gives_one_plan_and_another_seed_another() {
        assert_eq!(plan(500, 7), plan(500, 7));
        assert_ne!(plan(500, 7), plan(500, 8));
    }

    #[test]
    fn ten_sagas_meet_every_fate() {
        let fates: std::collections::BTreeSet<Fate> =
            plan(10, 3).sagas.iter().map(|saga| saga.fate).collect();
        assert_eq!(fates.len(), 5);
    }

    #[test]
    fn only_those_who_shall_find_nothing_do() {
        let plan = plan(2_000, 1);
        for saga in &plan.sagas {
            let has_stock = plan.stock[&saga.sku] >= i64::from(saga.qty);
            let has_money = plan.accounts[&saga.user] >= i64::from(saga.amount);
            assert_eq!(has_stock, saga.fate != Fate::EmptyShelf, "{saga:?}");
            assert_eq!(has_money, saga.fate != Fate::DeclinedCard, "{saga:?}");
        }
    }

    #[test]
    fn every_troubled_saga_has_one_call_that_meets_it() {
        let plan = plan(400, 5);
        let planned: usize = plan.troubles.values().map(|troubles| troubles.0.len()).sum();
        assert_eq!(planned, 40);
        assert!(plan.outage.after_ends < 400);
    }
}
