//! Definitions, participants, the secret.

use std::collections::BTreeSet;
use std::sync::Arc;

use amends_core::definition::Digest;
use amends_core::participant::ParticipantSpec;
use amends_core::saga::Status;
use tokio::task::JoinSet;

use super::fixture::{World, at, definition, definition_name, header, id, participant_name, saga};
use crate::Store;
use crate::store::{NewDefinition, NewSaga, PutParticipant};

fn ad_hoc(name: &str, content: &str, participants: &[&str]) -> NewDefinition {
    NewDefinition { ad_hoc: true, ..definition(name, content, participants) }
}

/// 1, 2, 3 for each name; the newest without a number.
pub async fn versions_count_from_one(store: Arc<dyn Store>) {
    for (content, version) in [("one", 1), ("two", 2), ("three", 3)] {
        let new = definition("pay", content, &["bank"]);
        let (stored, is_new) = store.put_definition(&new).await.unwrap();
        assert!(is_new);
        assert_eq!((stored.version, &stored.digest), (Some(version), &new.digest));
        assert_eq!((stored.name, stored.source), (new.name, new.source));
        assert_eq!(stored.created_at, new.created_at);
    }
    let (other, _) = store.put_definition(&definition("ship", "one", &[])).await.unwrap();
    assert_eq!(other.version, Some(1));
    let name = definition_name("pay");
    let newest = store.definition_version(&name, None).await.unwrap().unwrap();
    assert_eq!(newest.version, Some(3));
    let second = store.definition_version(&name, Some(2)).await.unwrap().unwrap();
    assert_eq!(second.digest, definition("pay", "two", &[]).digest);
    assert_eq!(second.source, definition("pay", "two", &[]).source);
    for version in [0, 4, u32::MAX] {
        assert!(store.definition_version(&name, Some(version)).await.unwrap().is_none());
    }
    assert!(store.definition_version(&definition_name("x"), None).await.unwrap().is_none());
    assert!(store.definition(&Digest("0".repeat(64))).await.unwrap().is_none());
}

/// The same content again, also after newer ones, is the version it was.
pub async fn the_same_content_is_stored_once(store: Arc<dyn Store>) {
    let one = definition("pay", "one", &["bank"]);
    store.put_definition(&one).await.unwrap();
    store.put_definition(&definition("pay", "two", &[])).await.unwrap();
    let again = NewDefinition { created_at: at(99), ..one.clone() };
    let (stored, is_new) = store.put_definition(&again).await.unwrap();
    assert!(!is_new);
    assert_eq!((stored.version, stored.created_at), (Some(1), at(0)));
    let (stored, is_new) = store.put_definition(&ad_hoc("pay", "one", &["bank"])).await.unwrap();
    assert!(!is_new, "inside a request it is the same content too");
    assert_eq!(stored.version, Some(1));
    let newest = store.definition_version(&definition_name("pay"), None).await.unwrap().unwrap();
    assert_eq!(newest.version, Some(2));
}

/// It is found by its content only.
pub async fn a_definition_inside_a_request_gets_no_version(store: Arc<dyn Store>) {
    let new = ad_hoc("pay", "one", &["bank"]);
    let (stored, is_new) = store.put_definition(&new).await.unwrap();
    assert!(is_new);
    assert_eq!(stored.version, None);
    let (_, is_new) = store.put_definition(&new).await.unwrap();
    assert!(!is_new);
    let found = store.definition(&new.digest).await.unwrap().unwrap();
    assert_eq!((found.version, found.source), (None, new.source));
    assert!(store.definition_version(&definition_name("pay"), None).await.unwrap().is_none());
    assert!(store.definitions(None, 9).await.unwrap().is_empty());
    let (versioned, _) = store.put_definition(&definition("pay", "two", &[])).await.unwrap();
    assert_eq!(versioned.version, Some(1), "it takes no number either");
}

/// What came inside a request and is registered afterwards gets the next version.
pub async fn a_definition_may_get_its_version_later(store: Arc<dyn Store>) {
    store.put_definition(&definition("pay", "one", &[])).await.unwrap();
    store.put_definition(&ad_hoc("pay", "two", &["bank"])).await.unwrap();
    let new = definition("pay", "two", &["bank"]);
    let (stored, _) = store.put_definition(&new).await.unwrap();
    assert_eq!(stored.version, Some(2));
    assert_eq!(store.definition(&new.digest).await.unwrap().unwrap().version, Some(2));
    let newest = store.definition_version(&definition_name("pay"), None).await.unwrap().unwrap();
    assert_eq!(newest.digest, new.digest);
}

/// However they race: one version a content, no number twice, no gap.
pub async fn definitions_at_once_get_different_versions(store: Arc<dyn Store>) {
    let mut tasks = JoinSet::new();
    for n in 0..20 {
        let store = Arc::clone(&store);
        let new = definition("pay", &format!("content {}", n / 2), &["bank"]);
        tasks.spawn(async move { store.put_definition(&new).await.unwrap() });
    }
    let stored = tasks.join_all().await;
    assert_eq!(stored.iter().filter(|(_, is_new)| *is_new).count(), 10);
    let versions: BTreeSet<u32> = stored.iter().filter_map(|(own, _)| own.version).collect();
    assert!(versions.into_iter().eq(1..=10));
}

