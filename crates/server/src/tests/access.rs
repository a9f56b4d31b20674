//! Who may do what.

use super::bench::{Bench, JSON, bearer};

#[tokio::test(flavor = "multi_thread")]
async fn every_route_asks_for_its_role() {
    let bench = Bench::guarded().await;
    let id = "0192f0c1-2345-7abc-8def-0123456789ab";
    // Who is the lowest that is let through; `-` is anybody, `p` a participant.
    let cases = [
        ("GET /", '-'),
        ("GET /healthz", '-'),
        ("GET /readyz", '-'),
        ("GET /openapi.json", '-'),
        ("GET /metrics", 'v'),
        ("GET /v1/sagas", 'v'),
        ("GET /v1/counts", 'v'),
        ("GET /v1/sagas/{saga_id}", 'v'),
        ("GET /v1/sagas/{saga_id}/history", 'v'),
        ("GET /v1/attention", 'v'),
        ("GET /v1/dead-letters", 'v'),
        ("GET /v1/definitions", 'v'),
        ("GET /v1/definitions/Order", 'v'),
        ("GET /v1/definitions/Order/1", 'v'),
        ("GET /v1/events", 'v'),
        ("POST /v1/sagas/Order", 's'),
        ("POST /v1/sagas/{saga_id}/cancel", 's'),
        ("POST /v1/sagas/{saga_id}/signals/approval", 's'),
        ("POST /v1/sagas/{saga_id}/pause", 'o'),
        ("POST /v1/sagas/{saga_id}/resume", 'o'),
        ("POST /v1/sagas/{saga_id}/extend", 'o'),
        ("POST /v1/sagas/{saga_id}/acknowledge", 'o'),
        ("POST /v1/sagas/{saga_id}/steps/pay/retry", 'o'),
        ("POST /v1/sagas/{saga_id}/steps/pay/resolve", 'o'),
        ("POST /v1/sagas/{saga_id}/steps/pay/skip", 'o'),
        ("POST /v1/sagas/{saga_id}/steps/pay/edit", 'o'),
        ("POST /v1/sagas/{saga_id}/steps/pay/extend", 'o'),
        ("POST /v1/dead-letters/retry", 'o'),
        ("GET /v1/orphans", 'o'),
        ("DELETE /v1/orphans/1", 'o'),
        ("GET /v1/audit", 'o'),
        ("POST /v1/definitions", 'a'),
        ("POST /v1/replies", 'p'),
        ("POST /v1/replies/x", 't'),
    ];
    let tokens = [
        ('v', "viewer-viewer-viewer"),
        ('s', "starter-starter-starter"),
        ('o', "operator-operator-operator"),
        ('a', "admin-admin-admin-admin"),
        ('p', "participant-participant"),
    ];
    for (route, lowest) in cases {
        let (method, path) = route.split_once(' ').unwrap();
        let path = path.replace("{saga_id}", id);
        let refused = async |headers: &[(&str, &str)]| {
            let mut all = vec![JSON];
            all.extend_from_slice(headers);
            // Only the head is looked at: an event stream does not end.
            let response = bench.open_response(method, &path, &all, "").await;
            matches!(response.status().as_u16(), 401 | 403)
        };
        let open = lowest == '-';
        assert_eq!(refused(&[]).await, !open, "{route} without a token");
        let unknown = bearer("unknown-unknown-unknown");
        assert_eq!(refused(&[("authorization", &unknown)]).await, !open, "{route} unknown");
        for (i, (role, token)) in tokens.iter().enumerate() {
            let rank = tokens.iter().position(|(role, _)| *role == lowest);
            let may = match lowest {
                '-' => true,
                't' => false, // the address is the credential, and this one is forged
                'p' => *role == 'p',
                _ => *role != 'p' && rank.is_some_and(|rank| i >= rank),
            };
            let token = bearer(token);
            assert_eq!(refused(&[("authorization", &token)]).await, !may, "{route} as {role}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_token_is_asked_for() {
    let bench = Bench::guarded().await;
    for authorization in ["", "Basic eDp5", "Bearer", "Bearer  "] {
        let headers = [("authorization", authorization)];
        let got = bench.send("GET", "/v1/sagas", &headers, "").await;
        assert_eq!(got.problem(), (401, "unauthenticated".to_owned()), "{authorization}");
        assert_eq!(got.header("www-authenticate"), "Bearer");
    }
    let lower = "bearer viewer-viewer-viewer";
    let got = bench.send("GET", "/v1/sagas", &[("authorization", lower)], "").await;
    assert_eq!(got.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tokens_no_site_reaches_it_by_another_name_or_writes() {
    let bench = Bench::open().await;
    let rebound = bench.send("GET", "/v1/sagas", &[("host", "evil.example")], "").await;
    assert_eq!(rebound.problem(), (403, "host_refused".to_owned()));
    let healthz = bench.send("GET", "/healthz", &[("host", "evil.example")], "").await;
    assert_eq!(healthz.problem(), (403, "host_refused".to_owned()));
    let headers = [JSON, ("origin", "https://evil.example")];
    let written = bench.send("POST", "/v1/sagas/Order", &headers, "{}").await;
    assert_eq!(written.problem(), (403, "origin_refused".to_owned()));
    let guarded = Bench::guarded().await;
    let token = bearer("viewer-viewer-viewer");
    let headers = [("host", "sagas.example"), ("authorization", &token)];
    assert_eq!(guarded.send("GET", "/v1/sagas", &headers, "").await.status, 200);
}
