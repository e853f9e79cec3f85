//! `~/.aliyun/config.json`, as the CLI writes it.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Book, Entry, Mode};

#[derive(Deserialize)]
struct File<'a> {
    #[serde(default)]
    current: Option<String>,
    #[serde(borrow, default)]
    profiles: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

pub(super) fn read(text: &str) -> Result<Book, String> {
    // The reader's own message may show a value.
    let file: File<'_> = serde_json::from_str(text)
        .map_err(|error| format!("not the JSON of a CLI's profiles, in line {}", error.line()))?;
    let entry = |raw: &&RawValue| {
        let name = serde_json::from_str::<Named>(raw.get()).ok()?.name;
        let entry = serde_json::from_str::<Entry>(raw.get());
        Some((name, entry.map_err(|_| "a field of another type than the CLI writes".to_owned())))
    };
    Ok(Book {
        current: file.current.filter(|name| !name.is_empty()),
        entries: file.profiles.iter().filter_map(entry).collect(),
        mode,
    })
}

fn mode(name: &str) -> Result<Mode, String> {
    let instead = "expected AK, StsToken, RamRoleArn, ChainableRamRoleArn, EcsRamRole, RamRoleArnWithEcs, OIDC or \
                   CredentialsURI";
    match name {
        "" | "AK" => Ok(Mode::Key),
        "StsToken" => Ok(Mode::Sts),
        "RamRoleArn" | "ChainableRamRoleArn" => Ok(Mode::Role),
        "RamRoleArnWithEcs" => Ok(Mode::RoleWithEcs),
        "EcsRamRole" => Ok(Mode::Ecs),
        "OIDC" => Ok(Mode::Oidc),
        "CredentialsURI" => Ok(Mode::Uri),
        "External" => {
            Err("mode External runs a program for the keys, which this exporter does not; let that program \
                           serve them and use mode CredentialsURI, or write them into files for type: sts"
                .to_owned())
        }
        "CloudSSO" | "OAuth" => Err(format!(
            "mode {name} needs a person to sign in again and again; {instead}, such as a profile with a RAM role"
        )),
        "RsaKeyPair" => Err(format!("mode RsaKeyPair is not supported; {instead}")),
        _ => Err(format!("an unknown mode; {instead}")),
    }
}
