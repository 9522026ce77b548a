"""The values that validators do not all accept, by what is known of their sources."""

from typing import NamedTuple

END_OF_INT64 = 2**63 - 1


class Difference(NamedTuple):
    """A value with CA and URI to fill in, whom it is for, and who accepts it for that account."""

    value: str
    standard: bool
    boulder: bool
    pebble: bool
    why: str
    """In the reason."""
    wildcard: bool = False


DIFFERENCES = {
    "a tag with a dot": Difference(
        "{ca}; accounturi={uri}; a.b=c", False, True, True, "the standard refuses it, as the tag"
    ),
    "a tag with an underscore": Difference(
        "{ca}; _t=1; accounturi={uri}", False, True, True, "the standard refuses it, as the tag"
    ),
    "a tag with blanks": Difference(
        "{ca}; accounturi={uri}; tag with space=v", False, True, True, "the tag 'tag with space'"
    ),
    "a value that is not ASCII": Difference(
        "{ca}; accounturi={uri}; note=\u00e4", False, True, True, "not printable ASCII"
    ),
    "a plus sign": Difference(
        "{ca}; accounturi={uri}; persistUntil=+4000000000",
        False,
        True,
        True,
        "not a decimal number",
    ),
    "an unknown tag twice": Difference(
        "{ca}; accounturi={uri}; note=1; Note=2", True, True, False, "Pebble refuses it, as"
    ),
    "a final dot": Difference(
        "{ca}.; accounturi={uri}", True, True, False, "Pebble refuses it, as the issuer-domain-name"
    ),
    "upper case": Difference(
        "{CA}; accounturi={uri}", True, True, False, "the issuer-domain-name is not written"
    ),
    "a TAB before accounturi": Difference(
        "{ca};\taccounturi={uri}", True, False, False, "a TAB is not a blank there"
    ),
    "a TAB after accounturi": Difference(
        "{ca}; accounturi={uri}\t", True, False, False, "a TAB is not a blank there"
    ),
    "a TAB after the CA": Difference(
        "{ca}\t; accounturi={uri}", True, False, False, "a TAB is not a blank there"
    ),
    "a TAB after the policy": Difference(
        "{ca}; accounturi={uri}; policy=wildcard\t",
        True,
        False,
        False,
        "a TAB is not a blank there",
        wildcard=True,
    ),
    "the end of 64 bits": Difference(
        f"{{ca}}; accounturi={{uri}}; persistUntil={END_OF_INT64}",
        True,
        False,
        False,
        "where time overflows",
    ),
    "a second beyond Go's time": Difference(
        "{ca}; accounturi={uri}; persistUntil=9223371974719179008",
        True,
        False,
        False,
        "is more than 9223371974719179007",
    ),
}

ALIKE = (
    "{ca}; accounturi={uri}",
    "  {ca}  ;accounturi = {uri};ACCOUNTURI2=x",
    "{ca}; accounturi={uri}; persistUntil=9223371974719179007",
    "{ca}; accounturi={uri}; persistUntil=000004000000000",
    "{ca}; accounturi={uri};\tnote=1",
    "{ca}; accounturi={uri}; policy=other",
)
"""What all of them accept."""


def fill_in(value: str, ca: str, uri: str) -> str:
    """Return a value of the above for one CA and account."""
    return value.format(ca=ca, CA=ca.upper(), uri=uri)
