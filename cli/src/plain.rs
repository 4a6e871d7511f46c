use std::borrow::Cow;

/// A text of others in one line, without what a terminal obeys or what turns the order of characters: each of these is a question mark.
#[must_use]
pub fn plain(text: &str) -> String {
    plain_within(text, usize::MAX).into_owned()
}

/// The same of at most `limit` characters.
pub(crate) fn plain_within(text: &str, limit: usize) -> Cow<'_, str> {
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

/// Controls, separators of lines, what is of no width, and what turns the direction of writing (Unicode Technical Report 36).
pub(crate) fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
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
            assert_eq!(plain_within(text, 20), shown);
            assert_eq!(plain(text), shown);
        }
        assert_eq!(plain_within("0123456789", 10), "0123456789");
        assert_eq!(plain_within("0123456789x", 10), "012345678…");
        assert_eq!(plain_within(&"\x1b".repeat(1_000_000), 5), "????…");
    }
}
