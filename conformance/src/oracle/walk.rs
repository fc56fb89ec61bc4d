//! The steps of a scenario, and whether the oracle agrees with each expectation that they state.

use std::fmt;

use simulator::{
    run::aim::describe,
    scenario::model::{Control, ControlPlane, Expect, Fault, Reading, Scenario, Step, Traffic},
};

use super::{
    Readings, Request, Unknown, World,
    expect::{Comparison, compare},
    steps::changes,
};
use crate::catalogue;

/// How far a scenario and the oracle agree.
#[derive(Clone, Debug, Default)]
pub struct Agreement {
    /// Expectations that the oracle could judge.
    pub judged: usize,
    /// Those that it could not.
    pub unjudged: Vec<Unjudged>,
    /// Where it says otherwise.
    pub disagreements: Vec<Disagreement>,
}

/// An expectation that the oracle cannot judge.
#[derive(Clone, Debug)]
pub struct Unjudged {
    /// The step, counted from 1, and what is sent.
    pub place: String,
    /// Why.
    pub why: String,
}

/// An expectation that the oracle says otherwise about.
#[derive(Clone, Debug)]
pub struct Disagreement {
    /// The step, counted from 1, and what is sent.
    pub place: String,
    /// What the scenario says.
    pub stated: String,
    /// What the oracle says, and by which clauses.
    pub oracle: String,
}

/// Compares the scenario, as this project's own mesh reads ambiguous clauses.
#[must_use]
pub fn agrees(scenario: &Scenario) -> Agreement {
    Walk::new(scenario, World::new(scenario), Readings::ours(), true).all()
}

/// The same for every other way of reading one clause: the clause, its reading, and what does not hold then. `reading` steps are
/// left out: they are about all readings anyway.
#[must_use]
pub fn depends(scenario: &Scenario) -> Vec<(&'static str, &'static str, Disagreement)> {
    let (world, ours) = (World::new(scenario), Readings::ours());
    let mut walk = Walk::new(scenario, world.clone(), ours.clone(), false);
    let anyway = walk.all().disagreements;
    let ours = walk.readings;
    let is_new =
        |one: &Disagreement| !anyway.iter().any(|other| (&other.place, &other.stated) == (&one.place, &one.stated));
    let mut found = Vec::new();
    for (clause, reading) in ours.others().filter(|(clause, _)| ours.mattered(clause)) {
        let mut walk = Walk::new(scenario, world.clone(), ours.but(clause, reading), false);
        found.extend(
            walk.all().disagreements.into_iter().filter(&is_new).map(|disagreement| (clause, reading, disagreement)),
        );
    }
    found
}

struct Walk<'a> {
    scenario: &'a Scenario,
    readings: Readings,
    asks_readings: bool,
    /// What may be in force: first that everything was taken, then what a mesh may have refused.
    worlds: Vec<World>,
    /// What was in force when the control plane went down.
    frozen: Vec<World>,
    /// What comes to be in force, one after the other, while something else is sent; none if nothing changes meanwhile.
    meanwhile: Vec<World>,
    /// Whether `meanwhile` is being found out.
    records: bool,
    /// Several things change at the same time.
    unstable: bool,
    place: String,
    found: Agreement,
}

impl<'a> Walk<'a> {
    fn new(scenario: &'a Scenario, world: World, readings: Readings, asks_readings: bool) -> Self {
        Self {
            scenario,
            readings,
            asks_readings,
            worlds: vec![world],
            frozen: Vec::new(),
            meanwhile: Vec::new(),
            records: false,
            unstable: false,
            place: String::new(),
            found: Agreement::default(),
        }
    }

    fn all(&mut self) -> Agreement {
        self.always("at the start");
        for (i, step) in self.scenario.steps.iter().enumerate() {
            let number = (i + 1).to_string();
            self.step(&number, step);
            self.always(&format!("after step {number}"));
        }
        std::mem::take(&mut self.found)
    }

    fn always(&mut self, place: &str) {
        for check in &self.scenario.always {
            place.clone_into(&mut self.place);
            self.holds(&check.traffic, &check.expect);
        }
    }

