//! The layers together, and the documented file against the known keys.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use ::config::{Value, ValueKind};
use secrecy::ExposeSecret;

use super::*;

const MARKER: &str = "MARKER-s3cr3t";

type Pairs<'a> = &'a [(&'a str, &'a str)];

fn owned(pairs: Pairs<'_>) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Loads a file of this text with `cn-hangzhou` as the region of the environment.
fn load_all(yaml: &str, environment: Pairs<'_>, overrides: Pairs<'_>) -> Result<Config, String> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(yaml.as_bytes()).unwrap();
    let mut environment = owned(environment);
    environment.push(("ALIBABA_CLOUD_REGION_ID".to_owned(), "cn-hangzhou".to_owned()));
    let request = LoadRequest { file: Some(file.path()), environment, overrides: owned(overrides) };
    load(request).map_err(|errors| errors.to_string().replace(&file.path().display().to_string(), "FILE"))
}

fn shown(secret: &Secret) -> String {
    secret.read().unwrap().expose_secret().to_owned()
}

fn without_file(environment: Pairs<'_>) -> Result<Config, String> {
    let request = LoadRequest { file: None, environment: owned(environment), overrides: Vec::new() };
    load(request).map_err(|errors| errors.to_string())
}

#[test]
fn with_a_region_alone_everything_has_its_default() {
    let config = without_file(&[("ALIBABA_CLOUD_REGION_ID", "cn-hangzhou"), ("PATH", "/bin")]).unwrap();
    let [account] = config.accounts.as_slice() else { panic!() };
    assert_eq!(
        (account.name.as_str(), account.regions.as_slice()),
        ("default", &["cn-hangzhou".to_owned()][..])
    );
    assert!(matches!(account.credentials, Credentials::Default));
    assert_eq!((account.network, &account.endpoint), (Network::Public, &None));
    assert!(account.workspaces.matches("w-1", "any name at all/with a slash", &[]));
    assert!(account.workspaces.discover);
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let collector = |interval, deadline| Collector { interval, deadline, page_size: 100 };
    assert_eq!(config.collectors.workspaces, collector(minutes(5), minutes(2)));
    assert_eq!(config.collectors.session_clusters, Some(collector(Duration::from_secs(30), minutes(2))));
    assert_eq!(config.collectors.livy_gateways, Some(collector(minutes(5), minutes(2))));
    let sessions = LivySessions {
        collector: collector(minutes(1), minutes(60)),
        full_sweep_interval: minutes(6 * 60),
        settle: minutes(2 * 60),
        series_limit: 500,
    };
    assert_eq!(config.collectors.livy_sessions, Some(sessions));
    assert_eq!((config.api.requests_per_second, config.api.max_in_flight, config.api.retries), (10.0, 4, 4));
    assert_eq!(
        (config.api.connect_timeout, config.api.timeout),
        (Duration::from_secs(5), Duration::from_secs(10))
    );
    assert_eq!((config.api.body_bytes_max, config.api.pages_max), (16 << 20, 100_000));
    assert!(config.api.ca_file.is_none() && config.api.proxy.is_none());
    assert_eq!(
        (config.ledger.path.as_path(), config.ledger.baseline),
        (Path::new("data/ledger.db"), Baseline::Include)
    );
    let day = Duration::from_secs(86_400);
    assert_eq!((config.ledger.retention, config.ledger.backup_interval), (day * 90, Some(day)));
    let exposition =
        Exposition { zero_hold: minutes(2), stale_after: minutes(10), created_timestamps: false };
    assert_eq!(config.exposition, exposition);
    assert_eq!(config.web.listen_addresses, [ListenAddress::Tcp("0.0.0.0:10990".into())]);
    assert_eq!((config.web.telemetry_path.as_str(), config.web.limits.max_connections), ("/metrics", 512));
    assert_eq!(config.log, Log { level: LogLevel::Info, format: LogFormat::Text });
}

