//! Applies every rule to this repository.

use std::path::Path;
use std::sync::LazyLock;

use stepwell_tidy::{House, circles, failpoints, layers, modules, purity, size, text_rules};

static HOUSE: LazyLock<House> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let house = House::read(&root).expect("the repository is readable");
    assert!(house.size() > 500, "the rules must see the sources");
    house
});

macro_rules! rules {
    ($($topic:ident::$rule:ident),* $(,)?) => {
        $(
            #[test]
            fn $rule() {
                let problems = $topic::$rule(&HOUSE);
                assert!(problems.is_empty(), "\n{}", problems.join("\n"));
            }
        )*
    };
}

rules! {
    circles::no_large_circles,
    failpoints::every_failpoint_is_listed_and_placed_once,
    failpoints::every_write_has_a_failpoint,
    layers::arrows_point_down,
    layers::every_crate_has_a_profile,
    layers::every_crate_has_the_lints,
    layers::libraries_stay_at_home,
    modules::every_file_has_a_module,
    modules::module_files_only_re_export,
    purity::pure_crates_are_pure,
    size::files_are_short,
    size::folders_are_short,
    text_rules::expect_has_a_reason,
    text_rules::no_left_overs,
    text_rules::unsafe_stays_where_it_is_audited,
}
