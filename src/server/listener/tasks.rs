//! The background tasks, with their names.

use std::collections::HashMap;
use std::future::{Future, pending};

use tokio::task::{Id, JoinSet};

/// Background tasks. They end when this value is dropped.
#[derive(Default)]
pub(super) struct Tasks {
    running: JoinSet<()>,
    names: HashMap<Id, &'static str>,
}

impl Tasks {
    /// Starts a task with this name.
    pub(super) fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.names.insert(self.running.spawn(task).id(), name);
    }

    /// Waits until a task panics, and returns its name.
    pub(super) async fn next_panic(&mut self) -> &'static str {
        while let Some(ended) = self.running.join_next().await {
            if let Err(error) = ended {
                return self.names.get(&error.id()).copied().unwrap_or_default();
            }
        }
        pending().await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]

    use super::*;

    #[tokio::test]
    async fn a_panicked_task_is_named() {
        let mut tasks = Tasks::default();
        tasks.spawn("going on", pending());
        tasks.spawn("ending", async {});
        tasks.spawn("failing", async { panic!("on purpose") });
        assert_eq!(tasks.next_panic().await, "failing");
    }
}
