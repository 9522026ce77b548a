"""The test CA, taken through its paces with the acme package as the client."""

import contextlib
import json
import socketserver
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.TXT
import dns.rrset
import josepy
import pytest
from acme import challenges, client, crypto_util, errors, jws, messages
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from support.acme_ca import (
    DRAFTS,
    GOOGLE,
    Fault,
    TestCa,
    hashed_account_uri,
    roll_over,
    roll_over_certbot_account,
)

pytestmark = pytest.mark.long

CHECKOUT = Path(__file__).parents[2]


class TinyDns:
    """Answers over UDP with what it was told, and NXDOMAIN for the rest."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], list[dns.rdata.Rdata]] = {}
        self.failing: set[str] = set()
        self._may_answer = threading.Event()
        self._may_answer.set()
        self.ttl = 300
        tiny = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                octets, socket = self.request
                socket.sendto(tiny.answer(octets), self.client_address)

        self._server = socketserver.ThreadingUDPServer(("127.0.0.1", 0), Handler)
        self.address: tuple[str, int] = self._server.server_address  # type: ignore[assignment]

    def txt(self, name: str, *values: str) -> None:
        """Each value is one record, cut into strings of 255 octets."""
        self.answers[name, "TXT"] = [
            dns.rdtypes.ANY.TXT.TXT(
                dns.rdataclass.IN,
                dns.rdatatype.TXT,
                [value.encode()[start : start + 255] for start in range(0, len(value), 255)],
            )
            for value in values
        ]

    def persist(self, domain: str, *values: str) -> None:
        self.txt(f"_validation-persist.{domain}", *values)

    def add(self, name: str, rdtype: str, *texts: str) -> None:
        self.answers[name, rdtype] = [dns.rdata.from_text("IN", rdtype, text) for text in texts]

    @contextlib.contextmanager
    def holding(self) -> Iterator[None]:
        """Inside, queries wait; afterwards they are answered."""
        self._may_answer.clear()
        try:
            yield
        finally:
            self._may_answer.set()

    def answer(self, octets: bytes) -> bytes:
        self._may_answer.wait()
        query = dns.message.from_wire(octets)
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True)
        rdtype = dns.rdatatype.to_text(question.rdtype)
        if name in self.failing:
            response.set_rcode(dns.rcode.SERVFAIL)
        elif found := self.answers.get((name, rdtype)) or self.answers.get((name, "CNAME")):
            response.answer.append(dns.rrset.from_rdata_list(question.name, self.ttl, found))
        elif not any(name == known for known, _ in self.answers):
            response.set_rcode(dns.rcode.NXDOMAIN)
        return response.to_wire()

    def __enter__(self) -> "TinyDns":
        threading.Thread(target=self._server.serve_forever, args=(0.05,)).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class Payload:
    """A payload exactly as written."""

    def __init__(self, text: str) -> None:
        self.text = text

    def json_dumps(self, **_: Any) -> str:
        return self.text


class Client:
    """acme's client with an account, and what acme does not know: dns-persist-01."""

    def __init__(self, ca: TestCa, key: josepy.JWK | None = None) -> None:
        self.ca = ca
        self.key = key or new_key()
        self.net = client.ClientNetwork(self.key, user_agent="test")
        self.net.verify_ssl = str(ca.root_certificate)  # type: ignore[assignment]
        directory = client.ClientV2.get_directory(ca.directory_url, self.net)
        self.acme = client.ClientV2(directory, self.net)
        new = messages.NewRegistration.from_data(
            email="a@example.com", terms_of_service_agreed=True
        )
        try:
            self.regr = self.acme.new_account(new)
        except errors.ConflictError as known:  # there is one with this key
            self.regr = messages.RegistrationResource(uri=known.location)
            self.net.account = self.regr

    def order(self, *domains: str) -> messages.OrderResource:
        self.certificate_key = ec.generate_private_key(ec.SECP256R1())
        pem = self.certificate_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return self.acme.new_order(crypto_util.make_csr(pem, list(domains)))

    def fetch(self, url: str) -> Any:
        return self.net.post(url, None, new_nonce_url=self.acme.directory["newNonce"]).json()

    def post(self, url: str, text: str) -> Any:
        payload: Any = Payload(text)
        return self.net.post(url, payload, new_nonce_url=self.acme.directory["newNonce"])

    def challenges(
        self, order: messages.OrderResource, type_: str = "dns-persist-01"
    ) -> list[dict[str, Any]]:
        """Of each authorization, the challenge of that type, as the CA sent it."""
        return [
            challenge
            for url in order.body.authorizations
            for challenge in self.fetch(url)["challenges"]
            if challenge["type"] == type_
        ]

    def answered(self, challenge: dict[str, Any]) -> dict[str, Any]:
        """The challenge after it was responded to and the CA has made up its mind."""
        self.post(challenge["url"], "{}")
        wait_until(lambda: self.fetch(challenge["url"])["status"] in ("valid", "invalid"))
        return dict(self.fetch(challenge["url"]))

    def validate(self, domain: str) -> dict[str, Any]:
        """Order one name and answer its challenge."""
        (challenge,) = self.challenges(self.order(domain))
        return self.answered(challenge)

    def finalize(self, order: messages.OrderResource) -> None:
        """Ask for the certificate, and wait for nothing."""
        csr = x509.load_pem_x509_csr(order.csr_pem)
        der = josepy.encode_b64jose(csr.public_bytes(serialization.Encoding.DER))
        self.post(order.body.finalize, json.dumps({"csr": der}))

    def issue(self, order: messages.OrderResource) -> x509.Certificate:
        for challenge in self.challenges(order):
            assert self.answered(challenge)["status"] == "valid"
        finished = self.acme.finalize_order(order, datetime.now() + timedelta(seconds=20))
        return x509.load_pem_x509_certificate(finished.fullchain_pem.encode())


