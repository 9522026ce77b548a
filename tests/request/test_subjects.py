"""What a command is about: a subject for each domain, or why there is none."""

import json
from pathlib import Path

import josepy
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from support.pebble import make_certificate

from certbot_dns_persist.account import Account
from certbot_dns_persist.ca.terms import Terms
from certbot_dns_persist.journal.store import Journal
from certbot_dns_persist.request.accounts import accounts_directory
from certbot_dns_persist.request.applicants import Given, Identity
from certbot_dns_persist.request.subjects import Subject, Subjects, Trouble, Troubles, only_subjects

SERVER = "https://ca.example/directory"
TERMS = Terms(("ca.example",), None, "https://ca.example/hash/")
ACCOUNT = Account("https://ca.example/acct/1", "N" * 43)
WITHOUT_CERTBOT = Identity(TERMS, ACCOUNT)


class Home:
    """Certbot's directories, below ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.journal = Journal(str(root / "logs"), str(root))

    def subjects(self, given: Given) -> Subjects:
        return Subjects(self.root, self.journal, given)

    def add_account(self) -> None:
        directory = accounts_directory(self.root, SERVER) / "abc"
        directory.mkdir(parents=True)
        key = josepy.JWKEC(key=ec.generate_private_key(ec.SECP256R1()))
        (directory / "private_key.json").write_text(key.json_dumps())
        (directory / "regr.json").write_text(json.dumps({"uri": ACCOUNT.url}))

    def add_lineage(self, name: str, authenticator: str = "dns-persist") -> None:
        """Add one, for localhost."""
        certificate = self.root / f"{name}.pem"
        make_certificate(self.root / "ca.pem", certificate, self.root / "key.pem")
        path = self.root / "renewal" / f"{name}.conf"
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            f"cert = {certificate}\n[renewalparams]\nserver = {SERVER}\naccount = abc\n"
            f"authenticator = {authenticator}\n"
        )


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_one_domain_in_trouble_keeps_no_other_back(home: Home) -> None:
    given = Given(identities=[[WITHOUT_CERTBOT]], options={"policy": "exact"})
    before, trouble, after = home.subjects(given).of_domains(["a.test", "*.b.test", "c.test"])
    assert isinstance(before, Subject)
    assert isinstance(after, Subject)
    assert (before.request.domain, after.request.domain) == ("a.test", "c.test")
    assert isinstance(trouble, Trouble)
    assert trouble.domain == "b.test"
    assert "policy=wildcard" in trouble.reason


def test_a_domain_and_its_wildcard_are_one_subject(home: Home) -> None:
    given = Given(identities=[[WITHOUT_CERTBOT]])
    asked = ["*.a.test", "b.test", "a.test"]
    first, second = only_subjects(home.subjects(given).of_domains(asked))
    assert (first.request.domain, first.request.wildcard) == ("a.test", True)
    assert first.names == ("*.a.test", "a.test")
    assert (second.request.domain, second.request.wildcard) == ("b.test", False)


def test_what_is_no_lineage_of_ours_is_said_beside_those_that_are(home: Home) -> None:
    home.add_account()
    home.add_lineage("ours")
    home.add_lineage("theirs", "webroot")
    home.journal.note_terms(ACCOUNT.url, TERMS)
    subjects = home.subjects(Given(offline=True))
    missing, theirs, ours = subjects.of_lineages(["missing", "theirs", "ours"])
    assert isinstance(missing, Trouble)
    assert "missing.conf cannot be used" in missing.reason
    assert isinstance(theirs, Trouble)
    assert "'webroot', not by dns-persist" in theirs.reason
    assert isinstance(ours, Subject)
    assert (ours.request.domain, ours.request.account_url) == ("localhost", ACCOUNT.url)
    assert [lineage.name for lineage in ours.lineages] == ["ours"]


def test_an_account_that_is_gone_is_lost_only_to_a_certificate(home: Home) -> None:
    home.add_lineage("ours")
    subjects = home.subjects(Given(offline=True))
    (of_lineage,) = subjects.of_lineages(["ours"])
    (of_domain,) = home.subjects(Given(server=SERVER, offline=True)).of_domains(["a.test"])
    assert isinstance(of_lineage, Trouble)
    assert isinstance(of_domain, Trouble)
    assert of_lineage.reason == of_domain.reason
    assert (of_lineage.lost_account, of_domain.lost_account) == (True, False)


def test_without_a_lineage_it_is_said_how_to_name_domains(home: Home) -> None:
    (trouble,) = home.subjects(Given()).of_lineages()
    assert isinstance(trouble, Trouble)
    assert "Name the domains with -d" in trouble.reason


def test_where_a_lineage_cannot_be_read_nothing_is_left_over(home: Home) -> None:
    home.add_lineage("ours")
    assert home.subjects(Given()).needed_domains == {"localhost"}
    (home.root / "renewal" / "damaged.conf").touch()
    assert home.subjects(Given()).needed_domains is None
    assert [*home.subjects(Given()).left_over()] == []


def test_what_is_the_same_for_many_domains_is_said_once_and_in_its_place() -> None:
    many = [Trouble("It is too late.", f"{number}.test") for number in range(7)]
    troubles = Troubles([Trouble("No file."), many[0], Trouble("No CA.", "a.test"), *many[1:]])
    told = troubles.in_words()
    assert told == [
        "No file.",
        "0.test, 1.test, 2.test, 3.test, 4.test and 2 more: It is too late.",
        "a.test: No CA.",
    ]
