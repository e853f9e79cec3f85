//! The known keys, their shapes and defaults: the one list that file, environment, flags and documentation are held against.
//! Invariant: what a message may show of a key or a value is decided here.

/// A key whose value is a text, a list of texts or a map of texts.
#[derive(Debug)]
pub(super) struct Key {
    /// Dotted path; `[]` stands for any index.
    pub(super) path: &'static str,
    /// What its value looks like: [`Shape::Text`], [`Shape::List`] or [`Shape::Map`].
    pub(super) shape: Shape,
    /// As it would be written in an environment variable; `None` where absence has a meaning of its own.
    pub(super) default: Option<&'static str>,
}

const fn text(path: &'static str, default: Option<&'static str>) -> Key {
    Key { path, shape: Shape::Text, default }
}

const fn list(path: &'static str, default: Option<&'static str>) -> Key {
    Key { path, shape: Shape::List, default }
}

const fn map(path: &'static str) -> Key {
    Key { path, shape: Shape::Map, default: Some("") }
}

/// Every key, in the order of `config/exporter.yaml`.
pub(super) const KEYS: &[Key] = &[
    text("accounts[].name", Some("default")),
    text("accounts[].credentials.type", Some("default")),
    text("accounts[].credentials.access_key_id", None),
    text("accounts[].credentials.access_key_id_file", None),
    text("accounts[].credentials.access_key_secret", None),
    text("accounts[].credentials.access_key_secret_file", None),
    text("accounts[].credentials.security_token", None),
    text("accounts[].credentials.security_token_file", None),
    text("accounts[].credentials.role_arn", None),
    text("accounts[].credentials.role_session_name", Some("emr-serverless-spark-exporter")),
    text("accounts[].credentials.duration", Some("1h")),
    text("accounts[].credentials.policy", None),
    text("accounts[].credentials.external_id", None),
    // Credentials of their own: `pattern` takes what is within for what is around it.
    text("accounts[].credentials.source", None),
    text("accounts[].credentials.oidc_provider_arn", None),
    text("accounts[].credentials.oidc_token_file", None),
    text("accounts[].credentials.role_name", None),
    text("accounts[].credentials.disable_imds_v1", Some("false")),
    text("accounts[].credentials.uri", None),
    text("accounts[].credentials.profile", None),
    text("accounts[].credentials.profile_file", None),
    list("accounts[].regions", None),
    text("accounts[].network", Some("public")),
    text("accounts[].endpoint", None),
    text("accounts[].sts_endpoint", None),
    text("accounts[].metadata_endpoint", None),
    text("accounts[].allow_http", Some("false")),
    text("accounts[].workspaces.discover", Some("true")),
    list("accounts[].workspaces.include", Some("*")),
    list("accounts[].workspaces.exclude", Some("")),
    map("accounts[].workspaces.tags"),
    list("accounts[].workspaces.ids", Some("")),
    text("accounts[].api.requests_per_second", None),
    text("accounts[].api.max_in_flight", None),
    text("accounts[].api.ca_file", None),
    text("accounts[].api.proxy", None),
    text("collectors.workspaces.interval", Some("5m")),
    text("collectors.workspaces.deadline", Some("2m")),
    text("collectors.workspaces.page_size", Some("100")),
    text("collectors.session_clusters.enabled", Some("true")),
    text("collectors.session_clusters.interval", Some("30s")),
    text("collectors.session_clusters.deadline", Some("2m")),
    text("collectors.session_clusters.page_size", Some("100")),
    text("collectors.livy_gateways.enabled", Some("true")),
    text("collectors.livy_gateways.interval", Some("5m")),
    text("collectors.livy_gateways.deadline", Some("2m")),
    text("collectors.livy_sessions.enabled", Some("true")),
    text("collectors.livy_sessions.interval", Some("60s")),
    text("collectors.livy_sessions.deadline", Some("1h")),
    text("collectors.livy_sessions.page_size", Some("100")),
    text("collectors.livy_sessions.full_sweep_interval", Some("6h")),
    text("collectors.livy_sessions.settle", Some("2h")),
    text("collectors.livy_sessions.series_limit", Some("500")),
    text("api.requests_per_second", Some("10")),
    text("api.max_in_flight", Some("4")),
    text("api.connect_timeout", Some("5s")),
    text("api.timeout", Some("10s")),
    text("api.retries", Some("4")),
    text("api.body_bytes_max", Some("16MiB")),
    text("api.pages_max", Some("100000")),
    text("api.ca_file", None),
    text("api.proxy", None),
    text("ledger.path", Some("data/ledger.db")),
    text("ledger.baseline", Some("include")),
    text("ledger.retention", Some("90days")),
    text("ledger.backup_interval", Some("24h")),
    text("exposition.zero_hold", Some("2m")),
    text("exposition.stale_after", Some("10m")),
    text("exposition.created_timestamps", Some("false")),
    text("pricing.currency", Some("CNY")),
    text("pricing.default", None),
    text("pricing.monthly_budget", None),
    text("pricing.by[].region", None),
    text("pricing.by[].workspace", None),
    text("pricing.by[].queue", None),
    text("pricing.by[].price", None),
    text("pricing.by[].from", None),
    list("web.listen_address", Some("0.0.0.0:10990")),
    text("web.systemd_socket", Some("false")),
    text("web.telemetry_path", Some("/metrics")),
    text("web.config_file", None),
    text("web.max_connections", Some("512")),
    text("web.head_bytes_max", Some("16KiB")),
    text("web.uri_bytes_max", Some("8KiB")),
    text("web.head_timeout", Some("10s")),
    text("web.idle_timeout", Some("150s")),
    text("web.write_timeout", Some("1m")),
    text("web.drain_delay", Some("0s")),
    text("web.drain_timeout", Some("5s")),
    text("web.enable_lifecycle", Some("false")),
    text("log.level", Some("info")),
    text("log.format", Some("text")),
];

