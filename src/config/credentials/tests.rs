//! Each type as it is written, and what tells two accounts apart.

use std::io::Write;

use super::*;
use crate::config::{Config, LoadRequest, load};

fn accounts(yaml: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(yaml.as_bytes()).unwrap();
    let region = ("ALIBABA_CLOUD_REGION_ID", "cn-hangzhou");
    let environment = environment.iter().chain([&region]).map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
    let request = LoadRequest { file: Some(file.path()), environment, overrides: Vec::new() };
    load(request).map_err(|errors| errors.to_string())
}

fn credentials(text: &str, environment: &[(&str, &str)]) -> Result<Credentials, String> {
    let config = accounts(&format!("accounts:\n  - credentials: {text}\n"), environment)?;
    Ok(config.accounts[0].credentials.clone())
}

fn role(arn: &str) -> Role {
    Role {
        arn: arn.to_owned(),
        session_name: "emr-serverless-spark-exporter".to_owned(),
        duration: Duration::from_secs(3_600),
        policy: None,
        external_id: None,
    }
}

const ARN: &str = "acs:ram::1234567890123456:role/reader";

#[test]
fn roles_are_assumed_with_any_other_credentials_even_those_of_another_role() {
    let text = format!(
        "{{type: ram_role_arn, role_arn: '{ARN}', role_session_name: me@home, duration: 15m, external_id: 'x-1', \
          policy: '{{\"Version\": \"1\"}}', source: {{type: ram_role_arn, role_arn: '{ARN}2', \
          source: {{type: ecs_ram_role, role_name: node, disable_imds_v1: true}}}}}}"
    );
    let Credentials::RamRoleArn(outer, source) = credentials(&text, &[]).unwrap() else { panic!() };
    let expected = Role {
        session_name: "me@home".into(),
        duration: Duration::from_secs(900),
        policy: Some("{\"Version\": \"1\"}".into()),
        external_id: Some("x-1".into()),
        ..role(ARN)
    };
    assert_eq!(outer, expected);
    let Credentials::RamRoleArn(inner, source) = *source else { panic!() };
    assert_eq!(inner, role(&format!("{ARN}2")));
    let Credentials::EcsRamRole(ecs) = *source else { panic!() };
    assert_eq!(ecs, EcsRole { name: Some("node".into()), disable_imds_v1: true });
}

#[test]
fn variables_reach_into_a_source() {
    let name = |rest: &str| format!("EMR_SPARK_EXPORTER__ACCOUNTS__0__CREDENTIALS__{rest}");
    let [kind, arn, source] = ["TYPE", "ROLE_ARN", "SOURCE__TYPE"].map(name);
    let environment = [(&*kind, "ram_role_arn"), (&*arn, ARN), (&*source, "profile")];
    let Credentials::RamRoleArn(_, source) = credentials("", &environment).unwrap() else { panic!() };
    assert_eq!(source.name(), "profile");
}

