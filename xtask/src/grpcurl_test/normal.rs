//! Making the output of two runs comparable: ports, ids and times differ from run to run.

/// Replaces each of `from` by its counterpart in `to`.
pub fn readdress(text: &str, from: &[&str], to: &[&str]) -> String {
    from.iter()
        .zip(to)
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// Replaces what differs from run to run by a word for what it is. The known addresses stay distinct.
pub fn normal(text: &str, addresses: &[&str; 3]) -> String {
    let text = readdress(text, addresses, &["<registry>", "<alice>", "<bob>"]);
    let mut result = String::new();
    let mut word = String::new();
    for c in text.chars().chain(['\n']) {
        if c.is_ascii_alphanumeric() || "-.:".contains(c) {
            word.push(c);
            continue;
        }
        result.push_str(kind_of(&word).unwrap_or(&word));
        word.clear();
        result.push(c);
    }
    // Blank space differs between versions of a tool, and at the ends of lines the document does not keep it.
    let lines: Vec<String> = result
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    lines.join("\n").trim_end().to_owned()
}

/// What a word is an instance of, if that differs from run to run.
fn kind_of(word: &str) -> Option<&'static str> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Some("<id>");
    }
    if word.len() >= 20 && word.ends_with('Z') && word.get(4..5) == Some("-") && word.get(10..11) == Some("T") {
        return Some("<time>");
    }
    if word.strip_prefix("127.0.0.1:").is_some_and(digits) {
        return Some("<address>");
    }
    let seconds = word.strip_suffix('s')?;
    let (whole, fraction) = seconds.split_once('.')?;
    (digits(whole) && digits(fraction)).then_some("<seconds>")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESSES: [&str; 3] = ["127.0.0.1:7734", "127.0.0.1:40001", "127.0.0.1:40002"];

    #[test]
    fn what_differs_between_runs_is_made_the_same() {
        let normal = |text| normal(text, &ADDRESSES);
        let one = r#"{"peerId": "0123456789abcdef0123456789abcdef", "registeredTime": "2026-11-22T21:00:00.123Z"} "#;
        let other = r#"{"peerId": "fedcba9876543210fedcba9876543210", "registeredTime": "2027-01-01T00:00:00Z"}"#;
        assert_eq!(normal(one), normal(other));
        assert_eq!(normal(r#""spread": "0.102s""#), r#""spread": "<seconds>""#);
        assert_eq!(normal(r#""observed": "127.0.0.1:51234""#), r#""observed": "<address>""#);
    }

    #[test]
    fn what_must_not_differ_is_kept() {
        let text = r#"{"number": 9110, "interval": "10s"} p2pci.v1.Registry"#;
        assert_eq!(normal(text, &ADDRESSES), text);
        assert_ne!(normal(ADDRESSES[1], &ADDRESSES), normal(ADDRESSES[2], &ADDRESSES));
        let digest = "21c1cdce6ab0e5509b04d84a28000836c7a087cf786efe6f04877ebfff47232a";
        assert_eq!(normal(digest, &ADDRESSES), digest);
    }

    #[test]
    fn the_addresses_of_two_runs_are_the_same_in_normal_form() {
        let real = ["127.0.0.1:33333", "127.0.0.1:44444", "127.0.0.1:55555"];
        assert_eq!(
            normal("at 127.0.0.1:44444", &real),
            normal("at 127.0.0.1:40001", &ADDRESSES)
        );
        assert_eq!(readdress("at 127.0.0.1:33333", &real, &ADDRESSES), "at 127.0.0.1:7734");
    }
}
