//! From a run that fails to the smallest one that still does.

use crate::run::run;
use crate::swarm::{Class, Limits};

/// Leaves out what can be left out of a run so that it still breaks an invariant; none if it breaks
/// none as it is. What is left out of a run changes what else happens in it, so what is found may be
/// broken in another way.
///
/// # Errors
///
/// As of [`run`].
pub fn shrink(seed: u64, limits: &Limits) -> anyhow::Result<Option<Limits>> {
    let fails =
        |limits: &Limits| Ok::<_, anyhow::Error>(!run(seed, limits, false)?.violations.is_empty());
    if !fails(limits)? {
        return Ok(None);
    }
    let mut best = limits.clone();
    for class in Class::ALL.into_iter().filter(|class| !limits.without.contains(class)) {
        let mut less = best.clone();
        less.without.push(class);
        if fails(&less)? {
            best = less;
        }
    }
    for coordinators in 1..4 {
        let less = Limits { coordinators: Some(coordinators), ..best.clone() };
        if fails(&less)? {
            best = less;
            break;
        }
    }
    let all = run(seed, &best, false)?.clients;
    let mut clients = best.clients.clone().unwrap_or_else(|| (0..all).collect());
    // Leaves out half of the clients, then quarters, and so on to single ones.
    let mut size = clients.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < clients.len() {
            let mut fewer = clients.clone();
            fewer.drain(at..(at + size).min(fewer.len()));
            let less = Limits { clients: Some(fewer.clone()), ..best.clone() };
            if !fewer.is_empty() && fails(&less)? {
                (best, clients) = (less, fewer);
            } else {
                at += size;
            }
        }
        size = if size == 1 { 0 } else { size.div_ceil(2) };
    }
    Ok(Some(best))
}

/// The command that runs it again.
pub fn reproduction(seed: u64, limits: &Limits) -> String {
    let mut text = format!("cargo run --release -p amends-sim -- --seed {seed} --seeds 1 --show");
    if let Some(clients) = &limits.clients {
        let clients: Vec<String> = clients.iter().map(ToString::to_string).collect();
        text = format!("{text} --clients {}", clients.join(","));
    }
    if let Some(coordinators) = limits.coordinators {
        text = format!("{text} --coordinators {coordinators}");
    }
    if !limits.without.is_empty() {
        let without: Vec<&str> = limits.without.iter().map(|class| class.as_str()).collect();
        text = format!("{text} --without {}", without.join(","));
    }
    text
}
