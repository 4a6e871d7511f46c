use std::borrow::Cow;

/// What one cell of a spreadsheet may hold, in characters (Microsoft: Excel specifications and limits).
pub(crate) const MAX_CELL: usize = 32_767;

/// The text in one line of at most `limit` characters, without what a terminal obeys or what turns the order of characters: each of
/// these is a question mark.
pub(crate) fn plain(text: &str, limit: usize) -> Cow<'_, str> {
    let is_cut = text.char_indices().nth(limit).is_some();
    if !is_cut && !text.chars().any(is_unseen) {
        return text.into();
    }
    let shown = |character| if is_unseen(character) { '?' } else { character };
    let kept = if is_cut { limit.saturating_sub(1) } else { limit };
    let mut plain: String = text.chars().take(kept).map(shown).collect();
    if is_cut {
        plain.push('…');
    }
    plain.into()
}

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

/// Controls, separators of lines, what is of no width, and what turns the direction of writing (Unicode Technical Report 36).
fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
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
    fn a_terminal_gets_nothing_that_it_obeys_and_no_more_than_fits() {
        for (text, shown) in [
            ("alice@example.com", "alice@example.com"),
            ("\x1b]0;owned\x07\x1b[2J", "?]0;owned??[2J"),
            ("a\r\nb\tc\u{9b}31m", "a??b?c?31m"),
            ("user\u{202e}gpj.exe", "user?gpj.exe"),
            ("a\u{200b}\u{feff}\u{2028}b", "a???b"),
            ("Zoë 漢字", "Zoë 漢字"),
        ] {
            assert_eq!(plain(text, 20), shown);
        }
        assert_eq!(plain("0123456789", 10), "0123456789");
        assert_eq!(plain("0123456789x", 10), "012345678…");
        assert_eq!(plain(&"\x1b".repeat(1_000_000), 5), "????…");
    }

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
