//! Scrapers: each on a connection that stays, one request after the other, as fast as answers come.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::process::cpu_seconds_of;

/// What is asked for.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// `host:port`
    pub address: &'a str,
    /// Whose CPU time counts, with that of its children.
    pub pid: u32,
    /// Compressed or not.
    pub gzip: bool,
}

/// Some processors (AMD Zen 3) copy at a twentieth of their speed to a place that is up to 63 bytes further into its page than the
/// source is into its own. Each read goes to another place, so that this happens to every server now and then, and not always to
/// the one whose heads have that length.
const PAGE_BYTES: usize = 4 * 1024;
/// Whole cache lines, as buffers are aligned; an odd number of them, so that each of a page has its turn.
const STEP_BYTES: usize = 17 * 64;
const READ_BYTES: usize = 256 * 1024;

/// How a server fared.
#[derive(Clone, Debug)]
pub struct Load {
    /// Milliseconds from the request to the last byte, in ascending order.
    millis: Vec<f64>,
    /// Of the server, for each scrape.
    pub cpu_millis: f64,
}

impl Load {
    /// So many of a hundred scrapes took no longer.
    pub fn percentile(&self, percent: usize) -> f64 {
        self.millis.get(self.millis.len().saturating_sub(1) * percent / 100).copied().unwrap_or(f64::NAN)
    }
}

/// Scrapes for some time.
pub fn load(ask: Ask<'_>, scrapers: usize, time: Duration) -> Outcome<Load> {
    let cpu = cpu_seconds_of(ask.pid)?;
    let end = Instant::now() + time;
    let results: Vec<Result<Vec<f64>, String>> = std::thread::scope(|scope| {
        let scrapers: Vec<_> = (0..scrapers).map(|_| scope.spawn(move || scraper(ask, end))).collect();
        scrapers
            .into_iter()
            .map(|one| one.join().unwrap_or_else(|_| Err("a scraper failed".into())))
            .collect()
    });
    let cpu = cpu_seconds_of(ask.pid)? - cpu;
    let mut millis = Vec::new();
    for result in results {
        millis.extend(result?);
    }
    millis.sort_by(f64::total_cmp);
    let count = f64::from(u32::try_from(millis.len())?);
    Ok(Load { cpu_millis: cpu * 1e3 / count, millis })
}

fn scraper(ask: Ask<'_>, end: Instant) -> Result<Vec<f64>, String> {
    let mut took = Vec::new();
    let mut connection = Connection::open(ask.address).map_err(|error| error.to_string())?;
    // The first request of a form may make it.
    connection.get(ask.gzip, "text/plain", None).map_err(|error| error.to_string())?;
    while Instant::now() < end || took.is_empty() {
        let started = Instant::now();
        connection.get(ask.gzip, "text/plain", None).map_err(|error| error.to_string())?;
        took.push(started.elapsed().as_secs_f64() * 1e3);
    }
    Ok(took)
}

/// A body, if it is wanted.
pub fn fetch(address: &str, gzip: bool, accept: &str) -> Outcome<Vec<u8>> {
    let mut body = Vec::new();
    Connection::open(address)?.get(gzip, accept, Some(&mut body))?;
    Ok(body)
}

struct Connection {
    stream: BufReader<TcpStream>,
    scratch: Vec<u8>,
    /// Where in it the next read goes.
    start: usize,
}

impl Connection {
    fn open(address: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let stream = BufReader::with_capacity(16 * 1024, stream);
        Ok(Self { stream, scratch: vec![0; READ_BYTES + PAGE_BYTES], start: 0 })
    }

    /// Asks once and reads the answer to its end, into `keep` or nowhere.
    fn get(&mut self, gzip: bool, accept: &str, mut keep: Option<&mut Vec<u8>>) -> Outcome<()> {
        let encoding = if gzip { "gzip" } else { "identity" };
        let request = format!(
            "GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\nAccept-Encoding: {encoding}\r\n\r\n"
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let (mut length, mut chunked, mut ok) = (None, false, false);
        loop {
            let line = self.line()?;
            ok |= line.starts_with("http/1.1 200");
            chunked |= line == "transfer-encoding: chunked";
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = Some(value.parse::<usize>()?);
            }
            if line.is_empty() {
                break;
            }
        }
        match length {
            Some(length) if ok => self.read(length, &mut keep)?,
            None if ok && chunked => loop {
                let size = usize::from_str_radix(&self.line()?, 16)?;
                self.read(size, &mut keep)?;
                self.line()?;
                if size == 0 {
                    break;
                }
            },
            _ => return Err("not an answer with a body".into()),
        }
        Ok(())
    }

    fn line(&mut self) -> Outcome<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err("the connection was closed".into());
        }
        Ok(line.trim_end().to_ascii_lowercase())
    }

    fn read(&mut self, mut left: usize, keep: &mut Option<&mut Vec<u8>>) -> Outcome<()> {
        while left > 0 {
            self.start = (self.start + STEP_BYTES) % PAGE_BYTES;
            let place = self.start..self.start + left.min(READ_BYTES);
            let count = self.stream.read(&mut self.scratch[place.clone()])?;
            if count == 0 {
                return Err("the body was cut".into());
            }
            if let Some(keep) = keep.as_deref_mut() {
                keep.extend_from_slice(&self.scratch[place][..count]);
            }
            left -= count;
        }
        Ok(())
    }
}
