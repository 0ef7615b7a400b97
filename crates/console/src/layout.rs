//! Where the steps of a graph stand in a picture: layers, order within a layer, lines between.
//!
//! Layers follow the longest path, so that every line points the same way; lines that pass a layer
//! get a place of their own in it, so that they run between the steps and not through them. Order
//! within a layer is by the middle of what a place hangs on (Sugiyama, Tagawa, Toda 1981, steps 1
//! to 3), which keeps crossings few. Integers only: the same graph gives the same picture.

use std::fmt::Write as _;

/// Which way the picture reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Left to right, for wide screens.
    Across,
    /// Top to bottom, for narrow ones.
    Down,
}

/// Width of a step's box.
pub(crate) const BOX_WIDTH: i32 = 208;
/// Height of a step's box.
pub(crate) const BOX_HEIGHT: i32 = 92;
const MARGIN: i32 = 12;
const LAYER_GAP_ACROSS: i32 = 60;
const LAYER_GAP_DOWN: i32 = 40;
const SLOT_GAP: i32 = 24;
/// Room for a line that passes a layer.
const PASSING: i32 = 12;
/// Above this many passing lines they are drawn straight: such a graph is not read by eye.
const PASSING_MAX: usize = 2_000;

/// x and y.
type Point = (i32, i32);

/// A picture's geometry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Of the whole picture.
    pub(crate) width: i32,
    /// Of the whole picture.
    pub(crate) height: i32,
    /// Upper left corner of each step's box, in the order of the steps.
    pub(crate) corners: Vec<Point>,
    /// The lines.
    pub(crate) lines: Vec<Line>,
}

/// A line between two steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// The earlier step.
    pub(crate) from: usize,
    /// The later step.
    pub(crate) to: usize,
    /// SVG path from the earlier step to the later one.
    pub(crate) forward: String,
    /// SVG path back, beside the first.
    pub(crate) backward: String,
}

/// Lays out steps by their direct predecessors (`after[i]`, indices below `after.len()`, acyclic).
pub(crate) fn layout(after: &[Vec<usize>], direction: Direction) -> Layout {
    let edges = reduced(after);
    let mut places = Places::new(after.len(), &edges);
    places.order();
    places.draw(after.len(), direction)
}

/// The edges that no longer path implies.
fn reduced(after: &[Vec<usize>]) -> Vec<(usize, usize)> {
    let count = after.len();
    let mut before = vec![vec![false; count]; count];
    for step in by_layer(after) {
        for earlier in &after[step] {
            let theirs = before[*earlier].clone();
            before[step][*earlier] = true;
            for (mine, their) in before[step].iter_mut().zip(theirs) {
                *mine |= their;
            }
        }
    }
    let is_implied = |from: usize, to: usize| {
        after[to].iter().any(|other| *other != from && before[*other][from])
    };
    (0..count)
        .flat_map(|to| after[to].iter().map(move |from| (*from, to)))
        .filter(|(from, to)| !is_implied(*from, *to))
        .collect()
}

/// Layer of each step: the longest path that leads to it.
fn depths(after: &[Vec<usize>]) -> Vec<usize> {
    let mut depth = vec![0; after.len()];
    // A path has at most as many edges as there are steps, so this ends even for a cycle.
    for _ in 0..after.len() {
        let mut is_changed = false;
        for step in 0..after.len() {
            let own = after[step].iter().map(|earlier| depth[*earlier] + 1).max().unwrap_or(0);
            is_changed |= own > depth[step];
            depth[step] = depth[step].max(own);
        }
        if !is_changed {
            break;
        }
    }
    depth
}

fn by_layer(after: &[Vec<usize>]) -> Vec<usize> {
    let depth = depths(after);
    let mut steps: Vec<usize> = (0..after.len()).collect();
    steps.sort_by_key(|step| depth[*step]);
    steps
}

/// Steps, and lines that pass a layer, each with a place in a layer.
struct Places {
    layers: Vec<Vec<usize>>,
    /// Direct predecessors of each place.
    after: Vec<Vec<usize>>,
    /// Each edge as the places that it goes through.
    routes: Vec<Vec<usize>>,
    steps: usize,
}