def wait_until(done: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def new_key() -> josepy.JWKRSA:
    return josepy.JWKRSA(key=rsa.generate_private_key(public_exponent=65537, key_size=2048))


def error_of(challenge: dict[str, Any]) -> str:
    return str(challenge["error"]["type"]).removeprefix("urn:ietf:params:acme:error:")


class StartCa(Protocol):
    def __call__(self, **options: Any) -> TestCa: ...


@pytest.fixture
def tiny_dns() -> Iterator[TinyDns]:
    with TinyDns() as server:
        yield server


@pytest.fixture
def start_ca(tiny_dns: TinyDns) -> Iterator[StartCa]:
    with contextlib.ExitStack() as stack:
        yield lambda **options: stack.enter_context(TestCa(dns=tiny_dns.address, **options))


@pytest.fixture
def ca(start_ca: StartCa) -> TestCa:
    """Speaks -02."""
    return start_ca()


# What the CA says of itself and of its challenge.


@pytest.mark.parametrize(
    ("domain", "digest"),
    [
        ("example.com", "5SQm7n6tPh2-PlLbCKGnViTXX5z19SCN4cPGQHSk-kw"),
        ("*", "NpDnSwUthQK8zCgFdefYxAdAVPnygMLbs9US6oO-5ug"),
    ],
)
def test_hashes_account_uris_as_the_draft_does_in_its_examples(domain: str, digest: str) -> None:
    uri = hashed_account_uri(
        "https://ca.example/account-hash/",
        domain=domain,
        thumbprint="NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
        account_url="https://ca.example/acct/123",
    )
    assert uri == f"https://ca.example/account-hash/sha-256/{digest}"


@pytest.mark.parametrize(
    ("draft", "members"),
    [
        ("00", {"issuer-domain-names"}),
        ("01", {"issuer-domain-names", "accounturi"}),
        ("02", {"issuerDomainNames"}),
        ("transition", {"issuer-domain-names", "issuerDomainNames", "accounturi"}),
    ],
)
def test_sends_the_members_of_its_draft(start_ca: StartCa, draft: str, members: set[str]) -> None:
    ca = start_ca(draft=draft, issuer_domain_names=["one.example", "two.example"])
    acme = Client(ca)
    (challenge,) = acme.challenges(acme.order("example.com"))
    assert set(challenge) == {"type", "url", "status"} | members
    for name in members - {"accounturi"}:
        assert challenge[name] == ["one.example", "two.example"]
    assert challenge.get("accounturi", acme.regr.uri) == acme.regr.uri

    meta = directory(ca)["meta"]
    assert meta["caaIdentities"] == ["one.example", "two.example"]
    if draft in ("02", "transition"):
        assert meta["issuerDomainNames"] == ["one.example", "two.example"]
        assert meta["accountHashPrefix"] == f"{ca.base_url}/account-hash/"
    else:
        assert set(meta) == {"caaIdentities"}


def directory(ca: TestCa) -> Any:
    context = ssl.create_default_context(cafile=ca.root_certificate)
    with urllib.request.urlopen(ca.directory_url, context=context) as response:  # noqa: S310
        return json.load(response)


def faults_seen(meta: dict[str, Any], names: Any) -> set[Fault]:
    """What a client would find wrong with a directory and a -02 challenge."""
    seen = set()
    if "accountHashPrefix" not in meta:
        seen.add(Fault.NO_ACCOUNT_HASH_PREFIX)
    promised = meta.get("issuerDomainNames")
    if promised is None:
        seen.add(Fault.NO_DIRECTORY_ISSUERS)
    elif faults_of_names(promised):
        seen.add(Fault.MALFORMED_DIRECTORY_ISSUERS)
        promised = None
    if names is None:
        return seen | {Fault.ISSUERS_MISSING}
    if not isinstance(names, list):
        return seen | {Fault.ISSUERS_NOT_A_LIST}
    if promised is not None and not set(promised) <= set(names):
        seen.add(Fault.DIRECTORY_NAME_NOT_IN_CHALLENGE)
    malformed = faults_of_names(names)
    if not malformed and not set(names) <= set(meta["caaIdentities"]):
        seen.add(Fault.CHALLENGE_NAME_NOT_IN_CAA_IDENTITIES)
    return seen | malformed


def faults_of_names(names: list[str]) -> set[Fault]:
    found = {
        Fault.NO_ISSUERS: not names,
        Fault.ELEVEN_ISSUERS: len(names) > 10,
        Fault.UPPER_CASE_ISSUER: any(name != name.lower() for name in names),
        Fault.TRAILING_DOT_ISSUER: any(name.endswith(".") for name in names),
        Fault.OVER_LONG_ISSUER: any(len(name) > 253 for name in names),
        Fault.U_LABEL_ISSUER: not all(name.isascii() for name in names),
    }
    return {fault for fault, is_so in found.items() if is_so}


@pytest.mark.parametrize("fault", [None, *Fault])
def test_has_the_fault_that_it_was_told_to_have_and_no_other(
    ca: TestCa, fault: Fault | None
) -> None:
    ca.change(faults=[fault] if fault else [])
    acme = Client(ca)
    (challenge,) = acme.challenges(acme.order("example.com"))
    seen = faults_seen(directory(ca)["meta"], challenge.get("issuerDomainNames"))
    if fault is Fault.NO_ISSUERS:  # then what the directory promises is missing, too
        seen.remove(Fault.DIRECTORY_NAME_NOT_IN_CHALLENGE)
    assert seen == ({fault} if fault else set())


def test_offers_the_challenge_types_it_is_told_to_offer(ca: TestCa) -> None:
    acme = Client(ca)
    ca.change(challenges=["http-01", "dns-01"])
    (url,) = acme.order("example.com").body.authorizations
    assert [c["type"] for c in acme.fetch(url)["challenges"]] == ["http-01", "dns-01"]
    (url,) = acme.order("*.example.com").body.authorizations
    assert [c["type"] for c in acme.fetch(url)["challenges"]] == ["dns-01"]


# Issuance.


@pytest.mark.parametrize("draft", DRAFTS)
def test_issues_when_the_records_authorise(
    start_ca: StartCa, tiny_dns: TinyDns, draft: str
) -> None:
    ca = start_ca(draft=draft)
    acme = Client(ca)
    order = acme.order("example.com", "*.example.com", "www.example.net")
    tiny_dns.persist("example.com", ca.record_value("example.com", wildcard=True))
    tiny_dns.persist(
        "www.example.net", "other.example; nonsense", ca.record_value("www.example.net")
    )

    certificate = acme.issue(order)

    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [
        "example.com",
        "*.example.com",
        "www.example.net",
    ]
    assert [validation.outcome for validation in ca.validations] == ["valid"] * 3


def test_a_wildcard_authorization_says_so_and_names_the_base_domain(ca: TestCa) -> None:
    acme = Client(ca)
    exact, wildcard = map(
        acme.fetch, acme.order("example.com", "*.example.com").body.authorizations
    )
    assert exact["identifier"] == wildcard["identifier"] == {"type": "dns", "value": "example.com"}
    assert wildcard["wildcard"] is True
    assert "wildcard" not in exact


def test_dns_01_is_validated_as_well(ca: TestCa, tiny_dns: TinyDns) -> None:
    acme = Client(ca)
    order = acme.order("example.com")
    (authorization,) = order.authorizations
    challb = next(c for c in authorization.body.challenges if isinstance(c.chall, challenges.DNS01))
    tiny_dns.txt("_acme-challenge.example.com", "stale", challb.chall.validation(acme.key))
    acme.acme.answer_challenge(challb, challb.chall.response(acme.key))
    finished = acme.acme.poll_and_finalize(order, datetime.now() + timedelta(seconds=20))
    assert "BEGIN CERTIFICATE" in finished.fullchain_pem

    order = acme.order("example.net")
    tiny_dns.txt("_acme-challenge.example.net", "stale")
    assert error_of(acme.answered(acme.challenges(order, "dns-01")[0])) == "unauthorized"


def test_refuses_a_csr_for_other_names_and_one_before_time(ca: TestCa, tiny_dns: TinyDns) -> None:
    acme = Client(ca)
    order = acme.order("example.com")
    with pytest.raises(messages.Error) as refusal:
        acme.finalize(order)
    assert refusal.value.code == "orderNotReady"

    tiny_dns.persist("example.com", ca.record_value("example.com"))
    assert acme.answered(acme.challenges(order)[0])["status"] == "valid"
    other = order.update(csr_pem=acme.order("example.com", "example.net").csr_pem)
    with pytest.raises(messages.Error) as refusal:
        acme.finalize(other)
    assert refusal.value.code == "badCSR"


def test_a_certificate_is_revoked_once_by_its_account_and_by_no_other(
    ca: TestCa, tiny_dns: TinyDns
) -> None:
    acme = Client(ca)
    order = acme.order("example.com")
    tiny_dns.persist("example.com", ca.record_value("example.com"))
    certificate = acme.issue(order)
    der = josepy.encode_b64jose(certificate.public_bytes(serialization.Encoding.DER))
    text = json.dumps({"certificate": der, "reason": 1})

    revoke = acme.acme.directory["revokeCert"]
    with pytest.raises(messages.Error) as refusal:
        Client(ca).post(revoke, text)
    assert refusal.value.code == "unauthorized"
    assert acme.post(revoke, text).status_code == 200
    with pytest.raises(messages.Error) as refusal:
        acme.post(revoke, text)
    assert refusal.value.code == "alreadyRevoked"


# Records that authorise, and records that do not.


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("{good}", None),
        ("  {good}\t; policy=WildCard ", None),
        ("CA.Example; AccountURI = {uri}", None),
        ("ca.example.; accounturi={uri}", None),
        ("ca.example; x=1; x=2; accounturi={uri}; tag-1=", None),
        ("{good}; persistUntil=99999999999", None),
        ("{good}; policy=narrow", None),
        ("other.example; accounturi={uri}", "unauthorized"),
        ("; accounturi={uri}", "unauthorized"),
        ("not for us;;;", "unauthorized"),
        ("ca.example", "malformed"),
        ("ca.example;", "malformed"),
        ("ca.example; accounturi=", "malformed"),
        ("ca.example; policy=wildcard", "malformed"),
        ("{good};", "malformed"),
        ("ca.example;; accounturi={uri}", "malformed"),
        ("{good}; accounturi={uri}", "malformed"),
        ("{good}; policy=wildcard; Policy=wildcard", "malformed"),
        ("{good}; wildcard", "malformed"),
        ("{good}; =wildcard", "malformed"),
        ("{good}; under_score=1", "malformed"),
        ("{good} extra", "malformed"),
        ("{good}; x=ü", "malformed"),
        ("{good}; persistUntil=soon", "malformed"),
        ("{good}; persistUntil=+99999999999", "malformed"),
        ("{good}; persistUntil=9223372036854775808", "malformed"),
        ("{good}; persistUntil=", "malformed"),
        ("ca.example; accounturi={other_domain}; persistUntil=soon", "malformed"),
        ("{good}; persistUntil=1700000000", "unauthorized"),
        ("ca.example; accounturi={other_domain}", "unauthorized"),
        ("ca.example; accounturi={prefix}sha-256/NpDn", "malformed"),
        ("ca.example; accounturi={prefix}sha-256/{digest}=", "malformed"),
        ("ca.example; accounturi={prefix}sha-512/{digest}", "malformed"),
        ("ca.example; accounturi={prefix}SHA-256/{digest}", "malformed"),
        ("ca.example; accounturi={account_url}", "malformed"),
        ("ca.example; accounturi=https://elsewhere.example/sha-256/{digest}", "malformed"),
    ],
)
def test_judges_a_record_as_draft_02_says(
    ca: TestCa, tiny_dns: TinyDns, value: str, error: str | None
) -> None:
    acme = Client(ca)
    good = ca.record_value("example.com")
    uri = good.partition("=")[2]
    tiny_dns.persist(
        "example.com",
        value.format(
            good=good,
            uri=uri,
            other_domain=ca.record_value("example.net").partition("=")[2],
            prefix=ca.account_hash_prefix,
            digest=uri.rpartition("/")[2],
            account_url=acme.regr.uri,
        ),
    )
    challenge = acme.validate("example.com")
    assert (error_of(challenge) if error else challenge["status"]) == (error or "valid")


