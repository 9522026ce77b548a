"""The Certbot plugins that we tried, each against a server that behaves as its service does.

``tests/plugins`` installs each of them as pinned here, and tries again what is said of it (what
the tests' own environment has, ``tests/providers/test_bridge.py`` tries);
``docs/providers/other-plugins.md`` shows this list.
"""

import dataclasses
import enum

DATE = "2026-11-28"
"""When they were tried last."""
CERTBOT = "5.8.0"
"""The Certbot that they were tried with."""


class Outcome(enum.Enum):
    """What we do with a plugin."""

    WORKS = "works"
    LIMITED = "works with limits"
    REFUSED = "refused"


@dataclasses.dataclass(frozen=True)
class Tried:
    """One plugin, and what we know of it."""

    plugin: str
    """Its name in Certbot."""
    package: str
    """The distribution that brings it; others may bring one of the same name."""
    version: str
    """The one that was tried, as is all that is said here."""
    outcome: Outcome
    words: str = ""
    """What the limits are, or why it is refused; a clause that follows "it" or "because"."""
    instead: str = ""
    """What to use instead of a plugin that is refused; a sentence."""
    quoted: bool = False
    """Whether it needs the value in quotes."""
    removed_inside: bool = False
    """Whether it puts what it is to remove into quotes, and takes the value without the outer ones.
    """
    one_each: bool = False
    """Whether each record needs a plugin object of its own, as it removes what it added first."""
    longest_beside: int | None = None
    """The longest values of others, in octets, that survive beside ours."""
    refused_keys: tuple[str, ...] = ()
    """Keys of its credentials file with which it is refused, as ``words`` says."""

    earlier: tuple[str, ...] = ()
    """Earlier versions that were tried, too."""

    def covers(self, version: str) -> bool:
        """Whether what we tried is good for this version: one that its authors call compatible."""
        return version in self.earlier or _series(version) == _series(self.version)


def _series(version: str) -> list[str]:
    """Return the start of a version that those have which are compatible with it."""
    parts = version.split(".")
    return parts[: 2 if parts[0] == "0" else 1]


_ANOTHER = (
    "Use the provider script with a program that writes the record, or manual, and publish it "
    "yourself."
)
_WORKS, _LIMITED, _REFUSED = Outcome.WORKS, Outcome.LIMITED, Outcome.REFUSED
_SAME_RUN = "only the run that added a record can remove it"
_ONLY_ACME = "it writes at _acme-challenge, whatever name it is told"
_43 = "its service takes only the 43 characters of a dns-01 challenge"

