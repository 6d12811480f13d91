"""Words as pixels: they fit, and every character is one that the font has."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from openloop_cli.draw.grid import text

BLACK, WHITE = (0, 0, 0), (255, 255, 255)


def test_lines_of_one_size_have_one_height():
    patches = [text.words(line, 14, WHITE, BLACK) for line in ("a", "Tg_|", "…", "")]
    assert {patch.shape[0] for patch in patches} == {text.height_of(14)}


@pytest.mark.parametrize("line", ["Wfjy_gq|", "step 1692", "(imagined)"])
def test_letters_are_not_cut_off(line):
    roomy = Image.new("RGB", (400, 100))
    ImageDraw.Draw(roomy).text((50, 30), line, WHITE, ImageFont.load_default(14))
    assert text.words(line, 14, WHITE, BLACK).sum() == np.asarray(roomy).sum()


def test_cached_patches_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        text.words("a", 14, WHITE, BLACK)[0] = 1


@pytest.mark.parametrize("width", [30, 60, 120, 1000])
def test_shortened_fits_and_keeps_what_it_can(width):
    line = "a run name that is rather long"
    short = text.shortened(line, 14, width)
    assert text.width_of(short, 14) <= width
    assert short == line or short.endswith("…")


def test_wrapped_keeps_all_words_while_there_is_room():
    line = "Each column is one recorded window and nothing else"
    lines = text.wrapped(line, 12, 100, 10)
    assert " ".join(lines) == line
    assert all(text.width_of(part, 12) <= 100 for part in lines)
    assert len(text.wrapped(line, 12, 100, 2)) == 2
    assert text.wrapped("", 12, 100, 2) == []


def test_characters_that_the_font_lacks():
    assert text.plain("läuft naïve") == "lauft naive"
    assert text.plain("日本") == "??"
    assert text.plain("a\tb·…±") == "a?b·…±"
