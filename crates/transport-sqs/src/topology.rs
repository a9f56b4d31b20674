//! The queues of a place: looked at, and made where that is wanted.

use amends_transport::{End, Topology, without_login};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName as Setting;

use crate::batches::seconds;
use crate::place::{ConnectError, Place, is_fifo, is_url};
use crate::queue::{KEPT_S_MAX, Queue, Settings};
use crate::server::Server;
use crate::words::{is_denied, is_missing, is_there_already, words};

/// What is there for an end.
pub(crate) struct Found {
    /// None at a place of events alone.
    pub(crate) ways: Option<Ways>,
    /// None where nothing is taken.
    pub(crate) taken: Option<Taken>,
    /// All that an event is published to.
    pub(crate) events: Vec<Queue>,
}

/// The queues of commands and replies.
pub(crate) struct Ways {
    pub(crate) commands: Queue,
    pub(crate) replies: Queue,
}

/// The queue that the end takes from, and where it puts aside what it cannot take.
pub(crate) struct Taken {
    pub(crate) queue: Queue,
    pub(crate) dead_letters: Queue,
}

/// Looks at what the service has of a place, for every end that is known there, and makes nothing.
///
/// # Errors
///
/// The service cannot be reached, or does not let us look.
pub async fn examine(server: &Server, place: &Place) -> Result<Topology, ConnectError> {
    place.checked()?;
    let client = server.client().await?;
    let mut look = Look::new(&client, server, false);
    for said in &place.all() {
        look.at(said).await?;
    }
    Ok(look.topology)
}

/// The queues of an end. What is missing is made with `create`, and is an error otherwise. What is made
/// may take a second until it is there for everyone: until then it is away.
pub(crate) async fn prepare(
    client: &Client,
    server: &Server,
    place: &Place,
    end: &End,
    create: bool,
) -> Result<(Found, Topology), ConnectError> {
    if matches!(end, End::Listener(_)) && place.events.is_none() {
        return Err(ConnectError::Missing {
            what: "events at the place".to_owned(),
            way: "say what their queues are named after".to_owned(),
        });
    }
    let mut look = Look::new(client, server, create);
    let found = look.all_of(place, end).await?;
    if look.topology.missing.is_empty() {
        return Ok((found, look.topology));
    }
    let way = match look.refused {
        None => "make it, or allow it to be made".to_owned(),
        Some(why) => format!("this login may not make it: have it made ({why})"),
    };
    Err(ConnectError::Missing { what: look.topology.missing.join(", no "), way })
}

/// What came of making a queue.
enum Made {
    Now(Queue),
    /// In the same moment, and otherwise.
    ByAnother,
    Denied,
}

/// A look at queues, and what came of it so far.
struct Look<'a> {
    client: &'a Client,
    server: &'a Server,
    create: bool,
    topology: Topology,
    /// Why something was not made, where that was tried.
    refused: Option<String>,
}

impl<'a> Look<'a> {
    fn new(client: &'a Client, server: &'a Server, create: bool) -> Self {
        Self { client, server, create, topology: Topology::default(), refused: None }
    }

    /// The queues of an end, as far as they are there by now.
    async fn all_of(&mut self, place: &Place, end: &End) -> Result<Found, ConnectError> {
        let mut ways = None;
        if let Some(queues) = &place.queues {
            let commands = self.at(&queues.commands).await?;
            let replies = self.at(&queues.replies).await?;
            ways = commands.zip(replies).map(|(commands, replies)| Ways { commands, replies });
        }
        let dead_letters = match place.dead_letters(end) {
            Some(said) => self.at(&said).await?,
            None => None,
        };
        let (mut events, mut own) = (Vec::new(), None);
        for said in place.hearing() {
            let Some(queue) = self.at(&said).await? else { continue };
            if place.taken_by(end).is_some_and(|taken| taken == said) {
                own = Some(queue.clone());
            }
            events.push(queue);
        }
        let queue = match end {
            End::Engine => ways.as_ref().map(|ways| ways.replies.clone()),
            End::Service => ways.as_ref().map(|ways| ways.commands.clone()),
            End::Listener(_) => own,
        };
        let taken = queue.zip(dead_letters);
        let taken = taken.map(|(queue, dead_letters)| Taken { queue, dead_letters });
        Ok(Found { ways, taken, events })
    }

