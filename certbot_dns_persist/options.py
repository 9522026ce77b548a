"""The options of the plugin, in one table: the name, value and help of each.

The table is :class:`Options`: each field has the option's name, help, default and check beside the
type of its value. Certbot's parser, ours and the manual pages are made from it.
"""

import dataclasses
import ipaddress
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from certbot_dns_persist.errors import ConfigurationError

#: The default wait for a record, in seconds: published by a provider, by a person at a terminal.
PROPAGATION_SECONDS = 120
MANUAL_PROPAGATION_SECONDS = 1800
#: RFC 2181 section 8.
MAX_TTL = 2**31 - 1

_MAX_DAYS = 36500


def whole_number(text: str, least: int, most: int) -> int:
    """Return the decimal number in ``text``; both bounds are allowed.

    Raises :class:`ValueError` for anything else; the caller's message says what is allowed.
    """
    # Check the length first: for thousands of digits, int() raises an error of its own.
    if re.fullmatch(r"-?[0-9]{1,19}", text) and least <= int(text) <= most:
        return int(text)
    raise ValueError(f"{text!r} is not a whole number between {least} and {most}")


# Checks what the user gave. It gets the option, for its message, and the text without blanks around
# it; it returns the value or raises ConfigurationError.
_Check = Callable[[str, str], Any]


def _text(option: str, text: str) -> str:
    return text


def _providers(option: str, text: str) -> tuple[str, ...]:
    """Return the providers named in ``NAME[,NAME…]``, each once."""
    return tuple(dict.fromkeys(name.strip() for name in text.split(",")))


def _one_of(*choices: str) -> _Check:
    def check(option: str, text: str) -> str:
        if text not in choices:
            raise _unknown(option, text, choices)
        return text

    return check


def _unknown(option: str, text: str, choices: Collection[str]) -> ConfigurationError:
    return ConfigurationError(f"{option} {text!r} is unknown. It can be: {', '.join(choices)}.")


def _number_of(unit: str, least: int, most: int) -> _Check:
    def check(option: str, text: str) -> int:
        try:
            return whole_number(text, least, most)
        except ValueError as error:
            raise ConfigurationError(
                f"{option} {text!r} is not a whole number of {unit} between {least} and {most}."
            ) from error

    return check


def _date(option: str, text: str) -> int:
    try:
        from certbot_dns_persist.record import parse_time  # every Certbot run imports this file

        return parse_time(text)
    except ValueError as error:
        raise ConfigurationError(
            f"{option} {text!r} is not a date with a time zone. Write it as in RFC 3339, for "
            "instance 2027-12-31T00:00:00Z, or as UNIX seconds."
        ) from error


def _resolvers(option: str, text: str) -> tuple[tuple[str, int], ...]:
    """Return the (address, port) pairs of ``ADDR[:PORT],...``; IPv6 with a port is ``[::1]:53``."""
    return tuple(_resolver(option, part.strip()) for part in text.split(",") if part.strip())


def _resolver(option: str, text: str) -> tuple[str, int]:
    bracketed = re.fullmatch(r"\[([^]]*)\](?::(.*))?", text)
    if bracketed:
        host, port = bracketed[1], bracketed[2]
    elif text.count(":") == 1:
        host, port = text.split(":")
    else:
        host, port = text, None
    try:
        address = ipaddress.ip_address(host)
        return str(address), 53 if port is None else whole_number(port, 1, 65535)
    except ValueError as error:
        raise ConfigurationError(
            f"{option}: {text!r} is not an address. Write IP addresses, with a port if it is "
            "not 53: 192.0.2.53, 192.0.2.53:5353 or [2001:db8::53]:53."
        ) from error


def _names(option: str, text: str) -> tuple[str, ...]:
    """Return the domain names in ``NAME[,NAME…]``, each once."""
    return tuple(dict.fromkeys(_name(option, part) for part in text.split(",") if part.strip()))


def _name(option: str, text: str) -> str:
    from certbot_dns_persist.record import normalize_domain_name  # as in _date

    try:
        return normalize_domain_name(text.strip())
    except ValueError as error:
        raise ConfigurationError(
            f"{option}: {error}. Write each name that may be hidden, such as www.example.com."
        ) from error