impl Places {
    fn new(steps: usize, edges: &[(usize, usize)]) -> Self {
        let mut after = vec![Vec::new(); steps];
        for (from, to) in edges {
            after[*to].push(*from);
        }
        let depth = depths(&after);
        let mut layers = vec![Vec::new(); depth.iter().max().map_or(0, |deepest| deepest + 1)];
        for (step, layer) in depth.iter().enumerate() {
            layers[*layer].push(step);
        }
        let mut places = Self { layers, after: vec![Vec::new(); steps], routes: Vec::new(), steps };
        for (from, to) in edges {
            let mut route = vec![*from];
            for layer in depth[*from] + 1..depth[*to] {
                if places.after.len() - steps < PASSING_MAX {
                    let place = places.after.len();
                    places.after.push(vec![route[route.len() - 1]]);
                    places.layers[layer].push(place);
                    route.push(place);
                }
            }
            places.after[*to].push(route[route.len() - 1]);
            route.push(*to);
            places.routes.push(route);
        }
        places
    }

    /// Orders each layer by where the places of the layer before stand.
    fn order(&mut self) {
        let mut rank = vec![0_usize; self.after.len()];
        for layer in 0..self.layers.len() {
            let after = &self.after;
            self.layers[layer].sort_by_cached_key(|place| {
                let direct = &after[*place];
                let sum: usize = direct.iter().map(|earlier| rank[*earlier]).sum();
                (sum.checked_div(direct.len()).unwrap_or(0), *place)
            });
            let size = self.layers[layer].len().max(1);
            for (position, place) in self.layers[layer].iter().enumerate() {
                // In thousandths of the layer, so that layers of any size compare.
                rank[*place] = position * 1_000 / size;
            }
        }
    }

    /// Extent of a place across the layers' direction.
    fn extent(&self, place: usize, direction: Direction) -> i32 {
        match direction {
            _ if place >= self.steps => PASSING,
            Direction::Across => BOX_HEIGHT,
            Direction::Down => BOX_WIDTH,
        }
    }

    fn draw(&self, steps: usize, direction: Direction) -> Layout {
        let (thick, gap) = match direction {
            Direction::Across => (BOX_WIDTH, LAYER_GAP_ACROSS),
            Direction::Down => (BOX_HEIGHT, LAYER_GAP_DOWN),
        };
        let breadth = |layer: &Vec<usize>| {
            let gaps = i32::try_from(layer.len().saturating_sub(1)).unwrap_or(i32::MAX);
            let extents: i32 = layer.iter().map(|place| self.extent(*place, direction)).sum();
            extents + gaps.saturating_mul(SLOT_GAP)
        };
        let widest = self.layers.iter().map(breadth).max().unwrap_or(0);
        let mut corners = vec![(0, 0); self.after.len()];
        let mut along = MARGIN;
        for layer in &self.layers {
            let mut across = MARGIN + (widest - breadth(layer)) / 2;
            for place in layer {
                corners[*place] = match direction {
                    Direction::Across => (along, across),
                    Direction::Down => (across, along),
                };
                across += self.extent(*place, direction) + SLOT_GAP;
            }
            along += thick + gap;
        }
        let (long, wide) = (along - gap + MARGIN, widest + 2 * MARGIN);
        let (width, height) = match direction {
            Direction::Across => (long, wide),
            Direction::Down => (wide, long),
        };
        let lines = self.routes.iter().map(|route| self.line(route, &corners, direction)).collect();
        corners.truncate(steps);
        Layout { width, height, corners, lines }
    }

