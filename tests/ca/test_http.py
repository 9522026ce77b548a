"""Whatever a CA sends, we wait and read only so much; the servers are real sockets."""

import contextlib
import gzip
import itertools
import socket
import time
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from josepy.jwk import JWKRSA
from support.acme_ca import TestCa
from support.raw_http import HEAD, Answer, dripping, serving, whole

from certbot_dns_persist.account import Account
from certbot_dns_persist.ca import http
from certbot_dns_persist.ca.account_status import require_valid_account
from certbot_dns_persist.ca.authorization import fetch_authorization
from certbot_dns_persist.ca.directory import fetch_directory
from certbot_dns_persist.errors import DirectoryError

DRIPPING = [
    pytest.param(dripping(HEAD + b"Content-Length: 1000000\r\n\r\n", b" "), id="body"),
    pytest.param(dripping(HEAD + b"X: ", b"x"), id="header"),
    pytest.param(dripping(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1"), id="chunk"),
]


def fault(url: str) -> str:
    with pytest.raises(DirectoryError) as caught:
        fetch_directory(url)
    return str(caught.value)


@pytest.fixture
def little_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "SECONDS", 0.5)


@pytest.mark.parametrize("answer", DRIPPING)
def test_a_directory_that_comes_an_octet_at_a_time_is_waited_for_no_longer(
    answer: Answer, little_time: None
) -> None:
    began = time.monotonic()
    with serving(answer) as url:
        assert "there was no complete answer within 0.5 seconds" in fault(url)
    assert time.monotonic() - began < 5  # and not the ten seconds that the server goes on


def test_an_address_that_does_not_answer_leaves_time_for_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http, "CONNECT_SECONDS", 0.3)
    with serving(whole(b"{}")) as url, contextlib.ExitStack() as busy:
        port = int(url.split(":")[2].split("/")[0])
        deaf = busy.enter_context(socket.socket())
        deaf.bind(("127.0.0.2", port))
        deaf.listen(0)
        for _ in range(4):  # what is beyond a full queue is dropped, as by a broken IPv6
            client = busy.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(deaf.getsockname())
        known = socket.getaddrinfo

        def both(*args: Any, **options: Any) -> Any:
            found = known(*args, **options)
            return [(*entry[:4], deaf.getsockname()) for entry in found] + [*found]

        monkeypatch.setattr(socket, "getaddrinfo", both)
        assert fetch_directory(url).url == url


@pytest.mark.parametrize("answer", DRIPPING[:1])
def test_so_it_is_with_accounts_and_authorizations(answer: Answer, little_time: None) -> None:
    key = JWKRSA(key=rsa.generate_private_key(public_exponent=65537, key_size=2048))
    began = time.monotonic()
    with serving(answer) as url:
        with pytest.raises(DirectoryError, match=r"no complete answer within 0\.5 seconds"):
            require_valid_account(key, f"{url}/1", url, verify=True)

        class Challenge:
            account_key = key

            class challb:
                uri = url

        with pytest.raises(DirectoryError, match=r"no complete answer within 0\.5 seconds"):
            fetch_authorization(Challenge, Account(f"{url}/1", ""), url, verify=True)
    assert time.monotonic() - began < 8


def test_an_answer_that_has_too_many_octets_is_not_read_to_its_end() -> None:
    sent = itertools.count()

    def endless(client: socket.socket) -> None:
        client.sendall(HEAD + b"\r\n")
        for _ in range(100):
            client.sendall(b" " * http.MOST_OCTETS)
            next(sent)

    with serving(endless) as url:
        assert f"more than the {http.MOST_OCTETS} octets" in fault(url)
    assert next(sent) < 20


def test_a_small_answer_that_is_huge_once_decompressed_is_refused() -> None:
    bomb = gzip.compress(b" " * (http.MOST_OCTETS * 8))
    assert len(bomb) < 20_000
    with serving(whole(bomb, b"Content-Encoding: gzip")) as url:
        assert f"more than the {http.MOST_OCTETS} octets" in fault(url)


