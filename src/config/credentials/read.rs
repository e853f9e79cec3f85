//! Settings → credentials. Invariant: no message shows a value from below `credentials`, known or not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::{
    AccessKey, Credentials, EcsRole, OidcRole, Profile, Role, Secret, read_profile_file, read_secret,
};
use crate::config::reader::Reader;
use crate::config::units::{self, Span};

/// Sources within sources; more is a mistake.
const SOURCES_MAX: usize = 4;
/// What RAM allows for a session.
const SESSION: Span =
    Span { min: Duration::from_secs(900), max: Duration::from_secs(12 * 3600), words: "from 15m to 12h" };
/// The longest policy that AssumeRole takes, in characters.
const POLICY_CHARS_MAX: usize = 2048;

/// Types of credentials, by the name in the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Default,
    Static,
    Sts,
    RamRoleArn,
    Oidc,
    EcsRamRole,
    CredentialsUri,
    Profile,
}

const KINDS: [(&str, Kind); 8] = [
    ("default", Kind::Default),
    ("static", Kind::Static),
    ("sts", Kind::Sts),
    ("ram_role_arn", Kind::RamRoleArn),
    ("oidc", Kind::Oidc),
    ("ecs_ram_role", Kind::EcsRamRole),
    ("credentials_uri", Kind::CredentialsUri),
    ("profile", Kind::Profile),
];

const KEY: &[Kind] = &[Kind::Static, Kind::Sts];
const ROLE: &[Kind] = &[Kind::RamRoleArn, Kind::Oidc];

/// Which types a key belongs to. A key that has no effect is more likely a mistake than a wish.
const BELONGS: [(&str, &[Kind]); 19] = [
    ("access_key_id", KEY),
    ("access_key_id_file", KEY),
    ("access_key_secret", KEY),
    ("access_key_secret_file", KEY),
    ("security_token", &[Kind::Sts]),
    ("security_token_file", &[Kind::Sts]),
    ("role_arn", ROLE),
    ("role_session_name", ROLE),
    ("duration", ROLE),
    ("policy", ROLE),
    ("external_id", &[Kind::RamRoleArn]),
    ("source", &[Kind::RamRoleArn]),
    ("oidc_provider_arn", &[Kind::Oidc]),
    ("oidc_token_file", &[Kind::Oidc]),
    ("role_name", &[Kind::EcsRamRole]),
    ("disable_imds_v1", &[Kind::EcsRamRole]),
    ("uri", &[Kind::CredentialsUri]),
    ("profile", &[Kind::Profile]),
    ("profile_file", &[Kind::Profile]),
];

/// What the section's keys are read with.
struct Section<'a> {
    reader: &'a mut Reader,
    path: &'a str,
    /// Where a key of the section is misspelt, that another one is missing would only distract.
    is_whole: bool,
    environment: &'a BTreeMap<String, String>,
    allow_http: bool,
}

/// Reads the section at `path`. With `allow_http`, a URI may be plain http on another machine.
pub(in crate::config) fn read(
    reader: &mut Reader,
    path: &str,
    environment: &BTreeMap<String, String>,
    allow_http: bool,
) -> Option<Credentials> {
    let is_whole = !reader.has_failed(path);
    let mut section = Section { reader, path, is_whole, environment, allow_http };
    let kind = section.reader.read(&section.at("type"), |text| units::word(text, &KINDS));
    // Each key is read whatever the type, so that all that is wrong shows at once.
    let key = section.access_key(kind);
    let token = section.secret("security_token", token);
    let role = section.role(kind);
    let oidc = section.oidc(kind);
    let ecs = section.ecs();
    let uri = section.uri();
    let profile = section.profile();
    let source = section.source(kind);
    let kind = kind?;
    section.refuse_strangers(kind);
    let missing = |section: &mut Section<'_>, key: &str, what: &str| {
        if section.is_whole && !section.reader.has_failed(&section.at(key)) {
            section.reader.fail(&section.at(key), format!("missing; {what}"));
        }
    };
    match kind {
        Kind::Default => section.is_whole.then_some(Credentials::Default),
        Kind::Static => Some(Credentials::Static(key?)),
        Kind::Sts => {
            let token = token?;
            if token.is_none() {
                let what = "type: sts needs it, here or by security_token_file";
                missing(&mut section, "security_token", what);
            }
            Some(Credentials::Sts(key?, token?))
        }
        Kind::RamRoleArn => Some(Credentials::RamRoleArn(role?, Box::new(source?))),
        Kind::Oidc => {
            let ((provider_arn, token_file), role) = (oidc?, role?);
            Some(Credentials::Oidc(OidcRole { role, provider_arn, token_file }))
        }
        Kind::EcsRamRole => Some(Credentials::EcsRamRole(ecs?)),
        Kind::CredentialsUri => {
            let uri = uri?;
            if uri.is_none() {
                missing(
                    &mut section,
                    "uri",
                    "type: credentials_uri needs it, such as http://127.0.0.1:7002/",
                );
            }
            Some(Credentials::CredentialsUri(uri?))
        }
        Kind::Profile => Some(Credentials::Profile(profile?)),
    }
}

