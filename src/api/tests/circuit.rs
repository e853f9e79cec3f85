//! Circuits, by their answers and the passing of time.

use tokio::time::{Instant, advance, timeout};

use super::stub::{Stub, error, json};
use super::*;
use crate::api::circuit::{Circuits, Resume};
use crate::api::credentials::{AccessCredentials, Fingerprint};
use crate::api::error::{Cause, Subject};
use crate::api::refusal::tests::refusal;

const SECOND: Duration = Duration::from_secs(1);

fn key(id: &str) -> Fingerprint {
    let secret = KEY_SECRET.into();
    AccessCredentials { id: id.into(), secret, security_token: None }.fingerprint()
}

fn about(action: Action, workspace: &str) -> Subject {
    Subject { action, ids: vec![workspace.into()] }
}

fn refused(code: &str) -> Cause {
    Cause::Refused(refusal(403, code))
}

/// Sends a request, as it were, that is answered like this; false where it was held back.
fn ask(circuits: &Circuits, subject: &Subject, outcome: &Result<(), Cause>) -> bool {
    ask_with(key(KEY_ID), circuits, subject, outcome)
}

fn ask_with(key: Fingerprint, circuits: &Circuits, subject: &Subject, outcome: &Result<(), Cause>) -> bool {
    circuits.check(subject, key).and_then(|()| circuits.admit(subject, key)).is_ok_and(|admitted| {
        admitted.settle(outcome.as_ref().copied());
        true
    })
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_stops_all_but_growing_pauses_let_a_probe_through() {
    let notes = Arc::new(Notes::default());
    let circuits = Circuits::new(notes.clone());
    let open = |reason| notes.open_circuits.lock().unwrap()[&reason];
    let (clusters, gateways) = (about(Action::ListSessionClusters, "w"), about(Action::ListLivyCompute, "w"));
    assert_eq!(open(FailureReason::Unauthenticated), 0);
    assert!(ask(&circuits, &clusters, &Err(refused("InvalidAccessKeyId.NotFound"))));
    assert_eq!(open(FailureReason::Unauthenticated), 1);
    assert!(!ask(&circuits, &clusters, &Ok(())) && !ask(&circuits, &gateways, &Ok(())));

    // An hour of asking every 100 ms.
    let (mut probes, begun) = (Vec::new(), Instant::now());
    while begun.elapsed() < 3_600 * SECOND {
        advance(SECOND / 10).await;
        if ask(&circuits, &gateways, &Err(refused("InvalidAccessKeyId.Inactive"))) {
            probes.push(begun.elapsed().as_secs_f64());
        }
    }
    assert!((17..=24).contains(&probes.len()), "{probes:?}");
    let pauses: Vec<f64> = probes.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses[..7].windows(2).all(|pair| pair[1] > pair[0] * 1.4), "{pauses:?}");
    assert!(pauses[9..].iter().all(|pause| (224.0..=300.2).contains(pause)), "{pauses:?}");

    advance(300 * SECOND).await;
    assert!(ask(&circuits, &clusters, &Ok(())) && ask(&circuits, &gateways, &Ok(())));
    assert_eq!(open(FailureReason::Unauthenticated), 0);
}

#[tokio::test(start_paused = true)]
async fn a_refused_permission_stops_one_operation_on_one_resource() {
    let notes = Arc::new(Notes::default());
    let circuits = Circuits::new(notes.clone());
    let denied = about(Action::ListLivyCompute, "w-1");
    let others = [about(Action::ListLivyCompute, "w-2"), about(Action::ListSessionClusters, "w-1")];
    assert!(ask(&circuits, &denied, &Err(refused("NoPermission"))));
    assert!(!ask(&circuits, &denied, &Ok(())));
    assert!(others.iter().all(|other| ask(&circuits, other, &Ok(()))));
    assert_eq!(notes.open_circuits.lock().unwrap()[&FailureReason::Denied], 1);

    // A key that is denied something is accepted.
    assert!(ask(&circuits, &others[0], &Err(refused("InvalidSecurityToken.Expired"))));
    advance(SECOND).await;
    assert!(ask(&circuits, &others[1], &Err(refused("Forbidden.RAM"))));
    assert!(ask(&circuits, &others[0], &Ok(())));
    // What nobody asks for any more is forgotten.
    advance(602 * SECOND).await;
    assert!(ask(&circuits, &others[0], &Ok(())));
    assert_eq!(notes.open_circuits.lock().unwrap()[&FailureReason::Denied], 0);
}

