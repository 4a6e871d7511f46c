use std::borrow::Cow;

use crate::plain::is_unseen;

/// What one cell of a spreadsheet may hold, in characters (Microsoft: Excel specifications and limits).
pub(crate) const MAX_CELL: usize = 32_767;

/// The same line of JSON without what a terminal obeys. It stands for the same value.
pub(crate) fn plain_json(line: &str) -> Cow<'_, str> {
    if !line.chars().any(is_unseen) {
        return line.into();
    }
    let mut plain = String::with_capacity(line.len());
    for character in line.chars() {
        match character {
            // Controls of ASCII stand between the tokens of JSON, where they are white space, and never in its strings; but for DEL.
            '\0'..='\x1f' => plain.push(' '),
            unseen if is_unseen(unseen) => {
                let mut units = [0; 2];
                for unit in unseen.encode_utf16(&mut units) {
                    plain.push_str(&format!("\\u{unit:04x}"));
                }
            }
            seen => plain.push(seen),
        }
    }
    plain.into()
}

/// The text as a cell that no spreadsheet takes for a formula, whatever it takes for a separator of cells: an apostrophe goes before
/// what begins a formula, at the start and after separators (OWASP, CSV Injection).
pub(crate) fn defused(text: &str) -> Cow<'_, str> {
    let begins = |character| matches!(character, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠');
    if !text.contains(begins) {
        return text.into();
    }
    let mut safe = String::with_capacity(text.len() + 1);
    // Of a cell, whichever way it is cut.
    let mut is_start = true;
    for character in text.chars() {
        if is_start && begins(character) {
            safe.push('\'');
        }
        // White space and quotes are taken away by those who read cells.
        is_start = matches!(character, ',' | ';' | '|' | '\t' | '"') || is_start && character.is_whitespace();
        safe.push(character);
    }
    safe.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_for_a_terminal_is_the_same_value() {
        let line = "{\t\"a\":\"\u{9b}2J\u{202e}\u{e0041}\\u001b\",\r\"b\":\"\u{7f}é\"}";
        let plain = plain_json(line);
        assert!(!plain.chars().any(is_unseen), "{plain:?}");
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&plain), read(line));
    }

    #[test]
    fn nothing_that_begins_a_cell_is_a_formula() {
        for (text, safe) in [
            ("=1+1", "'=1+1"),
            ("+391234567890", "'+391234567890"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("-2+3", "'-2+3"),
            ("  =1", "  '=1"),
            ("a;=cmd|' /C calc'!A0", "a;'=cmd|' /C calc'!A0"),
            ("a,\"=1", "a,\"'=1"),
            ("＝1", "'＝1"),
            ("a=1", "a=1"),
            ("CN=lamp-1,O=Acme", "CN=lamp-1,O=Acme"),
            ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
            ("device:read", "device:read"),
        ] {
            assert_eq!(defused(text), safe);
        }
    }
}