@pytest.mark.parametrize("draft", ["00", "01"])
@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("ca.example; accounturi={account_url}", None),
        ("ca.example; accounturi={account_url}/", "unauthorized"),
        ("ca.example; accounturi={account_url}; accounturi={account_url}", "malformed"),
        ("ca.example; accounturi={hashed}", "unauthorized"),
    ],
)
def test_judges_a_record_as_the_earlier_drafts_say(
    start_ca: StartCa, tiny_dns: TinyDns, draft: str, value: str, error: str | None
) -> None:
    ca = start_ca(draft=draft)
    acme = Client(ca)
    hashed = hashed_account_uri(
        ca.account_hash_prefix,
        domain="example.com",
        thumbprint=ca.accounts[0].thumbprint,
        account_url=acme.regr.uri,
    )
    tiny_dns.persist("example.com", value.format(account_url=acme.regr.uri, hashed=hashed))
    challenge = acme.validate("example.com")
    assert (error_of(challenge) if error else challenge["status"]) == (error or "valid")


def test_a_ca_in_transition_accepts_either_form_of_account_uri(
    start_ca: StartCa, tiny_dns: TinyDns
) -> None:
    ca = start_ca(draft="transition")
    acme = Client(ca)
    for value in (
        f"ca.example; accounturi={acme.regr.uri}",
        ca.record_value("example.com"),
        ca.record_value("example.com", shared=True),
    ):
        tiny_dns.persist("example.com", value)
        assert acme.validate("example.com")["status"] == "valid"
    tiny_dns.persist("example.com", f"ca.example; accounturi={acme.regr.uri}0")
    assert error_of(acme.validate("example.com")) == "unauthorized"