impl Section<'_> {
    fn at(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    fn refuse_strangers(&mut self, kind: Kind) {
        let name = |kind: Kind| KINDS.iter().find(|(_, known)| *known == kind).map_or("", |(name, _)| *name);
        for (key, kinds) in BELONGS {
            let path = self.at(key);
            if !kinds.contains(&kind) && self.reader.is_changed(&path) {
                let owners = kinds.iter().map(|owner| name(*owner)).collect::<Vec<_>>().join(" or ");
                let message =
                    format!("has no effect with type: {}; it belongs to type: {owners}", name(kind));
                self.reader.fail(&path, message);
            }
        }
    }

    fn access_key(&mut self, kind: Option<Kind>) -> Option<AccessKey> {
        let id = self.secret("access_key_id", access_key_id);
        let secret = self.secret("access_key_secret", |_| Ok(()));
        if self.is_whole && kind.is_some_and(|kind| KEY.contains(&kind)) {
            for (key, value) in [("access_key_id", &id), ("access_key_secret", &secret)] {
                if matches!(value, Some(None)) {
                    let message =
                        format!("missing; type: static and type: sts need it, here or by {key}_file");
                    self.reader.fail(&self.at(key), message);
                }
            }
        }
        Some(AccessKey { id: id??, secret: secret?? })
    }

    /// A secret given at `key`, or in the file that the key `…_file` names; what is wrong with it, `check` says.
    fn secret(&mut self, key: &str, check: fn(&str) -> Result<(), String>) -> Option<Option<Secret>> {
        let (path, file_path) = (self.at(key), self.at(&format!("{key}_file")));
        let inline = self.reader.optional(&path, |text| match text {
            "" => Err("expected a secret, not an empty text".to_owned()),
            text => check(text).map(|()| Some(Secret::from(text))),
        });
        let file = self.reader.optional(&file_path, |name| secret_file(name, check).map(Some));
        if self.reader.is_given(&path) && self.reader.is_given(&file_path) {
            self.reader.fail(&file_path, format!("give either this or {path}, not both"));
            return None;
        }
        let (inline, file) = (inline?, file?);
        Some(inline.or(file))
    }

    /// A text from the settings, else from a variable of the environment.
    fn text(&mut self, key: &str, variable: &str, check: fn(&str) -> Result<(), String>) -> Option<String> {
        let path = self.at(key);
        let given = self.reader.optional(&path, |text| check(text).map(|()| Some(text.to_owned())))?;
        let from_environment = || self.environment.get(variable).map(|text| text.trim().to_owned());
        given.or_else(from_environment).filter(|text| !text.is_empty())
    }

    fn role(&mut self, kind: Option<Kind>) -> Option<Role> {
        let variable = if kind == Some(Kind::Oidc) { "ALIBABA_CLOUD_ROLE_ARN" } else { "" };
        let arn = self.text("role_arn", variable, |text| arn(text, "role"));
        if kind.is_some_and(|kind| ROLE.contains(&kind)) && arn.is_none() {
            self.missing("role_arn", "such as acs:ram::1234567890123456:role/spark-reader", variable);
        }
        let session_name = self.reader.read(&self.at("role_session_name"), |text| {
            named(text, 2..=64, b".@-_")
                .ok_or("expected a name of 2 to 64 letters, digits and .@-_".to_owned())
        });
        let duration = self.reader.read(&self.at("duration"), |text| units::duration(text, &SESSION));
        let policy = self.reader.optional(&self.at("policy"), |text| policy(text).map(Some));
        let external_id = self.reader.optional(&self.at("external_id"), |text| {
            let expected = "expected an external id of 2 to 1224 letters, digits and =,.@:/-_+";
            named(text, 2..=1224, b"=,.@:/-_+").map(Some).ok_or(expected.to_owned())
        });
        Some(Role {
            arn: arn?,
            session_name: session_name?,
            duration: duration?,
            policy: policy?,
            external_id: external_id?,
        })
    }

    fn oidc(&mut self, kind: Option<Kind>) -> Option<(String, PathBuf)> {
        let (provider, token) = ("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "ALIBABA_CLOUD_OIDC_TOKEN_FILE");
        let provider_arn = self.text("oidc_provider_arn", provider, |text| arn(text, "oidc-provider"));
        // One of the environment is not read now: it is there for whoever comes to use it.
        let token_file = self.text("oidc_token_file", token, |name| match name {
            "" => Ok(()),
            name => named_file(name, read_secret).map(drop),
        });
        if kind == Some(Kind::Oidc) {
            if provider_arn.is_none() {
                let such = "such as acs:ram::1234567890123456:oidc-provider/ack-rrsa-c0123456789";
                self.missing("oidc_provider_arn", such, provider);
            }
            if token_file.is_none() {
                let such = "such as /var/run/secrets/ack.alibabacloud.com/rrsa-tokens/token";
                self.missing("oidc_token_file", such, token);
            }
        }
        Some((provider_arn?, PathBuf::from(token_file?)))
    }

    fn missing(&mut self, key: &str, such: &str, variable: &str) {
        let path = self.at(key);
        if !self.is_whole || self.reader.has_failed(&path) {
            return;
        }
        let or = if variable.is_empty() { String::new() } else { format!(", or the variable {variable}") };
        self.reader.fail(&path, format!("missing; this type needs it, {such}{or}"));
    }

    fn ecs(&mut self) -> Option<EcsRole> {
        let name = self.reader.optional(&self.at("role_name"), |text| {
            let expected = "expected the name of a RAM role: 1 to 64 letters, digits and .-_";
            named(text, 1..=64, b".-_").map(Some).ok_or(expected.to_owned())
        });
        let disable_imds_v1 = self.reader.read(&self.at("disable_imds_v1"), units::truth);
        Some(EcsRole { name: name?, disable_imds_v1: disable_imds_v1? })
    }

    fn uri(&mut self) -> Option<Option<SecretString>> {
        let allow_http = self.allow_http;
        self.reader.optional(&self.at("uri"), |text| {
            units::credentials_uri(text, allow_http).map(|()| Some(SecretString::from(text)))
        })
    }

    fn profile(&mut self) -> Option<Profile> {
        let name = self.reader.optional(&self.at("profile"), |text| match text {
            "" => Err("expected the name of a profile".to_owned()),
            text => Ok(Some(text.to_owned())),
        });
        let file = self.reader.optional(&self.at("profile_file"), |text| match text {
            "" => Err("expected the path of a file".to_owned()),
            text => named_file(text, read_profile_file).map(|_| Some(PathBuf::from(text))),
        });
        Some(Profile { name: name?, file: file? })
    }

    fn source(&mut self, kind: Option<Kind>) -> Option<Credentials> {
        let path = self.at("source");
        if !self.reader.is_given(&path) {
            if kind == Some(Kind::RamRoleArn) {
                self.missing(
                    "source",
                    "the keys to assume the role with, such as source: {type: ecs_ram_role}",
                    "",
                );
            }
            return None;
        }
        if path.matches(".source").count() > SOURCES_MAX {
            self.reader.fail(&path, "a role behind a role behind a role, and so on; expected fewer");
            return None;
        }
        read(self.reader, &path, self.environment, self.allow_http)
    }
}

fn secret_file(name: &str, check: fn(&str) -> Result<(), String>) -> Result<Secret, String> {
    check(named_file(name, read_secret)?.expose_secret())?;
    Ok(Secret::File(PathBuf::from(name)))
}

/// Reads a file that the settings name, so that a slip shows at once and not in every sweep.
fn named_file(name: &str, read: fn(&Path) -> Result<SecretString, String>) -> Result<SecretString, String> {
    // A secret that was put here by mistake must not be shown, so only what is clearly a path is.
    let is_path = ["/", "./", "../"].iter().any(|start| name.starts_with(start));
    let subject =
        if is_path { name } else { "the file (a name not shown here, relative to the working directory)" };
    read(Path::new(name)).map_err(|why| format!("{subject}: {why}"))
}

/// The id travels in a header, between commas.
fn access_key_id(text: &str) -> Result<(), String> {
    let expected = "expected an AccessKey id of letters and digits; the value is not shown";
    named(text, 1..=128, b"._-").map(drop).ok_or(expected.to_owned())
}

/// A security token travels in a header.
fn token(text: &str) -> Result<(), String> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(());
    }
    Err("expected a token without spaces or special characters; the value is not shown".to_owned())
}

fn arn(text: &str, what: &str) -> Result<(), String> {
    let parts: Vec<&str> = text.splitn(5, ':').collect();
    let is_arn = matches!(parts[..], ["acs", "ram", "", account, name]
        if account.bytes().all(|b| b.is_ascii_digit()) && !account.is_empty()
            && name.strip_prefix(what).and_then(|rest| rest.strip_prefix('/')).is_some_and(|name| !name.is_empty()));
    if is_arn && text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(());
    }
    Err(format!("expected an ARN such as acs:ram::1234567890123456:{what}/name"))
}

fn policy(text: &str) -> Result<String, String> {
    let is_object =
        text.trim_start().starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    if is_object && text.chars().count() <= POLICY_CHARS_MAX {
        return Ok(text.to_owned());
    }
    Err(format!("expected a RAM policy as JSON, of at most {POLICY_CHARS_MAX} characters"))
}

fn named(text: &str, length: std::ops::RangeInclusive<usize>, special: &[u8]) -> Option<String> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || special.contains(&b);
    (length.contains(&text.len()) && text.bytes().all(is_plain)).then(|| text.to_owned())
}
