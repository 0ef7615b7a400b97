//! Pages as they come out, from sagas made by the real state machine.

use std::collections::BTreeMap;

use amends_core::Timestamp;
use amends_core::saga::{Command, Saga, Status};
use amends_ports::{Page, SagaSummary};
use askama::Template;

use crate::assets::AssetLinks;
use crate::filter::Conditions;
use crate::graph::Graph;
use crate::page::Frame;
use crate::saga_page::SagaPage;
use crate::sagas_page::{Listed, SagasPage};
use crate::specimen::{self, Specimen};
use crate::timeline::Timeline;

fn frame() -> Frame {
    let here = "/console/sagas".to_owned();
    Frame { theme: "", here, links: AssetLinks::new() }
}

fn saga_html(specimen: Specimen) -> String {
    let (now, shown) = specimen.shown();
    SagaPage::new(frame(), now, shown).render().unwrap()
}

fn summary(saga: &Saga) -> SagaSummary {
    let accepted = saga.accepted();
    SagaSummary {
        saga_id: saga.id().clone(),
        definition: accepted.definition_name.clone(),
        version: accepted.definition_version,
        status: saga.status(),
        paused: saga.is_paused(),
        step: saga.focus().map(|(step, _)| saga.definition().step(step).id.clone()),
        reason: saga.standing_reason(),
        labels: BTreeMap::new(),
        lock_keys: accepted.lock_keys.clone(),
        created_at: saga.accepted_at(),
        updated_at: saga.accepted_at(),
        ended_at: saga.ended_at(),
    }
}

fn list_html(pairs: &[(String, String)], sagas: &[Specimen], now: Timestamp) -> String {
    let count = |status| sagas.iter().filter(|one| one.saga.status() == status).count();
    let counts = Status::ALL.map(|status| (status, u32::try_from(count(status)).unwrap()));
    let items = sagas.iter().map(|specimen| summary(&specimen.saga)).collect();
    let listed =
        Listed { counts: counts.to_vec(), page: Page { items, next: None }, newer: Some(3) };
    SagasPage::new(frame(), now, Conditions::read(pairs), listed).render().unwrap()
}

#[test]
fn the_graph_of_an_undone_saga_is_as_it_was_drawn() {
    let graph = Graph::new(&specimen::undone().saga);
    insta::assert_snapshot!("graph_undone_across", graph.across.render().unwrap());
    insta::assert_snapshot!("graph_undone_list", graph.list.join("\n"));
}

#[test]
fn the_graph_of_a_suspended_saga_is_as_it_was_drawn() {
    let graph = Graph::new(&specimen::suspended().saga);
    insta::assert_snapshot!("graph_suspended_down", graph.down.render().unwrap());
}

#[test]
fn a_timeline_has_every_attempt_and_wait() {
    let undone = specimen::undone();
    let timeline = Timeline::new(undone.saga.definition(), &undone.records, undone.now);
    insta::assert_debug_snapshot!("timeline_undone", timeline);
}

#[test]
fn a_timeline_of_the_end_of_a_journal_is_drawn_too() {
    let undone = specimen::undone();
    for from in 0..undone.records.len() {
        let timeline = Timeline::new(undone.saga.definition(), &undone.records[from..], undone.now);
        assert!(timeline.total.ends_with('s'));
    }
    let nothing = Timeline::new(undone.saga.definition(), &[], undone.now);
    assert!(nothing.rows.is_empty());
}

#[test]
fn a_long_silence_is_drawn_short() {
    let suspended = specimen::suspended();
    let timeline = Timeline::new(suspended.saga.definition(), &suspended.records, suspended.now);
    let cuts: Vec<_> = timeline.cuts.iter().map(|cut| cut.title.as_str()).collect();
    assert_eq!(cuts.last(), Some(&"45.00 s without a call in flight, drawn short"));
    let stuck = timeline.rows.iter().find(|row| row.op == "confirm").unwrap();
    let kinds: Vec<_> = stuck.bars.iter().map(|bar| (bar.kind, bar.is_open)).collect();
    let attempt = ("attempt", false);
    let wait = ("wait", false);
    assert_eq!(kinds, [attempt, wait, attempt, wait, attempt, ("stuck", true)]);
}

#[test]
fn only_permitted_commands_are_offered() {
    let suspended = saga_html(specimen::suspended());
    for word in ["retry", "resolve-succeeded", "abandon", "pause"] {
        let field = format!(r#"name="command" value="{word}""#);
        assert!(suspended.contains(&field), "{word} is missing");
    }
    for word in ["cancel", "resume", "resolve-failed", "resolve-undone"] {
        let field = format!(r#"name="command" value="{word}""#);
        assert!(!suspended.contains(&field), "{word} is offered");
    }
    let ended = saga_html(specimen::completed());
    assert!(!ended.contains(r#"name="command" value"#));
    assert!(ended.contains("nothing about it changes any more"));
}

#[test]
fn what_operators_did_is_in_the_journal_with_their_reason() {
    let html = saga_html(specimen::running().command(Command::Pause));
    assert!(html.contains("paused by an operator: customer called"));
    assert!(html.contains(r#"name="command" value="resume""#));
}

#[test]
fn payloads_are_text() {
    let html = saga_html(specimen::running());
    assert!(!html.contains("<script>alert"), "markup of a payload is live");
    assert!(html.contains("&#60;script&#62;alert(1)"), "the payload is not shown");
    assert!(html.contains("alert(2)"));
}

#[test]
fn pages_have_no_inline_code_and_stay_small() {
    let sagas = [specimen::suspended(), specimen::running(), specimen::undone()];
    let now = sagas[0].now;
    let list = list_html(&[], &sagas, now);
    let style = include_str!("../assets/console.css").len();
    let script = include_str!("../assets/console.js").len();
    assert!(list.len() + style + script < 100_000);
    let pages = [list, saga_html(specimen::undone()), saga_html(specimen::suspended())];
    for html in pages {
        assert!(html.len() + style + script < 100_000, "{} bytes", html.len());
        for banned in [" style=", " onclick=", " onload=", "<style", "javascript:"] {
            assert!(!html.contains(banned), "{banned}");
        }
        assert_eq!(html.matches("<script").count(), 1);
    }
}

#[test]
fn ids_on_a_page_are_unique() {
    for html in [saga_html(specimen::suspended()), saga_html(specimen::running())] {
        let mut ids: Vec<_> =
            html.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        ids.sort_unstable();
        let twice: Vec<_> = ids.windows(2).filter(|pair| pair[0] == pair[1]).collect();
        assert!(twice.is_empty(), "{twice:?}");
    }
}

#[test]
fn the_list_says_what_needs_somebody_first() {
    let sagas = [specimen::suspended(), specimen::undone()];
    let now = sagas[1].now;
    let html = list_html(&[("status".to_owned(), "suspended".to_owned())], &sagas, now);
    assert!(html.find("needs an operator").unwrap() < html.find(">running<").unwrap());
    assert!(html.contains("3 new — show"));
    assert!(html.contains("hold h-5 has expired"));
    assert!(html.contains("order-1042"));
}
