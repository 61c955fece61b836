//! Dependency resolution: from the packages asked for to the complete, smallest set that satisfies them.
//!
//! The rules are Debian policy's (chapter 7) for one architecture, with no Recommends. A SAT solver decides;
//! every relation is given to it as the exact packages that satisfy it, so that virtual packages need no
//! packages of their own.

use super::explain;
use super::relation::{self, Operator, Relation};
use super::universe::{PackageId, Universe, groups};
use super::version::Version;
use crate::error::{Error, Result};
use resolvo::{
    Candidates, Condition, ConditionId, DenseIndex, Dependencies, DependencyProvider,
    HintDependenciesAvailable, Interner, KnownDependencies, NameId, Problem, Requirement, SolvableId, Solver,
    SolverCache, StringId, UnsolvableOrCancelled, VersionSetId, VersionSetUnionId,
};
use std::any::Any;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt::Display;

/// What is to be resolved.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Packages asked for, each with who asks: `recipe web.toml`, `overlay ssh`.
    pub roots: BTreeMap<String, Vec<String>>,
    /// Packages that may not be chosen, each with who says so. A name that no package has denies its providers.
    pub deny: BTreeMap<String, Vec<String>>,
    /// Versions to be kept when they can be, by package name.
    pub prefer: BTreeMap<String, String>,
    /// Versions that a package must have at least where it is chosen, by package name.
    pub at_least: BTreeMap<String, String>,
    /// Every essential package is asked for too.
    pub essential: bool,
}

/// One package of the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The package.
    pub package: PackageId,
    /// Every direct reason: who asks for it first, then `systemd Depends libc6 (>= 2.38)`.
    pub because: Vec<String>,
}

/// Resolves. The result is sorted by name and is the same for the same universe and request, always.
pub fn resolve(universe: &Universe<'_>, request: &Request) -> Result<Vec<Chosen>> {
    let mut roots = request.roots.clone();
    if request.essential {
        for name in universe.essential() {
            roots.entry(name.to_string()).or_default().push("essential".into());
        }
    }
    check_names(universe, &roots)?;
    let rules = Rules::new(universe, request, &roots);
    let requirements = roots.keys().map(|name| rules.root(name).into()).collect();
    let bounds = request.at_least.iter().map(|(name, version)| rules.at_least(name, version)).collect();
    let mut solver = Solver::new(rules);
    let solved = match solver.solve(Problem::new().requirements(requirements).constraints(bounds)) {
        Ok(solved) => solved,
        Err(UnsolvableOrCancelled::Cancelled(_)) => {
            crate::interrupt::check()?;
            return Err(Error::new("the dependency resolution was stopped"));
        }
        Err(UnsolvableOrCancelled::Unsolvable(conflict)) => {
            let graph = conflict.graph(&solver);
            return Err(explain::explain(solver.provider(), &graph));
        }
    };
    let solved: HashMap<&str, PackageId> = solved
        .into_iter()
        .map(|id| (universe.package(id.to_index() as PackageId).stanza.name, id.to_index() as PackageId))
        .collect();
    reachable(universe, &roots, &solved)
}

