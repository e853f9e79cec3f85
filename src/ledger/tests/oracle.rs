//! Arbitrary schedules of what can happen to a ledger against the definitions, written down a second time and simply:
//! a counter is the sum over sessions of the highest value seen, less what was there before it counted.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::ledger::{back_up, restore, verify};

/// Where the baseline ends, and how far the creations reach on both sides of it.
const CUT: UnixMillis = 1_000;
/// Sessions of each gateway; their ids come back after they were pruned.
const IDS: u8 = 10;
const QUEUES: [&str; 2] = ["q0", "q1"];

#[derive(Clone, Debug)]
struct Seen {
    id: u8,
    figures: (i64, i64, i64),
    state: SessionState,
}

#[derive(Clone, Debug)]
enum Step {
    /// Some sessions of the history of a gateway, in a new pass that sees no more, or in one that ends complete.
    Sweep {
        gateway: u8,
        sessions: Vec<Seen>,
        complete: bool,
        /// The workspace passes to this account while it is under way.
        passes_to: Option<u8>,
    },
    /// The workspace passes to an account, which may have it already.
    Pass {
        account: u8,
    },
    /// The next session of this id is another one, created later.
    Rebirth {
        gateway: u8,
        id: u8,
        later: i64,
    },
    Prune {
        gateway: u8,
        before: i64,
    },
    Release {
        gateway: u8,
    },
    Restart,
    Backup,
    Restore,
}

/// A session as the oracle remembers it.
#[derive(Clone, Debug, Default)]
struct Known {
    queue: usize,
    created: Option<i64>,
    ended: Option<i64>,
    state: Option<SessionState>,
    highest: Usage,
    latest: Usage,
    base: Usage,
    /// Whether its creation and its end count.
    counts: (bool, bool),
    end: Option<SessionState>,
    pass: u32,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Sums {
    usage: Usage,
    over: Usage,
    created: u64,
    terminated: u64,
    error: u64,
}

#[derive(Clone, Debug, Default)]
struct Gateway {
    sessions: BTreeMap<u8, Known>,
    /// What each queue keeps of sessions that are gone.
    pruned: [Sums; 2],
    pruned_through: Option<i64>,
    pass: u32,
    complete_pass: u32,
    complete_passes: u32,
    /// Queues that were seen, and whether each is held at zero.
    held: [Option<bool>; 2],
    resweep: bool,
}

/// What the world makes of an id, whatever the ledger knows: when the session of that id was created.
type Births = BTreeMap<(u8, u8), i64>;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let figure = || 0_i64..1_000;
    let state =
        prop::sample::select(vec![SessionState::Running, SessionState::Terminated, SessionState::Error]);
    let seen = (0..IDS, (figure(), figure(), figure()), state).prop_map(|(id, figures, state)| Seen {
        id,
        figures,
        state,
    });
    let passes_to = prop::option::weighted(0.1, 0_u8..3);
    let sweep = (0_u8..3, prop::collection::vec(seen, 0..8), prop::bool::weighted(0.4), passes_to).prop_map(
        |(gateway, sessions, complete, passes_to)| Step::Sweep { gateway, sessions, complete, passes_to },
    );
    let step = prop_oneof![
        12 => sweep,
        3 => (0_u8..3, 0..IDS, 1_i64..800).prop_map(|(gateway, id, later)| Step::Rebirth { gateway, id, later }),
        3 => (0_u8..3, 0_i64..4_000).prop_map(|(gateway, before)| Step::Prune { gateway, before }),
        1 => (0_u8..3).prop_map(|gateway| Step::Release { gateway }),
        2 => (0_u8..3).prop_map(|account| Step::Pass { account }),
        1 => Just(Step::Restart),
        1 => Just(Step::Backup),
        1 => Just(Step::Restore),
    ];
    prop::collection::vec(step, 1..60)
}

/// Ids 0 and 5 never tell when they were created.
fn first_birth(id: u8) -> i64 {
    CUT - 500 + i64::from(id) * 100
}

