//! The web configuration in force. Invariant: a file that is bad, half written, or that would take protection away leaves
//! everything as it was.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper::header::{HeaderName, HeaderValue};
use rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

use super::Observer;
use super::rate::Bucket;
use super::tls::{self, TlsError};
use crate::config::{ClientAuth, ConfigErrors, Reading, Unread, WebFile};

/// How often the file, and those that it names, are read. A change is taken when two readings agree on it.
const LOOK: Duration = Duration::from_secs(1);

/// A web configuration file that is refused.
#[derive(Debug, thiserror::Error)]
pub enum WebConfigError {
    /// What stands in it.
    #[error(transparent)]
    File(#[from] ConfigErrors),
    /// That it could not be read.
    #[error("{}: {why}", path.display())]
    Unread {
        /// The web configuration file.
        path: PathBuf,
        /// Why.
        why: Unread,
    },
    /// Keys and certificates.
    #[error("{}: 1 configuration error\n  {source}", path.display())]
    Tls {
        /// The web configuration file.
        path: PathBuf,
        /// What is wrong.
        source: TlsError,
    },
    /// It would switch off what guards a running server.
    #[error("{}: it has {what} no more; restart the exporter to do without", path.display())]
    Unguarded {
        /// The web configuration file.
        path: PathBuf,
        /// What would be switched off.
        what: &'static str,
    },
}

/// What a web configuration file comes to.
#[derive(Debug)]
pub(super) struct Armed {
    pub(super) file: WebFile,
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) bucket: Option<Arc<Bucket>>,
}

impl Armed {
    fn build(path: &Path, file: WebFile, before: Option<&Self>) -> Result<Self, WebConfigError> {
        let tls = file.tls.as_ref().map(|tls| tls::server_config(tls, file.http2)).transpose();
        let tls = tls.map_err(|source| WebConfigError::Tls { path: path.to_owned(), source })?.map(Arc::new);
        let unguarded = |what| Err(WebConfigError::Unguarded { path: path.to_owned(), what });
        if let Some(before) = before {
            let lost = guards(&before.file).zip(guards(&file)).find(|((_, had), (_, has))| had & !has);
            if let Some(((what, _), _)) = lost {
                return unguarded(what);
            }
        }
        // A bucket that stays the same keeps its level.
        let kept = before.and_then(|before| before.bucket.clone());
        let bucket = file.rate_limit.map(|limit| {
            kept.filter(|bucket| bucket.limit() == limit).unwrap_or_else(|| Arc::new(Bucket::new(limit)))
        });
        let header = |(name, value): (&String, &String)| Some((name.parse().ok()?, value.parse().ok()?));
        let headers = file.headers.iter().filter_map(header).collect();
        Ok(Self { tls, headers, bucket, file })
    }
}

/// What guards a server by this file, and whether it does.
fn guards(file: &WebFile) -> impl Iterator<Item = (&'static str, bool)> {
    let tls = file.tls.as_ref();
    let auth = tls.map_or(ClientAuth::NoClientCert, |tls| tls.client_auth);
    let is_verified = auth.is_mandatory() && auth.is_verified();
    let has_names = tls.is_some_and(|tls| tls.client_allowed_sans.is_some());
    [
        ("TLS settings", tls.is_some()),
        ("users", !file.users.is_empty()),
        ("a client_auth_type that requires a certificate", auth.is_mandatory()),
        ("a client_auth_type that has certificates verified", is_verified),
        ("client_allowed_sans", has_names),
    ]
    .into_iter()
}

/// The web configuration in force; clones share it.
#[derive(Clone, Debug)]
pub struct WebConfig {
    path: Arc<PathBuf>,
    armed: Arc<ArcSwap<Armed>>,
}

impl WebConfig {
    /// Reads the file.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(path: &Path) -> Result<Self, WebConfigError> {
        let armed = Armed::build(path, WebFile::load(path)?, None)?;
        Ok(Self { path: Arc::new(path.to_owned()), armed: Arc::new(ArcSwap::from_pointee(armed)) })
    }

    /// What is in force now.
    pub(super) fn armed(&self) -> Arc<Armed> {
        self.armed.load_full()
    }

    /// Whether it serves by TLS.
    pub fn has_tls(&self) -> bool {
        self.armed.load().tls.is_some()
    }

    /// Reads the file again and again, until `stop`.
    pub async fn follow(self, observer: Arc<dyn Observer>, stop: CancellationToken) {
        stop.run_until_cancelled(self.follow_with(WebFile::load, observer)).await;
    }

    /// Reads it by `read`, for ever.
    async fn follow_with(
        &self,
        read: impl Fn(&Path) -> Result<WebFile, ConfigErrors> + Clone + Send + 'static,
        observer: Arc<dyn Observer>,
    ) {
        observer.on_web_config(true);
        let mut looks = Looks::new(self.armed().file.digest);
        let mut reading = Reading::default();
        loop {
            tokio::time::sleep(LOOK).await;
            let (path, read) = (Arc::clone(&self.path), read.clone());
            let read = match reading.read(move || read(&path)).await {
                Ok(read) => looks.look(read.map_err(WebConfigError::from)),
                Err(why) => looks.certain(Err(WebConfigError::Unread { path: self.path.to_path_buf(), why })),
            };
            let Some(read) = read else { continue };
            let taken = read.and_then(|file| {
                Armed::build(&self.path, file, Some(&self.armed()))
                    .map(|armed| self.armed.store(armed.into()))
            });
            observer.on_web_config(taken.is_ok());
            match taken {
                Ok(()) => tracing::info!(file = %self.path.display(), "the web configuration has changed"),
                Err(error) => {
                    tracing::error!(%error, "the web configuration is refused; the one before stays")
                }
            }
        }
    }
}

/// What one reading came to.
type Read = Result<WebFile, WebConfigError>;
/// The same, for comparison.
type Seen = Result<[u8; 32], String>;

fn seen(read: &Read) -> Seen {
    read.as_ref().map(|file| file.digest).map_err(ToString::to_string)
}

/// Tells when something new has been read, twice.
struct Looks {
    taken: Seen,
    latest: Seen,
}

impl Looks {
    fn new(digest: [u8; 32]) -> Self {
        Self { taken: Ok(digest), latest: Ok(digest) }
    }

    fn look(&mut self, read: Read) -> Option<Read> {
        let seen = seen(&read);
        let before = std::mem::replace(&mut self.latest, seen.clone());
        if before == seen { self.certain(read) } else { None }
    }

    /// As [`Looks::look`], of what needs no second reading.
    fn certain(&mut self, read: Read) -> Option<Read> {
        self.latest = seen(&read);
        (self.latest != self.taken).then(|| {
            self.taken = self.latest.clone();
            read
        })
    }
}

#[cfg(test)]
mod tests;
