//! The catalog of the reference target says what the database says of itself.

use changeover_model::Catalog;

#[test]
fn the_catalog_of_the_reference_target_is_the_databases_own() {
    let text = include_str!("../../../../targets/reference/releases.toml");
    let catalog = Catalog::parse("reference", true, text).unwrap();
    let listed = catalog.releases().iter().map(|r| {
        let date = r.date.map(|d| d.to_string()).unwrap_or_default();
        (r.version.to_string(), date, r.summary.clone())
    });
    let (current, known) = changeover_reference::releases().split_last().unwrap();
    assert_eq!(current.version, "current");
    let played = known.iter().map(|r| {
        let date = r.date.expect("a known release has a date");
        (r.version.to_owned(), date.to_owned(), r.summary.to_owned())
    });
    assert_eq!(listed.collect::<Vec<_>>(), played.collect::<Vec<_>>());
}
