"""Whether a CA offers the challenge, told without an order."""

import re

import pytest

from certbot_dns_persist.ca.directory import parse_meta
from certbot_dns_persist.ca.offer import Answer, Source, known_cas, offer_of
from certbot_dns_persist.ca.terms import Terms

GOOGLE = "https://dv.acme-v02.api.pki.goog/directory"
LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
IN_HOUSE = "https://ca.example/acme/directory"

PLAIN = parse_meta(IN_HOUSE, {"caaIdentities": ["ca.example"]})
HASHING = parse_meta(IN_HOUSE, {"accountHashPrefix": "https://ca.example/"})


def test_what_the_list_knows_is_told_with_its_month() -> None:
    offer = offer_of(GOOGLE)
    assert (offer.answer, offer.source, offer.draft) == (Answer.YES, Source.LIST, "-00")
    assert offer.in_words == (
        f"Google Trust Services ({GOOGLE}) offered dns-persist-01 in the form of draft -00 as of "
        "2026-11."
    )
    offer = offer_of(LETS_ENCRYPT)
    assert (offer.answer, offer.source, offer.draft) == (Answer.NO, Source.LIST, None)
    assert offer.in_words == (
        f"Let's Encrypt ({LETS_ENCRYPT}) did not offer dns-persist-01 as of 2026-11."
    )


def test_a_directory_of_draft_02_says_it() -> None:
    for directory in (HASHING, parse_meta(IN_HOUSE, {"issuerDomainNames": ["ca.example"]})):
        offer = offer_of(IN_HOUSE, directory=directory)
        assert (offer.answer, offer.source) == (Answer.YES, Source.DIRECTORY)
        assert offer.in_words == (
            f"{IN_HOUSE} offers dns-persist-01 in the form of draft -02, as its directory says."
        )


def test_other_directories_do_not_say_it() -> None:
    offer = offer_of(IN_HOUSE, directory=PLAIN)
    assert (offer.answer, offer.source) == (Answer.UNKNOWN, Source.NOBODY)
    assert offer.in_words == f"Whether {IN_HOUSE} offers dns-persist-01 is unknown before an order."
    assert offer_of(GOOGLE, directory=PLAIN).source is Source.LIST


@pytest.mark.parametrize(
    ("terms", "draft"),
    [
        (Terms(("ca.example",), "https://ca.example/1"), None),
        (Terms(("ca.example",), None, "https://ca.example/"), "-02"),
        (Terms(("ca.example",), "https://ca.example/1", "https://ca.example/"), None),
    ],
)
def test_an_earlier_order_outweighs_the_list(terms: Terms, draft: str | None) -> None:
    offer = offer_of(LETS_ENCRYPT, directory=PLAIN, noted=terms)
    assert (offer.answer, offer.source, offer.draft) == (Answer.YES, Source.NOTES, draft)
    assert offer.known
    assert "offers dns-persist-01" in offer.in_words
    assert offer.in_words.endswith("as it did in an earlier order.")


@pytest.mark.parametrize(
    "url",
    [
        "https://DV.acme-v02.api.pki.goog/directory",
        "https://dv.acme-v02.api.pki.goog/directory/",
    ],
)
def test_a_ca_is_known_however_its_url_is_written(url: str) -> None:
    assert offer_of(url).answer is Answer.YES


def test_the_list_is_complete_and_has_no_ca_twice() -> None:
    known = known_cas()
    assert len({ca.directory for ca in known}) == len(known) > 0
    for ca in known:
        assert ca.directory.startswith("https://")
        assert re.fullmatch(r"20\d\d-[01]\d", ca.as_of)
        assert (ca.draft in ("-00", "-01", "-02")) == ca.offers
