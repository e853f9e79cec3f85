//! Every way to keys, and what becomes of keys that expire, are revoked, or cannot be renewed.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use emr_serverless_spark_exporter::sim::{
    AccessKey, CREDENTIALS_PATH, INSTANCE_ROLE, Issuer, MetadataModes, OIDC_TOKEN,
};

use crate::harness::{Daemon, HOUR, Lab, MINUTE, Matcher, Settings, metric, wait_for, world};

const KEY: &str = "access_key_id: sim-access-key-id, access_key_secret: sim-access-key-secret";
const ROLE: &str = "acs:ram::1234567890123456:role/reader";
const PROVIDER: &str = "acs:ram::1234567890123456:oidc-provider/ack";
/// What no log may contain: keys that are issued, and what they are issued for.
const SECRETS: [&str; 7] = [
    "sim-access-key-secret",
    "sim-sts-secret",
    "sim-security-token",
    "sim-issued-",
    OIDC_TOKEN,
    "sim-metadata-token",
    "MARKED",
];

fn file(lab: &Lab, name: &str, text: &str) -> PathBuf {
    let path = lab.directory.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    // In one step: a running daemon that looks meanwhile finds all of it, or what was there before.
    let whole = path.with_extension("whole");
    fs::write(&whole, text).unwrap();
    fs::rename(&whole, &path).unwrap();
    path
}

fn with(lab: &Lab, credentials: &str) -> Settings {
    lab.settings().credentials(credentials, &lab.simulator.url())
}

fn oidc(lab: &Lab) -> String {
    let token = file(lab, "token", OIDC_TOKEN).display().to_string();
    format!("{{type: oidc, role_arn: '{ROLE}', oidc_provider_arn: '{PROVIDER}', oidc_token_file: {token}}}")
}

fn expiry() -> Matcher {
    metric("exporter_credentials_expiry_timestamp_seconds").label("account", "test")
}

/// Waits until the log has this text.
#[track_caller]
fn until_logged(daemon: &Daemon, text: &str) {
    wait_for(text, || if daemon.log().contains(text) { Ok(()) } else { Err("not logged".to_owned()) });
}

fn failures() -> Matcher {
    metric("exporter_sweep_failures_total")
}

const CLI: &str = r#"{"current": "chain", "profiles": [
    {"name": "ak", "mode": "AK", "access_key_id": "sim-access-key-id", "access_key_secret": "sim-access-key-secret"},
    {"name": "sts", "mode": "StsToken", "access_key_id": "STS.sim-access-key-id", "access_key_secret": "sim-sts-secret",
     "sts_token": "sim-security-token"},
    {"name": "role", "mode": "RamRoleArn", "access_key_id": "sim-access-key-id",
     "access_key_secret": "sim-access-key-secret", "ram_role_arn": "ROLE", "ram_session_name": "cli", "expired_seconds": 900},
    {"name": "chain", "mode": "ChainableRamRoleArn", "ram_role_arn": "ROLE", "ram_session_name": "cli",
     "source_profile": "role"},
    {"name": "ecs", "mode": "EcsRamRole", "ram_role_name": "sim-node-role"},
    {"name": "with-ecs", "mode": "RamRoleArnWithEcs", "ram_role_arn": "ROLE", "ram_session_name": "cli"},
    {"name": "oidc", "mode": "OIDC", "ram_role_arn": "ROLE", "oidc_provider_arn": "PROVIDER", "oidc_token_file": "TOKEN",
     "ram_session_name": "cli"},
    {"name": "uri", "mode": "CredentialsURI", "credentials_uri": "THE_URI"}]}"#;
const INI: &str = "[default]\ntype = ram_role_arn\naccess_key_id = sim-access-key-id\n\
                   access_key_secret = sim-access-key-secret\nrole_arn = ROLE\nrole_session_name = ini\n\
                   [key]\ntype = access_key\naccess_key_id = sim-access-key-id\naccess_key_secret = sim-access-key-secret\n\
                   [oidc]\ntype = oidc_role_arn\nrole_arn = ROLE\noidc_provider_arn = PROVIDER\n\
                   oidc_token_file_path = TOKEN\nrole_session_name = ini\n[node]\ntype = ecs_ram_role\n";