def test_the_hash_over_the_asterisk_serves_every_domain(ca: TestCa, tiny_dns: TinyDns) -> None:
    acme = Client(ca)
    shared = ca.record_value("anything.example", shared=True)
    for domain in ("example.com", "www.example.net"):
        tiny_dns.persist(domain, shared)
        assert acme.validate(domain)["status"] == "valid"


def test_draft_01_may_name_another_uri_for_the_account(
    start_ca: StartCa, tiny_dns: TinyDns
) -> None:
    ca = start_ca(draft="01", alternative_account_uri=True)
    acme = Client(ca)
    (challenge,) = acme.challenges(acme.order("example.com"))
    assert challenge["accounturi"] not in ("", acme.regr.uri)
    for uri in (challenge["accounturi"], acme.regr.uri):
        tiny_dns.persist("example.com", f"ca.example; accounturi={uri}")
        assert acme.validate("example.com")["status"] == "valid"


def test_a_wildcard_needs_the_policy(ca: TestCa, tiny_dns: TinyDns) -> None:
    acme = Client(ca)
    tiny_dns.persist("example.com", ca.record_value("example.com"))
    challenge = acme.validate("*.example.com")
    assert error_of(challenge) == "unauthorized"
    assert "policy=wildcard" in challenge["error"]["detail"]
    tiny_dns.persist("example.com", ca.record_value("example.com", wildcard=True))
    assert acme.validate("*.example.com")["status"] == "valid"


