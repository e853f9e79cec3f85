//! Sources without a network, and what is said where none serves.

mod simulated;

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::error::Failure;
use super::source::{Fetch, Fetched};
use super::*;
use crate::config::{AccessKey, Account, Credentials, Endpoint, LoadRequest, Profile, load};
use crate::model::FailureReason;

/// A provider without a task of its own.
#[derive(Debug)]
struct Given(Result<Arc<AccessCredentials>, CredentialsError>);

impl CredentialsProvider for Given {
    fn credentials(&self) -> CredentialsFuture<'_> {
        Box::pin(std::future::ready(self.0.clone()))
    }
}

pub(super) fn given(settings: &Credentials) -> Arc<dyn CredentialsProvider> {
    let (key, token) = match settings {
        Credentials::Static(key) => (key, None),
        Credentials::Sts(key, token) => (key, Some(token)),
        _ => {
            let failure = Failure::absent("environment: not set: ALIBABA_CLOUD_ACCESS_KEY_ID");
            return Arc::new(Given(Err(failure.into())));
        }
    };
    Arc::new(Given(Ok(Arc::new(AccessCredentials {
        id: key.id.read().unwrap().expose_secret().to_owned(),
        secret: key.secret.read().unwrap(),
        security_token: token.map(|token| token.read().unwrap()),
    }))))
}

struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, path: &str, text: &str) -> std::path::PathBuf {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Asks once; nothing listens where the metadata service should be.
    async fn fetch(&self, settings: &Credentials, env: &[(&str, &str)]) -> Result<Fetched, Failure> {
        ask(settings, self.0.path(), env).fetch().await
    }

    /// As [`Home::fetch`], of a profile: its AccessKey id, or what is said, with the directory as `~`.
    async fn profile(&self, name: &str, file: &Path) -> Result<String, String> {
        let profile = Profile { name: Some(name.to_owned()), file: Some(file.to_owned()) };
        let result = self.fetch(&Credentials::Profile(profile), &[]).await;
        let home = self.0.path().display().to_string();
        result.map(|it| it.keys.id).map_err(|it| it.why.replace(&home, "~"))
    }
}

fn ask(settings: &Credentials, home: &Path, env: &[(&str, &str)]) -> super::source::Ready {
    let nowhere = Endpoint { https: false, authority: "127.0.0.1:1".to_owned() };
    ask_at(settings, home, env, &nowhere, Clock::manual(0))
}

fn ask_at(
    settings: &Credentials,
    home: &Path,
    env: &[(&str, &str)],
    place: &Endpoint,
    clock: Clock,
) -> super::source::Ready {
    // Nothing listens where the proxy should be: what is asked of this machine does not go that way.
    let overrides = [("accounts[0].regions", "cn-hangzhou"), ("api.proxy", "http://127.0.0.1:1")];
    let overrides = overrides.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let config = load(LoadRequest { file: None, environment: [], overrides }).unwrap();
    let account = Account {
        sts_endpoint: Some(place.clone()),
        metadata_endpoint: Some(place.clone()),
        ..config.accounts[0].clone()
    };
    let mut env: Vec<(String, String)> = env.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
    env.push(("HOME".to_owned(), home.display().to_string()));
    let look_up = move |name: &str| env.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
    let tools = Tools::new(&account, Arc::new(ArcSwap::from_pointee(config.api)), Box::new(look_up), clock);
    Source::from(settings).with(tools)
}

