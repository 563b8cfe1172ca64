//! Points at which an instance waits for whoever asked it to.

use std::io::{BufRead, BufReader};
use std::os::unix::net::{UnixListener, UnixStream};

use crate::client::Sql;
use crate::in_place;
use crate::instance::{DEADLINE, Instance, Setup};
use crate::world::World;

/// What an instance waits for.
struct Socket {
    listener: UnixListener,
    path: String,
}

impl Socket {
    fn new(world: &World, name: &str) -> Self {
        let path = world.path(name);
        Socket {
            listener: UnixListener::bind(&path).expect("a socket"),
            path: path.to_str().expect("UTF-8").to_owned(),
        }
    }

    /// Waits for whoever comes; what they say, and what they wait on.
    fn accept(&self) -> (String, UnixStream) {
        let (stream, _) = self.listener.accept().expect("an instance");
        stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
        let mut line = String::new();
        BufReader::new(&stream)
            .read_line(&mut line)
            .expect("a line");
        (line, stream)
    }
}

fn held(setup: Setup, sockets: &[(&str, &Socket)]) -> Setup {
    let holds = sockets.iter();
    holds.fold(setup, |setup, (point, socket)| {
        setup.arg("--hold", &format!("{point}={}", socket.path))
    })
}

/// The points of a new generation up to its promotion, in their order.
const BEFORE: [&str; 3] = ["booting", "catching-up", "ready"];

/// Brings a new generation to a point, one after the other; returns it, ready.
fn through(world: &World, version: &str, more: &[(&str, &Socket)]) -> Instance {
    let sockets: Vec<Socket> = BEFORE
        .iter()
        .map(|point| Socket::new(world, point))
        .collect();
    let points: Vec<(&str, &Socket)> = BEFORE.into_iter().zip(&sockets).collect();
    let new = held(
        world.instance("new", version, 1),
        &[&points[..], more].concat(),
    )
    .start();
    for (point, socket) in points {
        let (line, waiting) = socket.accept();
        assert!(line.starts_with(&format!("{point} 1 ")), "{line}");
        drop(waiting);
    }
    new.wait_status("ReadyToPromote");
    new
}

#[test]
fn a_generation_waits_at_each_point_in_turn() {
    let world = World::sqlite();
    let (fenced, retiring) = (
        Socket::new(&world, "fenced"),
        Socket::new(&world, "retiring"),
    );
    let old = held(
        world.instance("old", "v0.1.0", 0),
        &[("old-fenced", &fenced), ("retiring", &retiring)],
    );
    let mut old = old.start();
    old.wait_status("IsLeader");
    old.wait_ready();
    Sql::connect(&old).ok("CREATE TABLE t (n int8)");
    let names = [
        "promote-sent",
        "fence-written",
        "new-restarting",
        "leader",
        "serving",
    ];
    let sockets: Vec<Socket> = names.iter().map(|name| Socket::new(&world, name)).collect();
    let points: Vec<(&str, &Socket)> = names.into_iter().zip(&sockets).collect();
    let mut new = through(&world, "v0.2.0", &points);

    // The promotion is answered when it is let go.
    std::thread::scope(|scope| {
        let sent = scope.spawn(|| new.promote().0);
        let (line, waiting) = sockets[0].accept();
        assert!(line.starts_with("promote-sent 1 "), "{line}");
        assert_eq!(new.status(), "ReadyToPromote");
        drop(waiting);
        assert_eq!(sent.join().unwrap(), 200);
    });

    // With the fence written, the old one knows; it stays as long as it must.
    let (_, fence) = sockets[1].accept();
    let (line, waiting) = fenced.accept();
    assert!(line.starts_with("old-fenced 0 "), "{line}");
    drop(waiting);
    let (_, leaving) = retiring.accept();
    drop(fence);
    let (_, waiting) = sockets[2].accept();
    drop(waiting);
    assert_eq!(new.wait_exit(), 166);
    drop(leaving);
    assert_eq!(old.wait_exit(), 0);

    new.restart();
    let (line, waiting) = sockets[3].accept();
    assert!(line.starts_with("leader 1 "), "{line}");
    assert_eq!(new.status(), "IsLeader");
    drop(waiting);
    let (_, waiting) = sockets[4].accept();
    assert_eq!(Sql::connect(&new).int("SELECT count(*) FROM t"), 0);
    drop(waiting);
}

#[test]
fn one_that_is_promoted_in_place_waits_as_the_leader_and_never_restarts() {
    let world = World::sqlite();
    let _old = world.leader("old", "v0.1.0", 0);
    let names = ["new-restarting", "leader", "serving"];
    let sockets: Vec<Socket> = names.iter().map(|name| Socket::new(&world, name)).collect();
    let points: Vec<(&str, &Socket)> = names.into_iter().zip(&sockets).collect();
    let new = through(&world, in_place::release(), &points);
    assert_eq!(new.promote().0, 200);
    for socket in &sockets[1..] {
        drop(socket.accept().1);
    }
    new.wait_status("IsLeader");
    sockets[0].listener.set_nonblocking(true).unwrap();
    assert!(sockets[0].listener.accept().is_err());
}

#[test]
fn without_anybody_who_listens_nothing_waits_and_what_waits_can_be_killed() {
    let world = World::sqlite();
    let _old = world.leader("old", "v0.1.0", 0);
    let nobody = world.path("nobody");
    let hold = format!("ready={}", nobody.display());
    let new = world
        .instance("new", "v0.2.0", 1)
        .arg("--hold", &hold)
        .start();
    new.wait_status("ReadyToPromote");
    drop(new);

    let socket = Socket::new(&world, "ready");
    let mut held_ = held(world.instance("held", "v0.2.0", 2), &[("ready", &socket)]).start();
    let (_, mut waiting) = socket.accept();
    held_.kill();
    let end = std::io::Read::read(&mut waiting, &mut [0; 8]);
    assert!(
        matches!(end, Ok(0)),
        "its end closes the connection: {end:?}"
    );
}

#[test]
fn what_is_no_point_is_refused_with_the_nearest() {
    let world = World::sqlite();
    for (hold, what) in [
        ("redy=/s", "there is no point `redy`; did you mean `ready`?"),
        ("ready", "`ready` is not POINT=SOCKET"),
        ("ready=", "is not POINT=SOCKET"),
    ] {
        let instance = world.instance("bad", "v0.1.0", 0).arg("--hold", hold);
        let (code, said) = instance.run_to_end();
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(what), "{said}");
    }
}
