//! When the watchdog may be fed: only while everyone who should be alive says so. Not a timer of a chip: the binding feeds that
//! one while [`Watchdog::silent`] names nobody, and else lets it bite.

/// Most tasks that are watched.
pub const MAX_TASKS: usize = 4;

/// Someone who must be alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// The loop that steps the node.
    Node,
    /// The driver of connections.
    Link,
    /// Measuring and switching.
    Parts,
    /// The radio.
    Radio,
}

impl Task {
    const ALL: [Task; MAX_TASKS] = [Task::Node, Task::Link, Task::Parts, Task::Radio];

    /// Returns how long the task may be silent, in milliseconds: longer than anything that it waits for.
    pub const fn limit_ms(self) -> u64 {
        match self {
            Task::Node | Task::Parts => 30_000,
            Task::Link | Task::Radio => 60_000,
        }
    }

    /// Returns what it is called on the serial line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Task::Node => "the loop of the board",
            Task::Link => "the connection",
            Task::Parts => "a sensor or a switch",
            Task::Radio => "the radio",
        }
    }

    const fn index(self) -> usize {
        match self {
            Task::Node => 0,
            Task::Link => 1,
            Task::Parts => 2,
            Task::Radio => 3,
        }
    }
}

/// Who was alive when.
#[derive(Debug, Default)]
pub struct Watchdog {
    /// For each task that is watched: when it was seen last, and how long it may be silent.
    tasks: [Option<(u64, u64)>; MAX_TASKS],
}

impl Watchdog {
    /// Watches a task from now on: it must be [seen](Watchdog::seen) every `limit_ms` milliseconds.
    pub fn watch(&mut self, task: Task, now: u64, limit_ms: u64) {
        if let Some(place) = self.tasks.get_mut(task.index()) {
            *place = Some((now, limit_ms));
        }
    }

    /// Watches a task no more: it ends, or waits for something that may take for ever.
    pub fn leave(&mut self, task: Task) {
        if let Some(place) = self.tasks.get_mut(task.index()) {
            *place = None;
        }
    }

    /// Notes that a task is alive.
    pub fn seen(&mut self, task: Task, now: u64) {
        if let Some(Some((at, _))) = self.tasks.get_mut(task.index()) {
            *at = now;
        }
    }

    /// Says whether the watchdog of the chip may be fed. A board that nobody watches is fed, too.
    pub fn may_feed(&self, now: u64) -> bool {
        self.silent(now).is_none()
    }

    /// Returns the task that should have been seen by now, to be named in the record of the restart.
    pub fn silent(&self, now: u64) -> Option<Task> {
        let late = |task: &Task| {
            let watched = self.tasks.get(task.index()).copied().flatten();
            watched.is_some_and(|(at, limit)| now.saturating_sub(at) > limit)
        };
        Task::ALL.into_iter().find(late)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_tasks_are_called_the_same() {
        for (n, task) in Task::ALL.into_iter().enumerate() {
            assert_eq!(task.index(), n);
            let others = Task::ALL.into_iter().filter(|other| *other != task);
            assert!(others.into_iter().all(|o| o.as_str() != task.as_str()));
        }
    }

    #[test]
    fn one_silent_task_is_enough_to_let_the_watchdog_bite() {
        let mut dog = Watchdog::default();
        assert!(dog.may_feed(u64::MAX));
        dog.watch(Task::Node, 0, 5_000);
        dog.watch(Task::Parts, 0, 60_000);
        for now in (0..100_000).step_by(1_000) {
            dog.seen(Task::Node, now);
            assert_eq!(dog.may_feed(now), now <= 60_000, "{now}");
        }
        assert_eq!(dog.silent(100_000), Some(Task::Parts));
        dog.seen(Task::Parts, 100_000);
        assert!(dog.may_feed(104_000));
        assert_eq!(dog.silent(104_001), Some(Task::Node));
        dog.leave(Task::Node);
        assert!(dog.may_feed(160_000));
        // Who is not watched cannot be late, and being seen does not change that.
        dog.seen(Task::Radio, 0);
        assert!(dog.may_feed(160_000));
    }
}
