use super::super::index;
use super::*;
use proptest::prelude::*;

/// A Packages file from short lines: `name version | Field: value | …`.
pub(crate) fn packages_file(lines: &str) -> String {
    let mut text = String::new();
    for (number, line) in lines.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate() {
        let mut parts = line.split(" ; ");
        let (name, version) = parts.next().unwrap().split_once(' ').unwrap();
        let fields: Vec<&str> = parts.collect();
        text.push_str(&format!("Package: {name}\nVersion: {version}\n"));
        if !fields.iter().any(|field| field.starts_with("Architecture:")) {
            text.push_str("Architecture: amd64\n");
        }
        text.push_str(&format!("Filename: pool/{name}_{number}.deb\nSize: 1\nSHA256: {number:064x}\n"));
        fields.iter().for_each(|field| text.push_str(&format!("{field}\n")));
        text.push('\n');
    }
    text
}

fn request(roots: &[&str]) -> Request {
    let roots = roots.iter().map(|name| (name.to_string(), vec!["recipe web.toml".to_string()])).collect();
    Request { roots, essential: true, ..Request::default() }
}

/// The result as `name version`, and its reasons.
fn solve(lines: &str, request: &Request) -> Result<Vec<(String, Vec<String>)>> {
    let text = packages_file(lines);
    let universe = Universe::new("amd64", [("debian", index::parse(&text, "test").whole()?)])?;
    let name = |chosen: Chosen| {
        let stanza = universe.package(chosen.package).stanza;
        (format!("{} {}", stanza.name, stanza.version), chosen.because)
    };
    Ok(resolve(&universe, request)?.into_iter().map(name).collect())
}

#[track_caller]
fn check(lines: &str, roots: &[&str], expected: &str) {
    check_request(lines, &request(roots), expected);
}

#[track_caller]
fn check_request(lines: &str, request: &Request, expected: &str) {
    let solved = solve(lines, request).unwrap_or_else(|error| panic!("{}", error.render()));
    let names: Vec<String> = solved.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.join(", "), expected);
}

#[test]
fn dependencies_come_and_recommends_do_not() {
    let lines = "a 1 ; Depends: b (>= 2) ; Pre-Depends: c ; Recommends: d
                 b 1
                 b 2
                 c 1
                 d 1
                 e 1 ; Essential: yes";
    check(lines, &["a"], "a 1, b 2, c 1, e 1");
}

#[test]
fn every_direct_reason_is_recorded() {
    let lines = "a 1 ; Depends: c (>= 1),  b
                 b 1 ; Pre-Depends: c
                 c 1 ; Essential: yes ; Depends: b | c";
    let solved = solve(lines, &request(&["a", "c"])).unwrap();
    let expected: [(&str, &[&str]); 3] = [
        ("a 1", &["recipe web.toml"]),
        ("b 1", &["a Depends b", "c Depends b | c"]),
        ("c 1", &["recipe web.toml", "essential", "a Depends c (>= 1)", "b Pre-Depends c"]),
    ];
    for ((name, because), (expected_name, expected_because)) in solved.iter().zip(expected) {
        assert_eq!(
            (name.as_str(), because.as_slice()),
            (expected_name, &expected_because.map_to_strings()[..])
        );
    }
    assert_eq!(solved.len(), 3);
}

trait MapToStrings {
    fn map_to_strings(&self) -> Vec<String>;
}

impl MapToStrings for &[&str] {
    fn map_to_strings(&self) -> Vec<String> {
        self.iter().map(|text| text.to_string()).collect()
    }
}

#[test]
fn the_first_alternative_is_preferred_unless_another_is_there() {
    let lines = "a 1 ; Depends: x | y
                 b 1 ; Depends: y
                 x 1
                 y 1";
    check(lines, &["a"], "a 1, x 1");
    check(lines, &["a", "b"], "a 1, b 1, y 1");
}

#[test]
fn virtual_packages_are_the_real_one_first_then_the_important() {
    let lines = "a 1 ; Depends: v
                 p 1 ; Provides: v ; Priority: optional
                 q 1 ; Provides: v ; Priority: standard";
    check(lines, &["a"], "a 1, q 1");
    check(&format!("{lines}\nv 1"), &["a"], "a 1, v 1");
    check(lines, &["a", "p"], "a 1, p 1");
}

#[test]
fn a_package_asked_for_by_name_is_there_even_when_another_provides_it() {
    let lines = "a 1 ; Depends: b
                 b 1 ; Provides: php-fpm
                 php-fpm 1 ; Depends: b";
    check(lines, &["a", "php-fpm"], "a 1, b 1, php-fpm 1");
}

