//! The page for engineers says what compiles.

#[test]
fn the_quick_start_is_the_example_word_for_word() {
    let page = include_str!("../../../docs/participant-rust.md");
    let example = include_str!("../examples/inventory.rs");
    let code = example.split_once("\n\n").expect("its purpose stands before the code").1;
    assert!(page.contains(code), "docs/participant-rust.md and examples/inventory.rs differ");
}

/// Apart from how far in it stands.
fn lines(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_reactions_are_the_example_word_for_word() {
    let page = include_str!("../../../docs/participant-rust.md");
    let example = lines(include_str!("../examples/reactions.rs"));
    let section = page.split_once("## Reactions to events\n").expect("it has the section").1;
    let section = section.split_once("\n## ").expect("it is not the last").0;
    let blocks: Vec<&str> = section.split("```rust\n").skip(1).collect();
    assert_eq!(blocks.len(), 3);
    for block in blocks {
        let (code, _) = block.split_once("```").expect("it ends");
        assert!(example.contains(&lines(code)), "it is not in examples/reactions.rs: {code}");
    }
}

#[test]
fn the_choreography_of_the_example_is_that_of_the_page() {
    let page = include_str!("../../../docs/choreography.md");
    assert!(page.contains(include_str!("../examples/order.choreography.yaml")));
}
