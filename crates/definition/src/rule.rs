//! Every rule of the checker in one place: its stable id, title, reason and fix.
//!
//! The documentation's list of findings is generated from [`Rule::all`]. An id is never used for
//! another rule.

use crate::finding::Severity;

macro_rules! rules {
    ($( $name:ident $id:literal $severity:ident $title:literal, $why:literal, $fix:literal; )*) => {
        /// A rule of the checker.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule { $( #[doc = $title] $name, )* }

        impl Rule {
            /// Every rule, by id.
            pub const fn all() -> &'static [Self] {
                &[$( Self::$name, )*]
            }

            /// The stable id: `A044`.
            pub const fn id(self) -> &'static str {
                match self { $( Self::$name => $id, )* }
            }

            /// What breaking it means for the definition.
            pub const fn severity(self) -> Severity {
                match self { $( Self::$name => Severity::$severity, )* }
            }

            /// The rule in one line.
            pub const fn title(self) -> &'static str {
                match self { $( Self::$name => $title, )* }
            }

            /// Why there is such a rule.
            pub const fn why(self) -> &'static str {
                match self { $( Self::$name => $why, )* }
            }

            /// What to do in the common case.
            pub const fn fix(self) -> &'static str {
                match self { $( Self::$name => $fix, )* }
            }
        }
    };
}

