use super::*;
use crate::target::Target;

fn read(text: &str) -> Fault {
    text.parse().unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn a_fault_is_a_line_of_text_that_reads_back() {
    for text in [
        "new:kill@ready",
        "2:new:kill:3@booting",
        "old:pause:2s@promote-sent+50ms",
        "metadata-store:restart@catching-up+100writes",
        "link(new,metadata-store):cut:2s@fence-written",
        "link(clients,front-door):delay:50ms:1500ms@serving",
        "link(old,metadata-store):black-hole:1s@ready",
        "link(old,metadata-store):half-open:1s@ready",
        "link(old,metadata-store):reset@ready",
        "upgrade:promote-early@catching-up",
        "upgrade:rival:v0.2.0@ready",
        "1:upgrade:ddl:2s@catching-up",
    ] {
        assert_eq!(read(text).to_string(), text);
        let json = serde_json::to_string(&read(text)).unwrap();
        assert_eq!(json, format!("{text:?}"));
        assert_eq!(serde_json::from_str::<Fault>(&json).unwrap(), read(text));
    }
    assert_eq!(
        read("link(metadata-store, new):cut:60s@ready").to_string(),
        "link(new,metadata-store):cut:60s@ready"
    );
}

#[test]
fn every_name_is_read_and_what_is_close_is_suggested() {
    for point in Point::ALL {
        assert_eq!(point.name().parse(), Ok(point));
        assert_eq!(
            serde_json::to_string(&point).unwrap(),
            format!("{:?}", point.name())
        );
    }
    for (text, what) in [
        ("new:kill", "a point is missing"),
        ("new@ready", "names no action"),
        (
            "new:kill@redy",
            "unknown point \"redy\": did you mean ready?",
        ),
        ("neww:kill@ready", "unknown subject \"neww\""),
        ("metadata:kill@ready", "did you mean metadata-store?"),
        (
            "new:kil@ready",
            "unknown action \"kil\": did you mean kill?",
        ),
        ("new:kill:0@ready", "no number of kills"),
        ("new:kill:1:2@ready", "kill takes one number"),
        ("new:pause@ready", "pause needs to be told for how long"),
        ("new:pause:2@ready", "\"2\" is no duration"),
        ("new:pause:0s@ready", "must be from 1ms to 60m"),
        (
            "new:pause:99999999999999999999s@ready",
            "must be from 1ms to 60m",
        ),
        ("new:restart:2s@ready", "restart takes no argument"),
        ("link(new,old):cut:1s@ready", "no link between new and old"),
        ("link(new):cut:1s@ready", "a link has two ends"),
        (
            "link(new,metadata):cut:1s@ready",
            "did you mean metadata-store?",
        ),
        (
            "link(new,metadata-store):delay:1s@ready",
            "by how much and for how long",
        ),
        ("0:new:kill@ready", "steps count from 1"),
        ("new:kill@ready+0writes", "no number of writes"),
        ("upgrade:rival:x@ready", "no version of a rival"),
    ] {
        let error = text.parse::<Fault>().unwrap_err().to_string();
        assert!(error.contains(what), "{text}: {error}");
        assert!(error.starts_with(&format!("fault {text:?}: ")), "{error}");
    }
}

fn target(more: &str) -> Target {
    let text = format!(
        r#"[target]
name = "mine"
[instance]
command = ["serve", "{{sql_addr}}", "{{http_addr}}", "{{metadata_store}}"]
[client]
url = "postgres://me@{{sql_addr}}/db"
write = "INSERT INTO t VALUES ({{id}}, {{value}})"
read = "SELECT v FROM t WHERE id = {{id}}"
[ready]
sql = "SELECT 1"
{more}"#
    );
    Target::parse(&text).unwrap_or_else(|e| panic!("{e}"))
}

const HOLDS: &str = r#"[points]
hold = ["--hold", "{point}={socket}"]"#;

fn refused(faults: &[&str], target: &Target, store: &str) -> Option<String> {
    let faults: Vec<Fault> = faults.iter().map(|text| read(text)).collect();
    let plan = Surroundings {
        target,
        runtime: "process",
        metadata_store: store,
        called_off: &[None, None],
    };
    check_faults(&faults, &plan).err().map(|e| e.to_string())
}

#[test]
fn what_cannot_happen_is_refused_with_the_reason() {
    let held = target(HOLDS);
    let seen = target("");
    for (faults, target, store, what) in [
        (
            &["new:kill@before-boot"][..],
            &held,
            "postgres",
            "not there yet",
        ),
        (
            &["new:cut:1s@ready"],
            &held,
            "postgres",
            "nothing that can be done to new",
        ),
        (
            &["link(new,metadata-store):kill@ready"],
            &held,
            "postgres",
            "it is done to new, old, metadata-store",
        ),
        (
            &["3:new:kill@ready"],
            &held,
            "postgres",
            "there is no step 3",
        ),
        (
            &["metadata-store:kill@ready"],
            &held,
            "sqlite",
            "--metadata-store postgres",
        ),
        (
            &["link(old,metadata-store):cut:1s@ready"],
            &held,
            "sqlite",
            "--metadata-store postgres",
        ),
        (
            &["new:kill@fence-written"],
            &seen,
            "postgres",
            "point fence-written cannot be reached",
        ),
        (&["old:kill@old-fenced"], &seen, "postgres", "may be gone"),
        (
            &["upgrade:promote-early@ready"],
            &held,
            "postgres",
            "name point catching-up",
        ),
        (
            &["1:upgrade:next@ready"],
            &held,
            "postgres",
            "as 2:upgrade:next@ready",
        ),
        (
            &["new:kill@ready", "new:pause:1s@ready"],
            &held,
            "postgres",
            "it contradicts new:kill@ready",
        ),
        (
            &["new:pause:1s@ready", "new:kill@ready+500ms"],
            &held,
            "postgres",
            "contradicts",
        ),
    ] {
        let error = refused(faults, target, store);
        assert!(
            error.as_ref().is_some_and(|e| e.contains(what)),
            "{faults:?}: {error:?}"
        );
    }
}

#[test]
fn what_can_happen_is_allowed() {
    let held = target(HOLDS);
    let seen = target("");
    for (faults, target, store) in [
        (&["old:kill@old-fenced"][..], &held, "sqlite"),
        (&["new:kill@fence-written"], &held, "sqlite"),
        (&["new:kill@ready", "old:pause:1s@ready"], &seen, "sqlite"),
        (
            &["new:pause:1s@ready", "new:kill@ready+1s"],
            &seen,
            "sqlite",
        ),
        (
            &["1:new:kill@ready", "2:new:pause:1s@ready"],
            &seen,
            "sqlite",
        ),
        (&["2:upgrade:next@ready"], &held, "sqlite"),
        (&["metadata-store:kill@ready"], &seen, "postgres"),
    ] {
        assert_eq!(refused(faults, target, store), None, "{faults:?}");
    }
}

#[test]
fn a_fault_behind_the_point_where_its_step_is_called_off_cannot_happen() {
    let target = target(HOLDS);
    let called_off = [Some(Point::Ready), None];
    let plan = Surroundings {
        target: &target,
        runtime: "process",
        metadata_store: "sqlite",
        called_off: &called_off,
    };
    let check = |text: &str| check_faults(&[read(text)], &plan).is_ok();
    assert!(check("1:new:kill@ready"));
    assert!(!check("1:new:kill@promote-sent"));
    assert!(check("2:new:kill@promote-sent"));
    assert!(check("new:kill@promote-sent"), "it happens in step 2");
}

#[test]
fn only_what_serves_clients_may_be_missed_by_them() {
    let expected = |text: &str| read(text).expectation();
    assert_eq!(expected("new:kill@ready"), Expectation::Succeeds);
    assert_eq!(expected("new:kill@promote-sent"), Expectation::Recovers);
    assert_eq!(expected("old:kill@booting"), Expectation::Recovers);
    assert_eq!(
        expected("link(new,metadata-store):cut:1s@catching-up"),
        Expectation::Succeeds
    );
    assert_eq!(
        expected("metadata-store:pause:1s@booting"),
        Expectation::Recovers
    );
    assert_eq!(
        expected("upgrade:promote-early@booting"),
        Expectation::Succeeds
    );
}
