//! The rules of talks: what a service owes to what no engine sends, to a definition that is wrong, and to
//! what is alike.

use super::Words;

pub(super) const UNKNOWN_UNDO: Words = Words {
    id: "unknown_undo",
    short: "tells an unknown undo from \"gone\"",
    rule: "an undo that the service does not have is answered 4xx, and neither as done (2xx) nor as \
           nothing to undo (410, a 404 of type JSON)",
    place: "section 5, gone; definition-and-wire, HTTP",
    consequence: "the name of an undo is misspelt, or a deployment has lost its path: every rollback \
                  counts as done, and nothing is undone",
    fix: "answer a path that you do not serve with 404 as plain text, whatever your framework does by \
          itself: a JSON 404 says of an undo that there is nothing to undo",
};

pub(super) const FOREIGN_COMMAND: Words = Words {
    id: "foreign_command",
    short: "refuses another's command",
    rule: "a command of another service is answered 400 and not carried out, though the path is one \
           that is known",
    place: "guard, contract breach",
    consequence: "a url in a definition is the wrong one, and both services have a Cancel: the wrong \
                  one cancels, and says that it is done",
    fix: "compare the body's command, all of it, with your own: `PaymentService.ProcessPayment`, and not \
          the part after the dot alone",
};

pub(super) const SIGNATURE: Words = Words {
    id: "signature",
    short: "refuses what is not signed",
    rule: "a command that is not signed, is signed with another secret, or was signed long ago is \
           answered 401 and not carried out",
    place: "definition-and-wire, signatures; guard, answers",
    consequence: "whoever reaches the address has it done, charged and refunded, and needs no secret",
    fix: "verify webhook-signature over the very bytes that came, before you read them, and refuse a \
          webhook-timestamp that is more than five minutes off (Standard Webhooks)",
};

pub(super) const INCOMPLETE: Words = Words {
    id: "incomplete",
    short: "refuses what is incomplete",
    rule: "a command without saga_id, step_name, direction or idempotency_key is answered 400, and \
           nothing of it is kept",
    place: "guard, contract breach; definition-and-wire, commands",
    consequence: "what is done without them is found by no undo and known by no repeat; and 409 or 422 \
                  would end the step as refused",
    fix: "check for all of them before anything else, and answer 400 where one is not there",
};

pub(super) const FOREIGN_KEY: Words = Words {
    id: "foreign_key",
    short: "refuses the key of another step",
    rule: "a command whose idempotency_key is not <saga_id>/<step_name>/<direction> of its own fields is \
           answered 400, and nothing of it is kept",
    place: "guard, contract breach; S4",
    consequence: "a broken sender has the answer to one step stored as that of another: the other one is \
                  never done, and counts as done",
    fix: "compare the key with the fields that it is made of (a later round has /<n> after it), before \
          anything is stored",
};

pub(super) const TOO_LARGE: Words = Words {
    id: "too_large",
    short: "reads no body without end",
    rule: "a body far larger than any command is answered 4xx, or cut off, and the service goes on",
    place: "guard, answers",
    consequence: "one request fills the service's memory, and every saga waits for it",
    fix: "read at most 1 MiB of a body, answer 413, and close the connection",
};

pub(super) const KEY_REUSED: Words = Words {
    id: "key_reused",
    short: "a key is for one body",
    rule: "a key that comes again with other bytes is answered 400, or as at first: it is not done a \
           second time, not refused, and its first answer stays",
    place: "S16; guard, KEY_REUSED",
    consequence: "a broken sender has a step done twice under one key, or has what was done called \
                  refused, which nobody undoes",
    fix: "store a hash of the body beside the answer, and answer 400 with code KEY_REUSED where it is \
          another one",
};

pub(super) const WRONG_TYPES: Words = Words {
    id: "wrong_types",
    short: "refuses data of a wrong type",
    rule: "data that it cannot read is answered 422 or 400, and a right command works afterwards",
    place: "guard, BAD_DATA; section 5, unknown",
    consequence: "the answer says that nobody knows what happened: it is asked again until the deadline, \
                  and then undone, for data that can never be taken",
    fix: "read the data into a type before anything is done, and answer 422 with code BAD_DATA where it \
          does not fit",
};

pub(super) const ADDITIONS: Words = Words {
    id: "additions",
    short: "bears what it does not know",
    rule: "fields and headers that it does not know do not matter",
    place: "definition-and-wire, commands",
    consequence: "a command carries the whole data of its saga: the first field that is added for another \
                  service has this one refuse everything",
    fix: "read the fields that you need, and pass over the others: no additionalProperties: false, no \
          deny_unknown_fields",
};

pub(super) const NEW_ROUND: Words = Words {
    id: "new_round",
    short: "a new round asks anew",
    rule: "after a refusal an action with a new key (…/action/2) is asked anew, and not refused for \
           the first one's sake",
    place: "section 5, refused of a retriable step; guard, an action",
    consequence: "a step after the point of no return that was refused once is refused for ever, also when \
                  what was wrong has been mended: its saga never ends",
    fix: "keep a refusal under its idempotency key, or with its round, and carry out a later round",
};

pub(super) const OTHER_STEPS: Words = Words {
    id: "other_steps",
    short: "keeps steps of a saga apart",
    rule: "the steps of one saga are each done and undone by themselves, also the runs of a list \
           (<step>.0, <step>.1) and names that differ in case",
    place: "section 4, for_each; S4; guard, the table",
    consequence: "of two rooms one is booked and both count as booked; or the undo of one finds nothing, \
                  and it stays booked",
    fix: "key everything by (saga_id, step_name, direction), the whole step_name, compared byte for byte: \
          not by saga_id alone, and in MySQL with a binary collation",
};
