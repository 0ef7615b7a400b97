//! Looks through all states of a model and says what was found.

use std::fmt::Debug;
use std::hash::Hash;
use std::time::Instant;

use stateright::{Checker, Expectation, HasDiscoveries, Model};

/// What came of one exploration.
#[derive(Debug)]
pub struct Explored {
    /// Different states that were visited.
    pub states: usize,
    /// Rules that do not hold, and after how many moves.
    pub broken: Vec<(&'static str, usize)>,
    /// Situations that should have come up and did not.
    pub unseen: Vec<&'static str>,
}

/// Visits every state of `model`, the nearest first; stops at the first broken rule. Prints what it
/// found under `name`.
#[expect(clippy::disallowed_methods, reason = "measures how long a test takes")]
pub fn explore<M>(name: &str, model: M) -> Explored
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq + Send + Sync,
{
    let began = Instant::now();
    let checker = model.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let seconds = began.elapsed().as_secs_f64();
    let found = checker.discoveries();
    let mut explored =
        Explored { states: checker.unique_state_count(), broken: Vec::new(), unseen: Vec::new() };
    for property in checker.model().properties() {
        let path = found.get(property.name);
        match (property.expectation, path) {
            (Expectation::Sometimes, None) => explored.unseen.push(property.name),
            (Expectation::Always, Some(path)) => {
                let actions = path.clone().into_actions();
                explored.broken.push((property.name, actions.len()));
                if std::env::var_os("MODELS_TRACE").is_some() {
                    println!("{name}: {:?} is broken by:", property.name);
                    for action in &actions {
                        println!("    {action:?}");
                    }
                    println!("    {:?}", path.last_state());
                }
            }
            (Expectation::Sometimes, Some(_)) | (Expectation::Always, None) => {}
            (Expectation::Eventually, _) => panic!("not exact in this checker: {}", property.name),
        }
    }
    let Explored { states, broken, .. } = &explored;
    match broken.as_slice() {
        [] => println!("model: {name}: {states} states in {seconds:.1} s, every rule holds"),
        [(rule, moves), ..] => println!(
            "model: {name}: found after {moves} moves, {states} states, {seconds:.1} s: {rule:?} \
             is broken"
        ),
    }
    explored
}

/// Asserts that every rule holds and every situation came up.
pub fn holds<M>(name: &str, model: M)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq + Send + Sync,
{
    let explored = explore(name, model);
    assert!(explored.broken.is_empty(), "{name}: {:?}", explored.broken);
    assert!(explored.unseen.is_empty(), "{name} never saw {:?}", explored.unseen);
}

/// Asserts that a planted fault breaks one of `rules`.
pub fn finds<M>(name: &str, model: M, rules: &[&str])
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq + Send + Sync,
{
    let explored = explore(name, model);
    let (rule, _) = explored.broken.first().unwrap_or_else(|| {
        panic!("{name}: the planted fault was not found in {} states", explored.states)
    });
    assert!(rules.contains(rule), "{name}: broke {:?}, expected one of {rules:?}", explored.broken);
}
