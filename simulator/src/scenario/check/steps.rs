//! Checks of the steps.

use std::collections::{BTreeMap, BTreeSet};

use super::{Findings, Names, expect, observe, traffic, workloads};
use crate::scenario::{
    address::PodRef,
    model::{Control, Expect, Fault, Probe, Probes, Reading, Scenario, Step, Traffic, Until, Wait},
    nearest::list,
    schema::VERBS,
    tree::FieldPath,
};

pub(super) fn check(scenario: &Scenario, names: &Names<'_>, found: &mut Findings) {
    let path = FieldPath::default().key("steps");
    let mut walk = Walk { names, found, position: 0, ids: BTreeSet::new(), proves: !scenario.always.is_empty() };
    if scenario.steps.is_empty() && scenario.always.is_empty() {
        walk.found.error(path.clone(), "empty", "there are no steps");
    }
    walk.steps(&scenario.steps, &path, false);
    if !walk.proves && !scenario.steps.is_empty() {
        let message = "nothing in this scenario can fail: no step expects anything";
        walk.found.hinted(path, "proves-nothing", message, "add a `traffic` step with `expect`, or `probes`");
    }
    for (index, check) in scenario.always.iter().enumerate() {
        let path = FieldPath::default().key("always").index(index);
        walk.traffic_and_expect(Some(&check.traffic), Some(&check.expect), &path, false);
        if check.traffic.duration.is_some() || check.expect.within.is_some() {
            walk.found.error(path, "contradiction", "a check of `always` is judged at once: no `for`, no `within`");
        }
    }
}

struct Walk<'a, 'n> {
    names: &'a Names<'n>,
    found: &'a mut Findings,
    /// Of the current step, as [`Names::traffic_ids`] counts.
    position: usize,
    ids: BTreeSet<&'a str>,
    /// Whether any step so far can fail.
    proves: bool,
}