fn filled(lab: &Lab, text: &str) -> String {
    let token = file(lab, "token", OIDC_TOKEN).display().to_string();
    let uri = format!("{}{CREDENTIALS_PATH}?MARKED", lab.simulator.url());
    text.replace("ROLE", ROLE).replace("PROVIDER", PROVIDER).replace("TOKEN", &token).replace("THE_URI", &uri)
}

/// How often each issuer handed out keys: AssumeRole, AssumeRoleWithOIDC, metadata, URI.
fn served(lab: &Lab) -> [u64; 4] {
    Issuer::ALL.map(|(_, issuer)| lab.simulator.identity().served(issuer))
}

/// Each of these credentials serves: with so many requests for keys, for keys that expire or do not.
fn each_serves(types: impl Fn(&Lab) -> Vec<(String, [u64; 4])>) {
    let lab = Lab::new(world());
    for (credentials, expected) in types(&lab) {
        let before = served(&lab);
        let settings = with(&lab, &credentials).set("log.level", "trace").variable("RUST_LOG", "trace");
        let daemon = settings.start();
        lab.advance(MINUTE);
        let page = lab.settle(&daemon);
        assert_eq!(failures().sum_in(&page), 0.0, "{credentials}");
        let after = served(&lab);
        let asked = [0, 1, 2, 3].map(|i| after[i] - before[i]);
        assert_eq!(asked, expected, "{credentials}");
        assert_eq!(expiry().count_in(&page), usize::from(expected != [0; 4]), "{credentials}");
        let ended = daemon.end("TERM");
        for secret in SECRETS {
            assert!(!ended.log.contains(secret), "{secret} is in the log with {credentials}");
        }
    }
}

#[test]
fn each_type_serves_and_no_secret_is_logged() {
    each_serves(|lab| {
        let uri = format!("{}{CREDENTIALS_PATH}?token=MARKED", lab.simulator.url());
        let sts = "access_key_id: STS.sim-access-key-id, access_key_secret: sim-sts-secret, security_token: \
                   sim-security-token";
        let role = |source: &str| format!("{{type: ram_role_arn, role_arn: '{ROLE}', source: {source}}}");
        vec![
            (format!("{{type: static, {KEY}}}"), [0; 4]),
            (format!("{{type: sts, {sts}}}"), [0; 4]),
            (role(&format!("{{type: static, {KEY}}}")), [1, 0, 0, 0]),
            (role(&role("{type: ecs_ram_role}")), [2, 0, 1, 0]),
            (role(&oidc(lab)), [1, 1, 0, 0]),
            (oidc(lab), [0, 1, 0, 0]),
            ("{type: ecs_ram_role}".to_owned(), [0, 0, 1, 0]),
            (
                format!("{{type: ecs_ram_role, role_name: {INSTANCE_ROLE}, disable_imds_v1: true}}"),
                [0, 0, 1, 0],
            ),
            (format!("{{type: credentials_uri, uri: '{uri}'}}"), [0, 0, 0, 1]),
        ]
    });
}

#[test]
fn each_kind_of_profile_serves_and_no_secret_is_logged() {
    each_serves(|lab| {
        let cli = file(lab, "config.json", &filled(lab, CLI)).display().to_string();
        let ini = file(lab, "credentials.ini", &filled(lab, INI)).display().to_string();
        let named =
            |file: &str, name: &str| format!("{{type: profile, profile_file: {file}, profile: {name}}}");
        vec![
            (named(&cli, "ak"), [0; 4]),
            (named(&cli, "sts"), [0; 4]),
            (named(&cli, "role"), [1, 0, 0, 0]),
            (format!("{{type: profile, profile_file: {cli}}}"), [2, 0, 0, 0]),
            (named(&cli, "ecs"), [0, 0, 1, 0]),
            (named(&cli, "with-ecs"), [1, 0, 1, 0]),
            (named(&cli, "oidc"), [0, 1, 0, 0]),
            (named(&cli, "uri"), [0, 0, 0, 1]),
            (format!("{{type: profile, profile_file: {ini}}}"), [1, 0, 0, 0]),
            (named(&ini, "key"), [0; 4]),
            (named(&ini, "oidc"), [0, 1, 0, 0]),
            (named(&ini, "node"), [0, 0, 1, 0]),
        ]
    });
}

