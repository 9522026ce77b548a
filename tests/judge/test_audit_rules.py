"""What is said of records that stand at our names, judged without DNS."""

import dataclasses

import pytest

from certbot_dns_persist.account import Account, hashed_account_uri
from certbot_dns_persist.ca.terms import Terms
from certbot_dns_persist.errors import ConfigurationError
from certbot_dns_persist.journal.notes import PublishedRecord
from certbot_dns_persist.judge.audit import (
    Known,
    Noted,
    not_needed,
    notices,
    obsolete_notices,
)
from certbot_dns_persist.judge.checkup import Checked
from certbot_dns_persist.judge.diagnosis import diagnose
from certbot_dns_persist.judge.notice import Notice
from certbot_dns_persist.judge.standing import Standing
from certbot_dns_persist.lookup.found import Found, Inspection, ServerAnswer
from certbot_dns_persist.options import options_of
from certbot_dns_persist.request.declared import declared_account
from certbot_dns_persist.request.known_accounts import (
    KnownAccount,
    KnownAccounts,
)
from certbot_dns_persist.request.request import ValidationRequest, make_request
from certbot_dns_persist.request.subjects import Subject

AT = 1_800_000_000
URL = "https://ca.example/acct/1"
KEY = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
OTHER_KEY = "4TLpAkYpEqSGBWPQZJkbRBA4NfGoHZ-VvBmYh1MmPXo"
SERVER = "https://ca.example/directory"
NAME = "_validation-persist.example.com"
OURS = f"ca.example; accounturi={URL}"
STRANGER = "ca.example; accounturi=https://ca.example/acct/666"
NOBODY = Known(KnownAccounts([]), None)


def request(*, wildcard: bool = False, terms: Terms | None = None) -> ValidationRequest:
    return make_request(
        "example.com",
        wildcard=wildcard,
        shared=False,
        terms=terms or Terms(("ca.example",), URL),
        account=Account(URL, KEY),
        earlier_keys=lambda: [],
        server=SERVER,
    )


def checked(*values: str, of: ValidationRequest | None = None, end_of_chain: str = NAME) -> Checked:
    asked = of or request()
    found = Found(
        NAME, end_of_chain, "example.com", (ServerAnswer("ns1.example", "192.0.2.53", values),)
    )
    standing = Standing(asked, found, AT)
    diagnosis = diagnose(standing, Inspection("example.com", found, bogus=False), warn_days=30)
    return Checked(Subject(asked, options_of({}, {})), standing, diagnosis)


def noted(value: str, **changes: object) -> PublishedRecord:
    record = PublishedRecord(
        name=NAME,
        value=value,
        ttl=300,
        provider="rfc2136",
        zone="example.com",
        server=SERVER,
        account_url=URL,
        domain="example.com",
        persist_until=None,
        first_published="2026-11-01T00:00:00Z",
        last_changed="2026-11-02T00:00:00Z",
    )
    return dataclasses.replace(record, **changes)  # type: ignore[arg-type]


def known(*accounts: KnownAccount, records: list[PublishedRecord] | None = None) -> Known:
    return Known(KnownAccounts(accounts), None if records is None else Noted.all(records))


def only(told: tuple[Notice, ...]) -> Notice:
    (notice,) = told
    return notice


def test_of_what_is_needed_and_nothing_else_there_is_nothing_to_say() -> None:
    assert notices(checked(OURS), known(records=[noted(OURS)])) == ()
    assert notices(checked(OURS), NOBODY) == ()


def test_an_unknown_account_at_our_ca_is_critical_with_what_it_permits_and_what_to_do() -> None:
    audited = checked(OURS, f"{STRANGER}; policy=wildcard; persistUntil={AT + 86400}")
    notice = only(notices(audited, NOBODY))

    assert (notice.kind, notice.severity, notice.name) == ("unknown-account", "critical", NAME)
    assert notice.value is not None
    assert notice.value in notice.reason
    for said in (
        "example.com, *.example.com and every name below",
        "until 2027-01-16T08:00:00Z",
        "holds that account's key",
        f"remove exactly this TXT value at {NAME} now",
        "--known-account https://ca.example/acct/666",
    ):
        assert said in notice.reason


def test_without_policy_and_end_it_permits_the_name_alone_and_for_ever() -> None:
    notice = only(notices(checked(STRANGER), NOBODY))
    assert "certificates for example.com, without a time limit." in notice.reason


