//! What both kinds of store promise, tested on each.

use std::sync::Arc;

use super::*;
use crate::ladder;

#[path = "../../tests/it/postgres_server.rs"]
#[allow(dead_code, reason = "the tests of whole processes use the rest")]
pub(super) mod postgres_server;

/// A store that nobody has used yet, and what it needs to exist.
struct Fresh {
    address: StoreAddress,
    _server: Option<Arc<postgres_server::Server>>,
    _directory: tempfile::TempDir,
}

impl Fresh {
    fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self {
            address: StoreAddress::Sqlite(directory.path().join("store.db")),
            _server: None,
            _directory: directory,
        }
    }

    fn postgres() -> Option<Self> {
        let server = postgres_server::Server::shared()?;
        Some(Self {
            address: server.fresh().parse().unwrap(),
            _server: Some(server),
            _directory: tempfile::tempdir().unwrap(),
        })
    }

    /// Takes the store away, as an operator would.
    fn remove(&self) {
        match &self.address {
            StoreAddress::Sqlite(file) => {
                for suffix in ["", "-wal", "-shm"] {
                    let mut file = file.clone().into_os_string();
                    file.push(suffix);
                    std::fs::remove_file(file).unwrap();
                }
            }
            StoreAddress::Postgres(address) => postgres::remove(address).unwrap(),
        }
    }

    fn open(&self, version: &str) -> Box<dyn MetadataStore> {
        self.address.open(ladder::find(version).unwrap()).unwrap()
    }
}

/// Makes of each function a test for each kind of store; the function makes as many fresh ones as it wants.
macro_rules! on_both_stores {
    ($($name:ident),* $(,)?) => { $(
        mod $name {
            use super::Fresh;

            #[test]
            fn sqlite() {
                super::$name(Fresh::sqlite);
            }

            #[test]
            fn postgres() {
                if let Some(first) = Fresh::postgres() {
                    super::$name(|| Fresh::postgres().unwrap());
                    drop(first);
                }
            }
        }
    )* };
}

on_both_stores!(
    an_append_compares_token_and_upper,
    what_is_appended_is_read_back,
    first_processes_may_race,
    an_older_release_that_begins_while_a_newer_is_promoted_is_fenced_out,
    migrations_resume_and_skip_releases,
    a_second_start_of_a_generation_fences_the_first,
    a_store_that_was_recreated_is_another,
);

fn insert(rowid: i64) -> Vec<Effect> {
    vec![
        Effect::Insert {
            table: "t".into(),
            rowid,
            row: vec![Value::Int(rowid)]
        };
        2
    ]
}

fn an_append_compares_token_and_upper(make: impl Fn() -> Fresh) {
    let store = make();
    let mut old = store.open("v0.1.0");
    let Role::Lead(fence) = old.begin(0).unwrap() else {
        panic!("an empty store is ours")
    };
    assert_eq!(
        old.append(fence.token, 0, &insert(1)).unwrap(),
        Appended::At(1)
    );
    assert_eq!(
        old.append(fence.token, 0, &insert(2)).unwrap(),
        Appended::UpperMoved(1)
    );
    let mut new = store.open("v0.2.0");
    assert_eq!(
        new.begin(1).unwrap(),
        Role::Follow(Fence {
            token: fence.token,
            upper: 1
        })
    );
    let Role::Lead(newer) = new.promote(1).unwrap() else {
        panic!("the newer generation fences")
    };
    assert!(newer.token > fence.token);
    assert_eq!(
        old.append(fence.token, 1, &insert(2)).unwrap(),
        Appended::Fenced(newer.token)
    );
    assert_eq!(new.read(0, 10).unwrap().len(), 1);
    assert_eq!(
        store.open("current").begin(0).unwrap(),
        Role::FencedOut(newer)
    );
}

fn first_processes_may_race(make: impl Fn() -> Fresh) {
    for _ in 0..40 {
        let store = make();
        let barrier = std::sync::Barrier::new(6);
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    barrier.wait();
                    store.open("current").begin(0).unwrap();
                });
            }
        });
    }
}

