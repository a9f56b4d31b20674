//! The in-process transport passes the suite of transports.

use std::sync::Arc;

use amends_transport::conformance::{Capabilities, Participant, SERVICE, Said, Seen, Subject};
use amends_transport::{Answer, CommandView, Fail, InProcess, Transport, conformance_tests};
use amends_wire::{Fault, envelope};
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;

struct InThisProcess;

impl Subject for InThisProcess {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            own_exchange: true,
            tells_not_sent: true,
            sees_crashes: true,
            carries_retry_after: true,
        }
    }

    fn start(
        &self,
        participant: Participant,
        kept_open_max: usize,
    ) -> BoxFuture<'_, Arc<dyn Transport>> {
        Box::pin(async move {
            let mut transport = InProcess::with_kept_open_max(Handle::current(), kept_open_max);
            for name in ["Act", "Undo"] {
                let participant = Arc::clone(&participant);
                transport = transport.handle(&format!("{SERVICE}.{name}"), move |command| {
                    let said = participant(seen(&command));
                    async move { answer(said.await) }
                });
            }
            Arc::new(transport) as Arc<dyn Transport>
        })
    }

    fn unreachable(&self) -> BoxFuture<'_, Arc<dyn Transport>> {
        Box::pin(async { Arc::new(InProcess::new(Handle::current())) as Arc<dyn Transport> })
    }
}

fn seen(command: &CommandView) -> Seen {
    Seen {
        body: command.body().clone(),
        attempt: command.attempt(),
        deadline: envelope::rfc3339(command.deadline_unix_ms()),
        reply_to: command.reply_to().map(str::to_owned),
        traceparent: command.traceparent().map(str::to_owned),
    }
}

fn answer(said: Said) -> Result<Answer, Fail> {
    match said {
        Said::Completed(result) => Ok(Answer::Done(result)),
        Said::Undone(true) => Ok(Answer::Undone),
        Said::Undone(false) => Ok(Answer::Gone),
        Said::Accepted => Ok(Answer::Accepted),
        Said::Refused { code, message } => Err(Fail::refused_with(code, message)),
        Said::Transient { code, message, retry_after } => {
            Err(Fail::Transient { error: Fault::coded(code, message), retry_after })
        }
        Said::Crash => panic!("the suite asked for it"),
    }
}

conformance_tests!(InThisProcess);
