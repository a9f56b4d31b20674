//! Addresses of servers, as they may be shown.

/// Addresses with commas between them, without whoever comes in there (S24).
pub fn without_login(addresses: &str) -> String {
    let one = |address: &str| match (address.split_once("://"), address.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        (None, Some((_, host))) => host.to_owned(),
        (_, None) => address.to_owned(),
    };
    addresses.split(',').map(str::trim).map(one).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password() {
        for (address, shown) in [
            ("nats://127.0.0.1:4222", "nats://127.0.0.1:4222"),
            ("nats://me:s3cr3t@h:1,tls://t@i:2", "nats://h:1,tls://i:2"),
            ("amqp://me:s3cr3t@h:1/v, amqps://me:s3cr3t@i", "amqp://h:1/v,amqps://i"),
            ("me:s3@cr3t@h:1", "h:1"),
            ("me:s3cr3t@h:1, i:2", "h:1,i:2"),
        ] {
            assert_eq!(without_login(address), shown);
        }
    }
}
