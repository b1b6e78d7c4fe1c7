"""Names, gender, date of birth and place, as Meta and Google want them spelled."""

from __future__ import annotations

import re
from datetime import date

from audience_pipeline.identifiers.countries import country_code
from audience_pipeline.identifiers.text import clean, letters, looks_hashed, lowered, without_blanks

_MALE = frozenset({
    "m", "male", "man", "boy", "gentleman", "guy", "mister", "mr", "sir", "herr", "mann", "männlich",
    "homme", "masculin", "hombre", "uomo", "he", "him", "his", "men", "lad", "husband", "father", "son",
    "brother", "maschio", "masculino", "mannelijk", "monsieur", "señor", "signor", "signore",
})  # fmt: skip
_FEMALE = frozenset({
    "f", "female", "woman", "girl", "lady", "gal", "madam", "miss", "mrs", "ms", "frau", "weiblich", "w",
    "femme", "féminin", "mujer", "donna", "she", "her", "hers", "women", "lass", "maam", "wife", "mother",
    "daughter", "sister", "femmina", "femenino", "vrouw", "vrouwelijk", "madame", "señora", "signora",
})  # fmt: skip
_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
    "november", "december",
)  # fmt: skip
_STATES = {
    "alabama": "al", "alaska": "ak", "americansamoa": "as", "arizona": "az", "arkansas": "ar",
    "california": "ca", "colorado": "co", "connecticut": "ct", "delaware": "de",
    "districtofcolumbia": "dc", "florida": "fl", "georgia": "ga", "guam": "gu", "hawaii": "hi",
    "idaho": "id", "illinois": "il", "indiana": "in", "iowa": "ia", "kansas": "ks", "kentucky": "ky",
    "louisiana": "la", "maine": "me", "maryland": "md", "massachusetts": "ma", "michigan": "mi",
    "minnesota": "mn", "mississippi": "ms", "missouri": "mo", "montana": "mt", "nebraska": "ne",
    "nevada": "nv", "newhampshire": "nh", "newjersey": "nj", "newmexico": "nm", "newyork": "ny",
    "northcarolina": "nc", "northdakota": "nd", "northernmarianaislands": "mp", "ohio": "oh",
    "oklahoma": "ok", "oregon": "or", "pennsylvania": "pa", "puertorico": "pr", "rhodeisland": "ri",
    "southcarolina": "sc", "southdakota": "sd", "tennessee": "tn", "texas": "tx", "usvirginislands": "vi",
    "utah": "ut", "vermont": "vt", "virginia": "va", "washington": "wa", "washingtondc": "dc",
    "westvirginia": "wv", "wisconsin": "wi", "wyoming": "wy",
}  # fmt: skip
_ZIP_PLUS_FOUR = re.compile(r"([0-9]{5})-?[0-9]{4}")
_TITLE = re.compile(r"(?:mrs|mr|ms|miss|mx|dr|prof|sir|madam|herr|frau)(?:\.\s*|\s+)(?=\S)")
_SUFFIX = re.compile(r"(?<=\w)(?:\s*,\s*|\s+)(?:jr|sr|ii|iii|iv|phd|ph\.d|md|m\.d|esq)\.?$")
_NO_NAME = frozenset({"n/a", "#n/a"})


def meta_name(value: str) -> str | None:
    """Lower case, without punctuation and blanks; letters of every script stay."""
    text = lowered(value)
    if looks_hashed(text) or text in _NO_NAME:
        return None
    name = letters(text, digits=True)
    return name if letters(name) else None


def google_name(value: str) -> str | None:
    """Lower case and trimmed, without titles and suffixes; inner blanks and hyphens stay."""
    text = lowered(value)
    if looks_hashed(text) or text in _NO_NAME or not letters(text):
        return None
    while title := _TITLE.match(text):
        text = text[title.end() :]
    return _SUFFIX.sub("", text)


def first_initial(value: str) -> str | None:
    """First character of Meta's first name."""
    name = meta_name(value)
    return name[0] if name else None


def gender(value: str) -> str | None:
    """``m`` or ``f``; None for everything that is neither."""
    word = letters(lowered(value))
    if word in _MALE:
        return "m"
    return "f" if word in _FEMALE else None


def birth_year(value: str) -> str | None:
    """Four digits from 1900 to this year."""
    text = clean(value)
    if re.fullmatch(r"[0-9]{4}", text) and 1900 <= int(text) <= date.today().year:
        return text
    return None


def birth_month(value: str) -> str | None:
    """Two digits, from a number or an English name."""
    text = lowered(value)
    names = [number for number, name in enumerate(_MONTHS, start=1) if text in (name, name[:3])]
    return f"{names[0]:02}" if names else _two_digits(text, 12)


def birth_day(value: str) -> str | None:
    """Two digits."""
    return _two_digits(clean(value), 31)


def _two_digits(text: str, highest: int) -> str | None:
    return f"{int(text):02}" if re.fullmatch(r"[0-9]{1,2}", text) and 1 <= int(text) <= highest else None


def city(value: str) -> str | None:
    """Only a to z: the rule drops accented letters rather than spelling them in another way."""
    return re.sub(r"[^a-z]", "", lowered(value)) or None


def state(value: str) -> str | None:
    """Two letters for a state of the US; elsewhere the name without blanks and punctuation."""
    name = letters(lowered(value))
    return _STATES.get(name, name) or None


def meta_zip(value: str, default_region: str | None) -> str | None:
    """Lower case without blanks; five digits in the US, which a ``default_region`` or the form tells."""
    text = without_blanks(lowered(value))
    us = default_region is None or default_region.upper() == "US"
    plus_four = _ZIP_PLUS_FOUR.fullmatch(text) if us else None
    if plus_four:
        return plus_four.group(1)
    return text if len(text) > 1 and letters(text, digits=True) else None


def google_postal_code(value: str) -> str | None:
    """Trimmed and otherwise as it is."""
    text = clean(value)
    return text if letters(text, digits=True) else None


def meta_country(value: str) -> str | None:
    """ISO2 in lower case, from a code or a name."""
    code = country_code(value)
    return code.lower() if code else None
