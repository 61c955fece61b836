//! Why packages cannot be had together, told from the recipe's lines to the relation that breaks.

use super::resolve::Rules;
use crate::error::Error;
use resolvo::conflict::{ConflictCause, ConflictEdge, ConflictGraph, ConflictNode};
use resolvo::{Requirement, SolvableId, VersionSetId};
use std::collections::{BTreeSet, VecDeque};

/// More chains than this say the same thing again.
const MOST: usize = 6;

/// The error for an unsolvable request, with one cause for each chain that ends badly.
pub(super) fn explain(rules: &Rules<'_, '_>, graph: &ConflictGraph) -> Error {
    let picture = Picture::of(rules, graph);
    let mut stories = BTreeSet::new();
    let mut denied = false;
    for (from, to, edge) in picture.edges() {
        let chain = || picture.chain(from);
        match edge {
            ConflictEdge::Requires(requirement) if picture.is_unresolved(to) => {
                stories.insert((0, picture.missing(from, *requirement)));
            }
            ConflictEdge::Requires(_) => {}
            ConflictEdge::Conflict(ConflictCause::Excluded) => {
                let ConflictNode::Excluded(reason) = picture.node(to) else { continue };
                denied |= rules.is_denial(*reason);
                stories.insert((1, format!("{}\n{}", chain(), rules.string(*reason))));
            }
            ConflictEdge::Conflict(ConflictCause::Constrains(set)) if from == picture.root => {
                let Some(other) = picture.package(to) else { continue };
                let (text, other) = (rules.text_of_set(*set), rules.identity(other));
                let story = format!("{}\n{text} is wanted, which {other} is not", picture.chain(to));
                // Where another version would do for who needs it, what rules that one out tells more.
                stories.insert((if picture.has_another(to, *set) { 3 } else { 2 }, story));
            }
            ConflictEdge::Conflict(ConflictCause::Constrains(set)) => {
                let (Some(one), Some(other)) = (picture.package(from), picture.package(to)) else { continue };
                let text = rules.text_of_set(*set).replacen("Conflicts ", "conflicts with ", 1);
                let text = text.replacen("Breaks ", "breaks ", 1);
                let (one, other) = (rules.identity(one), rules.identity(other));
                let story = format!("{}\n{one} {text}, which is {other}\n{}", chain(), picture.chain(to));
                stories.insert((2, story));
            }
            ConflictEdge::Conflict(ConflictCause::ForbidMultipleInstances) => {
                let (Some(one), Some(other)) = (picture.package(from), picture.package(to)) else { continue };
                let (one, other) = (rules.identity(one), rules.identity(other));
                let story =
                    format!("{}\n{}\nthere can only be one of {one} and {other}", chain(), picture.chain(to));
                stories.insert((3, story));
            }
            ConflictEdge::Conflict(ConflictCause::Locked(_)) => {}
        }
    }
    // Two versions of one package come up whenever a version is ruled out; they explain nothing by
    // themselves when another story does.
    if stories.iter().any(|(rank, _)| *rank < 3) {
        stories.retain(|(rank, _)| *rank < 3);
    }
    let mut error = if denied {
        Error::new("the recipe denies a package that it cannot do without").hint(
            "take the package out of `deny`, or what needs it out of the recipe; `goldcast why PACKAGE RECIPE` shows more",
        )
    } else {
        Error::new("the packages asked for cannot be installed together")
            .hint("take one side of the conflict out of the recipe, or allow other versions with `goldcast lock RECIPE --update`")
    };
    let more = stories.len().saturating_sub(MOST);
    for (_, story) in stories.into_iter().take(MOST) {
        error = error.because(story);
    }
    if more > 0 {
        error = error.because(format!("and {more} more of the kind"));
    }
    error
}

/// The solver's graph with the shortest way from the recipe to every package in it.
struct Picture<'g, 'r, 'u, 'a> {
    rules: &'r Rules<'u, 'a>,
    graph: &'g ConflictGraph,
    ways: Vec<Option<(usize, Requirement)>>,
    root: usize,
}