TRIED: tuple[Tried, ...] = (
    Tried("acme-dns", "certbot-acme-dns", "0.3.1", _REFUSED, _43, _ANOTHER),
    Tried("dns-acmedns", "certbot-dns-acmedns", "0.1.0", _REFUSED, _43, _ANOTHER),
    Tried(
        "dns-aliyun",
        "certbot-dns-aliyun",
        "2.0.0",
        _REFUSED,
        "it removes some TXT record of the name, whatever its value, and so destroys the records "
        "of other CAs and accounts",
        _ANOTHER,
    ),
    Tried(
        "dns-azure",
        "certbot-dns-azure-modern",
        "2.8.1",
        _LIMITED,
        "it splits values of others over 255 octets into several: we do not write beside such "
        "values",
        longest_beside=255,
    ),
    Tried("dns-bunny", "certbot-dns-bunny", "3.0.0", _WORKS),
    Tried("dns-cloudflare", "certbot-dns-cloudflare", "5.8.0", _WORKS),
    Tried(
        "dns-desec",
        "certbot-dns-desec",
        "1.3.2",
        _LIMITED,
        "the service refuses values over 255 octets",
    ),
    Tried("dns-digitalocean", "certbot-dns-digitalocean", "5.8.0", _WORKS),
    Tried("dns-dnsimple", "certbot-dns-dnsimple", "5.8.0", _WORKS),
    Tried(
        "dns-dreamhost",
        "certbot-dns-dreamhost",
        "1.0",
        _REFUSED,
        "it puts the value into a URL as it is, which mangles it, and looks at no more than one "
        "record of a name",
        _ANOTHER,
    ),
    Tried(
        "dns-duckdns",
        "certbot-dns-duckdns",
        "1.9.0",
        _REFUSED,
        "DuckDNS keeps one TXT value for a domain and all names below it, so each write destroys "
        "another one",
        "Use another DNS service, or an alias (CNAME) to a zone at one.",
    ),
    Tried("dns-dynu", "certbot-dns-dynu", "0.0.6.post2502111739272536", _WORKS),
    Tried("dns-gandi", "certbot-dns-gandi", "1.6.2", _WORKS, quoted=True, removed_inside=True),
    Tried("dns-gandi", "certbot-plugin-gandi", "1.5.2", _WORKS, quoted=True, removed_inside=True),
    Tried(
        "dns-godaddy",
        "certbot-dns-godaddy",
        "2.8.0",
        _LIMITED,
        "it cannot remove the last TXT record of a zone, and a removal writes all TXT records of "
        "the zone anew, so what others change in that moment is lost",
    ),
    Tried("dns-google", "certbot-dns-google", "5.8.0", _WORKS, quoted=True, removed_inside=True),
    Tried("dns-hetzner", "certbot-dns-hetzner", "4.0.0", _WORKS),
    Tried("dns-hetzner-cloud", "certbot-dns-hetzner-cloud", "1.1.0", _WORKS),
    Tried(
        "dns-infomaniak",
        "certbot-dns-infomaniak",
        "0.3.3",
        _LIMITED,
        _SAME_RUN,
        one_each=True,
    ),
    Tried(
        "dns-inwx",
        "certbot-dns-inwx",
        "3.0.3",
        _LIMITED,
        f"{_SAME_RUN} (it fails with KeyError). Turn off its search for aliases with "
        "dns_persist_plugin_follow_cnames = false",
    ),
    Tried(
        "dns-ionos",
        "certbot-dns-ionos",
        "2024.11.9",
        _REFUSED,
        "it removes all TXT records of a name, and so destroys the records of other CAs and "
        "accounts",
        _ANOTHER,
    ),
    Tried(
        "dns-joker",
        "certbot-dns-joker",
        "1.1.0",
        _REFUSED,
        "it replaces and removes all TXT records of a name, and so destroys the records of other "
        "CAs and accounts",
        _ANOTHER,
    ),
    Tried("dns-linode", "certbot-dns-linode", "5.8.0", _WORKS),
    Tried(
        "dns-multi",
        "certbot-dns-multi",
        "5.5.1",
        _REFUSED,
        "it ignores the value that it is given and writes one derived from the token of a dns-01 "
        "challenge",
        "Use a provider of your DNS service (--dns-persist-provider), or the provider script with "
        "a program that writes the record.",
    ),
    Tried(
        "dns-netcup",
        "certbot-dns-netcup",
        "2.1.0",
        _LIMITED,
        "through netcup's new API (dns_netcup_api_v1_key) it can write only the values of dns-01 "
        "at _acme-challenge, so we refuse that key",
        "Use the keys of the legacy API instead (dns_netcup_customer_id, dns_netcup_api_key and "
        "dns_netcup_api_password).",
        refused_keys=("api_v1_key",),
    ),
    Tried("dns-njalla", "certbot-dns-njalla", "2.0.2", _WORKS),
    Tried("dns-nsone", "certbot-dns-nsone", "5.8.0", _WORKS),
    Tried("dns-ovh", "certbot-dns-ovh", "5.8.0", _WORKS),
    Tried("dns-pdns", "certbot-dns-pdns", "0.1.1", _WORKS),
    Tried(
        "dns-persist",
        "certbot-dns-persist",
        "",
        _REFUSED,
        "it is this plugin itself",
        "Name the plugin or provider of your DNS service.",
    ),
    Tried("dns-porkbun", "certbot-dns-porkbun", "0.11.0", _REFUSED, _ONLY_ACME, _ANOTHER),
    Tried(
        "dns-rfc2136",
        "certbot-dns-rfc2136",
        "5.8.0",
        _WORKS,
        quoted=True,
        earlier=("2.1.0",),  # Debian 12
    ),
    Tried(
        "dns-route53",
        "certbot-dns-route53",
        "5.8.0",
        _REFUSED,
        "it replaces all values at a name with its own, and so destroys the records of other CAs "
        "and accounts",
        "Use --dns-persist-provider route53, which leaves them alone.",
    ),
    Tried("dns-scaleway", "certbot-dns-scaleway", "0.0.7", _WORKS),
    Tried("dns-simply", "certbot-dns-simply", "0.1.4", _WORKS),
    Tried(
        "dns-standalone",
        "certbot-dns-standalone",
        "1.2.1",
        _REFUSED,
        "it serves a record only while Certbot runs, but this one has to stay",
        "Use a provider of the DNS service that serves the zone.",
    ),
    Tried("dns-technitium", "certbot-dns-technitium", "0.1.2", _WORKS),
    Tried("dns-vultr", "certbot-dns-vultr", "1.1.0", _LIMITED, _SAME_RUN),
    Tried("dns-websupport", "certbot-dns-websupport", "5.0.0", _WORKS),
    # Without quotes, it takes a value for any other that begins with it.
    Tried("edgedns", "certbot-plugin-edgedns", "0.1.0", _WORKS, quoted=True),
)
"""Sorted by plugin and package; a test holds it to what the tests of each plugin say."""
