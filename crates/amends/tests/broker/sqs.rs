//! Services behind SQS: what they send keeps its order, what they are sent does not.

use std::sync::Arc;

use amends_testbed as testbed;
use amends_transport::{Channel, End};
use amends_transport_sqs::{Place, Server, connect};
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::types::QueueAttributeName;
use aws_sdk_sqs::{Client, Config};
use futures_util::future::BoxFuture;

use super::Broker;

pub struct Sqs;

fn place(short: &str) -> Place {
    Place::new(format!("{short}-commands"), format!("{short}-replies.fifo"))
}

impl Broker for Sqs {
    fn name(&self) -> &'static str {
        "sqs"
    }

    fn make(&self) -> testbed::Make {
        testbed::sqs
    }

    fn option(&self) -> &'static str {
        "--sqs"
    }

    fn binding(&self, short: &str) -> String {
        format!("sqs: {{ commands: {short}-commands, replies: {short}-replies.fifo }}")
    }

    fn env(&self) -> &'static [(&'static str, &'static str)] {
        const {
            &[
                ("AWS_ACCESS_KEY_ID", testbed::SQS_OWNER.0),
                ("AWS_SECRET_ACCESS_KEY", testbed::SQS_OWNER.1),
            ]
        }
    }

    /// What speaks SQS here has all in memory.
    fn forgets(&self) -> bool {
        true
    }

    fn events(&self, short: &str) -> String {
        format!("{short}-events.fifo")
    }

    fn connect<'a>(
        &'a self,
        url: &'a str,
        short: &'a str,
        end: End,
    ) -> BoxFuture<'a, Result<Arc<dyn Channel>, String>> {
        Box::pin(async move {
            let (key, secret) = testbed::SQS_OWNER;
            let server = Server::new(url).with_login(key, secret);
            let connected = connect(&server, place(short), end, true).await;
            let (channel, _) = connected.map_err(|error| error.to_string())?;
            Ok(Arc::new(channel) as Arc<dyn Channel>)
        })
    }

    fn dead_letters<'a>(
        &'a self,
        url: &'a str,
        short: &'a str,
        end: End,
    ) -> BoxFuture<'a, Result<u64, String>> {
        Box::pin(async move {
            let client = client(url);
            let queue = place(short).dead_letters(&end).ok_or("nothing is taken there")?;
            let counted = async {
                let told = client.get_queue_url().queue_name(queue).send().await?;
                let asked = client.get_queue_attributes().set_queue_url(told.queue_url);
                let told = asked.attribute_names(QueueAttributeName::All).send().await?;
                let counts = COUNTS.map(|name| told.attributes()?.get(&name)?.parse::<u64>().ok());
                Ok::<_, aws_sdk_sqs::Error>(counts.into_iter().sum::<Option<u64>>())
            };
            let counted = counted.await.map_err(|error| error.to_string())?;
            counted.ok_or_else(|| "its messages are not counted".to_owned())
        })
    }
}

/// A message is in one of these.
const COUNTS: [QueueAttributeName; 3] = [
    QueueAttributeName::ApproximateNumberOfMessages,
    QueueAttributeName::ApproximateNumberOfMessagesDelayed,
    QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
];

fn client(url: &str) -> Client {
    let (key, secret) = testbed::SQS_OWNER;
    let config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(key, secret, None, None, "test"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(url)
        .build();
    Client::from_conf(config)
}