def test_the_first_record_that_authorises_counts_whatever_else_is_there(
    ca: TestCa, tiny_dns: TinyDns
) -> None:
    acme = Client(ca)
    good = ca.record_value("example.com")
    tiny_dns.persist("example.com", "v=spf1 -all", "ca.example;;", f"{good}x", good)
    assert acme.validate("example.com")["status"] == "valid"
    assert ca.validations[-1].detail == good


def test_without_a_record_the_error_names_the_place(ca: TestCa) -> None:
    challenge = Client(ca).validate("example.com")
    assert error_of(challenge) == "unauthorized"
    assert "_validation-persist.example.com" in challenge["error"]["detail"]


def test_a_failing_dns_server_is_a_dns_error(ca: TestCa, tiny_dns: TinyDns) -> None:
    acme = Client(ca)
    tiny_dns.failing.add("_validation-persist.example.com")
    assert error_of(acme.validate("example.com")) == "dns"


def test_follows_aliases(ca: TestCa, tiny_dns: TinyDns) -> None:
    acme = Client(ca)
    tiny_dns.add("_validation-persist.example.com", "CNAME", "one.example.net.")
    tiny_dns.add("one.example.net", "CNAME", "two.example.org.")
    tiny_dns.txt("two.example.org", ca.record_value("example.com"))
    assert acme.validate("example.com")["status"] == "valid"


@pytest.mark.parametrize("draft", ["01", "transition"])
def test_account_urls_can_be_too_long_for_one_string(
    start_ca: StartCa, tiny_dns: TinyDns, draft: str
) -> None:
    ca = start_ca(draft=draft, account_url_length=300)
    acme = Client(ca)
    assert len(acme.regr.uri) == 300
    tiny_dns.persist("example.com", f"ca.example; accounturi={acme.regr.uri}")
    published: Any = tiny_dns.answers["_validation-persist.example.com", "TXT"][0]
    assert len(published.strings) == 2
    assert acme.validate("example.com")["status"] == "valid"


# Time.


def test_persist_until_ends_with_its_second(start_ca: StartCa, tiny_dns: TinyDns) -> None:
    ca = start_ca()
    acme = Client(ca)
    until = int(time.time()) + 3600
    tiny_dns.persist("example.com", ca.record_value("example.com", persist_until=until))
    assert acme.validate("example.com")["status"] == "valid"
    ca.change(clock_offset=timedelta(seconds=3602))
    challenge = acme.validate("example.com")
    assert error_of(challenge) == "unauthorized"
    assert f"persistUntil {until}" in challenge["error"]["detail"]


@pytest.mark.parametrize(("draft", "capped"), [("02", True), ("transition", True), ("01", False)])
def test_draft_02_ends_the_authorization_with_persist_until(
    start_ca: StartCa, tiny_dns: TinyDns, draft: str, capped: bool
) -> None:
    ca = start_ca(draft=draft)
    acme = Client(ca)
    until = int(time.time()) + 3600
    order = acme.order("example.com")
    tiny_dns.persist("example.com", ca.record_value("example.com", persist_until=until))
    acme.answered(acme.challenges(order)[0])
    expires = acme.fetch(order.body.authorizations[0])["expires"]
    assert (datetime.fromisoformat(expires.replace("Z", "+00:00")).timestamp() == until) is capped

    ca.change(clock_offset=timedelta(hours=2))
    assert acme.fetch(order.uri)["status"] == ("invalid" if capped else "ready")


@pytest.mark.parametrize(("draft", "ttl", "asks"), [("02", 0, 1), ("01", 300, 1), ("01", 0, 2)])
def test_reuses_an_authorization_as_long_as_the_draft_allows(
    start_ca: StartCa, tiny_dns: TinyDns, draft: str, ttl: int, asks: int
) -> None:
    ca = start_ca(draft=draft, authorization_reuse=True)
    acme = Client(ca)
    tiny_dns.ttl = ttl
    tiny_dns.persist("example.com", ca.record_value("example.com"))
    for _ in range(2):
        order = acme.order("example.com")
        pending = [c for c in acme.challenges(order) if c["status"] == "pending"]
        for challenge in pending:
            acme.answered(challenge)
    assert len(ca.validations) == asks
    ca.change(authorization_reuse=False)
    assert acme.challenges(acme.order("example.com"))[0]["status"] == "pending"


# Just-in-time validation.


