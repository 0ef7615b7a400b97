//! Looking at sagas: what was seen once is never taken back.

use std::time::Duration;

use amends_core::SagaId;
use amends_ports::SagaFilter;

use super::Client;

/// How often a client looks at most.
const LOOKS_MAX: usize = 8;

impl Client {
    /// Looks at a saga now and then, one by one and in lists, until it has ended.
    pub(super) async fn follow(&self, id: &SagaId) {
        let (mut facts, mut is_over) = (0, false);
        for _ in 0..=self.chance.below(LOOKS_MAX) {
            tokio::time::sleep(self.chance.seconds(4)).await;
            if self.chance.is(0.5) {
                is_over = self.look_at_list(id, is_over).await;
            } else {
                let detail = self.until_answered(async |engine| engine.saga(id).await.ok()).await;
                let Some(detail) = detail else { return self.may_be_gone(id) };
                let (count, status) = (detail.saga.fact_count(), detail.saga.status());
                self.world().log(("sees", id, count, status));
                if count < facts || (is_over && !status.is_terminal()) {
                    self.world().violated(&format!("{id} went back from {facts} facts to {count}"));
                }
                (facts, is_over) = (count, status.is_terminal());
            }
            if is_over {
                return;
            }
        }
    }

    async fn look_at_list(&self, id: &SagaId, was_over: bool) -> bool {
        let filter =
            SagaFilter { id_prefix: Some(id.as_str().to_owned()), ..SagaFilter::default() };
        let page =
            self.until_answered(async |engine| engine.sagas(&filter, None, 500).await.ok()).await;
        let Some(own) = page.items.iter().find(|own| own.saga_id == *id) else {
            self.may_be_gone(id);
            return true;
        };
        if was_over && !own.status.is_terminal() {
            self.world().violated(&format!("{id} had ended and is {} in a list", own.status));
        }
        own.status.is_terminal()
    }

    /// S1: what was acknowledged is there, until its retention is over.
    pub(super) fn may_be_gone(&self, id: &SagaId) {
        if !self.world().watch(|watch| watch.saga(id).is_some_and(|saga| saga.is_deleted)) {
            self.world().violated(&format!("S1: {id} was acknowledged and cannot be found"));
        }
    }

    /// Time that passes between two things that a client does.
    pub(super) async fn idle(&self, most: Duration) {
        tokio::time::sleep(self.chance.time(Duration::ZERO, most)).await;
    }
}