    fn line(&self, route: &[usize], corners: &[Point], direction: Direction) -> Line {
        let stops = |offset: i32, passing: i32| -> Vec<(Point, Point)> {
            let stop = |place: &usize| {
                let (x, y) = corners[*place];
                let side = if *place >= self.steps { passing } else { offset };
                match direction {
                    Direction::Across => ((x, y + side), (x + BOX_WIDTH, y + side)),
                    Direction::Down => ((x + side, y), (x + side, y + BOX_HEIGHT)),
                }
            };
            route.iter().map(stop).collect()
        };
        let (there, back) = match direction {
            Direction::Across => (30, 78),
            Direction::Down => (BOX_WIDTH / 2 - 12, BOX_WIDTH / 2 + 28),
        };
        let (first, last) = (route[0], route[route.len() - 1]);
        let forward = path(&stops(there, 2), direction);
        let turned: Vec<_> =
            stops(back, 10).into_iter().rev().map(|(enter, leave)| (leave, enter)).collect();
        Line { from: first, to: last, forward, backward: path(&turned, direction) }
    }
}

/// A smooth line that leaves each stop and enters the next one in the layers' direction.
fn path(stops: &[(Point, Point)], direction: Direction) -> String {
    let mut text = String::new();
    for pair in stops.windows(2) {
        let ((_, start), (end, _)) = (pair[0], pair[1]);
        if text.is_empty() {
            text = format!("M{} {}", start.0, start.1);
        } else {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "L{} {}", start.0, start.1);
        }
        let (a, b) = match direction {
            Direction::Across => {
                let middle = i32::midpoint(start.0, end.0);
                ((middle, start.1), (middle, end.1))
            }
            Direction::Down => {
                let middle = i32::midpoint(start.1, end.1);
                ((start.0, middle), (end.0, middle))
            }
        };
        let _ = write!(text, "C{} {} {} {} {} {}", a.0, a.1, b.0, b.1, end.0, end.1);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(count: usize) -> Vec<Vec<usize>> {
        (0..count).map(|step| step.checked_sub(1).into_iter().collect()).collect()
    }

    #[test]
    fn a_chain_stands_in_a_row() {
        let picture = layout(&chain(3), Direction::Across);
        assert_eq!(picture.corners, [(12, 12), (280, 12), (548, 12)]);
        assert_eq!(picture.lines[0].forward, "M220 42C250 42 250 42 280 42");
        let down = layout(&chain(3), Direction::Down);
        assert_eq!(down.corners, [(12, 12), (12, 144), (12, 276)]);
    }

    #[test]
    fn implied_edges_are_not_drawn() {
        let picture = layout(&[vec![], vec![0], vec![0, 1]], Direction::Across);
        let ends: Vec<_> = picture.lines.iter().map(|line| (line.from, line.to)).collect();
        assert_eq!(ends, [(0, 1), (1, 2)]);
    }

    #[test]
    fn boxes_never_overlap_and_lines_point_forward() {
        // 0 -> {1, 2, 3}, {1, 2} -> 4, {0, 4} -> 5, 3 -> 5
        let after =
            [vec![], vec![0], vec![0], vec![0], vec![1, 2], vec![0, 4, 3], vec![], vec![6, 5]];
        for direction in [Direction::Across, Direction::Down] {
            let picture = layout(&after, direction);
            for (index, (x, y)) in picture.corners.iter().enumerate() {
                assert!(x + BOX_WIDTH + MARGIN <= picture.width);
                assert!(y + BOX_HEIGHT + MARGIN <= picture.height);
                for (other_x, other_y) in &picture.corners[index + 1..] {
                    let apart =
                        (x - other_x).abs() >= BOX_WIDTH || (y - other_y).abs() >= BOX_HEIGHT;
                    assert!(apart, "{index} overlaps another box");
                }
            }
            for line in &picture.lines {
                let (from, to) = (picture.corners[line.from], picture.corners[line.to]);
                assert!(match direction {
                    Direction::Across => from.0 < to.0,
                    Direction::Down => from.1 < to.1,
                });
            }
        }
    }

    #[test]
    fn nothing_and_nonsense_are_drawn_too() {
        assert!(layout(&[], Direction::Across).corners.is_empty());
        assert_eq!(layout(&[vec![1], vec![0]], Direction::Down).corners.len(), 2);
    }
}
