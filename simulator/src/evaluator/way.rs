//! The ways that a request can take, their ends, and how equal ends add up.

use std::sync::Arc;

use super::{
    Delivered, Denial, Evaluation, Outcome, Verdict,
    share::{Share, common},
    trace::{Stage, Trace},
    unmodelled::{Modelled, Unmodelled},
};
use crate::scenario::model::{Because, Shape};

/// A way so far: what share of the requests takes it, and the steps taken.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) share: Share,
    pub(super) trace: Trace,
    /// Proxies passed.
    pub(super) hops: usize,
    /// Network RBAC would refuse whatever the client says.
    pub(super) banner_only: bool,
}

/// A finished way.
#[derive(Debug)]
pub(super) struct Branch {
    share: Share,
    end: End,
    trace: Trace,
}

/// Finished ways.
pub(super) type Branches = Vec<Branch>;

#[derive(Debug, PartialEq, Eq)]
enum End {
    Delivered(Delivered),
    Refused(Refused),
}

/// A refusal, as the next one towards the client sees it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pod: Arc<str>,
    layer: Stage,
    form: Form,
    because: Because,
    near: Vec<Arc<str>>,
}

/// What a refusal looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Refused,
    Closed,
    Tls,
    /// A failed handshake, or a connection closed before it: whichever comes first.
    TlsOrClosed,
    /// An HTTP answer of a proxy.
    Status(u16),
    /// HTTP 400, on a connection that does not speak HTTP.
    NotHttp,
}

impl Way {
    /// The way of all requests, at its start.
    pub(super) fn new(explain: bool) -> Self {
        Self { share: Share::ALL, trace: Trace::new(explain), hops: 0, banner_only: false }
    }

    /// The way of `part` in `whole` of its requests.
    pub(super) fn part(&self, part: u64, whole: u64) -> Modelled<Self> {
        let share = self.share.of(part, whole).ok_or_else(too_many)?;
        Ok(Self { share, ..self.clone() })
    }

    /// Ends at an application.
    pub(super) fn deliver(self, mut delivered: Delivered, out: &mut Branches) {
        delivered.banner_only = self.banner_only;
        out.push(Branch { share: self.share, end: End::Delivered(delivered), trace: self.trace });
    }

    /// Ends with a refusal.
    pub(super) fn refuse(self, refused: Refused, out: &mut Branches) {
        out.push(Branch { share: self.share, end: End::Refused(refused), trace: self.trace });
    }
}

impl Branch {
    /// The proxy in front answers in its own form when a connection behind it fails. An HTTP answer passes through.
    pub(super) fn fail_as(&mut self, form: Form) {
        if let End::Refused(refused) = &mut self.end
            && !matches!(refused.form, Form::Status(_) | Form::NotHttp)
        {
            refused.form = form;
        }
    }
}

impl Refused {
    /// The same, if the connection may be closed before the handshake fails.
    #[must_use]
    pub(super) fn or_closed(self) -> Self {
        let form = if self.form == Form::Tls { Form::TlsOrClosed } else { self.form };
        Self { form, ..self }
    }

    /// A refusal at `layer` of `pod`.
    pub(super) fn new(pod: &Arc<str>, layer: Stage, form: Form, because: Because) -> Self {
        Self { pod: pod.clone(), layer, form, because, near: Vec::new() }
    }

    /// With the policies that name the caller, but do not cover the request.
    #[must_use]
    pub(super) fn near(mut self, near: Vec<Arc<str>>) -> Self {
        self.near = near;
        self
    }
}

/// Adds up equal ends.
pub(super) fn merge(branches: Branches) -> Modelled<Evaluation> {
    let mut merged: Vec<Branch> = Vec::with_capacity(branches.len());
    for branch in branches {
        match merged.iter_mut().find(|known| known.end == branch.end) {
            Some(known) => known.share = known.share.plus(branch.share).ok_or_else(too_many)?,
            None => merged.push(branch),
        }
    }
    let shares: Vec<_> = merged.iter().map(|branch| branch.share).collect();
    let (weights, total) = common(&shares).ok_or_else(too_many)?;
    let outcomes = merged.into_iter().zip(weights).map(|(branch, weight)| branch.outcome(weight)).collect();
    Ok(Evaluation { outcomes, total })
}

fn too_many() -> Unmodelled {
    Unmodelled::new("weights", "their common total exceeds 64 bits")
}

impl Branch {
    fn outcome(self, weight: u64) -> Outcome {
        let verdict = match self.end {
            End::Delivered(delivered) => Verdict::Delivered(delivered),
            End::Refused(refused) => Verdict::Denied(refused.denial()),
        };
        Outcome { weight, verdict, trace: self.trace }
    }
}

impl Refused {
    fn denial(self) -> Denial {
        let (shape, status) = match self.form {
            Form::Refused => (Some(Shape::Refused), None),
            Form::Closed => (Some(Shape::Closed), None),
            Form::Tls => (Some(Shape::Tls), None),
            Form::TlsOrClosed => (None, None),
            Form::NotHttp => (Some(Shape::Closed), Some(400)),
            Form::Status(status) => (shape(status), Some(status)),
        };
        Denial { pod: self.pod, layer: self.layer, shape, status, because: self.because, near: self.near }
    }
}

/// gRPC clients see PERMISSION_DENIED, UNIMPLEMENTED and UNAVAILABLE for these: the same shapes.
fn shape(status: u16) -> Option<Shape> {
    match status {
        403 => Some(Shape::Http403),
        404 => Some(Shape::Http404),
        503 => Some(Shape::Http503),
        _ => None,
    }
}