def test_what_is_compressed_unasked_is_read_if_it_is_small() -> None:
    body = gzip.compress(b'{"meta": {"caaIdentities": ["ca.example"]}}')
    with serving(whole(body, b"Content-Encoding: gzip")) as url:
        assert fetch_directory(url).caa_identities == ("ca.example",)
    with serving(whole(body, b"Content-Encoding: br")) as url:
        assert "Content-Encoding 'br', which was not asked for" in fault(url)
    with serving(whole(b"no gzip", b"Content-Encoding: gzip")) as url:
        assert "cannot be read: " in fault(url)


def test_redirects_without_end_are_followed_only_so_often() -> None:
    asked = itertools.count()

    def elsewhere(client: socket.socket) -> None:
        next(asked)
        client.sendall(
            b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n"
            b"Connection: close\r\n\r\n"
        )

    with serving(elsewhere) as url:
        assert f"Exceeded {http.MOST_REDIRECTS} redirects" in fault(url)
    assert next(asked) == http.MOST_REDIRECTS + 1


def test_an_answer_that_ends_too_early_is_told() -> None:
    with serving(lambda client: client.sendall(HEAD + b"Content-Length: 9\r\n\r\n{}")) as url:
        assert "cannot be read: " in fault(url)


def test_json_that_nests_too_deep_is_no_directory() -> None:
    with serving(whole(b"[" * 100_000)) as url:
        assert "cannot be read: " in fault(url)


@pytest.mark.parametrize(
    ("identities", "names", "comparable"),
    [
        ('["CA.Example.", "two.example"]', ("ca.example", "two.example"), True),
        ("[]", (), True),
        ('[""]', (), False),
        ('["ca.example; x=y"]', (), False),
        (
            '["CA.Example.", "", 7, null, "two.example", "three.example; x=y"]',
            ("ca.example", "two.example"),
            False,
        ),
        (r'["b\u00fccher.example"]', ("xn--bcher-kva.example",), False),
        ('"ca.example"', None, True),
    ],
)
def test_identities_that_are_no_names_do_not_count_and_leave_nothing_to_compare_with(
    identities: str, names: tuple[str, ...] | None, comparable: bool
) -> None:
    body = f'{{"meta": {{"caaIdentities": {identities}}}}}'.encode()
    with serving(whole(body)) as url:
        found = fetch_directory(url)
    assert (found.caa_identities, found.comparable) == (names, comparable)


def test_what_the_work_raises_is_raised() -> None:
    def work() -> None:
        raise requests.ConnectionError("no route")

    with pytest.raises(requests.ConnectionError, match="no route"):
        http.within(5, work)


# What a person reads of it


def test_of_a_failed_connection_only_the_cause_is_told() -> None:
    nobody = "https://127.0.0.1:9/directory"
    assert fault(nobody) == f"The CA's directory {nobody} cannot be read: Connection refused"
    key = JWKRSA(key=rsa.generate_private_key(public_exponent=65537, key_size=2048))
    with pytest.raises(DirectoryError) as caught:
        require_valid_account(key, "https://127.0.0.1:9/1", nobody, verify=True)
    assert f"the CA at {nobody} does not answer as it should: Connection refused. Run the" in (
        str(caught.value)
    )


def test_of_a_server_that_hangs_up_or_that_nobody_trusts_only_the_cause_is_told() -> None:
    with serving(lambda client: None) as url:
        assert fault(url) == (
            f"The CA's directory {url} cannot be read: Remote end closed connection without "
            "response"
        )
    with TestCa(dns=("127.0.0.1", 9)) as ca:
        said = fault(ca.directory_url)
    start = f"The CA's directory {ca.directory_url} cannot be read: certificate verify failed: "
    assert said.startswith(start)
    assert "Pool" not in said