    fn step(&mut self, number: &str, step: &'a Step) {
        self.place = match &step.id {
            Some(id) => format!("step {number} ({id})"),
            None => format!("step {number}"),
        };
        for resource in step.apply.iter().flatten() {
            self.apply(resource, step);
        }
        for resource in step.delete.iter().flatten() {
            self.worlds.iter_mut().for_each(|world| world.delete(resource));
        }
        if let Some(fault) = &step.fault {
            self.fault(fault);
        }
        if self.records {
            self.meanwhile.extend(self.worlds.iter().chain(&self.frozen).cloned());
        }
        if let (Some(traffic), Some(expect)) = (&step.traffic, &step.expect) {
            self.holds(traffic, expect);
        }
        for row in step.probes.iter().flat_map(|probes| probes.rows.iter().map(move |row| (probes, row))) {
            self.holds(&row.0.traffic(row.1), &row.1.expect);
        }
        if let Some(control) = &step.control {
            self.control(control);
        }
        if let Some(reading) = step.reading.as_ref().filter(|_| self.asks_readings) {
            self.reading(reading);
        }
        if let Some(branches) = &step.parallel {
            self.parallel(number, branches);
        }
        if let Some(repeat) = &step.repeat {
            // Whatever comes round twice comes round for good.
            for round in 1..=repeat.times.min(2) {
                for (i, inner) in repeat.steps.iter().enumerate() {
                    self.step(&format!("{number}.{round}.{}", i + 1), inner);
                }
            }
        }
    }

    /// What a mesh may refuse is in force, or not: what is expected later must hold either way.
    fn apply(&mut self, resource: &str, step: &Step) {
        let mut without = Vec::new();
        let mut refused = None;
        for world in &mut self.worlds {
            let before = world.clone();
            if let Err(why) = world.apply(resource) {
                *world = before;
                refused = Some(why);
            } else if step.may_refuse {
                without.push(before);
            }
        }
        self.worlds.append(&mut without);
        let expected = step.may_refuse || step.diagnostic.is_some();
        if let Some(why) = refused.filter(|_| !expected) {
            self.disagree("", format!("{resource} is taken"), format!("an API server must refuse it: {why}"));
        }
    }

    fn fault(&mut self, fault: &Fault) {
        for world in &mut self.worlds {
            match fault {
                Fault::Ready(readiness) => world.set_ready(&readiness.workload, readiness.ready),
                Fault::Remove(workload) => world.remove(workload),
                Fault::AdvanceClock(_) => world.estrange("certificates may have expired"),
                Fault::Poison(_) | Fault::Unpoison(_) => world.estrange("a sidecar has refused its configuration"),
                Fault::ControlPlane(_) | Fault::Respond(_) | Fault::RestartProxy(_) | Fault::RotateCertificates(_) => {}
            }
        }
        match fault {
            Fault::ControlPlane(ControlPlane::Kill) => self.frozen = self.worlds.clone(),
            Fault::ControlPlane(ControlPlane::Start) => self.frozen.clear(),
            _ => {}
        }
    }

    fn holds(&mut self, traffic: &Traffic, expect: &Expect) {
        self.judge(traffic, expect, |wrong| (!wrong.is_empty()).then(|| wrong.join(", ")));
    }

    /// What is stated to hold now must hold, and what the later step states must not.
    fn control(&mut self, control: &Control) {
        let later = Step::find(&self.scenario.steps, &control.discriminates);
        let Some((Some(traffic), Some(expect))) = later.map(|step| (&step.traffic, &step.expect)) else {
            let stated = format!("it discriminates {}", control.discriminates);
            return self.disagree("", stated, "no step of this name sends traffic and expects something".to_owned());
        };
        if let Some(now) = &control.expect {
            self.holds(control.traffic.as_ref().unwrap_or(traffic), now);
        }
        let words = format!("what {} expects does not hold yet", control.discriminates);
        self.judge(traffic, expect, |wrong| wrong.is_empty().then(|| words.clone()));
    }

    /// Compares in every world that may be in force. `complaint` makes a statement of what does not agree, if it should have.
    fn judge(&mut self, traffic: &Traffic, expect: &Expect, complaint: impl Fn(&[String]) -> Option<String>) {
        let what = describe(traffic);
        if self.unstable {
            return self.cannot(&what, "several things change at the same time");
        }
        let beside = !self.records && !self.meanwhile.is_empty();
        let in_force: Vec<&World> =
            if beside { self.meanwhile.iter().collect() } else { self.worlds.iter().chain(&self.frozen).collect() };
        let mut complaints = Vec::new();
        for world in in_force {
            match answer(world, traffic, expect, &self.readings) {
                Err(why) => return self.cannot(&what, &why.0),
                Ok((_, comparison)) if !comparison.judged => {
                    return self.cannot(&what, "it states nothing of who gets it");
                }
                Ok((_, comparison)) if beside && (!comparison.each || expect.within.is_some()) => {
                    return self.cannot(&what, "something changes at the same time");
                }
                Ok((answer, comparison)) => {
                    complaints.push(complaint(&comparison.wrong).map(|stated| (stated, answer)));
                }
            }
        }
        let mixed = complaints.iter().any(Option::is_none) && !complaints.iter().all(Option::is_none);
        if !self.frozen.is_empty() && mixed {
            return self.cannot(&what, "the control plane was down when something changed");
        }
        self.found.judged += 1;
        if let Some((stated, answer)) = complaints.into_iter().flatten().next() {
            self.disagree(&what, stated, answer);
        }
    }

