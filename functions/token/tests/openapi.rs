//! `openapi.json` is what the handlers say of themselves. `UPDATE_EXPECT=1 cargo test -p token --test openapi` writes it anew.
#![allow(clippy::unwrap_used)]

use expect_test::expect_file;

#[test]
fn openapi_json_is_generated_from_the_handlers() {
    let mut all = exchange::openapi();
    all.merge(token::openapi());
    all.merge(provision::openapi());
    all.merge(enroll::openapi());
    let described = all.to_pretty_json().unwrap() + "\n";
    expect_file!["../../../openapi.json"].assert_eq(&described);
}
