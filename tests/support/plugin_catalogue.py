"""How each plugin of our list is tried: what it needs, and the service that it talks to."""

import dataclasses
from collections.abc import Mapping

from certbot_dns_persist.providers.tried import TRIED, Outcome, Tried

from . import dns_apis as apis


@dataclasses.dataclass(frozen=True)
class Trial:
    """A plugin beside its service."""

    api: type[apis.Api]
    credentials: str
    """Its file; ``{port}`` is where the service is, for the plugins that can be told so."""
    libraries: tuple[str, ...] = ()
    """What it needs and ``.venv`` does not have, each pinned."""
    own_file: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Files beside that, by name; ``{directory}`` in ``credentials`` is where they are."""


HCLOUD = ("hcloud==2.27.0",)
GOOGLE = (
    "google-api-python-client==2.202.0",
    "google-auth==2.63.0",
    "google-auth-httplib2==0.4.4",
    "google-api-core==2.44.0",
    "httplib2==0.32.1",
    "uritemplate==4.2.0",
    "googleapis-common-protos==1.76.0",
    "protobuf==7.36.2",
    "proto-plus==1.29.0",
    "pyasn1==0.6.5",
    "pyasn1-modules==0.4.2",
    "rsa==4.9.1",
    "cachetools==8.0.2",
)

AZURE = (
    "azure-identity==1.27.0",
    "azure-mgmt-dns==9.0.0",
    "azure-core==1.41.0",
    "azure-mgmt-core==1.6.0",
    "msal==1.39.0",
    "msal-extensions==1.3.1",
    "PyJWT==2.15.1",
    "isodate==0.7.2",
    "typing-extensions==4.16.0",
)

USED: Mapping[tuple[str, str], Trial] = {
    ("dns-azure", "certbot-dns-azure-modern"): Trial(
        apis.Azure,
        "dns_azure_sp_client_id = 912ce44a-0156-4669-ae22-c16a17d34ca5\n"
        "dns_azure_sp_client_secret = s\n"
        "dns_azure_tenant_id = ed1090f3-ab18-4b12-816c-599af8a88cf7\n"
        # By domain, not by zone
        "dns_azure_zone1 = www.example.com:/subscriptions/s/resourceGroups/r/providers"
        "/Microsoft.Network/dnsZones/example.com\n"
        "dns_azure_zone2 = mail.example.com:/subscriptions/s/resourceGroups/r/providers"
        "/Microsoft.Network/dnsZones/example.com",
        AZURE,
    ),
    ("dns-bunny", "certbot-dns-bunny"): Trial(apis.Bunny, "dns_bunny_api_key = k"),
    ("dns-digitalocean", "certbot-dns-digitalocean"): Trial(
        apis.DigitalOcean,
        "dns_digitalocean_token = t",
        ("python-digitalocean==1.17.0", "jsonpickle==4.1.4"),
    ),
    ("dns-dynu", "certbot-dns-dynu"): Trial(apis.Dynu, "dns_dynu_auth_token = t"),
    ("dns-gandi", "certbot-dns-gandi"): Trial(apis.Gandi, "dns_gandi_token = t"),
    ("dns-gandi", "certbot-plugin-gandi"): Trial(apis.Gandi, "dns_gandi_token = t"),
    ("dns-godaddy", "certbot-dns-godaddy"): Trial(
        apis.GoDaddy, "dns_godaddy_key = k\ndns_godaddy_secret = s"
    ),
    ("dns-google", "certbot-dns-google"): Trial(
        apis.Google,
        "dns_persist_plugin_credentials = {directory}/google.json",
        GOOGLE,
        {"google.json": "a service account"},
    ),
    ("dns-hetzner", "certbot-dns-hetzner"): Trial(
        apis.Hetzner, "dns_hetzner_api_token = t", HCLOUD
    ),
    ("dns-hetzner-cloud", "certbot-dns-hetzner-cloud"): Trial(
        apis.Hetzner, "dns_hetzner_cloud_api_token = t", HCLOUD
    ),
    ("dns-infomaniak", "certbot-dns-infomaniak"): Trial(
        apis.Infomaniak, "dns_infomaniak_token = t"
    ),
    ("dns-linode", "certbot-dns-linode"): Trial(apis.Linode, "dns_linode_key = k"),
    ("dns-netcup", "certbot-dns-netcup"): Trial(
        apis.Netcup,
        "dns_netcup_customer_id = 1\ndns_netcup_api_key = k\ndns_netcup_api_password = p",
    ),
    ("dns-njalla", "certbot-dns-njalla"): Trial(apis.Njalla, "dns_njalla_token = t"),
    ("dns-nsone", "certbot-dns-nsone"): Trial(apis.Nsone, "dns_nsone_api_key = k"),
    ("dns-ovh", "certbot-dns-ovh"): Trial(
        apis.Ovh,
        "dns_ovh_endpoint = ovh-eu\ndns_ovh_application_key = k\n"
        "dns_ovh_application_secret = s\ndns_ovh_consumer_key = c",
    ),
    ("dns-scaleway", "certbot-dns-scaleway"): Trial(
        apis.Scaleway, "dns_scaleway_application_token = t"
    ),
    ("dns-simply", "certbot-dns-simply"): Trial(apis.Simply, "dns_simply_api_key = k"),
    ("dns-technitium", "certbot-dns-technitium"): Trial(
        apis.Technitium,
        "dns_technitium_api_url = http://127.0.0.1:{port}\ndns_technitium_api_token = t",
    ),
    ("dns-vultr", "certbot-dns-vultr"): Trial(apis.Vultr, "dns_vultr_key = k"),
    ("dns-websupport", "certbot-dns-websupport"): Trial(
        apis.Websupport, "dns_websupport_identifier = i\ndns_websupport_secret_key = s"
    ),
    ("edgedns", "certbot-plugin-edgedns"): Trial(
        apis.EdgeDns,
        "edgedns_client_token = t\nedgedns_client_secret = s\nedgedns_access_token = a\n"
        "edgedns_host = edge.example",
        ("edgegrid-python==2.0.9",),
    ),
}
"""Those that can be used."""

IN_OTHER_TESTS = {
    "dns-cloudflare",
    "dns-desec",
    "dns-dnsimple",
    "dns-inwx",
    "dns-pdns",
    "dns-rfc2136",
}
"""Those that are in ``.venv`` and in ``tests/providers/test_bridge.py``."""

REFUSED: Mapping[str, tuple[str, ...]] = {
    "acme-dns": (),
    "dns-acmedns": ("pyacmedns==0.4",),
    "dns-aliyun": (),
    "dns-dreamhost": (),
    "dns-duckdns": (),
    "dns-ionos": (),
    "dns-joker": (),
    "dns-multi": (),
    "dns-porkbun": ("pkb-client==2.3.1",),
    "dns-route53": (),
    "dns-standalone": ("dnslib==0.9.26",),
}
"""Those that are refused, with what they need."""

HARMFUL: Mapping[str, Trial] = {
    "dns-aliyun": Trial(apis.Aliyun, "dns_aliyun_access_key = k\ndns_aliyun_access_key_secret = s"),
    "dns-dreamhost": Trial(
        apis.DreamHost,
        "dns_dreamhost_baseurl = http://127.0.0.1:{port}/\ndns_dreamhost_api_key = k",
    ),
    "dns-ionos": Trial(
        apis.Ionos,
        "dns_ionos_endpoint = http://127.0.0.1:{port}\ndns_ionos_prefix = p\ndns_ionos_secret = s",
    ),
    "dns-joker": Trial(apis.Joker, "dns_joker_username = u\ndns_joker_password = p"),
    "dns-porkbun": Trial(
        apis.Porkbun, "dns_porkbun_key = k\ndns_porkbun_secret = s", ("pkb-client==2.3.1",)
    ),
}
"""Those that would do harm if we did not know them."""

UNKNOWN = ("cpanel", "certbot-dns-cpanel==0.4.0")
CPANEL = Trial(
    apis.Cpanel,
    "cpanel_url = http://127.0.0.1:{port}\ncpanel_username = u\ncpanel_password = p",
)


def known(plugin: str, package: str | None = None) -> Tried:
    """Return what our list says of a plugin."""
    (found,) = (each for each in TRIED if each.plugin == plugin and package in (None, each.package))
    return found


def pinned(plugin: Tried) -> str:
    return f"{plugin.package}=={plugin.version}"


def refused() -> list[str]:
    """Return the plugins of our list that are refused, except for our own."""
    return [
        each.plugin
        for each in TRIED
        if each.outcome is Outcome.REFUSED and each.plugin != "dns-persist"
    ]
