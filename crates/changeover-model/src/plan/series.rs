//! The runs of a plan that is run several times.

use super::Plan;

impl Plan {
    /// Whether there is more than one run of it, so that it is a series.
    pub fn is_series(&self) -> bool {
        self.repeat > 1 || self.control
    }

    /// The directories of its runs in that of the series: `1`, `2` and so on.
    pub fn run_names(&self) -> Vec<String> {
        (1..=self.repeat).map(|run| run.to_string()).collect()
    }

    /// The directories of its control runs: `control-1` and so on; none without a control.
    pub fn control_names(&self) -> Vec<String> {
        let runs = if self.control { self.repeat } else { 0 };
        (1..=runs).map(|run| format!("control-{run}")).collect()
    }

    /// The plan of each of its runs.
    pub fn of_one_run(&self) -> Plan {
        Plan {
            repeat: 1,
            control: false,
            ..self.clone()
        }
    }

    /// The plan of each of its control runs: the same with restarts of the last version instead of upgrades. The system
    /// parameters stay, since the last version is started with them in the upgrades, too.
    pub fn of_one_control_run(&self) -> Plan {
        let mut plan = self.of_one_run();
        let Some(version) = self.path.last() else {
            return plan;
        };
        let image = (0..self.services.len())
            .rev()
            .find(|index| self.version_of_service(*index) == version)
            .and_then(|index| self.services[index].image.clone());
        for service in &mut plan.services {
            service.image = image.clone();
        }
        for step in &mut plan.steps {
            step.from = version.clone();
            step.to = version.clone();
        }
        // Long enough for every step, of which those that are called off add no version to it.
        plan.path = vec![version.clone(); plan.steps.len() + 1];
        if let Ok(hops) = plan.validate_steps() {
            plan.path = hops;
        }
        plan.strategy = "versions".to_owned();
        // What was found was about the upgrades.
        plan.findings.clear();
        plan
    }
}
