"""A strict ACME CA for tests of dns-persist-01: drafts -00, -01, -02, and a CA in transition.

Written from draft-ietf-acme-dns-persist and RFC 8555 alone, and sharing no code with any client,
so that a client which satisfies it has been read by a second pair of eyes. What RFC 8555 and the
draft make a MUST for clients it insists on; what they make a MUST for servers it does, unless a
test asks for a ``Fault``. Private: for tests on a loopback address, nothing else.

    with TestCa(dns=("127.0.0.1", 5353), draft="02", jit=True) as ca:
        ...  # ca.directory_url, ca.root_certificate, ca.accounts, ca.log

One file per thing: ``jws`` the envelope, ``objects`` what RFC 8555 calls so, ``offers`` what the CA
says of itself, ``external_account`` whom it takes, ``record`` the TXT value, ``validation`` and
``caa`` the judgement, ``certificates`` the X.509 side, ``ca`` the requests, ``server`` the sockets.
"""

from .ca import TestCa
from .events import Event, Request, Validation
from .objects import Account
from .options import DRAFTS, GOOGLE, Draft, Fault, Options
from .record import hashed_account_uri
from .rollover import roll_over, roll_over_certbot_account

__all__ = [
    "DRAFTS",
    "GOOGLE",
    "Account",
    "Draft",
    "Event",
    "Fault",
    "Options",
    "Request",
    "TestCa",
    "Validation",
    "hashed_account_uri",
    "roll_over",
    "roll_over_certbot_account",
]
