"""What ``check --from-file`` does, until there is that command: look, judge, print.

check_names.py FILE RESOLVER ISSUER ACCOUNT_URI QUERIES_PER_SECOND [--caa] [--through-resolver]
"""

import json
import sys
import time

from certbot_dns_persist.diagnose import diagnose
from certbot_dns_persist.lookup import Address, Lookup
from certbot_dns_persist.plan import Standing
from certbot_dns_persist.request import AccountUris, ValidationRequest

FILE, RESOLVER, ISSUER, ACCOUNT_URI, RATE = sys.argv[1:6]


def main() -> None:
    lookup = Lookup(
        [Address(RESOLVER)],
        authoritative="--through-resolver" not in sys.argv,
        queries_per_second=float(RATE),
    )
    at = int(time.time())
    with open(FILE) as file:  # noqa: PTH123
        domains = (line.strip() for line in file)
        for inspection in lookup.inspect(domains, caa="--caa" in sys.argv):
            request = ValidationRequest(
                domain=inspection.domain,
                wildcard=False,
                server="",
                issuer_domain_names=(ISSUER,),
                account_url=ACCOUNT_URI,
                account_uris=AccountUris(ACCOUNT_URI),
            )
            standing = Standing(request, inspection.found, at)
            diagnosis = diagnose(standing, inspection, warn_days=30)
            print(json.dumps({"domain": inspection.domain, "status": diagnosis.status}))


main()
