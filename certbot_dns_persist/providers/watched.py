"""Providers whose service cannot be asked: other people's plugins and programs.

They are made for the short values of dns-01, at names that nobody else uses. Some split a value at
its blanks, some keep one value per name, some remove all of them, some write at another name. So
we look at the authoritative servers after a change, compare with what they served before, and tell
each value that vanished.
"""

import contextlib
from collections.abc import Callable, Iterable

from certbot_dns_persist import errors
from certbot_dns_persist.options import whole_number
from certbot_dns_persist.providers.common import ANOTHER, checked_flag, file_of, zones_above
from certbot_dns_persist.providers.comparison import (
    UNSEEN,
    as_meant,
    changed,
    in_zone,
    listed,
    lost,
    others,
    resembling,
)
from certbot_dns_persist.providers.interface import Served, Settings
from certbot_dns_persist.shown import printable
from certbot_dns_persist.value.txt import quoted
from certbot_dns_persist.wait import look_until

#: Seconds that a change may take, unless the settings say otherwise.
PATIENCE = 120

#: Seconds for servers to agree, and for a service to restore what it removes while it writes.
_SETTLE = 10

_ACME_CHALLENGE = "_acme-challenge"

Form = Callable[[str], str]


def plain(value: str) -> str:
    """Return the value as it is."""
    return value


_MANNERS: dict[str, Form] = {"plain": plain, "quoted": quoted}