fn an_older_release_that_begins_while_a_newer_is_promoted_is_fenced_out(make: impl Fn() -> Fresh) {
    for _ in 0..100 {
        let store = make();
        let (mut old, mut new) = (store.open("v0.1.0"), store.open("current"));
        old.begin(0).unwrap();
        let barrier = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                barrier.wait();
                while !matches!(old.begin(0).unwrap(), Role::FencedOut(_)) {}
            });
            barrier.wait();
            new.promote(1).unwrap();
        });
    }
}

fn migrations_resume_and_skip_releases(make: impl Fn() -> Fresh) {
    let versions: Vec<&str> = ladder::releases().iter().map(|r| r.version).collect();
    let neighbours = versions.windows(2).map(|pair| (pair[0], pair[1]));
    for (from, to) in neighbours.chain([("v0.1.0", "v0.3.0"), ("v0.1.0", "current")]) {
        let store = make();
        let mut old = store.open(from);
        let Role::Lead(fence) = old.begin(0).unwrap() else {
            panic!("an empty store is ours")
        };
        for upper in 0..7 {
            old.append(fence.token, upper, &insert(upper as i64))
                .unwrap();
        }
        let before = old.read(0, 100).unwrap();
        let mut new = store.open(to);
        assert_eq!(
            new.read(0, 100).unwrap(),
            before,
            "{to} reads what {from} wrote"
        );
        let Role::Lead(fence) = new.promote(1).unwrap() else {
            panic!("the newer generation fences")
        };
        assert_eq!(
            new.migrate(fence.token, 3).unwrap(),
            Migration::At {
                position: 3,
                until: 7
            }
        );
        // Killed here; the next process goes on, and meanwhile the log is of two formats.
        assert_eq!(new.read(0, 100).unwrap(), before);
        new.append(fence.token, 7, &insert(7)).unwrap();
        let mut again = store.open(to);
        assert_eq!(
            again.migrate(fence.token, 3).unwrap(),
            Migration::At {
                position: 6,
                until: 7
            }
        );
        assert_eq!(
            again.migrate(fence.token, 3).unwrap(),
            Migration::At {
                position: 7,
                until: 7
            }
        );
        assert_eq!(again.migrate(fence.token, 3).unwrap(), Migration::Done);
        assert_eq!(again.read(0, 7).unwrap(), before);
        let error = store.open(from).begin(1).expect_err("older refuses newer");
        assert!(
            error.to_string().contains(ladder::find(to).unwrap().format),
            "{error}"
        );
    }
}

fn what_is_appended_is_read_back(make: impl Fn() -> Fresh) {
    let odd = r#"it's \ \x00 $1 "quoted" ÄÖ; DROP TABLE log --"#;
    let effects = [
        Effect::Ddl {
            statement: format!("CREATE VIEW v AS SELECT '{odd}'"),
        },
        Effect::Insert {
            table: odd.into(),
            rowid: i64::MIN,
            row: vec![
                Value::Null,
                Value::Real(-0.0),
                Value::Text(format!("{odd}\0{odd}")),
                Value::Blob((0..=255).collect()),
            ],
        },
        Effect::Delete {
            table: String::new(),
            rowid: i64::MAX,
        },
    ];
    for release in ladder::releases() {
        let store = make();
        let mut leader = store.open(release.version);
        let Role::Lead(fence) = leader.begin(7).unwrap() else {
            panic!("an empty store is ours")
        };
        let appended = leader.append(fence.token, 0, &effects).unwrap();
        assert_eq!(appended, Appended::At(1), "{release}");
        let record = Record {
            position: 1,
            effects: effects.to_vec(),
        };
        assert_eq!(leader.read(0, 9).unwrap(), [record], "{release}");
        assert_eq!(leader.read(1, 9).unwrap(), [], "{release}");
        assert_eq!(leader.fence().unwrap(), Fence { upper: 1, ..fence });
        assert_eq!(
            store.open(release.version).id().unwrap(),
            leader.id().unwrap(),
            "every handle knows the store by the same name"
        );
    }
}

fn a_second_start_of_a_generation_fences_the_first(make: impl Fn() -> Fresh) {
    let store = make();
    let (mut first, mut second) = (store.open("current"), store.open("current"));
    let Role::Lead(old) = first.begin(3).unwrap() else {
        panic!("an empty store is ours")
    };
    first.append(old.token, 0, &insert(1)).unwrap();
    let Role::Lead(new) = second.begin(3).unwrap() else {
        panic!("a store of the same generation is ours")
    };
    assert!(new.token > old.token && new.upper == 1);
    assert_eq!(
        first.append(old.token, 1, &insert(2)).unwrap(),
        Appended::Fenced(new.token)
    );
    assert_eq!(
        first.migrate(old.token, 1).unwrap(),
        Migration::Done,
        "nothing is of an older format"
    );
}

