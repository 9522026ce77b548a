"""The options of the plugin: their names, their help and what values they take."""

import dataclasses
import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any

from certbot_dns_persist.errors import ConfigurationError

POLICIES = ("auto", "wildcard", "exact")
CHECKS = ("authoritative", "resolver")
FALLBACKS = ("error", "dns-01")

#: Seconds to wait for a record by default: written by a provider, by a person at a terminal.
PROPAGATION_SECONDS = 120
MANUAL_PROPAGATION_SECONDS = 1800
#: RFC 2181 section 8.
MAX_TTL = 2**31 - 1

_MAX_DAYS = 36500


@dataclasses.dataclass(frozen=True)
class Options:
    """The options, checked. Times are UNIX seconds, durations seconds unless they say days."""

    providers: tuple[str, ...]
    credentials: str | None
    propagation_seconds: int | None
    ttl: int
    policy: str
    valid_for: int | None
    """Days."""
    until: int | None
    issuer_domain_name: str | None
    resolvers: tuple[tuple[str, int], ...]
    """Address and port of each."""
    check: str
    shared: bool = False
    fallback: str = "error"
    script: str | None = None

    def persist_until(self, at: int) -> int | None:
        """Return the persistUntil of a record that is published at ``at``."""
        if self.valid_for is not None:
            return at + self.valid_for * 86400
        return self.until


def add_arguments(add: Callable[..., None]) -> None:
    """Declare the options to Certbot, which prefixes them and keeps what the user set.

    Values stay as they were typed, so that a renewal reads back what the user wrote; they are
    checked by :func:`check_options`.
    """
    add(
        "provider",
        metavar="NAME[,NAME...]",
        default="manual",
        help="Who writes the record when it is missing: manual (you do), cloudflare, route53, "
        "rfc2136, script, or the name of any installed Certbot DNS plugin (dns-...). Several "
        "where several services serve the zone. A credentials file with sections can say it for "
        "each zone.",
    )
    add("credentials", metavar="FILE", help="INI file with the providers' credentials.")
    add(
        "script",
        metavar="COMMAND",
        help="For the provider script: the program that publishes and removes records. It gets "
        "everything in environment variables.",
    )
    add(
        "propagation-seconds",
        metavar="N",
        help="The longest wait, in seconds, until every authoritative server serves the record; "
        f"it ends as soon as they do. (default: {PROPAGATION_SECONDS}; with manual "
        f"{MANUAL_PROPAGATION_SECONDS} at a terminal, 0 without)",
    )
    add("ttl", metavar="N", default="300", help="TTL of a record that we write, in seconds.")
    add(
        "policy",
        metavar="POLICY",
        default="auto",
        help="auto: policy=wildcard only when a wildcard is asked for; wildcard: always, which "
        "also lets the CA accept the record for subdomains; exact: never.",
    )
    add(
        "valid-for",
        metavar="DAYS",
        help="Let the record end (persistUntil) that many days ahead. It is published anew when "
        "less than a third is left and the provider can write.",
    )
    add(
        "until",
        metavar="DATE",
        help="Let the record end (persistUntil) at this date, RFC 3339 or UNIX seconds. It is "
        "never moved.",
    )
    add(
        "issuer-domain-name",
        metavar="NAME",
        help="Which of the CA's names to put into a record, when it offers several. (default: "
        "one that has a record already, else the first in sorted order)",
    )
    add(
        "resolvers",
        metavar="ADDR[:PORT],...",
        help="Recursive resolvers to look names up with, IPv6 as [::1]:53. (default: the system's)",
    )
    add(
        "check",
        metavar="WHERE",
        default="authoritative",
        help="Where a record must be visible: authoritative (every authoritative server) or "
        "resolver (the resolvers).",
    )
    add(
        "shared",
        action="store_true",
        help="For CAs that hash the account URI (draft -02): use the form that serves every domain "
        "of the account, so that many names can be aliases of one record. Anybody can then see "
        "that these domains belong together.",
    )
    add(
        "fallback",
        metavar="HOW",
        default="error",
        help="When the CA does not offer dns-persist-01: error (explain and stop) or dns-01 (a "
        "classic dns-01 through the same provider, cleaned up afterwards).",
    )


def options_of(given: Mapping[str, Any], saved: Mapping[str, str | bool]) -> Options:
    """Return the options that were ``given`` or, for the others, ``saved`` for a renewal.

    The keys of ``given`` are the options' names, those of ``saved`` have underscores. Raises
    :class:`~certbot_dns_persist.errors.ConfigurationError`.
    """
    if any(given.get(name) is not None for name in ("valid-for", "until")):
        # One excludes the other, so either replaces both.
        saved = {key: saved[key] for key in saved if key not in ("valid_for", "until")}
    defaults: dict[str, Any] = {}
    add_arguments(lambda name, default=None, **_: defaults.update({name: default}))

    def get(name: str) -> Any:
        value = given.get(name)
        return saved.get(name.replace("-", "_"), defaults[name]) if value is None else value

    return check_options(get, None)