class Watched:
    """Adds and removes values with :meth:`_write`, and looks what became of that."""

    writes = True

    _must_be_seen = True
    """Whether a change that no server shows in time is an error."""

    def __init__(self, settings: Settings, label: str, prefix: str) -> None:
        """``label`` names the writer in messages, ``prefix`` its keys in the credentials file."""
        self._settings = settings
        self._label = label
        self._prefix = prefix
        self._patience = PATIENCE
        self._forms: tuple[Form, ...] = (plain,)
        self._written: dict[tuple[str, str], str] = {}
        self._seen: set[str] = set()
        """The actions whose effect we have seen."""
        self._in_vain = False
        """Whether we waited for a change that no server showed."""
        self._failed = False
        self._destroyed_at: str | None = None
        self._trusted = checked_flag(
            settings.credentials.get("keeps_others", "false"),
            f"{prefix}keeps_others in {file_of(settings)}",
        )

    def zone_for(self, name: str) -> str | None:
        """Return the zone of ``name``, from DNS.

        Raises :class:`~certbot_dns_persist.errors.ProviderError` if the authoritative servers
        cannot be asked.
        """
        return self._settings.observe(name).zone

    def list_values(self, name: str) -> list[str]:
        """Return the TXT values that the authoritative servers serve.

        Raises :class:`~certbot_dns_persist.errors.ProviderError` if they cannot be asked.
        """
        return self._settings.observe(name).values

    def add_value(self, name: str, value: str, ttl: int) -> int:
        """Add one TXT record; return the TTL in seconds, as far as it is known.

        Raises :class:`~certbot_dns_persist.errors.ProviderError` if that fails, something else
        appears, or other values at the name vanish.
        """
        before = self._settings.observe(name)
        if value not in before.values:
            self._refuse_to_destroy(name, value, before)
            self._add(name, value, before, ttl)
        return self._ttl(ttl)

    def remove_value(self, name: str, value: str) -> None:
        """Remove one TXT record.

        Raises :class:`~certbot_dns_persist.errors.ProviderError` if that fails, it stays there, or
        other values at the name vanish.
        """
        before = self._settings.observe(name)
        written = self._written.get((name, value))
        if value not in before.values and written is None and self._must_be_seen:
            # Never ask for what is not there: some plugins then remove everything.
            return
        self._refuse_to_destroy(name, value, before)
        self._remove(name, value, before, written)
        self._written.pop((name, value), None)

    # For who tries it out first

    def identity(self) -> str | None:
        """Return what a trial of this writer is good for; ``None`` if it needs none."""
        return None if self._trusted else self._version()

    def manner(self) -> str:
        """Return how values are handed over: ``plain`` or ``quoted``."""
        return next(name for name, form in _MANNERS.items() if form is self._forms[0])

    def use_manner(self, manner: str) -> None:
        """Hand them over in this manner first."""
        first = _MANNERS.get(manner)
        if first in self._forms:
            self._forms = (first, *(form for form in self._forms if form is not first))

    # What a subclass says

    def _write(self, action: str, name: str, zone: str | None, text: str, ttl: int | None) -> None:
        """Add (``add``) or remove (``remove``) ``text``; ``ttl`` in seconds, ``None`` to remove.

        Raises :class:`~certbot_dns_persist.errors.ProviderError`.
        """
        raise NotImplementedError

    def _version(self) -> str | None:
        """Return what tells this writer from others and from itself after an update.

        ``None`` if it is known to leave other values alone.
        """
        raise NotImplementedError

    def _texts_to_remove(self, value: str, written: str | None) -> list[str]:
        """Return the forms to remove ``value`` in, each tried until it is gone.

        ``written`` is the one that this process added it in.
        """
        forms = [form(value) for form in self._forms]
        return list(dict.fromkeys(forms if written is None else [written, *forms]))

    def _ttl(self, ttl: int) -> int:
        return ttl

    # One change

    def _add(self, name: str, value: str, before: Served, ttl: int) -> None:
        wrong: list[str] = []
        astray: list[str] = []
        asked = True
        for form in self._forms:
            text = self._written[name, value] = form(value)
            try:
                self._write("add", name, before.zone, text, ttl)
            except errors.ProviderError as error:
                del self._written[name, value]
                if wrong:
                    break  # only the first attempt matters
                raise self._with_losses(error, name, value, before) from None
            if self._needs_no_look("add", value, before):
                return
            known = [*before.values, *wrong]
            now = self._watch(name, value, before, known, present=True)
            if changed(before, now, value, present=True):
                if form is not self._forms[0]:
                    self._forms = (form, *(other for other in self._forms if other is not form))
                self._compare("added", name, value, before, now)
                left = [text for text in wrong if text in now.values]
                if left:
                    raise self._left_mangled(name, value, before, left)
                self._seen.add("add")
                return
            mangled = resembling(value, now, known)
            gone = lost(before, now, value)
            if gone and not mangled:
                raise self._destroyed("was told to add", name, value, before, gone)
            astray = [] if mangled else self._astray(name, value, before)
            if not (mangled or astray or self._must_be_seen):
                self._in_vain = True
                return
            del self._written[name, value]
            asked = self._take_back(name, value, before, text, mangled)
            if not mangled:
                break
            wrong += mangled
        raise self._not_as_meant(name, value, before, wrong, astray, asked)

    def _remove(self, name: str, value: str, before: Served, written: str | None) -> None:
        there = value in before.values
        for text in self._texts_to_remove(value, written):
            try:
                self._write("remove", name, before.zone, text, None)
            except errors.ProviderError as error:
                raise self._with_losses(error, name, value, before) from None
            if not there:
                self._compare("removed", name, value, before, self._settled(name, value, before))
                return
            if self._needs_no_look("remove", value, before):
                return
            now = self._watch(name, value, before, present=False)
            if changed(before, now, value, present=False):
                self._compare("removed", name, value, before, now)
                self._seen.add("remove")
                return
            gone = lost(before, now, value)
            if gone:
                raise self._destroyed("was told to remove", name, value, before, gone)
        said = (
            f"{self._subject} did not remove the TXT record {name}{in_zone(before)}: "
            f'{self._patience} seconds after it reported success, "{printable(value)}" is still '
            f"served there. Find it in your DNS service's own interface and remove it there. "
            f"{self._slower}"
        )
        if self._must_be_seen:
            raise errors.ProviderError(said)
        self._in_vain = True
        self._settings.notify(said)

    def _take_back(
        self, name: str, value: str, before: Served, text: str, mangled: list[str]
    ) -> bool:
        """Remove what was not meant, in each form that it may have; return whether we could ask."""
        asked = False
        texts = [text]
        if not others(before, value):
            # Who is asked for what is not there may remove everything: not beside other values.
            texts += [form(other) for other in mangled for form in _MANNERS.values()]
        for each in dict.fromkeys(texts):
            with contextlib.suppress(errors.ProviderError):  # what it wrote matters, and stays
                self._write("remove", name, before.zone, each, None)
                asked = True
            seconds = self._patience if each == text else min(self._patience, _SETTLE)
            now = self._look_until(name, lambda now: not {*mangled} & {*now.values}, seconds)
            if not {*mangled} & {*now.values}:
                break
        return asked

    def _watch(
        self,
        name: str,
        value: str,
        before: Served,
        known: Iterable[str] | None = None,
        *,
        present: bool,
    ) -> Served:
        """Look until the change is seen, something else is there or is gone, or time is up.

        Beside other values, that is until all servers agree: a look that comes too early is no
        proof that nothing was lost.
        """

        def moved(now: Served) -> bool:
            return bool(
                changed(before, now, value, present=present)
                or (known is not None and resembling(value, now, known))
                or lost(before, now, value)
            )

        def calm(now: Served) -> bool:
            return as_meant(before, now, value, present=present) and not lost(before, now, value)

        seconds = 0 if self._in_vain and not self._must_be_seen else self._patience
        now = self._look_until(name, moved, seconds)
        if others(before, value) and moved(now) and not calm(now):
            now = self._look_until(name, calm, min(self._patience, _SETTLE))
        return now

    def _settled(self, name: str, value: str, before: Served) -> Served:
        """Look, beside other values as long as a loss may take to be seen."""
        seconds = min(self._patience, _SETTLE) if others(before, value) else 0
        return self._look_until(name, lambda now: bool(lost(before, now, value)), seconds)

    def _look_until(self, name: str, done: Callable[[Served], bool], seconds: float) -> Served:
        def look() -> Served:
            try:
                return self._settings.observe(name)
            except errors.ProviderError:
                # They could be asked before the change, so this may be temporary.
                return UNSEEN

        return look_until(look, done, seconds)

    def _needs_no_look(self, action: str, value: str, before: Served) -> bool:
        """Whether nobody's values are at risk, and the workflow's look at all names will do."""
        return action in self._seen and not others(before, value)

    def _astray(self, name: str, value: str, before: Served) -> list[str]:
        """Return the names of dns-01 where ``value`` is, which should be at ``name``."""
        above = [place for place in zones_above(name)[1:] if "." in place]
        if before.zone is not None:
            above = [place for place in above if f".{place}".endswith(f".{before.zone}")]
        candidates = [f"{_ACME_CHALLENGE}.{place}" for place in above]
        return [
            candidate
            for candidate in candidates
            if candidate != name and value in self._look_until(candidate, bool, 0).values
        ]

    # Other people's values

    def _compare(self, done: str, name: str, value: str, before: Served, now: Served) -> None:
        """Raise if other values vanished."""
        gone = lost(before, now, value)
        if gone:
            raise self._destroyed(done, name, value, before, gone)

    def _destroyed(
        self, done: str, name: str, value: str, before: Served, gone: list[str]
    ) -> errors.ProviderError:
        self._destroyed_at = name
        return errors.ProviderError(
            f'{self._subject} {done} the TXT record {name} with the value "{printable(value)}"'
            f"{in_zone(before)}, but other values there vanished with that:\n{listed(gone)}\n"
            "Restore them in your DNS service's own interface: other CAs, accounts or "
            f"services may rely on them. {ANOTHER}"
        )

    def _with_losses(
        self, error: errors.ProviderError, name: str, value: str, before: Served
    ) -> errors.ProviderError:
        """Return ``error``, with the values that vanished all the same."""
        seconds = 0 if self._failed or not others(before, value) else min(self._patience, _SETTLE)
        self._failed = True  # the next failure is probably the same: no long wait for each
        now = self._look_until(name, lambda now: bool(lost(before, now, value)), seconds)
        gone = lost(before, now, value)
        if not gone:
            return error
        self._destroyed_at = name
        return errors.ProviderError(
            f"{error} Other values there vanished with that. Please restore them in your DNS "
            f"service's own interface:\n{listed(gone)}\n{ANOTHER}"
        )

    def _refuse_to_destroy(self, name: str, value: str, served: Served) -> None:
        foreign = [other for other in others(served, value) if (name, other) not in self._written]
        if self._destroyed_at is not None and foreign:
            raise errors.ProviderError(
                f"Nothing was changed at {name}{in_zone(served)}: {self._label} destroyed other "
                f"records at {self._destroyed_at}, and here it would destroy:\n"
                f"{listed(foreign)}\n{ANOTHER}"
            )

    # What is said to the user

    def _left_mangled(
        self, name: str, value: str, before: Served, left: list[str]
    ) -> errors.ProviderError:
        return errors.ProviderError(
            f"{self._subject} added the TXT record {name}{in_zone(before)} as it was told to, but "
            "only at the second try, in quotes. What the first try left there could not be removed "
            "again, and a CA may accept it. Please remove it in your DNS service's own interface:\n"
            f"{listed(left)}\nThis may stay:\n{listed([value])}"
        )

    def _not_as_meant(
        self,
        name: str,
        value: str,
        before: Served,
        wrong: list[str],
        astray: list[str],
        asked: bool,
    ) -> errors.ProviderError:
        """Return the error for a value that was added, in each form, and removed again.

        ``asked`` is whether the removal could be asked for.
        """
        now = self._look_until(
            name, lambda now: not {*wrong} & {*now.values}, min(self._patience, _SETTLE)
        )
        where = f"the TXT record {name}{in_zone(before)}"
        if wrong:
            said = (
                f"{self._subject} did not write {where} as it was told to. Expected:\n"
                f"{listed([value])}\nServed:\n{listed(wrong)}\n"
            )
        elif astray:
            said = f"{self._subject} was told to write {where}, but wrote {', '.join(astray)}. "
        else:
            said = (
                f"{self._subject} reported success, but {self._patience} seconds later no server "
                f"serves {where} with the right value:\n{listed([value])}\nServed now:\n"
                f"{listed(now.values)}\n{self._slower} Otherwise check that {self._read} is for "
                "the account that holds this zone. Or this machine sees another view of the zone "
                "than the CA does (split view): name a resolver that sees what the CA sees with "
                "--dns-persist-resolvers, and add --dns-persist-check resolver if the zone's "
                "servers answer this machine differently, too.\n"
            )
        left = [(name, text) for text in wrong if text in now.values]
        left += [
            (place, value)
            for place in astray
            if value in self._look_until(place, lambda now: value not in now.values, 2).values
        ]
        if not (asked or left):
            left = [(name, value)]
        if left:
            shown = "\n".join(f'  {place}  "{printable(text)}"' for place, text in left)
            said += f"It could not be removed again. Please remove:\n{shown}\n"
        else:
            said += "It was removed again. "
        gone = lost(before, now, value)
        if gone:
            self._destroyed_at = name
            said += f"These other values vanished. Please restore them:\n{listed(gone)}\n"
        return errors.ProviderError(said + ANOTHER)

    @property
    def _subject(self) -> str:
        return self._label[0].upper() + self._label[1:]

    @property
    def _read(self) -> str:
        """The file whose credentials are used, for messages."""
        return file_of(self._settings)

    @property
    def _slower(self) -> str:
        return (
            f"If the service is slower than that, set {self._prefix}propagation_seconds in "
            f"{file_of(self._settings)}."
        )

    # Its keys

    def _seconds(self, value: str) -> int:
        with contextlib.suppress(ValueError):
            return whole_number(value, 0, 999_999)
        raise errors.ConfigurationError(
            f"{self._prefix}propagation_seconds must be a whole number of seconds."
        )
