#!/usr/bin/env python3
"""Check millions of names on a Dask cluster, and write the results as Parquet files.

    check_names.py --scheduler tcp://10.0.0.1:8786 --issuer letsencrypt.org \\
        --account-uri https://acme-v02.api.letsencrypt.org/acme/acct/1 domains.txt results/

The scheduler, the workers and this program need the packages distributed, pyarrow and
certbot-dns-persist; results/ is a directory that all workers share. The names are put together by
the set of their name servers. A server is asked by several partitions at once if it is in several
sets, or if a set is large: then each of these gets its share of --queries-per-second. A partition
is one file, which appears when it is complete; whoever computes it again, because a worker died,
writes the same file.
"""

import argparse
import contextlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import dns.exception
import dns.name
import dns.resolver
import pyarrow
import pyarrow.parquet
from distributed import Client, as_completed

from certbot_dns_persist import check

#: How many names one task finds the name servers of.
CHUNK = 1000


class Partition(NamedTuple):
    """Names that one worker checks, one after the other of its tasks."""

    number: int
    names: list[str]
    queries_per_second: float


def main() -> None:
    arguments = parsed()
    names = list(dict.fromkeys(line.strip() for line in arguments.names if line.strip()))
    resolvers = [
        (host, int(port)) for host, _, port in (r.rpartition(":") for r in arguments.resolver)
    ]
    arguments.results.mkdir(parents=True, exist_ok=True)
    with Client(arguments.scheduler) as cluster:
        chunks = [names[start : start + CHUNK] for start in range(0, len(names), CHUNK)]
        servers: dict[str, frozenset[str]] = {}
        for found in cluster.gather(cluster.map(name_servers, chunks, resolvers=resolvers)):
            servers |= found
        partitions = list(
            parted(servers, arguments.names_per_partition, arguments.queries_per_second)
        )
        done = cluster.map(
            checked,
            partitions,
            directory=str(arguments.results.resolve()),
            account={
                "issuer_domain_names": arguments.issuer,
                "account_uri": arguments.account_uri,
                "resolvers": resolvers,
            },
            retries=5,
            pure=False,
        )
        total: Counter[str] = Counter()
        for _, counted in as_completed(done, with_results=True):
            total.update(counted)
    print(", ".join(f"{count} {status}" for status, count in total.most_common()))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scheduler", required=True, metavar="URL")
    parser.add_argument("--issuer", required=True, action="append", metavar="NAME")
    parser.add_argument("--account-uri", required=True, metavar="URI")
    parser.add_argument("--resolver", action="append", default=[], metavar="ADDR:PORT")
    parser.add_argument("--queries-per-second", type=float, default=50, metavar="N")
    parser.add_argument("--names-per-partition", type=int, default=10_000, metavar="N")
    parser.add_argument("names", type=argparse.FileType(encoding="utf-8"), metavar="FILE")
    parser.add_argument("results", type=Path, metavar="DIRECTORY")
    return parser.parse_args()


def name_servers(
    names: Iterable[str], resolvers: list[tuple[str, int]]
) -> dict[str, frozenset[str]]:
    """Return the name servers of each name's zone, as far as the resolvers know them."""
    resolver = dns.resolver.Resolver(configure=not resolvers)
    if resolvers:
        resolver.nameservers = [host for host, _ in resolvers]
        resolver.nameserver_ports = dict(resolvers)
    zones: dict[dns.name.Name, frozenset[str]] = {}
    found = {}
    for name in names:
        zone, servers = dns.name.from_text(name.removeprefix("*.")), frozenset[str]()
        passed = []
        while not servers and len(zone) > 2:  # those of a registry have too many names of others
            if zone not in zones:
                with contextlib.suppress(dns.exception.DNSException):
                    answer = resolver.resolve(zone, "NS", raise_on_no_answer=False)
                    servers = frozenset(str(record.target) for record in answer.rrset or ())
            passed.append(zone)
            servers = zones.get(zone, servers)
            zone = zone.parent()
        zones |= dict.fromkeys(passed, servers)
        found[name] = servers
    return found


def parted(
    servers: dict[str, frozenset[str]], most: int, queries_per_second: float
) -> Iterator[Partition]:
    """Yield partitions of at most ``most`` domains, all with the same servers.

    Together, those that ask one server have ``queries_per_second`` for it.
    """
    sets: defaultdict[frozenset[str], list[str]] = defaultdict(list)
    # A domain and its wildcard share one record, so they stay together.
    wanted: defaultdict[str, list[str]] = defaultdict(list)
    for name in sorted(servers):
        wanted[name.removeprefix("*.")].append(name)
    for domain, names in wanted.items():
        sets[servers[names[0]]].append(domain)
    parts = [
        (each, [name for domain in domains[start : start + most] for name in wanted[domain]])
        for each, domains in sorted(sets.items(), key=lambda item: sorted(item[0]))
        for start in range(0, len(domains), most)
    ]
    asking = Counter(server for each, _ in parts for server in each)
    for number, (each, names) in enumerate(parts):
        # Of names whose servers are unknown, any may be asked.
        sharing = max((asking[server] for server in each), default=len(parts))
        yield Partition(number, names, queries_per_second / sharing)


def checked(partition: Partition, directory: str, account: dict[str, object]) -> Counter[str]:
    """Check one partition, write its file, and return how many domains have each status."""
    rows = [
        {
            "domain": result.domain,
            "wildcard": result.wildcard,
            "status": str(result.status),
            "severity": str(result.severity),
            "reason": result.reason,
            "expires": result.end,
        }
        for result in check(
            partition.names,
            queries_per_second=partition.queries_per_second,
            **account,  # type: ignore[arg-type]
        )
    ]
    file = Path(directory) / f"part-{partition.number:06}.parquet"
    half = file.with_suffix(f".{os.getpid()}")
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, SCHEMA), half)
    half.replace(file)
    return Counter(row["status"] for row in rows)


SCHEMA = pyarrow.schema(
    [
        ("domain", pyarrow.string()),
        ("wildcard", pyarrow.bool_()),
        ("status", pyarrow.string()),
        ("severity", pyarrow.string()),
        ("reason", pyarrow.string()),
        ("expires", pyarrow.int64()),
    ]
)

if __name__ == "__main__":
    main()
