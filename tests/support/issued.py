"""A certificate whose record is beside other records."""

from certbot_dns_persist.record import validation_domain_name

from .bind import Bind
from .certbot import Certbot
from .pebble import ISSUER

FOREIGN = [
    "letsencrypt.org; accounturi=https://acme-v02.api.letsencrypt.org/acme/acct/1",
    f"{ISSUER}; accounturi=https://localhost/another-account; policy=wildcard",
    f"{ISSUER}; accounturi=; malformed",
    "v=spf1 -all",
]
"""Records that must survive everything that we do."""


class Issued:
    """A certificate, and its record beside other records."""

    def __init__(self, certbot: Certbot, bind: Bind, domain: str, options: list[str]) -> None:
        self.certbot, self.bind, self.domain = certbot, bind, domain
        self.name = validation_domain_name(domain)
        for value in FOREIGN:
            bind.add_txt(self.name, value)
        done = certbot.certonly(*options, "-d", domain)
        assert done.returncode == 0, done.output
        self.url = certbot.account_url

    @property
    def values(self) -> list[str]:
        """Ours, as both servers have them."""
        assert set(FOREIGN) <= set(self.bind.primary.values(self.name))
        assert self.bind.secondary.values(self.name) == self.bind.primary.values(self.name)
        return [v for v in self.bind.primary.values(self.name) if v not in FOREIGN]

    def value(self, url: str, more: str = "") -> str:
        return f"{ISSUER}; accounturi={url}{more}"
