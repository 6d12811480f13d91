"""Words as pixels: (height, width, 3) uint8 patches, in the font that Pillow brings along.

That font holds the printable ASCII characters and a few more. Accents are dropped and other
characters become `?`, which reads better than the empty boxes they would be.
"""

import unicodedata
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from openloop_cli.arrays import Array

Colour = tuple[int, int, int]

_BEYOND_ASCII = "·…±"
# Drawn this many times larger and shrunk, for smooth corners.
_SMOOTH = 4


@lru_cache(maxsize=4096)
def words(text: str, size: int, colour: Colour, background: Colour) -> Array:
    """One line of text. Lines of one size have one height, whatever their letters."""
    text = plain(text)
    ascent, descent = _font(size).getmetrics()
    image = Image.new("RGB", (max(1, width_of(text, size)), ascent + descent), background)
    ImageDraw.Draw(image).text((0, 0), text, colour, _font(size))
    return _frozen(image)


@lru_cache(maxsize=4096)
def pill(text: str, size: int, colour: Colour, fill: Colour, background: Colour) -> Array:
    """One line of text on a rounded field of even size."""
    label = words(text, size, colour, fill)
    height, width = (label.shape[0] + 7) // 2 * 2, (label.shape[1] + 21) // 2 * 2
    image = Image.new("RGB", (width * _SMOOTH, height * _SMOOTH), background)
    corner = (width * _SMOOTH - 1, height * _SMOOTH - 1)
    ImageDraw.Draw(image).rounded_rectangle((0, 0, *corner), 5 * _SMOOTH, fill)
    image = image.resize((width, height), Image.Resampling.BOX)
    image.paste(Image.fromarray(label), (10, 3))
    return _frozen(image)


def height_of(size: int) -> int:
    """The height of a line, as `words` draws it."""
    return sum(_font(size).getmetrics())


def width_of(text: str, size: int) -> int:
    """The width of a line, as `words` draws it."""
    return int(np.ceil(_font(size).getlength(plain(text))))


def shortened(text: str, size: int, width: int) -> str:
    """The text, its end replaced by an ellipsis if it is too wide."""
    if width_of(text, size) <= width:
        return text
    while text and width_of(text + "…", size) > width:
        text = text[:-1]
    return text.rstrip() + "…"


def wrapped(text: str, size: int, width: int, lines: int) -> list[str]:
    """The text in at most so many lines, broken between words; the rest is cut off."""
    result: list[str] = []
    left = text.split()
    while left and len(result) < lines:
        take = len(left)
        while take > 1 and width_of(" ".join(left[:take]), size) > width:
            take -= 1
        last = len(result) == lines - 1
        result.append(shortened(" ".join(left if last else left[:take]), size, width))
        left = left[take:]
    return result


def plain(text: str) -> str:
    """The text in characters that the font has."""
    return "".join(map(_plain, text))


def _plain(character: str) -> str:
    if " " <= character <= "~" or character in _BEYOND_ASCII:
        return character
    base = unicodedata.normalize("NFKD", character)[0]
    if unicodedata.combining(base):
        return ""
    return base if " " <= base <= "~" else "?"


@lru_cache(maxsize=16)
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return font


def _frozen(image: Image.Image) -> Array:
    patch = np.asarray(image)
    patch.setflags(write=False)
    return patch
