//! Each wrong form is refused at the token that is wrong, with what to write instead.

#[test]
fn wrong_forms_are_told_where_and_what_to_write() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/right/*.rs");
    cases.compile_fail("tests/wrong/*.rs");
}