@pytest.mark.parametrize("draft", DRAFTS)
def test_just_in_time_an_authorised_name_is_valid_from_the_start(
    start_ca: StartCa, tiny_dns: TinyDns, draft: str
) -> None:
    ca = start_ca(draft=draft, jit=True)
    acme = Client(ca)
    tiny_dns.persist("example.com", ca.record_value("example.com"))
    order = acme.order("example.com", "example.net")
    valid, pending = map(acme.fetch, order.body.authorizations)
    assert (valid["status"], pending["status"]) == ("valid", "pending")
    assert [c["status"] for c in pending["challenges"]] == ["pending", "pending"]
    assert [(v.domain, v.jit) for v in ca.validations if v.outcome == "valid"] == [
        ("example.com", True)
    ]
    assert acme.fetch(acme.order("example.com").uri)["status"] == "ready"


# Accounts.


@pytest.mark.parametrize(
    ("draft", "retention", "status"),
    [("02", True, "valid"), ("02", False, "invalid"), ("01", False, "valid")],
)
def test_records_outlive_a_key_rollover(
    start_ca: StartCa, tiny_dns: TinyDns, draft: str, retention: bool, status: str
) -> None:
    ca = start_ca(draft=draft, key_retention=retention)
    acme = Client(ca)
    tiny_dns.persist("example.com", ca.record_value("example.com"))
    key = new_key()
    roll_over(acme.key, key, acme.regr, ca.directory_url, ca.root_certificate)

    rolled = Client(ca, key)
    assert rolled.regr.uri == acme.regr.uri
    assert rolled.validate("example.com")["status"] == status
    tiny_dns.persist("example.com", ca.record_value("example.com"))
    assert rolled.validate("example.com")["status"] == "valid"
    with pytest.raises(messages.Error):
        acme.order("example.com")


def test_a_key_of_another_account_is_refused_at_rollover(ca: TestCa) -> None:
    one, other = Client(ca), Client(ca)
    with pytest.raises((messages.Error, errors.ConflictError)):
        roll_over(one.key, other.key, one.regr, ca.directory_url, ca.root_certificate)
    assert [len(account.keys) for account in ca.accounts] == [1, 1]


@pytest.mark.parametrize("rename", [False, True])
def test_rolls_over_the_key_of_an_account_that_certbot_keeps(
    ca: TestCa, tmp_path: Path, rename: bool
) -> None:
    acme = Client(ca)
    kept = tmp_path / "0123"
    kept.mkdir()
    (kept / "regr.json").write_text(
        messages.RegistrationResource(uri=acme.regr.uri, body=messages.Registration()).json_dumps()
    )
    key_file = kept / "private_key.json"
    key_file.write_text(acme.key.json_dumps())
    key_file.chmod(0o400)

    moved = roll_over_certbot_account(kept, ca.directory_url, ca.root_certificate, rename=rename)

    assert (moved == kept) is not rename
    new = josepy.JWK.json_loads((moved / "private_key.json").read_text())
    assert Client(ca, new).regr.uri == acme.regr.uri
    assert [key.thumbprint for key in ca.accounts[0].keys] == [
        josepy.encode_b64jose(key.thumbprint(hashes.SHA256)) for key in (new, acme.key)
    ]


class Bound:
    """What a client sends to newAccount, with a binding that a test may spoil."""

    def __init__(self, ca: TestCa, kid: str, mac_key: str, **changes: Any) -> None:
        self.ca, self.key = ca, new_key()
        self.net = client.ClientNetwork(self.key, user_agent="test")
        self.net.verify_ssl = str(ca.root_certificate)  # type: ignore[assignment]
        self.directory = client.ClientV2.get_directory(ca.directory_url, self.net)
        public = changes.get("account_key", self.key).public_key()
        self.binding: Any = messages.ExternalAccountBinding.from_data(
            public, kid, mac_key, self.directory, changes.get("hmac_alg", "HS256")
        )

    def register(self) -> messages.RegistrationResource:
        new = messages.NewRegistration.from_data(
            email="a@example.com",
            terms_of_service_agreed=True,
            external_account_binding=self.binding,
        )
        return client.ClientV2(self.directory, self.net).new_account(new)


def test_an_account_is_bound_to_an_external_one_where_that_is_required(start_ca: StartCa) -> None:
    ca = start_ca(**GOOGLE)
    ((kid, mac_key),) = GOOGLE["external_accounts"].items()
    attempts: list[tuple[str, Callable[[], object]]] = [
        ("externalAccountRequired", lambda: Client(ca)),
        ("unauthorized", lambda: Bound(ca, "external-2", mac_key).register()),
        ("unauthorized", lambda: Bound(ca, kid, josepy.encode_b64jose(b"another")).register()),
        ("malformed", lambda: Bound(ca, kid, mac_key, account_key=new_key()).register()),
    ]
    for code, attempt in attempts:
        with pytest.raises(messages.Error) as refusal:
            attempt()
        assert refusal.value.code == code
    assert not ca.accounts

    assert Bound(ca, kid, mac_key).register().uri == ca.accounts[0].url
    assert ca.accounts[0].external_account == kid
    with pytest.raises(messages.Error, match="is bound to an account already"):
        Bound(ca, kid, mac_key).register()


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
def test_a_binding_may_have_any_mac(start_ca: StartCa, alg: str) -> None:
    ca = start_ca(**GOOGLE)
    ((kid, mac_key),) = GOOGLE["external_accounts"].items()
    Bound(ca, kid, mac_key, hmac_alg=alg).register()
    assert len(ca.accounts) == 1


