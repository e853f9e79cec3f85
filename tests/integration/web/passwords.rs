//! Basic authentication.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use super::{Doors, block_on, cuts, hash};
use crate::harness::{Page, wait_for};

/// Status, and the challenge if there is one.
fn ask(address: SocketAddr, path: &str, user: Option<(&str, &str)>) -> (u16, Option<String>, String) {
    block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut request = client.get(format!("http://{address}{path}"));
        if let Some((name, password)) = user {
            request = request.basic_auth(name, Some(password));
        }
        let answer = request.send().await.unwrap();
        let challenge =
            answer.headers().get("www-authenticate").map(|value| value.to_str().unwrap().to_owned());
        (answer.status().as_u16(), challenge, answer.text().await.unwrap())
    })
}

#[test]
fn right_passwords_pass_and_all_else_is_asked_for_one() {
    let doors = Doors::new();
    let users = [("alice", hash("wonder", 4)), ("böb", hash("pass:word", 5)), ("", hash("", 4))];
    let mut yaml = "basic_auth_users:\n".to_owned();
    for (name, hash) in &users {
        yaml.push_str(&format!("  \"{name}\": \"{hash}\"\n"));
    }
    let daemon = doors.settings(&yaml).start();
    let ask = |path, user| ask(daemon.address, path, user);
    for user in [("alice", "wonder"), ("böb", "pass:word"), ("", "")] {
        for _ in 0..2 {
            assert_eq!(ask("/metrics", Some(user)).0, 200, "{user:?}");
        }
    }
    let wrong = [
        None,
        Some(("alice", "Wonder")),
        Some(("alice", "")),
        Some(("bob", "pass:word")),
        Some(("mallory", "wonder")),
        // The hash is no password.
        Some(("alice", users[0].1.as_str())),
    ];
    for user in wrong {
        for path in ["/metrics", "/", "/-/healthy", "/-/ready", "/api/v1/status", "/nowhere"] {
            let (status, challenge, body) = ask(path, user);
            assert_eq!(
                (status, body.as_str()),
                (401, "a user and a password are needed\n"),
                "{user:?} {path}"
            );
            assert!(challenge.unwrap().starts_with("Basic realm="));
        }
    }
    let page = Page::parse(ask("/metrics", Some(("alice", "wonder"))).2);
    assert_eq!(cuts(&page, "unauthorized"), 36.0);
    for secret in ["wonder", "pass:word", &users[0].1] {
        assert!(!daemon.log().contains(secret));
    }
    daemon.stop();
}

#[test]
fn all_who_send_the_same_right_password_at_once_pass() {
    let doors = Doors::new();
    let daemon = doors.settings(&format!("basic_auth_users: {{alice: \"{}\"}}\n", hash("wonder", 8))).start();
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let asking = || ask(daemon.address, "/-/healthy", Some(("alice", "wonder"))).0;
        let threads: Vec<_> = (0..64).map(|_| scope.spawn(asking)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(answers, [200; 64]);
    daemon.stop();
}

#[test]
fn a_password_that_is_being_checked_holds_up_nobody_else_and_no_end() {
    let doors = Doors::new();
    // At this cost a check takes days.
    let endless = hash("x", 4).replace("$04$", "$31$");
    let fast = format!("basic_auth_users: {{alice: \"{}\"}}\n", hash("wonder", 4));
    let daemon = doors.settings(&fast).start();
    let alice = Some(("alice", "wonder"));
    assert_eq!(ask(daemon.address, "/metrics", alice).0, 200);
    doors.write(&fast.replace("}\n", &format!(", endless: \"{endless}\"}}\n")));
    wait_for("the second user", || {
        if daemon.log().contains("the web configuration has changed") {
            Ok(())
        } else {
            Err("not yet".to_owned())
        }
    });
    let page = || {
        let (status, _, text) = ask(daemon.address, "/metrics", alice);
        (status, text)
    };
    // One is being checked, 31 wait, and the others are turned away.
    let waiting: Vec<TcpStream> = (0..40)
        .map(|number| {
            let mut stream = TcpStream::connect(daemon.address).unwrap();
            let encoded = base64::Engine::encode(
                &base64::engine::general_purpose::STANDARD,
                format!("endless:{number}"),
            );
            write!(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {encoded}\r\n\r\n")
                .unwrap();
            stream
        })
        .collect();
    wait_for("a full queue", || match cuts(&Page::parse(page().1), "password_queue") {
        8.0 => Ok(()),
        count => Err(count.to_string()),
    });
    let answered = (0..50).filter(|_| page().0 == 200).count();
    assert_eq!(answered, 50);
    for stream in &waiting {
        stream.set_nonblocking(true).unwrap();
    }
    let unanswered = waiting.iter().filter(|stream| stream.peek(&mut [0]).is_err()).count();
    assert_eq!(unanswered, 32);
    drop(waiting);
    // Nor does the check hold up the end.
    daemon.stop();
}
