"""Names, places and numbers of a few countries; all people are invented."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Country:
    """What people of a country are called and how they write addresses and phone numbers."""

    code: str
    share: float
    calling: str
    """Country calling code."""
    trunk: str
    """Digit before national numbers, empty where there is none."""
    mobile: tuple[str, str]
    """Prefixes before seven free digits: of customers, and of people who are none."""
    women: str
    men: str
    families: str
    places: tuple[tuple[str, str, str], ...]
    """City, postal code with # for a digit and @ for a letter, and state."""


COUNTRIES: tuple[Country, ...] = (
    Country(
        "DE", 0.42, "49", "0", ("1511", "1523"),
        "Anna Lena Sophie Marie Julia Laura Katharina Johanna Lea Sabine Petra Monika Birgit Käthe "
        "Jördis Anne-Kathrin Ayşe Heike Claudia Franziska",
        "Lukas Jonas Leon Paul Felix Maximilian Jürgen Günther Thomas Michael Andreas Stefan Björn "
        "Karl-Heinz Mehmet Tobias Florian Matthias Sören Wolfgang",
        "Müller Schmidt Schneider Fischer Weber Meyer Wagner Becker Schulz Hoffmann Schäfer Koch Bauer "
        "Richter Klein Wolf Schröder Neumann Schwarz Zimmermann Braun Krüger Hofmann Hartmann Lange "
        "Groß Böhm Y\u0131lmaz Kaya Nowak Weiß Jäger Köhler Vogel Friedrich Keller Günther Frank "
        "Berger Winkler",
        (("Berlin", "10###", "BE"), ("Hamburg", "22###", "HH"), ("München", "80###", "BY"),
         ("Köln", "50###", "NW"),
         ("Leipzig", "04###", "SN"), ("Stuttgart", "70###", "BW"), ("Münster", "48###", "NW"),
         ("Görlitz", "02###", "SN")),
    ),
    Country(
        "AT", 0.10, "43", "0", ("664", "676"),
        "Anna Lena Hannah Sophie Verena Magdalena Theresa Elisabeth Barbara Eva Christine Brigitte",
        "Lukas David Tobias Florian Johannes Franz Josef Stefan Markus Bernhard Gernot Jörg",
        "Gruber Huber Bauer Wagner Müller Pichler Steiner Moser Mayer Hofer Leitner Berger Fuchs Eder "
        "Fischer Schmid Winkler Weber Schwarz Maier Reiter Wöß Brandstätter Lechner",
        (("Wien", "10##", ""), ("Graz", "80##", ""), ("Linz", "40##", ""), ("Salzburg", "50##", ""),
         ("Innsbruck", "60##", "")),
    ),
    Country(
        "CH", 0.03, "41", "0", ("78", "79"),
        "Lea Laura Nina Céline Chiara Regula Ursula Zoé Selina Vreni",
        "Noah Luca Reto Urs Beat Marco André Gian Christoph Daniel",
        "Müller Meier Schmid Keller Weber Huber Schneider Frei Baumann Zürcher Rochat Favre Bernasconi "
        "Aebischer",
        (("Zürich", "80##", "ZH"), ("Bern", "30##", "BE"), ("Basel", "40##", "BS"),
         ("Genève", "12##", "GE")),
    ),
    Country(
        "FR", 0.10, "33", "0", ("61", "62"),
        "Camille Chloé Manon Inès Zoé Léa Amélie Sylvie Nathalie Anne-Marie Françoise Hélène",
        "Lucas Hugo Louis Théo René Jean-Pierre Michel Benoît Loïc Étienne Mathieu François",
        "Martin Bernard Thomas Petit Robert Richard Durand Dubois Moreau Laurent Lefèvre Michel Garcia "
        "Roux Fournier Girard Bonnet Dupont Lambert Faure Béranger Guérin D'Aubigné Leblanc",
        (("Paris", "750##", ""), ("Lyon", "6900#", ""), ("Marseille", "1300#", ""),
         ("Nantes", "44###", ""), ("Orléans", "45###", "")),
    ),
    Country(
        "NL", 0.08, "31", "0", ("61", "62"),
        "Emma Julia Sanne Lotte Femke Anouk Marijke Ingrid Maaike Noëlle",
        "Daan Sem Lars Bram Jeroen Pieter Hendrik Willem Ruben Joost",
        "de Jong,Jansen,de Vries,van den Berg,Bakker,van Dijk,Visser,Smit,Meijer,de Boer,Mulder,Bos,"
        "Vos,Peters,Hendriks,van Leeuwen,Dekker,Brouwer",
        (("Amsterdam", "10## @@", ""), ("Rotterdam", "30## @@", ""), ("Utrecht", "35## @@", ""),
         ("'s-Hertogenbosch", "52## @@", "")),
    ),
    Country(
        "GB", 0.07, "44", "0", ("740", "750"),
        "Olivia Amelia Isla Emily Charlotte Sophie Grace Siân Fiona Margaret",
        "Oliver George Harry Jack Charlie Thomas James William Callum Rhys",
        "Smith,Jones,Taylor,Brown,Williams,Wilson,Johnson,Davies,Patel,Wright,Walker,White,Edwards,"
        "O'Connor,Hughes,Green,Hall,McDonald,Clarke,Fitz-Gerald",
        (("London", "SW# #@@", ""), ("Manchester", "M# #@@", ""), ("Leeds", "LS# #@@", ""),
         ("Glasgow", "G# #@@", "")),
    ),
    Country(
        "IT", 0.06, "39", "", ("347", "348"),
        "Giulia Sofia Martina Chiara Francesca Alessia Lucia Paola Niccolina Elena",
        "Leonardo Francesco Alessandro Lorenzo Matteo Andrea Marco Niccolò Giuseppe Davide",
        "Rossi,Russo,Ferrari,Esposito,Bianchi,Romano,Colombo,Ricci,Marino,Greco,Bruno,Gallo,Conti,"
        "De Luca,Costa,Giordano,D'Angelo,Lo Presti",
        (("Roma", "001##", "RM"), ("Milano", "201##", "MI"), ("Torino", "101##", "TO"),
         ("Forlì", "4712#", "FC")),
    ),
    Country(
        "ES", 0.06, "34", "", ("61", "62"),
        "Lucía Sofía María Martina Paula Carmen Begoña Nuria Inés Montserrat",
        "Hugo Martín Pablo Alejandro José Íñigo Javier Manuel Óscar Ángel",
        "García Rodríguez González Fernández López Martínez Sánchez Pérez Gómez Martín Jiménez Ruiz "
        "Hernández Díaz Muñoz Álvarez Núñez Ibáñez",
        (("Madrid", "280##", "M"), ("Barcelona", "080##", "B"), ("Valencia", "460##", "V"),
         ("A Coruña", "150##", "C")),
    ),
    Country(
        "US", 0.08, "1", "", ("212", "415"),
        "Emma Olivia Ava Sophia Isabella Mia Madison Abigail Jennifer Linda Zoë",
        "Liam Noah Mason Ethan Logan James Robert John Michael José Tyrone",
        "Smith,Johnson,Williams,Brown,Jones,Garcia,Miller,Davis,Rodriguez,Martinez,Anderson,Taylor,"
        "Thomas,Moore,Jackson,Lee,Nguyen,O'Brien,St. James,King Jr.",
        (("New York", "100##", "NY"), ("Los Angeles", "900##", "CA"), ("Chicago", "606##", "IL"),
         ("Houston", "770##", "TX"),
         ("Boston", "021##", "MA"), ("Seattle", "981##-####", "WA")),
    ),
)  # fmt: skip

CONSENT_NEEDED = tuple(country.code != "US" for country in COUNTRIES)
"""Whether silence means no, per country: the EEA, the UK and Switzerland."""

MAIL_DOMAINS: tuple[tuple[str, float], ...] = (
    ("gmail.com", 0.62), ("googlemail.com", 0.06), ("freemail.example", 0.06), ("post.example", 0.05),
    ("webbrief.example", 0.04), ("mailhaus.example", 0.03), ("mailinator.com", 0.003),
)  # fmt: skip
"""Where private people have their mail, with shares; the rest have it at their employer's."""

COMPETITOR_DOMAINS = ("rival-fashion.example", "otherstore.example")
"""Domains of the invented shop's competitors."""


def split(names: str) -> tuple[str, ...]:
    """The names in a list: by commas where one holds blanks, else by blanks."""
    return tuple(names.split(",") if "," in names else names.split())
