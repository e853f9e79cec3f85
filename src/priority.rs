//! Which threads have their turn first. Invariant: what answers a scrape is never among those that give way.

use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id,
};

/// `SCHED_IDLE`, sched(7).
const IDLE: ThreadSchedulePolicy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);

/// Has the calling thread, and those that it starts from now on, take the time that others leave: whatever of the others
/// wakes up mostly has its turn at once, where it might wait for the end of a time slice of one that is only nice. Beside one that
/// never rests, on the same core and in the same control group, it still gets 0.3 %; beside more of them, so much less.
pub fn give_way() {
    // Everybody may. Where it is forbidden all the same, nothing is lost but the order of turns; and nothing where only what the
    // crate does next is, as the policy has no use for a nice value.
    let _ = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, IDLE);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `/proc` has it.
    const SCHED_IDLE: i32 = 5;

    /// Of the calling thread.
    fn policy() -> i32 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        fields.split(' ').nth(41 - 3).unwrap().parse().unwrap()
    }

    #[test]
    fn only_the_thread_that_says_so_gives_way_and_what_it_starts() {
        let before = policy();
        assert_ne!(before, SCHED_IDLE);
        let (own, child) = std::thread::spawn(|| {
            give_way();
            (policy(), std::thread::spawn(policy).join().unwrap())
        })
        .join()
        .unwrap();
        assert_eq!((own, child, policy()), (SCHED_IDLE, SCHED_IDLE, before));
    }
}
