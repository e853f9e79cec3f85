//! Passwords: who passes, what is remembered, and how often bcrypt runs.

use hyper::header::HeaderValue;

use super::queue::PLACES;
use super::*;

fn users(users: &[(&str, &str)]) -> BTreeMap<String, SecretString> {
    let hash = |password: &str| SecretString::from(bcrypt::hash(password, 4).unwrap());
    users.iter().map(|(name, password)| ((*name).to_owned(), hash(password))).collect()
}

fn head(value: &str) -> HeaderMap {
    HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(value).unwrap())])
}

fn basic(name: &str, password: &str) -> HeaderMap {
    head(&format!("Basic {}", STANDARD.encode(format!("{name}:{password}"))))
}

#[tokio::test]
async fn a_name_and_its_password_pass_whatever_else_does_not() {
    let (passwords, users) = (Passwords::default(), users(&[("a", "x:y"), ("b", "")]));
    for _ in 0..2 {
        assert_eq!(passwords.check(&users, &basic("a", "x:y")).await, Verdict::Right);
        assert_eq!(passwords.check(&users, &basic("b", "")).await, Verdict::Right);
        let lower = head(&format!("bAsIc {}", STANDARD.encode("a:x:y")));
        assert_eq!(passwords.check(&users, &lower).await, Verdict::Right);
        for wrong in [basic("a", "x"), basic("b", "x:y"), basic("c", "x:y"), basic("", ""), HeaderMap::new()]
        {
            assert_eq!(passwords.check(&users, &wrong).await, Verdict::Wrong, "{wrong:?}");
        }
        for malformed in ["Basic", "Basic !", "Bearer x", "Basic Og", "Basic YQ==", ""] {
            assert_eq!(passwords.check(&users, &head(malformed)).await, Verdict::Wrong, "{malformed}");
        }
    }
}

#[tokio::test]
async fn another_hash_makes_what_was_remembered_worthless() {
    let passwords = Passwords::default();
    assert_eq!(passwords.check(&users(&[("a", "old")]), &basic("a", "old")).await, Verdict::Right);
    let changed = users(&[("a", "new")]);
    assert_eq!(passwords.check(&changed, &basic("a", "old")).await, Verdict::Wrong);
    assert_eq!(passwords.check(&changed, &basic("a", "new")).await, Verdict::Right);
    assert_eq!(passwords.check(&users(&[("b", "old")]), &basic("a", "old")).await, Verdict::Wrong);
}

#[test]
fn whoever_is_refused_has_cost_the_same() {
    let hash = |cost: u32| {
        SecretString::from(format!("$2y${cost:02}$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi"))
    };
    let work = |hashes: &[String]| -> u64 {
        hashes.iter().map(|hash| 1 << hash.parse::<bcrypt::HashParts>().unwrap().get_cost()).sum()
    };
    for costs in [[4, 4, 4], [4, 10, 12], [5, 31, 30]] {
        let names = ["a", "b", "c"].map(str::to_owned);
        let users: BTreeMap<_, _> = names.into_iter().zip(costs.map(hash)).collect();
        let dearest = 1 << costs.iter().max().unwrap();
        assert_eq!(work(&hashes(&users, None)), dearest);
        for user in users.values() {
            assert_eq!(work(&hashes(&users, Some(user))), dearest);
            assert_eq!(hashes(&users, Some(user))[0], user.expose_secret());
        }
    }
}

#[test]
fn a_password_is_compared_with_all_until_one_matches() {
    let right = bcrypt::hash("x", 4).unwrap();
    assert_eq!(matching(&[fake(4), fake(5), right.clone()], b"x"), Some(2));
    assert_eq!(matching(&[right.clone(), right.clone()], b"x"), Some(0));
    assert_eq!(matching(&[fake(4), right], b""), None);
}

#[tokio::test]
async fn names_and_passwords_are_bytes() {
    let latin1 = b"b\xf6b:p\xe4ss\xff\0:";
    let password = &latin1[4..];
    let (passwords, mut users) = (Passwords::default(), users(&[("b\u{f6}b", ""), ("b\u{fffd}b", "")]));
    let given = |name: &[u8]| head(&format!("Basic {}", STANDARD.encode([name, b":", password].concat())));
    users.insert("bob".to_owned(), SecretString::from(bcrypt::hash(password, 4).unwrap()));
    assert_eq!(passwords.check(&users, &given(b"bob")).await, Verdict::Right);
    let replaced = String::from_utf8_lossy(password).into_owned();
    assert_eq!(passwords.check(&users, &basic("bob", &replaced)).await, Verdict::Wrong);
    for name in ["b\u{f6}b", "b\u{fffd}b"] {
        users.insert(name.to_owned(), SecretString::from(bcrypt::hash(password, 4).unwrap()));
        assert_eq!(passwords.check(&users, &given(name.as_bytes())).await, Verdict::Right);
    }
    assert_eq!(passwords.check(&users, &given(b"b\xf6b")).await, Verdict::Wrong);
}

/// What happens while the only thread that could check passwords is held.
fn while_none_is_checked<T: Future<Output = ()>>(test: impl FnOnce(std::sync::mpsc::Sender<()>) -> T) {
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let (release, held) = std::sync::mpsc::channel::<()>();
        let holding = tokio::task::spawn_blocking(move || held.recv());
        test(release).await;
        let _ = holding.await;
    });
}

