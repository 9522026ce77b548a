"""Several processes, and somebody else, change the records of one name at the same time.

``RANDOM_SEED`` and ``RANDOM_SECONDS`` are for longer trials.
"""

import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.bind import Bind
from support.certbot import Certbot
from support.companion import Companion, ok
from support.issued import FOREIGN, Issued
from support.pebble import ISSUER

from certbot_dns_persist.journal.store import Journal
from certbot_dns_persist.record import parse_record, validation_domain_name

SEED = int(os.environ.get("RANDOM_SEED", "1"))
SECONDS = float(os.environ.get("RANDOM_SECONDS", "60"))
WORKERS = 3


def test_a_rotation_while_prune_waits_for_its_answer_costs_no_record(
    issued: Issued, companion: Companion
) -> None:
    """End to end, as the question, the look after it and the locks are those of two processes."""
    plain, wide = issued.value(issued.url), issued.value(issued.url, "; policy=wildcard")
    issued.bind.add_txt(issued.name, wide)
    with companion.at_terminal("prune", "--cert-name", issued.domain) as screen:
        shown = screen.wait_for("[y/N]")
        assert "(superseded)" in shown
        rotate = ("rotate", "--cert-name", issued.domain, "--dns-persist-policy", "exact")
        ok(companion(*rotate, "--yes"))
        assert issued.values == [plain]
        screen.enter("y\n")
        done = screen.finish()
    assert done.returncode == 1, done.output
    assert "stays: it is needed now." in " ".join(done.output.split())
    assert issued.values == [plain]


class Watched:
    """The records of two certificates at one name, looked at all the time.

    The second certificate's name is an alias of the first one's.
    """

    def __init__(self, bind: Bind, certbot: Certbot, name: str, certificates: list[str]) -> None:
        self.bind, self.certbot, self.name = bind, certbot, name
        self.certificates = certificates
        self.urls: dict[str, str] = {}
        """Of the accounts, by Certbot's id."""
        self.troubles: list[str] = []
        self.looks = 0
        self.log: list[str] = []

    def needs(self) -> list[tuple[str, bool]]:
        """Return what each certificate is renewed with: the account URL and whether it is wide."""
        renewals = [self.certbot.renewal(certificate) for certificate in self.certificates]
        return [
            (self.urls[each["account"]], each.get("dns_persist_policy") == "wildcard")
            for each in renewals
        ]

    def look(self) -> None:
        before = self.needs()
        values = self.bind.primary.values(self.name)
        if before != self.needs():
            return  # between the two, either may be what is needed
        self.looks += 1
        records = [parse_record(v) for v in values if v.startswith(ISSUER) and v not in FOREIGN]
        for url, wide in before:
            if not any(r.account_uri == url and (r.wildcard or not wide) for r in records):
                now = time.strftime("%H:%M:%S", time.gmtime())
                self.troubles.append(
                    f"{now} {url} (wildcard: {wide}) needs a record among {values}"
                )
        for value in set(FOREIGN) - set(values):
            self.troubles.append(f"the foreign value {value!r} is gone")


@pytest.mark.long  # a minute of many processes
def test_what_several_processes_do_at_random_costs_no_needed_record_and_no_foreign_one(
    issued: Issued,
    other_account: tuple[str, str],
    companion: Companion,
    bind_writing: list[str],
    tmp_path: Path,
) -> None:
    bind, certbot = issued.bind, issued.certbot
    alias = f"alias-{issued.domain}"
    bind.nsupdate(
        f"update add {validation_domain_name(alias)} 1 CNAME {issued.name}\nsend\n", tmp_path
    )
    old = certbot.renewal(issued.domain)["account"]
    done = certbot.certonly(*bind_writing, "-d", alias, "--account", old)
    assert done.returncode == 0, done.output
    watched = Watched(bind, certbot, issued.name, [issued.domain, alias])
    watched.urls = {old: issued.url, other_account[0]: other_account[1]}
    until = time.monotonic() + SECONDS

    def command(random: random.Random) -> list[str]:
        days = ["--dns-persist-valid-for", random.choice(["30", "300", "3000"])]
        policy = ["--dns-persist-policy", random.choice(["exact", "wildcard"])]
        account = ["--account", random.choice([*watched.urls])]
        return random.choice(
            [
                ["rotate", "--all", *account, "--no-wait"],
                ["rotate", "--all", *policy],
                ["rotate", "--cert-name", issued.domain, *account, *days, "--no-wait"],
                ["publish", "--all", *days],  # with a later end, it refreshes
                ["publish", "--cert-name", alias, *days],
                ["prune", "--all"],
                ["prune", "--all"],
                ["prune", "--cert-name", issued.domain],
            ]
        )

    def work(random: random.Random) -> None:
        while time.monotonic() < until:
            line = command(random)
            done = companion(*line, "--yes", "--dns-persist-propagation-seconds", "20")
            watched.log.append(f"{' '.join(line)}: {done.returncode}")
            if done.returncode not in (0, 1) or "Traceback" in done.output:
                watched.troubles.append(f"{line} ended with {done.returncode}: {done.output}")

    def renew(random: random.Random) -> None:
        while time.monotonic() < until:
            done = certbot.renew(
                "--force-renewal", "--cert-name", random.choice(watched.certificates)
            )
            busy = "Another instance of Certbot is already running" in done.output
            watched.log.append(f"renew: {done.returncode}")
            if done.returncode and not busy:
                watched.troubles.append(done.output)
            time.sleep(random.random() * 3)

    def disturb(random: random.Random) -> None:
        while time.monotonic() < until:
            value = f"of somebody else {random.randrange(3)}"
            update = bind.primary.update(bind.zone_of(issued.name))
            if random.random() < 0.5:
                update.add(f"{issued.name}.", 1, "TXT", f'"{value}"')
            else:
                update.delete(f"{issued.name}.", "TXT", f'"{value}"')
            bind.primary.send(update)
            time.sleep(random.random() / 5)

    def watch(random: random.Random) -> None:
        while time.monotonic() < until:
            watched.look()

    jobs: list[Callable[[random.Random], None]] = [*[work] * WORKERS, renew, disturb, watch]
    threads = [
        threading.Thread(target=job, args=(random.Random(f"{SEED} {number}"),))  # noqa: S311
        for number, job in enumerate(jobs)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    changes = [f"{line['time']} {line['action']} {line['value']}" for line in certbot.journal()]
    told = "\n".join([f"seed {SEED}", *watched.troubles[:5], *watched.log, *changes])
    assert not watched.troubles, told
    assert watched.looks > 100
    assert sum(line.endswith(": 0") for line in watched.log) > 10, told
    ok(companion("publish", "--all", "--yes"))
    ok(companion("check", "--all", "--warn-days", "1"))  # some last for 30 days
    bind.settle()
    noted = Journal(str(certbot.logs_dir), str(certbot.config_dir)).published(name=issued.name)
    ours = {
        value
        for value in bind.primary.values(issued.name)
        for url in watched.urls.values()
        if f"accounturi={url}" in value
    }
    assert ours <= {record.value for record in noted}
