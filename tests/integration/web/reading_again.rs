//! The web configuration while the daemon runs: taken when it is good, left when it is not.

use std::fs;

use super::{Doors, TLS, ask, block_on, cuts, hash, scrape};
use crate::harness::{Authority, Daemon, metric, wait_for};

/// Waits until the file was read with this outcome.
fn until_read(doors: &Doors, daemon: &Daemon, is_good: bool) {
    let successful = metric("exporter_web_config_last_reload_successful");
    let wanted = f64::from(u8::from(is_good));
    wait_for("the file to be read", || match successful.value_in(&scrape(doors.client(), daemon)) {
        Some(value) if value == wanted => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

#[test]
fn a_certificate_is_replaced_while_it_runs_and_a_bad_one_is_not_taken() {
    let mut doors = Doors::new();
    let daemon = doors.settings(TLS).start();
    until_read(&doors, &daemon, true);
    // As renewal writes it: one file after the other, so that they do not fit for a moment.
    doors.authority = Authority::new("house");
    let renewed = doors.authority.identity(&["localhost"]);
    fs::write(doors.path("server.crt"), &renewed.cert).unwrap();
    fs::write(doors.path("server.key"), &renewed.key).unwrap();
    wait_for("the new certificate", || {
        let answer = block_on(ask(doors.client(), daemon.address, "/-/healthy"));
        answer.map(|_| ()).map_err(|error| error.to_string())
    });
    let success_at = metric("exporter_web_config_last_reload_success_timestamp_seconds");
    let before = success_at.value_in(&scrape(doors.client(), &daemon)).unwrap();
    assert!(before > 0.0);

    fs::write(doors.path("server.crt"), "half of a certifi").unwrap();
    until_read(&doors, &daemon, false);
    assert!(
        daemon.log().contains("tls_server_config.cert_file: expected certificates in PEM"),
        "{}",
        daemon.log()
    );
    assert_eq!(success_at.value_in(&scrape(doors.client(), &daemon)), Some(before));
    fs::remove_file(doors.path("server.crt")).unwrap();
    wait_for("the file to be missed", || {
        if daemon.log().contains("there is no such file") { Ok(()) } else { Err("not yet".to_owned()) }
    });
    fs::write(doors.path("server.crt"), &renewed.cert).unwrap();
    until_read(&doors, &daemon, true);
    daemon.stop();
}

#[test]
fn what_guards_the_server_is_not_switched_off_by_a_change() {
    let doors = Doors::new();
    let guarded = format!("{TLS}basic_auth_users: {{alice: \"{}\"}}\n", hash("wonder", 4));
    let daemon = doors.settings(&guarded).start();
    let status = |password: Option<&str>| {
        let client = doors.client().resolve("localhost", daemon.address).build().unwrap();
        let request = client.get(format!("https://localhost:{}/metrics", daemon.address.port()));
        let request = match password {
            Some(password) => request.basic_auth("alice", Some(password)),
            None => request,
        };
        block_on(request.send()).unwrap().status().as_u16()
    };
    assert_eq!((status(Some("wonder")), status(None)), (200, 401));
    for yaml in [
        "",
        &guarded.replace(TLS, ""),
        TLS,
        "basic_auth_users: {alice: x}",
        &guarded.replace("alice", "alice: {}\n"),
    ] {
        let before = daemon.log().len();
        doors.write(yaml);
        wait_for("the refusal", || {
            if daemon.log()[before..].contains("the one before stays") {
                Ok(())
            } else {
                Err("none".to_owned())
            }
        });
        assert_eq!((status(Some("wonder")), status(None)), (200, 401), "{yaml}");
    }
    // Another password is taken, and the one before is good no more.
    doors.write(&format!("{TLS}basic_auth_users: {{alice: \"{}\"}}\n", hash("looking-glass", 4)));
    wait_for("the new password", || match status(Some("looking-glass")) {
        200 => Ok(()),
        other => Err(other.to_string()),
    });
    assert_eq!(status(Some("wonder")), 401);
    daemon.stop();
}

#[test]
fn what_is_asked_of_clients_is_not_lessened_by_a_change() {
    let doors = Doors::new();
    let yaml =
        |clients: &str| format!("{}, client_ca_file: ca.crt{clients}}}\n", TLS.trim_end_matches("}\n"));
    let both = ", client_auth_type: RequireAndVerifyClientCert, client_allowed_sans: [prometheus.example]";
    let daemon = doors.settings(&yaml(both)).start();
    let identity = |name: &str| {
        let identity = doors.authority.identity(&[name]);
        reqwest::Identity::from_pem(format!("{}{}", identity.cert, identity.key).as_bytes()).unwrap()
    };
    let (known, other) = (identity("prometheus.example"), identity("other.example"));
    let who_is_let_in = || {
        [doors.client(), doors.client().identity(other.clone()), doors.client().identity(known.clone())]
            .map(|client| block_on(ask(client, daemon.address, "/-/healthy")).is_ok())
    };
    assert_eq!(who_is_let_in(), [false, false, true]);
    let refused = |yaml: &str, what: &str| {
        let before = daemon.log().len();
        doors.write(yaml);
        wait_for("the refusal", || {
            let log = daemon.log()[before..].to_owned();
            let is_told = log.contains(&format!("it has {what} no more; restart the exporter to do without"));
            if is_told { Ok(()) } else { Err(log) }
        });
    };
    let mandatory = "a client_auth_type that requires a certificate";
    refused(TLS, mandatory);
    refused(&yaml(", client_auth_type: VerifyClientCertIfGiven"), mandatory);
    let verified = "a client_auth_type that has certificates verified";
    refused(&yaml(&both.replace("RequireAndVerify", "RequireAny")), verified);
    refused(&yaml(", client_auth_type: RequireAndVerifyClientCert"), "client_allowed_sans");
    assert_eq!(who_is_let_in(), [false, false, true]);
    // Other names are taken.
    doors.write(&yaml(&both.replace("prometheus", "other")));
    wait_for("the other name", || match who_is_let_in() {
        [false, true, false] => Ok(()),
        others => Err(format!("{others:?}")),
    });
    daemon.stop();
}

#[test]
fn a_pipe_in_the_place_of_a_file_is_refused_and_holds_up_no_end() {
    let doors = Doors::new();
    let settings = doors.settings("").set("web.enable_lifecycle", "true");
    let daemon = settings.start();
    for path in [doors.path("web.yml"), settings.file.clone()] {
        fs::remove_file(&path).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
    }
    let (status, answer) = daemon.request("POST", "/-/reload");
    assert!(status == 400 && answer.contains("this is no regular file"), "{status} {answer}");
    daemon.until_is(&metric("exporter_web_config_last_reload_successful"), 0.0);
    assert!(daemon.log().contains("web.yml: 1 configuration error\n  this is no regular file"));
    daemon.stop();
}

#[test]
fn headers_and_rate_limit_are_those_of_the_file() {
    let doors = Doors::new();
    let yaml = |burst: u32| {
        format!(
            "http_server_config: {{headers: {{X-Frame-Options: sameorigin, X-XSS-Protection: '0', \
             Content-Security-Policy: sandbox}}}}\n\
             rate_limit: {{interval: 1h, burst: {burst}}}\n"
        )
    };
    let daemon = doors.settings(&yaml(3)).start();
    let url = |path: &str| format!("http://{}{path}", daemon.address);
    let get = |path: &str| block_on(doors.client().build().unwrap().get(url(path)).send()).unwrap();
    let answer = get("/metrics");
    let of = ["x-frame-options", "x-xss-protection", "content-security-policy"]
        .map(|name| answer.headers()[name].to_str().unwrap().to_owned());
    assert_eq!(of, ["sameorigin", "0", "sandbox"]);
    // What the page itself needs stays.
    let page = get("/");
    assert_eq!(page.headers()["x-frame-options"], "sameorigin");
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src "), "{policy}");
    assert_eq!(get("/metrics").status(), 200);
    let limited = get("/metrics");
    assert_eq!((limited.status().as_u16(), limited.headers()["retry-after"].to_str().unwrap()), (429, "1"));
    doors.write(&yaml(10_000));
    let page = wait_for("another limit", || match daemon.get("/metrics") {
        (200, text) => Ok(crate::harness::Page::parse(text)),
        (other, _) => Err(other.to_string()),
    });
    assert!(cuts(&page, "rate_limit") >= 1.0);
    daemon.stop();
}