#[test]
fn oidc_takes_what_rrsa_puts_into_the_environment() {
    let environment = [
        ("ALIBABA_CLOUD_ROLE_ARN", ARN),
        ("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "acs:ram::1:oidc-provider/ack"),
        ("ALIBABA_CLOUD_OIDC_TOKEN_FILE", "/run/token"),
    ];
    let Credentials::Oidc(oidc) = credentials("{type: oidc}", &environment).unwrap() else { panic!() };
    assert_eq!((oidc.role, oidc.provider_arn.as_str()), (role(ARN), "acs:ram::1:oidc-provider/ack"));
    assert_eq!(oidc.token_file, Path::new("/run/token"));
    let message = credentials("{type: oidc}", &[]).unwrap_err();
    for key in ["role_arn", "oidc_provider_arn", "oidc_token_file"] {
        assert!(message.contains(&format!("accounts[0].credentials.{key}: missing; ")), "{message}");
    }
    assert!(credentials(&format!("{{type: ram_role_arn, role_arn: '{ARN}'}}"), &[]).is_err(), "no source");
    let message = credentials("{type: ram_role_arn, source: {type: default}}", &environment).unwrap_err();
    assert!(message.contains("role_arn: missing"), "the variable is for RRSA: {message}");
}

#[test]
fn a_uri_is_https_or_of_this_machine() {
    for uri in ["http://127.0.0.1:7002/keys?a=b", "https://keys.example.com", "http://[::1]/"] {
        assert!(credentials(&format!("{{type: credentials_uri, uri: '{uri}'}}"), &[]).is_ok(), "{uri}");
    }
    for uri in
        ["http://10.0.0.1/MARKER", "MARKER", "https://u:MARKER@h/", "https://h/#MARKER", "ftp://h/MARKER"]
    {
        let message = credentials(&format!("{{type: credentials_uri, uri: '{uri}'}}"), &[]).unwrap_err();
        assert!(
            message.contains("accounts[0].credentials.uri: ") && !message.contains("MARKER"),
            "{message}"
        );
    }
    let yaml = "accounts: [{allow_http: true, credentials: {type: credentials_uri, uri: 'http://keys/'}}]";
    assert!(accounts(yaml, &[]).is_ok());
}

#[test]
fn two_accounts_that_act_as_one_are_an_error() {
    let same = |one: &str, another: &str| {
        let yaml = format!(
            "accounts:\n  - {{name: a, credentials: {one}}}\n  - {{name: b, credentials: {another}}}\n"
        );
        match accounts(&yaml, &[]) {
            Ok(_) => false,
            Err(message) => {
                assert!(message.contains("uses the same credentials in cn-hangzhou"), "{message}");
                true
            }
        }
    };
    let key = |id: &str, secret: &str| {
        format!("{{type: static, access_key_id: {id}, access_key_secret: {secret}}}")
    };
    let assumed =
        |arn: &str, source: &str| format!("{{type: ram_role_arn, role_arn: '{arn}', source: {source}}}");
    let ecs = "{type: ecs_ram_role}";
    let uri = |uri: &str| format!("{{type: credentials_uri, uri: '{uri}'}}");
    assert!(same("{}", "{type: default}"));
    assert!(same(&key("i", "s"), &key("i", "t")));
    assert!(!same(&key("i", "s"), &key("j", "s")));
    assert!(same(ecs, "{type: ecs_ram_role, role_name: x}"));
    assert!(!same(ecs, "{type: default}"));
    assert!(same(&assumed(ARN, ecs), &assumed(ARN, &key("i", "s"))));
    assert!(!same(&assumed(ARN, ecs), &assumed(&format!("{ARN}2"), ecs)));
    let oidc = format!(
        "{{type: oidc, role_arn: '{ARN}', oidc_provider_arn: 'acs:ram::1:oidc-provider/p', oidc_token_file: ./Cargo.toml}}"
    );
    assert!(same(&oidc, &assumed(ARN, ecs)));
    assert!(same(&uri("https://h/1"), &uri("https://h/1")));
    assert!(!same(&uri("https://h/1"), &uri("https://h/2")));
    assert!(same("{type: profile}", "{type: profile}"));
    assert!(!same("{type: profile, profile: x}", "{type: profile, profile: y}"));
}

#[test]
fn keys_go_over_https_and_metadata_stays_on_the_machine() {
    let endpoint =
        |key: &str, text: &str| accounts(&format!("accounts: [{{allow_http: true, {key}: '{text}'}}]"), &[]);
    assert!(endpoint("sts_endpoint", "https://sts.example.com").is_ok());
    assert!(endpoint("sts_endpoint", "http://127.0.0.1:1").is_ok());
    assert!(endpoint("sts_endpoint", "http://sts.example.com").is_err());
    assert!(endpoint("metadata_endpoint", "http://localhost:1").is_ok());
    assert!(endpoint("metadata_endpoint", "http://100.100.100.200").is_ok());
    assert!(endpoint("metadata_endpoint", "http://metadata.example.com").is_err());
    assert!(endpoint("metadata_endpoint", "https://localhost").is_err());
}