#[test]
fn without_a_region_the_error_says_how_to_name_one() {
    assert_eq!(
        without_file(&[("ALIBABA_CLOUD_REGION_ID", "")]).unwrap_err(),
        "1 configuration error\n  accounts[0].regions: no region; name one, such as regions: [cn-hangzhou], \
         or set ALIBABA_CLOUD_REGION_ID"
    );
    assert_eq!(
        without_file(&[("ALIBABA_CLOUD_REGION_ID", "Hangzhou")]).unwrap_err(),
        "1 configuration error\n  environment ALIBABA_CLOUD_REGION_ID: expected a region id such as cn-hangzhou; \
         got \"Hangzhou\""
    );
}

#[test]
fn flags_win_over_the_environment_over_the_file() {
    let yaml =
        "web: {listen_address: ':1', telemetry_path: /a, max_connections: 1}\nlog:\napi: {retries: null}\n";
    let environment = [
        ("EMR_SPARK_EXPORTER__WEB__LISTEN_ADDRESS", ":2"),
        ("EMR_SPARK_EXPORTER__WEB__TELEMETRY_PATH", "/b"),
        ("EMR_SPARK_EXPORTER__LOG__LEVEL", ""),
    ];
    let config = load_all(yaml, &environment, &[("web.listen_address", ":3")]).unwrap();
    assert_eq!(config.web.listen_addresses, [ListenAddress::Tcp(":3".into())]);
    assert_eq!(config.web.telemetry_path, "/b");
    assert_eq!(config.web.limits.max_connections, 1);
    assert_eq!((config.api.retries, config.log.level), (4, LogLevel::Info));
}

#[test]
fn the_environment_reaches_into_the_lists_of_the_file() {
    let yaml = "accounts:\n  - name: a\n    regions: [cn-beijing]\n";
    let environment = [
        ("EMR_SPARK_EXPORTER__ACCOUNTS__0__NAME", "b"),
        ("EMR_SPARK_EXPORTER__ACCOUNTS__0__WORKSPACES__INCLUDE", " prod-* , w-1,"),
        ("EMR_SPARK_EXPORTER__ACCOUNTS__0__WORKSPACES__EXCLUDE__0", "{x,y}"),
        ("EMR_SPARK_EXPORTER__ACCOUNTS__1__NAME", "c"),
        ("EMR_SPARK_EXPORTER__ACCOUNTS__1__CREDENTIALS__TYPE", "static"),
        ("EMR_SPARK_EXPORTER__ACCOUNTS__1__CREDENTIALS__ACCESS_KEY_ID", "LTAI5t"),
        ("EMR_SPARK_EXPORTER__ACCOUNTS__1__CREDENTIALS__ACCESS_KEY_SECRET", "0123456"),
    ];
    let config = load_all(yaml, &environment, &[]).unwrap();
    let [first, second] = config.accounts.as_slice() else { panic!() };
    assert_eq!((first.name.as_str(), first.regions.as_slice()), ("b", &["cn-beijing".to_owned()][..]));
    let workspaces = &first.workspaces;
    assert!(workspaces.matches("w-1", "dev", &[]) && workspaces.matches("w-2", "prod-1", &[]));
    assert!(!workspaces.matches("w-2", "dev", &[]) && !workspaces.matches("w-1", "y", &[]));
    let Credentials::Static(key) = &second.credentials else { panic!() };
    assert_eq!((shown(&key.id).as_str(), shown(&key.secret).as_str()), ("LTAI5t", "0123456"));
    assert_eq!(second.regions, ["cn-hangzhou"]);
}

