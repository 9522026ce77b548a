"""A user's script for the provider ``script``: changes one record by a dynamic update.

    update_txt.py FILE

FILE holds the server's address and port, the key's name and its secret, one per line. What to do
is in the environment, as the provider documents it.
"""

import os
import sys
from pathlib import Path

import dns.query
import dns.rcode
import dns.tsig
import dns.update

from support.nameserver import txt
from support.zones import absolute

address, port, name, secret = Path(sys.argv[1]).read_text().splitlines()
key = dns.tsig.Key(name, secret, "hmac-sha256")
update = dns.update.UpdateMessage(os.environ["DNS_PERSIST_ZONE"] or "example.test", keyring=key)
record, value = absolute(os.environ["DNS_PERSIST_NAME"]), txt(os.environ["DNS_PERSIST_VALUE"])
if os.environ["DNS_PERSIST_ACTION"] == "publish":
    update.add(record, int(os.environ["DNS_PERSIST_TTL"]), value)
else:
    update.delete(record, value)
rcode = dns.query.tcp(update, address, port=int(port), timeout=5).rcode()
print(f"{os.environ['DNS_PERSIST_ACTION']}: {dns.rcode.to_text(rcode)}")
sys.exit(rcode != dns.rcode.NOERROR)