/// What may stand at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A map of keys.
    Section,
    /// A list of maps of keys.
    Sections,
    /// One text.
    Text,
    /// A list of texts.
    List,
    /// Texts by names that are the user's own.
    Map,
}

/// The shape at `path`, or `None` where no key is known.
pub(super) fn shape(path: &str) -> Option<Shape> {
    let path = pattern(path);
    let below = |suffix: &str| KEYS.iter().any(|key| key.path.starts_with(&format!("{path}{suffix}")));
    match key(&path) {
        Some(key) => Some(key.shape),
        None if path.is_empty() || below(".") => Some(Shape::Section),
        None if below("[].") => Some(Shape::Sections),
        None => {
            let is = |path: &str, shape| key(path).is_some_and(|key| key.shape == shape);
            let in_list = path.strip_suffix("[]").is_some_and(|list| is(list, Shape::List));
            // Such a name may hold dots itself.
            let in_map = path.match_indices('.').any(|(end, _)| is(&path[..end], Shape::Map));
            (in_list || in_map).then_some(Shape::Text)
        }
    }
}

/// Whether the list at `path` may be written as one text, which is then its only item.
pub(super) fn takes_one(path: &str) -> bool {
    path == "web.listen_address"
}

/// The key at `path`, whose indices do not matter.
pub(super) fn key(path: &str) -> Option<&'static Key> {
    let path = pattern(path);
    KEYS.iter().find(|key| key.path == path)
}

/// `accounts[3].name` → `accounts[].name`. Credentials nest: `….credentials.source.type` → `….credentials.type`.
fn pattern(path: &str) -> String {
    const NESTED: &str = "accounts[].credentials.source";
    let mut inside = false;
    let mut pattern: String = path
        .chars()
        .filter(|c| {
            inside = *c == '[' || inside && *c != ']';
            !inside || *c == '['
        })
        .collect();
    while pattern.strip_prefix(NESTED).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')) {
        pattern.replace_range(.."accounts[].credentials".len() + ".source".len(), "accounts[].credentials");
    }
    pattern
}

/// The path of `name` inside the section `path`.
pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// What to write instead of the unknown `name` in the section `path`: the nearest key there, else the key of that
/// name elsewhere, else all that are known there.
pub(super) fn advice(path: &str, name: &str) -> String {
    // `retries=4` and `retries:4` are one long key; what counts is how it starts.
    let name = name.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').next().unwrap_or_default();
    let name = name.to_lowercase().replace('-', "_");
    let siblings = names_in(path);
    let near = siblings.iter().map(|known| (strsim::damerau_levenshtein(known, &name), known)).min();
    if let Some((distance, known)) = near
        && distance <= 1 + known.len() / 4
    {
        return format!("did you mean {}?", join(path, known));
    }
    let elsewhere = KEYS
        .iter()
        .flat_map(|key| ancestors(key.path))
        .filter(|known| known.rsplit('.').next().is_some_and(|last| last.trim_end_matches("[]") == name))
        // The setting of all, not what one account has instead.
        .min_by_key(|known| known.len());
    match elsewhere {
        Some(known) => {
            let account = path.split_once('.').map_or(path, |(account, _)| account);
            let known = known.trim_end_matches("[]");
            match known.strip_prefix("accounts[]") {
                Some(rest) if account.starts_with("accounts[") => format!("did you mean {account}{rest}?"),
                _ => format!("did you mean {known}?"),
            }
        }
        None => format!("known here: {}", siblings.join(", ")),
    }
}

/// The names that are known in the section `path`, in order.
pub(super) fn names_in(path: &str) -> Vec<&'static str> {
    let prefix = if path.is_empty() { String::new() } else { format!("{}.", pattern(path)) };
    let mut names: Vec<&'static str> = KEYS
        .iter()
        .filter_map(|key| key.path.strip_prefix(&prefix))
        .filter_map(|rest| rest.split('.').next())
        .map(|name| name.trim_end_matches("[]"))
        .collect();
    names.dedup();
    names
}

