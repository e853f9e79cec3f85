//! Memory that texts have for themselves, so that the kernel may be handed it by reference. Invariant: once a text is whole its
//! memory can only be read; and what was lent to the kernel is never written again, as there is no telling when it is done.

use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use memmap2::{Advice, Mmap, MmapMut};
use rustix::pipe::{IoSliceRaw, SpliceFlags, vmsplice};

/// The least that is mapped; the system provides memory only for what is written.
const BYTES_MIN: usize = 64 * 1024;
/// A large page of most processors. A text that fills half of one gets whole ones, at places where there can be one.
const LARGE_PAGE_BYTES: usize = 2 * 1024 * 1024;

/// Where the whole texts are: what a socket is given to send has lost its type on the way through hyper.
static PLACES: RwLock<Vec<Place>> = RwLock::new(Vec::new());
/// Memory of a large text that is gone, and of which nothing was lent: the system clears what it maps, which takes a quarter of
/// the time that writing a page does.
static IDLE: Mutex<Option<MmapMut>> = Mutex::new(None);

struct Place {
    addresses: Range<usize>,
    /// Whether the kernel may still read it, however long it is gone.
    is_lent: AtomicBool,
}

/// A text that is being written.
#[derive(Debug)]
pub struct Draft {
    memory: MmapMut,
    /// Where it begins.
    start: usize,
    end: usize,
}

impl Draft {
    /// An empty one, with room for so many bytes.
    ///
    /// # Panics
    /// Where the system has no more memory.
    pub fn with_capacity(bytes: usize) -> Self {
        if bytes < LARGE_PAGE_BYTES / 2 {
            return Self { memory: map(bytes.max(BYTES_MIN)), start: 0, end: 0 };
        }
        let mapped = bytes.next_multiple_of(LARGE_PAGE_BYTES) + LARGE_PAGE_BYTES;
        // Memory that is much too large goes back to the system.
        let idle = lock(&IDLE).take().filter(|idle| (mapped..=2 * mapped).contains(&idle.len()));
        let memory = idle.unwrap_or_else(|| map(mapped));
        let start = memory.as_ptr().align_offset(LARGE_PAGE_BYTES);
        Self { memory, start, end: start }
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether nothing is written yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends these bytes.
    ///
    /// # Panics
    /// Where the system has no more memory.
    #[inline]
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        if bytes.len() > self.memory.len() - self.end {
            self.grow(bytes.len());
        }
        let start = self.end;
        self.end += bytes.len();
        self.memory[start..self.end].copy_from_slice(bytes);
    }

    #[cold]
    fn grow(&mut self, bytes: usize) {
        let mut larger = Self::with_capacity(2 * self.len() + bytes);
        larger.extend_from_slice(&self.memory[self.start..self.end]);
        *self = larger;
    }

    /// The whole text, which cannot be changed any more.
    #[expect(clippy::expect_used, reason = "what is mapped as one can be protected as one")]
    pub fn finish(self) -> Mapped {
        let memory = self.memory.make_read_only().expect("the memory of a text could not be protected");
        let start = memory.as_ptr().addr();
        let addresses = start + self.start..start + self.end;
        let place = Place { addresses, is_lent: AtomicBool::new(false) };
        PLACES.write().unwrap_or_else(PoisonError::into_inner).push(place);
        Mapped { memory: Some(memory), place: self.start..self.end }
    }
}

#[expect(clippy::expect_used, reason = "as with all memory, there is no going on without it")]
fn map(bytes: usize) -> MmapMut {
    let memory = MmapMut::map_anon(bytes).expect("no memory could be mapped");
    // The kernel takes hold of large pages faster than of many small ones. Some have none, which is no harm.
    let _ = memory.advise(Advice::HugePage);
    memory
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is in it is replaced as a whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A whole text.
#[derive(Debug)]
pub struct Mapped {
    /// Until it is dropped.
    memory: Option<Mmap>,
    /// Where in the memory it is.
    place: Range<usize>,
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        self.memory.as_deref().and_then(|memory| memory.get(self.place.clone())).unwrap_or_default()
    }
}

impl From<&[u8]> for Mapped {
    fn from(bytes: &[u8]) -> Self {
        let mut draft = Draft::with_capacity(bytes.len());
        draft.extend_from_slice(bytes);
        draft.finish()
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        let start = self.as_ref().as_ptr().addr();
        let mut places = PLACES.write().unwrap_or_else(PoisonError::into_inner);
        let at = places.iter().position(|place| place.addresses.start == start);
        let place = at.map(|at| places.swap_remove(at));
        drop(places);
        let Some(memory) = self.memory.take().filter(|memory| memory.len() >= LARGE_PAGE_BYTES) else {
            return;
        };
        if place.is_none_or(|place| place.is_lent.into_inner()) {
            return;
        }
        // Where it cannot be made writable again, it goes back to the system.
        let Ok(memory) = memory.make_mut() else { return };
        let mut idle = lock(&IDLE);
        if idle.as_ref().is_none_or(|idle| idle.len() < memory.len()) {
            *idle = Some(memory);
        }
    }
}

