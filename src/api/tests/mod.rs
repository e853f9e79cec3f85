//! The client against a server on loopback.

mod answers;
mod circuit;
mod clock;
mod connecting;
mod limits;
mod requests;
mod stub;
mod tolerance;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::credentials::provider_for;
use super::{Client, ClientOptions, RequestObserver, Transport};
use crate::clock::Clock;
use crate::config::{AccessKey, Api, Credentials, Endpoint, Network};
use crate::model::{Action, FailureReason, Outcome};
use stub::Stub;

const KEY_ID: &str = "LTAItheAccessKeyId";
const KEY_SECRET: &str = "theAccessKeySecret";
const TOKEN: &str = "CAIStheSecurityToken+/==";
/// 2026-01-12T10:20:40Z
const NOW: i64 = 1_768_213_240_000;

fn limits() -> Api {
    Api {
        requests_per_second: 1000.0,
        max_in_flight: 4,
        connect_timeout: Duration::from_secs(2),
        timeout: Duration::from_secs(5),
        retries: 2,
        body_bytes_max: 64 * 1024,
        pages_max: 10,
        ca_file: None,
        proxy: None,
    }
}

/// Notes what it is told.
#[derive(Default)]
struct Notes {
    outcomes: Mutex<Vec<&'static str>>,
    malformed: Mutex<Vec<&'static str>>,
    rates: Mutex<Vec<f64>>,
    open_circuits: Mutex<BTreeMap<FailureReason, usize>>,
    corrections: Mutex<Vec<i64>>,
}

impl RequestObserver for Notes {
    fn on_attempt(&self, _: Action, outcome: Outcome, _: Duration) {
        self.outcomes.lock().unwrap().push(outcome.as_str());
    }

    fn on_malformed(&self, name: &'static str) {
        self.malformed.lock().unwrap().push(name);
    }

    fn on_pace(&self, requests_per_second: f64) {
        self.rates.lock().unwrap().push(requests_per_second);
    }

    fn on_open_circuits(&self, reason: FailureReason, count: usize) {
        self.open_circuits.lock().unwrap().insert(reason, count);
    }

    fn on_clock_corrected(&self, seconds: i64) {
        self.corrections.lock().unwrap().push(seconds);
    }
}

fn sts() -> Credentials {
    Credentials::Sts(AccessKey { id: KEY_ID.into(), secret: KEY_SECRET.into() }, TOKEN.into())
}

fn long_lived() -> Credentials {
    Credentials::Static(AccessKey { id: KEY_ID.into(), secret: KEY_SECRET.into() })
}

fn client_to(authority: &str, limits: &Api, credentials: &Credentials, observer: Arc<Notes>) -> Client {
    let endpoint = Endpoint { https: false, authority: authority.into() };
    let transport = Transport::new("cn-hangzhou", Network::Public, Some(&endpoint), limits).unwrap();
    Client::new(ClientOptions {
        region: "cn-hangzhou",
        transport,
        limits,
        credentials: provider_for(credentials, |_| None),
        clock: Clock::manual(NOW),
        observer,
    })
}

fn client(stub: &Stub) -> Client {
    client_to(&stub.authority, &limits(), &long_lived(), Arc::default())
}