rules! {
    // Reading: A001 to A019.
    NotText "A001" Error "a definition is UTF-8 text",
        "bytes that are no text would be read differently by every tool",
        "save the file as UTF-8, without NUL and other control characters";
    TooBig "A002" Error "a definition has at most 1 MiB",
        "a definition is held in memory and stored with every version; one this large is a mistake",
        "keep data out of it: what differs from saga to saga comes with the start, and is read as `data`";
    Syntax "A003" Error "a definition is well-formed YAML 1.2 or JSON",
        "what cannot be read cannot be checked",
        "correct the text at the place shown";
    TooDeep "A004" Error "values nest at most 48 levels deep",
        "deeper nesting is never meant and exhausts the reader",
        "flatten the value";
    TooMany "A005" Error "a definition has at most 50,000 values, aliases counted as what they repeat",
        "a few nested aliases can stand for billions of values",
        "write the values out, or use fewer aliases";
    DuplicateKey "A006" Error "a key stands once in its mapping",
        "which of the two counts would be a matter of luck",
        "remove one of them";
    ManyDocuments "A007" Error "a file holds one definition",
        "everything after the first document would be left unread",
        "put each definition in its own file";
    Empty "A008" Error "a definition is not empty",
        "there is nothing to run",
        "start with `saga: Name` and `steps:`";
    WrongShape "A009" Error "a value has the shape its key asks for",
        "a value of another shape would have to be guessed at",
        "write the value in the shape shown";
    UnknownKey "A010" Error "every key is known",
        "a mistyped key would be left out silently, and with it what it says",
        "remove the key or correct its name";
    BadDuration "A011" Error "a duration is a whole number with a unit",
        "a number without a unit means seconds to one reader and milliseconds to another",
        "write it as `200ms`, `10s`, `2m`, `1h` or `3d`";
    BadNumber "A012" Error "a number is within its range",
        "a number out of range would be cut off or wrap around",
        "write a number in the range shown";
    BadWord "A013" Error "a key with fixed choices has one of them",
        "another word has no meaning here",
        "use one of the words shown";
    // Names and work: A020 to A039.
    NoSagaName "A020" Error "a definition has a name",
        "sagas are started, listed and counted by it",
        "add `saga: Name` at the top";
    NoSteps "A021" Error "a definition has steps",
        "a saga without steps has nothing to do",
        "add `steps:` with at least one step";
    NoStepName "A022" Error "every step has a name",
        "the name is in every key, reply and log line of the step",
        "add `name:`";
    BadName "A023" Error "a name is letters, digits, `_` and `-`, begins with a letter, has at most 64",
        "names stand in keys, addresses, topics and expressions; a `.` separates the runs of a step",
        "choose a name such as `reserve_inventory`";
    DuplicateName "A024" Error "every step has a name of its own",
        "replies, results and keys are found by the step's name",
        "rename one of the two steps";
    TooManySteps "A025" Error "a definition has at most 64 steps",
        "a saga's steps are one machine word in the running state",
        "split the saga, or use `for_each` for what repeats";
    NoWork "A026" Error "a step has an action or waits for a signal",
        "a step that does neither never ends",
        "add `action: Service.Command` or `signal: name`";
    TwoWorks "A027" Error "a step has an action or waits for a signal, not both",
        "a step that waits for a signal sends nothing",
        "make two steps of it";
    BadCommand "A028" Error "a command is written `Service.Command`",
        "the service says where it is sent, the command what is asked for",
        "write it as `InventoryService.ReserveItems`";
    UnknownService "A029" Error "a command's service is listed under `services`",
        "without a binding its commands cannot be sent",
        "add the service under `services:` or correct its name";
    UnusedService "A030" Warning "every service listed is used",
        "a binding that nothing uses is often a mistyped name elsewhere",
        "remove it, or use it";
    NoCompensation "A031" Error "a compensatable step says how it is undone",
        "when a later step fails, what this one did would stay",
        "add `compensation: Service.Command`, or say `compensation: none` when it only reads";
    NeverUndone "A032" Error "only compensatable steps have a compensation",
        "a pivot, retriable or best-effort step is never undone: the command would never be sent",
        "remove the compensation, or make the step compensatable";
    SelfCompensation "A033" Warning "a compensation is another command than its action",
        "doing the same again seldom undoes it",
        "name the command that undoes the action";
    BadVersion "A034" Error "a version is at least 1",
        "versions count up from 1",
        "write `version: 1`, or leave it out and let the server number it";
    MisplacedKey "A035" Error "a key stands where it has a meaning",
        "here it would be left out silently",
        "move or remove it";
    CodeTwice "A036" Error "a failure code is permanent or transient, not both",
        "one means give up, the other try again",
        "list the code once";
    // Order and kinds: A040 to A059.
    UnknownAfter "A040" Error "`after` names steps of this definition",
        "`after` says which steps must be done before this one begins; one that is not there is never done",
        "correct the name, or remove it from `after`";
    BadOrder "A041" Error "a step waits only for steps that stand before it",
        "every step begins when those it waits for are done; if it could wait for a later one, two steps could wait for each other for ever",
        "move the step below those it waits for, or remove them from its `after`";
    SecondPivot "A042" Error "there is at most one pivot",
        "there is one point of no return: with two, the first could succeed and the second refuse",
        "make one of them retriable";
    PivotNotPlain "A043" Error "the pivot runs exactly once",
        "with `when` or `for_each` it might run never or in part, and nothing would decide the saga",
        "move the condition to another step";
    TurnsTooLate "A044" Error "every compensatable step comes before the pivot and every retriable step",
        "if it failed after the point of no return, what was done could no longer be undone",
        "put it before the point of no return, or make it retriable or best_effort";
    SignalTurnsTooLate "A045" Error "a signal after the point of no return may only continue",
        "a refusal there could not be followed by an undo",
        "say `on_deadline: continue` without `refuse_when`, or put it before the point of no return";
    RetriableBeforePivot "A046" Error "with a pivot, every retriable step follows it",
        "a retriable step is never undone, so it may run only when nothing can turn the saga",
        "put it after the pivot, or make it compensatable";
    SignalNotPlain "A047" Error "a step that waits for a signal is plain",
        "it sends nothing: kind, `when`, `for_each` and `input` have no meaning for it",
        "remove those keys";
    EmptyGroup "A048" Error "a parallel group has steps",
        "an empty group does nothing",
        "add steps to it, or remove it";
    // Time: A060 to A079.
    ZeroLimit "A060" Error "a limit is more than zero",
        "with no time at all, or no attempt, it would be over before it begins",
        "say how long, as `30s` or `5m` (attempts: at least 1), or remove the key and take the default";
    TimeoutOverDeadline "A061" Error "one attempt fits in the step's deadline",
        "the deadline would end the step before its first attempt had its time",
        "lengthen the deadline or shorten the timeout";
    WarnOverBreach "A062" Error "`sla.warn` comes before `sla.breach`",
        "a warning after the breach warns nobody",
        "make `warn` the shorter of the two";
    RetriesDoNotFit "A063" Warning "`max_attempts` fit in the deadline",
        "the deadline ends the step before the attempts are used up",
        "lengthen the deadline, or allow fewer attempts";
    BadFactor "A064" Error "a backoff's factor is between 1 and 100",
        "below 1 the pauses shrink, so that a struggling service is asked faster and faster",
        "write `factor: 2`";
    InitialOverMax "A065" Error "a backoff's first pause is not longer than its longest",
        "the first pause would be cut to the longest, so one of the two says nothing",
        "make `initial` the shorter of the two";
    NoSignalDeadline "A066" Error "a signal has a deadline",
        "without one, a saga whose signal never comes waits for ever",
        "add `deadline:`, for example `deadline: 3d`";
    SagaDeadlineTooShort "A067" Warning "the saga's deadline leaves its steps their time",
        "the steps' own deadlines add up to more, so the saga can be turned while a step is in time",
        "lengthen the saga's deadline, or shorten the steps'";
    NoOnDeadline "A068" Error "a signal says what follows when it does not come",
        "refusing and going on are opposite outcomes; neither can be guessed",
        "add `on_deadline: refuse` or `on_deadline: continue`";
    BreachBeforeDeadline "A069" Note "a step's deadline is within its SLA",
        "the step may run on after its SLA is broken",
        "shorten the deadline to `sla.breach`";
    // Expressions: A080 to A099.
    ExpressionSyntax "A080" Error "an expression is well-formed CEL",
        "it would fail in every saga",
        "correct the expression";
    ExpressionTooLong "A081" Error "an expression has at most 1 KiB",
        "expressions are evaluated while others wait",
        "let a service work it out";
    ExpressionTooDeep "A082" Error "comprehensions do not nest or follow one another",
        "each multiplies the work of the one inside it",
        "let a service work it out, or split the expression over two fields";
    UnknownVariable "A083" Error "an expression names what is there",
        "an unknown name fails in every saga",
        "use `data`, `result.<step>`, `saga`, `env`, and `item` or `signal` where they exist";
    UnknownStep "A084" Error "`result.` is followed by a step of this definition",
        "there is no such result",
        "correct the step's name";
    StepNotBefore "A085" Error "an expression uses results only of steps that have run by then",
        "the other step may still be running, or not have started",
        "wait for that step with `after:`, or put it before this one";
    ItemOutside "A086" Error "`item` is used only in the input of a step with `for_each`",
        "elsewhere there is no item",
        "add `for_each:`, or use `data`";
    SignalOutside "A087" Error "`signal` is used only in `refuse_when`",
        "elsewhere there is no signal; its body is `result.<step>` of the waiting step",
        "use `result.<step>`";
    EnvNotAllowed "A088" Error "an environment variable is on the allow-list",
        "a definition may come from others, who must not read what the server was given",
        "allow the variable in the server's settings";
    UnknownFunction "A089" Error "an expression calls functions that exist",
        "an unknown function fails in every saga",
        "use CEL's own functions";
    UnclosedExpression "A090" Error "`${` is closed by `}`",
        "where the expression ends would be a guess",
        "add the closing `}`";
    NotInSchema "A091" Error "`data` fields in expressions are in the data schema",
        "data that fits the schema never has this field, so the expression always fails",
        "correct the name, or add the field to the schema";
    NotSureInSchema "A092" Warning "`data` fields in expressions are listed in the data schema",
        "the schema allows other fields but does not name this one: it may be a slip",
        "correct the name, or add the field to the schema";
    NoExpression "A093" Error "a condition is an expression",
        "plain text has no truth value",
        "write it as \"${ … }\"";
    MayBeNull "A094" Note "the result of a step that may be skipped may be null",
        "a field of null is an error, and the expression fails in those sagas",
        "ask first: `result.step == null ? … : result.step.field`";
    TooManyRuns "A095" Error "`for_each` has at most 64 items",
        "all runs are live at once in one saga's state",
        "split the list, or let a service work through it";
    RunsMayExceed "A096" Warning "the data schema keeps `for_each` to 64 items",
        "a longer list fails the step when the saga runs",
        "add `maxItems: 64` to the schema";
    // Bindings: A100 to A119.
    FenceNotSaid "A100" Note "a service says its fence",
        "it is treated as `settle`, except that its refusals are not taken as settled: a refused step is undone all the same",
        "add `fence: barrier`, `settle` or `none`";
    NoTransport "A101" Warning "a service has a transport",
        "its commands have nowhere to go and its steps would wait with attention `unbound_service`",
        "add `http: { url: … }` or a broker; a handler registered in the program needs none";
    ManyTransports "A102" Error "a service has one transport",
        "commands are sent one way",
        "remove the others";
    EnvUnset "A103" Warning "environment variables used are set",
        "the binding cannot be used while the variable is missing",
        "set the variable where the server runs";
    BadUrl "A104" Error "a url begins with http:// or https:// and names a host",
        "the commands could not be sent",
        "write it as `https://inventory.example.com`";
    SecretInClear "A105" Error "a secret is the name of an environment variable",
        "definitions are stored and shown; a secret written here would be, too",
        "put it in the environment and write `secret: env.NAME`";
    MissingTransportKey "A106" Error "a transport says where commands and replies go",
        "the commands could not be sent, or their replies not received",
        "add the key";
    UnusedCommand "A107" Warning "commands listed under a service are used",
        "a path for a command that no step sends is often a mistyped name",
        "correct the name, or remove it";
    BadPath "A108" Error "a path begins with `/`",
        "it is put behind the service's url",
        "write it as `/reservations`";
    CredentialsInUrl "A109" Warning "a url holds no credentials",
        "urls are shown in logs and on the dashboard",
        "use `secret: env.NAME`";
    NotFoundOverBroker "A110" Warning "HTTP settings stand with an HTTP service",
        "over another transport they have no meaning",
        "remove the key";
    SharedQueue "A111" Error "a queue is for one thing",
        "whoever takes from a queue takes all that is in it: what is meant for another ends as a dead letter",
        "give each a queue of its own";
    // Data, choreography, redaction: A120 to A139.
    ChoreographyNeedsBarrier "A120" Error "every service of a choreography has the barrier fence",
        "without a coordinator, only tombstones keep a late command from running after its undo",
        "use the participant kit or the sidecar and say `fence: barrier`";
    RedactUnknown "A121" Error "`redact` names fields that the step sends",
        "a mistyped field would not be hidden",
        "name a field of the step's `input`";
    BadSchema "A122" Error "the data schema is a JSON Schema that can be read",
        "data could not be checked against it",
        "correct the schema or its path";
    ChoreographySignal "A123" Error "a choreography has no signals",
        "a signal is taken by the coordinator, which a choreography does not have",
        "let a service publish the event, or use `pattern: orchestration`";
    ChoreographyRuns "A124" Error "a choreography repeats no step",
        "the coordinator counts the runs of a `for_each`, and a choreography does not have one",
        "let the service do all items in one step, or use `pattern: orchestration`";
    ChoreographyUndoneElsewhere "A125" Error "a step of a choreography is undone where it is done",
        "only the service that did it can keep it from being done after its undo",
        "give the undo to the service of the action, or use `pattern: orchestration`";
    ChoreographyNoArbiter "A126" Error "a choreography has a step that decides how it ends",
        "it is the pivot, else the retriable step before all the others, else the step after all the \
         others but best efforts; without one a failure could be in time for one service and too late \
         for another",
        "let one step wait for all the others, or make it the pivot";
    FreeNotRun "A127" Error "what a server runs is a saga",
        "a free choreography belongs to its services: each runs its own reactions, and amends analyses \
         them before they do",
        "look at it with `amends check` and `amends verify`; leave it out of what is served";
    // Free choreographies: A130 to A159.
    NoStart "A130" Error "a choreography says which event starts it",
        "every run begins with one event, and what is reached is reckoned from there",
        "add `starts_with: OrderCreated`";
    NoEnds "A131" Error "a choreography says how it ends, one way and the other",
        "without a coordinator an end is an event: whoever waits for it must know both, and they must differ",
        "add `ends_with: { done: OrderFulfilled, undone: OrderFailed }`";
    NoReactions "A132" Error "a choreography has reactions",
        "nothing would follow from its first event",
        "add `reactions:` with at least one `on:`";
    TooManyReactions "A133" Error "a choreography has at most 64 reactions and 128 events",
        "what may happen in any order grows with every one of them; nobody overlooks more",
        "make two choreographies of it, the second starting with the end of the first";
    NoTrigger "A134" Error "a reaction says which event it waits for",
        "nothing would ever set it off",
        "add `on: Event`, `on: [A, B]` for all of them, or `on: { any_of: [A, B] }`";
    NoReaction "A135" Error "a reaction does one thing, or says something",
        "a reaction that neither acts, undoes nor says anything changes nothing; one that acts and \
         undoes would leave open which comes first",
        "give it one of `action` and `undo`, or only `then`";
    ReactionTwice "A136" Error "a reaction stands once",
        "the second would do the same at the same event: at best nothing, at worst all of it again",
        "remove one of the two";
    ActionTwice "A137" Error "an action stands in one reaction",
        "a service carries an action out once a saga; a second reaction would find it done, or do it again",
        "wait for either event in one reaction: `on: { any_of: [A, B] }`";
    UnknownUndo "A138" Error "`undo` names an action of this choreography that can be undone",
        "there is nothing that it could undo",
        "name the action as it stands under `action`";
    EventNotWritten "A139" Error "every event that is waited for is said by somebody",
        "a reaction to an event that nobody says is never set off",
        "correct the name, or add it to the `then` or `on_failure` of a reaction";
    EventNotRead "A140" Warning "every event has a reader, the ends apart",
        "what nobody reacts to is often a mistyped name, or a reaction that was forgotten",
        "add a reaction to it, or leave the event out";
    EventUnused "A141" Warning "`events` lists events that are said",
        "a mistyped name there takes its fields from nobody's context",
        "correct the name, or remove it";
    NeverReached "A142" Error "every reaction can be set off",
        "the events that it waits for never come together in one saga",
        "wait for one of them: `on: { any_of: [A, B] }`, or remove the reaction";
    Circle "A143" Error "reactions do not go round in a circle",
        "a service reacts to an event once a saga: the second time round nothing happens, and where \
         nothing guards it, it goes round without end",
        "leave out one of the events in the circle; repeating a failed action is its service's own affair";
    FieldNotCarried "A144" Error "a reaction reads what every way to it carries",
        "an event carries the fields of those before it on its way; on this way nobody has said this one",
        "list the field under `events` for an event on that way, or read it from the service's own store";
    FailureNotTold "A145" Error "an action that can fail says so",
        "nobody hears of the failure: what was done before it stays, and the saga never ends",
        "add `on_failure: Event`, or `kind: retriable` where it is tried until it succeeds";
    LeftStanding "A146" Error "a run that fails undoes all that was done",
        "what stays done belongs to a saga that has failed: nobody will come back for it",
        "let the service of the action react to the failure, or to the undo of what came after it";
    NoEndReached "A147" Error "every run ends",
        "who waits for its end waits for ever",
        "let somebody say how it ends";
    BothEnds "A148" Error "a run ends one way only",
        "one listener takes it for done, the other for undone",
        "say that it is done only after everything that can fail has succeeded";
    UndoneTooEarly "A149" Error "nothing is undone before what was built on it",
        "two services that react to the same event do not wait for each other: the earlier action may \
         be undone while the later one stands on it",
        "chain the undos: each waits for the event of the one before it";
    UndoneAfterDone "A150" Error "nothing is undone once the saga is done",
        "its listeners act on what is then taken away",
        "say that it is done only after everything that can fail has succeeded";
    FailedAndDone "A151" Error "a failure that nobody hears does not end well",
        "the saga is said to be done although a part of it has failed",
        "say that it is done only after this action has succeeded, or react to its failure";
    SaidTooEarly "A152" Warning "a run is said to be undone when it is",
        "who hears of it may start anew while the old run still holds what it has not yet given back",
        "say it after the last undo";
    UndoneTwice "A153" Warning "an action is undone once a saga",
        "two reactions undo it in one run: only the service's stored answer makes once of it",
        "wait for either event in one reaction: `on: { any_of: [A, B] }`";
    UndoOvertakes "A154" Error "an undo that may come before its action finds a tombstone",
        "events have no order between services: the undo finds nothing to undo, and the action runs after \
         it and stays",
        "say `fence: barrier` of the service if it keeps tombstones (the participant kit does), or let the \
         undo wait for an event that follows its action";
    RunsAgain "A155" Warning "a service carries an event out once, however often it comes",
        "every broker delivers some events twice; without stored answers the action happens twice",
        "use the participant kit, which keeps them, and say `fence: barrier`; or `settle` where the service \
         keeps its own";
    NotAllExplored "A156" Warning "all that may happen is explored",
        "what lies beyond the limit was not looked at: nothing is proved of it",
        "run `amends verify`, which goes on as long as it may; or let fewer reactions run side by side";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_sorted_and_well_formed() {
        let ids: Vec<_> = Rule::all().iter().map(|rule| rule.id()).collect();
        assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
        for id in ids {
            assert!(id.len() == 4 && id.starts_with('A'), "{id}");
            assert!(id[1..].bytes().all(|b| b.is_ascii_digit()), "{id}");
        }
    }
}
