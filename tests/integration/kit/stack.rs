//! Prometheus and Alertmanager as shipped, at sixty times their pace, and what is behind the webhook.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

use super::{ALERTMANAGER, RULES, run};
use crate::harness::{Running, free_port, http_get, tied, wait_for};

/// What is behind the webhook: notifications by the receiver that they came to.
#[derive(Clone)]
pub struct Webhook {
    address: SocketAddr,
    notifications: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Webhook {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let webhook = Self { address: listener.local_addr().unwrap(), notifications: Arc::default() };
        let notifications = Arc::clone(&webhook.notifications);
        // Ends with the test's process: nothing else holds the port.
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if let Some(notification) = answer(stream) {
                    notifications.lock().unwrap().push(notification);
                }
            }
        });
        webhook
    }

    /// Waits until a receiver was told of an alert with these labels in this status.
    #[track_caller]
    pub fn until(&self, receiver: &str, status: &str, labels: &[(&str, &str)]) -> Value {
        wait_for(&format!("{labels:?} {status} at {receiver}"), || {
            let notifications = self.notifications.lock().unwrap();
            let alerts = notifications.iter().filter(|(to, _)| to == receiver);
            let mut alerts = alerts.flat_map(|(_, body)| body["alerts"].as_array().unwrap());
            let fits = |alert: &&Value| {
                alert["status"] == status
                    && labels.iter().all(|(name, value)| alert["labels"][*name] == *value)
            };
            alerts.find(fits).cloned().ok_or_else(|| format!("{} other notifications", notifications.len()))
        })
    }
}

/// Takes one request of Alertmanager: `/dingtalk/RECEIVER/send` and JSON.
fn answer(mut stream: TcpStream) -> Option<(String, Value)> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let receiver = line.split('/').nth(2)?.to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        if header.trim().is_empty() {
            break;
        }
        let (name, value) = header.split_once(':')?;
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").ok()?;
    Some((receiver, serde_json::from_slice(&body).ok()?))
}

/// Prometheus and Alertmanager.
pub struct Stack {
    prometheus: SocketAddr,
    alertmanager: SocketAddr,
    _processes: [Running; 2],
    _directory: TempDir,
}

impl Stack {
    /// Starts both with the shipped files; only addresses are others, and each duration is a sixtieth.
    pub fn start(exporter: SocketAddr, webhook: &Webhook) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let [prometheus, alertmanager] = [(); 2].map(|()| SocketAddr::from(([127, 0, 0, 1], free_port())));
        let routing = scaled(&fs::read_to_string(ALERTMANAGER).unwrap());
        let routing = replaced(&routing, "localhost:8060", &webhook.address.to_string());
        fs::write(at("alertmanager.yml"), routing).unwrap();
        let config = scaled(&fs::read_to_string("config/prometheus/prometheus.yml").unwrap());
        let config = replaced(&config, "localhost:9093", &alertmanager.to_string());
        let config = replaced(&config, "localhost:10990", &exporter.to_string());
        fs::write(at("prometheus.yml"), config.replace("500ms", "1s")).unwrap();
        fs::create_dir(at("rules")).unwrap();
        for file in ["recording.yml", "alerts.yml"] {
            let rules = scaled(&fs::read_to_string(Path::new(RULES).join(file)).unwrap());
            fs::write(at("rules").join(file), rules).unwrap();
        }

        let mut command = tied("prometheus-alertmanager");
        command
            .arg(format!("--config.file={}", at("alertmanager.yml").display()))
            .arg(format!("--storage.path={}", at("alertmanager").display()))
            .arg(format!("--web.listen-address={alertmanager}"))
            .arg("--cluster.listen-address=");
        let second = Running::start(command);
        let mut command = tied("prometheus");
        command
            .arg(format!("--config.file={}", at("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", at("prometheus").display()))
            .arg(format!("--web.listen-address={prometheus}"))
            // Alerts are sent again in time, and forgotten by Alertmanager four of these later.
            .arg("--rules.alert.resend-delay=2s");
        let first = Running::start(command);
        for (address, process) in [(prometheus, &first), (alertmanager, &second)] {
            wait_for("the stack", || match http_get(address, "/-/ready") {
                Ok((200, _)) => Ok(()),
                other => Err(format!("{other:?}: {}", process.log())),
            });
        }
        Self { prometheus, alertmanager, _processes: [first, second], _directory: directory }
    }

