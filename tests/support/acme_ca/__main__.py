"""Runs the CA until interrupted: ``python -m tests.support.acme_ca --dns 127.0.0.1:5353``."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading

from .ca import TestCa
from .options import DRAFTS, Fault


def main(arguments: list[str] | None = None) -> int:
    """Prints one line of JSON as soon as it serves: directory URL and root certificate's path."""
    parser = argparse.ArgumentParser(prog="acme_ca", description="A strict ACME CA for tests.")
    parser.add_argument("--dns", required=True, metavar="ADDRESS:PORT", help="resolver to ask")
    parser.add_argument("--port", type=int, default=0, help="HTTPS port (default: a free one)")
    parser.add_argument("--draft", choices=DRAFTS, default="02")
    parser.add_argument("--issuer", action="append", metavar="NAME", help="issuer domain name")
    parser.add_argument("--challenge", action="append", metavar="TYPE", help="offered type")
    parser.add_argument("--fault", action="append", choices=[fault.value for fault in Fault])
    parser.add_argument("--jit", action="store_true", help="validate at newOrder")
    parser.add_argument("--check-caa", action="store_true")
    parser.add_argument("--reuse", action="store_true", help="reuse valid authorizations")
    args = parser.parse_args(arguments)

    address, _, port = args.dns.rpartition(":")
    options = {
        "draft": args.draft,
        "issuer_domain_names": args.issuer,
        "challenges": args.challenge,
        "faults": args.fault,
        "jit": args.jit,
        "check_caa": args.check_caa,
        "authorization_reuse": args.reuse,
    }
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    given = {name: value for name, value in options.items() if value is not None}
    with TestCa(dns=(address.strip("[]"), int(port)), port=args.port, **given) as ca:
        print(
            json.dumps(
                {"directory_url": ca.directory_url, "root_certificate": str(ca.root_certificate)}
            ),
            flush=True,
        )
        stopped.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
