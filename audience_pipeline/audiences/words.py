"""How messages speak: names shown without harm, and the nearest name that was probably meant."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable

# Nine digits, however they are spaced: a day has eight.
_PRIVATE = re.compile(r"@|(?:\d[\s().+/-]{0,3}){8,}\d|[0-9a-fA-F]{32,}")


def shown(text: str, longest: int = 40) -> str:
    """Text of a definition as a message shows it: short, in quotes, look-alike letters spelled out.

    What looks like an e-mail address, a phone number or a hash is withheld.
    """
    if _PRIVATE.search(text):
        return "'(withheld)'"
    return ascii(text if len(text) <= longest else text[: longest - 3] + "...")


def nearest(name: str, names: Iterable[str]) -> str:
    """`` (did you mean ...?)``, or nothing where no name is near."""
    there = {_plain(one): one for one in sorted(names, reverse=True)}
    close = difflib.get_close_matches(_plain(name), list(there), n=1, cutoff=0.6)
    return f" (did you mean {there[close[0]]}?)" if close else ""


def _plain(name: str) -> str:
    return unicodedata.normalize("NFKD", name).encode("ascii", "replace").decode().replace("?", "").lower()


def odd_letters(name: str) -> str:
    """Names the letters that are not plain Latin ones and may look like them, or nothing."""
    odd = sorted({letter for letter in name if not letter.isascii()})
    return f"; it contains {', '.join(f'U+{ord(letter):04X}' for letter in odd[:3])}" if odd else ""
