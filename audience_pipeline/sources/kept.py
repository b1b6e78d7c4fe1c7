"""Columns that the workspace keeps of a file of contacts, and columns that hold hashes: what can be meant."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

MOST = 50
"""Columns that can be kept."""
_LONGEST = 60
_CONTACTS = frozenset({
    "address", "address_1", "address_2", "address_line_1", "address_line_2", "adresse", "birth_date",
    "birthdate", "birthday", "cell", "cell_phone", "cellphone", "city", "contact_name", "customer_name",
    "date_of_birth", "dob", "e_mail", "e_mail_address", "email", "email_address", "family_name",
    "fax", "fax_number", "first_name", "firstname", "full_name", "fullname", "geburtsdatum", "given_name",
    "handy", "iban", "last_name", "lastname", "mail", "mail_address", "maiden_name", "middle_name", "mobile",
    "mobile_number", "mobile_phone", "msisdn", "nachname", "name", "nom", "passport", "phone", "phone_number",
    "phonenumber", "prenom", "ssn", "strasse", "street", "street_address", "surname", "tel", "telefon",
    "telefonnummer", "telephone", "telephone_number", "vorname",
})  # fmt: skip
"""Who somebody is or how to reach them is never kept as it is."""

HASHED_FOR: Mapping[str, tuple[str, ...]] = {
    "email": ("meta", "google", "tiktok"),
    "phone": ("meta", "google"),
}
"""Columns that can hold hashes, and by whose rules: TikTok takes the phone hashes of the others."""


def safe_name(column: str) -> str:
    """A column's name in lower snake case, a to z, 0 to 9 and ``_`` alone; empty where nothing is left."""
    humps = re.sub("(?<=[a-z0-9])(?=[A-Z])", "_", column)
    plain = unicodedata.normalize("NFKD", humps.casefold())
    letters = "".join(character for character in plain if not unicodedata.combining(character))
    return "_".join(re.findall("[a-z0-9]+", letters))[:_LONGEST].strip("_")


def refuse(columns: Sequence[str]) -> None:
    """Raise ValueError, with a sentence, where columns of a file cannot be kept as they are."""
    if len(columns) > MOST:
        raise ValueError(f"keep names {len(columns)} columns: at most {MOST} can be kept")
    names = [safe_name(column) for column in columns]
    for column, name in zip(columns, names, strict=True):
        if not name:
            raise ValueError("keep names a column without a letter a to z or a digit: rename it in the file")
        if name in _CONTACTS:
            raise ValueError(
                f"keep names '{column}', which tells who somebody is or how to reach them: only hashes of "
                "that are kept, by themselves (see the columns of crm)"
            )
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise ValueError(f"keep names several columns that are called {twice[0]} here: keep one of them")


def refuse_hashes(hashed: Mapping[str, Sequence[str]]) -> None:
    """Raise ValueError, with a sentence, where a column cannot hold hashes for these platforms."""
    for column, platforms in hashed.items():
        if column not in HASHED_FOR:
            raise ValueError(f"hashed takes {' and '.join(HASHED_FOR)}, such as email=meta,google")
        known = HASHED_FOR[column]
        if not platforms or not set(platforms) <= set(known):
            raise ValueError(f"hashed takes one or more of {', '.join(known)} for {column}")