def test_a_deactivated_account_gets_nothing_any_more(ca: TestCa, tiny_dns: TinyDns) -> None:
    acme = Client(ca)
    tiny_dns.persist("example.com", ca.record_value("example.com"))
    order = acme.order("example.com")
    acme.acme.deactivate_registration(acme.regr)
    for refused in (lambda: acme.fetch(order.uri), lambda: Client(ca, acme.key)):
        with pytest.raises(messages.Error) as refusal:
            refused()
        assert refusal.value.code == "unauthorized"


def test_a_deactivation_counts_also_for_a_validation_that_runs_already(
    ca: TestCa, tiny_dns: TinyDns
) -> None:
    acme = Client(ca)
    tiny_dns.persist("example.com", ca.record_value("example.com"))
    (challenge,) = acme.challenges(acme.order("example.com"))
    with tiny_dns.holding():  # the CA is waiting for DNS, and will read a perfect record
        acme.post(challenge["url"], "{}")
        acme.acme.deactivate_registration(acme.regr)
    wait_until(lambda: ca.validations)
    assert ca.validations[0].outcome == "unauthorized"


def test_accounts_are_found_by_key_only_when_asked_so(ca: TestCa) -> None:
    acme = Client(ca)
    url = acme.acme.directory["newAccount"]
    response = signed(acme, url, '{"onlyReturnExisting": true}', key=acme.key)
    assert (response.status_code, response.headers["Location"]) == (200, acme.regr.uri)
    response = signed(acme, url, '{"onlyReturnExisting": true}', key=new_key())
    assert problem_of(response) == "accountDoesNotExist"


def test_terms_of_service_must_be_agreed_to(start_ca: StartCa) -> None:
    ca = start_ca(terms_of_service="https://ca.example/terms")
    acme = Client(ca)
    assert directory(ca)["meta"]["termsOfService"] == "https://ca.example/terms"
    response = signed(acme, acme.acme.directory["newAccount"], "{}", key=new_key())
    assert problem_of(response) == "userActionRequired"


# CAA.


@pytest.mark.parametrize(
    ("at", "properties", "domain", "allowed"),
    [
        ("example.com", ['0 issue "ca.example"'], "www.example.com", True),
        ("example.com", ['0 issue "other.example"'], "www.example.com", False),
        ("example.com", ['0 issue ";"'], "example.com", False),
        ("example.com", ['0 issue ";"', '0 issue "ca.example"'], "example.com", True),
        ("example.com", ['0 iodef "mailto:a@example.com"'], "example.com", True),
        ("example.com", ['128 future "x"', '0 issue "ca.example"'], "example.com", False),
        ("example.com", ['0 issue "ca.example"', '0 issuewild ";"'], "*.example.com", False),
        ("example.com", ['0 issue ";"', '0 issuewild "ca.example"'], "*.example.com", True),
        ("example.com", ['0 issue "ca.example; accounturi={}"'], "example.com", True),
        ("example.com", ['0 issue "ca.example; accounturi={}0"'], "example.com", False),
        ("example.com", ['0 issue "ca.example; validationmethods=dns-01"'], "example.com", False),
        (
            "example.com",
            ['0 issue "ca.example; validationmethods=dns-01,dns-persist-01"'],
            "example.com",
            True,
        ),
        (
            "example.com",
            ['0 issue "ca.example; accounturi={}; accounturi={}"'],
            "example.com",
            False,
        ),
        ("example.com", ['0 issue "ca.example; policy"'], "example.com", False),
    ],
)
def test_obeys_caa_when_told_to(
    start_ca: StartCa,
    tiny_dns: TinyDns,
    at: str,
    properties: list[str],
    domain: str,
    allowed: bool,
) -> None:
    ca = start_ca(check_caa=True)
    acme = Client(ca)
    base = domain.removeprefix("*.")
    tiny_dns.persist(base, ca.record_value(base, wildcard=True))
    tiny_dns.add(at, "CAA", *(text.replace("{}", acme.regr.uri) for text in properties))
    order = acme.order(domain)
    (challenge,) = (acme.answered(challenge) for challenge in acme.challenges(order))
    assert (challenge["status"] == "valid") is allowed
    if allowed:
        acme.finalize(order)
        tiny_dns.add(at, "CAA", '0 issue ";"')
        ca.change(authorization_reuse=True)
        with pytest.raises(messages.Error) as refusal:
            acme.finalize(acme.order(domain))
        assert refusal.value.code == "caa"
    else:
        assert error_of(challenge) == "caa"
        ca.change(check_caa=False)
        assert acme.validate(domain)["status"] == "valid"


# RFC 8555.


def test_looking_at_a_challenge_does_not_start_it(ca: TestCa, tiny_dns: TinyDns) -> None:
    acme = Client(ca)
    tiny_dns.persist("example.com", ca.record_value("example.com"))
    order = acme.order("example.com")
    (challenge,) = acme.challenges(order)
    response = acme.net.post(challenge["url"], None, new_nonce_url=acme.acme.directory["newNonce"])
    assert response.json()["status"] == "pending"
    assert response.links["up"]["url"] == order.body.authorizations[0]
    assert ca.requests[-1].payload == ""
    assert ca.validations == []

    assert acme.answered(challenge)["status"] == "valid"
    assert [(v.type, v.outcome) for v in ca.validations] == [("dns-persist-01", "valid")]