def test_at_the_end_of_an_alias_it_permits_what_shares_the_name_too() -> None:
    notice = only(notices(checked(STRANGER, end_of_chain="shared.example.net"), NOBODY))
    assert "every domain whose validation name is an alias" in notice.reason
    assert "at shared.example.net" in notice.reason


def test_an_unknown_account_whose_record_has_ended_is_a_warning() -> None:
    notice = only(notices(checked(f"{STRANGER}; persistUntil={AT - 1}"), NOBODY))
    assert (notice.kind, notice.severity) == ("expired", "warning")


def test_a_record_for_another_ca_is_critical_unless_its_account_is_known() -> None:
    value = "other.example; accounturi=https://other.example/acct/7"
    notice = only(notices(checked(OURS, value), NOBODY))
    assert (notice.kind, notice.severity) == ("other-ca", "critical")
    assert "unknown account at other.example, a CA that is not used here" in notice.reason

    whose = declared_account("https://other.example/acct/7")
    notice = only(notices(checked(OURS, value), known(whose)))
    assert (notice.kind, notice.severity) == ("known-account", "ok")
    assert "other.example" in notice.reason

    notice = only(notices(checked(f"{value}; persistUntil={AT - 1}"), NOBODY))
    assert (notice.kind, notice.severity) == ("expired", "warning")


def test_another_account_of_this_machine_is_a_remark() -> None:
    machine = KnownAccount("https://ca.example/acct/666", "the account abc of this machine at X")
    notice = only(notices(checked(STRANGER), known(machine)))
    assert (notice.kind, notice.severity) == ("other-account", "ok")
    assert "the account abc of this machine at X" in notice.reason


@pytest.mark.parametrize("domain", ["example.com", "*"])
def test_hashed_account_uris_are_told_by_the_accounts_and_their_keys(domain: str) -> None:
    url = "https://ca.example/acct/2"
    uri = hashed_account_uri("acme:any-prefix/", domain=domain, thumbprint=KEY, account_url=url)
    audited = checked(f"ca.example; accounturi={uri}")

    machine = KnownAccount(url, "mine", (OTHER_KEY, KEY))  # an earlier key
    assert only(notices(audited, known(machine))).kind == "other-account"
    for stranger in (KnownAccount(url, "mine", (OTHER_KEY,)), KnownAccount(f"{url}2", "", (KEY,))):
        assert only(notices(audited, known(stranger))).kind == "unknown-account"
    assert only(notices(audited, known(declared_account(f"{url} {KEY}")))).kind == "known-account"


def test_where_names_share_an_alias_a_hash_for_another_domain_of_ours_is_known() -> None:
    uri = hashed_account_uri("acme:", domain="other.example", thumbprint=KEY, account_url=URL)
    value = f"ca.example; accounturi={uri}"
    accounts = KnownAccounts([KnownAccount(URL, "mine", (KEY,))], lambda: ["other.example"])

    shared = checked(OURS, value, end_of_chain="shared.example.net")
    assert only(notices(shared, Known(accounts, None))).kind == "other-account"
    # Where there is no alias, no CA takes it for this account.
    assert only(notices(checked(OURS, value), Known(accounts, None))).kind == "unknown-account"


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("ca.example; accounturi=", "accounturi is empty"),
        ("ca.example", "accounturi is missing"),
        (f"{OURS};", "ends in a semicolon"),
        (f"other.example; accounturi={URL}; policy=wild card", "policy has a blank"),
        ("other.example; policy=wildcard", "accounturi is missing"),
        (f"my ca; accounturi={URL}", "issuer-domain-name cannot be used"),
    ],
)
def test_what_was_meant_as_a_record_and_is_none_is_a_warning_that_says_why(
    value: str, why: str
) -> None:
    notice = only(notices(checked(value), NOBODY))
    assert (notice.kind, notice.severity) == ("malformed", "warning")
    assert "no CA" in notice.reason
    assert why in notice.reason


@pytest.mark.parametrize("value", ["v=spf1 -all", "google-site-verification=abc", "", "x y" * 9999])
def test_what_is_no_validation_record_at_all_is_a_remark(value: str) -> None:
    notice = only(notices(checked(value), NOBODY))
    assert (notice.kind, notice.severity) == ("unrelated", "ok")
    assert len(notice.reason) < 700
    assert notice.value == value


def test_a_form_from_before_the_standard_is_obsolete_also_at_our_name() -> None:
    value = "v=acme-persist-01; ca=letsencrypt.org; account=https://ca.example/acct/1"
    notice = only(notices(checked(value), NOBODY))
    assert (notice.kind, notice.severity) == ("obsolete", "warning")
    assert "certbot-dns-persist record -d example.com" in notice.reason


