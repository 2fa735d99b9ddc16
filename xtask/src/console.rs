//! What this program prints: headings, the commands that it runs, and what they answered.

use std::time::Duration;

/// The number of lines of one command's output that are worth showing to a reader of the demo.
pub const OUTPUT_LINES: usize = 12;

/// Shows a command as the user would type it.
pub fn command(text: &str) {
    println!("    $ {text}");
}

/// Shows what a command printed, at most [`OUTPUT_LINES`] lines of it.
pub fn output(text: &str) {
    let lines: Vec<&str> = text.lines().collect();
    for line in lines.iter().take(OUTPUT_LINES) {
        println!("{}", format!("      {}", printable(line)).trim_end());
    }
    if let Some(more @ 1..) = lines.len().checked_sub(OUTPUT_LINES) {
        println!("      … and {more} more lines");
    }
}

/// Shows a sentence of the story, in lines of at most a hundred characters.
pub fn tell(text: &str) {
    for line in wrap(text, 100) {
        println!("    {line}");
    }
}

/// A duration, with as many digits as are worth reading.
pub fn seconds(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds >= 90.0 {
        let whole = duration.as_secs();
        return format!("{} min {:02} s", whole / 60, whole % 60);
    }
    if seconds < 10.0 {
        format!("{seconds:.2} s")
    } else {
        format!("{seconds:.1} s")
    }
}

/// A count with its noun: "1 peer", "4 peers".
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Replaces whatever a terminal would act on: what a command printed may quote bytes of a file.
fn printable(line: &str) -> String {
    line.chars()
        .map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c })
        .collect()
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        if let Some(line) = lines.last_mut() {
            if line.is_empty() {
                line.push_str(word);
                continue;
            }
            if line.chars().count() + 1 + word.chars().count() <= width {
                line.push(' ');
                line.push_str(word);
                continue;
            }
        }
        lines.push(word.to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_the_digits_that_matter() {
        let texts: Vec<String> = [0.004, 9.5, 12.34, 89.9, 605.0]
            .map(|s| seconds(Duration::from_secs_f64(s)))
            .into();
        assert_eq!(texts, ["0.00 s", "9.50 s", "12.3 s", "89.9 s", "10 min 05 s"]);
    }

    #[test]
    fn long_text_is_wrapped_between_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("incomprehensible is long", 5), ["incomprehensible", "is", "long"]);
        assert_eq!(wrap("", 5), [""]);
    }

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mb\u{9b}c"), "a\u{fffd}[31mb\u{fffd}c");
    }
}
