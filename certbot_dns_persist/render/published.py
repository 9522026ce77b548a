"""The records that we published, as our notes have them: as a table, lines or JSON."""

import dataclasses
import json
from collections.abc import Sequence
from typing import TextIO

from certbot_dns_persist.journal.notes import PublishedRecord
from certbot_dns_persist.record import format_time
from certbot_dns_persist.render.console import console
from certbot_dns_persist.shown import printable

#: The version of the form: of what is in it, nothing is renamed, removed or given another meaning.
VERSION = 1


def as_json(records: Sequence[PublishedRecord], out: TextIO) -> None:
    """Write one JSON object; times are RFC 3339, in UTC."""
    separator = "\n"
    out.write(f'{{"version": {VERSION}, "records": [')
    for record in records:
        members = dataclasses.asdict(record)
        members["persist_until"] = _until(record)
        out.write(f"{separator}  {json.dumps(members)}")
        separator = ",\n"
    out.write("\n]}\n")


def as_lines(records: Sequence[PublishedRecord], out: TextIO) -> None:
    """Write a line for each record, with a tab between its parts."""
    for record in records:
        parts = (
            record.domain,
            record.name,
            record.value,
            record.provider,
            record.account_url,
            record.first_published or "",
            _until(record) or "",
            _remark(record),
        )
        print(*map(printable, parts), sep="\t", file=out)


def as_table(records: Sequence[PublishedRecord]) -> None:
    """Show a table on standard output, or that there is nothing."""
    from rich.table import Table
    from rich.text import Text

    screen = console()
    if not records:
        screen.print("No record of ours is noted.")
        return
    table = Table(show_lines=True)
    table.add_column("Published", no_wrap=True)
    table.add_column("Domain, and the record", overflow="fold")
    for record in records:
        when = Text(printable(record.first_published or "unknown").partition("T")[0])
        if until := _until(record):
            when.append(f"\nuntil {until.partition('T')[0]}")
        told = [
            f"{record.name} TXT",
            record.value,
            f"for {record.account_url} at {record.server}",
            f"by {record.provider}" + (f" in the zone {record.zone}" if record.zone else ""),
        ]
        text = Text.assemble((printable(record.domain), "bold"))
        for line in told:
            text.append(f"\n{printable(line)}")
        if remark := _remark(record):
            text.append(f"\n{printable(remark)}", style="yellow")
        table.add_row(when, text)
    screen.print(table)
    count = len(records)
    screen.print(f"{count} record{'' if count == 1 else 's'}.")


def _until(record: PublishedRecord) -> str | None:
    return None if record.persist_until is None else format_time(record.persist_until)


def _remark(record: PublishedRecord) -> str:
    if record.doubt is not None:
        return f"in doubt: {record.doubt}"
    return "until the end of a run" if record.temporary else ""
