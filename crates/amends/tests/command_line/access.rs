//! Who may ask, and over what: tokens and roles, TLS, and servers that are something else.

use std::fs;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use tempfile::TempDir;

use crate::server::{Server, amends, words};

const VIEWER: &str = "a-token-that-only-looks";
const ADMIN: &str = "a-token-that-may-everything";

fn errand(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("errand.yaml");
    let text =
        "saga: Errand\nsteps: [{ name: wait, signal: go, deadline: 3d, on_deadline: refuse }]\n";
    fs::write(&path, text).unwrap();
    path
}

/// Asks with its own options, and holds the code and the words against what is expected.
#[track_caller]
fn check(server: &str, args: &[&str], code: i32, expected: &str) {
    let output = amends().args(args).args(["--server", server]).output().unwrap();
    let said = words(&output);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    assert!(said.contains(expected), "{args:?} does not say {expected:?}: {said}");
}

#[test]
fn a_token_is_asked_for_and_its_role_decides() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens.toml");
    let token = |name: &str, token: &str, role: &str| {
        format!("[[token]]\nname = '{name}'\ntoken = '{token}'\nrole = '{role}'\n")
    };
    let text = token("looks", VIEWER, "viewer") + &token("may", ADMIN, "admin");
    fs::write(&tokens, text).unwrap();
    let more = ["--tokens", tokens.to_str().unwrap()];
    let server = Server::start_with(&folder.path().join("data"), &errand(&folder), &more);
    let url = server.url.as_str();
    check(url, &["list"], 6, "AMENDS_TOKEN");
    check(url, &["list", "--token", "a-token-of-another-server"], 6, "AMENDS_TOKEN");
    check(url, &["list", "--token", VIEWER], 0, "");
    check(url, &["start", "Errand", "--token", VIEWER], 6, "role");
    check(url, &["start", "Errand", "--token", ADMIN], 0, "Errand v1");
    let asked = amends().args(["list", "--server", url]).env("AMENDS_TOKEN", VIEWER).output();
    assert_eq!(
        asked.unwrap().status.code(),
        Some(0),
        "the environment keeps it from the processes"
    );
}

#[test]
fn a_server_that_signed_its_own_certificate_is_trusted_by_name_only() {
    let folder = tempfile::tempdir().unwrap();
    let [chain, key, other] = ["chain.pem", "key.pem", "other.pem"].map(|n| folder.path().join(n));
    for (certificate, key) in [(&chain, &key), (&other, &folder.path().join("other-key.pem"))] {
        let pair = KeyPair::generate().unwrap();
        // As openssl makes it: an authority, which by the rules is no server.
        let mut made = CertificateParams::new(vec!["amends.test".to_owned()]).unwrap();
        made.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        fs::write(certificate, made.self_signed(&pair).unwrap().pem()).unwrap();
        fs::write(key, pair.serialize_pem()).unwrap();
    }
    let [chain, key, other] = [&chain, &key, &other].map(|path| path.to_str().unwrap());
    let more = ["--tls-cert", chain, "--tls-key", key];
    let server = Server::start_with(&folder.path().join("data"), &errand(&folder), &more);
    let url = server.url.as_str();
    assert!(url.starts_with("https://"), "{url}");
    check(url, &["list"], 5, "--ca FILE");
    check(url, &["list", "--ca", other], 5, "--ca FILE");
    check(url, &["list", "--ca", chain], 0, "");
    check(url, &["list", "--ca", key], 2, "no certificate");
    check(url, &["list", "--ca", "/no/such.pem"], 2, "/no/such.pem");
    let plain = url.replace("https:", "http:");
    check(&plain, &["list"], 5, "https://");
    let asked = amends().args(["list", "--server", url]).env("AMENDS_CA", chain).output();
    assert_eq!(asked.unwrap().status.code(), Some(0));
}

#[test]
fn a_server_without_tls_is_told_from_one_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), &errand(&folder));
    let secure = server.url.replace("http:", "https:");
    check(&secure, &["list"], 5, "write http://");
}