@pytest.mark.parametrize(
    "text", ['{"type": "dns-persist-01"}', '{"keyAuthorization": "x"}', "[]", '""', "{"]
)
def test_the_response_to_the_challenge_is_an_empty_object_and_nothing_else(
    ca: TestCa, text: str
) -> None:
    acme = Client(ca)
    (challenge,) = acme.challenges(acme.order("example.com"))
    with pytest.raises(messages.Error) as refusal:
        acme.post(challenge["url"], text)
    assert refusal.value.code == "malformed"
    assert acme.fetch(challenge["url"])["status"] == "pending"


def signed(
    acme: Client,
    url: str,
    text: str,
    *,
    key: josepy.JWK | None = None,
    nonce: str | None = None,
    said_url: str | None = None,
    **headers: str,
) -> Any:
    """A POST as one wishes: with the account's kid, or with a key's jwk."""
    if nonce is None:
        nonce = acme.net.head(acme.acme.directory["newNonce"]).headers["Replay-Nonce"]
    body = jws.JWS.sign(
        text.encode(),
        key=key or acme.key,
        alg=josepy.RS256,
        nonce=josepy.decode_b64jose(nonce),
        url=said_url or url,
        kid=None if key else acme.regr.uri,
    ).json_dumps()
    return acme.net.session.post(
        url,
        data=body.encode(),
        verify=str(acme.ca.root_certificate),
        headers={"Content-Type": "application/jose+json", **headers},
    )


def problem_of(response: Any) -> str:
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["Replay-Nonce"]
    return str(response.json()["type"]).removeprefix("urn:ietf:params:acme:error:")


def test_insists_on_how_requests_are_signed(ca: TestCa) -> None:
    acme = Client(ca)
    nonce = acme.net.head(acme.acme.directory["newNonce"]).headers["Replay-Nonce"]
    account = acme.regr.uri
    assert signed(acme, account, "", nonce=nonce).status_code == 200
    again = signed(acme, account, "", nonce=nonce)
    assert (again.status_code, problem_of(again)) == (400, "badNonce")
    assert problem_of(signed(acme, account, "", nonce="AAAA")) == "badNonce"
    assert problem_of(signed(acme, account, "", said_url=ca.base_url + "/other")) == "unauthorized"
    assert problem_of(signed(acme, account, "", key=acme.key)) == "malformed"
    assert problem_of(signed(acme, ca.base_url + "/new-account", "{}")) == "malformed"
    assert problem_of(signed(acme, ca.base_url + "/nowhere", "")) == "malformed"
    header: Any = {"Content-Type": "application/json"}
    wrong_type = signed(acme, account, "", **header)
    assert (wrong_type.status_code, problem_of(wrong_type)) == (415, "malformed")
    header = {"User-Agent": ""}
    assert problem_of(signed(acme, account, "", **header)) == "malformed"
    assert problem_of(signed(acme, acme.order("a.example").uri, "{}")) == "malformed"
    got = acme.net.session.get(account, verify=str(ca.root_certificate))
    assert (got.status_code, got.headers["Allow"]) == (405, "POST")
    stranger = Client(ca)
    assert problem_of(signed(stranger, acme.order("a.example").uri, "")) == "unauthorized"


@pytest.mark.parametrize(
    ("identifiers", "error"),
    [
        ([], "malformed"),
        ([{"type": "ip", "value": "127.0.0.1"}], "unsupportedIdentifier"),
        ([{"type": "dns", "value": "127.0.0.1"}], "rejectedIdentifier"),
        ([{"type": "dns", "value": "a.*.example"}], "rejectedIdentifier"),
        ([{"type": "dns", "value": "bücher.example"}], "rejectedIdentifier"),
        ([{"type": "dns", "value": "a.example."}], "rejectedIdentifier"),
    ],
)
def test_refuses_identifiers_that_are_no_domain_names(
    ca: TestCa, identifiers: list[dict[str, str]], error: str
) -> None:
    acme = Client(ca)
    with pytest.raises(messages.Error) as refusal:
        acme.post(acme.acme.directory["newOrder"], json.dumps({"identifiers": identifiers}))
    assert refusal.value.code == error


# The server as such.


def test_leaves_no_thread_and_no_file_behind(tiny_dns: TinyDns) -> None:
    before = threading.active_count()
    with TestCa(dns=tiny_dns.address) as ca:
        acme = Client(ca)  # its connection stays open
        acme.validate("example.com")
    wait_until(lambda: threading.active_count() == before)  # the DNS server's may end later
    assert not ca.root_certificate.parent.exists()


def test_runs_as_a_program(tiny_dns: TinyDns) -> None:
    host, port = tiny_dns.address
    command = [sys.executable, "-m", "tests.support.acme_ca"]
    process = subprocess.Popen(
        [*command, "--dns", f"{host}:{port}", "--draft", "01", "--issuer", "a.example", "--jit"],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        context = ssl.create_default_context(cafile=ready["root_certificate"])
        with urllib.request.urlopen(ready["directory_url"], context=context) as response:  # noqa: S310
            assert json.load(response)["meta"] == {"caaIdentities": ["a.example"]}
        process.terminate()
    assert process.returncode == 0
    assert not Path(ready["root_certificate"]).exists()