#[test]
fn those_who_wait_for_the_same_check_share_it() {
    while_none_is_checked(|release| async move {
        let (passwords, users) = (Passwords::default(), users(&[("a", "x")]));
        let asked = basic("a", "x");
        let check = || Box::pin(passwords.check(&users, &asked));
        let mut checks: Vec<_> = (0..4 * PLACES).map(|_| check()).collect();
        for check in &mut checks {
            assert!(futures_util::poll!(check).is_pending());
        }
        assert_eq!(lock(&passwords.state).queue.taken(), 1);
        release.send(()).unwrap();
        assert_eq!(checks.remove(0).await, Verdict::Right);
        // Of the polls at one go, the runtime lets only so many through.
        tokio::task::yield_now().await;
        // The others need no thread, but only to be told.
        for check in &mut checks {
            assert!(matches!(futures_util::poll!(check), std::task::Poll::Ready(Verdict::Right)));
        }
    });
}

#[test]
fn a_flood_of_wrong_passwords_locks_nobody_out() {
    while_none_is_checked(|release| async move {
        let (passwords, users) = (Passwords::default(), users(&[("a", "x")]));
        let guesses = |from: usize| {
            let guess = |number: usize| {
                let name = if number.is_multiple_of(2) { "a".to_owned() } else { format!("b{number}") };
                basic(&name, &number.to_string())
            };
            (from..from + 2_000).map(guess).collect::<Vec<_>>()
        };
        let flood = async |from: usize| {
            for guess in guesses(from) {
                let mut check = Box::pin(passwords.check(&users, &guess));
                assert!(futures_util::poll!(&mut check).is_pending());
            }
        };
        let asked = basic("a", "x");
        // The queue is full, and yet there is a place.
        flood(0).await;
        let mut first = Box::pin(passwords.check(&users, &asked));
        assert!(futures_util::poll!(&mut first).is_pending());
        flood(2_000).await;
        assert_eq!(first.await, Verdict::Busy);
        // From the second time on, no flood takes it away.
        let mut second = Box::pin(passwords.check(&users, &asked));
        assert!(futures_util::poll!(&mut second).is_pending());
        flood(4_000).await;
        assert_eq!(lock(&passwords.state).queue.taken(), PLACES);
        release.send(()).unwrap();
        assert_eq!(second.await, Verdict::Right);
    });
}

#[test]
fn who_hangs_up_frees_no_place_before_the_check_is_over() {
    while_none_is_checked(|release| async move {
        let (passwords, users) = (Passwords::default(), users(&[("a", "x")]));
        let asked = basic("a", "x");
        let mut check = Box::pin(passwords.check(&users, &asked));
        assert!(futures_util::poll!(&mut check).is_pending());
        drop(check);
        let taken = || lock(&passwords.state).queue.taken();
        assert_eq!(taken(), 1);
        release.send(()).unwrap();
        // One thread, one after the other: that is the end of it.
        tokio::task::spawn_blocking(|| ()).await.unwrap();
        assert_eq!(taken(), 0);
        // What it came to is not lost.
        assert_eq!(lock(&passwords.state).known.right.digests.len(), 1);
        assert_eq!(passwords.check(&users, &basic("a", "y")).await, Verdict::Wrong);
    });
}

#[test]
fn a_check_that_is_lost_with_its_thread_holds_up_no_other() {
    let (passwords, users) = (Passwords::default(), users(&[("a", "x")]));
    let asked = basic("a", "x");
    let runtime = || {
        tokio::runtime::Builder::new_current_thread().enable_time().max_blocking_threads(1).build().unwrap()
    };
    let ended = runtime();
    let (release, held) = std::sync::mpsc::channel::<()>();
    ended.spawn_blocking(move || held.recv());
    let mut check = Box::pin(passwords.check(&users, &asked));
    ended.block_on(async { assert!(futures_util::poll!(&mut check).is_pending()) });
    ended.shutdown_background();
    drop(release);
    let verdict = runtime().block_on(async {
        let _ = tokio::time::timeout(std::time::Duration::from_secs(60), check).await;
        passwords.check(&users, &asked).await
    });
    assert_eq!(verdict, Verdict::Right);
}

#[test]
fn what_is_remembered_is_bounded_and_wrong_passwords_push_out_no_right_one() {
    let mut known = Known::default();
    let digest = |number: u16| {
        let mut digest = [0; 32];
        digest[..2].copy_from_slice(&number.to_le_bytes());
        digest
    };
    known.right.add(digest(9_999), RIGHT_MAX);
    for number in 0..5_000 {
        known.wrong.add(digest(number), WRONG_MAX);
        known.wrong.add(digest(number), WRONG_MAX);
    }
    assert_eq!((known.wrong.digests.len(), known.wrong.order.len()), (WRONG_MAX, WRONG_MAX));
    assert!(known.wrong.digests.contains(&digest(4_999)) && !known.wrong.digests.contains(&digest(0)));
    assert!(known.right.digests.contains(&digest(9_999)));
}
