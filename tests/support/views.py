"""BIND as it is where not everybody sees the same: two views of a zone, and a hidden primary."""

import base64
import secrets
from pathlib import Path

from .bind import Server
from .nameserver import txt
from .process import claim_address, release_address, wait_until
from .relay import Relay
from .stoppable import Stoppable
from .zones import Key, absolute, zone_text

_OUTSIDER = "127.0.0.2"
"""Where, to the server with views, everybody asks from who asks outside."""


class Views(Stoppable):
    """``example.test``, and the root above it, at an address inside and at one outside.

    Who asks the one inside without a signature sees the view ``inside``, which takes no updates;
    who signs, or asks outside, sees the view ``outside``.
    """

    def __init__(self, directory: Path) -> None:
        """Start in ``directory``, with port 53 of two addresses of loopback."""
        self.key = Key("test-key", base64.b64encode(secrets.token_bytes(32)).decode())
        self._addresses = [claim_address(), claim_address()]
        self.server = Server(directory, self._addresses[0], self.key)
        self.inside, self.outside = self._addresses
        self._outside: Relay | None = None
        try:
            self._start(directory)
        except BaseException:
            self.stop()
            raise

    def _start(self, directory: Path) -> None:
        views = ""
        for view, address in (("inside", self.inside), ("outside", self.outside)):
            nameservers = {"ns1": [address]}
            root = zone_text(".", nameservers, "", {"example.test": nameservers})
            (directory / f"{view}.root").write_text(root)
            zone = zone_text("example.test", nameservers, f'www TXT "{view}"')
            (directory / f"{view}.zone").write_text(zone)
            clients, update = "any;", ""
            if view == "inside":
                clients = f"!key {self.key.name}; !{_OUTSIDER}; any;"
            else:
                update = f" allow-update {{ key {self.key.name}; }};"
            views += f"""view {view} {{
    match-clients {{ {clients} }};
    zone "." {{ type primary; file "{view}.root"; }};
    zone "example.test" {{ type primary; file "{view}.zone";{update} }};
}};
"""
        self.server.start("recursion no; dnssec-validation no;", views)
        self._outside = Relay(self.outside, 53, ("127.0.0.1", self.server.port), _OUTSIDER)

    def add_txt(self, name: str, value: str) -> None:
        """Put a TXT value at a name, for the world to see."""
        update = self.server.update("example.test")
        update.add(absolute(name), 1, txt(value))
        self.server.send(update)

    def values(self, name: str) -> list[str]:
        """Return the TXT values that the world sees, sorted."""
        return self.server.values(name, self.outside)

    def stop(self) -> None:
        if self._outside:
            self._outside.stop()
        self.server.stop()
        while self._addresses:
            release_address(self._addresses.pop())


class HiddenPrimary(Stoppable):
    """``example.test`` on a secondary that forwards updates, and hears of none until told.

    The secondary, to which the root delegates, does not know the key; its primary does.
    """

    def __init__(self, directory: Path) -> None:
        """Start in ``directory``, with port 53 of two addresses of loopback."""
        self.key, other = (
            Key(name, base64.b64encode(secrets.token_bytes(32)).decode())
            for name in ("test-key", "transfer-key")
        )
        self._addresses = [claim_address(), claim_address()]
        self.primary = Server(directory / "primary", self._addresses[0], self.key)
        self.secondary = Server(directory / "secondary", self._addresses[1], other)
        try:
            self._start(directory)
        except BaseException:
            self.stop()
            raise

    def _start(self, directory: Path) -> None:
        nameservers = {"ns1": [self.secondary.address]}
        zone = zone_text("example.test", nameservers)
        (directory / "primary" / "example.test.zone").write_text(zone)
        root = zone_text(".", nameservers, "", {"example.test": nameservers})
        (directory / "secondary" / "root.zone").write_text(root)
        options = "recursion no; dnssec-validation no; notify no;"
        self.primary.start(
            options,
            'zone "example.test" { type primary; file "example.test.zone";'
            f" allow-update {{ key {self.key.name}; }}; }};",
        )
        self.secondary.start(
            options,
            'zone "." { type primary; file "root.zone"; };\n'
            'zone "example.test" { type secondary; allow-update-forwarding { any; };'
            f" primaries {{ 127.0.0.1 port {self.primary.port}; }}; }};",
        )
        wait_until(self._is_same, "the secondary has the zone")  # a refresh now might end too late

    def catch_up(self) -> None:
        """Let the secondary have what the primary has, now; wait until it does."""
        self.secondary.control("refresh", "example.test")
        wait_until(self._is_same, "the secondary has caught up")

    def _is_same(self) -> bool:
        has_zone = bool(self.secondary.ask("example.test", "SOA").answer)
        return has_zone and self.secondary.serial("example.test") == self.primary.serial(
            "example.test"
        )

    def stop(self) -> None:
        for server in (self.secondary, self.primary):
            server.stop()
        while self._addresses:
            release_address(self._addresses.pop())
