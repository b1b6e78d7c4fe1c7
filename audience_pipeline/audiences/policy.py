"""Names and descriptions that a platform's policy would flag, found before the platform does.

Meta flags customer audiences whose name or description hints at health or money trouble, and then refuses
edits, lookalikes and ad sets with them; Google forbids lists about sensitive interests and lists of minors
altogether. A word here is a reason to look, not a verdict: what counts is what the audience is about.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from audience_pipeline.platforms.contract import Platform

LONGEST_WORD = 40
"""Characters of a word that a warning shows."""


@dataclass(frozen=True, slots=True)
class Topic:
    """Something that people must not be singled out by."""

    name: str
    """In words, as a warning shows it."""
    words: str
    """Whole words, beginnings of words (they end with ``*``) and words in a row (joined by ``_``)."""
    platforms: tuple[Platform, ...] = (Platform.META, Platform.GOOGLE, Platform.TIKTOK)


@dataclass(frozen=True, slots=True)
class Flag:
    """A word that a platform would take offence at."""

    where: str
    """``name`` or ``description``."""
    word: str
    """As the lists spell it: small, without accents."""
    topic: str
    platforms: tuple[Platform, ...]

    @property
    def sentence(self) -> str:
        """The warning for people."""
        who = ", ".join(platform.value for platform in self.platforms)
        return (
            f"the {self.where} says {self.word!a}, which hints at {self.topic}: {who} may flag or "
            "refuse such an audience; name it after what people did, not after what they are"
        )


SOURCES: Mapping[Platform, str] = {
    Platform.META: (
        "Marketing API, custom audiences: operation status 471 (flagged by integrity rules, since 2025-09-02)"
        " and fields_violating_integrity_policy: names and descriptions that hint at health or money problems"
    ),
    Platform.GOOGLE: (
        "Google Ads, personalised advertising and Customer Match policies: no sensitive interest categories "
        "(personal hardships, identity and belief, sexual interests), nobody under 18"
    ),
    Platform.TIKTOK: "TikTok advertising policies: no targeting by sensitive personal characteristics",
}
"""Where the topics come from."""

TOPICS = (
    Topic(
        "health",
        "disease* illness* sick sickness patient patients diagnos* cancer* diabet* depress* anxiety "
        "asthma* arthrit* hiv aids pregnan* ibs adhd autis* dementia alzheimer* obes* overweight addict* "
        "rehab disab* disorder* infertil* migraine* insomnia* medicat* chronic* therapy therapist* "
        "schizophren* bipolar epilep* krank* patienten krebs* schwanger* behinder* suchtig* suchtkrank* "
        "ubergewicht* herzkrank* malad* sante grossesse enceinte* handicap* enferm* paciente* salud "
        "embaraz* discapac*",
    ),
    Topic(
        "money trouble",
        "low_income poor_people poverty bankrupt* insolven* debt debts debtor* indebted bad_credit "
        "subprime payday unemploy* jobless foreclos* evict* welfare food_stamps overdrawn "
        "financial_trouble geringverdien* armut* schulden* verschuldet* uberschuldet* arbeitslos* pleite "
        "faible_revenu endettement surendett* dettes chomage chomeur* chomeuse* pauvrete pobreza deuda* "
        "desemplead* desempleo bancarrota moroso* morosa* bajos_ingresos",
    ),
    Topic(
        "religion or belief",
        "religio* christians christianity catholic* protestant* muslim* islam* jew jews jewish judaism "
        "hindu* buddhis* sikh* atheis* mormon* churchgoer* churches mosque* synagogue* ramadan katholi* "
        "evangelisch* moslem* juden jude judisch* christlich* kirche* moschee* musulman* chretien* juif "
        "juive* eglise* catolic* judio* judia* cristian* iglesia* mezquita*",
    ),
    Topic(
        "ethnic origin",
        "ethnic* racial black_people white_people african_american* hispanic* latino* latina* latinx "
        "asian_american* caucasian* immigrant* refugee* migrant* gypsy gypsies indigenous minority "
        "minorities ethnie* auslander* fluchtling* migrationshintergrund einwander* refugie* immigre* "
        "ethnique* inmigrante* refugiado* etnia* etnic* gitano*",
    ),
    Topic(
        "sexual orientation or sex life",
        "gay gays lesbian* bisexual* homosexual* lgbt* queer* transgender* transsexual* sexual* same_sex "
        "erotic* fetish* schwul* lesbisch* homosexuell* erotik* sexuel* homosexuel* lesbienne*",
    ),
    Topic(
        "politics or a trade union",
        "politics political politically democrats republicans conservatives liberals socialist* "
        "communist* left_wing right_wing voter voters trade_union* union_member* abortion* politisch* "
        "wahler* gewerkschaft* syndicat* syndique* electeur* votante* sindicato* sindicalista*",
    ),
    Topic(
        "the age of minors",
        "minors underage teen teens teenage teenager* under_18 under_16 under_13 schoolkid* schoolchild* "
        "minderjahrig* jugendliche* teenies unter_18 unter_16 mineur mineurs adolescen* moins_de_18 "
        "menores menor_de_18",
    ),
    Topic(
        "a criminal record",
        "criminal* convict convicts convicted felon* ex_offender* prison* inmate* arrested vorbestraft* "
        "straftater* haftling* detenu* criminel* condenad* presos antecedentes_penales",
    ),
    Topic(
        "personal hardship",
        "divorce* widow* bereav* domestic_violence geschieden* verwitwet* witwe* hinterblieben* veuf "
        "veuve* deuil viudo* viuda* divorciad* duelo",
    ),
)
"""Each word is written as :func:`_plain` leaves it: small, without accents."""

_LOOKALIKES = str.maketrans({
    "\u0430": "a", "\u0432": "b", "\u0435": "e", "\u043a": "k", "\u043c": "m", "\u043d": "h", "\u043e": "o",
    "\u0440": "p", "\u0441": "c", "\u0442": "t", "\u0443": "y", "\u0445": "x", "\u0455": "s", "\u0456": "i",
    "\u0458": "j", "\u04bb": "h", "\u0501": "d", "\u051b": "q", "\u051d": "w", "\u03b1": "a", "\u03b5": "e",
    "\u03b7": "n", "\u03b9": "i", "\u03ba": "k", "\u03bd": "v", "\u03bf": "o", "\u03c1": "p", "\u03c4": "t",
    "\u03c5": "u", "\u03c7": "x", "\u0131": "i", "\u0251": "a", "\u0261": "g", "\u00df": "ss", "\u00f8": "o",
})  # fmt: skip
"""Cyrillic, Greek and other letters that pass for Latin ones."""
_DIGITS = str.maketrans("013457", "oieast")
_WORD = re.compile(r"[^\W_]+")


def flagged(name: str, description: str) -> list[Flag]:
    """The words of a name and a description that hint at what people must not be singled out by.

    Args:
        name: the name of an audience.
        description: its description.

    Returns:
        One flag per word and place, in the order of the text, those of the name first.
    """
    found = [
        Flag(where, word, topic.name, topic.platforms)
        for where, text in (("name", name), ("description", description))
        for topic, word in _found(text)
    ]
    return list(dict.fromkeys(found))


def _found(text: str) -> Iterator[tuple[Topic, str]]:
    plain = _WORD.findall(_plain(text))
    spelled = [word if word.isdecimal() else word.translate(_DIGITS) for word in plain]
    for words in [plain, spelled] if spelled != plain else [plain]:
        for hit in _pattern().finditer(" ".join(words)):
            yield TOPICS[int((hit.lastgroup or "t0")[1:])], hit.group()[:LONGEST_WORD]


@cache
def _pattern() -> re.Pattern[str]:
    groups = (
        f"(?P<t{number}>{'|'.join(_alternative(entry) for entry in topic.words.split())})"
        for number, topic in enumerate(TOPICS)
    )
    return re.compile(rf"(?<!\S)(?:{'|'.join(groups)})(?!\S)")


def _alternative(entry: str) -> str:
    words = entry.replace("_", " ")
    return rf"{words[:-1]}\S*" if words.endswith("*") else words


def _plain(text: str) -> str:
    """Small letters without accents; look-alikes as the Latin letters that they pass for."""
    folded = unicodedata.normalize("NFKD", text).casefold().translate(_LOOKALIKES)
    return "".join(letter for letter in folded if unicodedata.category(letter) not in ("Mn", "Cf"))
