//! Secrets stay in: not in a log at any level, not on a page, not in the ledger's files.

use std::fs;

use emr_serverless_spark_exporter::sim::{AccessKey, Fault, Operation, Options, Scope};

use crate::harness::{Lab, world};

const KEY_ID: &str = "STS.NXhV7kMb2QeR5tYu8w";
const SECRET: &str = "8dKqPz3WfJmLr6TyNvXc2BhS5gAeU9";
const TOKEN: &str = "CAISxQJ1q6Ft5B2yfSjIr5DkGfKFxtQxYmVn0LpR";
/// How the simulator's connection tokens begin.
const CONNECTION_TOKEN: &str = "sim-connection-token";

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn secrets_stay_in() {
    let options = Options { keys: vec![AccessKey::sts(KEY_ID, SECRET, TOKEN)], ..Options::default() };
    let lab = Lab::with_options(world(), options);
    for format in ["text", "json"] {
        let settings = lab
            .settings()
            .set("log.level", "trace")
            .set("log.format", format)
            // Of every library, too.
            .variable("RUST_LOG", "trace")
            .set("accounts.0.credentials.type", "sts")
            .set("accounts.0.credentials.access_key_id", KEY_ID)
            .set("accounts.0.credentials.access_key_secret", SECRET)
            .set("accounts.0.credentials.security_token", TOKEN);
        let daemon = settings.start();
        lab.settle(&daemon);
        // Errors of all sorts, on answers that hold a secret.
        let clusters = Scope::of(Operation::ListSessionClusters);
        for fault in
            [Fault::BadJson, Fault::MistypedRow, Fault::InvalidKey, Fault::Denied("NoPermission"), Fault::Cut]
        {
            lab.simulator.faults().always(fault, clusters.clone());
            daemon.sweeps("session_clusters", 3.0);
            lab.simulator.faults().clear();
        }
        let mut places =
            vec![("the metrics page", daemon.get("/metrics").1), ("the status page", daemon.get("/").1)];
        let ledger = fs::read_dir(lab.directory.path()).unwrap().map(|entry| entry.unwrap().path());
        for path in ledger.filter(|path| path.to_string_lossy().contains("ledger.db")) {
            places.push((
                "a file of the ledger",
                String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned(),
            ));
        }
        assert!(places.len() >= 4, "the ledger and its log were read");
        let ended = daemon.end("TERM");
        assert!(ended.log.contains("TRACE") && ended.log.contains("hyper"), "the log is as loud as can be");
        assert!(ended.log.contains("Forbidden") || ended.log.contains("NoPermission"), "errors were logged");
        places.push(("the log", ended.log));
        for (place, text) in places {
            for secret in [KEY_ID, SECRET, TOKEN, CONNECTION_TOKEN] {
                assert!(!contains(text.as_bytes(), secret), "{secret} in {place} with {format}");
            }
        }
    }
}
