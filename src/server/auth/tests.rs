//! Passwords: who passes, what is remembered, and how often bcrypt runs.

use hyper::header::HeaderValue;

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
        for malformed in ["Basic", "Basic !", "Bearer x", "Basic Og", "Basic YQ=="] {
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
    assert_eq!(matching(&[fake(4), fake(5), right.clone()], "x"), Some(2));
    assert_eq!(matching(&[right.clone(), right.clone()], "x"), Some(0));
    assert_eq!(matching(&[fake(4), right], ""), None);
}

#[tokio::test]
async fn those_who_wait_for_the_same_check_share_it() {
    let (passwords, users) = (Passwords::default(), users(&[("a", "x")]));
    // The turn is taken: all of them come to wait.
    let turn = passwords.turn.acquire().await.unwrap();
    let asked = basic("a", "x");
    let mut checks: Vec<_> = (0..WAITING_MAX).map(|_| Box::pin(passwords.check(&users, &asked))).collect();
    for check in &mut checks {
        assert!(futures_util::poll!(check).is_pending());
    }
    assert_eq!(passwords.check(&users, &basic("a", "x")).await, Verdict::Busy);
    drop(turn);
    // The first of them finds out; the others look, and need no thread to do so.
    assert_eq!(checks.remove(0).await, Verdict::Right);
    for check in &mut checks {
        assert!(matches!(futures_util::poll!(check), std::task::Poll::Ready(Verdict::Right)));
    }
}

#[test]
fn who_hangs_up_frees_no_place_before_the_check_is_over() {
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        // The only thread is taken: a check that has begun does not end.
        let (release, held) = std::sync::mpsc::channel::<()>();
        let holding = tokio::task::spawn_blocking(move || held.recv());
        let (passwords, users) = (Passwords::default(), users(&[("a", "x")]));
        let asked = basic("a", "x");
        let mut check = Box::pin(passwords.check(&users, &asked));
        assert!(futures_util::poll!(&mut check).is_pending());
        drop(check);
        let free = || (passwords.turn.available_permits(), passwords.queue.available_permits());
        assert_eq!(free(), (0, WAITING_MAX - 1));
        release.send(()).unwrap();
        holding.await.unwrap().unwrap();
        drop(passwords.turn.acquire().await.unwrap());
        assert_eq!(free(), (1, WAITING_MAX));
        // What it came to is not lost.
        assert_eq!(passwords.known().right.digests.len(), 1);
    });
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