#[tokio::test]
async fn the_environment_gives_a_long_lived_or_a_temporary_key() {
    let home = Home::new();
    let key = [("ALIBABA_CLOUD_ACCESS_KEY_ID", "id\n"), ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", " s")];
    let got = home.fetch(&Credentials::Default, &key).await.unwrap();
    assert_eq!(got.keys.confidential().collect::<Vec<_>>(), ["id", "s"]);
    assert!(got.expiry.is_none());
    let sts = [key[0], key[1], ("ALIBABA_CLOUD_SECURITY_TOKEN", "t")];
    let got = home.fetch(&Credentials::Default, &sts).await.unwrap();
    assert_eq!(got.keys.confidential().collect::<Vec<_>>(), ["id", "s", "t"]);
}

#[tokio::test]
async fn where_none_serves_each_source_says_why_in_the_order_of_the_chain() {
    let home = Home::new();
    let env = [("ALIBABA_CLOUD_ACCESS_KEY_ID", "id"), ("ALIBABA_CLOUD_ROLE_ARN", "acs:ram::1:role/r")];
    let failure = home.fetch(&Credentials::Default, &env).await.unwrap_err();
    assert_eq!(failure.reason, FailureReason::NoCredentials);
    let home_path = home.0.path().display().to_string();
    let text = failure.why.replace(&home_path, "~");
    let (text, last) =
        text.split_once("; ecs_ram_role: the metadata service's token: no connection: ").unwrap();
    assert_eq!(
        text,
        "no source of the default chain serves: environment: not set: ALIBABA_CLOUD_ACCESS_KEY_SECRET; oidc: not set: \
         ALIBABA_CLOUD_OIDC_PROVIDER_ARN, ALIBABA_CLOUD_OIDC_TOKEN_FILE; profile: ~/.aliyun/config.json: there is no \
         such file; profile: ~/.alibabacloud/credentials.ini: there is no such file"
    );
    assert!(last.ends_with("; credentials_uri: ALIBABA_CLOUD_CREDENTIALS_URI is not set"), "{last}");

    let off = [
        ("ALIBABA_CLOUD_CLI_PROFILE_DISABLED", "TRUE"),
        ("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true"),
        ("ALIBABA_CLOUD_CREDENTIALS_URI", "http://10.0.0.1/MARKER"),
    ];
    let text = home.fetch(&Credentials::Default, &off).await.unwrap_err().why;
    assert!(text.contains("profile: the CLI's is off: ALIBABA_CLOUD_CLI_PROFILE_DISABLED is true"), "{text}");
    assert!(text.contains("ecs_ram_role: off: ALIBABA_CLOUD_ECS_METADATA_DISABLED is true"), "{text}");
    assert!(text.contains("credentials_uri: ALIBABA_CLOUD_CREDENTIALS_URI: plain http"), "{text}");
    assert!(!text.contains("MARKER"), "{text}");
}

#[tokio::test]
async fn the_source_that_served_is_kept_though_an_earlier_one_comes_up() {
    let home = Home::new();
    let ini = home.write(".alibabacloud/credentials.ini", &ini_key("from-ini"));
    let ready = ask(&Credentials::Default, home.0.path(), &[]);
    assert_eq!(ready.fetch().await.unwrap().keys.id, "from-ini");
    home.write(
        ".aliyun/config.json",
        &cli(r#"{"name": "default", "access_key_id": "x", "access_key_secret": "y"}"#),
    );
    assert_eq!(ready.fetch().await.unwrap().keys.id, "from-ini");
    assert_eq!(ready.files(), std::slice::from_ref(&ini));
    fs::remove_file(&ini).unwrap();
    let failure = ready.fetch().await.unwrap_err();
    assert_eq!(failure.why, format!("profile: {}: there is no such file", ini.display()));
    // Another process begins with the first that serves.
    let ready = ask(&Credentials::Default, home.0.path(), &[]);
    assert_eq!(ready.fetch().await.unwrap().keys.id, "x");
}

fn cli(profiles: &str) -> String {
    format!(r#"{{"current": "default", "meta_path": "", "profiles": [{profiles}]}}"#)
}

fn ini_key(id: &str) -> String {
    format!("; comment\n[default]\nType = access_key # comment\naccess_key_id: {id}\naccess_key_secret = s\n")
}

#[tokio::test]
async fn profiles_are_found_by_name_and_their_faults_are_named() {
    let home = Home::new();
    let file = home.write(
        "config.json",
        &cli(
            r#"{"name": "ak", "mode": "AK", "access_key_id": "id", "access_key_secret": "MARKER", "region_id": "r"},
               {"name": "sts", "mode": "StsToken", "access_key_id": "t", "access_key_secret": "MARKER", "sts_token": "x"},
               {"name": "half", "mode": "AK", "access_key_id": "id"},
               {"name": "typed", "mode": "AK", "access_key_id": 7, "access_key_secret": "MARKER"},
               {"name": "a", "mode": "ChainableRamRoleArn", "ram_role_arn": "acs:ram::1:role/r", "source_profile": "b"},
               {"name": "b", "mode": "ChainableRamRoleArn", "ram_role_arn": "acs:ram::1:role/s", "source_profile": "a"},
               {"name": "prog", "mode": "External", "process_command": "MARKER"},
               {"name": "sso", "mode": "CloudSSO", "access_token": "MARKER"},
               {"name": "odd", "mode": "MARKER"}"#,
        ),
    );
    assert_eq!(home.profile("ak", &file).await.as_deref(), Ok("id"));
    assert_eq!(home.profile("sts", &file).await.as_deref(), Ok("t"));
    for (name, expected) in [
        ("half", "profile \"half\": access_key_secret is missing"),
        ("typed", "profile \"typed\": a field of another type than the CLI writes"),
        ("a", "profiles that lead in a circle by source_profile: \"a\" → \"b\" → \"a\""),
        (
            "none",
            "no profile \"none\" (there: \"a\", \"ak\", \"b\", \"half\", \"odd\", \"prog\", \"sso\", \"sts\", \"typed\")",
        ),
    ] {
        let text = home.profile(name, &file).await.unwrap_err();
        assert_eq!(text, format!("profile: ~/config.json: {expected}"));
    }
    for (name, expected) in
        [("prog", "use mode CredentialsURI"), ("sso", "a profile with a RAM role"), ("odd", "expected AK")]
    {
        let text = home.profile(name, &file).await.unwrap_err();
        assert!(text.contains(expected) && !text.contains("MARKER"), "{text}");
    }
    let broken = home.write("broken.json", "{\"profiles\": [\n{\"name\": MARKER}]}");
    let text = home.profile("x", &broken).await.unwrap_err();
    assert_eq!(text, "profile: ~/broken.json: not the JSON of a CLI's profiles, in line 2");
}

#[tokio::test]
async fn the_sdks_file_is_read_as_the_sdks_do() {
    let home = Home::new();
    let text = ini_key("id") + "[role]\ntype = ram_role_arn\naccess_key_id = i\n[rsa]\ntype = rsa_key_pair\n";
    let file = home.write("credentials.ini", &text);
    assert_eq!(home.profile("default", &file).await.as_deref(), Ok("id"));
    let text = home.profile("rsa", &file).await.unwrap_err();
    assert!(text.contains("profile \"rsa\": an unsupported type; expected access_key, "), "{text}");
    let text = home.profile("role", &file).await.unwrap_err();
    assert!(text.ends_with("profile \"role\": access_key_secret is missing"), "{text}");
    let broken = home.write("broken.ini", "[default]\nMARKER\n");
    let text = home.profile("default", &broken).await.unwrap_err();
    assert_eq!(text, "profile: ~/broken.ini: neither JSON nor [sections] with key = value, in line 2");
}

#[tokio::test]
async fn keys_in_files_are_read_at_each_fetch() {
    let home = Home::new();
    let [id, secret] = [home.write("id", "one\n"), home.write("secret", "s1\n")];
    let key =
        AccessKey { id: config::Secret::File(id.clone()), secret: config::Secret::File(secret.clone()) };
    let ready = ask(&Credentials::Static(key), home.0.path(), &[]);
    assert_eq!(ready.fetch().await.unwrap().keys.confidential().collect::<Vec<_>>(), ["one", "s1"]);
    assert_eq!(ready.files(), [id.clone(), secret.clone()]);
    fs::write(&id, "two").unwrap();
    fs::write(&secret, "s2").unwrap();
    assert_eq!(ready.fetch().await.unwrap().keys.confidential().collect::<Vec<_>>(), ["two", "s2"]);
    fs::write(&secret, "\n").unwrap();
    assert_eq!(ready.fetch().await.unwrap_err().why, "static: access_key_secret_file: the file is empty");
}

#[test]
fn nothing_prints_a_key() {
    let key = AccessKey { id: "the-id".into(), secret: "the-secret".into() };
    let settings = Credentials::Sts(key, "the-token".into());
    let source = Source::from(&settings);
    let keys = AccessCredentials {
        id: "the-id".into(),
        secret: "the-secret".into(),
        security_token: Some("the-token".into()),
    };
    let uri = Credentials::CredentialsUri("http://127.0.0.1/the-uri".into());
    let text = format!("{settings:?} {source:?} {keys:?} {uri:?} {:?}", Source::from(&uri));
    assert!(!text.contains("the-"), "{text}");
}