fn a_store_that_was_recreated_is_another(make: impl Fn() -> Fresh) {
    let store = make();
    let mut old = store.open("v0.1.0");
    let Role::Lead(fence) = old.begin(0).unwrap() else {
        panic!("an empty store is ours")
    };
    old.append(fence.token, 0, &insert(1)).unwrap();
    let id = old.id().unwrap();
    store.remove();

    let mut new = store.open("v0.1.0");
    assert_eq!(
        new.begin(0).unwrap(),
        Role::Lead(Fence { upper: 0, ..fence })
    );
    new.append(fence.token, 0, &insert(2)).unwrap();
    let held = new.read(0, 9).unwrap();
    // To the number everything is as the old leader knows it.
    assert_eq!(new.fence().unwrap(), Fence { upper: 1, ..fence });
    let replaced = |error| assert!(matches!(error, StoreError::Replaced { .. }), "{error}");
    replaced(old.append(fence.token, 1, &insert(3)).unwrap_err());
    replaced(old.fence().unwrap_err());
    replaced(old.promote(0).unwrap_err());
    // A handle that was made before, and is first used now.
    let mut late = store.open("v0.1.0");
    replaced(
        late.tie(&id)
            .and_then(|()| late.append(fence.token, 1, &insert(3)))
            .unwrap_err(),
    );
    assert_eq!(new.fence().unwrap(), Fence { upper: 1, ..fence });
    assert_eq!(new.read(0, 9).unwrap(), held);
}

#[test]
fn a_file_with_another_store_put_into_it_is_another() {
    let store = Fresh::sqlite();
    let mut old = store.open("v0.1.0");
    let Role::Lead(fence) = old.begin(0).unwrap() else {
        panic!("an empty store is ours")
    };
    let StoreAddress::Sqlite(file) = &store.address else {
        unreachable!("it is in SQLite")
    };
    // As `.restore` of the sqlite3 shell leaves it: the same file.
    rusqlite::Connection::open(file)
        .unwrap()
        .execute(
            "UPDATE meta SET value = 'another' WHERE key = 'store_id'",
            [],
        )
        .unwrap();
    for error in [
        old.append(fence.token, 0, &insert(1)).unwrap_err(),
        old.fence().unwrap_err(),
        old.promote(0).unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::Replaced { .. }), "{error}");
    }
    assert_eq!(store.open("v0.1.0").read(0, 9).unwrap(), []);
}

#[test]
fn two_schemas_of_one_database_are_two_stores() {
    let (Some(one), Some(other)) = (Fresh::postgres(), Fresh::postgres()) else {
        return;
    };
    let (mut one, mut other) = (one.open("v0.1.0"), other.open("current"));
    assert!(matches!(one.begin(5).unwrap(), Role::Lead(_)));
    assert!(matches!(other.begin(0).unwrap(), Role::Lead(_)));
    assert_ne!(one.id().unwrap(), other.id().unwrap());
}

#[test]
fn addresses_are_read_back() {
    for text in [
        "sqlite:/tmp/a b.db",
        "postgres://me@h:5432/d?sslmode=disable&schema=s",
    ] {
        let address: StoreAddress = text.parse().unwrap();
        assert_eq!(address.to_string(), text);
    }
    for (text, wanted) in [
        ("sqlite:", "path"),
        ("mysql://me:SECRET@h/d", "`mysql` is no kind"),
        ("postgres:x", "postgres://user@host:port/database"),
    ] {
        let error = text.parse::<StoreAddress>().unwrap_err();
        assert!(error.contains(wanted), "{error}");
        assert!(!error.contains("SECRET"), "{error}");
    }
}

#[test]
fn tokens_are_ordered_by_generation_first() {
    let token = |generation, epoch| Token { generation, epoch };
    assert!(token(2, 1) > token(1, 9));
    assert!(token(2, 2) > token(2, 1));
}
