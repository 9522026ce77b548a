"""A journal of one installation, and changes to note in it."""

import dataclasses
import json
from pathlib import Path

from certbot_dns_persist.journal.notes import OK, Change, Outcome, PublishedRecord
from certbot_dns_persist.journal.store import Journal

NOW = 1_800_000_000.9
RFC3339 = "2027-01-15T08:00:00Z"

ADDED = Change(
    action="add",
    name="_validation-persist.example.com",
    value="ca.example; accounturi=https://ca.example/acct/1",
    ttl=300,
    provider="rfc2136",
    zone="example.com",
    reason="no record authorises example.com",
    server="https://ca.example/directory",
    account_url="https://ca.example/acct/1",
    domain="example.com",
    persist_until=1_830_000_000,
)
REMOVED = dataclasses.replace(ADDED, action="remove", ttl=None, reason="revoked")

RECORD = PublishedRecord(
    name=ADDED.name,
    value=ADDED.value,
    ttl=ADDED.ttl,
    provider=ADDED.provider,
    zone=ADDED.zone,
    server=ADDED.server,
    account_url=ADDED.account_url,
    domain=ADDED.domain,
    persist_until=ADDED.persist_until,
    first_published=RFC3339,
    last_changed=RFC3339,
)


class Files:
    """Where a journal keeps what, and what stands there."""

    def __init__(self, root: Path) -> None:
        self.logs, self.config = root / "logs", root / "config"
        self.log = self.logs / "dns-persist-changes.jsonl"
        self.state = self.config / "dns-persist" / "state.sqlite"
        self.earlier = self.state.with_name("records.json")

    def journal(self, now: float = NOW) -> Journal:
        return Journal(str(self.logs), str(self.config), lambda: now)

    def done(self, change: Change, result: str = OK, *, now: float = NOW) -> None:
        """Note an intention and its outcome."""
        journal = self.journal(now)
        (intention,) = journal.intended(change)
        journal.done(Outcome(intention, result))

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]
