//! Planted bugs are there on request only, and say so.

use crate::world::World;

#[test]
fn an_instance_with_a_bug_warns_of_it_and_others_do_not_have_it() {
    let world = World::sqlite();
    let bug = changeover_reference::bugs()
        .find(|bug| bug.check == "wrong-version")
        .unwrap();
    let planted = format!("{}@1", bug.name);
    let warning = format!(
        " WARN planted bug {}, on request: {}",
        bug.name, bug.symptom
    );
    let spared = world
        .instance("a", "v0.2.0", 0)
        .arg("--planted-bug", &planted)
        .start();
    spared.wait_log("answering SQL as the leader");
    assert!(!spared.log().contains("planted"), "{}", spared.log());
    assert!(spared.log().contains("reference database v0.2.0"));
    let meant = world
        .instance("b", "v0.3.0", 1)
        .arg("--planted-bug", &planted)
        .start();
    meant.wait_log("read-only mode");
    let log = meant.log();
    let second = log.lines().nth(1).unwrap_or_default();
    assert!(second.ends_with(&warning), "{log}");
    // And has it.
    assert!(log.contains("reference database v0.2.0"), "{log}");
}
