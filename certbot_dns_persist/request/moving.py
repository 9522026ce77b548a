"""What a lineage of another authenticator is renewed with once it is ours. Pure.

The options follow from those that Certbot saved for the other plugin; what the user gives on the
command line counts more.
"""

import dataclasses
import re
import shlex
from collections.abc import Callable, Collection, Mapping
from typing import Any

from certbot_dns_persist.errors import ConfigurationError
from certbot_dns_persist.options import PROPAGATION_SECONDS
from certbot_dns_persist.request.renewal import (
    AUTHENTICATOR,
    PREFERRED,
    PREFIX,
    Renewal,
    Value,
    belongs_to,
    is_moved,
)

#: Certbot's plugins for whose services we have providers, which read the same credentials files.
_NATIVE = {"dns-cloudflare": "cloudflare", "dns-rfc2136": "rfc2136", "dns-route53": "route53"}

#: What certbot-dns-route53 was once, and still answers to.
_FORMER = {"certbot-route53:auth": "dns-route53"}

#: The challenges, in the order in which Certbot is to prefer them.
_CHALLENGES = ("dns-persist-01", "dns-01")

#: What Certbot's shell would give a meaning to, and we, who use no shell, would not.
_SHELL = re.compile(r"[|&;<>()$`*?#~\n]")

_GIVE_ONE = (
    "Name the provider with --dns-persist-provider; manual there means that you publish the "
    "records yourself"
)


@dataclasses.dataclass(frozen=True)
class Machine:
    """What there is on this machine, as far as it decides what can be moved."""

    providers: Collection[str]
    """The names of all providers that are installed, those of other Certbot plugins included."""
    takes_credentials: Callable[[str], bool]
    """Whether a file, by its path, can be a credentials file of ours."""
    knows_us: Callable[[str], bool]
    """Whether a program, by its name or path, reads the variables of our provider ``script``."""


@dataclasses.dataclass(frozen=True)
class Move:
    """What becomes of a lineage."""

    options: Mapping[str, str]
    """Our options, by name as Certbot saves them, without prefix."""
    wrapped: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """The keys of a credentials file that must be made for these options; mostly none.

    Certbot hands us no options of another plugin, so they go into a file. They are not secret:
    Certbot has them in its renewal configuration, which everybody may read.
    """


def move_of(renewal: Renewal, given: Mapping[str, str], machine: Machine) -> Move:
    """Return what becomes of a lineage that another authenticator renews.

    ``given`` are our options on the command line. Raises
    :class:`~certbot_dns_persist.errors.ConfigurationError`, with the reason, if it cannot move.
    """
    if "provider" in given:
        return Move(dict(given))
    plugin = renewal.authenticator
    # Older Certbots put the distribution before it.
    name = _FORMER.get(plugin, plugin.rpartition(":")[2])
    prefix = f"{plugin.replace('-', '_')}_"
    own = {
        key.removeprefix(prefix): renewal.text(key)
        for key in renewal.parameters
        if belongs_to(key, plugin) and renewal.text(key)
    }
    seconds = own.pop("propagation_seconds", "")
    # Others always sleep that long; we wait no longer than it takes, so a shorter time is no use.
    slow = seconds.isascii() and seconds.isdigit() and int(seconds) > PROPAGATION_SECONDS
    patient = {"propagation_seconds": seconds} if slow else {}
    if name in _NATIVE:
        file = own.get("credentials")
        options = {"provider": _NATIVE[name], **({"credentials": file} if file else {})}
        return Move({**options, **patient, **given})
    if plugin == "manual":
        return _by_hooks(own, _challenges(renewal.parameters), given, machine)
    if name.startswith("dns-") or name in machine.providers:
        return _bridged(name, own, {**patient, **given}, machine)
    raise ConfigurationError(
        f"its authenticator {plugin} knows no DNS provider. {_GIVE_ONE}."
        if plugin
        else "its renewal configuration names no authenticator, so Certbot does not renew it."
    )


def changes_of(renewal: Renewal, options: Mapping[str, str]) -> dict[str, Value | None]:
    """Return what changes in the renewal configuration: hooks and all others stay as they are."""
    before = renewal.parameters
    changes: dict[str, Value | None] = {
        key: None for key in before if is_moved(key, before) and key != PREFERRED
    }
    changes["authenticator"] = AUTHENTICATOR
    changes |= {f"{PREFIX}{name}": value for name, value in options.items()}
    if PREFERRED in before:
        # Certbot uses the first of these that the CA offers, so ours has to be in front.
        others = [each for each in _challenges(before) if each not in ("dns", *_CHALLENGES)]
        changes[PREFERRED] = [*_CHALLENGES, *others]
    return changes


def _challenges(parameters: Mapping[str, Any]) -> list[str]:
    preferred = parameters.get(PREFERRED, [])
    listed = preferred.split(",") if isinstance(preferred, str) else preferred
    return [each.strip() for each in listed if each.strip()]


def _bridged(name: str, own: Mapping[str, str], more: Mapping[str, str], machine: Machine) -> Move:
    if name not in machine.providers:
        raise ConfigurationError(
            f"its plugin {name} is not installed here, so it cannot publish records. Install it "
            f"beside this command. Or: {_GIVE_ONE}."
        )
    options = {"provider": name, **more}
    file = own.get("credentials")
    if "credentials" in more or not own:
        return Move(options)
    if file is not None and len(own) == 1 and machine.takes_credentials(file):
        return Move({**options, "credentials": file})
    return Move(options, {f"dns_persist_plugin_{key}": value for key, value in own.items()})


def _by_hooks(
    own: Mapping[str, str], challenges: list[str], given: Mapping[str, str], machine: Machine
) -> Move:
    # The plugin prefers http-01 unless the user says otherwise.
    if not challenges or challenges[0] not in ("dns", "dns-01"):
        raise ConfigurationError(f"it uses manual with http-01, which changes no DNS. {_GIVE_ONE}.")
    hook = own.get("auth_hook")
    if hook is None:
        return Move({"provider": "manual", **given})
    words = _words(hook)
    if not any(map(machine.knows_us, words)):
        shell = "" if words else ", and it needs a shell, which the provider script does not use"
        raise ConfigurationError(
            f"its hook {hook!r} is made for dns-01: it does not read DNS_PERSIST_NAME and "
            f"DNS_PERSIST_VALUE, which the provider script sets{shell}. Let it do so "
            "(docs/providers/script.md of certbot-dns-persist says how), then run this again. "
            f"Or: {_GIVE_ONE}."
        )
    return Move({"provider": "script", "script": hook, **given})


def _words(hook: str) -> list[str]:
    """Return the words of a hook's command line, a program's among them; none with a shell's."""
    if _SHELL.search(hook):
        return []
    try:
        words = shlex.split(hook)
    except ValueError:
        return []
    return words if words and "=" not in words[0] else []
