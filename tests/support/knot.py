"""Knot as a primary that takes updates, at an address of its own.

::

    with Knot(directory, "example.test", writer=KEY, idle=OTHER_KEY) as knot:
        knot.add_txt("_validation-persist.example.test", "…")
"""

import functools
import os
import tempfile
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.update

from .nameserver import txt
from .process import Process, claim_address, find_program, free_port, release_address
from .stoppable import Stoppable
from .zones import Key, absolute, zone_text


@functools.cache
def missing() -> str | None:
    """Return why Knot cannot run here; ``None`` if it can."""
    return None if find_program("knotd") else "Knot (knotd) is not installed"


class Knot(Stoppable):
    """A server with a zone, from construction to :meth:`stop`."""

    def __init__(
        self, directory: Path, zone: str, *, writer: Key, idle: Key, below: str = ""
    ) -> None:
        """``writer`` may change TXT records, if ``below`` is given at and below that name only.

        The server knows ``idle``, too, and allows it nothing.
        """
        self.address = claim_address()
        self.port = free_port(self.address)
        self._zone, self._key = zone, writer
        # The path of a socket has a hundred characters at most.
        self._run = tempfile.TemporaryDirectory(prefix="knot", dir="/tmp")
        (directory / f"{zone}.zone").write_text(zone_text(zone, {"ns1": [self.address]}))
        owner = "root:root" if os.geteuid() == 0 else ""
        keys = "\n".join(
            f"  - id: {key.name}\n    algorithm: {key.algorithm}\n    secret: {key.secret}"
            for key in (writer, idle)
        )
        owners = (
            f"    update-owner: name\n"
            f"    update-owner-match: sub-or-equal\n"
            f"    update-owner-name: {below}."
        )
        configuration = directory / "knot.conf"
        configuration.write_text(
            f"""\
server:
  listen: {self.address}@{self.port}
  rundir: {self._run.name}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
{f"  user: {owner}" if owner else ""}
log:
  - target: stderr
    any: info
database:
  storage: {directory}
  journal-db-max-size: 16M
  kasp-db-max-size: 8M
  timer-db-max-size: 2M
key:
{keys}
acl:
  - id: texts
    key: {writer.name}
    action: update
    update-type: TXT
{owners if below else ""}
zone:
  - domain: {zone}
    file: {directory / zone}.zone
    acl: texts
    zonefile-sync: -1
    zonefile-load: whole
"""
        )
        command = [str(find_program("knotd")), "-c", str(configuration)]
        self._process = Process(command, log=directory / "knot.log")
        self._process.wait_until(self._answers)

    def stop(self) -> None:
        self._process.stop()
        release_address(self.address)
        self._run.cleanup()

    def add_txt(self, name: str, value: str, ttl: int = 300) -> None:
        update = self._update()
        update.add(absolute(name), ttl, txt(value))
        self._send(update)

    def delete_txt(self, name: str) -> None:
        update = self._update()
        update.delete(absolute(name), "TXT")
        self._send(update)

    def values(self, name: str) -> list[str]:
        """Return the TXT values that it serves, sorted."""
        answer = self._ask(dns.message.make_query(name, "TXT")).answer
        found = [rdata for rrset in answer if rrset.rdtype == dns.rdatatype.TXT for rdata in rrset]
        return sorted(b"".join(rdata.strings).decode() for rdata in found)

    def _update(self) -> dns.update.UpdateMessage:
        return dns.update.UpdateMessage(self._zone, keyring=self._key.for_dnspython())

    def _send(self, update: dns.message.Message) -> None:
        rcode = self._ask(update).rcode()
        assert rcode == dns.rcode.NOERROR, dns.rcode.to_text(rcode)

    def _ask(self, query: dns.message.Message) -> dns.message.Message:
        return dns.query.tcp(query, self.address, timeout=5, port=self.port)

    def _answers(self) -> bool:
        try:
            reply = self._ask(dns.message.make_query(self._zone, "SOA"))
        except (OSError, EOFError, dns.exception.DNSException):
            return False
        return reply.rcode() == dns.rcode.NOERROR