    /// The queue, where it is there by now.
    async fn at(&mut self, said: &str) -> Result<Option<Queue>, ConnectError> {
        if let Some(queue) = self.found(said).await? {
            return Ok(Some(queue));
        }
        let what = format!("queue {said}");
        if self.create && !is_url(said) {
            match self.make(said).await? {
                Made::Now(queue) => {
                    self.topology.created.push(what);
                    return Ok(Some(queue));
                }
                Made::ByAnother => {
                    if let Some(queue) = self.found(said).await? {
                        return Ok(Some(queue));
                    }
                }
                Made::Denied => {}
            }
        }
        self.topology.missing.push(what);
        Ok(None)
    }

    async fn found(&mut self, said: &str) -> Result<Option<Queue>, ConnectError> {
        let Some(url) = self.url(said).await? else { return Ok(None) };
        let what = format!("queue {said}");
        let settings = match Settings::of(self.client, &url).await {
            Ok(Some(settings)) => settings,
            Ok(None) => return Ok(None),
            // Whoever may publish there need not see more.
            Err(why) => {
                self.topology.weak.push(format!(
                    "{what}: its settings cannot be seen ({why}), and may be too weak: allow \
                     GetQueueAttributes"
                ));
                Settings::default()
            }
        };
        let weak = settings.weaknesses();
        self.topology.weak.extend(weak.iter().map(|weak| format!("{what}: {weak}")));
        self.topology.there.push(what);
        Ok(Some(Queue::new(said, url, &settings)))
    }

    async fn url(&self, said: &str) -> Result<Option<String>, ConnectError> {
        if is_url(said) {
            return Ok(Some(said.to_owned()));
        }
        match self.client.get_queue_url().queue_name(said).send().await {
            Ok(told) => Ok(told.queue_url),
            Err(error) if is_missing(&error) => Ok(None),
            // The first question that the service is asked: it tells whether we are let in.
            Err(error) => Err(ConnectError::Unreachable {
                at: without_login(&self.server.at),
                why: words(&error),
            }),
        }
    }

    async fn make(&mut self, said: &str) -> Result<Made, ConnectError> {
        let mut asked = self
            .client
            .create_queue()
            .queue_name(said)
            .attributes(Setting::MessageRetentionPeriod, KEPT_S_MAX.to_string())
            // Of other readers: ours says both with each question.
            .attributes(Setting::VisibilityTimeout, seconds(self.server.held_for).to_string())
            .attributes(
                Setting::ReceiveMessageWaitTimeSeconds,
                seconds(self.server.asked_for).to_string(),
            );
        if is_fifo(said) {
            asked = asked
                .attributes(Setting::FifoQueue, "true")
                // An id is its saga's, and each saga's messages count for themselves: without this a
                // queue takes 300 requests a second, all sagas together.
                .attributes(Setting::DeduplicationScope, "messageGroup")
                .attributes(Setting::FifoThroughputLimit, "perMessageGroupId");
        }
        let refused = |why| ConnectError::Topology { what: format!("queue {said}"), why };
        match asked.send().await {
            Ok(told) => {
                let no_url = || refused("it was made, and its URL was not told".to_owned());
                let url = told.queue_url.ok_or_else(no_url)?;
                let settings = Settings::of(self.client, &url).await.ok().flatten();
                Ok(Made::Now(Queue::new(said, url, &settings.unwrap_or_default())))
            }
            Err(error) if is_denied(&error) => {
                self.refused.get_or_insert_with(|| words(&error));
                Ok(Made::Denied)
            }
            Err(error) if is_there_already(&error) => Ok(Made::ByAnother),
            Err(error) => Err(refused(words(&error))),
        }
    }
}
