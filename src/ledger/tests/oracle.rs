//! Arbitrary schedules of observations against the definition: the sum over sessions of the highest value seen.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Page { gateway: u8, sessions: Vec<(u8, i64, i64, i64)> },
    Complete { gateway: u8 },
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let session = (0_u8..12, 0_i64..1_000, 0_i64..1_000, 0_i64..1_000);
    let step = prop_oneof![
        8 => (0_u8..3, prop::collection::vec(session, 0..6))
            .prop_map(|(gateway, sessions)| Step::Page { gateway, sessions }),
        1 => (0_u8..3).prop_map(|gateway| Step::Complete { gateway }),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_schedule_adds_up(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("l.db");
            let mut ledger = open(&path);
            let mut highest: BTreeMap<(u8, u8), Usage> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Page { gateway, sessions } => {
                        let id = format!("g{gateway}");
                        let pass = ledger.begin_pass(old(&id), 2_000).await.unwrap();
                        let page = sessions.iter().map(|(s, cu, v, mb)| {
                            let seen = usage(*cu, *v, *mb);
                            let kept = highest.entry((gateway, *s)).or_default();
                            *kept = kept.highest(seen);
                            session(&format!("s{s}"), 10, seen)
                        }).collect();
                        ledger.apply_sessions(pass, page).await.unwrap();
                    }
                    Step::Complete { gateway } => {
                        let pass = ledger.begin_pass(old(&format!("g{gateway}")), 2_000).await.unwrap();
                        ledger.complete_pass(pass, None, 2_000).await.unwrap();
                    }
                    Step::Restart => {
                        drop(ledger);
                        ledger = open(&path);
                    }
                }
                let snapshot = ledger.snapshot();
                for g in 0..3 {
                    let of_gateway = highest.iter().filter(|((gateway, _), _)| *gateway == g);
                    let (count, truth) = of_gateway.fold((0, Usage::ZERO), |(n, sum), (_, usage)| {
                        (n + 1, sum.checked_add(*usage).unwrap())
                    });
                    let series = snapshot
                        .gateways
                        .get(&gateway(&format!("g{g}")))
                        .and_then(|gateway| gateway.series.get("root_queue"));
                    assert_eq!(series.map_or(Usage::ZERO, |series| series.usage()), truth);
                    assert_eq!(series.map_or(0, |series| series.created), count);
                }
            }
        });
    }
}