impl<'g, 'r, 'u, 'a> Picture<'g, 'r, 'u, 'a> {
    fn of(rules: &'r Rules<'u, 'a>, graph: &'g ConflictGraph) -> Self {
        let root = graph.root_node.index();
        let mut ways = vec![None; graph.graph.node_count()];
        let mut queue = VecDeque::from([root]);
        while let Some(node) = queue.pop_front() {
            for edge in graph.graph.raw_edges() {
                let target = edge.target().index();
                if let ConflictEdge::Requires(requirement) = &edge.weight
                    && edge.source().index() == node
                    && target != root
                    && ways[target].is_none()
                {
                    ways[target] = Some((node, *requirement));
                    queue.push_back(target);
                }
            }
        }
        Self { rules, graph, ways, root }
    }

    fn edges(&self) -> impl Iterator<Item = (usize, usize, &'g ConflictEdge)> {
        self.graph
            .graph
            .raw_edges()
            .iter()
            .map(|edge| (edge.source().index(), edge.target().index(), &edge.weight))
    }

    fn node(&self, index: usize) -> &'g ConflictNode {
        &self.graph.graph.raw_nodes()[index].weight
    }

    fn is_unresolved(&self, index: usize) -> bool {
        matches!(self.node(index), ConflictNode::UnresolvedDependency)
    }

    fn package(&self, index: usize) -> Option<SolvableId> {
        match self.node(index) {
            ConflictNode::Solvable(id) => Some(*id),
            _ => None,
        }
    }

    /// Who asks, then who needs what, a line each, down to this package.
    fn chain(&self, to: usize) -> String {
        let mut steps = Vec::new();
        let mut at = to;
        while let Some((from, requirement)) = self.ways[at] {
            steps.push(self.step(from, at, requirement));
            at = from;
        }
        steps.reverse();
        steps.join("\n")
    }

    fn step(&self, from: usize, to: usize, requirement: Requirement) -> String {
        let text = self.rules.text_of(requirement);
        let target = self.package(to).map(|id| self.rules.identity(id)).unwrap_or_default();
        let line = if from == self.root {
            match self.rules.roots.get(&text) {
                Some(who) if who.iter().any(|who| who != "essential") => {
                    let who: Vec<&str> =
                        who.iter().map(String::as_str).filter(|who| *who != "essential").collect();
                    format!("{} asks for {text}", who.join(" and "))
                }
                _ => format!("every system has {text}, which is essential"),
            }
        } else {
            let parent = self.package(from).map(|id| self.rules.identity(id)).unwrap_or_default();
            format!("{parent} needs {text}")
        };
        // The package that answers is told where the relation does not name it first.
        let named = text.split([' ', '(', ':']).next() == target.split(' ').next();
        if named || target.is_empty() { line } else { format!("{line}, for which there is {target}") }
    }

    /// Whether who needs a package would be content with one that the set allows.
    fn has_another(&self, to: usize, set: VersionSetId) -> bool {
        self.ways[to].is_some_and(|(_, requirement)| self.rules.have_common(requirement, set))
    }

    fn missing(&self, from: usize, requirement: Requirement) -> String {
        let text = self.rules.text_of(requirement);
        let name = text.split([' ', '(', ':']).next().unwrap_or_default();
        let versions: Vec<&str> = (self.rules.universe.named(name).iter())
            .map(|&id| self.rules.universe.package(id).stanza.version)
            .collect();
        let end = if versions.is_empty() {
            let near = self.rules.universe.nearest(name);
            let near =
                if near.is_empty() { String::new() } else { format!(" (nearest: {})", near.join(", ")) };
            format!("no package is or provides {name}{near}")
        } else {
            format!("of {name} there is only {}", versions.join(" and "))
        };
        let needs = match self.package(from) {
            Some(id) => format!("{}\n{} needs {text}", self.chain(from), self.rules.identity(id)),
            None => format!("{text} is asked for"),
        };
        format!("{needs}\n{end}")
    }
}
