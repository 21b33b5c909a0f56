//! The background tasks of the server, with their names.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Future, pending};
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::{Id, JoinSet};

use crate::server::state::ServerState;

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

/// Starts the background tasks: they write the counts of refused requests, measure the scheduling delay, follow the
/// moderation store, and remove expired entries. The receiver is closed when the removal has stopped at the end of the program.
pub(super) fn spawn_tasks(runtime: &Arc<ServerState>) -> (Tasks, oneshot::Receiver<Infallible>) {
    let (mut tasks, (sweeps, swept)) = (Tasks::default(), oneshot::channel());
    let counting = Arc::clone(runtime);
    tasks.spawn("writing how many requests were refused", async move {
        counting.refusal_summaries.write_to(&counting.audit).await;
    });
    let measuring = Arc::clone(runtime);
    tasks.spawn("measuring the scheduling delay", async move { measuring.moderation.scheduling.measure().await });
    if runtime.moderation.store().is_some() {
        let following = Arc::clone(runtime);
        tasks.spawn("following the moderation store", async move { following.moderation.follow().await });
        let probing = Arc::clone(runtime);
        tasks.spawn("probing whether the store takes changes", async move { probing.moderation.probe_writes().await });
        let sweeping = Arc::clone(runtime);
        tasks.spawn("removing expired entries", async move {
            sweeping.moderation.run_expiry(&sweeping.audit, || sweeping.change_subscribers(), sweeping.drained()).await;
            drop(sweeps);
        });
        let warning = Arc::clone(runtime);
        tasks.spawn("warning about entries without effect", async move {
            warning.moderation.wait_until_loaded().await;
            warning.warn_of_orphaned_entries();
        });
    }
    (tasks, swept)
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