    /// How many series a query gives, or why it is none.
    pub fn count(&self, query: &str) -> Result<usize, String> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let (status, body) = http_get(self.prometheus, &format!("/api/v1/query?query={encoded}"))
            .map_err(|e| e.to_string())?;
        if status != 200 {
            return Err(body);
        }
        let answer: Value = serde_json::from_str(&body).map_err(|error| error.to_string())?;
        Ok(answer["data"]["result"].as_array().map_or(1, Vec::len))
    }

    /// Rules that could not be evaluated the last time, each with its error.
    pub fn broken_rules(&self) -> Vec<String> {
        let (_, body) = http_get(self.prometheus, "/api/v1/rules").unwrap();
        let answer: Value = serde_json::from_str(&body).unwrap();
        let groups = answer["data"]["groups"].as_array().unwrap();
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
        let broken = rules.filter(|rule| rule["health"] == "err");
        broken.map(|rule| format!("{}: {}", rule["name"], rule["lastError"])).collect()
    }

    /// Tells Alertmanager of an alert about a cluster from some exporter; whether it is held back.
    pub fn holds_back_an_alert_of(&self, instance: &str) -> bool {
        let url = format!("--alertmanager.url=http://{}", self.alertmanager);
        let labels = [
            "EmrSparkClusterError",
            "component=cluster",
            "severity=warning",
            "workspace_id=w-1",
            "job=emr-serverless-spark",
        ];
        let instance_label = format!("instance={instance}");
        run(".", "amtool", &[&["alert", "add", &url], &labels[..], &[&instance_label]].concat());
        wait_for("the alert at Alertmanager", || {
            let (_, body) =
                http_get(self.alertmanager, "/api/v2/alerts").map_err(|error| error.to_string())?;
            let alerts: Value = serde_json::from_str(&body).map_err(|error| error.to_string())?;
            let is_it = |alert: &&Value| {
                alert["labels"]["instance"] == instance && alert["labels"]["alertname"] == labels[0]
            };
            let found = alerts.as_array().and_then(|alerts| alerts.iter().find(is_it));
            found.map(|alert| alert["status"]["state"] == "suppressed").ok_or(body)
        })
    }
}

/// The text with another in the place of a part that must be there.
fn replaced(text: &str, part: &str, by: &str) -> String {
    assert!(text.contains(part), "{part}");
    text.replace(part, by)
}

/// Each duration as a sixtieth: `5m` becomes `5s`, `[1h]` becomes `[60s]`, `30 * 60` becomes `30 * 1`.
fn scaled(text: &str) -> String {
    let text = text.replace(" * 3600", " * 60.0").replace(" * 60\n", " * 1\n").replace(" * 60.0", " * 60");
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let inside_a_word = rest[..at].ends_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '.');
        let digits = rest[at..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - at);
        let (number, after) = (&rest[at..at + digits], &rest[at + digits..]);
        let alone = !after[1.min(after.len())..].starts_with(|c: char| c.is_ascii_alphanumeric());
        let unit = after.chars().next().filter(|_| alone && !inside_a_word);
        let milliseconds = match unit {
            Some('s') => Some(1_000 / 60),
            Some('m') => Some(1_000),
            Some('h') => Some(60_000),
            Some('d') => Some(24 * 60_000),
            _ => None,
        };
        out.push_str(&rest[..at]);
        match milliseconds.zip(number.parse::<u64>().ok()) {
            Some((unit, number)) => {
                // The tools take no less than what one scrape a second gives.
                out.push_str(&format!("{}ms", (unit * number).max(500)));
                rest = &after[1..];
            }
            None => {
                out.push_str(number);
                rest = after;
            }
        }
    }
    out + rest
}

#[test]
fn durations_are_scaled_and_nothing_else() {
    let rule = "expr: rate(a_1d:p50[5m]) / 3600 > 30 * 60\n  or b:mean7d > 12 * 3600\nfor: 1h # w-1 2m\ntimeout: 30s\n";
    let expected = "expr: rate(a_1d:p50[5000ms]) / 3600 > 30 * 1\n  or b:mean7d > 12 * 60\nfor: 60000ms # w-1 2000ms\ntimeout: 500ms\n";
    assert_eq!(scaled(rule), expected);
}
