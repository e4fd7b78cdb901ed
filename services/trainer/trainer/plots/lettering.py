"""Writing any text in a picture: fonts for scripts that the default font lacks, and widths."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from matplotlib import font_manager

from trainer.plots.style import UNIT

DEFAULT_FAMILY = "DejaVu Sans"  # comes with matplotlib
_BLANK = "□"
_MOST_FALLBACKS = 4
# Tried first, because they cover much; any other font of the system after them.
_WIDE_COVERAGE = (
    "noto sans cjk sc",
    "noto sans cjk",
    "source han sans",
    "pingfang",
    "hiragino sans",
    "microsoft yahei",
    "yu gothic",
    "malgun gothic",
    "wenquanyi",
    "droid sans fallback",
    "arial unicode",
    "noto sans",
    "unifont",
)


@dataclass(frozen=True)
class Lettering:
    """The fonts that some texts need. missing: characters that no font here has."""

    families: tuple[str, ...]
    missing: frozenset[str]

    def text(self, text: str) -> str:
        """The text on one line, a box for what cannot be drawn."""
        return "".join(_BLANK if letter in self.missing else letter for letter in one_line(text))

    def class_names(self, classes: Sequence[str]) -> list[str]:
        """Names as pictures write them: `class 3` for one with a character that no font has."""
        lines = [one_line(name) for name in classes]
        return [
            f"class {number}" if not line or self.missing.intersection(line) else line
            for number, line in enumerate(lines)
        ]

    def fitted(self, text: str, width: float, size: float) -> str:
        """The text, or as much of it as fits with an ellipsis; width in hundredths of an inch."""
        if self.width(text, size) <= width:
            return text
        short, long = 0, len(text)
        while short < long:
            middle = (short + long + 1) // 2
            if self.width(text[:middle].rstrip() + "…", size) <= width:
                short = middle
            else:
                long = middle - 1
        return text[:short].rstrip() + "…"

    def width(self, text: str, size: float) -> float:
        """In hundredths of an inch, at a size in points."""
        font = font_manager.get_font([_path(family) for family in self.families])
        font.set_size(size, 1 / UNIT)
        font.set_text(text, 0.0)
        return float(font.get_width_height()[0]) / 64  # FreeType counts 64ths


def lettering(texts: Iterable[str]) -> Lettering:
    """Fonts for all these texts together."""
    return _for_characters(frozenset("".join(map(one_line, texts))))


def one_line(text: str) -> str:
    """Without line ends, control characters and runs of blanks."""
    printable = (
        " " if unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") else letter
        for letter in text
    )
    return " ".join("".join(printable).split())


@lru_cache(maxsize=64)
def _for_characters(characters: frozenset[str]) -> Lettering:
    families = [DEFAULT_FAMILY]
    missing = _lacking(font_manager.findfont(DEFAULT_FAMILY), characters)
    for family, path in _system_fonts() if missing else ():
        left = _lacking(path, missing)
        if left != missing:
            families.append(family)
            missing = left
        if not missing or len(families) > _MOST_FALLBACKS:
            break
    return Lettering(tuple(families), missing)


def _lacking(path: str, characters: frozenset[str]) -> frozenset[str]:
    try:
        font = font_manager.get_font(path)
        return frozenset(c for c in characters if not font.get_char_index(ord(c)))
    except (OSError, RuntimeError):  # colour bitmaps and damaged files are no use here
        return characters


@lru_cache(maxsize=1)
def _system_fonts() -> tuple[tuple[str, str], ...]:
    """Family and path of the upright regular fonts of this system, the likeliest first."""
    manager = font_manager.fontManager
    # matplotlib's own list is kept on disk and does not notice what is installed later.
    known = {entry.fname for entry in manager.ttflist}
    for path in font_manager.findSystemFonts():
        if path not in known:
            try:
                manager.addfont(path)
            except (OSError, RuntimeError):
                continue
    found = {
        entry.name: entry.fname
        for entry in sorted(manager.ttflist, key=lambda entry: entry.fname, reverse=True)
        if entry.style == "normal"
        and entry.weight in (400, "normal", "regular")
        # A font that has a box for every character there is.
        and "last resort" not in entry.name.lower()
    }
    return tuple(sorted(found.items(), key=lambda item: _rank(item[0])))


def _rank(family: str) -> tuple[int, str]:
    name = family.lower()
    likely = (i for i, prefix in enumerate(_WIDE_COVERAGE) if name.startswith(prefix))
    return next(likely, len(_WIDE_COVERAGE)), name


@lru_cache(maxsize=32)
def _path(family: str) -> str:
    return str(font_manager.findfont(font_manager.FontProperties(family=[family])))