/// The path itself and every section that holds it.
fn ancestors(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.match_indices('.').map(|(end, _)| &path[..end]).chain([path])
}

/// Whether what stands at `path` may hold a secret: everything below `credentials`, and the proxy with its password.
fn is_secret(path: &str) -> bool {
    let path = pattern(path);
    path.starts_with("accounts[].credentials.") || path == "api.proxy" || path.ends_with("].api.proxy")
}

/// `; got "…"` where the value may be shown, cut to 80 characters.
/// An `@` may stand after a password in a URL, so such a value is never shown either.
pub(super) fn shown(path: &str, value: &str) -> String {
    if is_secret(path) || value.contains('@') {
        return String::new();
    }
    let mut cut: String = value.chars().take(80).collect();
    if cut.len() < value.len() {
        cut.push('…');
    }
    format!("; got {cut:?}")
}

/// The path of `name` in the section `path` for a message. A name that is not known may be a secret in the wrong
/// place (`access_key_secret:VALUE` without a space is one long key), so it is shown only where it looks like a key,
/// and beside keys with secrets only where it is almost one of theirs.
pub(super) fn shown_path(path: &str, name: &str) -> String {
    let child = join(path, name);
    let looks_like_a_key =
        name.len() <= 40 && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b == b'-');
    let near_a_key = || {
        let plain = name.to_lowercase().replace('-', "_");
        names_in(path).iter().any(|known| strsim::levenshtein(known, &plain) <= 2)
    };
    let beside_secrets = names_in(path).iter().any(|known| is_secret(&join(path, known)));
    if shape(&child).is_some() || !beside_secrets && looks_like_a_key || near_a_key() {
        child
    } else {
        join(path, "(a key not shown here)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_follow_from_the_keys() {
        for (path, expected) in [
            ("", Some(Shape::Section)),
            ("accounts", Some(Shape::Sections)),
            ("accounts[7]", Some(Shape::Section)),
            ("accounts[7].credentials", Some(Shape::Section)),
            ("accounts[7].credentials.source", Some(Shape::Section)),
            ("accounts[7].credentials.source.source.type", Some(Shape::Text)),
            ("accounts[7].credentials.sources", None),
            ("accounts[7].regions", Some(Shape::List)),
            ("accounts[7].regions[0]", Some(Shape::Text)),
            ("accounts[7].workspaces.tags", Some(Shape::Map)),
            ("accounts[7].workspaces.tags.team", Some(Shape::Text)),
            ("accounts[7].workspaces.tags.a.b", Some(Shape::Text)),
            ("web.listen_address", Some(Shape::List)),
            ("web.listen_address[0]", Some(Shape::Text)),
            ("web.telemetry_path", Some(Shape::Text)),
            ("web.telemetry_path[0]", None),
            ("web.listen_address.port", None),
            ("web.listen", None),
            ("acc", None),
        ] {
            assert_eq!(shape(path), expected, "{path:?}");
        }
    }

    #[test]
    fn advice_names_the_nearest_key_the_same_name_elsewhere_or_all() {
        assert_eq!(advice("web", "listen_adress"), "did you mean web.listen_address?");
        assert_eq!(advice("web", "Listen-Address"), "did you mean web.listen_address?");
        assert_eq!(advice("", "livy_sessions"), "did you mean collectors.livy_sessions?");
        assert_eq!(advice("", "regions"), "did you mean accounts[].regions?");
        assert_eq!(advice("log", "colour"), "known here: level, format");
        assert_eq!(advice("api", "proxy:http://x"), "did you mean api.proxy?");
        assert_eq!(
            advice("accounts[2]", "access_key_id"),
            "did you mean accounts[2].credentials.access_key_id?"
        );
        assert_eq!(advice("accounts[2]", "region"), "did you mean accounts[2].regions?");
    }

    #[test]
    fn a_secret_in_the_place_of_a_key_or_with_an_at_sign_is_not_shown() {
        assert_eq!(shown_path("web", "listen_adress"), "web.listen_adress");
        assert_eq!(shown_path("web", "listenAddress"), "web.listenAddress");
        assert_eq!(shown_path("web", "hunter"), "web.hunter");
        assert_eq!(shown_path("api", "hunter"), "api.(a key not shown here)");
        assert_eq!(shown_path("api", "proxy:http://u:p@h"), "api.(a key not shown here)");
        let credentials = "accounts[0].credentials";
        assert_eq!(shown_path(credentials, "acces_key_id"), "accounts[0].credentials.acces_key_id");
        assert_eq!(shown_path(credentials, "hunter"), "accounts[0].credentials.(a key not shown here)");
        assert_eq!(shown("api.proxy", "x"), "");
        assert_eq!(shown("accounts[3].credentials.type", "x"), "");
        assert_eq!(shown("accounts[3].endpoint", "http://u:p@h"), "");
        assert_eq!(shown("api.retries", "9\n"), "; got \"9\\n\"");
    }
}