@dataclasses.dataclass(frozen=True)
class Option:
    """One option: how Certbot and our command declare it, and how its value is checked."""

    name: str
    """Without Certbot's prefix for the plugin."""
    help: str
    metavar: str | None
    """``None`` for an option that takes no value."""
    default: str | None
    check: _Check

    @property
    def flag(self) -> str:
        """The option as the user types it."""
        return f"--dns-persist-{self.name}"

    def declare(self, add: Callable[..., None]) -> None:
        """Declare it with ``add``, which is like ``add_argument`` but adds the prefix."""
        details: dict[str, Any] = {"help": self.help}
        if self.metavar is None:
            details["action"] = "store_true"
        else:
            details["metavar"] = self.metavar
        if self.default is not None:
            details["default"] = self.default
        add(self.name, **details)

    def value(self, given: object) -> Any:
        """Return the checked value of what was ``given``: text, or a number that Certbot read back.

        Raises :class:`~certbot_dns_persist.errors.ConfigurationError`.
        """
        return bool(given) if self.metavar is None else self.check(self.flag, str(given).strip())


def _option(
    name: str,
    *,
    help: str,
    metavar: str | None = None,
    default: str | None = None,
    check: _Check = _text,
    unset: object = None,
) -> Any:
    """Return a field for an option; ``unset`` is its value if there is no ``default``."""
    option = Option(name, help, metavar, default, check)
    value = unset if default is None else option.value(default)
    return dataclasses.field(default=value, metadata={"option": option})


@dataclasses.dataclass(frozen=True)
class Options:
    """The checked options. Times are UNIX seconds; durations are seconds unless they say days."""

    providers: tuple[str, ...] = _option(
        "provider",
        metavar="NAME[,NAME...]",
        default="manual",
        check=_providers,
        help="Who publishes the record if it is missing: manual (you do), azure, cloudflare, "
        "digitalocean, google, hetzner, powerdns, route53, rfc2136, script, or the name of any "
        "installed Certbot DNS plugin (dns-...). Give several if several services serve the "
        "zone. A credentials file with sections can set it for each zone.",
    )
    credentials: str | None = _option(
        "credentials", metavar="FILE", help="INI file with the providers' credentials."
    )
    script: str | None = _option(
        "script",
        metavar="COMMAND",
        help="For the provider script: the program that publishes and removes records. It reads "
        "what to do from environment variables.",
    )
    propagation_seconds: int | None = _option(
        "propagation-seconds",
        metavar="N",
        check=_number_of("seconds", 0, MAX_TTL),
        help="How long to wait, at most, until every authoritative server serves the record, in "
        f"seconds. (default: {PROPAGATION_SECONDS}; with manual "
        f"{MANUAL_PROPAGATION_SECONDS} at a terminal, 0 without)",
    )
    ttl: int = _option(
        "ttl",
        metavar="N",
        default="300",
        check=_number_of("seconds", 0, MAX_TTL),
        help="TTL of the records that we publish, in seconds.",
    )
    policy: str = _option(
        "policy",
        metavar="POLICY",
        default="auto",
        check=_one_of("auto", "wildcard", "exact"),
        help="auto: policy=wildcard only if you request a wildcard; wildcard: always, which "
        "also lets the CA accept the record for subdomains; exact: never.",
    )
    valid_for: int | None = _option(
        "valid-for",
        metavar="DAYS",
        check=_number_of("days", 1, _MAX_DAYS),
        help="Let the record expire (persistUntil) this many days after it is published. It is "
        "replaced when less than a third is left, if the provider can write.",
    )
    until: int | None = _option(
        "until",
        metavar="DATE",
        check=_date,
        help="Let the record expire (persistUntil) at this date, RFC 3339 or UNIX seconds. It is "
        "never extended.",
    )
    issuer_domain_name: str | None = _option(
        "issuer-domain-name",
        metavar="NAME",
        help="Which of the CA's names to use in a record, if it offers several. (default: "
        "one that already has a record, else the first in sorted order)",
    )
    resolvers: tuple[tuple[str, int], ...] = _option(
        "resolvers",
        metavar="ADDR[:PORT],...",
        unset=(),
        check=_resolvers,
        help="Recursive resolvers for look-ups, IPv6 as [::1]:53. (default: the system's)",
    )
    check: str = _option(
        "check",
        metavar="WHERE",
        default="authoritative",
        check=_one_of("authoritative", "resolver"),
        help="Where a record must be visible: authoritative (every authoritative server) or "
        "resolver (the resolvers).",
    )
    shared: bool = _option(
        "shared",
        unset=False,
        help="For CAs that hash the account URI (draft -02): use the form that serves every domain "
        "of the account, so that many names can be aliases of one record. Anyone can then see "
        "that these domains belong together.",
    )
    fallback: str = _option(
        "fallback",
        metavar="HOW",
        default="error",
        check=_one_of("error", "dns-01"),
        help="If the CA does not offer dns-persist-01: error (explain and stop) or dns-01 (a "
        "classic dns-01 through the same provider, cleaned up afterwards).",
    )

    log: str = _option(
        "log",
        metavar="WHERE",
        default="file",
        check=_one_of("file", "syslog", "both"),
        help="Where changes of DNS are logged: file (dns-persist-changes.jsonl in the logs "
        "directory), syslog (the system's log, a line of at most 1 kB each) or both.",
    )
    may_hide: tuple[str, ...] = _option(
        "may-hide",
        metavar="NAME[,NAME...]",
        unset=(),
        check=_names,
        help="Publish even if that hides these names, and all names below them, from the wildcard "
        "that answers for them now, or if that cannot be checked. (default: none; a message says "
        "which names would be hidden)",
    )

    def persist_until(self, at: int) -> int | None:
        """Return the persistUntil of a record published at ``at``, both in UNIX seconds."""
        if self.valid_for is not None:
            return at + self.valid_for * 86400
        return self.until