def test_names_from_before_the_standard_are_told_where_something_stands_there() -> None:
    old = "_acme-persist.example.com"
    found = Found(
        old, old, None, (ServerAnswer("ns", "ns", ("v=acme-persist-01; ca=x", OURS, "v=spf1 a")),)
    )
    first, second = obsolete_notices(checked(OURS), {old: found})
    assert (first.kind, first.severity, first.name) == ("obsolete", "warning", old)
    assert second.value == OURS  # sound, at a name that no CA looks at
    silent = Found(old, old, None, (), trouble="cannot be resolved")
    assert list(obsolete_notices(checked(OURS), {old: silent})) == []


def test_of_two_records_of_ours_the_one_that_says_less_is_superseded() -> None:
    less = f"{OURS}; persistUntil={AT + 100}"
    notice = only(notices(checked(less, OURS), NOBODY))
    assert (notice.kind, notice.severity, notice.value) == ("superseded", "ok", less)


def test_of_two_records_of_ours_that_say_the_same_the_second_is_superseded() -> None:
    same = f"ca.example;accounturi={URL}"
    assert only(notices(checked(OURS, same), NOBODY)).value == same


def test_a_wider_record_of_ours_supersedes_but_is_told_when_it_is_wider_than_needed() -> None:
    wide = f"{OURS}; policy=wildcard"
    narrow, wider = notices(checked(OURS, wide), NOBODY)
    assert (narrow.kind, wider.kind) == ("superseded", "wider")
    assert only(notices(checked(wide, OURS, of=request(wildcard=True)), NOBODY)).value == OURS


def test_an_expired_record_of_ours_is_a_remark_beside_one_that_authorises() -> None:
    expired = f"{OURS}; persistUntil={AT - 1}"
    notice = only(notices(checked(OURS, expired), NOBODY))
    assert (notice.kind, notice.severity) == ("expired", "ok")
    assert "prune" in notice.reason
    assert notices(checked(expired), NOBODY) == ()  # the diagnosis is about it
    assert checked(expired).diagnosis.status == "expired"


def test_an_older_form_of_ours_is_told() -> None:
    both = request(terms=Terms(("ca.example",), URL, "acme:"))
    assert only(notices(checked(OURS, of=both), NOBODY)).kind == "outdated"
    hashed_only = request(terms=Terms(("ca.example",), None, "acme:"))
    notice = only(notices(checked(OURS, of=hashed_only), NOBODY))
    assert notice.kind == "outdated"
    assert "this CA no longer accepts" in notice.reason


def test_a_record_of_ours_that_was_not_noted_is_told_where_there_are_notes() -> None:
    assert only(notices(checked(OURS), known(records=[]))).kind == "unrecorded"
    assert notices(checked(OURS), NOBODY) == ()


def test_what_was_published_and_is_gone_is_a_warning_while_another_one_authorises() -> None:
    gone = f"{OURS}; policy=wildcard"
    audited = checked(OURS)
    notice = only(notices(audited, known(records=[noted(OURS), noted(gone)])))
    assert (notice.kind, notice.severity, notice.value) == ("gone", "warning", gone)
    assert "changed outside of this program after 2026-11-02T00:00:00Z" in notice.reason

    notice = only(notices(checked(), known(records=[noted(OURS)])))
    assert notice.severity == "ok"  # the diagnosis is as grave as can be
    assert checked().diagnosis.status == "missing"

    ended = noted(gone, persist_until=AT - 1)
    assert only(notices(audited, known(records=[noted(OURS), ended]))).severity == "ok"
    others = noted(gone, account_url="https://ca.example/acct/9")
    assert notices(audited, known(records=[noted(OURS), others])) == ()


def test_nothing_is_called_gone_where_dns_could_not_be_asked() -> None:
    audited = checked(OURS)
    silent = Found(NAME, NAME, None, (ServerAnswer("ns", "ns", None, "does not answer"),))
    standing = dataclasses.replace(audited.standing, found=silent)
    audited = dataclasses.replace(audited, standing=standing)
    assert notices(audited, known(records=[noted(OURS)])) == ()


FORMER = KnownAccount(
    "https://ca.example/acct/666", "a former account of this machine", (OTHER_KEY,), former=True
)


