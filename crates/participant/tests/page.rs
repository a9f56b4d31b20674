//! The page for engineers says what compiles.

#[test]
fn the_quick_start_is_the_example_word_for_word() {
    let page = include_str!("../../../docs/participant-rust.md");
    let example = include_str!("../examples/inventory.rs");
    let code = example.split_once("\n\n").expect("its purpose stands before the code").1;
    assert!(page.contains(code), "docs/participant-rust.md and examples/inventory.rs differ");
}