#[tokio::test(start_paused = true)]
async fn there_is_one_probe_at_a_time_and_without_an_answer_it_is_none() {
    let circuits = Circuits::new(Arc::new(()));
    let subject = about(Action::ListWorkspaces, "");
    ask(&circuits, &subject, &Err(refused("InvalidAccessKeyId.NotFound")));
    advance(SECOND).await;
    let probe = circuits.admit(&subject, key(KEY_ID)).unwrap();
    assert!(circuits.admit(&subject, key(KEY_ID)).is_err() && circuits.check(&subject, key(KEY_ID)).is_err());
    drop(probe);
    assert!(circuits.check(&subject, key(KEY_ID)).is_err(), "the pause begins again");
    advance(SECOND).await;
    // An answer that says nothing about the key leaves all as it was.
    assert!(ask(&circuits, &subject, &Err(refused("Throttling.User"))));
    assert!(!ask(&circuits, &subject, &Ok(())));
    advance(SECOND).await;
    assert!(ask(&circuits, &subject, &Err(refused("SessionCluster.NotFound"))));
    assert!(ask(&circuits, &subject, &Ok(())), "it was not the key's fault");
}

#[tokio::test(start_paused = true)]
async fn a_new_key_starts_afresh() {
    let notes = Arc::new(Notes::default());
    let circuits = Circuits::new(notes.clone());
    let open = || notes.open_circuits.lock().unwrap()[&FailureReason::Unauthenticated];
    let subject = about(Action::ListWorkspaces, "");
    ask(&circuits, &subject, &Err(refused("InvalidAccessKeyId.NotFound")));
    assert!(ask_with(key("new"), &circuits, &subject, &Err(refused("InvalidAccessKeyId.Inactive"))));
    assert_eq!(open(), 1, "the key before it is of no interest any more");
    assert!(!ask_with(key("new"), &circuits, &subject, &Ok(())));
    assert!(ask_with(key("newer"), &circuits, &subject, &Ok(())));
    assert_eq!(open(), 0);
}

async fn wakes(resume: &Resume, within: Duration) -> bool {
    timeout(within, resume.wait()).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_woken_for_a_probe_and_when_all_is_well() {
    let circuits = Circuits::new(Arc::new(()));
    let subject = about(Action::ListWorkspaces, "");
    assert!(circuits.resume(&subject).is_none());
    ask(&circuits, &subject, &Err(refused("InvalidAccessKeyId.NotFound")));
    let resume = circuits.resume(&subject).unwrap();
    assert!(!wakes(&resume, SECOND / 2).await);
    assert!(wakes(&resume, SECOND).await);

    // While another one probes, there is nothing to do.
    let probe = circuits.admit(&subject, key(KEY_ID)).unwrap();
    assert!(!wakes(&resume, 60 * SECOND).await);
    let (woken, ()) = tokio::join!(wakes(&resume, SECOND), async {
        tokio::task::yield_now().await;
        probe.settle(Ok(()));
    });
    assert!(woken && wakes(&resume, SECOND).await);
}

#[tokio::test]
async fn a_held_back_request_tells_the_answer_that_is_the_reason() {
    let stub = Stub::start(|n| match n {
        0 => error(404, "InvalidAccessKeyId.NotFound"),
        _ => json(r#"{"requestId":"r","workspaces":[]}"#),
    })
    .await;
    let client = client(&stub);
    for attempt in 0..2 {
        let failed = client.list_workspaces(None, 1).await.unwrap_err();
        assert_eq!(failed.reason(), FailureReason::Unauthenticated);
        let facts = (failed.code(), failed.request_id(), failed.status());
        assert_eq!(facts, (Some("InvalidAccessKeyId.NotFound"), Some("R-1"), Some(404)));
        assert_eq!(failed.to_string().contains("not sent"), attempt == 1, "{failed}");
        // When, not in how long: the words are read later.
        assert_eq!(
            failed.to_string().contains("the next probe is due at 2026-01-12T10:20:41Z"),
            attempt == 1,
            "{failed}"
        );
    }
    assert_eq!(stub.seen().len(), 1);
    client.list_livy_compute("w").await.unwrap_err().resume().unwrap().wait().await;
    client.list_workspaces(None, 1).await.unwrap();
}

#[tokio::test]
async fn keys_from_elsewhere_find_no_circuit_open_and_other_limits_leave_them() {
    let stub = Stub::start(|_| error(403, "Forbidden.RAM")).await;
    let (notes, keys) = (Arc::new(Notes::default()), provider_for(&long_lived(), |_| None));
    let endpoint = Endpoint { https: false, authority: stub.authority.clone() };
    let transport = Transport::new("cn-hangzhou", Network::Public, Some(&endpoint), &limits()).unwrap();
    let client = Client::new(ClientOptions {
        region: "cn-hangzhou",
        transport: transport.clone(),
        limits: &limits(),
        credentials: Arc::clone(&keys),
        clock: Clock::manual(NOW),
        observer: notes.clone(),
    });
    let open = || notes.open_circuits.lock().unwrap()[&FailureReason::Denied];
    client.list_workspaces(None, 1).await.unwrap_err();
    assert_eq!(open(), 1);
    let slower = Api { requests_per_second: 7.0, retries: 0, ..limits() };
    assert!(client.reconfigure(transport.clone(), &slower, &keys));
    assert_eq!((open(), notes.rates.lock().unwrap().last().copied()), (1, Some(7.0)));
    assert!(!client.reconfigure(transport, &slower, &provider_for(&sts(), |_| None)));
    assert_eq!(open(), 0);
}
