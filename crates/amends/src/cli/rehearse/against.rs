//! Which participants a rehearsal goes to. Real commands are sent there, so an address is never taken
//! for granted, and one beyond this machine is named twice.

use std::collections::BTreeMap;
use std::net::IpAddr;

use amends_definition::{Compiled, Transport};
use amends_transport_http::HttpService;
use clap::Args;
use http::Uri;

use super::super::exit::{Exit, Failure};
use super::super::serve::binder::http_service;

/// The addresses of the participants.
#[derive(Args, Debug)]
pub struct Against {
    /// A service's address on the test system; URL alone is that of every service not named
    #[arg(long, value_name = "[SERVICE=]URL")]
    against: Vec<String>,
    /// Go to the addresses in the file, where no other is said
    #[arg(long)]
    as_bound: bool,
    /// A host beyond this machine that is a test system, and may be sent commands
    #[arg(long, value_name = "HOST")]
    allow_host: Vec<String>,
}

impl Against {
    /// Every service of the definition, at the address that was said.
    pub fn services(&self, compiled: &Compiled) -> Result<BTreeMap<String, HttpService>, Failure> {
        let usage = |what: String| Failure::new(Exit::Usage, what);
        let mut all = None;
        let mut said = BTreeMap::new();
        for against in &self.against {
            let named = against.split_once('=').filter(|(name, _)| !name.contains([':', '/']));
            let (of, url, before) = match named {
                Some((service, url)) => {
                    (service.trim(), url.trim(), said.insert(service.trim(), url.trim()))
                }
                None => ("every service not named", against.trim(), all.replace(against.trim())),
            };
            if let Some(before) = before {
                let (one, other) = (place(before), place(url));
                let what = format!("--against says twice where {of} is: at {one}, and at {other}");
                return Err(usage(what).hint("say it once; commands are really sent there"));
            }
        }
        let steps = compiled.definition.steps().iter();
        let commands = steps.flat_map(|step| [step.action(), step.compensation()]).flatten();
        let mut names: Vec<&str> = commands.map(|command| &*command.service).collect();
        names.sort_unstable();
        names.dedup();
        if let Some(unknown) = said.keys().find(|service| !names.contains(service)) {
            let known = names.join(", ");
            return Err(usage(format!(
                "--against: the definition has no service {unknown}; it has {known}"
            )));
        }
        let mut services = BTreeMap::new();
        for name in names {
            let Some(binding) = compiled.bindings.get(name) else {
                return Err(usage(format!("the definition does not describe the service {name}")));
            };
            let bound = match &binding.transport {
                Some(Transport::Http { url }) if self.as_bound => url.as_deref(),
                _ => None,
            };
            let Some(url) = said.get(name).copied().or(all).or(bound) else {
                let what = format!("where {name} is on the test system is not said");
                return Err(usage(what).hint(format!(
                    "--against {name}=http://127.0.0.1:PORT, --against URL for all services, or \
                     --as-bound for the addresses in the file; commands are really sent there"
                )));
            };
            let example = format!("--against {name}=http://127.0.0.1:PORT, say");
            may_be_sent_to(name, url, &self.allow_host, example)?;
            let service = http_service(name, binding, url.to_owned()).map_err(usage)?;
            services.insert(name.to_owned(), service);
        }
        Ok(services)
    }
}

/// Is it on this machine, or named a test system? No part of the address but its host is shown: the
/// rest may be a secret in the wrong place.
pub fn may_be_sent_to(
    service: &str,
    url: &str,
    allowed: &[String],
    example: String,
) -> Result<(), Failure> {
    let uri: Option<Uri> = url.parse().ok();
    let uri = uri.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")));
    let host = uri.as_ref().and_then(Uri::host).map(|host| host.trim_matches(['[', ']']));
    let Some(host) = host else {
        let what = format!("the address of {service} is no http:// or https:// URL");
        return Err(Failure::new(Exit::Usage, what).hint(example));
    };
    let here = host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if here || allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(host)) {
        return Ok(());
    }
    let what = format!("{service} is at {host}, beyond this machine, and would be sent commands");
    Err(Failure::new(Exit::Usage, what).hint(format!(
        "if {host} is a test system, where orders and payments are not real: --allow-host {host}"
    )))
}

