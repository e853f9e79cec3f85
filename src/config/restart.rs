//! Which settings take a restart. Invariant: every key of the sections concerned is either listed here or takes effect when
//! the settings are read again.

use super::types::{Config, Ledger, Web, WebLimits};

impl Config {
    /// Puts the values of a running program in the place of those that it cannot change while it runs: its server, and
    /// the ledger that it has open. Returns the keys whose values differ, in their order in `config/exporter.yaml`.
    pub fn keep_what_takes_a_restart(&mut self, running: &Self) -> Vec<&'static str> {
        let Ledger { path, baseline, retention: _, backup_interval: _ } = &self.ledger;
        let ledger = &running.ledger;
        let mut differs =
            vec![("ledger.path", *path != ledger.path), ("ledger.baseline", *baseline != ledger.baseline)];
        differs.extend(self.web.differences(&running.web));
        self.web.clone_from(&running.web);
        self.ledger.path.clone_from(&ledger.path);
        self.ledger.baseline = ledger.baseline;
        differs.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
    }
}

impl Web {
    /// Its keys, each with whether its value is another one.
    fn differences(&self, other: &Self) -> [(&'static str, bool); 13] {
        // Named one by one, so that a new key is not forgotten here.
        let Self {
            listen_addresses,
            systemd_socket,
            telemetry_path,
            config_file,
            limits,
            drain_delay,
            drain_timeout,
            enable_lifecycle,
        } = self;
        let WebLimits {
            max_connections,
            head_bytes_max,
            uri_bytes_max,
            head_timeout,
            idle_timeout,
            write_timeout,
        } = limits;
        [
            ("web.listen_address", *listen_addresses != other.listen_addresses),
            ("web.systemd_socket", *systemd_socket != other.systemd_socket),
            ("web.telemetry_path", *telemetry_path != other.telemetry_path),
            ("web.config_file", *config_file != other.config_file),
            ("web.max_connections", *max_connections != other.limits.max_connections),
            ("web.head_bytes_max", *head_bytes_max != other.limits.head_bytes_max),
            ("web.uri_bytes_max", *uri_bytes_max != other.limits.uri_bytes_max),
            ("web.head_timeout", *head_timeout != other.limits.head_timeout),
            ("web.idle_timeout", *idle_timeout != other.limits.idle_timeout),
            ("web.write_timeout", *write_timeout != other.limits.write_timeout),
            ("web.drain_delay", *drain_delay != other.drain_delay),
            ("web.drain_timeout", *drain_timeout != other.drain_timeout),
            ("web.enable_lifecycle", *enable_lifecycle != other.enable_lifecycle),
        ]
    }
}
