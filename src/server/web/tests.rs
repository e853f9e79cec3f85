//! What of a changed file is taken.

use super::*;

fn read(yaml: &str) -> Result<WebFile, ConfigErrors> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("web.yml");
    std::fs::write(&path, yaml).unwrap();
    WebFile::load(&path)
}

#[test]
fn a_change_is_taken_once_when_two_readings_agree() {
    let mut looks = Looks::new(read("").unwrap().digest);
    let mut is_taken = |yaml: &str| looks.look(read(yaml).map_err(WebConfigError::from)).is_some();
    let other = "http_server_config: {http2: false}";
    // Unchanged; half written; whole, seen once; seen twice; no news.
    for (yaml, expected) in [
        ("", false),
        ("http_ser", false),
        (other, false),
        (other, true),
        (other, false),
        ("", false),
        (other, false),
    ] {
        assert_eq!(is_taken(yaml), expected, "{yaml}");
    }
    assert!(!is_taken("") && is_taken(""));
}

/// How the readings went.
#[derive(Default)]
struct Outcomes(std::sync::Mutex<Vec<bool>>);

impl Observer for Outcomes {
    fn on_cut(&self, _: super::super::Cut) {}

    fn on_web_config(&self, is_good: bool) {
        self.0.lock().unwrap().push(is_good);
    }
}

#[tokio::test]
async fn a_reading_that_hangs_counts_as_failed_and_holds_up_no_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("web.yml");
    std::fs::write(&path, "").unwrap();
    let (config, outcomes) = (WebConfig::load(&path).unwrap(), Arc::new(Outcomes::default()));
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = Arc::new(std::sync::Mutex::new(held));
    let hanging = move |path: &Path| {
        let _ = held.lock().unwrap().recv();
        WebFile::load(path)
    };
    let seen = || outcomes.0.lock().unwrap().clone();
    let observer = Arc::clone(&outcomes) as Arc<dyn Observer>;
    let mut following = Box::pin(config.follow_with(hanging, observer));
    // Three deadlines long, it is told once. Time flies meanwhile.
    tokio::time::pause();
    assert!(tokio::time::timeout(Duration::from_secs(35), &mut following).await.is_err());
    assert_eq!(seen(), [true, false]);
    tokio::time::resume();
    drop(release);
    let is_over = async {
        while seen().len() < 3 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        () = following => {}
        () = is_over => {}
    }
    assert_eq!(seen(), [true, false, true]);
}

#[test]
fn a_bucket_keeps_its_level_while_its_limit_stays() {
    let path = Path::new("web.yml");
    let limited = |burst: u32, more: &str| {
        read(&format!("rate_limit: {{interval: 1h, burst: {burst}}}\n{more}")).unwrap()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let first = Armed::build(path, limited(1, ""), None).unwrap();
        assert!(first.bucket.as_ref().unwrap().take());
        let second =
            Armed::build(path, limited(1, "http_server_config: {http2: false}"), Some(&first)).unwrap();
        assert!(!second.bucket.as_ref().unwrap().take());
        let third = Armed::build(path, limited(2, ""), Some(&second)).unwrap();
        assert!(third.bucket.as_ref().unwrap().take());
        assert!(Armed::build(path, read("").unwrap(), Some(&third)).unwrap().bucket.is_none());
    });
}
