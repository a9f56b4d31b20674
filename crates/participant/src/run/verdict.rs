//! What the guard says, with a mistake built in where a test wants one.

use crate::database::{Both, Claim, Database};
use crate::guard::{self, Action, Asked, Compensation, Row};
#[cfg(feature = "mistakes")]
use crate::guard::{Mistake, State};
use crate::participant::Participant;
use crate::tx::Tx;

impl<D: Database> Participant<D> {
    #[cfg(not(feature = "mistakes"))]
    pub(super) fn action_verdict(&self, row: &Row, asked: Asked<'_>) -> Action {
        guard::action(row, asked)
    }

    #[cfg(feature = "mistakes")]
    pub(super) fn action_verdict(&self, row: &Row, asked: Asked<'_>) -> Action {
        match self.0.mistake {
            Some(mistake) => mistake.action(row, asked),
            None => guard::action(row, asked),
        }
    }

    #[cfg(not(feature = "mistakes"))]
    pub(super) fn compensation_verdict(
        &self,
        own: &Row,
        action: &Row,
        asked: Asked<'_>,
        completed: bool,
    ) -> Compensation {
        guard::compensation(own, action, asked, completed)
    }

    #[cfg(feature = "mistakes")]
    pub(super) fn compensation_verdict(
        &self,
        own: &Row,
        action: &Row,
        asked: Asked<'_>,
        completed: bool,
    ) -> Compensation {
        match self.0.mistake {
            Some(mistake) => mistake.compensation(own, action, asked, completed),
            None => guard::compensation(own, action, asked, completed),
        }
    }

    #[cfg(not(feature = "mistakes"))]
    pub(super) async fn claim_both(&self, tx: &mut Tx<D>, claim: &Claim<'_>) -> sqlx::Result<Both> {
        D::claim_both(tx, claim).await
    }

    #[cfg(feature = "mistakes")]
    pub(super) async fn claim_both(&self, tx: &mut Tx<D>, claim: &Claim<'_>) -> sqlx::Result<Both> {
        if self.0.mistake != Some(Mistake::UndoDoesNotWait) {
            return D::claim_both(tx, claim).await;
        }
        let own = D::claim(tx, claim).await?;
        let rows = D::look(tx, claim.saga_id, claim.step).await?;
        let found = rows.into_iter().find(|(direction, _)| direction == "action");
        let fresh = Row {
            round: claim.round,
            body_sha256: *claim.body_sha256,
            state: State::Claimed,
            reply: Some(claim.mark.to_owned()),
        };
        Ok(Both { own, action: found.map_or(fresh, |(_, row)| row) })
    }
}
