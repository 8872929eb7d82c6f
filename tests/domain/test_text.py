"""Nothing that an agent wrote hides from who reads it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.domain.text import count_hidden, is_hidden, reveal, storable


@pytest.mark.row("I14")
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, é, 漢字, 🙂", "plain text, é, 漢字, 🙂"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("alice@\u202emoc.live", "alice@[U+202E]moc.live"),
        ("pay\u200bpal", "pay[U+200B]pal"),
        ("a\u2066b\u2069", "a[U+2066]b[U+2069]"),
        ("bell\x07 escape\x1b[31m", "bell[U+0007] escape[U+001B][31m"),
        ("carriage\rreturn", "carriage[U+000D]return"),
        ("del\x7f c1\x9b", "del[U+007F] c1[U+009B]"),
        ("soft\u00adhyphen", "soft[U+00AD]hyphen"),
        ("tag\U000e0041", "tag[U+E0041]"),
        ("hangul\u3164filler", "hangul[U+3164]filler"),
        ("braille\u2800blank", "braille[U+2800]blank"),
        ("variation\ufe0f", "variation[U+FE0F]"),
        ("supplement\U000e0100", "supplement[U+E0100]"),
        ("line\u2028separator", "line[U+2028]separator"),
        ("private\ue000", "private[U+E000]"),
        ("half\ud800", "half[U+D800]"),
        ("bom\ufeff", "bom[U+FEFF]"),
    ],
)
def test_hidden_characters_are_shown(text: str, shown: str) -> None:
    assert reveal(text) == shown
    assert count_hidden(text) == shown.count("[U+")


@given(st.text())
def test_nothing_hidden_is_left(text: str) -> None:
    assert count_hidden(reveal(text)) == 0
    assert reveal(text) == text or any(is_hidden(char) for char in text)


@given(st.text(st.characters()))
def test_what_is_storable_has_utf_8_and_no_nul(text: str) -> None:
    kept = storable(text)
    assert "\0" not in kept
    assert kept.encode().decode() == kept
