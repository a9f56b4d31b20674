//! The worked definitions pass the checker as they stand in their files.

use amends_definition::{Rule, Severity, Surroundings, check, render};
use amends_example_services::Worked;

fn check_file(worked: Worked, notes: &[Rule]) {
    let text = worked.definition();
    let checked = check(text.as_bytes(), worked.name(), &Surroundings::none());
    let found: Vec<Rule> = checked.findings.iter().map(|finding| finding.id).collect();
    assert_eq!(found, notes, "{}", render(&checked, false));
    assert!(checked.findings.iter().all(|finding| finding.severity == Severity::Note));
    assert!(checked.compiled.is_some());
}

#[test]
fn the_short_form_has_one_note_a_service_about_its_fence() {
    check_file(Worked::Order, &[Rule::FenceNotSaid; 4]);
}

#[test]
fn the_others_have_nothing_to_be_said_about() {
    for worked in [Worked::Bank, Worked::Approval, Worked::Travel] {
        check_file(worked, &[]);
    }
}