#[test]
fn only_versioned_provides_satisfy_versioned_dependencies() {
    let lines = "a 1 ; Depends: v (>= 2)
                 p 1 ; Provides: v
                 q 1 ; Provides: v (= 1)
                 r 1 ; Provides: v (= 3)";
    check(lines, &["a"], "a 1, r 1");
}

#[test]
fn multi_arch_qualifiers_are_dpkgs() {
    let lines = "a 1 ; Depends: x:any
                 b 1 ; Depends: y:any
                 c 1 ; Depends: x:amd64
                 d 1 ; Depends: x:arm64
                 x 1 ; Multi-Arch: allowed
                 y 1 ; Multi-Arch: foreign";
    check(lines, &["a", "c"], "a 1, c 1, x 1");
    assert!(solve(lines, &request(&["b"])).is_err());
    assert!(solve(lines, &request(&["d"])).is_err());
    // Packages of other architectures are not there at all.
    assert!(solve("a 1 ; Architecture: arm64", &request(&["a"])).is_err());
    check("a 1 ; Architecture: all", &["a"], "a 1");
}

#[test]
fn conflicts_and_breaks_are_kept() {
    let lines = "a 1 ; Depends: x | y
                 b 1 ; Conflicts: x
                 c 1 ; Breaks: d (<< 2)
                 d 1
                 x 1
                 y 1";
    check(lines, &["a", "b"], "a 1, b 1, y 1");
    let error = solve(lines, &request(&["c", "d"])).unwrap_err().render();
    assert!(error.contains("c 1 breaks d (<< 2), which is d 1"), "{error}");
    check(&format!("{lines}\nd 2"), &["c", "d"], "c 1, d 2");
}

#[test]
fn any_limits_what_a_package_needs_and_not_what_it_excludes() {
    let lines = "a 1 ; Conflicts: y:any
                 b 1 ; Breaks: y:any (<< 2)
                 c 1 ; Conflicts: v:any
                 p 1 ; Provides: v
                 y 1";
    for roots in [["a", "y"], ["b", "y"], ["c", "p"]] {
        assert!(solve(lines, &request(&roots)).is_err(), "{roots:?}");
    }
    check(&format!("{lines}\ny 2"), &["b", "y"], "b 1, y 2");
}

#[test]
fn a_package_does_not_conflict_with_itself() {
    let lines = "m 1 ; Provides: mta ; Conflicts: mta ; Breaks: m (<< 2)
                 n 1 ; Provides: mta ; Conflicts: mta";
    check(lines, &["m"], "m 1");
    assert!(solve(lines, &request(&["m", "n"])).is_err());
}

#[test]
fn older_versions_are_taken_when_they_have_to_be() {
    let lines = "a 1 ; Depends: b (<= 1)
                 b 2
                 b 1
                 b 1~";
    check(lines, &["a", "b"], "a 1, b 1");
}

#[test]
fn locked_versions_are_kept_where_they_can_be() {
    let lines = "a 1 ; Depends: b
                 a 2 ; Depends: b
                 b 1
                 b 2
                 c 1 ; Depends: b (>= 2)";
    let mut request = request(&["a"]);
    request.prefer = [("a", "1"), ("b", "1")].map(|(name, version)| (name.into(), version.into())).into();
    check_request(lines, &request, "a 1, b 1");
    request.roots.insert("c".into(), vec!["recipe web.toml".into()]);
    check_request(lines, &request, "a 1, b 2, c 1");
    request.prefer.insert("a".into(), "0.9".into());
    check_request(lines, &request, "a 2, b 2, c 1");
}