#[test]
fn workspaces_are_chosen_by_globs_and_tags_and_ids_are_in_any_case() {
    let yaml = "accounts:\n  - workspaces:\n      include: ['prod-*']\n      exclude: [w-9]\n      ids: [w-5, w-9]\n      \
                tags: {Team: data, a.b: '{x,y}*', empty: ''}\n";
    let tags = |tags: &[(&str, &str)]| owned(tags);
    let all = [("Team", "data"), ("other", ""), ("a.b", "yes"), ("empty", "")];
    let environment = [("EMR_SPARK_EXPORTER__ACCOUNTS__0__WORKSPACES__TAGS", "more=1*, last = z")];
    let loaded = |environment| load_all(yaml, environment, &[]).unwrap().accounts[0].workspaces.clone();
    let filter = loaded(&[]);
    assert!(filter.matches("w-1", "prod-1", &tags(&all)));
    assert!(!filter.matches("w-1", "dev-1", &tags(&all)), "the globs count, too");
    assert!(filter.matches("w-9", "dev-1", &[]), "in any case");
    for missing in [0, 2, 3] {
        let mut some = all.to_vec();
        some.remove(missing);
        assert!(!filter.matches("w-1", "prod-1", &tags(&some)), "without tag {missing}");
    }
    assert!(
        !filter.matches("w-1", "prod-1", &tags(&[("team", "data"), ("a.b", "x"), ("empty", "")])),
        "case"
    );
    let filter = loaded(&environment);
    assert!(!filter.matches("w-1", "prod-1", &tags(&all)), "a variable adds to the file");
    let more = [all.as_slice(), &[("more", "17"), ("last", "z")]].concat();
    assert!(filter.matches("w-1", "prod-1", &tags(&more)));
}

#[test]
fn an_account_has_its_own_limits_or_those_of_all() {
    let yaml = "accounts:\n  - {name: a, workspaces: {exclude: [w-2]}}\n  - {name: b, regions: [cn-beijing], \
                api: {requests_per_second: 2, proxy: 'http://u:MARKER-s3cr3t@h:1'}}\n  \
                - {name: c, workspaces: {discover: false, ids: [w-2]}}\napi: {max_in_flight: 7}";
    let config =
        load_all(yaml, &[("EMR_SPARK_EXPORTER__ACCOUNTS__2__API__MAX_IN_FLIGHT", "3")], &[]).unwrap();
    let limits: Vec<_> = config.accounts.iter().map(|account| account.api.over(&config.api)).collect();
    let shown: Vec<_> = limits.iter().map(|api| (api.requests_per_second, api.max_in_flight)).collect();
    assert_eq!(shown, [(10.0, 7), (2.0, 7), (10.0, 3)]);
    assert!(limits[0].proxy.is_none() && limits[1].proxy.is_some());
    assert_eq!(limits[1].timeout, config.api.timeout);
    assert!(!format!("{config:?}").contains(MARKER));
}

#[test]
fn bad_variables_are_errors_that_name_them() {
    let environment = [
        ("EMR_SPARK_EXPORTER__WEB__LISTEN_ADRESS", MARKER),
        ("EMR_SPARK_EXPORTER__WEB", MARKER),
        ("EMR_SPARK_EXPORTER__ACCOUNTS__2__NAME", "c"),
        ("EMR_SPARK_EXPORTER__ACCOUNTS__999999999999__NAME", "d"),
        ("EMR_SPARK_EXPORTER__ACCOUNTS__0__CREDENTIALS__TYPE", MARKER),
        ("EMR_SPARK_EXPORTER__API__RETRIES", "many"),
        ("EMR_SPARK_EXPORTER__API__PROXY", MARKER),
        ("EMR_SPARK_EXPORTER__ACCOUNTS__0__WORKSPACES__TAGS", "team"),
        ("EMR_SPARK_EXPORTER__ACCOUNTS__0__WORKSPACES__TAGS__TEAM", "data"),
        ("EMR_SPARK_EXPORTER__log__level", "info"),
        // Service links of Kubernetes.
        ("EMR_SPARK_EXPORTER_PORT", "tcp://10.0.0.1:10990"),
        ("EMR_SPARK_EXPORTER_SERVICE_HOST", "10.0.0.1"),
        ("ALIBABA_CLOUD_REGION_ID", "cn-hangzhou"),
    ];
    let message = without_file(&environment).unwrap_err();
    assert_eq!(
        message,
        "10 configuration errors
  environment EMR_SPARK_EXPORTER__ACCOUNTS__0__CREDENTIALS__TYPE: accounts[0].credentials.type: \
expected default, static, sts, ram_role_arn, oidc, ecs_ram_role, credentials_uri or profile
  environment EMR_SPARK_EXPORTER__ACCOUNTS__0__WORKSPACES__TAGS: accounts[0].workspaces.tags: expected names with \
values, such as team=data,env=prod-*
  environment EMR_SPARK_EXPORTER__ACCOUNTS__0__WORKSPACES__TAGS__TEAM: no setting has this name; all of its names and \
values stand in one variable, such as team=data,env=prod-*
  environment EMR_SPARK_EXPORTER__ACCOUNTS__999999999999__NAME: no setting has this name; the items of a \
list are numbered from 0 to 99, such as ACCOUNTS__0
  environment EMR_SPARK_EXPORTER__API__PROXY: api.proxy: expected http://host:port or \
http://user:password@host:port, with %XX for special characters; the value is not shown
  environment EMR_SPARK_EXPORTER__API__RETRIES: api.retries: expected a whole number from 0 to 10; got \"many\"
  environment EMR_SPARK_EXPORTER__WEB: web: this is a section; set its keys one by one
  environment EMR_SPARK_EXPORTER__WEB__LISTEN_ADRESS: no setting has this name; \
did you mean EMR_SPARK_EXPORTER__WEB__LISTEN_ADDRESS?
  environment EMR_SPARK_EXPORTER__log__level: no setting has this name; names are written in capitals
  accounts[1]: an empty item; number the accounts from 0 without a gap"
    );
}

