use super::*;
use crate::budget::Measured;
use crate::gap::StepGaps;
use crate::lanes::LANES;
use crate::testing::{Events, MS, events, plan};
use changeover_model::event::{EndMeaning, ProcessEnd};
use changeover_model::status::DeploymentStatus::IsLeader;

/// A plan that calls its hop off at each of these points, and then goes through.
fn attempts(points: &[Point]) -> Plan {
    let steps = u32::try_from(points.len()).unwrap() + 1;
    let mut plan = plan(steps);
    let (from, to) = (plan.path[0].clone(), plan.path[1].clone());
    plan.path.truncate(2);
    plan.abort_at = Some(EVERY_POINT.to_owned());
    for (index, step) in plan.steps.iter_mut().enumerate() {
        step.called_off_at = points.get(index).copied();
        (step.from, step.to) = (from.clone(), to.clone());
        (step.service, step.previous_service) = ("mz_2".to_owned(), "mz_1".to_owned());
        plan.services[index + 1].name = "mz_2".to_owned();
    }
    plan.validate().unwrap();
    plan
}

/// A step that is called off; what happens to the leader between the point and its end is `between`.
fn called_off(
    e: &mut Events,
    plan: &Plan,
    step: u32,
    old_leads: bool,
    between: impl FnOnce(&mut Events),
) {
    let at = u64::from(step) * 1000;
    let point = plan.steps[step as usize - 1].called_off_at.unwrap();
    e.step(step).on(u64::from(step)).at_ms(at).started();
    e.at_ms(at + 100).push(EventKind::CallOffIntent { point });
    e.on(0);
    between(e);
    e.step(step).on(u64::from(step)).at_ms(at + 120);
    e.push(EventKind::CallOffDone { point, old_leads });
    e.ended(false).at_ms(at + 600);
}

fn comeback(e: &mut Events, problem: Option<&str>) {
    e.on(0).push(EventKind::ComebackIntent);
    e.push(EventKind::ComebackDone {
        problem: problem.map(str::to_owned),
    });
}

fn through(e: &mut Events, step: u32, completed: bool) {
    e.step(step)
        .on(u64::from(step))
        .at_ms(u64::from(step) * 1000)
        .started();
    e.at_ms(u64::from(step) * 1000 + 100)
        .status(IsLeader)
        .push(EventKind::SwitchDone);
    e.ended(completed);
}

fn judged(plan: &Plan, events: &Events, gap: Option<(u32, u64)>) -> CallOffs {
    let timeline = Timeline::new(&events.list);
    let faults = Faults::new(plan, &events.list);
    let measured: Vec<(Measured, Vec<Window>)> = gap
        .map(|(step, length)| {
            let start = u64::from(step) * 1000 * MS + 10 * MS;
            let window = Window {
                start,
                end: start + length * MS,
            };
            let measured = Measured {
                lane: LANES[0],
                step: Some(step),
                gaps: StepGaps {
                    longest: Some(window.length()),
                    count: 1,
                    ..StepGaps::default()
                },
                unexplained: None,
                doubtful: false,
            };
            (measured, vec![window])
        })
        .into_iter()
        .collect();
    judge(plan, &events.list, &timeline, &measured, &faults, &[])
}

#[test]
fn what_nobody_noticed_worked() {
    let plan = attempts(&[Point::Ready]);
    let mut e = events();
    called_off(&mut e, &plan, 1, true, |_| {});
    comeback(&mut e, None);
    through(&mut e, 2, true);
    let found = judged(&plan, &e, Some((1, 200)));
    assert!(found.reports[&1].worked, "{}", found.reports[&1].reason);
    assert!(found.findings.is_empty());
}

#[test]
fn what_somebody_noticed_is_found_before_the_fence() {
    let plan = attempts(&[Point::Ready]);
    let reason = |build: &dyn Fn(&mut Events), gap| {
        let mut e = events();
        build(&mut e);
        let found = judged(&plan, &e, gap);
        let checks: Vec<Check> = found.findings.iter().map(|f| f.check).collect();
        assert_eq!(checks, [Check::AbortNoticed]);
        found.reports[&1].reason.clone()
    };
    let calm = |e: &mut Events| called_off(e, &plan, 1, true, |_| {});
    let led_no_more = reason(&|e| called_off(e, &plan, 1, false, |_| {}), None);
    assert_eq!(led_no_more, "mz_1 does not lead any more");
    let ended = reason(
        &|e| {
            called_off(e, &plan, 1, true, |e| {
                e.end(ProcessEnd::Code(1), EndMeaning::Crash);
            });
            comeback(e, None);
        },
        None,
    );
    assert_eq!(ended, "the process of mz_1 ended");
    let refused = reason(
        &|e| {
            calm(e);
            comeback(e, Some("the store is too new"));
        },
        None,
    );
    assert_eq!(refused, "mz_1 cannot start again: the store is too new");
    let gap = reason(
        &|e| {
            calm(e);
            comeback(e, None);
        },
        Some((1, 201)),
    );
    assert!(gap.contains("no success for 201 ms"), "{gap}");
    let later = reason(
        &|e| {
            calm(e);
            comeback(e, None);
            through(e, 2, false);
        },
        None,
    );
    assert!(later.contains("with generation 2, did not succeed"));
}

#[test]
fn the_last_point_that_works_is_the_point_of_no_return() {
    let plan = attempts(&[
        Point::Ready,
        Point::PromoteSent,
        Point::FenceWritten,
        Point::Leader,
    ]);
    let mut e = events();
    for step in [1, 2] {
        called_off(&mut e, &plan, step, true, |_| {});
        comeback(&mut e, None);
    }
    called_off(&mut e, &plan, 3, false, |_| {});
    through(&mut e, 5, true);
    let found = judged(&plan, &e, None);
    assert!(
        found.findings.is_empty(),
        "beyond the fence nothing was promised"
    );
    let [point] = found.point_of_no_return.as_slice() else {
        panic!("{:?}", found.point_of_no_return)
    };
    assert_eq!(
        (point.step, point.point, point.fails_at),
        (5, Some(Point::PromoteSent), Some(Point::FenceWritten))
    );
    assert_eq!(
        point.sentence,
        "v0.1.0 → v0.2.0 can be called off up to point promote-sent, with all data; at point fence-written mz_1 does not lead any more"
    );
    assert_eq!(left_out(&plan, &e.list), [4]);
}