/// Of an address what may be shown.
fn place(url: &str) -> String {
    let uri: Option<Uri> = url.parse().ok();
    match uri.as_ref().and_then(|uri| Some((uri.host()?, uri.port_u16()))) {
        Some((host, Some(port))) => format!("{host}:{port}"),
        Some((host, None)) => host.to_owned(),
        None => "what is no URL".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use amends_definition::{Surroundings, check};

    use super::*;

    fn against(against: &[&str], as_bound: bool, allowed: &[&str]) -> Result<String, String> {
        let text = "saga: S\nsteps:\n  - { name: a, action: X.A, compensation: Y.B }\nservices:\n  \
                    X: { http: { url: \"http://127.0.0.1:1\" } }\n  Y: { http: { url: \"https://shop.example\" } }\n";
        let checked = check(text.as_bytes(), "s.yaml", &Surroundings::none());
        let owned = |list: &[&str]| list.iter().map(|&s| s.to_owned()).collect();
        let against = Against { against: owned(against), as_bound, allow_host: owned(allowed) };
        let found = against.services(&checked.compiled.expect("it is well-formed"));
        let urls = found.map(|found| {
            found.into_iter().map(|(name, s)| format!("{name}={}", s.url)).collect::<Vec<_>>()
        });
        urls.map(|urls| urls.join(" ")).map_err(|failure| failure.what().to_owned())
    }

    #[test]
    fn an_address_is_said_for_one_service_or_for_all() {
        let one = "http://localhost:7";
        assert_eq!(
            against(&[one, "Y=http://[::1]:8/y=z"], false, &[]),
            Ok("X=http://localhost:7 Y=http://[::1]:8/y=z".to_owned())
        );
        let error = against(&["Y=http://127.0.0.1:8"], false, &[]).expect_err("X is not said");
        assert!(error.contains("where X is on the test system is not said"), "{error}");
        let error = against(&[one, "Z=http://127.0.0.1:8"], false, &[]).expect_err("no Z");
        assert!(error.contains("no service Z; it has X, Y"), "{error}");
    }

    #[test]
    fn an_address_that_is_said_twice_is_not_chosen_from() {
        let twice =
            ["X=http://user:pw@localhost:7/a", "X=http://localhost:8", "http://localhost:9"];
        let error = against(&twice, false, &[]).expect_err("which one?");
        assert!(error.contains("twice where X is: at localhost:7, and at localhost:8"), "{error}");
        let twice = ["http://localhost:7", "http://localhost:8"];
        let error = against(&twice, false, &[]).expect_err("which one?");
        assert!(error.contains("every service not named is: at localhost:7"), "{error}");
    }

    #[test]
    fn an_address_that_is_no_web_address_is_called_that() {
        for url in ["X=ftp://shop.example", "X=shop.example:80", "X=kafka://127.0.0.1:9092"] {
            let error = against(&[url, "http://localhost:9"], false, &[]).expect_err(url);
            assert_eq!(error, "the address of X is no http:// or https:// URL");
        }
    }

    #[test]
    fn the_addresses_of_the_file_are_taken_when_that_is_said() {
        let error = against(&[], true, &[]).expect_err("Y is beyond this machine");
        assert!(error.contains("Y is at shop.example, beyond this machine"), "{error}");
        let both = "X=http://127.0.0.1:1 Y=https://shop.example".to_owned();
        assert_eq!(against(&[], true, &["Shop.Example"]), Ok(both));
    }

    #[test]
    fn nothing_beyond_this_machine_is_sent_to_by_accident() {
        for url in ["http://10.0.0.1", "http://127.0.0.1.example", "http://localhost.example", "/x"]
        {
            let error = against(&[url], false, &["shop.example"]).expect_err(url);
            assert!(!error.contains("not said"), "{error}");
        }
    }
}