#[test]
fn a_flag_is_named_in_its_error() {
    let message = load_all("", &[], &[("web.telemetry_path", "/")]).unwrap_err();
    assert!(
        message.starts_with(
            "FILE: 1 configuration error\n  flag --web.telemetry-path: web.telemetry_path: expected"
        ),
        "{message}"
    );
}

#[test]
fn a_value_of_the_file_that_is_wrong_is_an_error_even_where_it_is_overridden() {
    let message = load_all("accounts: {name: a}\n", &[("EMR_SPARK_EXPORTER__ACCOUNTS__0__NAME", "b")], &[])
        .unwrap_err();
    assert!(message.contains("line 1: accounts: expected a list"), "{message}");
}

#[test]
fn secrets_keep_their_text_and_those_of_files_lose_their_line_break() {
    let mut secret = tempfile::NamedTempFile::new().unwrap();
    write!(secret, " {MARKER} \r\n\n").unwrap();
    let yaml = format!(
        "accounts:\n  - credentials:\n      type: sts\n      access_key_id: 0123\n      access_key_secret: 0077e1\n      \
         security_token_file: {}\n",
        secret.path().display()
    );
    let message = load_all(&yaml, &[], &[]).unwrap_err();
    assert!(message.contains("security_token_file: expected a token without spaces"), "{message}");
    assert!(!message.contains(MARKER));
    let yaml = yaml.replace("security_token_file", "security_token: x.y\n      access_key_secret_file");
    let yaml = yaml.replace("      access_key_secret: 0077e1\n", "");
    let config = load_all(&yaml, &[], &[]).unwrap();
    let Credentials::Sts(key, token) = &config.accounts[0].credentials else { panic!() };
    assert_eq!(
        [&key.id, &key.secret, token].map(shown),
        ["0123".to_owned(), format!(" {MARKER} "), "x.y".to_owned()]
    );
    assert!(!format!("{config:?}").contains(MARKER));
}

#[test]
fn endpoints_are_normal_and_plain_http_needs_loopback_or_leave() {
    for (text, https, authority) in [
        ("https://EMR.example.com:443", true, "emr.example.com"),
        ("http://127.0.0.1:10991", false, "127.0.0.1:10991"),
        ("http://localhost:80", false, "localhost"),
        ("http://[::1]:1", false, "[::1]:1"),
    ] {
        let yaml = format!("accounts: [{{endpoint: '{text}'}}]");
        let endpoint = load_all(&yaml, &[], &[]).unwrap().accounts[0].endpoint.clone();
        assert_eq!(endpoint, Some(Endpoint { https, authority: authority.to_owned() }));
    }
    for text in [
        "http://127.0.0.1.example.com",
        "https://",
        "ftp://h",
        "https://h:0",
        "https://h:70000",
        "https://h/",
        "h:1",
        "http://[::2]",
    ] {
        let yaml = format!("accounts: [{{endpoint: '{text}'}}]");
        assert!(load_all(&yaml, &[], &[]).is_err(), "{text}");
    }
    assert!(load_all("accounts: [{endpoint: 'http://emr', allow_http: true}]", &[], &[]).is_ok());
}