/// The part of the solver's answer that the roots need, with the reasons. The solver may have tried a
/// package, chosen others for it, and dropped it; or chosen an alternative before it knew that something
/// else needs another one anyway.
fn reachable(
    universe: &Universe<'_>,
    roots: &BTreeMap<String, Vec<String>>,
    solved: &HashMap<&str, PackageId>,
) -> Result<Vec<Chosen>> {
    let mut wishes: Vec<Wish> = Vec::new();
    for (name, who) in roots {
        let real = solved.get(name.as_str()).map(|&id| vec![id]);
        let satisfiers = real.unwrap_or_else(|| satisfiers(universe, solved, &[plain(name)]));
        let wish = Wish { from: None, satisfiers, reasons: who.clone() };
        wishes.push(wish.possible(name)?);
    }
    // What only one package can satisfy comes first; a choice is made when nothing else is left to do.
    let mut reached = BTreeSet::new();
    let mut open = VecDeque::from_iter(0..wishes.len());
    while !open.is_empty() {
        let forced = open.iter().position(|&wish| wishes[wish].satisfiers.len() == 1).unwrap_or_else(|| {
            open.retain(|&wish| wishes[wish].satisfiers.iter().all(|id| !reached.contains(id)));
            0
        });
        let Some(wish) = open.remove(forced) else { break };
        let Some(&id) = wishes[wish].satisfiers.first() else { continue };
        if reached.insert(id) {
            for wish in wishes_of(universe, solved, id)? {
                open.push_back(wishes.len());
                wishes.push(wish);
            }
        }
    }
    let mut because: BTreeMap<PackageId, (Vec<String>, BTreeSet<String>)> = BTreeMap::new();
    for wish in wishes {
        let Some(id) = wish.satisfiers.into_iter().find(|id| reached.contains(id)) else { continue };
        let (asked, needed) = because.entry(id).or_default();
        match wish.from {
            None => asked.extend(wish.reasons),
            Some(from) if from == id => {}
            Some(_) => needed.extend(wish.reasons),
        }
    }
    let chosen = because.into_iter().map(|(package, (asked, needed))| {
        let because = asked.into_iter().chain(needed).collect();
        Chosen { package, because }
    });
    let mut chosen: Vec<Chosen> = chosen.collect();
    chosen.sort_by_key(|chosen| universe.package(chosen.package).stanza.name);
    Ok(chosen)
}

/// Something that has to be satisfied by one of the solved packages.
struct Wish {
    /// The package whose relation it is; nothing for a root.
    from: Option<PackageId>,
    /// In order of preference.
    satisfiers: Vec<PackageId>,
    reasons: Vec<String>,
}

impl Wish {
    fn possible(self, text: &str) -> Result<Self> {
        if self.satisfiers.is_empty() {
            return Err(Error::new(format!(
                "the dependency solver left out {text}: this is a bug in goldcast"
            )));
        }
        Ok(self)
    }
}

fn wishes_of(universe: &Universe<'_>, solved: &HashMap<&str, PackageId>, id: PackageId) -> Result<Vec<Wish>> {
    let stanza = universe.package(id).stanza;
    let mut wishes = Vec::new();
    for (field, text) in [("Pre-Depends", stanza.pre_depends), ("Depends", stanza.depends)] {
        for group in groups(stanza.name, field, text)? {
            let reasons = vec![format!("{} {field} {}", stanza.name, one_line(group.text))];
            let satisfiers = satisfiers(universe, solved, &group.alternatives);
            wishes.push(Wish { from: Some(id), satisfiers, reasons }.possible(group.text)?);
        }
    }
    Ok(wishes)
}

/// The solved packages that satisfy one of the alternatives, in order of preference.
fn satisfiers(
    universe: &Universe<'_>,
    solved: &HashMap<&str, PackageId>,
    alternatives: &[Relation<'_>],
) -> Vec<PackageId> {
    let mut found = Vec::new();
    for relation in alternatives {
        for (name, ids) in universe.satisfying(relation) {
            if let Some(id) = solved.get(name).filter(|id| ids.contains(id) && !found.contains(*id)) {
                found.push(*id);
            }
        }
    }
    found
}

/// Refuses names that nothing has and nothing provides, all at once.
fn check_names(universe: &Universe<'_>, roots: &BTreeMap<String, Vec<String>>) -> Result<()> {
    let mut lines = Vec::new();
    for (name, who) in roots {
        if relation::is_package_name(name) && !universe.satisfying(&plain(name)).is_empty() {
            continue;
        }
        let near = universe.nearest(name);
        let near = if near.is_empty() { String::new() } else { format!(" (nearest: {})", near.join(", ")) };
        lines.push(format!("{} asks for {name}, and there is no such package{near}", who.join(" and ")));
    }
    match lines.len() {
        0 => Ok(()),
        count => {
            let what = if count == 1 { "a package does not exist" } else { "several packages do not exist" };
            let error = lines.into_iter().fold(Error::usage(what), |error, line| error.because(line));
            Err(error.hint(
                "correct the name; packages outside the component main come from a [[repository]] with theirs",
            ))
        }
    }
}

fn plain(name: &str) -> Relation<'_> {
    Relation { name, qualifier: None, version: None }
}

