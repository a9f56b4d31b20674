//! Malformed and hostile input: a problem each, and the server goes on.

use super::bench::{Bench, JSON};
use crate::extract::BODY_BYTES_MAX;

#[tokio::test(flavor = "multi_thread")]
async fn hostile_bodies_are_refused_by_every_route_that_reads_one() {
    let bench = Bench::open().await;
    let id = "0192f0c1-2345-7abc-8def-0123456789ab";
    let deep = "[".repeat(100_000);
    let nested = format!("{}{}", "{\"a\":".repeat(200), "1".to_owned() + &"}".repeat(200));
    let too_large = vec![b' '; BODY_BYTES_MAX + 1];
    let bodies: [(&[u8], u16, &str); 9] = [
        (b"", 400, "malformed_json"),
        (b"{", 400, "malformed_json"),
        (b"{} {}", 400, "malformed_json"),
        (b"{\"a\":\xff\xfe}", 400, "malformed_json"),
        (b"{\"a\":\"\x00\"}", 400, "malformed_json"),
        (b"{\"a\":NaN}", 400, "malformed_json"),
        (deep.as_bytes(), 400, "malformed_json"),
        (nested.as_bytes(), 400, "malformed_json"),
        (&too_large, 413, "too_large"),
    ];
    for path in [
        "/v1/sagas/Order".to_owned(),
        format!("/v1/sagas/{id}/cancel"),
        format!("/v1/sagas/{id}/steps/pay/edit"),
        format!("/v1/sagas/{id}/signals/approval"),
        "/v1/dead-letters/retry".to_owned(),
    ] {
        for (body, status, code) in &bodies {
            let got = bench.send("POST", &path, &[JSON], body.to_vec()).await;
            let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
            assert_eq!(got.problem(), (*status, (*code).to_owned()), "{path} {shown}");
        }
        for content_type in ["text/plain", "application/xml", "multipart/form-data", "nonsense"] {
            let headers = [("content-type", content_type)];
            let got = bench.send("POST", &path, &headers, "{}").await;
            let expected = (415, "unsupported_media_type".to_owned());
            assert_eq!(got.problem(), expected, "{path} {content_type}");
        }
    }
    assert_eq!(bench.get("/readyz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn huge_numbers_are_kept_digit_by_digit() {
    let bench = Bench::open().await;
    let number = "9".repeat(400);
    let body = format!(r#"{{"n":{number},"e":1e999999,"s":"\ud83d\ude00"}}"#);
    let got = bench.send("POST", "/v1/sagas/Order", &[JSON], body.clone()).await;
    assert_eq!(got.status, 201, "{:?}", got.body);
    assert!(String::from_utf8_lossy(&got.body).contains(&format!("\"data\":{body}")));
}

#[tokio::test(flavor = "multi_thread")]
async fn data_has_a_limit_of_its_own() {
    let bench = Bench::open().await;
    let data = format!("{{\"a\":\"{}\"}}", "x".repeat(256 * 1024));
    let got = bench.send("POST", "/v1/sagas/Order", &[JSON], data).await;
    assert_eq!(got.problem(), (413, "too_large".to_owned()));
    // Said to be too large, it is not read at all.
    let length = (BODY_BYTES_MAX + 1).to_string();
    let headers = [JSON, ("content-length", &*length)];
    let got = bench.send("POST", "/v1/sagas/Order", &headers, "{}").await;
    assert_eq!(got.problem(), (413, "too_large".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_and_methods_that_are_none_are_problems() {
    let bench = Bench::open().await;
    for path in ["/nope", "/v1", "/v1/", "/v2/sagas", "/v1/sagas/a/b", "//", "/v1/sagas/"] {
        assert_eq!(bench.get(path).await.problem(), (404, "no_such_route".to_owned()), "{path}");
    }
    for (method, path, allow) in [
        ("DELETE", "/v1/sagas", "GET,HEAD"),
        ("PUT", "/v1/sagas/Order", "POST,GET,HEAD"),
        ("GET", "/v1/replies", "POST"),
        ("POST", "/healthz", "GET,HEAD"),
    ] {
        let got = bench.send(method, path, &[], "").await;
        assert_eq!(got.problem(), (405, "method_not_allowed".to_owned()), "{method} {path}");
        assert_eq!(got.header("allow"), allow, "{method} {path}");
    }
    let head = bench.send("HEAD", "/v1/sagas", &[], "").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_not_kept_and_not_guessed_at() {
    let bench = Bench::open().await;
    for path in ["/", "/v1/sagas", "/nope", "/metrics"] {
        let got = bench.get(path).await;
        assert_eq!(got.header("cache-control"), "no-store", "{path}");
        assert_eq!(got.header("x-content-type-options"), "nosniff", "{path}");
    }
}