#[test]
fn values_at_the_ends_of_their_ranges_are_accepted() {
    let yaml = "
collectors:
  session_clusters: {interval: 1s, deadline: 24h, page_size: 1}
  livy_gateways: {enabled: false}
  livy_sessions: {enabled: false, series_limit: 0}
api: {requests_per_second: 0.1, max_in_flight: 64, connect_timeout: 100ms, timeout: 5m, retries: 0, body_bytes_max: 65536,
      pages_max: 1000000, proxy: 'http://user:p%40ss@[::1]:3128'}
exposition: {zero_hold: 0s, stale_after: 7days}
web: {listen_address: '[::1]:0', telemetry_path: /a/b-c_d.e~f, max_connections: 65536}
log: {level: trace, format: json}
";
    let config = load_all(yaml, &[], &[]).unwrap();
    assert_eq!((config.api.body_bytes_max, config.exposition.zero_hold), (65_536, Duration::ZERO));
    assert!(config.collectors.livy_gateways.is_none() && config.collectors.livy_sessions.is_none());
    assert!(!format!("{config:?}").contains("p%40ss"));
}

#[test]
fn a_bare_zero_is_no_duration_either() {
    let message = load_all("exposition: {zero_hold: 0}", &[], &[]).unwrap_err();
    assert!(message.contains("such as 0s or 0m, from 0s to 1h; got \"0\""), "{message}");
}

/// Every leaf of the documented file: `accounts[].name` and its text, `None` for null; lists joined by commas.
fn leaves(value: &Value, path: &str, found: &mut BTreeMap<String, Option<String>>) {
    match (schema::shape(path), &value.kind) {
        (Some(schema::Shape::Sections), ValueKind::Array(items)) => {
            assert_eq!(items.len(), 1);
            leaves(&items[0], &format!("{path}[]"), found);
        }
        (Some(schema::Shape::Map), ValueKind::Table(map)) => {
            assert!(map.is_empty());
            found.insert(path.to_owned(), Some(String::new()));
        }
        (_, ValueKind::Table(map)) => {
            map.iter().for_each(|(name, value)| leaves(value, &schema::join(path, name), found));
        }
        (_, ValueKind::Array(items)) => {
            let items: Vec<_> = items.iter().map(|item| item.clone().into_string().unwrap()).collect();
            found.insert(path.to_owned(), Some(items.join(",")));
        }
        (_, ValueKind::String(text)) => drop(found.insert(path.to_owned(), Some(text.clone()))),
        _ => drop(found.insert(path.to_owned(), None)),
    }
}

#[test]
fn the_documented_file_has_exactly_the_known_keys_with_their_defaults() {
    let text = std::fs::read_to_string("config/exporter.yaml").unwrap();
    let mut shown = BTreeMap::new();
    leaves(&yaml::parse(&text).unwrap().root, "", &mut shown);
    let known: BTreeMap<_, _> =
        schema::KEYS.iter().map(|key| (key.path.to_owned(), key.default.map(str::to_owned))).collect();
    assert_eq!(shown, known);
    let as_it_is = load_all(&text, &[], &[]).unwrap();
    assert_eq!(format!("{as_it_is:?}"), format!("{:?}", load_all("", &[], &[]).unwrap()));
}

#[test]
fn the_examples_in_the_documented_file_load_but_for_their_secrets() {
    let text = std::fs::read_to_string("config/exporter.yaml").unwrap();
    let (_, examples) = text.split_once("# Further accounts look like this:\n").unwrap();
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "x").unwrap();
    let lines = examples.lines().map_while(|line| line.strip_prefix('#')).map(|line| {
        match line.split_once("_file: ") {
            Some((key, _)) => format!("{key}_file: {}\n", secret.path().display()),
            None => format!("{line}\n"),
        }
    });
    let examples = format!("accounts:\n{}", lines.collect::<String>());
    let config = load_all(&examples, &[], &[]).unwrap();
    assert_eq!(config.accounts.len(), 4, "{examples}");
}
