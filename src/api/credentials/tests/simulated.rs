//! Sources that ask over the network, against the simulated services.

use std::time::Duration;

use super::*;
use crate::config::{EcsRole, OidcRole, Role};
use crate::sim::{
    CREDENTIALS_PATH, INSTANCE_ROLE, Issuer, MetadataModes, OIDC_TOKEN, Options, Simulator, World,
    WorldConfig,
};

const MINUTE: Duration = Duration::from_secs(60);

async fn simulator() -> Simulator {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = World::new(WorldConfig { workspaces: 1, gateways: 0, ..WorldConfig::default() });
    Simulator::start(listener, world, Options::default()).unwrap()
}

fn role() -> Role {
    Role {
        arn: "acs:ram::1:role/reader".into(),
        session_name: "me".into(),
        duration: Duration::from_secs(3_600),
        policy: Some(r#"{"Version": "1", "Statement": []}"#.into()),
        external_id: None,
    }
}

fn key(secret: &str) -> Credentials {
    Credentials::Static(AccessKey { id: "sim-access-key-id".into(), secret: secret.into() })
}

/// Asks once, by a clock that is wrong by so much.
async fn fetch(simulator: &Simulator, settings: &Credentials, ahead: i64) -> Result<Fetched, Failure> {
    let place = Endpoint { https: false, authority: simulator.addr().to_string() };
    let home = Home::new();
    let ready = ask_at(settings, home.0.path(), &[], &place, Clock::manual(Clock::System.now() + ahead));
    ready.fetch().await
}

#[tokio::test]
async fn a_wrong_clock_is_set_right_by_sts_and_spoils_no_lifetime() {
    let simulator = simulator().await;
    let settings = Credentials::RamRoleArn(role(), Box::new(key("sim-access-key-secret")));
    for ahead in [-20_i64, 0, 20].map(|minutes| minutes * 60_000) {
        let got = fetch(&simulator, &settings, ahead).await.unwrap();
        let left = got.expiry.unwrap().left;
        assert!((55 * MINUTE..=61 * MINUTE).contains(&left), "{left:?}");
        let token = got.keys.security_token.unwrap();
        assert!(token.expose_secret().starts_with("sim-issued-token-"));
    }
    assert_eq!(simulator.identity().served(Issuer::AssumeRole), 3);
    simulator.stop().await;
}

#[tokio::test]
async fn what_sts_says_is_told_with_its_reason_and_without_secrets() {
    let simulator = simulator().await;
    let settings = |secret: &str| Credentials::RamRoleArn(role(), Box::new(key(secret)));
    let failure = fetch(&simulator, &settings("wrong"), 0).await.unwrap_err();
    assert!(
        failure.why.starts_with("ram_role_arn: AssumeRole: HTTP 400 SignatureDoesNotMatch: "),
        "{}",
        failure.why
    );
    assert_eq!(failure.reason, FailureReason::Unauthenticated);
    for (status, code, reason) in [
        (403, "NoPermission", FailureReason::Denied),
        (404, "EntityNotExist.Role", FailureReason::NotFound),
        (503, "ServiceUnavailable", FailureReason::ServerError),
        (429, "Throttling.User", FailureReason::Throttled),
    ] {
        simulator.identity().refuse(Issuer::AssumeRole, status, code);
        let failure = fetch(&simulator, &settings("sim-access-key-secret"), 0).await.unwrap_err();
        assert_eq!(failure.reason, reason, "{code}");
        assert!(failure.why.contains(&format!("HTTP {status} {code}")), "{}", failure.why);
    }

    let home = Home::new();
    let oidc = OidcRole {
        role: role(),
        provider_arn: "acs:ram::1:oidc-provider/ack".into(),
        token_file: home.write("token", "MARKER-token\n"),
    };
    let settings = Credentials::Oidc(oidc);
    // The service repeats the token; we do not.
    let failure = fetch(&simulator, &settings, 0).await.unwrap_err();
    assert!(failure.why.contains("AuthenticationFail.OIDCToken.Expired"), "{}", failure.why);
    assert!(failure.why.contains("***") && !failure.why.contains("MARKER"), "{}", failure.why);
    home.write("token", OIDC_TOKEN);
    assert!(fetch(&simulator, &settings, 0).await.is_ok());

    // The service repeats path and query.
    let down = format!("{CREDENTIALS_PATH}?MARKER");
    simulator.identity().refuse(Issuer::CredentialsUri, 500, "Broken");
    let uri = Credentials::CredentialsUri(format!("{}{down}", simulator.url()).into());
    let failure = fetch(&simulator, &uri, 0).await.unwrap_err();
    assert!(failure.why.starts_with("credentials_uri: HTTP 500 Broken"), "{}", failure.why);
    let hides = |text: &str| !text.contains("MARKER") && !text.contains(CREDENTIALS_PATH);
    assert!(failure.why.contains("***") && hides(&failure.why), "{}", failure.why);
    simulator.stop().await;
}

#[tokio::test]
async fn the_metadata_service_is_asked_with_a_token_or_where_allowed_without() {
    let simulator = simulator().await;
    let ecs = |name: Option<&str>, disable_imds_v1| {
        Credentials::EcsRamRole(EcsRole { name: name.map(str::to_owned), disable_imds_v1 })
    };
    for (modes, disable_v1, expected) in [
        (MetadataModes::Both, false, Ok(())),
        (MetadataModes::Both, true, Ok(())),
        (MetadataModes::TokenOnly, false, Ok(())),
        (MetadataModes::TokenOnly, true, Ok(())),
        (MetadataModes::PlainOnly, false, Ok(())),
        (MetadataModes::TokenUseless, false, Ok(())),
        (MetadataModes::TokenUseless, true, Err("HTTP 403: an HTML page instead of JSON")),
        (MetadataModes::PlainOnly, true, Err("(disable_imds_v1 rules out the other mode)")),
    ] {
        simulator.identity().set_metadata_modes(modes);
        for name in [None, Some(INSTANCE_ROLE)] {
            match (fetch(&simulator, &ecs(name, disable_v1), 0).await, expected) {
                (Ok(got), Ok(())) => assert!(got.expiry.is_some()),
                (Err(failure), Err(part)) => assert!(failure.why.ends_with(part), "{}", failure.why),
                (got, _) => panic!("{modes:?} {disable_v1}: {got:?}"),
            }
        }
    }
    simulator.identity().set_metadata_modes(MetadataModes::Both);
    let failure = fetch(&simulator, &ecs(Some("other"), false), 0).await.unwrap_err();
    assert!(
        failure.why.starts_with("ecs_ram_role: the keys of the instance's role other: HTTP 404"),
        "{}",
        failure.why
    );
    simulator.identity().set_lifetime(Some(Duration::ZERO));
    let failure = fetch(&simulator, &ecs(None, false), 0).await.unwrap_err();
    assert!(failure.why.contains("the keys that came have expired at 2"), "{}", failure.why);
    simulator.stop().await;
}