#[test]
fn a_bound_outranks_what_is_kept_and_is_told_where_it_cannot_be_kept() {
    let lines = "a 1 ; Depends: b (= 1)
                 a 2 ; Depends: b (= 2)
                 b 1
                 b 2
                 b 3
                 c 1";
    let mut request = request(&["a", "c"]);
    request.prefer = [("a", "1"), ("b", "1")].map(|(name, version)| (name.into(), version.into())).into();
    check_request(lines, &request, "a 1, b 1, c 1");
    request.at_least = [("b".to_string(), "2".to_string())].into();
    check_request(lines, &request, "a 2, b 2, c 1");
    // Nobody has to have it.
    request.at_least = [("d".to_string(), "2".to_string())].into();
    check_request(lines, &request, "a 1, b 1, c 1");
    request.at_least = [("b".to_string(), "3".to_string())].into();
    let error = solve(lines, &request).unwrap_err();
    let told = "recipe web.toml asks for a\na 1 needs b (= 1)\nb (>= 3) is wanted, which b 1 is not";
    assert!(error.causes().iter().any(|cause| cause == told), "{}", error.render());
    // A version that is ruled out by something else is told by that.
    let lines = "a 1 ; Depends: b
                 b 1
                 b 2 ; Depends: ghost";
    let request = Request { at_least: [("b".to_string(), "2".to_string())].into(), ..self::request(&["a"]) };
    let error = solve(lines, &request).unwrap_err();
    assert_eq!(error.causes().len(), 1, "{}", error.render());
    assert!(
        error.causes()[0].contains("b 2 needs ghost\nno package is or provides ghost"),
        "{}",
        error.render()
    );
}

#[test]
fn what_only_a_dropped_choice_needed_is_dropped() {
    // The solver may look at x and its z before y turns out to be there anyway.
    let lines = "a 1 ; Depends: x | y
                 b 1 ; Depends: c
                 c 1 ; Depends: y
                 x 1 ; Depends: z
                 y 1
                 z 1";
    check(lines, &["a", "b"], "a 1, b 1, c 1, y 1");
}

#[test]
fn a_denied_package_is_avoided_or_refused_with_its_chain() {
    let lines = "a 1 ; Depends: b
                 b 1 ; Depends: x | y
                 x 1
                 y 1 ; Provides: v";
    let mut request = request(&["a"]);
    request.deny = [("x".to_string(), vec!["overlay lean".to_string()])].into();
    check_request(lines, &request, "a 1, b 1, y 1");
    // A name that no package has denies those that provide it.
    request.deny.insert("v".into(), vec!["recipe web.toml".into()]);
    let error = solve(lines, &request).unwrap_err().render();
    assert!(error.contains("the recipe denies a package that it cannot do without"), "{error}");
    let chain = "recipe web.toml asks for a\n           a 1 needs b\n           b 1 needs x | y";
    assert!(error.contains(&format!("{chain}\n           x is denied by overlay lean")), "{error}");
    assert!(error.contains("for which there is y 1\n           v is denied by recipe web.toml"), "{error}");
}

#[test]
fn a_missing_dependency_is_told_with_its_chain() {
    let error = solve("a 1 ; Depends: b\nb 1 ; Depends: libfoo2 (>= 2)\nlibfoo1 1", &request(&["a"]));
    let error = error.unwrap_err().render();
    assert!(error.contains("recipe web.toml asks for a\n"), "{error}");
    assert!(error.contains("b 1 needs libfoo2 (>= 2)\n"), "{error}");
    assert!(error.contains("no package is or provides libfoo2 (nearest: libfoo1)"), "{error}");
    let error = solve("a 1 ; Depends: b (>= 2)\nb 1", &request(&["a"])).unwrap_err().render();
    assert!(error.contains("of b there is only 1"), "{error}");
}

#[test]
fn a_conflict_is_told_with_both_chains() {
    let lines = "a 1 ; Depends: c
                 b 1 ; Depends: d
                 c 1 ; Conflicts: d
                 d 1";
    let mut request = request(&["a"]);
    request.roots.insert("b".into(), vec!["overlay ssh".into()]);
    let error = solve(lines, &request).unwrap_err();
    assert_eq!(error.what(), "the packages asked for cannot be installed together");
    let expected = "recipe web.toml asks for a\na 1 needs c\nc 1 conflicts with d, which is d 1\n\
                    overlay ssh asks for b\nb 1 needs d";
    assert_eq!(error.causes(), [expected]);
}

#[test]
fn misspelt_names_are_told_all_at_once() {
    let error = solve("nginx 1\nvim 1", &request(&["ngnix", "vmi", "nginx", "a b"])).unwrap_err();
    assert_eq!(error.exit().code(), 2);
    assert_eq!(error.causes().len(), 3);
    assert!(error.causes()[1].contains("ngnix, and there is no such package (nearest: nginx)"), "{error}");
}

#[test]
fn relations_that_cannot_be_read_name_their_package() {
    let error = solve("a 1 ; Depends: b\nb 1 ; Depends: ((", &request(&["a"])).unwrap_err().to_string();
    assert!(error.contains("the Depends field of b"), "{error}");
}

