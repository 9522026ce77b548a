"""What ``check`` and ``audit`` find, made without a look-up."""

from certbot_dns_persist.account import Account
from certbot_dns_persist.ca.terms import Terms
from certbot_dns_persist.judge.checkup import Checked
from certbot_dns_persist.judge.diagnosis import Diagnosis, Status
from certbot_dns_persist.judge.notice import Notice
from certbot_dns_persist.judge.standing import Standing
from certbot_dns_persist.lookup.found import Found, ServerAnswer
from certbot_dns_persist.options import options_of
from certbot_dns_persist.request.request import make_request
from certbot_dns_persist.request.subjects import Subject


def audited(domain: str, *notices: Notice, status: Status = Status.OK, end: int = 0) -> Checked:
    """Return what is found at ``domain``.

    ``end`` is when its record expires, in UNIX seconds; 0 if it never does.
    """
    request = make_request(
        domain,
        wildcard=False,
        shared=False,
        terms=Terms(("ca.example",), "https://ca.example/acct/1"),
        account=Account("https://ca.example/acct/1", ""),
        earlier_keys=lambda: [],
        server="https://ca.example/directory",
    )
    value = f"ca.example; accounturi=https://ca.example/acct/1; persistUntil={end}"
    answers = (ServerAnswer("ns1", "192.0.2.1", (value,)),) if end else ()
    standing = Standing(request, Found(request.name, request.name, None, answers), 0)
    diagnosis = Diagnosis(status, f"What stands at {request.name} is {status}.")
    return Checked(Subject(request, options_of({}, {})), standing, diagnosis, notices)