#[test]
fn the_default_chain_tries_its_sources_in_the_official_order() {
    let lab = Lab::new(world());
    let token = file(&lab, "token", OIDC_TOKEN).display().to_string();
    let cli = file(&lab, ".aliyun/config.json", &filled(&lab, CLI));
    let ini = file(&lab, ".alibabacloud/credentials.ini", &filled(&lab, INI));
    let uri = format!("{}{CREDENTIALS_PATH}", lab.simulator.url());
    let home = lab.directory.path().display().to_string();
    let mut variables = vec![
        ("HOME", home.as_str()),
        ("ALIBABA_CLOUD_ACCESS_KEY_ID", "sim-access-key-id"),
        ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "sim-access-key-secret"),
        ("ALIBABA_CLOUD_ROLE_ARN", ROLE),
        ("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", PROVIDER),
        ("ALIBABA_CLOUD_OIDC_TOKEN_FILE", token.as_str()),
        ("ALIBABA_CLOUD_CREDENTIALS_URI", uri.as_str()),
    ];
    // What the source that comes next asks for; before the next turn it is taken away.
    for (turn, expected) in
        [[0; 4], [0, 1, 0, 0], [2, 0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]].into_iter().enumerate()
    {
        match turn {
            1 => variables.retain(|(name, _)| !name.contains("ACCESS_KEY")),
            2 => variables.push(("ALIBABA_CLOUD_ROLE_ARN", "")),
            3 => fs::remove_file(&cli).unwrap(),
            4 => fs::remove_file(&ini).unwrap(),
            5 => variables.push(("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")),
            _ => {}
        }
        let before = served(&lab);
        let settings = with(&lab, "{type: default}");
        let settings =
            variables.iter().fold(settings, |settings, (name, value)| settings.variable(name, value));
        let daemon = settings.start();
        lab.settle(&daemon);
        let after = served(&lab);
        assert_eq!([0, 1, 2, 3].map(|i| after[i] - before[i]), expected, "turn {turn}");
        daemon.stop();
    }
}

#[test]
fn where_no_source_serves_each_is_named_and_one_that_comes_up_is_taken() {
    let lab = Lab::new(world());
    lab.simulator.identity().set_metadata_modes(MetadataModes::TokenOnly);
    lab.simulator.identity().refuse(Issuer::Metadata, 500, "Broken");
    let home = lab.directory.path().display().to_string();
    let daemon = with(&lab, "{type: default}").variable("HOME", &home).start();
    let failing = metric("exporter_sweep_failure_info").label("reason", "no_credentials");
    daemon.until_is(&failing, 1.0);
    for part in [
        "no source of the default chain serves: environment: not set: ALIBABA_CLOUD_ACCESS_KEY_ID, \
         ALIBABA_CLOUD_ACCESS_KEY_SECRET; oidc: not set: ",
        ".aliyun/config.json: there is no such file; profile: ",
        ".alibabacloud/credentials.ini: there is no such file; ecs_ram_role: ",
        "; credentials_uri: ALIBABA_CLOUD_CREDENTIALS_URI is not set",
    ] {
        until_logged(&daemon, part);
    }
    assert_eq!(
        metric("exporter_api_requests_total").sum_in(&daemon.scrape()),
        0.0,
        "nothing was sent without keys"
    );
    // A file that comes between the look at it and its reading is read once more: not to be met with keys, as they are counted.
    lab.simulator.identity().refuse(Issuer::AssumeRole, 500, "NotYet");
    file(&lab, ".alibabacloud/credentials.ini", &filled(&lab, INI));
    until_logged(&daemon, "NotYet");
    lab.simulator.identity().allow(Issuer::AssumeRole);
    until_logged(&daemon, "keys are to be had again");
    // Longer than it takes until files are looked at again.
    std::thread::sleep(Duration::from_secs(3));
    lab.settle(&daemon);
    assert_eq!(lab.simulator.identity().served(Issuer::AssumeRole), 1);
}

