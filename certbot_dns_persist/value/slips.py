"""Slips of people who enter records by hand, and how to put them right. Pure: no I/O, no clock."""

from collections.abc import Iterable, Mapping

from certbot_dns_persist.record import (
    MAX_NAME_OCTETS,
    VALIDATION_LABEL,
    MalformedRecord,
    read_record,
    validation_domain_name,
)
from certbot_dns_persist.value.txt import unquoted

#: The marks that programs for writing put in the place of plain quotes.
QUOTES = {"\u201c": '"', "\u201d": '"', "\u201e": '"', "\u2018": "'", "\u2019": "'"}

#: What to say of a value for which :func:`without_quotes` has another, after "it" or the value.
QUOTED = "holds quotes or backslashes, which only zone files need"

#: No record in use has this many characters. A longer value is not looked through: the pattern for
#: strings in quotes takes quadratic time, and a stranger's TXT record may hold 64 kB.
MOST_CHARACTERS = 2048


def without_quotes(value: str) -> str | None:
    """Return the record that ``value`` would be without quotes and backslashes that stand in it.

    ``None`` when it is a record as it stands, or none without them either.
    """
    if len(value) > MOST_CHARACTERS or is_record(value):
        return None
    text = value.strip()
    for curly, straight in QUOTES.items():
        text = text.replace(curly, straight)
    text = unquoted(text).replace("\\;", ";").replace('\\"', '"')
    bare = text.strip("\"'` ")
    return bare if is_record(bare) else None


def is_record(value: str) -> bool:
    """Whether some CA can read ``value``."""
    try:
        read_record(value)
    except MalformedRecord:
        return False
    return True


def same_but_for_case(account_uri: str, accepted: Iterable[str]) -> str | None:
    """Return the one of ``accepted`` that ``account_uri`` is but for upper and lower case."""
    folded = account_uri.lower()
    return next((uri for uri in accepted if uri.lower() == folded and uri != account_uri), None)


def wrong_places(domain: str, zone: str) -> Mapping[str, str]:
    """Return the names at which records for ``domain``, of ``zone``, are put by mistake, and why.

    The reasons go on after the name of the record.
    """
    name = validation_domain_name(domain)
    places = {
        f"{name}.{zone}": f"has the zone's name twice: the DNS service appends {zone} itself",
        f"_acme-challenge.{domain}": "is the name for dns-01",
        domain: "is the domain itself",
    }
    return {name: why for name, why in places.items() if len(name) <= MAX_NAME_OCTETS}


def without_doubled_end(name: str) -> str | None:
    """Return ``name`` without its end if that stands twice, as ``example.com`` may."""
    labels = name.split(".")
    for count in range(len(labels) // 2, 1, -1):
        if labels[-count:] == labels[-2 * count : -count]:
            return ".".join(labels[:-count])
    return None


def too_long(domain: str) -> str | None:
    """Return why no record for ``domain`` can stand in DNS, a sentence; ``None`` when one can."""
    octets = len(validation_domain_name(domain))
    if octets <= MAX_NAME_OCTETS:
        return None
    base = domain.removeprefix("*.")
    return (
        f"The name of the record for {base} would have {octets} octets, and DNS allows "
        f"{MAX_NAME_OCTETS}: with {VALIDATION_LABEL}. before it, a domain may have "
        f"{MAX_NAME_OCTETS - len(VALIDATION_LABEL) - 1}. Use a wildcard for the name above it "
        f"(*.{base.partition('.')[2]}), or another kind of challenge."
    )