impl Gateway {
    fn see(&mut self, seen: &Seen, birth: i64, baseline: Baseline) -> SessionObservation {
        let created = (!seen.id.is_multiple_of(5)).then_some(birth);
        let ended = seen.state.is_ended().then_some(birth + 50);
        let figures = usage(seen.figures.0, seen.figures.1, seen.figures.2);
        let mut observation = session(&format!("s{}", seen.id), birth, figures);
        observation.created = created;
        observation.ended = ended;
        observation.state = seen.state;
        observation.queue = QUEUES[usize::from(seen.id) % 2].into();

        let queue = usize::from(seen.id) % 2;
        if self.held[queue].is_none() {
            self.held[queue] = Some(self.complete_passes > 0 && !self.resweep);
        }
        let returned = self.pruned_through.is_some_and(|through| created.is_none_or(|at| at <= through));
        let from_before = created.map_or(self.complete_passes == 0, |at| at < CUT);
        let excluded = returned || baseline == Baseline::Exclude && from_before;
        let known = self.sessions.entry(seen.id).or_insert_with(|| Known {
            queue,
            base: if excluded { figures } else { Usage::ZERO },
            counts: (!excluded, !(returned || excluded && seen.state.is_ended())),
            ..Known::default()
        });
        known.highest = known.highest.highest(figures);
        known.latest = figures;
        known.created = created.or(known.created);
        known.ended = ended.or(known.ended);
        known.state = Some(seen.state);
        known.pass = self.pass;
        if seen.state.is_ended() && known.counts.1 && known.end.is_none() {
            known.end = Some(seen.state);
        }
        observation
    }

    fn prune(&mut self, before: i64) -> u64 {
        if self.complete_passes < 2 {
            return 0;
        }
        let gone: Vec<u8> = self
            .sessions
            .iter()
            .filter(|(_, known)| {
                let times = [known.created, known.ended];
                known.pass < self.complete_pass
                    && known.state.is_some_and(SessionState::is_ended)
                    && times.iter().any(Option::is_some)
                    && times.iter().flatten().all(|time| *time < before)
            })
            .map(|(id, _)| *id)
            .collect();
        for id in &gone {
            let known = self.sessions.remove(id).unwrap();
            self.pruned[known.queue] = self.pruned[known.queue].plus(&known);
            self.pruned_through = self.pruned_through.max(known.created.or(known.ended));
        }
        gone.len() as u64
    }

    fn sums(&self, queue: usize) -> Sums {
        let of_queue = self.sessions.values().filter(|known| known.queue == queue);
        of_queue.fold(self.pruned[queue].clone(), |sums, known| sums.plus(known))
    }
}

impl Sums {
    fn plus(&self, known: &Known) -> Self {
        let add = |a: Usage, b: Usage| a.checked_add(b).unwrap();
        Self {
            usage: add(self.usage, known.highest.minus(known.base)),
            over: add(self.over, known.highest.minus(known.latest)),
            created: self.created + u64::from(known.counts.0),
            terminated: self.terminated + u64::from(known.end == Some(SessionState::Terminated)),
            error: self.error + u64::from(known.end == Some(SessionState::Error)),
        }
    }
}

/// The ledger beside its oracle.
struct Trial {
    directory: tempfile::TempDir,
    baseline: Baseline,
    ledger: Option<Ledger>,
    gateways: [Gateway; 3],
    births: Births,
    /// Which account has the workspace.
    owner: u8,
    backup: Option<([Gateway; 3], u8)>,
    passes: BTreeMap<u8, Pass>,
    restores: i64,
}

