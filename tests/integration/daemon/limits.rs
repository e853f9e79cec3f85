//! Within what the service allows: throttled, slow, or silent.

use std::time::Duration;

use emr_serverless_spark_exporter::sim::{Fault, Options, Scope, ThrottleForm, WorldConfig};

use crate::harness::{HOUR, Lab, metric, world};

#[test]
fn a_throttling_storm_slows_the_exporter_down_and_costs_no_data() {
    const PER_SECOND: usize = 20;
    let lab = Lab::new(WorldConfig { history: 40, ..world() });
    let daemon = lab.settings().set("api.requests_per_second", &PER_SECOND.to_string()).start();
    let allowed = metric("exporter_api_allowed_requests_per_second").label("account", "test");
    lab.settle(&daemon);
    daemon.until_is(&allowed, 20.0);

    let soon = Duration::from_millis(50);
    for form in [
        ThrottleForm::too_many_requests(soon),
        ThrottleForm::bad_request(),
        ThrottleForm::unavailable(Duration::from_secs(1)),
    ] {
        lab.advance(HOUR);
        let before = lab.simulator.stats().total();
        lab.simulator.faults().always(Fault::Throttle(form), Scope::any());
        daemon.until("a slower pace", |page| match allowed.value_in(page) {
            Some(rate) if rate <= 5.0 => Ok(()),
            rate => Err(format!("{rate:?}")),
        });
        lab.simulator.faults().clear();
        let asked = lab.simulator.stats().total() - before;
        // A second at half the pace, then at a quarter and less and less until this test looks, with what is in flight.
        assert!(asked <= 60, "{asked} requests until the pace was at a quarter");
        lab.settle(&daemon);
    }
    // Good answers bring it back, step by step.
    daemon.until_is(&allowed, 20.0);
    let stats = lab.simulator.stats();
    assert!(stats.with_status(429) > 0 && stats.with_status(400) > 0 && stats.with_status(503) > 0);
    // A second's worth, the burst, and what a simulator that was asleep meets all at once.
    assert!(stats.in_second_max <= PER_SECOND + 4 + 4, "{} requests in a second", stats.in_second_max);
    assert!(stats.in_flight_max <= 4);
    daemon.stop();
}

#[test]
fn a_pause_that_is_longer_than_a_sweep_may_take_ends_it_at_once() {
    let lab = Lab::new(world());
    let mut settings = lab.settings();
    for kind in ["workspaces", "session_clusters", "livy_gateways", "livy_sessions"] {
        settings = settings.set(&format!("collectors.{kind}.deadline"), "4s");
    }
    let daemon = settings.start();
    lab.settle(&daemon);
    let form = ThrottleForm::too_many_requests(Duration::from_secs(9));
    lab.simulator.faults().always(Fault::Throttle(form), Scope::any());
    let throttled = metric("exporter_sweep_failure_info").label("reason", "throttled");
    daemon.until("all targets throttled", |page| match throttled.count_in(page) {
        9 => Ok(()),
        count => Err(count.to_string()),
    });
    let page = daemon.sweeps("livy_sessions", 12.0);
    let overrun = metric("exporter_sweep_failures_total").label("reason", "overrun");
    assert_eq!(overrun.sum_in(&page), 0.0, "each ended as soon as it was known to come too late");
    lab.simulator.faults().clear();
    lab.settle(&daemon);
    daemon.stop();
}

#[test]
fn where_the_service_allows_less_than_the_settings_all_data_arrives() {
    let options = Options {
        requests_per_second: Some(20.0),
        throttle_form: ThrottleForm::too_many_requests(Duration::from_millis(100)),
        ..Options::default()
    };
    let lab = Lab::with_options(WorldConfig { history: 400, ..world() }, options);
    let daemon = lab.settings().set("api.requests_per_second", "200").set("api.retries", "6").start();
    let throttled = metric("exporter_api_throttled_total");
    daemon.until("a plea to slow down", |page| match throttled.sum_in(page) {
        0.0 => Err("none".to_owned()),
        _ => Ok(()),
    });
    for _ in 0..2 {
        lab.settle(&daemon);
        lab.advance(HOUR);
    }
    lab.settle(&daemon);
    let (stats, page) = (lab.simulator.stats(), daemon.scrape());
    assert!(stats.with_status(429) * 3 < stats.total(), "{stats:?}");
    assert!(metric("exporter_api_allowed_requests_per_second").sum_in(&page) < 200.0);
    daemon.stop();
}

#[test]
fn an_account_that_hangs_leaves_the_others_undisturbed() {
    let lab = Lab::new(world());
    let silent = Lab::new(WorldConfig { seed: world().seed + 1, ..world() });
    silent.simulator.faults().always(Fault::Hang, Scope::any());
    let other = [
        ("name", "silent"),
        ("regions", &silent.world().config().region),
        ("endpoint", &silent.simulator.url()),
        ("credentials.type", "static"),
        ("credentials.access_key_id", "sim-access-key-id"),
        ("credentials.access_key_secret", "sim-access-key-secret"),
    ];
    let settings = other
        .iter()
        .fold(lab.settings(), |settings, (key, value)| settings.set(&format!("accounts.1.{key}"), value));
    let daemon = settings.set("api.timeout", "1s").set("api.connect_timeout", "1s").start();
    let failure = metric("exporter_sweep_failure_info").label("account", "silent");
    for _ in 0..3 {
        lab.advance(HOUR);
        lab.settle(&daemon);
    }
    let page = daemon.until_is(&failure.clone().label("reason", "timeout"), 1.0);
    let success = metric("exporter_sweep_success").label("account", "test");
    assert_eq!(success.sum_in(&page), success.count_in(&page) as f64, "the others are well");
    silent.simulator.faults().clear();
    daemon.until("the end of the silence", |page| match failure.count_in(page) {
        0 => Ok(()),
        count => Err(count.to_string()),
    });
    daemon.stop();
}