/// Whether these bytes are a part of a whole text; if so, its memory is never written again.
fn borrow(bytes: &[u8]) -> bool {
    let asked = bytes.as_ptr_range();
    let asked = asked.start.addr()..asked.end.addr();
    let places = PLACES.read().unwrap_or_else(PoisonError::into_inner);
    let holds = |place: &&Place| place.addresses.start <= asked.start && asked.end <= place.addresses.end;
    let place = places.iter().find(holds);
    place.inspect(|place| place.is_lent.store(true, Ordering::Relaxed)).is_some()
}

/// Puts the first of these bytes into a pipe that does not block, without a copy, and tells how many; `None` where they are not
/// a part of a whole text.
///
/// # Errors
/// Where the pipe is full, or the system knows no such way.
#[expect(unsafe_code, reason = "a pipe reads this memory later on; see below")]
pub fn lend(pipe: impl AsFd, bytes: &[u8]) -> Option<io::Result<usize>> {
    if !borrow(bytes) {
        return None;
    }
    // SAFETY: the kernel reads these pages until they are sent, however long that takes, and nobody writes to them. They are a
    // part of a `Mapped`, which is there for as long as `bytes` is borrowed, and is protected. When that is dropped, what `borrow`
    // has noted keeps its memory from being used again: it is unmapped, and the kernel gives none of its pages to anybody before
    // it is done with them. Were the wrong end of a pipe passed, the protection would keep it from writing to them.
    let lent = unsafe { vmsplice(pipe, &[IoSliceRaw::from_slice(bytes)], SpliceFlags::NONBLOCK) };
    Some(lent.map_err(io::Error::from))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_text_is_what_was_written(
            capacity in 0_usize..3_000_000,
            parts in prop::collection::vec((any::<u8>(), 0_usize..1_000_000), 0..6),
        ) {
            let mut draft = Draft::with_capacity(capacity);
            let mut expected = Vec::new();
            for (byte, times) in parts {
                let part = vec![byte; times];
                draft.extend_from_slice(&part);
                expected.extend_from_slice(&part);
                prop_assert_eq!((draft.len(), draft.is_empty()), (expected.len(), expected.is_empty()));
            }
            prop_assert!(draft.finish().as_ref() == expected);
        }
    }

    #[test]
    fn only_what_lies_in_a_whole_text_can_be_lent() {
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).unwrap();
        let text = Mapped::from(&b"0123456789"[..]);
        assert_eq!(lend(&write, &text.as_ref()[2..5]).unwrap().unwrap(), 3);
        let mut taken = [0; 8];
        assert_eq!(rustix::io::read(&read, &mut taken).unwrap(), 3);
        assert_eq!(&taken[..3], b"234");
        assert!(lend(&write, b"elsewhere").is_none());
        let mut draft = Draft::with_capacity(3);
        draft.extend_from_slice(b"abc");
        assert!(lend(&write, &draft.memory[..3]).is_none(), "it may still change");
    }

    #[test]
    fn what_was_lent_is_never_written_again() {
        const BYTES: usize = 3 * LARGE_PAGE_BYTES;
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).unwrap();
        let mut taken = [0; 10];
        for round in 0..20_u8 {
            let text = Mapped::from(&vec![round; BYTES][..]);
            assert_eq!(lend(&write, &text.as_ref()[..10]).unwrap().unwrap(), 10);
            drop(text);
            let other = Mapped::from(&vec![99; BYTES][..]);
            assert_eq!(rustix::io::read(&read, &mut taken).unwrap(), 10);
            assert_eq!(taken, [round; 10]);
            drop(other);
        }
    }

    #[test]
    fn what_was_not_lent_is_written_again() {
        const BYTES: usize = 40 * LARGE_PAGE_BYTES;
        // Other tests may come in between; what the system gives is cleared.
        let is_used_again = (0..100).any(|_| {
            drop(Mapped::from(&vec![7; BYTES][..]));
            let draft = Draft::with_capacity(BYTES);
            draft.memory[draft.start] == 7
        });
        assert!(is_used_again);
    }

    #[test]
    fn a_text_that_is_gone_has_no_place_any_more() {
        for _ in 0..1_000 {
            drop(Mapped::from(&b"0123456789"[..]));
        }
        assert!(PLACES.read().unwrap().len() < 1_000);
    }
}