@pytest.mark.parametrize("accounts", [[], [FORMER]])
def test_what_was_published_for_a_former_account_is_told_with_when(
    accounts: list[KnownAccount],
) -> None:
    lost = noted(STRANGER, account_url=FORMER.url)
    notice = only(notices(checked(STRANGER), known(*accounts, records=[lost])))
    assert (notice.kind, notice.severity) == ("former-account", "warning")
    assert (
        f"is for a former account of this machine, {FORMER.url}, published from here at "
        "2026-11-01T00:00:00Z. Certbot no longer has it." in notice.reason
    )
    assert "certificates for example.com, without a time limit." in notice.reason
    assert notice.reason.endswith(f"Remove exactly this TXT value at {NAME}.")


def test_a_former_account_is_told_also_where_the_record_was_not_noted() -> None:
    uri = hashed_account_uri(
        "acme:", domain="example.com", thumbprint=OTHER_KEY, account_url=FORMER.url
    )
    for value in (STRANGER, f"ca.example; accounturi={uri}"):
        notice = only(notices(checked(value), known(FORMER, records=[])))
        assert (notice.kind, notice.severity) == ("former-account", "warning")
        assert f"former account of this machine, {FORMER.url}. Certbot" in notice.reason
        assert only(notices(checked(value), known(records=[]))).kind == "unknown-account"


def test_what_the_log_of_changes_says_was_published_here_is_for_a_former_account() -> None:
    told = dataclasses.replace(known(), published={(NAME, STRANGER): "2026-10-01T00:00:00Z"})
    notice = only(notices(checked(STRANGER), told))
    assert (notice.kind, notice.severity) == ("former-account", "warning")
    assert "published from here at 2026-10-01T00:00:00Z" in notice.reason


def test_what_a_rotation_has_left_of_a_former_account_is_for_prune() -> None:
    told = dataclasses.replace(known(FORMER), replaced=lambda name: [STRANGER])
    notice = only(notices(checked(OURS, STRANGER), told))
    assert "certbot-dns-persist prune removes it" in notice.reason


def test_a_former_accounts_record_that_has_ended_is_a_remark() -> None:
    notice = only(notices(checked(OURS, f"{STRANGER}; persistUntil={AT - 1}"), known(FORMER)))
    assert (notice.kind, notice.severity) == ("expired", "ok")
    assert "former account" in notice.reason


def test_a_former_account_that_was_declared_is_known() -> None:
    lost = noted(STRANGER, account_url=FORMER.url)
    told = known(declared_account(FORMER.url), records=[lost])
    assert only(notices(checked(STRANGER), told)).kind == "known-account"


def test_of_a_former_accounts_record_that_nobody_needs_revoke_is_not_offered() -> None:
    (audited,) = not_needed([checked(OURS)], ())
    former = KnownAccount(URL, "a former account of this machine", former=True)
    notice = only(notices(audited, known(former, records=[noted(OURS)])))
    assert notice.kind == "former-account"
    assert "revoke" not in notice.reason  # which needs the account


def test_a_permission_that_no_certificate_needs_is_left_over_with_the_way_to_revoke_it() -> None:
    (audited,) = not_needed([checked(OURS)], ())
    assert audited.diagnosis.severity == "ok"
    assert audited.expected_value is None
    notice = only(notices(audited, known(records=[noted(OURS)])))
    assert (notice.kind, notice.severity) == ("left-over", "warning")
    assert (
        f"certbot-dns-persist revoke -d example.com --server {SERVER} --account {URL}"
        in notice.reason
    )
    assert "rfc2136" in notice.reason


def test_a_permission_that_a_needed_domain_uses_by_an_alias_is_not_left_over() -> None:
    assert list(not_needed([checked(OURS)], {NAME})) == []


@pytest.mark.parametrize("text", ["", "a b", "https://x 2 3", "https://x;y", "https://x\u00e9"])
def test_an_account_that_cannot_be_one_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--known-account"):
        declared_account(text)


def test_a_permission_that_some_cas_read_is_as_grave_as_one_that_all_do() -> None:
    notice = only(notices(checked(OURS, f"{STRANGER}; a.b=c"), NOBODY))
    assert (notice.kind, notice.severity) == ("unknown-account", "critical")


def test_of_ours_what_some_cas_refuse_is_remarked_beside_what_all_accept() -> None:
    some = f"{OURS}; policy=wildcard; a.b=c"
    notice = only(notices(checked(OURS, some), NOBODY))
    assert (notice.kind, notice.severity, notice.value) == ("accepted-by-some", "ok", some)
    assert "certbot-dns-persist rotate" in notice.reason
    notice = only(notices(checked(f"{OURS}; a.b=c", OURS), NOBODY))
    assert (notice.kind, notice.severity) == ("superseded", "ok")
