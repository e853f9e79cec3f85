//! Which threads have their turn first. Invariant: what answers a scrape is never among those that give way.

use rustix::process::setpriority_process;

/// The nice value of those that give way, the highest there is: for the system, their work counts a seventieth.
const NICE: i32 = 19;

/// Has the calling thread, and those that it starts from now on, take the time that others leave. Beside one that never rests, on
/// the same core, it still gets 1.4 %; beside more of them, so much less.
pub fn give_way() {
    // On Linux a thread has a nice value of its own (setpriority(2), "C library/kernel differences"). Everybody may raise it;
    // where that is forbidden all the same, nothing is lost but the order of turns.
    let _ = setpriority_process(None, NICE);
}

#[cfg(test)]
mod tests {
    use rustix::process::getpriority_process;

    use super::*;

    #[test]
    fn only_the_thread_that_says_so_gives_way_and_what_it_starts() {
        let before = getpriority_process(None).unwrap();
        let nice = || getpriority_process(None).unwrap();
        let (own, child) = std::thread::spawn(move || {
            give_way();
            (nice(), std::thread::spawn(nice).join().unwrap())
        })
        .join()
        .unwrap();
        assert_eq!((own, child, nice()), (NICE, NICE, before));
    }
}
