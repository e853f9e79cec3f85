//! What the settings come to, in a few lines for people. Invariant: no secret, and no AccessKey id, is among them.

use std::fmt::Write;

use humantime::format_duration;

use super::Config;

impl Config {
    /// What `check-config` prints.
    pub fn summary(&self) -> String {
        let mut text = String::from("the configuration is valid\n");
        for account in &self.accounts {
            let credentials = account.credentials.name();
            let regions = account.regions.join(", ");
            // Writing to a String cannot fail.
            let _ = writeln!(text, "account {}: {credentials} credentials, regions {regions}", account.name);
        }
        let collectors = &self.collectors;
        let polled = [
            ("workspaces", Some(collectors.workspaces)),
            ("session clusters", collectors.session_clusters),
            ("Livy gateways", collectors.livy_gateways),
            ("Livy sessions", collectors.livy_sessions.map(|sessions| sessions.collector)),
        ];
        for (name, collector) in polled {
            let _ = match collector {
                Some(collector) => writeln!(text, "{name}: every {}", format_duration(collector.interval)),
                None => writeln!(text, "{name}: off"),
            };
        }
        let _ = writeln!(text, "ledger: {}", self.ledger.path.display());
        for address in &self.web.listen_addresses {
            let _ = writeln!(text, "metrics: {address}{}", self.web.telemetry_path);
        }
        text.truncate(text.trim_end().len());
        text
    }
}
