"""BIND with many zones and names, near and far, in a network namespace of its own.

The namespace belongs to this process and its children, and ends with them, with all its settings.
Nothing outside can be reached from it, and all its ports are free.
"""

import dataclasses
import json
import os
import subprocess
import sys
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

from support.bind import _named
from support.process import Process
from support.zones import Key

ISSUER = "letsencrypt.org"
ACCOUNT_URI = "https://acme-v02.api.letsencrypt.org/acme/acct/1"
VALUE = f"{ISSUER}; accounturi={ACCOUNT_URI}"

AUTHORITATIVE, RESOLVER = "127.0.0.10", "127.0.0.53"
STATISTICS = 8053

INSIDE = "DNS_PERSIST_BENCHMARK_NAMESPACE"


@dataclasses.dataclass(frozen=True)
class Way:
    """An address that leads to ``target``; each packet takes ``seconds``, a ``share`` is lost."""

    address: str
    target: str
    seconds: float = 0.0
    share: float = 0.0


#: 20 ms there and back.
FAR, FAR_RESOLVER = Way("127.0.0.20", AUTHORITATIVE, 0.01), Way("127.0.0.54", RESOLVER, 0.01)
LOSSY = [Way(f"127.0.0.{30 + n}", AUTHORITATIVE, 0, 0.05) for n in range(3)]
DEAD = Way("127.0.0.40", AUTHORITATIVE, 0, 1.0)
WAYS = [FAR, FAR_RESOLVER, *LOSSY, DEAD]
#: The same server under three addresses.
THREE = ["127.0.0.11", "127.0.0.12", "127.0.0.13"]

#: The addresses of the servers of each kind of zone.
HOSTS = {
    "near": [AUTHORITATIVE],
    "far": [FAR.address],
    "three": THREE,
    "lossy": [way.address for way in LOSSY],
    "dead": [*THREE[:2], DEAD.address],
}


def enter_namespace() -> None:
    """Run this program again in a network namespace, unless it is in one already."""
    if INSIDE not in os.environ:
        user = [] if os.geteuid() == 0 else ["--map-root-user"]
        command = ["unshare", *user, "--net", sys.executable, *sys.argv]
        os.execvpe(command[0], command, {**os.environ, INSIDE: "1"})  # noqa: S606
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    addresses = {AUTHORITATIVE, RESOLVER, *THREE, *(way.address for way in WAYS)}
    for address in sorted(addresses):
        subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)


class World:
    """An authoritative server, a resolver that starts at the root, and the paths to them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._processes: list[Process] = []
        self._zones: dict[str, str] = {".": "root"}
        self._updates: dict[str, Key] = {}
        self._root = [". 300 SOA ns0.near. h. 1 3600 600 86400 60", ". 300 NS ns0.near."]
        self._root += [
            f"ns{number}.{kind}. 300 A {address}"
            for kind, addresses in HOSTS.items()
            for number, address in enumerate(addresses)
        ]

    def add(
        self,
        origin: str,
        kind: str,
        domains: list[str],
        *,
        value: str = VALUE,
        differ: bool = False,
        key: Key | None = None,
    ) -> None:
        """Add a zone with a record for each of ``domains``; they ``differ`` or are all the same.

        Updates that ``key`` signs may change it.
        """
        hosts = [f"ns{number}.{kind}." for number in range(len(HOSTS[kind]))]
        lines = [f"$ORIGIN {origin}.", "$TTL 300", f"@ SOA {hosts[0]} h. 1 3600 600 86400 60"]
        lines += [f"@ NS {host}" for host in hosts]
        for number, domain in enumerate(domains):
            tail = f"; persistUntil={4000000000 + number}" if differ else ""
            lines.append(f'_validation-persist.{domain}. TXT "{value}{tail}"')
        (self._directory / f"{origin}.zone").write_text("\n".join([*lines, ""]))
        self._zones[origin] = origin
        if key is not None:
            self._updates[origin] = key
        self._root += [f"{origin}. 300 NS {host}" for host in hosts]

    def start(self) -> None:
        (self._directory / "root.zone").write_text("\n".join([*self._root, ""]))
        (self._directory / "root.hints").write_text(
            f". 3600 NS ns0.near.\nns0.near. 3600 A {AUTHORITATIVE}\n"
        )
        zones = "".join(
            f'key "{key.name}" {{ algorithm {key.algorithm}; secret "{key.secret}"; }};\n'
            for key in set(self._updates.values())
        )
        for origin, file in self._zones.items():
            key = self._updates.get(origin)
            may = f'allow-update {{ key "{key.name}"; }}; ' if key else ""
            zones += f'zone "{origin}" {{ type primary; file "{file}.zone"; {may}}};\n'
        own = "; ".join([AUTHORITATIVE, *THREE])
        self._start_named("authoritative", f"listen-on {{ {own}; }}; recursion no;", zones)
        self._start_named(
            "resolver",
            f"listen-on {{ {RESOLVER}; }}; recursion yes; dnssec-validation no;",
            'zone "." { type hint; file "root.hints"; };',
        )
        program = Path(__file__).with_name("far_away.py")
        for way in WAYS:
            arguments = [way.address, "53", way.target, "53", str(way.seconds), str(way.share)]
            log = self._directory / "ways.log"
            self._processes.append(Process([sys.executable, program, *arguments], log=log))

    def queries(self) -> int:
        """Return how many questions have reached the servers, the resolver's own included."""
        return self.count(AUTHORITATIVE) + self.count(RESOLVER)

    def stop(self) -> None:
        for process in self._processes:
            process.stop()

    def _start_named(self, name: str, options: str, zones: str) -> None:
        address = AUTHORITATIVE if name == "authoritative" else RESOLVER
        configuration = self._directory / f"{name}.conf"
        configuration.write_text(
            f'options {{ directory "{self._directory}"; pid-file none; session-keyfile none;'
            f" lock-file none; listen-on-v6 {{ none; }}; allow-query {{ any; }}; {options} }};\n"
            f"controls {{ }};\n"
            f"statistics-channels {{ inet {address} port {STATISTICS}; }};\n{zones}"
        )
        log = self._directory / f"{name}.log"
        command = [_named(), "-f", "-n", "1", "-L", log, "-c", configuration]
        self._processes.append(Process(command, log=log, cwd=self._directory))
        self._processes[-1].wait_until(lambda: _answers(address))

    def kinds(self) -> Counter[str]:
        """Return how many questions there were: who asked whom, and for which type."""
        asked, resolver = (self._statistics(each) for each in (AUTHORITATIVE, RESOLVER))
        own = Counter(resolver["views"]["_default"]["resolver"].get("qtypes", {}))
        of_servers = Counter(asked.get("qtypes", {})) - own
        of_resolver = Counter(resolver.get("qtypes", {}))
        return Counter(
            {
                f"{kind} {whom}": count
                for whom, kinds in (
                    ("of servers", of_servers),
                    ("of the resolver", of_resolver),
                    ("by the resolver itself", own),
                )
                for kind, count in kinds.items()
            }
        )

    @classmethod
    def count(cls, address: str) -> int:
        return int(cls._statistics(address).get("nsstats", {}).get("Requestv4", 0))

    @staticmethod
    def _statistics(address: str) -> dict[str, Any]:
        url = f"http://{address}:{STATISTICS}/json/v1/server"
        with urllib.request.urlopen(url, timeout=5) as response:
            found: dict[str, Any] = json.load(response)
        return found


def _answers(address: str) -> bool:
    try:
        World.count(address)
    except OSError:
        return False
    return True