def check_options(get: Callable[[str], Any], providers: list[str] | None) -> Options:
    """Return the options, whose values ``get`` returns by name, as text, a number or ``None``.

    ``providers`` are the names that may be asked for; ``None`` leaves that to whoever needs one, as
    at a renewal, which may do without. Raises
    :class:`~certbot_dns_persist.errors.ConfigurationError` for the first that cannot be used.
    """

    def text(name: str) -> str | None:
        value = get(name)
        return None if value is None else str(value).strip()

    valid_for = _number(text("valid-for"), "valid-for", 1, _MAX_DAYS, "days")
    until = _date(text("until"))
    if valid_for is not None and until is not None:
        raise ConfigurationError(
            "--dns-persist-valid-for and --dns-persist-until exclude each other: the first moves "
            "the end of the record with each renewal, the second fixes it. Give one of them."
        )
    ttl = _number(text("ttl"), "ttl", 0, MAX_TTL, "seconds")
    return Options(
        providers=parse_providers(text("provider"), providers),
        credentials=text("credentials"),
        propagation_seconds=_number(
            text("propagation-seconds"), "propagation-seconds", 0, MAX_TTL, "seconds"
        ),
        ttl=300 if ttl is None else ttl,
        policy=_choice(text("policy"), "policy", POLICIES),
        valid_for=valid_for,
        until=until,
        issuer_domain_name=text("issuer-domain-name"),
        resolvers=parse_resolvers(text("resolvers") or ""),
        check=_choice(text("check"), "check", CHECKS),
        shared=bool(get("shared")),
        fallback=_choice(text("fallback"), "fallback", FALLBACKS),
        script=text("script"),
    )


def too_wide(wildcard: str) -> ConfigurationError:
    """Return the error for a wildcard where the policy is exact."""
    return ConfigurationError(
        f"{wildcard} can only be proven by a record with policy=wildcard, which "
        "--dns-persist-policy exact forbids. Use auto, or leave the wildcard out."
    )


def parse_providers(value: str | None, known: list[str] | None) -> tuple[str, ...]:
    """Return the providers named in ``NAME[,NAME…]``, each once.

    Raises :class:`~certbot_dns_persist.errors.ConfigurationError` for one that is not ``known``.
    """
    names = [name.strip() for name in (value or "").split(",")]
    return tuple(
        dict.fromkeys(
            _choice(name, "provider", [name] if known is None else known) for name in names
        )
    )


def _choice(value: str | None, option: str, choices: list[str] | tuple[str, ...]) -> str:
    if value is None or value not in choices:
        raise ConfigurationError(
            f"--dns-persist-{option} {value!r} is unknown. It can be: {', '.join(choices)}."
        )
    return value


def _number(value: str | None, option: str, least: int, most: int, unit: str) -> int | None:
    if value is None:
        return None
    if not re.fullmatch(r"-?[0-9]{1,12}", value) or not least <= int(value) <= most:
        raise ConfigurationError(
            f"--dns-persist-{option} {value!r} is not a whole number of {unit} between {least} "
            f"and {most}."
        )
    return int(value)


def _date(value: str | None) -> int | None:
    if value is None:
        return None
    try:
        from certbot_dns_persist.record import parse_time  # every Certbot run imports this file

        return parse_time(value)
    except ValueError as error:
        raise ConfigurationError(
            f"--dns-persist-until {value!r} is no date with a time zone. Write it as RFC 3339, "
            "for instance 2027-12-31T00:00:00Z, or as UNIX seconds."
        ) from error


def parse_resolvers(value: str) -> tuple[tuple[str, int], ...]:
    """Return (address, port) of each in ``ADDR[:PORT],...``; IPv6 with a port is ``[::1]:53``.

    Raises :class:`~certbot_dns_persist.errors.ConfigurationError` for one that is no address.
    """
    return tuple(_resolver(part.strip()) for part in value.split(",") if part.strip())


def _resolver(text: str) -> tuple[str, int]:
    bracketed = re.fullmatch(r"\[([^]]*)\](?::([0-9]{1,5}))?", text)
    if bracketed:
        host, port = bracketed[1], bracketed[2]
    elif text.count(":") == 1:
        host, port = text.split(":")
    else:
        host, port = text, None
    try:
        address = ipaddress.ip_address(host)
        number = int(port) if port is not None else 53
    except ValueError:
        number = 0
    if not 1 <= number <= 65535:
        raise ConfigurationError(
            f"--dns-persist-resolvers: {text!r} is not an address. Write IP addresses, with a "
            "port where it is not 53: 192.0.2.53, 192.0.2.53:5353 or [2001:db8::53]:53."
        )
    return str(address), number