#[test]
fn keys_that_expire_within_a_sweep_are_renewed_within_it() {
    let lab = Lab::new(world());
    lab.simulator.identity().set_lifetime(Some(Duration::from_secs(9)));
    // Some 40 pages at 4 a second: longer than the keys live.
    let settings = with(&lab, "{type: ecs_ram_role}").set("api.requests_per_second", "4");
    let daemon = settings.set("collectors.livy_sessions.interval", "5s").start();
    let first = daemon.until("keys", |page| match expiry().value_in(page) {
        Some(_) => Ok(()),
        None => Err("none yet".to_owned()),
    });
    let before = expiry().value_in(&first);
    let page = lab.settle(&daemon);
    assert!(expiry().value_in(&page) > before, "they were renewed");
    assert!(lab.simulator.identity().served(Issuer::Metadata) >= 2);
    assert_eq!(failures().sum_in(&page), 0.0);
    let refused = metric("exporter_api_requests_total").label("outcome", "unauthenticated");
    assert_eq!(refused.sum_in(&page), 0.0);
}

#[test]
fn a_token_file_that_rotates_is_read_again_and_keys_outlast_a_failure() {
    let lab = Lab::new(world());
    let daemon = with(&lab, &oidc(&lab)).start();
    lab.settle(&daemon);
    // A token that is not good yet: the keys at hand go on to serve.
    let renewed = || lab.simulator.identity().served(Issuer::AssumeRoleWithOidc);
    assert_eq!(renewed(), 1);
    file(&lab, "token", "sim-oidc-token-that-is-not-good-yet");
    until_logged(&daemon, "keys could not be renewed; those at hand still hold");
    lab.advance(HOUR);
    assert_eq!(failures().sum_in(&lab.settle(&daemon)), 0.0);
    lab.simulator.identity().set_oidc_token("sim-oidc-token-that-is-new");
    file(&lab, "token", "sim-oidc-token-that-is-new");
    until_logged(&daemon, "keys are to be had again");
    assert_eq!(renewed(), 2);
    assert_eq!(failures().sum_in(&lab.settle(&daemon)), 0.0);
    let log = daemon.end("TERM").log;
    assert!(log.contains("AuthenticationFail.OIDCToken.Expired") && !log.contains(OIDC_TOKEN), "{log}");
}

#[test]
fn keys_that_are_revoked_or_expire_early_are_replaced() {
    let lab = Lab::new(world());
    let daemon = with(&lab, "{type: ecs_ram_role}").start();
    lab.settle(&daemon);
    assert_eq!(lab.simulator.identity().served(Issuer::Metadata), 1);
    lab.simulator.keys().revoke_issued();
    let refused = metric("exporter_api_requests_total").label("outcome", "unauthenticated");
    daemon.until("a refusal", |page| match refused.sum_in(page) {
        0.0 => Err("none yet".to_owned()),
        _ => Ok(()),
    });
    lab.advance(HOUR);
    lab.settle(&daemon);
    assert_eq!(lab.simulator.identity().served(Issuer::Metadata), 2, "asked once more, by many sweeps");
}

#[test]
fn key_files_are_read_again_when_they_change() {
    let lab = Lab::new(world());
    let paths = [("id", "sim-access-key-id\n"), ("secret", "sim-access-key-secret\n")]
        .map(|(name, text)| file(&lab, name, text).display().to_string());
    let [id, secret] = &paths;
    let daemon =
        with(&lab, &format!("{{type: static, access_key_id_file: {id}, access_key_secret_file: {secret}}}"))
            .start();
    lab.settle(&daemon);
    // As one rotates a key: the new one is made and handed out, the old one is deleted.
    lab.simulator.keys().put(AccessKey::new("sim-access-key-id-2", "sim-access-key-secret-2"));
    file(&lab, "id", "sim-access-key-id-2\n");
    file(&lab, "secret", "sim-access-key-secret-2\n");
    lab.simulator.keys().revoke("sim-access-key-id");
    lab.advance(HOUR);
    lab.settle(&daemon);
    daemon.until("the end of failures", |page| match metric("exporter_sweep_failure_info").count_in(page) {
        0 => Ok(()),
        _ => Err("some fail".to_owned()),
    });
}