_TABLE: dict[str, Option] = {
    field.name: field.metadata["option"] for field in dataclasses.fields(Options)
}

#: The options in the order of ``--help``.
OPTIONS: tuple[Option, ...] = tuple(_TABLE.values())


def add_arguments(add: Callable[..., None]) -> None:
    """Declare the options to Certbot, which prefixes them and saves what the user set.

    Values stay as typed, so that a renewal reads back what the user wrote; :func:`check_options`
    checks them.
    """
    for option in OPTIONS:
        option.declare(add)


def options_of(
    given: Mapping[str, Any],
    saved: Mapping[str, str | bool],
    providers: list[str] | None = None,
) -> Options:
    """Return the options that were ``given`` or, if not, that were ``saved`` for a renewal.

    The keys of ``given`` are the options' names; those of ``saved`` have underscores. ``providers``
    is as in :func:`check_options`. Raises
    :class:`~certbot_dns_persist.errors.ConfigurationError`.
    """
    if any(given.get(name) is not None for name in ("valid-for", "until")):
        # They exclude each other, so either of them replaces both.
        saved = {key: saved[key] for key in saved if key not in ("valid_for", "until")}

    def get(name: str) -> Any:
        value = given.get(name)
        return saved.get(name.replace("-", "_")) if value is None else value

    return check_options(get, providers)


def check_options(get: Callable[[str], Any], providers: list[str] | None) -> Options:
    """Return the checked options; ``get`` returns the value of each by name: text or a number.

    It returns ``None`` for the default. ``providers`` are the names of all providers; ``None``
    leaves that check to the first use, as in a renewal, which may need no provider. Raises
    :class:`~certbot_dns_persist.errors.ConfigurationError` for the first invalid value.
    """
    given = {field: (option, get(option.name)) for field, option in _TABLE.items()}
    options = Options(
        **{
            field: option.value(value)
            for field, (option, value) in given.items()
            if value is not None
        }
    )
    if options.valid_for is not None and options.until is not None:
        raise ConfigurationError(
            "--dns-persist-valid-for and --dns-persist-until exclude each other: the first "
            "extends a record that expires soon, the second never does. Give one of them."
        )
    for name in options.providers:
        if providers is not None and name not in providers:
            raise _unknown(_TABLE["providers"].flag, name, providers)
    return options


def too_wide(wildcard: str) -> ConfigurationError:
    """Return the error for a wildcard with the policy exact."""
    return ConfigurationError(
        f"{wildcard} can only be proven by a record with policy=wildcard, which "
        "--dns-persist-policy exact forbids. Use auto, or leave the wildcard out."
    )
