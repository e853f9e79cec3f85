//! The cache under a clock that only the test moves.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::api::credentials::source::Expiry;

const HOUR: Duration = Duration::from_secs(3_600);
const MINUTE: Duration = Duration::from_secs(60);

/// What the next fetches give; the last one again and again.
type Script = Vec<Result<(&'static str, Option<Duration>), &'static str>>;

#[derive(Clone)]
struct Fake {
    script: Arc<Mutex<Script>>,
    fetches: Arc<AtomicUsize>,
    takes: Duration,
    files: Arc<Mutex<Vec<PathBuf>>>,
}

impl Fetch for Fake {
    async fn fetch(&self) -> Result<Fetched, Failure> {
        self.fetches.fetch_add(1, Ordering::SeqCst);
        let next = {
            let mut script = self.script.lock().unwrap();
            if script.len() > 1 { script.remove(0) } else { script[0] }
        };
        tokio::time::sleep(self.takes).await;
        let (id, left) =
            next.map_err(|why| Failure { why: why.to_owned(), reason: FailureReason::Unreachable })?;
        let keys = AccessCredentials { id: id.to_owned(), secret: "s".into(), security_token: None };
        Ok(Fetched { keys, expiry: left.map(|left| Expiry { at: 7, left }) })
    }

    fn files(&self) -> Vec<PathBuf> {
        self.files.lock().unwrap().clone()
    }
}

#[derive(Default)]
struct Seen(Mutex<Vec<Option<UnixMillis>>>);

impl CredentialsObserver for Seen {
    fn on_keys(&self, account: &str, expires: Option<UnixMillis>, _: bool) {
        assert_eq!(account, "a");
        self.0.lock().unwrap().push(expires);
    }
}

struct Bench {
    fake: Fake,
    clock: Clock,
    seen: Arc<Seen>,
}

impl Bench {
    fn new(script: Script) -> Self {
        let fake = Fake {
            script: Arc::new(Mutex::new(script)),
            fetches: Arc::default(),
            takes: Duration::from_millis(100),
            files: Arc::default(),
        };
        Self { fake, clock: Clock::manual(0), seen: Arc::default() }
    }

    fn start(&self) -> Arc<Cached> {
        self.start_with(|| 0.0)
    }

    fn start_with(&self, jitter: fn() -> f64) -> Arc<Cached> {
        let background = Background {
            account: "a".to_owned(),
            clock: self.clock.clone(),
            observer: Arc::clone(&self.seen) as Arc<dyn CredentialsObserver>,
            jitter,
        };
        Arc::new(Cached::start(self.fake.clone(), background))
    }

    fn fetches(&self) -> usize {
        self.fake.fetches.load(Ordering::SeqCst)
    }
}

async fn id(cached: &Cached) -> Result<String, String> {
    cached.credentials().await.map(|keys| keys.id.clone()).map_err(|error| error.to_string())
}

#[tokio::test(start_paused = true)]
async fn many_callers_share_one_fetch_and_one_that_gives_up_takes_it_from_nobody() {
    let bench = Bench::new(vec![Ok(("k", None))]);
    let cached = bench.start();
    let impatient = tokio::time::timeout(Duration::from_millis(10), cached.credentials()).await;
    assert!(impatient.is_err());
    let callers: Vec<_> = (0..50)
        .map(|_| {
            let cached = Arc::clone(&cached);
            tokio::spawn(async move { id(&cached).await })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap().as_deref(), Ok("k"));
    }
    tokio::time::sleep(24 * HOUR).await;
    assert_eq!((id(&cached).await.as_deref(), bench.fetches()), (Ok("k"), 1), "they do not expire");
    assert_eq!(*bench.seen.0.lock().unwrap(), [None]);
}

#[tokio::test(start_paused = true)]
async fn keys_are_renewed_ahead_of_their_end_and_nobody_waits_for_it() {
    let bench = Bench::new(vec![Ok(("k1", Some(HOUR))), Ok(("k2", Some(HOUR)))]);
    let cached = bench.start();
    assert_eq!(id(&cached).await.as_deref(), Ok("k1"));
    tokio::time::sleep(45 * MINUTE - Duration::from_secs(1)).await;
    assert_eq!((id(&cached).await.as_deref(), bench.fetches()), (Ok("k1"), 1));
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    let before = Instant::now();
    assert_eq!((id(&cached).await.as_deref(), bench.fetches()), (Ok("k1"), 2), "the renewal is under way");
    assert_eq!(Instant::now(), before);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(id(&cached).await.as_deref(), Ok("k2"));
    assert_eq!(*bench.seen.0.lock().unwrap(), [Some(7), Some(7)]);
}

#[tokio::test(start_paused = true)]
async fn chance_makes_a_renewal_earlier_and_never_later() {
    let bench = Bench::new(vec![Ok(("k", Some(HOUR)))]);
    let cached = bench.start_with(|| 1.0);
    assert!(id(&cached).await.is_ok());
    tokio::time::sleep(40 * MINUTE - Duration::from_secs(1)).await;
    assert_eq!(bench.fetches(), 1);
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    assert_eq!(bench.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_is_given_up_and_asked_again() {
    let mut bench = Bench::new(vec![Ok(("k", None))]);
    bench.fake.takes = HOUR;
    let cached = bench.start();
    assert_eq!(id(&cached).await.unwrap_err(), "no keys: no answer within 90 s");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(bench.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn keys_are_kept_through_failures_until_they_end_and_then_the_failure_is_told() {
    let bench = Bench::new(vec![Ok(("k1", Some(HOUR))), Err("STS is down")]);
    let cached = bench.start();
    assert_eq!(id(&cached).await.as_deref(), Ok("k1"));
    for _ in 0..58 {
        tokio::time::sleep(MINUTE).await;
        assert_eq!(id(&cached).await.as_deref(), Ok("k1"));
    }
    assert!((10..30).contains(&bench.fetches()), "with pauses, at most a minute: {}", bench.fetches());
    tokio::time::sleep(3 * MINUTE).await;
    let before = Instant::now();
    assert_eq!(id(&cached).await.unwrap_err(), "no keys: STS is down");
    assert_eq!(Instant::now(), before, "a pause is no reason to wait");
    let error = cached.credentials().await.unwrap_err();
    assert_eq!(error.reason(), FailureReason::Unreachable);

    *bench.fake.script.lock().unwrap() = vec![Ok(("k2", None))];
    tokio::time::sleep(2 * MINUTE).await;
    assert_eq!(id(&cached).await.as_deref(), Ok("k2"));
}

#[tokio::test(start_paused = true)]
async fn failures_are_repeated_with_growing_pauses() {
    let bench = Bench::new(vec![Err("no")]);
    let cached = bench.start();
    assert_eq!(id(&cached).await.unwrap_err(), "no keys: no");
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!((3..=6).contains(&bench.fetches()), "{}", bench.fetches());
    tokio::time::sleep(HOUR).await;
    assert!((60..=90).contains(&bench.fetches()), "{}", bench.fetches());
}

#[tokio::test(start_paused = true)]
async fn rejected_keys_are_replaced_at_once_but_not_again_and_again() {
    let bench = Bench::new(vec![Ok(("k1", Some(HOUR))), Ok(("k2", Some(HOUR)))]);
    let cached = bench.start();
    let first = cached.credentials().await.unwrap();
    cached.rejected(&first, "Throttling.User");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(bench.fetches(), 1, "that is not about the keys");
    for _ in 0..4 {
        cached.rejected(&first, "InvalidSecurityToken.Expired");
    }
    tokio::task::yield_now().await;
    let second = cached.credentials().await.unwrap();
    assert_eq!((second.id.as_str(), bench.fetches()), ("k2", 2));
    cached.rejected(&first, "InvalidAccessKeyId.NotFound");
    cached.rejected(&second, "InvalidAccessKeyId.NotFound");
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(
        (id(&cached).await.as_deref(), bench.fetches()),
        (Ok("k2"), 2),
        "too soon after the last time"
    );
    tokio::time::sleep(REJECTION_PAUSE).await;
    cached.rejected(&second, "InvalidAccessKeyId.NotFound");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bench.fetches(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_slept_asks_before_it_goes_on() {
    let bench = Bench::new(vec![Ok(("k1", Some(HOUR))), Ok(("k2", Some(HOUR)))]);
    let cached = bench.start();
    assert_eq!(id(&cached).await.as_deref(), Ok("k1"));
    // Only the time of day has moved on.
    bench.clock.advance(2 * HOUR);
    assert_eq!(id(&cached).await.as_deref(), Ok("k2"));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_changes_is_read_again() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let bench = Bench::new(vec![Err("no"), Ok(("k1", None)), Ok(("k2", None))]);
    bench.fake.files.lock().unwrap().push(file.path().to_owned());
    let cached = bench.start();
    assert!(id(&cached).await.is_err());
    tokio::time::sleep(MINUTE).await;
    assert_eq!((id(&cached).await.as_deref(), bench.fetches()), (Ok("k1"), 2));
    std::fs::write(file.path(), "rotated").unwrap();
    tokio::time::sleep(2 * LOOK).await;
    assert_eq!((id(&cached).await.as_deref(), bench.fetches()), (Ok("k2"), 3));
}

#[tokio::test(start_paused = true)]
async fn where_the_files_of_other_sources_matter_no_more_nothing_has_changed() {
    let [other, file] = [(); 2].map(|()| tempfile::NamedTempFile::new().unwrap());
    let bench = Bench::new(vec![Ok(("k1", None)), Ok(("k2", None))]);
    bench.fake.files.lock().unwrap().extend([&other, &file].map(|file| file.path().to_owned()));
    let cached = bench.start();
    while bench.fetches() == 0 {
        tokio::task::yield_now().await;
    }
    bench.fake.files.lock().unwrap().remove(0);
    assert_eq!(id(&cached).await.as_deref(), Ok("k1"));
    tokio::time::sleep(MINUTE).await;
    assert_eq!((id(&cached).await.as_deref(), bench.fetches()), (Ok("k1"), 1));
    std::fs::write(file.path(), "rotated").unwrap();
    tokio::time::sleep(2 * LOOK).await;
    assert_eq!((id(&cached).await.as_deref(), bench.fetches()), (Ok("k2"), 2));
}

#[tokio::test(start_paused = true)]
async fn short_lives_are_renewed_within_them() {
    let bench = Bench::new(vec![Ok(("k", Some(Duration::from_secs(6))))]);
    let cached = bench.start();
    for _ in 0..60 {
        assert_eq!(id(&cached).await.as_deref(), Ok("k"));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!((14..=16).contains(&bench.fetches()), "every 4 s: {}", bench.fetches());
}
