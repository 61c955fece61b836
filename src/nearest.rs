//! What somebody most likely meant who typed a name that is not known.

/// The candidate nearest to `wanted`, when one is near enough to be meant. Capital and small letters are the same.
pub fn one<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = wanted.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| {
            let length = lower.chars().count().max(candidate.chars().count());
            *distance <= (length / 3).max(1) && *distance < length
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Up to three of very many names, such as an archive's packages, the likeliest first: among so many, one that differs by
/// more than a slip or an ending is another name.
pub fn several<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let slips = if wanted.len() < 6 { 1 } else { 2 };
    let mut scored: Vec<(usize, f64, &'a str)> = candidates
        .into_iter()
        .map(|known| (strsim::osa_distance(known, wanted), strsim::jaro_winkler(known, wanted), known))
        .filter(|(distance, score, _)| *distance <= slips || *score > 0.92)
        .collect();
    scored.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| b.1.total_cmp(&a.1)).then_with(|| a.2.cmp(b.2)));
    scored.dedup_by_key(|(_, _, known)| *known);
    scored.into_iter().take(3).map(|(_, _, known)| known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_finds_typing_errors_and_nothing_else() {
        let known = ["port", "allow-groups", "max-count"];
        for (wanted, found) in [
            ("prot", Some("port")),
            ("Port", Some("port")),
            ("allow_groups", Some("allow-groups")),
            ("max-cuont", Some("max-count")),
            ("zzzz", None),
            ("", None),
        ] {
            assert_eq!(one(wanted, known), found, "{wanted}");
        }
    }

    #[test]
    fn several_has_the_likeliest_first_and_each_once() {
        let known = ["openssh-client", "openssh-server", "openssh-server", "nginx", "vim"];
        assert_eq!(several("openssh-sevrer", known), ["openssh-server"]);
        assert_eq!(several("openssh-serv", known), ["openssh-server"]);
        assert_eq!(several("vi", known), ["vim"]);
        assert_eq!(several("emacs", known), [""; 0]);
    }
}
