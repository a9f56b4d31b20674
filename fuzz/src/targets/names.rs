//! Texts that name something: ids, keys, tokens, signatures, cursors, durations as headers write them.

use amends_store::ListCursor;
use amends_wire::envelope::{header_value, rfc3339};
use amends_wire::signature::{Secret, SignatureError, Signed, sign};
use amends_wire::{CommandId, Direction, SagaId, SendingId, TokenKey};

use super::Target;

pub(super) const TARGET: Target = Target {
    name: "names",
    what: "ids, keys, tokens, signatures, cursors → what they name, or a refusal",
    run,
    seeds,
};

const ID: &str = "0192f0c1-2345-7abc-8def-0123456789ab";

fn key() -> TokenKey {
    TokenKey::new(&[7; 32]).expect("it is long enough")
}

fn seeds() -> Vec<Vec<u8>> {
    let command = CommandId {
        saga_id: SagaId(7),
        step_name: "create.3".to_owned(),
        direction: Direction::Compensation,
        round: 2,
    };
    let texts = [
        ID.to_owned(),
        format!("{ID}/a/action"),
        format!("{ID}/a/b/compensation/2"),
        format!("{ID}/a/action/65535:4294967295"),
        key().issue(&command),
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v1a,x v1,".to_owned(),
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(),
        "18bcfe56800-0192f0c123457abc8def0123456789ab".to_owned(),
    ];
    texts.into_iter().map(String::into_bytes).collect()
}

fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    ids(&text);
    tokens(&text);
    signatures(&text, bytes);
    if let Some(cursor) = ListCursor::from_text(&text) {
        assert_eq!(ListCursor::from_text(&cursor.to_text()), Some(cursor), "another cursor");
    }
    let value = header_value(&text);
    assert!(value.bytes().all(|byte| byte.is_ascii_graphic()), "a header breaks out: {value}");
    if let Some(number) = bytes.first_chunk() {
        assert_eq!(rfc3339(u64::from_be_bytes(*number)).len(), 24);
    }
}

fn ids(text: &str) {
    let ours = text.parse::<amends_core::SagaId>().map(|id| id.0);
    let wires = text.parse::<SagaId>().map(|id| id.0);
    assert_eq!(ours.ok(), wires.ok(), "the machine and the wire read {text:?} differently");
    if let Ok(id) = text.parse::<SagaId>() {
        assert_eq!(id.to_string(), text.to_ascii_lowercase());
    }
    // One command has one key, but for the case of its saga's id.
    let same = |written: String| written.eq_ignore_ascii_case(text);
    if let Ok(command) = text.parse::<CommandId>() {
        assert!(same(command.to_string()), "{text:?} is another key of {command}");
    }
    if let Some(sending) = SendingId::parse(text) {
        assert_eq!(SendingId::parse(&sending.to_string()), Some(sending));
    }
}

fn tokens(text: &str) {
    // Whoever can make one without the key makes the fuzzer famous; what is issued is taken.
    if let Ok(command) = key().verify(text) {
        assert_eq!(key().issue(&command), text, "two tokens for {command}");
    }
    let step_name: String = text.chars().take(64).collect();
    let command =
        CommandId { saga_id: SagaId(9), step_name, direction: Direction::Action, round: 1 };
    let token = key().issue(&command);
    assert_eq!(key().verify(&token), Ok(command), "a token that is not taken back");
    let other = TokenKey::new(&[8; 32]).expect("it is long enough");
    assert!(other.verify(&token).is_err(), "another installation's token is taken");
}

fn signatures(text: &str, body: &[u8]) {
    let now = 1_700_000_000;
    let known = Secret::new("the one that is known").expect("it is a secret");
    let known = std::slice::from_ref(&known);
    let forged = Signed { id: Some("m"), timestamp: Some("1700000000"), signature: Some(text) };
    assert_eq!(forged.verify(known, body, now), Err(SignatureError::Mismatch));
    let stamped = Signed { timestamp: Some(text), ..forged };
    assert!(stamped.verify(known, body, now).is_err());
    let Ok(secret) = Secret::new(text) else { return };
    let secret = std::slice::from_ref(&secret);
    let signature = sign(secret, "m", now, body);
    let signed = Signed { signature: Some(&signature), ..forged };
    assert_eq!(signed.verify(secret, body, now), Ok(()), "what was signed is not taken");
    let more = [body, b"x"].concat();
    assert!(signed.verify(secret, &more, now).is_err(), "another body is taken");
}
