//! The catalogue and the scenarios of this repository agree.

use std::path::Path;

use conformance::{
    catalogue::Selection,
    matrix::{Matrix, Row},
};

fn matrix() -> Matrix {
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    Matrix::read(&scenarios, &Selection::default()).expect("`simulator lint` tells what is wrong with the scenarios")
}

fn ids<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<&'a str> {
    rows.map(|row| row.clause.id.as_str()).collect()
}

#[test]
fn scenarios_name_clauses_that_exist() {
    assert_eq!(matrix().unknown, Default::default());
}

/// A clause for which no scenario can be written belongs into `clauses/unshown.yaml`, with the reason.
#[test]
fn what_binds_a_mesh_and_traffic_can_show_has_a_scenario() {
    assert_eq!(ids(matrix().gaps()), [""; 0]);
}

#[test]
fn nothing_is_excused_that_has_a_scenario() {
    assert_eq!(ids(matrix().outdated()), [""; 0], "take these out of clauses/unshown.yaml");
}