/// The newest version of each, in pages.
pub async fn definitions_are_listed_by_name(store: Arc<dyn Store>) {
    for (name, content) in [("c", "1"), ("a", "1"), ("b", "1"), ("a", "2"), ("d", "1")] {
        let new = NewDefinition { created_at: at(5), ..definition(name, content, &["bank"]) };
        store.put_definition(&new).await.unwrap();
    }
    store.put_definition(&ad_hoc("a", "3", &[])).await.unwrap();
    let first = store.definitions(None, 2).await.unwrap();
    assert_eq!(first[0].digest, definition("a", "2", &[]).digest);
    assert_eq!((first[0].version, first[0].created_at), (2, at(5)));
    let rest = store.definitions(Some(&first[1].name), 9).await.unwrap();
    let names: Vec<&str> = first.iter().chain(&rest).map(|own| own.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c", "d"]);
    assert!(store.definitions(Some(&definition_name("d")), 9).await.unwrap().is_empty());
}

fn spec(name: &str, team: &str) -> ParticipantSpec {
    let document = serde_json::json!({
        "name": name,
        "endpoints": [format!("http://{name}.test:8080")],
        "labels": { "team": team },
    });
    serde_json::from_value(document).unwrap()
}

/// Created, changed, refused: by the expected revision.
pub async fn participants_have_revisions(store: Arc<dyn Store>) {
    let put = async |team, expected, second| {
        store.put_participant(&spec("bank", team), expected, at(second)).await.unwrap()
    };
    let missing = put("a", Some(1), 1).await;
    assert!(matches!(missing, PutParticipant::RevisionMismatch { stored: 0 }));
    let PutParticipant::Created(first) = put("a", Some(0), 2).await else {
        assert!(store.participants().await.unwrap().is_empty(), "it was not there");
        return;
    };
    assert_eq!((first.revision, first.created_at, first.updated_at), (1, at(2), at(2)));
    let again = put("b", Some(0), 3).await;
    assert!(matches!(again, PutParticipant::RevisionMismatch { stored: 1 }));
    let changed = put("b", Some(1), 4).await;
    assert!(matches!(&changed, PutParticipant::Updated(own) if own.revision == 2));
    let stale = put("c", Some(1), 5).await;
    assert!(matches!(stale, PutParticipant::RevisionMismatch { stored: 2 }));
    let forced = put("d", None, 6).await;
    assert!(matches!(&forced, PutParticipant::Updated(own) if own.revision == 3));
    let all = store.participants().await.unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].spec, spec("bank", "d"));
    assert_eq!((all[0].revision, all[0].created_at, all[0].updated_at), (3, at(2), at(6)));
    let new = store.put_participant(&spec("adder", "a"), None, at(7)).await.unwrap();
    assert!(matches!(new, PutParticipant::Created(_)));
    let names: Vec<_> =
        store.participants().await.unwrap().into_iter().map(|own| own.spec.name).collect();
    assert_eq!(names, [participant_name("adder"), participant_name("bank")]);
}

/// Registration, change and deletion each raise the number; what changes nothing may not.
pub async fn every_change_of_participants_is_seen(store: Arc<dyn Store>) {
    let before = store.participants_revision().await.unwrap();
    store.put_participant(&spec("bank", "a"), None, at(1)).await.unwrap();
    let created = store.participants_revision().await.unwrap();
    store.put_participant(&spec("bank", "b"), None, at(2)).await.unwrap();
    let changed = store.participants_revision().await.unwrap();
    assert!(store.delete_participant(&participant_name("bank")).await.unwrap());
    let deleted = store.participants_revision().await.unwrap();
    assert!(before < created && created < changed && changed < deleted);
    assert!(!store.delete_participant(&participant_name("bank")).await.unwrap());
    assert!(store.participants().await.unwrap().is_empty());
    store.put_participant(&spec("bank", "a"), Some(0), at(3)).await.unwrap();
    assert!(store.participants_revision().await.unwrap() > deleted);
}

/// Newest versions, and whatever live sagas run.
pub async fn definitions_name_participants(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let old = definition("pay", "old", &["bank", "mail"]);
    let inline = ad_hoc("inline", "1", &["bank"]);
    for new in [
        &old,
        &definition("pay", "new", &["mail"]),
        &definition("ship", "1", &["bank", "post"]),
        &inline,
        &ad_hoc("unused", "1", &["bank"]),
    ] {
        world.store.put_definition(new).await.unwrap();
    }
    let naming = async |name: &str, limit| -> Vec<String> {
        let names = world.store.definitions_naming(&participant_name(name), limit).await.unwrap();
        names.into_iter().map(String::from).collect()
    };
    assert_eq!(naming("bank", 9).await, ["ship"]);
    assert_eq!(naming("mail", 9).await, ["pay"]);
    assert!(naming("nobody", 9).await.is_empty());

    let run = |name: &str, new: &NewDefinition, version| NewSaga {
        definition: new.digest.clone(),
        definition_name: new.name.clone(),
        definition_version: version,
        ..saga(name)
    };
    let over = NewSaga { header: header(Status::Completed), ..run("s2", &old, Some(1)) };
    world.accept_all(vec![over, run("s3", &inline, None)]).await;
    assert_eq!(naming("bank", 9).await, ["inline", "ship"]);
    world.accept(run("s1", &old, Some(1))).await;
    assert_eq!(naming("bank", 9).await, ["inline", "pay", "ship"]);
    assert_eq!(naming("bank", 2).await.len(), 2);
    world.end(&id("s1")).await;
    world.end(&id("s3")).await;
    assert_eq!(naming("bank", 9).await, ["ship"]);
}

/// 64 hex digits, the same each time.
pub async fn the_secret_stays(store: Arc<dyn Store>) {
    let secret = store.secret().await.unwrap();
    assert_eq!(secret.len(), 64);
    assert!(secret.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(store.secret().await.unwrap(), secret);
}

/// As soon as it is connected.
pub async fn a_fresh_store_is_ready(store: Arc<dyn Store>) {
    store.ready().await.unwrap();
}