/// A relation field's text without its line breaks.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The packages of one name that a relation allows.
struct Set {
    name: NameId,
    allowed: Vec<PackageId>,
    text: String,
}

/// What the solver asks about, translated on demand: it looks at a few hundred of the many packages.
pub(super) struct Rules<'u, 'a> {
    pub(super) universe: &'u Universe<'a>,
    pub(super) roots: &'u BTreeMap<String, Vec<String>>,
    prefer: &'u BTreeMap<String, String>,
    denied: HashMap<PackageId, StringId>,
    /// The reasons for denials, then others.
    strings: RefCell<Vec<String>>,
    denials: usize,
    names: RefCell<Names>,
    sets: RefCell<Vec<Set>>,
    unions: RefCell<Vec<Vec<VersionSetId>>>,
    requirements: RefCell<HashMap<String, Requirement>>,
    conflicts: RefCell<HashMap<String, Vec<VersionSetId>>>,
}

#[derive(Default)]
struct Names {
    list: Vec<String>,
    ids: HashMap<String, NameId>,
}

impl<'u, 'a> Rules<'u, 'a> {
    fn new(
        universe: &'u Universe<'a>,
        request: &'u Request,
        roots: &'u BTreeMap<String, Vec<String>>,
    ) -> Self {
        let mut denied = HashMap::new();
        let mut strings = Vec::new();
        for (name, who) in &request.deny {
            let reason = StringId::from_index(strings.len());
            strings.push(format!("{name} is denied by {}", who.join(" and ")));
            let mut ids = universe.named(name).to_vec();
            if ids.is_empty() {
                ids.extend(universe.satisfying(&plain(name)).into_iter().flat_map(|(_, ids)| ids));
            }
            for id in ids {
                denied.entry(id).or_insert(reason);
            }
        }
        Self {
            universe,
            roots,
            prefer: &request.prefer,
            denied,
            denials: strings.len(),
            strings: RefCell::new(strings),
            names: RefCell::default(),
            sets: RefCell::default(),
            unions: RefCell::default(),
            requirements: RefCell::default(),
            conflicts: RefCell::default(),
        }
    }

    fn name(&self, name: &str) -> NameId {
        let mut names = self.names.borrow_mut();
        if let Some(&id) = names.ids.get(name) {
            return id;
        }
        let id = NameId::from_index(names.list.len());
        names.list.push(name.to_string());
        names.ids.insert(name.to_string(), id);
        id
    }

    fn set(&self, name: &str, allowed: Vec<PackageId>, text: &str) -> VersionSetId {
        let name = self.name(name);
        let mut sets = self.sets.borrow_mut();
        sets.push(Set { name, allowed, text: text.to_string() });
        VersionSetId::from_index(sets.len() - 1)
    }

    /// A package asked for by name: the package of that name when there is one, and not what provides it.
    fn root(&self, name: &str) -> Requirement {
        match self.universe.named(name) {
            [] => self.group(&relation::Group { text: name, alternatives: vec![plain(name)] }),
            real => Requirement::Single(self.set(name, real.to_vec(), name)),
        }
    }

    /// The packages of a name from a version on.
    fn at_least(&self, name: &str, version: &str) -> VersionSetId {
        let bound = Relation { version: Some((Operator::LaterOrEqual, version)), ..plain(name) };
        let ids = self.universe.named(name).iter().copied();
        let allowed = ids.filter(|&id| bound.admits(self.universe.package(id).stanza.version));
        self.set(name, allowed.collect(), &format!("{name} (>= {version})"))
    }

