"""One real plugin in a process of its own, with the libraries that were installed for it.

    python -m support.plugin_child

Standard input has one JSON object a line. The first says which plugin, with which files, and where
things are; each further one is a step, whose result is printed as a line. What the plugin sends to
a host in the Internet goes to the API server here: the adapters of requests and httplib2 are
replaced in this process, as most plugins have no setting for that; those that have one use it.
"""

import json
import logging
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import dns.resolver


def replace(owner: Any, name: str, new: Any) -> None:
    """Replace what a module or class has under ``name``, in this process."""
    setattr(owner, name, new)


def redirect(port: int) -> None:
    """Let what is sent with requests or httplib2 go to the server here."""
    import requests.adapters

    def here(url: str) -> str:
        parts = urlsplit(url)
        if parts.hostname == "127.0.0.1":
            return url
        return urlunsplit(("http", f"127.0.0.1:{port}", *parts[2:]))

    send = requests.adapters.HTTPAdapter.send

    def sent_here(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        request.url = here(request.url)
        kwargs["proxies"] = {}
        return send(self, request, *args, **kwargs)

    replace(requests.adapters.HTTPAdapter, "send", sent_here)
    try:
        import httplib2
    except ImportError:
        return
    asked = httplib2.Http.request

    def asked_here(self: Any, uri: str, *args: Any, **kwargs: Any) -> Any:
        return asked(self, here(uri), *args, **kwargs)

    replace(httplib2.Http, "request", asked_here)


def resolve_at(address: str, port: int) -> None:
    """Let dnspython's resolvers ask the nameserver of the test."""

    def read(self: Any, *args: Any) -> None:
        self.nameservers, self.port = [address], port

    replace(dns.resolver.Resolver, "read_resolv_conf", read)


def keep_out_of_the_system(directory: str) -> None:
    """Let Certbot's own directories, where some plugins write, be below this one."""
    from certbot.compat import misc

    replace(misc, "get_default_folder", lambda kind: f"{directory}/{kind}")


def main() -> None:
    logging.disable()
    spec = json.loads(sys.stdin.readline())
    redirect(spec["port"])
    resolve_at(*spec["resolver"])
    keep_out_of_the_system(spec["directory"])

    from certbot_dns_persist import errors
    from certbot_dns_persist.change.publisher import Publisher, TxtRecord
    from certbot_dns_persist.journal.store import Journal
    from certbot_dns_persist.lookup.session import Address, Lookup
    from certbot_dns_persist.options import Options
    from certbot_dns_persist.providers import bridge

    if spec["unknown"]:
        replace(bridge, "TRIED", ())

    class Quick(Lookup):
        def neighbourhoods(self, found: Any) -> Any:
            from certbot_dns_persist.lookup.found import Neighbourhood

            return {e.name: Neighbourhood(e.name, e.canonical_name, e.zone) for e in found}

    directory = Path(spec["directory"])
    options = Options(
        providers=(spec["plugin"],),
        credentials=spec["credentials"],
        propagation_seconds=spec["patience"],
    )
    lookup = Quick([Address(*spec["resolver"])], port=spec["resolver"][1])
    told: list[str] = []
    journal = Journal(str(directory), str(directory))
    publisher = Publisher(options, lookup, journal, told.append)

    def record(name: str, value: str) -> TxtRecord:
        return TxtRecord(name, value, 60, ZONE, "https://ca.example/dir", "https://ca.example/1")

    for line in sys.stdin:
        action, name, value = json.loads(line)
        try:
            if action == "load":
                publisher.writes(name)
            elif action == "add":
                publisher.add(record(name, value), "test")
            else:
                publisher.remove(record(name, value), "test")
        except errors.Error as error:
            print(json.dumps({"error": str(error), "told": told}), flush=True)
        else:
            print(json.dumps({"error": None, "told": told}), flush=True)


ZONE = "example.com"

if __name__ == "__main__":
    main()
