//! Who comes after whom: the order of steps, forward and backward.
//!
//! Two orders are kept. The *written* order is what `after` says (or, without it, the order the
//! steps stand in); undo follows it backward. The *running* order adds what makes the pivot a point
//! of no return: a pivot starts only when every step that does not come after a pivot is done, and
//! of several pivots on different paths the first one decides and the others follow it. So when
//! commit is decided nothing that could still refuse is open, except steps that must be retried
//! until they succeed.

use crate::StepIndex;

/// The order of a definition's steps. Acyclic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    after: Vec<Vec<StepIndex>>,
    before: Vec<Vec<StepIndex>>,
    starts_after: Vec<Vec<StepIndex>>,
    ancestors: Vec<Vec<bool>>,
    pivot: Option<StepIndex>,
    past_pivot: Vec<bool>,
}

/// A step comes, over others, after itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cycle {
    /// The steps of one cycle, in order.
    pub steps: Vec<StepIndex>,
}

impl Graph {
    /// Builds the orders from each step's direct predecessors and the steps that are pivots.
    ///
    /// `after[i]` must hold indices below `after.len()`.
    ///
    /// # Errors
    ///
    /// `Cycle` names one cycle.
    pub fn new(after: Vec<Vec<StepIndex>>, pivots: &[StepIndex]) -> Result<Self, Cycle> {
        let count = after.len();
        let order = topological(&after)?;
        let mut ancestors = vec![vec![false; count]; count];
        for step in order {
            for direct in &after[step] {
                let of_direct = ancestors[direct.get()].clone();
                let own = &mut ancestors[step];
                own[direct.get()] = true;
                for (mine, theirs) in own.iter_mut().zip(of_direct) {
                    *mine |= theirs;
                }
            }
        }
        let mut before = vec![Vec::new(); count];
        for (step, direct) in after.iter().enumerate() {
            for earlier in direct {
                before[earlier.get()].push(index(step));
            }
        }
        let past_pivot: Vec<bool> =
            ancestors.iter().map(|own| pivots.iter().any(|pivot| own[pivot.get()])).collect();
        let pivot = pivots.iter().min().copied();
        let mut starts_after = after.clone();
        for own in pivots {
            for (other, past) in past_pivot.iter().enumerate() {
                let follows = if pivots.contains(&index(other)) {
                    pivot == Some(index(other)) && pivot != Some(*own)
                } else {
                    !past
                };
                if follows && !starts_after[own.get()].contains(&index(other)) {
                    starts_after[own.get()].push(index(other));
                }
            }
        }
        Ok(Self { after, before, starts_after, ancestors, pivot, past_pivot })
    }

    /// Direct predecessors, as written.
    pub fn after(&self, step: StepIndex) -> &[StepIndex] {
        &self.after[step.get()]
    }

    /// Direct successors, as written.
    pub fn before(&self, step: StepIndex) -> &[StepIndex] {
        &self.before[step.get()]
    }

    /// What must be done before `step` starts.
    pub fn starts_after(&self, step: StepIndex) -> &[StepIndex] {
        &self.starts_after[step.get()]
    }

    /// Whether `earlier` comes before `later`, over any number of steps, as written.
    pub fn is_before(&self, earlier: StepIndex, later: StepIndex) -> bool {
        self.ancestors[later.get()][earlier.get()]
    }

    /// The step whose success decides to commit.
    pub const fn pivot(&self) -> Option<StepIndex> {
        self.pivot
    }

    /// Lets `step`, after which nothing comes, decide where there is no pivot.
    pub(super) fn decided_by(self, step: StepIndex) -> Self {
        Self { pivot: self.pivot.or(Some(step)), ..self }
    }

    /// Whether `step` comes after a pivot.
    pub fn is_past_pivot(&self, step: StepIndex) -> bool {
        self.past_pivot[step.get()]
    }
}

/// All steps, each after its predecessors; among free ones the first written comes first.
fn topological(after: &[Vec<StepIndex>]) -> Result<Vec<usize>, Cycle> {
    let mut done = vec![false; after.len()];
    let mut order = Vec::with_capacity(after.len());
    while order.len() < after.len() {
        let before = order.len();
        for step in 0..after.len() {
            if !done[step] && after[step].iter().all(|earlier| done[earlier.get()]) {
                done[step] = true;
                order.push(step);
            }
        }
        if order.len() == before {
            return Err(cycle(after, &done));
        }
    }
    Ok(order)
}

/// One cycle among the steps that are not done: each of them has a predecessor among them.
fn cycle(after: &[Vec<StepIndex>], done: &[bool]) -> Cycle {
    let mut path: Vec<usize> = Vec::new();
    let mut at = done.iter().position(|done| !done).unwrap_or(0);
    while !path.contains(&at) {
        path.push(at);
        let open = after[at].iter().map(|step| step.get()).find(|step| !done[*step]);
        at = open.unwrap_or(at);
    }
    let start = path.iter().position(|step| *step == at).unwrap_or(0);
    Cycle { steps: path[start..].iter().rev().map(|step| index(*step)).collect() }
}

/// The number of steps is bounded far below `u16::MAX` when a definition is read.
fn index(step: usize) -> StepIndex {
    StepIndex(u16::try_from(step).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(after: &[&[u16]], pivots: &[u16]) -> Result<Graph, Cycle> {
        let steps = |list: &[u16]| list.iter().map(|step| StepIndex(*step)).collect::<Vec<_>>();
        Graph::new(after.iter().map(|list| steps(list)).collect(), &steps(pivots))
    }

    #[test]
    fn a_cycle_is_named_in_order() {
        let cycle = graph(&[&[], &[3], &[1], &[2]], &[]).unwrap_err();
        assert_eq!(cycle.steps.len(), 3);
        assert_eq!(graph(&[&[0]], &[]).unwrap_err().steps, [StepIndex(0)]);
    }

    #[test]
    fn a_pivot_waits_for_every_step_that_is_not_past_one() {
        // 0 -> 1(pivot) -> 2 beside 3
        let graph = graph(&[&[], &[0], &[1], &[]], &[1]).unwrap();
        assert_eq!(graph.starts_after(StepIndex(1)), [StepIndex(0), StepIndex(3)]);
        assert_eq!(graph.after(StepIndex(1)), [StepIndex(0)]);
        assert!(graph.is_past_pivot(StepIndex(2)) && !graph.is_past_pivot(StepIndex(3)));
    }

    #[test]
    fn of_two_pivots_side_by_side_the_first_decides() {
        let graph = graph(&[&[], &[], &[0], &[1]], &[0, 1]).unwrap();
        assert_eq!(graph.pivot(), Some(StepIndex(0)));
        assert_eq!(graph.starts_after(StepIndex(1)), [StepIndex(0)]);
        assert!(graph.starts_after(StepIndex(0)).is_empty());
    }
}