    /// Alternatives as a requirement: the union of everything that satisfies one of them, in order of
    /// preference. Packages that write the same text share it.
    fn group(&self, group: &relation::Group<'_>) -> Requirement {
        let text = one_line(group.text);
        if let Some(&known) = self.requirements.borrow().get(&text) {
            return known;
        }
        let mut sets = Vec::new();
        let mut taken = BTreeSet::new();
        for relation in &group.alternatives {
            for (name, mut ids) in self.universe.satisfying(relation) {
                ids.retain(|&id| taken.insert(id));
                if !ids.is_empty() {
                    sets.push(self.set(name, ids, &text));
                }
            }
        }
        let requirement = match sets[..] {
            [] => {
                let name = group.alternatives.first().map_or("", |relation| relation.name);
                Requirement::Single(self.set(name, Vec::new(), &text))
            }
            [only] => Requirement::Single(only),
            _ => {
                let mut unions = self.unions.borrow_mut();
                unions.push(sets);
                Requirement::Union(VersionSetUnionId::from_index(unions.len() - 1))
            }
        };
        self.requirements.borrow_mut().insert(text, requirement);
        requirement
    }

    /// `Conflicts` and `Breaks` as constraints on every other name that has packages they hit.
    fn against(&self, own: &str, field: &str, relation: &Relation<'_>, text: &str) -> Vec<VersionSetId> {
        let text = format!("{field} {}", one_line(text));
        let known = self.conflicts.borrow().get(&text).cloned();
        let sets = known.unwrap_or_else(|| {
            // `:any` tells which packages of other architectures do; here it rules out none (deparchsatisfied()).
            let qualifier = relation.qualifier.filter(|qualifier| *qualifier != "any");
            let hit = self.universe.satisfying(&Relation { qualifier, ..*relation });
            let sets: Vec<VersionSetId> = (hit.into_iter())
                .map(|(name, hit)| {
                    let spared = self.universe.named(name).iter().copied().filter(|id| !hit.contains(id));
                    self.set(name, spared.collect(), &text)
                })
                .collect();
            self.conflicts.borrow_mut().insert(text.clone(), sets.clone());
            sets
        });
        // A package that provides what it conflicts with means the others that do (policy 7.6.2).
        let own = self.name(own);
        let all = self.sets.borrow();
        sets.into_iter().filter(|set| all[set.to_index()].name != own).collect()
    }

    fn dependencies(&self, id: PackageId) -> Result<KnownDependencies> {
        let stanza = self.universe.package(id).stanza;
        let mut known = KnownDependencies::default();
        for (field, text) in [("Pre-Depends", stanza.pre_depends), ("Depends", stanza.depends)] {
            for group in groups(stanza.name, field, text)? {
                known.requirements.push(self.group(&group).into());
            }
        }
        for (field, text) in [("Conflicts", stanza.conflicts), ("Breaks", stanza.breaks)] {
            for group in groups(stanza.name, field, text)? {
                for relation in &group.alternatives {
                    known.constrains.extend(self.against(stanza.name, field, relation, group.text));
                }
            }
        }
        Ok(known)
    }

    /// `name version`.
    pub(super) fn identity(&self, id: SolvableId) -> String {
        let stanza = self.universe.package(id.to_index() as PackageId).stanza;
        format!("{} {}", stanza.name, stanza.version)
    }

    /// The relation as the package wrote it.
    pub(super) fn text_of(&self, requirement: Requirement) -> String {
        let set = match requirement {
            Requirement::Single(set) => Some(set),
            Requirement::Union(union) => self.unions.borrow()[union.to_index()].first().copied(),
        };
        set.map(|set| self.text_of_set(set)).unwrap_or_default()
    }

    /// The relation that a set was made from: `libc6 (>= 2)`, or `Conflicts foo`.
    pub(super) fn text_of_set(&self, set: VersionSetId) -> String {
        self.sets.borrow()[set.to_index()].text.clone()
    }

    /// Whether a package that satisfies the requirement is in the set.
    pub(super) fn have_common(&self, requirement: Requirement, set: VersionSetId) -> bool {
        let (sets, unions) = (self.sets.borrow(), self.unions.borrow());
        let alternatives = match requirement {
            Requirement::Single(one) => vec![one],
            Requirement::Union(union) => unions[union.to_index()].clone(),
        };
        let wanted = &sets[set.to_index()].allowed;
        alternatives.iter().any(|one| sets[one.to_index()].allowed.iter().any(|id| wanted.contains(id)))
    }

