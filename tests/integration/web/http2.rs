//! HTTP/2, by a client of bare frames where it is to behave as none does.

use reqwest::{Method, Version};

use super::{Doors, TLS, block_on};

#[test]
fn head_gets_the_head_of_get_on_every_path_by_both_protocols() {
    let doors = Doors::new();
    let daemon = doors.settings(TLS).start();
    let url = |path: &str| format!("https://localhost:{}{path}", daemon.address.port());
    block_on(async {
        for (version, client) in
            [(Version::HTTP_2, doors.client()), (Version::HTTP_11, doors.client().http1_only())]
        {
            let client = client.resolve("localhost", daemon.address).no_gzip().build().unwrap();
            for (path, status, is_fixed) in [
                ("/", 200, false),
                ("/metrics", 200, false),
                ("/-/healthy", 200, true),
                ("/-/ready", 0, false),
                ("/-/icon.svg", 200, true),
                ("/-/docs/", 200, true),
                ("/-/docs/web", 200, true),
                ("/api/v1/status", 200, false),
                ("/api/v1/series", 400, true),
                ("/-/reload", 405, true),
                ("/nowhere", 404, true),
            ] {
                let what = format!("{path} {version:?}");
                let ask = async |method| {
                    let answer = client.request(method, url(path)).send().await;
                    let answer = answer.unwrap_or_else(|error| panic!("{what}: {error:?}"));
                    assert_eq!(answer.version(), version, "{what}");
                    let length = answer.headers()["content-length"].to_str().unwrap().parse::<usize>();
                    (answer.status().as_u16(), length.unwrap(), answer.bytes().await.unwrap().len())
                };
                let (head, length, body) = ask(Method::HEAD).await;
                assert_eq!(body, 0, "{what}");
                assert!(length > 0 && (head == status || status == 0), "{what}: {head}, {length} bytes");
                if is_fixed {
                    assert_eq!(ask(Method::GET).await, (head, length, length), "{what}");
                }
            }
        }
    });
    daemon.stop();
}
