"""Records as articles showed them before there was a standard: no CA accepts any of these.

Some say the right things in other words, so most of the record that is needed can be derived from
them. Pure: no I/O, no clock.
"""

import dataclasses
import re
import urllib.parse
from collections.abc import Mapping

from certbot_dns_persist.record import (
    MalformedRecord,
    ValidationRecord,
    is_parameter_value,
    normalize_domain_name,
    parse_time,
    read_record,
)

NAMES: Mapping[str, str] = {
    "_acme-persist": "a name from articles written before the standard",
    "_persist-challenge": "a name from articles that mistook the record for a one-time token",
}
"""Labels at which no CA looks, and where each comes from."""

#: The issuer-domain-names of CAs by the host of their ACME server. A CA's directory
#: (caaIdentities) is authoritative; this is for use without it.
_ISSUERS = {
    "letsencrypt.org": "letsencrypt.org",
    "letsencrypt": "letsencrypt.org",
    "pki.goog": "pki.goog",
    "ssl.com": "ssl.com",
    "zerossl.com": "sectigo.com",
    "sectigo.com": "sectigo.com",
    "buypass.com": "buypass.com",
}

#: What each parameter means, in lower case.
_MEANINGS = {
    "v": "version",
    "version": "version",
    "acme-challenge": "version",
    "ca": "ca",
    "issuer": "ca",
    "account": "account",
    "acct": "account",
    "account-uri": "account",
    "account_uri": "account",
    "accounturi": "accounturi",
    "exp": "end",
    "expires": "end",
    "expiry": "end",
    "until": "end",
    "persistuntil": "persistuntil",
    "policy": "policy",
    "scope": "policy",
    "token": "token",
}

#: No article's value comes near this many characters. A longer one is not read: the patterns below
#: take quadratic time for blanks, and a stranger's TXT record may hold 64 kB.
MOST_CHARACTERS = 1024

_VERSION = re.compile(r"(acme|dns)-?persist.*|persist", re.IGNORECASE)
# A semicolon, or blanks or a comma before what looks like a parameter.
_BETWEEN = re.compile(r"\s*;\s*|[\s,]+(?=[A-Za-z_-]+\s*=)")
_PARAMETER = re.compile(r"([A-Za-z_-]+)\s*[=:\s]\s*(\S.*)", re.DOTALL)
# Like a digest for dns-01, or any other in base64url.
_TOKEN = re.compile(r"[A-Za-z0-9_-]{22,}={0,2}")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


@dataclasses.dataclass(frozen=True)
class Obsolete:
    """What an old value says, in the words of the standard; ``None`` where it says nothing."""

    form: str
    """What kind of value it is, for a person."""
    issuer_domain_name: str | None = None
    account_uri: str | None = None
    policy: str | None = None
    persist_until: int | None = None
    """UNIX seconds."""
    problems: tuple[str, ...] = ()
    """What could not be derived and has to be looked up, a sentence each."""

    @property
    def record(self) -> ValidationRecord | None:
        """The record that is needed; ``None`` if the old value does not say enough."""
        if self.issuer_domain_name is None or self.account_uri is None:
            return None
        return ValidationRecord(
            self.issuer_domain_name, self.account_uri, self.policy, self.persist_until
        )

    @property
    def needed(self) -> str:
        """The TXT value that is needed, with angle brackets around what must be filled in."""
        parts = [
            self.issuer_domain_name or "<issuer-domain-name>",
            f"accounturi={self.account_uri or '<account-uri>'}",
        ]
        if self.policy is not None:
            parts.append(f"policy={self.policy}")
        if self.persist_until is not None:
            parts.append(f"persistUntil={self.persist_until}")
        return "; ".join(parts)


def recognize(value: str) -> Obsolete | None:
    """Return what ``value`` means if it is in an old form, ``None`` for anything else.

    A record that some CA reads is never of an old form, whatever unknown parameters it has, nor is
    a value of more than :data:`MOST_CHARACTERS`.
    """
    if len(value) > MOST_CHARACTERS:
        return None
    try:
        read_record(value)
    except MalformedRecord:
        pass
    else:
        return None
    said = _read(value)
    if "token" in said or _TOKEN.fullmatch(_bare(value)):
        return Obsolete(
            "a one-time token, as for dns-01",
            problems=(
                "A persistent record names the CA and the account, and holds no token; a token "
                "contains neither.",
            ),
        )
    dated = "persistuntil" in said and not re.fullmatch(r"-?\d+", said["persistuntil"])
    version = _VERSION.fullmatch(said.get("version", "")) is not None
    if not (version or dated or said.keys() & {"ca", "account", "end"}):
        return None
    return _translate(said)


def _bare(text: str) -> str:
    return text.strip().strip("\"'").strip()


def _read(value: str) -> dict[str, str]:
    """Return the value of each parameter, by its meaning; the first of several counts."""
    said: dict[str, str] = {}
    for part in map(_bare, _BETWEEN.split(_bare(value))):
        parameter = _PARAMETER.fullmatch(part)
        meaning = _MEANINGS.get(parameter[1].lower()) if parameter else None
        if parameter and meaning:
            said.setdefault(meaning, _bare(parameter[2]))
        elif "." in part and _host(part) == part.lower():
            said.setdefault("issuer", part)  # in the standard's form
    return said


def _translate(said: Mapping[str, str]) -> Obsolete:
    problems: list[str] = []
    issuer = _issuer(said.get("ca", said.get("issuer")), problems)
    account = _account(said.get("accounturi", said.get("account")), problems)
    end = _end(said.get("persistuntil", said.get("end")), problems)
    policy = "wildcard" if said.get("policy", "").lower() == "wildcard" else None
    return Obsolete(
        "a record with parameters that are not in the standard",
        issuer,
        account,
        policy,
        end,
        tuple(problems),
    )


def _issuer(ca: str | None, problems: list[str]) -> str | None:
    if not ca:
        problems.append("It does not say which CA it is for.")
        return None
    host = _host(ca)
    for known, issuer in _ISSUERS.items():
        if host == known or (host and host.endswith(f".{known}")):
            return issuer
    if host and "." in host and "://" not in ca:
        return host
    problems.append(
        f"The CA is given as {ca!r}, but a record begins with the CA's issuer-domain-name: it is "
        "among the caaIdentities in the CA's ACME directory."
    )
    return None


def _host(text: str) -> str | None:
    """Return the host in a URL or a host name, normalised; ``None`` if it is neither."""
    try:
        named = urllib.parse.urlsplit(text if "://" in text else f"//{text}").hostname
        return normalize_domain_name(named) if named else None
    except ValueError:
        return None


def _account(account: str | None, problems: list[str]) -> str | None:
    if not account:
        problems.append("It does not say which account it is for.")
    elif "://" not in account or not is_parameter_value(account):
        problems.append(
            f"The account is given as {account!r}, but a record names it by its full URI, such as "
            "https://acme-v02.api.letsencrypt.org/acme/acct/1: certbot show_account shows it."
        )
    else:
        return account
    return None


def _end(end: str | None, problems: list[str]) -> int | None:
    if not end:
        return None
    try:
        return parse_time(f"{end}T00:00:00Z" if _DATE.fullmatch(end) else end)
    except ValueError:
        problems.append(
            f"Its end is given as {end!r}, which is not a date with a time zone; persistUntil is "
            "in UNIX seconds."
        )
        return None