/// A relation of a made-up package: the target's letter, and a bound.
fn relation_text() -> impl Strategy<Value = String> {
    (0..6u8, prop::option::of((prop::sample::select(vec!["<<", "<=", "=", ">=", ">>"]), 1..4u8))).prop_map(
        |(name, bound)| {
            let name = (b'a' + name) as char;
            bound.map_or(name.to_string(), |(sign, version)| format!("{name} ({sign} {version})"))
        },
    )
}

/// A universe of up to six names in up to two versions each.
fn universe_lines() -> impl Strategy<Value = String> {
    let group = prop::collection::vec(relation_text(), 1..3).prop_map(|parts| parts.join(" | "));
    let package = (
        0..6u8,
        1..4u8,
        prop::collection::vec(group, 0..3),
        prop::option::weighted(0.3, relation_text()),
        prop::option::weighted(0.3, 0..6u8),
    );
    prop::collection::vec(package, 1..9).prop_map(|packages| {
        let mut lines = String::new();
        for (name, version, depends, conflicts, provides) in packages {
            lines.push_str(&format!("{} {version}", (b'a' + name) as char));
            if !depends.is_empty() {
                lines.push_str(&format!(" ; Depends: {}", depends.join(", ")));
            }
            if let Some(conflicts) = conflicts {
                lines.push_str(&format!(" ; Conflicts: {conflicts}"));
            }
            if let Some(provides) = provides {
                lines.push_str(&format!(" ; Provides: {} (= 2)", (b'a' + provides) as char));
            }
            lines.push('\n');
        }
        lines
    })
}

/// Whether a set of packages is a valid installation that has the root.
fn valid(universe: &Universe<'_>, set: &[PackageId], root: &str) -> bool {
    let hits = |relation: &Relation<'_>| -> Vec<PackageId> {
        let ids = universe.satisfying(relation).into_iter().flat_map(|(_, ids)| ids);
        ids.filter(|id| set.contains(id)).collect()
    };
    let names: BTreeSet<&str> = set.iter().map(|&id| universe.package(id).stanza.name).collect();
    let real = universe.named(root);
    let rooted =
        if real.is_empty() { !hits(&plain(root)).is_empty() } else { real.iter().any(|id| set.contains(id)) };
    names.len() == set.len()
        && rooted
        && set.iter().all(|&id| {
            let stanza = universe.package(id).stanza;
            let depends = groups("", "", stanza.depends).unwrap();
            let conflicts = groups("", "", stanza.conflicts).unwrap();
            depends.iter().all(|group| group.alternatives.iter().any(|relation| !hits(relation).is_empty()))
                && conflicts.iter().all(|group| hits(&group.alternatives[0]).iter().all(|&hit| hit == id))
        })
}

proptest! {
    /// The solver against trying every subset, also with a version that one package must have at least.
    #[test]
    fn it_finds_a_valid_set_exactly_when_there_is_one(
        lines in universe_lines(),
        bound in prop::option::of(1..4u8),
    ) {
        let text = packages_file(&lines);
        let stanzas = index::parse(&text, "test").whole().unwrap();
        let universe = Universe::new("amd64", [("debian", stanzas)]).unwrap();
        let ids: Vec<PackageId> = (0..universe.len() as PackageId).collect();
        let mut request = request(&["a"]);
        request.at_least = bound.map(|bound| ("b".to_string(), bound.to_string())).into_iter().collect();
        let low = |&id: &PackageId| {
            let stanza = universe.package(id).stanza;
            request.at_least.get(stanza.name).is_some_and(|bound| stanza.version < bound.as_str())
        };
        let good = |set: &[PackageId]| valid(&universe, set, "a") && !set.iter().any(low);
        let mut subsets = (0..1u32 << ids.len()).map(|bits| -> Vec<PackageId> {
            ids.iter().copied().filter(|id| bits >> id & 1 == 1).collect()
        });
        let possible = subsets.any(|set| good(&set));
        match resolve(&universe, &request) {
            Ok(chosen) => {
                let set: Vec<PackageId> = chosen.iter().map(|chosen| chosen.package).collect();
                prop_assert!(good(&set), "{set:?} from {bound:?} in\n{lines}");
                prop_assert!(chosen.iter().all(|chosen| !chosen.because.is_empty()));
            }
            Err(error) => {
                prop_assert!(!possible, "{} from {bound:?} in\n{lines}", error.render());
                prop_assert!(!error.causes().is_empty(), "{} from {bound:?} in\n{lines}", error.render());
            }
        }
    }
}