impl Trial {
    fn new(baseline: Baseline) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ledger = Some(open_as(&directory.path().join("l.db"), baseline));
        Self {
            directory,
            baseline,
            ledger,
            gateways: Default::default(),
            births: Births::new(),
            owner: 0,
            backup: None,
            passes: BTreeMap::new(),
            restores: 0,
        }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Sweep { gateway, sessions, complete, passes_to } => {
                self.sweep(*gateway, sessions, *complete, *passes_to).await;
            }
            Step::Pass { account } => self.pass_to(*account).await,
            Step::Rebirth { gateway, id, later } => {
                // Only what is no longer listed is born again, so the ledger must have let go of it.
                if !self.gateways[usize::from(*gateway)].sessions.contains_key(id) {
                    *self.births.entry((*gateway, *id)).or_insert_with(|| first_birth(*id)) += later;
                }
            }
            Step::Prune { gateway, before } => {
                let Some(pass) = self.passes.get(gateway) else { return };
                let pruned = self.ledger().prune(*pass, *before).await.unwrap();
                assert_eq!(pruned, self.gateways[usize::from(*gateway)].prune(*before));
            }
            Step::Release { gateway } => {
                let id = self.id(*gateway);
                let snapshot = self.ledger().snapshot();
                let Some(totals) = snapshot.gateways.get(&id) else { return };
                let keys = totals.series.values().map(|series| series.key).collect();
                self.ledger().release(keys).await.unwrap();
                let held = &mut self.gateways[usize::from(*gateway)].held;
                *held = held.map(|seen| seen.map(|_| false));
            }
            Step::Restart => {
                self.ledger = None;
                self.ledger = Some(open_as(&self.path("l.db"), self.baseline));
            }
            Step::Backup => {
                let _ = std::fs::remove_file(self.path("copy.db"));
                back_up(&self.path("l.db"), &self.path("copy.db")).unwrap();
                self.backup = Some((self.gateways.clone(), self.owner));
            }
            Step::Restore => self.restore(),
        }
    }

    fn restore(&mut self) {
        let Some(backup) = &self.backup else { return };
        (self.gateways, self.owner) = backup.clone();
        for gateway in &mut self.gateways {
            gateway.resweep = true;
            gateway.held = gateway.held.map(|seen| seen.map(|_| false));
        }
        self.passes.clear();
        self.ledger = None;
        self.restores += 1;
        restore(&self.path("l.db"), Some(&self.path("copy.db")), self.restores * 1_000).unwrap();
        self.ledger = Some(open_as(&self.path("l.db"), self.baseline));
        // A gateway that the copy does not have is new again, and not marked.
        let known = self.ledger().snapshot();
        for number in 0..3 {
            let id = self.id(number);
            let gateway = &mut self.gateways[usize::from(number)];
            gateway.resweep &= gateway.pass > 0;
            assert_eq!(known.gateways.contains_key(&id), gateway.pass > 0);
        }
    }

    /// The name of a gateway, now.
    fn id(&self, number: u8) -> GatewayId {
        let workspace = WorkspaceId { account: format!("a{}", self.owner), ..workspace() };
        GatewayId { workspace, livy_compute_id: format!("g{number}") }
    }

    async fn pass_to(&mut self, account: u8) {
        self.owner = account;
        self.ledger().take_over(vec![self.id(0).workspace]).await.unwrap();
    }

    async fn sweep(&mut self, number: u8, sessions: &[Seen], complete: bool, passes_to: Option<u8>) {
        let ledger = self.ledger.clone().unwrap();
        let found = Discovered { gateway: self.id(number), ..old("") };
        let pass = ledger.begin_pass(found, CUT).await.unwrap();
        if let Some(account) = passes_to {
            self.pass_to(account).await;
        }
        let gateway = &mut self.gateways[usize::from(number)];
        gateway.pass += 1;
        let birth = |id| self.births.get(&(number, id)).copied().unwrap_or_else(|| first_birth(id));
        let page = sessions.iter().map(|seen| gateway.see(seen, birth(seen.id), self.baseline)).collect();
        ledger.apply_sessions(pass, page).await.unwrap();
        if complete {
            // Each at a time of its own, as the clock has it.
            ledger.complete_pass(pass, None, CUT + i64::from(gateway.pass)).await.unwrap();
            gateway.complete_pass = gateway.pass;
            gateway.complete_passes += 1;
            gateway.resweep = false;
        }
        self.passes.insert(number, pass);
    }

    fn ledger(&self) -> &Ledger {
        self.ledger.as_ref().unwrap()
    }

    fn compare(&self) {
        let snapshot = self.ledger().snapshot();
        for (number, expected) in (0..).zip(&self.gateways) {
            let Some(found) = snapshot.gateways.get(&self.id(number)) else {
                assert!(expected.sessions.is_empty());
                continue;
            };
            assert_eq!(found.is_shown(), expected.complete_passes > 0 && !expected.resweep);
            assert_eq!(found.pruned_through, expected.pruned_through);
            for (queue, name) in QUEUES.iter().enumerate() {
                let sums = found.series.get(*name).map(|series| Sums {
                    usage: series.usage(),
                    over: series.over,
                    created: series.created,
                    terminated: series.terminated,
                    error: series.error,
                });
                assert_eq!(sums.unwrap_or_default(), expected.sums(queue), "g{number} {name}");
                assert_eq!(found.series.get(*name).map(|series| series.held), expected.held[queue]);
            }
        }
        let owner = self.id(0).workspace;
        assert!(snapshot.gateways.keys().all(|id| id.workspace == owner), "all under one account");
        let kept: usize = self.gateways.iter().map(|gateway| gateway.sessions.len()).sum();
        assert_eq!(snapshot.sessions, kept as u64);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_schedule_adds_up(steps in steps(), include in any::<bool>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut trial = Trial::new(if include { Baseline::Include } else { Baseline::Exclude });
            for step in &steps {
                trial.step(step).await;
                trial.compare();
            }
            trial.ledger = None;
            verify(&trial.path("l.db")).unwrap();
        });
    }
}
