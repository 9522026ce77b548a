"""``--answers``: what other programs collected, in the place of our own look-ups."""

import argparse
import contextlib
import re
import sys
from collections.abc import Iterable, Iterator
from io import BufferedReader, FileIO
from typing import TYPE_CHECKING

from certbot_dns_persist.cli import inputs, setting
from certbot_dns_persist.errors import UsageError
from certbot_dns_persist.judge.checkup import Checked
from certbot_dns_persist.request.names import Names, Need
from certbot_dns_persist.request.subjects import Subject, Trouble
from certbot_dns_persist.shown import printable

if TYPE_CHECKING:
    from certbot_dns_persist.judge.alike import Subjects

# Octets that are read at once.
_BLOCK = 1 << 18
# A file whose name has an equals sign: ./a=b
_NAMED = re.compile("([A-Za-z0-9][A-Za-z0-9._-]*)=(.+)", re.DOTALL)


def add(group: "argparse._ActionsContainer") -> None:
    """Add the option."""
    group.add_argument(
        "--answers",
        action="append",
        default=[],
        metavar="[NAME=]FILE",
        help="judge these answers, as zdns TXT or massdns -t TXT -o J prints them, instead of "
        "asking DNS; - is standard input; repeatable, for each place (NAME) that they were "
        "collected at",
    )


def checked(
    args: argparse.Namespace,
    asked: setting.Asked,
    *,
    at: int,
    besides: Iterable[Subject] = (),
    alike: bool = True,
) -> Iterator[Checked]:
    """Yield the subjects of ``asked``, and those ``besides``, judged by the answers in ``args``.

    They come in the order of the answers. ``alike`` is whether one judgement may serve for many
    domains. ``at`` is in UNIX seconds. What is wrong with the answers is added to what ``asked``
    says of troubles.
    """
    from certbot_dns_persist.judge.answers import UNTOLD, Faults, judge

    faults = Faults()
    pool, subjects = _pool(asked, besides)
    with contextlib.ExitStack() as stack:
        sources = {name: stack.enter_context(_opened(path)) for name, path in _files(args).items()}
        *some, last = UNTOLD.values()
        print(
            "Judged by answers that were collected elsewhere. They do not tell "
            f"{', '.join(some)} or {last}: check without --answers looks at these, too.",
            file=sys.stderr,
        )
        yield from judge(
            {name: _lines(file, name) for name, file in sources.items()},
            pool,
            subjects,
            alike=alike and asked.names is not None and asked.source.alike,
            at=at,
            warn_days=args.warn_days,
            faults=faults,
        )
    for trouble in faults.troubles():
        asked.add(Trouble(trouble))
    for remark in faults.remarks():
        print(printable(remark), file=sys.stderr)


def _pool(asked: setting.Asked, besides: Iterable[Subject]) -> "tuple[Names, Subjects]":
    if asked.names is not None:
        return asked.names, asked.of
    subjects: dict[str, list[Subject]] = {}
    for subject in (*asked, *besides):
        subjects.setdefault(subject.request.domain, []).append(subject)
    names = Names(
        name
        for domain, each in subjects.items()
        for subject in each
        for name in subject.names or (domain,)
    )

    def of(domain: str, _: Need) -> list[Subject]:
        return subjects[domain]

    return names, of


def _files(args: argparse.Namespace) -> dict[str, str]:
    """Return the file of each vantage point, by its name."""
    files: dict[str, str] = {}
    for given in args.answers:
        named = _NAMED.fullmatch(given)
        name, path = named.groups() if named else (given, given)
        name = "standard input" if name == "-" else name
        if name in files:
            raise UsageError(f"--answers {given}: {name} is given twice.")
        files[name] = path
    return files


@contextlib.contextmanager
def _opened(path: str) -> "Iterator[BufferedReader[FileIO]]":
    try:
        file = BufferedReader(FileIO(inputs.opened(path)), _BLOCK)
    except OSError as error:
        raise _unreadable(path, error) from error
    with file:
        yield file


def _lines(file: "BufferedReader[FileIO]", name: str) -> Iterator[bytes]:
    """Yield the lines of ``file``; of one that is too long, no more than shows that."""
    from certbot_dns_persist.lookup.collected import LONGEST_LINE

    begun = b""
    try:
        while block := file.read1(_BLOCK):
            first, *others = block.split(b"\n")
            if len(begun) <= LONGEST_LINE:
                begun += first
            if others:
                yield begun
                begun = others.pop()
                yield from others
    except OSError as error:
        raise _unreadable(name, error) from error
    if begun:
        yield begun


def _unreadable(path: str, error: OSError) -> UsageError:
    return UsageError(f"The answers in {path} cannot be read: {error.strerror}.")
