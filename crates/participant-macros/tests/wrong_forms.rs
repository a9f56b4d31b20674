//! Each wrong form is refused at the token that is wrong, with what to write instead.

#[test]
fn wrong_forms_are_told_where_and_what_to_write() {
    // Only wrong ones: with a right one among them, all that is beneath would be compiled to the end
    // and not only checked. `right_forms` is compiled as any test.
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/wrong/*.rs");
}