    /// However the clause is read, exactly the expectation of that reading must hold.
    fn reading(&mut self, reading: &Reading) {
        let what = format!("{}, {}", reading.clause, describe(&reading.traffic));
        let known = catalogue::clause(&reading.clause).map(|clause| &clause.readings);
        for name in reading.readings.keys() {
            if !known.is_some_and(|known| known.contains_key(name)) {
                return self.disagree(
                    &what,
                    format!("it can be read as {name}"),
                    "no such reading is known".to_owned(),
                );
            }
            let readings = self.readings.but(&reading.clause, name);
            for i in 0..self.worlds.len() {
                let (mut holding, mut said, mut partial) = (Vec::new(), String::new(), false);
                for (other, expect) in &reading.readings {
                    match answer(&self.worlds[i], &reading.traffic, expect, &readings) {
                        Err(why) => return self.cannot(&format!("{what}, read as {name}"), &why.0),
                        Ok((answer, comparison)) if comparison.wrong.is_empty() => {
                            partial |= comparison.partial || !comparison.judged;
                            holding.push(other.as_str());
                            said = answer;
                        }
                        Ok((answer, _)) => said = answer,
                    }
                }
                // Where the mesh refused something, the clause may not even come into question.
                let right = if i == 0 { holding == [name.as_str()] } else { holding.len() == 1 };
                if !right && partial && holding.contains(&name.as_str()) {
                    self.cannot(&what, "what tells the readings apart is not who gets it");
                    continue;
                }
                self.found.judged += 1;
                if !right {
                    let held = if holding.is_empty() { "none".to_owned() } else { holding.join(" and ") };
                    self.disagree(&what, format!("read as {name}, that expectation holds alone, not {held}"), said);
                }
            }
        }
    }

    /// Where only one branch changes something, that branch is like any other steps. What is sent beside it must end as expected
    /// in every state that it may meet.
    fn parallel(&mut self, number: &str, branches: &'a [Vec<Step>]) {
        let (changing, others): (Vec<_>, Vec<_>) =
            branches.iter().enumerate().partition(|(_, branch)| branch.iter().any(changes));
        let outer = (self.unstable, self.records);
        self.unstable |= changing.len() > 1;
        if !changing.is_empty() && !self.unstable {
            self.records = true;
            self.meanwhile.extend(self.worlds.iter().cloned());
        }
        for (b, branch) in changing.iter().copied() {
            self.branch(&format!("{number}.{}", b + 1), branch);
        }
        self.records = outer.1;
        for (b, branch) in others {
            self.branch(&format!("{number}.{}", b + 1), branch);
        }
        self.unstable = outer.0;
        if !self.records {
            self.meanwhile.clear();
        }
        if changing.len() > 1 {
            self.worlds.iter_mut().for_each(|world| world.estrange("several things changed at the same time"));
        }
    }

    fn branch(&mut self, number: &str, branch: &'a [Step]) {
        for (i, step) in branch.iter().enumerate() {
            self.step(&format!("{number}.{}", i + 1), step);
        }
    }

    fn cannot(&mut self, what: &str, why: &str) {
        self.found.unjudged.push(Unjudged { place: self.at(what), why: why.to_owned() });
    }

    fn disagree(&mut self, what: &str, stated: String, oracle: String) {
        self.found.disagreements.push(Disagreement { place: self.at(what), stated, oracle });
    }

    fn at(&self, what: &str) -> String {
        if what.is_empty() { self.place.clone() } else { format!("{}: {what}", self.place) }
    }
}

fn answer(
    world: &World,
    traffic: &Traffic,
    expect: &Expect,
    readings: &Readings,
) -> Result<(String, Comparison), Unknown> {
    let answer = world.answer(&Request::new(traffic)?, readings)?;
    Ok((answer.to_string(), compare(&answer, expect)))
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  the scenario: {}\n  the oracle:   {}", self.place, self.stated, self.oracle)
    }
}

impl fmt::Display for Unjudged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.why)
    }
}
