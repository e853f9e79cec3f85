//! When a target is swept. Invariant: settings that say the same leave the time of the next sweep as it is.

use std::time::Duration;

use tokio::time::Instant;

use super::Settings;
use crate::model::{Target, TargetKind};

/// The largest share of an interval by which a sweep comes early or late, so that targets do not keep step.
const JITTER: f64 = 0.05;
/// The longest wait before a target's first sweep: children of one parent spread over it.
const SPREAD_MAX: Duration = Duration::from_millis(500);

/// When the sweeps of a target begin.
#[derive(Debug)]
pub(super) struct Timetable {
    interval: Duration,
    /// Of the scope, see there.
    access: Option<u64>,
    /// When the latest sweep began.
    started: Option<Instant>,
    /// `None` = not as long as the settings are what they are.
    next: Option<Instant>,
}

impl Timetable {
    /// Of a target without a sweep so far.
    pub(super) fn new(target: &Target, settings: &Settings) -> Self {
        let mut timetable = Self { interval: Duration::ZERO, access: None, started: None, next: None };
        timetable.adopt(target, settings);
        timetable
    }

    /// Waits until the next sweep is due.
    pub(super) async fn due(&self) {
        match self.next {
            Some(next) => tokio::time::sleep_until(next).await,
            None => std::future::pending().await,
        }
    }

    /// A sweep begins; the next one is due an interval from now.
    pub(super) fn begin(&mut self) {
        let now = Instant::now();
        self.started = Some(now);
        self.next = Some(now + jittered(self.interval));
    }

    /// Follows other settings.
    pub(super) fn adopt(&mut self, target: &Target, settings: &Settings) {
        let Some((collector, scope)) = settings.of(target) else {
            self.next = None;
            return;
        };
        let is_same = self.interval == collector.interval && self.next.is_some();
        let has_access = self.access == Some(scope.access);
        (self.interval, self.access) = (collector.interval, Some(scope.access));
        match self.started {
            Some(started) if has_access && !is_same => self.next = Some(started + jittered(self.interval)),
            Some(_) if has_access => {}
            None if is_same => {}
            _ => self.soon(target),
        }
    }

    /// Has the next sweep come at once, but not of all targets in the same moment.
    pub(super) fn soon(&mut self, target: &Target) {
        let wait = match target.kind {
            // Nothing is known before it.
            TargetKind::Workspaces if self.started.is_none() => Duration::ZERO,
            _ => SPREAD_MAX.min(self.interval / 10).mul_f64(rand::random::<f64>()),
        };
        self.next = Some(Instant::now() + wait);
    }
}

fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(1.0 + JITTER * (2.0 * rand::random::<f64>() - 1.0))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::api::credentials::{AccessCredentials, CredentialsFuture, CredentialsProvider};
    use crate::api::{Client, ClientOptions, Transport};
    use crate::clock::Clock;
    use crate::config::{self, LoadRequest};
    use crate::model::ScopeId;
    use crate::scheduler::Scope;

    #[derive(Debug)]
    struct NoKeys;

    impl CredentialsProvider for NoKeys {
        fn credentials(&self) -> CredentialsFuture<'_> {
            Box::pin(std::future::pending())
        }

        fn rejected(&self, _: &AccessCredentials, _: &str) {}
    }

    /// Settings with an interval for the lists of workspaces, and an access.
    fn settings(interval: &str, access: u64) -> Settings {
        let overrides = [
            ("accounts[0].regions", "cn-hangzhou"),
            ("accounts[0].endpoint", "http://127.0.0.1:1"),
            ("exposition.stale_after", "7days"),
            ("collectors.workspaces.interval", interval),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
        let environment: [(String, String); 0] = [];
        let config =
            config::load(LoadRequest { file: None, environment, overrides: overrides.into() }).unwrap();
        let account = &config.accounts[0];
        let id = ScopeId { account: "default".into(), region: "cn-hangzhou".into() };
        let transport =
            Transport::new("cn-hangzhou", account.network, account.endpoint.as_ref(), &config.api).unwrap();
        let client = Client::new(ClientOptions {
            region: "cn-hangzhou",
            transport,
            limits: &config.api,
            credentials: Arc::new(NoKeys),
            clock: Clock::manual(0),
            observer: Arc::new(()),
        });
        let workspaces = account.workspaces.clone();
        let scope = Scope { id: id.clone(), client, access, workspaces, max_in_flight: 1 };
        Settings {
            collectors: config.collectors,
            pages_max: 1,
            stale_after: Duration::ZERO,
            retention: Duration::ZERO,
            scopes: BTreeMap::from([(id, Arc::new(scope))]),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_settings_change_nothing_and_others_only_what_they_say() {
        const MINUTE: Duration = Duration::from_secs(60);
        let target = Target::workspaces(&ScopeId { account: "default".into(), region: "cn-hangzhou".into() });
        let left = |timetable: &Timetable| timetable.next.map(|next| (next - Instant::now()).as_secs_f64());
        let mut timetable = Timetable::new(&target, &settings("10m", 1));
        assert_eq!(left(&timetable), Some(0.0));
        timetable.begin();
        let due = timetable.next;
        tokio::time::sleep(MINUTE).await;
        timetable.adopt(&target, &settings("10m", 1));
        assert_eq!(timetable.next, due);
        // From the latest sweep on, not from now.
        timetable.adopt(&target, &settings("5m", 1));
        assert!((225.0..=255.0).contains(&left(&timetable).unwrap()), "{timetable:?}");
        timetable.adopt(&target, &settings("30s", 1));
        assert_eq!(left(&timetable), Some(0.0), "overdue");
        timetable.adopt(&target, &settings("1h", 2));
        assert!(left(&timetable).unwrap() <= 0.5, "other keys, or another way");
        // Not watched for a while.
        let gone = Settings { scopes: BTreeMap::new(), ..settings("1h", 2) };
        timetable.adopt(&target, &gone);
        assert_eq!(timetable.next, None);
        timetable.adopt(&target, &settings("1h", 2));
        assert!(left(&timetable).unwrap() > 3_000.0, "{timetable:?}");
    }
}