impl<'a> Walk<'a, '_> {
    fn steps(&mut self, steps: &'a [Step], path: &FieldPath, parallel: bool) {
        for (index, step) in steps.iter().enumerate() {
            self.position += 1;
            self.step(step, &path.index(index), parallel);
        }
    }

    fn step(&mut self, step: &'a Step, path: &FieldPath, parallel: bool) {
        if let Some(id) = &step.id
            && !self.ids.insert(id)
        {
            self.found.error(path.key("id"), "repeated-id", format!("an earlier step is called `{id}`"));
        }
        self.verbs(step, path);
        self.resources(step, path);
        self.traffic_and_expect(step.traffic.as_ref(), step.expect.as_ref(), path, parallel);
        self.proves |=
            step.expect.is_some() || step.diagnostic.is_some() || step.probes.is_some() || step.control.is_some();
        if let Some(wait) = &step.wait {
            self.wait(wait, &path.key("wait"));
        }
        if let Some(control) = &step.control {
            self.control(control, &path.key("control"));
        }
        if let Some(probes) = &step.probes {
            self.probes(probes, &path.key("probes"));
        }
        if let Some(reading) = &step.reading {
            self.reading(reading, &path.key("reading"));
        }
        if let Some(fault) = &step.fault {
            self.fault(fault, &path.key("fault"));
        }
        self.proves |= observe::check(step, self.names, path, self.found);
        if let Some(branches) = &step.parallel {
            self.parallel(branches, &path.key("parallel"));
        }
        if let Some(repeat) = &step.repeat {
            let path = path.key("repeat");
            if !(1..=1000).contains(&repeat.times) {
                self.found.error(path.key("times"), "range", "steps are repeated 1 to 1000 times");
            }
            self.not_empty(repeat.steps.is_empty(), &path.key("steps"));
            self.steps(&repeat.steps, &path.key("steps"), parallel);
        }
    }

    fn verbs(&mut self, step: &Step, path: &FieldPath) {
        let has = [
            step.apply.is_some(),
            step.delete.is_some(),
            step.wait.is_some(),
            step.control.is_some(),
            step.traffic.is_some(),
            step.probes.is_some(),
            step.reading.is_some(),
            step.fault.is_some(),
            step.collected.is_some(),
            step.logged.is_some(),
            step.metrics.is_some(),
            step.traffic_metrics.is_some(),
            step.parallel.is_some(),
            step.repeat.is_some(),
        ];
        let verbs: Vec<&str> = VERBS.iter().zip(has).filter(|(_, has)| *has).map(|(verb, _)| *verb).collect();
        match verbs.as_slice() {
            [_] => {}
            [] => {
                let hint = format!("add one of {}", list(&VERBS));
                self.found.hinted(path.clone(), "verb", "the step does nothing", hint);
            }
            [first, ..] => {
                let message = format!("a step does one thing, this one has {}", list(&verbs));
                self.found.hinted(path.key(*first), "verb", message, "make a step of each");
            }
        }
        if step.traffic.is_some() && step.expect.is_none() {
            let hint = "add `expect`, for example `expect: {allowed: true}`";
            self.found.hinted(path.key("traffic"), "no-expectation", "traffic without `expect` proves nothing", hint);
        }
        if step.traffic.is_none() && step.expect.is_some() {
            let message = "`expect` judges the `traffic` of its step, and there is none";
            self.found.error(path.key("expect"), "misplaced", message);
        }
        if step.may_refuse && step.apply.is_none() {
            self.found.error(path.key("mayRefuse"), "misplaced", "only what is applied can be refused");
        }
        if step.diagnostic.is_some() && step.apply.is_none() {
            self.found.error(
                path.key("diagnostic"),
                "misplaced",
                "a diagnostic is what comes of `apply`, and there is none",
            );
        }
    }

    fn resources(&mut self, step: &Step, path: &FieldPath) {
        for (verb, resources) in [("apply", &step.apply), ("delete", &step.delete)] {
            let Some(resources) = resources else { continue };
            self.not_empty(resources.is_empty(), &path.key(verb));
            for (index, name) in
                resources.iter().enumerate().filter(|(_, name)| !self.names.resources.contains(name.as_str()))
            {
                let path = path.key(verb).index(index);
                let known = self.names.resources.iter().copied();
                self.found.unknown(path, ("unknown-resource", "resource"), name, known);
            }
        }
    }

    fn traffic_and_expect(
        &mut self,
        traffic: Option<&Traffic>,
        expect: Option<&Expect>,
        path: &FieldPath,
        parallel: bool,
    ) {
        if let Some(traffic) = traffic {
            traffic::check(traffic, expect, parallel, self.names, &path.key("traffic"), self.found);
        }
        if let Some(expect) = expect {
            expect::check(expect, traffic.map(|t| t.proto), self.names, &path.key("expect"), self.found);
        }
    }

    fn wait(&mut self, wait: &Wait, path: &FieldPath) {
        self.found.duration(wait.within.as_ref(), path.key("within"));
        if let Until::Rejected(workload) = &wait.until {
            self.proves = true;
            self.workload(workload, &path.key("until").key("rejected"));
        }
    }

    fn control(&mut self, control: &Control, path: &FieldPath) {
        let id = control.discriminates.as_str();
        match self.names.traffic_ids.get(id) {
            Some(position) if *position > self.position => {}
            Some(_) => {
                let message = format!("`{id}` comes before this control: a control shows that a later step can fail");
                self.found.error(path.key("discriminates"), "control", message);
            }
            None => {
                let known = self.names.traffic_ids.keys().copied();
                self.found.unknown(
                    path.key("discriminates"),
                    ("unknown-step", "`traffic` step with the id"),
                    id,
                    known,
                );
            }
        }
        if control.traffic.is_some() || control.expect.is_some() {
            self.traffic_and_expect(control.traffic.as_ref(), control.expect.as_ref(), path, false);
        }
    }

    fn probes(&mut self, probes: &Probes, path: &FieldPath) {
        self.not_empty(probes.rows.is_empty(), &path.key("rows"));
        for (index, row) in probes.rows.iter().enumerate() {
            self.probe(row, probes, &path.key("rows").index(index), path);
        }
    }

    fn reading(&mut self, reading: &Reading, path: &FieldPath) {
        self.proves = true;
        self.traffic_and_expect(Some(&reading.traffic), reading.readings.values().next(), path, false);
        if reading.readings.len() < 2 {
            let message = "one reading is no question: name every way in which the clause can be read";
            self.found.error(path.key("readings"), "reading", message);
        }
        for (name, expect) in &reading.readings {
            let path = path.key("readings").key(name.as_str());
            expect::check(expect, Some(reading.traffic.proto), self.names, &path, self.found);
        }
        for (one, other) in pairs(&reading.readings) {
            if reading.readings[one] == reading.readings[other] {
                let message = format!("`{one}` and `{other}` expect the same: nothing can tell them apart");
                self.found.error(path.key("readings").key(other), "reading", message);
            }
        }
    }

    fn probe(&mut self, row: &Probe, probes: &Probes, path: &FieldPath, table: &FieldPath) {
        let given: Vec<&str> =
            [("get", row.get.is_some()), ("post", row.post.is_some()), ("method", row.method.is_some())]
                .into_iter()
                .filter_map(|(field, given)| given.then_some(field))
                .collect();
        if given.len() > 1 {
            self.found.error(
                path.key(given[1]),
                "contradiction",
                format!("a row has one method, this one has {}", list(&given)),
            );
        } else if row.path.is_some() && (row.get.is_some() || row.post.is_some()) {
            self.found.error(path.key("path"), "contradiction", format!("`{}` names the path already", given[0]));
        }
        for (field, own, shared) in [("from", &row.from, &probes.from), ("to", &row.to, &probes.to)] {
            if own.is_none() && shared.is_none() {
                let message = format!("neither the row nor the table says `{field}`");
                self.found.error(path.clone(), "missing", message);
            }
        }
        let place = |field: &str, own: bool| if own { path.key(field) } else { table.key(field) };
        let request = traffic::Request {
            from: row.from.as_ref().or(probes.from.as_ref()),
            from_path: place("from", row.from.is_some()),
            to: row.to.as_ref().or(probes.to.as_ref()),
            to_path: place("to", row.to.is_some()),
            method: row.method.as_ref(),
            path: row.get.as_ref().or(row.post.as_ref()).or(row.path.as_ref()),
            headers: &row.headers,
            present: row.present.as_ref(),
            may_fail: row.expect.denied.is_some() || row.expect.predicted,
        };
        traffic::check_request(&request, self.names, path, self.found);
        let proto = row.proto.or(probes.proto).unwrap_or_default();
        expect::check(&row.expect, Some(proto), self.names, &path.key("expect"), self.found);
        if row.expect.split.is_some() {
            let message = "one request decides no split: use a `traffic` step with `n: auto`";
            self.found.error(path.key("expect").key("split"), "contradiction", message);
        }
    }

    fn fault(&mut self, fault: &Fault, path: &FieldPath) {
        match fault {
            Fault::ControlPlane(_) | Fault::RotateCertificates(_) => {}
            Fault::AdvanceClock(by) => self.found.duration(Some(by), path.key("advanceClock")),
            Fault::RestartProxy(workload) => self.workload(workload, &path.key("restartProxy")),
            Fault::Remove(workload) => self.workload(workload, &path.key("remove")),
            Fault::Poison(workload) => self.workload(workload, &path.key("poison")),
            Fault::Unpoison(workload) => self.workload(workload, &path.key("unpoison")),
            Fault::Ready(ready) => self.workload(&ready.workload, &path.key("ready").key("workload")),
            Fault::Respond(change) => {
                self.workload(&change.workload, &path.key("respond").key("workload"));
                workloads::respond(&change.with, &path.key("respond").key("with"), self.found);
            }
        }
    }

    fn workload(&mut self, workload: &str, path: &FieldPath) {
        traffic::check_pod(workload.parse::<PodRef>(), self.names, path, self.found);
    }

    fn parallel(&mut self, branches: &'a [Vec<Step>], path: &FieldPath) {
        let endless = |branch: &Vec<Step>| {
            branch.iter().any(|step| step.traffic.as_ref().and_then(|t| t.duration.as_deref()) == Some("until-done"))
        };
        self.not_empty(branches.is_empty(), path);
        if !branches.is_empty() && branches.iter().all(endless) {
            let message = "every branch waits until the others have ended: one must end by itself";
            self.found.error(path.clone(), "endless", message);
        }
        for (index, branch) in branches.iter().enumerate() {
            self.not_empty(branch.is_empty(), &path.index(index));
            self.steps(branch, &path.index(index), true);
        }
    }

    fn not_empty(&mut self, empty: bool, path: &FieldPath) {
        if empty {
            self.found.error(path.clone(), "empty", "the list is empty");
        }
    }
}

/// Every pair of names.
fn pairs(readings: &BTreeMap<String, Expect>) -> impl Iterator<Item = (&str, &str)> {
    let names = || readings.keys().map(String::as_str).enumerate();
    names().flat_map(move |(i, one)| names().filter(move |(j, _)| i < *j).map(move |(_, other)| (one, other)))
}
