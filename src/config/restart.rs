//! Which settings take a restart. Invariant: every key of the sections concerned is either listed here or takes effect when
//! the settings are read again.

use super::types::{Config, Ledger, Web};

impl Config {
    /// Puts the values of a running program in the place of those that it cannot change while it runs: its listener, and
    /// the ledger that it has open. Returns the keys whose values differ, in their order in `config/exporter.yaml`.
    pub fn keep_what_takes_a_restart(&mut self, running: &Self) -> Vec<&'static str> {
        let Ledger { path, baseline, retention: _, backup_interval: _ } = &self.ledger;
        // Named one by one, so that a new key is not forgotten here.
        let Web {
            listen_addresses,
            systemd_socket,
            telemetry_path,
            config_file,
            limits,
            drain_delay,
            drain_timeout,
            enable_lifecycle,
        } = &self.web;
        let (ledger, web) = (&running.ledger, &running.web);
        let differs = [
            ("ledger.path", *path != ledger.path),
            ("ledger.baseline", *baseline != ledger.baseline),
            ("web.listen_address", *listen_addresses != web.listen_addresses),
            ("web.systemd_socket", *systemd_socket != web.systemd_socket),
            ("web.config_file", *config_file != web.config_file),
            ("web.telemetry_path", *telemetry_path != web.telemetry_path),
            ("web.max_connections", limits.max_connections != web.limits.max_connections),
            ("web.head_bytes_max", limits.head_bytes_max != web.limits.head_bytes_max),
            ("web.uri_bytes_max", limits.uri_bytes_max != web.limits.uri_bytes_max),
            ("web.head_timeout", limits.head_timeout != web.limits.head_timeout),
            ("web.idle_timeout", limits.idle_timeout != web.limits.idle_timeout),
            ("web.write_timeout", limits.write_timeout != web.limits.write_timeout),
            ("web.drain_delay", *drain_delay != web.drain_delay),
            ("web.drain_timeout", *drain_timeout != web.drain_timeout),
            ("web.enable_lifecycle", *enable_lifecycle != web.enable_lifecycle),
        ];
        self.web.clone_from(web);
        self.ledger.path.clone_from(&ledger.path);
        self.ledger.baseline = ledger.baseline;
        differs.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
    }
}
