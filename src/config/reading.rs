//! Readings of files that may lie on a network. Invariant: whoever waits for one gives up after a while or whenever it likes,
//! and a reading that hangs takes one thread, however often it is tried again.

use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

/// How long a reading may take.
const READING_MAX: Duration = Duration::from_secs(10);

/// Why a reading came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// It has not come back so far.
    #[error("the reading has not ended within 10s; is there a file system that does not answer?")]
    Hangs,
    /// A defect, or no thread to be had.
    #[error("the thread that was to read has ended")]
    Lost,
}

/// Readings of the same files, one after the other.
#[derive(Debug)]
pub struct Reading<T> {
    under_way: Option<oneshot::Receiver<T>>,
}

impl<T> Default for Reading<T> {
    fn default() -> Self {
        Self { under_way: None }
    }
}

impl<T: Send + 'static> Reading<T> {
    /// What `read` comes to, on a thread of its own: one of the runtime's would have its end wait. An earlier reading that was
    /// given up has to end first; what that comes to is old by then, and is dropped.
    ///
    /// # Errors
    /// Where it takes too long.
    pub async fn read(&mut self, read: impl FnOnce() -> T + Send + 'static) -> Result<T, Unread> {
        let reading = async {
            if let Some(earlier) = &mut self.under_way {
                let _ = earlier.await;
            }
            let (tell, told) = oneshot::channel();
            let told = self.under_way.insert(told);
            let tell = move || drop(tell.send(read()));
            thread::Builder::new().name("reading".to_owned()).spawn(tell).map_err(|_| Unread::Lost)?;
            told.await.map_err(|_| Unread::Lost)
        };
        let outcome = tokio::time::timeout(READING_MAX, reading).await.unwrap_or(Err(Unread::Hangs));
        if !matches!(outcome, Err(Unread::Hangs)) {
            self.under_way = None;
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn one_that_hangs_is_given_up_and_holds_one_thread() {
        let mut reading = Reading::default();
        assert_eq!(reading.read(|| 1).await.unwrap(), 1);
        // Time flies while nothing else is to be done; what a thread does takes its own.
        tokio::time::pause();
        let (release, held) = mpsc::channel::<()>();
        let hanging = reading.read(move || held.recv().map_or(2, |()| 3));
        assert!(matches!(hanging.await, Err(Unread::Hangs)));
        // No other is begun meanwhile, and what comes of the first is not taken for the answer.
        let (begun, others) = mpsc::channel();
        let other = begun.clone();
        let second = reading.read(move || other.send(()).map_or(4, |()| 4));
        assert!(matches!(second.await, Err(Unread::Hangs)));
        assert!(others.try_recv().is_err());
        tokio::time::resume();
        release.send(()).unwrap();
        assert_eq!(reading.read(move || begun.send(()).map_or(5, |()| 6)).await.unwrap(), 6);
        assert!(matches!(reading.read(|| panic!("a defect")).await, Err(Unread::Lost)));
        assert_eq!(reading.read(|| 7).await.unwrap(), 7);
    }
}