    /// Whether the reason for leaving a package out is that somebody denies it.
    pub(super) fn is_denial(&self, id: StringId) -> bool {
        id.to_index() < self.denials
    }

    /// An interned reason.
    pub(super) fn string(&self, id: StringId) -> String {
        self.strings.borrow()[id.to_index()].clone()
    }
}

impl Interner for Rules<'_, '_> {
    type NameId = NameId;
    type SolvableId = SolvableId;

    fn display_solvable(&self, solvable: SolvableId) -> impl Display + '_ {
        self.identity(solvable)
    }

    fn display_name(&self, name: NameId) -> impl Display + '_ {
        self.names.borrow().list[name.to_index()].clone()
    }

    fn display_version_set(&self, set: VersionSetId) -> impl Display + '_ {
        self.text_of_set(set)
    }

    fn display_string(&self, string: StringId) -> impl Display + '_ {
        self.string(string)
    }

    fn version_set_name(&self, set: VersionSetId) -> NameId {
        self.sets.borrow()[set.to_index()].name
    }

    fn solvable_name(&self, solvable: SolvableId) -> NameId {
        self.name(self.universe.package(solvable.to_index() as PackageId).stanza.name)
    }

    fn version_sets_in_union(&self, union: VersionSetUnionId) -> impl Iterator<Item = VersionSetId> {
        self.unions.borrow()[union.to_index()].clone().into_iter()
    }

    fn resolve_condition(&self, _: ConditionId) -> Condition {
        // Debian has no conditional dependencies, so the solver was given none to ask about.
        Condition::Requirement(VersionSetId::default())
    }
}

impl DependencyProvider for Rules<'_, '_> {
    async fn filter_candidates(
        &self,
        candidates: &[SolvableId],
        set: VersionSetId,
        inverse: bool,
    ) -> Vec<SolvableId> {
        let sets = self.sets.borrow();
        let allowed = &sets[set.to_index()].allowed;
        let keep = |id: &SolvableId| allowed.contains(&(id.to_index() as PackageId)) != inverse;
        candidates.iter().copied().filter(keep).collect()
    }

    async fn get_candidates(&self, name: NameId) -> Option<Candidates<SolvableId>> {
        let names = self.names.borrow();
        let ids = self.universe.named(&names.list[name.to_index()]);
        let candidates: Vec<SolvableId> = ids.iter().map(|&id| SolvableId::from_index(id as usize)).collect();
        let excluded = ids.iter().filter_map(|id| {
            let reason = self.denied.get(id)?;
            Some((SolvableId::from_index(*id as usize), *reason))
        });
        let excluded = excluded.collect();
        let hint_dependencies_available = HintDependenciesAvailable::None;
        Some(Candidates { candidates, excluded, hint_dependencies_available, ..Candidates::default() })
    }

    async fn sort_candidates(&self, _: &SolverCache<Self>, solvables: &mut [SolvableId]) {
        let stanza = |id: &SolvableId| self.universe.package(id.to_index() as PackageId).stanza;
        solvables.sort_by(|a, b| {
            let kept =
                |id: &SolvableId| self.prefer.get(stanza(id).name).is_some_and(|v| v == stanza(id).version);
            let version = |id: &SolvableId| Version::parse(stanza(id).version).ok();
            let by_lock = kept(b).cmp(&kept(a));
            by_lock.then_with(|| version(b).cmp(&version(a))).then_with(|| a.to_index().cmp(&b.to_index()))
        });
    }

    async fn get_dependencies(&self, solvable: SolvableId) -> Dependencies {
        match self.dependencies(solvable.to_index() as PackageId) {
            Ok(known) => Dependencies::Known(known),
            Err(error) => {
                let mut strings = self.strings.borrow_mut();
                strings.push(error.to_string());
                Dependencies::Unknown(StringId::from_index(strings.len() - 1))
            }
        }
    }

    fn should_cancel_with_value(&self) -> Option<Box<dyn Any>> {
        crate::interrupt::caught().map(|signal| Box::new(signal) as Box<dyn Any>)
    }
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
pub(super) mod tests;
