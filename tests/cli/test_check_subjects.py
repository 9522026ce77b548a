"""What ``certbot-dns-persist check`` is about: certificates, names, lists; with Certbot or not."""

import dataclasses
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import KEY
from support.acme_ca import TestCa
from support.certbot import Certbot
from support.companion import Companion, Done, run
from support.nameserver import Nameserver, Zones
from support.need import need
from support.zones import zone_text

from certbot_dns_persist.cli import main

URI = "https://ca.example/acct/1"
WHO = ["--issuer", "ca.example", "--account-uri", URI]
VALUE = f"ca.example; accounturi={URI}"
THUMBPRINT = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
ISSUER = ["--issuer", "ca.example"]
DOMAIN = "example.test"


@pytest.fixture
def alone(tmp_path: Path) -> Companion:
    """The command where there has never been a Certbot."""
    return Companion(Certbot(tmp_path / "nothing", "https://ca.example/directory"))


@dataclasses.dataclass
class World:
    """Two certificates: of two CAs, and visible through a resolver each."""

    first: TestCa
    """Speaks -02; its certificate ``one`` is for example.test and its wildcard."""
    second: TestCa
    """Speaks -01; its certificate ``two`` is for x.other.test."""
    near: Nameserver
    far: Nameserver
    root: Path
    bundle: Path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("world")
    near, far = (Nameserver(zones(), keys=[KEY], resolver=True) for _ in range(2))
    with (
        near,
        far,
        TestCa(dns=(near.address, near.port)) as first,
        TestCa(
            dns=(far.address, far.port), draft="01", issuer_domain_names=["second.example"]
        ) as second,
    ):
        bundle = root / "both.pem"
        bundle.write_bytes(
            first.root_certificate.read_bytes() + second.root_certificate.read_bytes()
        )
        made = World(first, second, near, far, root, bundle)
        for name, ca, server, domains in (
            ("one", first, near, f"{DOMAIN},*.{DOMAIN}"),
            ("two", second, far, "x.other.test"),
        ):
            credentials = KEY.write_credentials(root / f"{name}.ini", server.address, server.port)
            done = Certbot(root, ca.directory_url, bundle).certonly(
                *("--cert-name", name, "-d", domains, "--dns-persist-check=resolver"),
                f"--dns-persist-resolvers={server.endpoint}",
                *("--dns-persist-provider=rfc2136", f"--dns-persist-credentials={credentials}"),
                "--dns-persist-may-hide=x.other.test",
            )
            assert done.returncode == 0, done.output
        yield made


def zones() -> Zones:
    return Zones.from_text(
        *(zone_text(origin, {"ns1": ["127.0.0.1"]}) for origin in (DOMAIN, "other.test"))
    )


@pytest.fixture
def certbot(world: World, tmp_path: Path) -> Certbot:
    """A copy of the world's Certbot, to be spoiled."""
    mine = Certbot(tmp_path / "certbot", world.first.directory_url, world.bundle)
    shutil.copytree(world.root / "etc", mine.config_dir, symlinks=True)
    for path in (mine.config_dir / "renewal").iterdir():
        path.write_text(path.read_text().replace(str(world.root / "etc"), str(mine.config_dir)))
    return mine


@pytest.fixture
def companion(certbot: Certbot) -> Companion:
    return Companion(certbot)


def renewal(certbot: Certbot, name: str) -> Path:
    return certbot.config_dir / "renewal" / f"{name}.conf"


def summary(done: Done) -> list[tuple[str, bool, str, str]]:
    return [
        (record["domain"], record["wildcard"], record["server"], record["status"])
        for record in done.report["records"]
    ]


def one(world: World, status: str = "ok") -> tuple[str, bool, str, str]:
    return DOMAIN, True, world.first.directory_url, status


def two(world: World, status: str = "ok") -> tuple[str, bool, str, str]:
    return "x.other.test", False, world.second.directory_url, status


def without_privileges(command: list[str]) -> list[str]:
    """Return a command for which permissions count, also when root runs it."""
    if os.geteuid() != 0:
        return command
    need(shutil.which("setpriv"), "root can only be held to permissions by setpriv")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]


# Certificates


def test_all_asks_for_each_certificate_its_own_ca_account_and_resolvers(
    world: World, companion: Companion
) -> None:
    done = companion("check", "--all", "--json")
    assert done.returncode == 0, done.output
    assert summary(done) == [one(world), two(world)]
    first, second = done.report["records"]
    assert first["account_uri"].startswith(world.first.account_hash_prefix)
    assert second["account_uri"] == world.second.accounts[0].url
    assert first["nameservers"][0]["address"] == world.near.endpoint
    assert second["nameservers"][0]["address"] == world.far.endpoint


def test_an_option_that_is_given_goes_before_that_of_the_certificate(
    world: World, companion: Companion
) -> None:
    resolvers = f"--dns-persist-resolvers={world.near.endpoint}"
    done = companion("check", "--all", "--json", resolvers)
    assert done.returncode == 2
    assert summary(done) == [one(world), two(world, "missing")]


def test_certificates_are_named_each_once_and_what_is_none_does_not_hide_the_others(
    world: World, certbot: Certbot, companion: Companion
) -> None:
    web = renewal(certbot, "one").read_text().replace("dns-persist", "webroot")
    renewal(certbot, "web").write_text(web)
    names = ["two", "web", "nonsense", "two", "one"]
    done = companion("check", "--json", *(f"--cert-name={name}" for name in names))
    assert done.returncode == 3
    assert summary(done) == [two(world), one(world)]
    other, unknown = done.report["errors"]
    assert other == (
        "The certificate web is renewed by the authenticator 'webroot', not by dns-persist, so it "
        "needs no record. Name its domains with -d to act on them anyway."
    )
    assert "nonsense.conf cannot be used: No such file or directory." in unknown
    assert "are: one, two, web." in unknown
    assert done.error.splitlines() == [other, unknown]


def test_all_leaves_other_authenticators_certificates_alone_whatever_state_they_are_in(
    world: World, certbot: Certbot, companion: Companion
) -> None:
    web = renewal(certbot, "one").read_text().replace("dns-persist", "webroot")
    renewal(certbot, "web").write_text(web.replace("/live/one/", "/live/gone/"))
    done = companion("check", "--all", "--json")
    assert (done.returncode, done.error) == (0, "")
    assert summary(done) == [one(world), two(world)]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (None, "[[[\n", "renewal configuration {} cannot be used: "),
        (None, "", "renewal configuration {} cannot be used: it has no usable 'cert'"),
        ("server = ", "sevrer = ", "{} cannot be used: it has no usable 'server'"),
        ("server = ", "server = a, b", "{} cannot be used: it has no usable 'server'"),
        ("[renewalparams]", "[other]", "{} cannot be used: it has no usable 'server'"),
        ("/live/", "/gone/", "of the lineage two cannot be read: No such file or directory."),
        ("cert.pem", "privkey.pem", "of the lineage two cannot be read: "),
        (None, "\0\xff", "renewal configuration {} cannot be used: "),
    ],
)
def test_a_certificate_that_cannot_be_read_keeps_no_other_from_being_checked(
    world: World,
    certbot: Certbot,
    companion: Companion,
    old: str | None,
    new: str,
    words: str,
) -> None:
    path = renewal(certbot, "two")
    text = new if old is None else path.read_text().replace(old, new)
    path.write_bytes(text.encode("latin-1"))
    done = companion("check", "--all", "--json")
    assert done.returncode == 3, done.output
    assert summary(done) == [one(world)]
    (error,) = done.report["errors"]
    assert words.format(path) in error
    assert error in done.error
    assert "Traceback" not in done.error


def test_a_certificate_that_cannot_be_read_is_no_matter_for_the_one_that_is_named(
    world: World, certbot: Certbot, companion: Companion
) -> None:
    renewal(certbot, "two").write_text("")
    done = companion("check", "--cert-name", "one", "--json")
    assert (done.returncode, done.error, summary(done)) == (0, "", [one(world)])


@pytest.mark.parametrize(
    ("closed", "words"),
    [
        ("renewal", "cannot be listed: Permission denied. Run this as the user that runs Certbot"),
        ("renewal/two.conf", "two.conf cannot be used: Permission denied."),
        ("archive/two", "of the lineage two cannot be read: Permission denied."),
        ("accounts", "cannot be read: Permission denied. Run this as the user that runs Certbot"),
    ],
)
def test_what_may_not_be_read_is_told_from_what_is_not_there(
    certbot: Certbot, companion: Companion, closed: str, words: str
) -> None:
    place = certbot.config_dir / closed
    mode = place.stat().st_mode
    place.chmod(0)
    try:
        done = run(
            without_privileges(companion.command("check", "--all")),
            env=certbot.env,
            keep=certbot.work_dir / "output",
        )
    finally:
        place.chmod(mode)
    assert done.returncode == 3
    assert words in done.error
    assert "Traceback" not in done.error


@pytest.mark.parametrize("closed", [["accounts", "archive", "live", "dns-persist"], ["."]])
@pytest.mark.parametrize(
    ("command", "arguments", "status"),
    [
        ("audit", ["--all"], 3),
        ("audit", ["-d", DOMAIN], 3),
        ("check", ["-d", f"{DOMAIN},x.other.test,www.other.test"], 3),
        ("record", ["--all"], 1),
        ("prune", ["--all"], 1),
    ],
)
def test_who_may_not_read_certbots_directory_is_told_once_with_what_to_do(
    certbot: Certbot,
    companion: Companion,
    closed: list[str],
    command: str,
    arguments: list[str],
    status: int,
) -> None:
    places = [certbot.config_dir / name for name in closed]
    for place in places:
        place.chmod(0)
    try:
        done = run(
            without_privileges(companion.command(command, *arguments)),
            env=certbot.env,
            keep=certbot.work_dir / "output",
        )
    finally:
        for place in places:
            place.chmod(0o700)
    (said,) = done.error.splitlines()
    assert (done.returncode, done.out) == (status, "")
    assert said.startswith(
        f"Certbot's directory {places[0]} cannot be read: Permission denied. Run this as the user "
        "that runs Certbot, usually root."
    )
    assert ("and --issuer and --account-uri" in said) == (command != "prune")


def test_notes_that_may_not_be_read_are_named_once(certbot: Certbot, companion: Companion) -> None:
    notes = certbot.config_dir / "dns-persist"
    notes.chmod(0)
    try:
        done = run(
            without_privileges(companion.command("audit", "--all")),
            env=certbot.env,
            keep=certbot.work_dir / "output",
        )
    finally:
        notes.chmod(0o700)
    assert done.error == (
        "WARNING: Our notes of DNS records in "
        f"{certbot.state_file} cannot be read: Permission denied\n"
    )


def test_without_any_certificate_it_says_so(alone: Companion, tmp_path: Path) -> None:
    done = alone("check", "--all", "--json")
    assert done.returncode == 3
    assert done.report["records"] == []
    assert done.report["status"] == "unknown"
    assert done.report["errors"] == [
        f"No certificate in {tmp_path / 'nothing' / 'etc'} has the authenticator dns-persist. "
        "Name the domains with -d, or another directory with --config-dir."
    ]


# Names, with Certbot's files


def test_a_name_takes_ca_account_and_options_from_its_certificate(
    world: World, companion: Companion
) -> None:
    done = companion("check", "--json", "-d", "x.other.test", "-d", DOMAIN)
    assert done.returncode == 0, done.output
    assert summary(done) == [
        two(world),
        (DOMAIN, False, world.first.directory_url, "ok"),
    ]


def test_a_name_of_two_cas_is_checked_for_both_or_for_the_one_that_is_given(
    world: World, certbot: Certbot, companion: Companion
) -> None:
    text = renewal(certbot, "two").read_text()
    renewal(certbot, "too").write_text(text.replace("/live/two/", "/live/one/"))
    both = companion("check", "--json", "-d", DOMAIN)
    assert both.returncode == 2
    assert {(domain, server) for domain, _, server, _ in summary(both)} == {
        (DOMAIN, world.first.directory_url),
        (DOMAIN, world.second.directory_url),
    }
    given = companion("check", "--json", "-d", DOMAIN, "--server", world.second.directory_url)
    assert summary(given) == [(DOMAIN, False, world.second.directory_url, "missing")]
    assert given.report["records"][0]["nameservers"][0]["address"] == world.far.endpoint


def test_certificates_of_one_account_share_a_subject_with_the_wildcard(
    world: World, certbot: Certbot, companion: Companion
) -> None:
    shutil.copy(renewal(certbot, "one"), renewal(certbot, "again"))
    done = companion("check", "--json", "--all")
    assert summary(done) == [one(world), two(world)]


def test_a_name_of_no_certificate_needs_an_account_at_the_server(
    world: World, companion: Companion
) -> None:
    asked = ["-d", "new.example.test", f"--dns-persist-resolvers={world.near.endpoint}"]
    asked += ["--dns-persist-check=resolver", "--json"]
    done = companion("check", *asked, "--server", world.first.directory_url)
    assert done.returncode == 2
    (record,) = done.report["records"]
    assert record["expected_value"] == world.first.record_value("new.example.test")

    done = companion("check", *asked, "--server", "https://ca.example/directory")
    assert done.returncode == 3
    assert "new.example.test: There is no account at https://ca.example/directory" in done.error

    done = companion("check", *asked, "--server", world.first.directory_url, "--account", "0")
    assert done.returncode == 3
    assert "There is no account 0 at" in done.error


def test_a_trouble_that_many_names_share_is_told_once(certbot: Certbot) -> None:
    companion = Companion(certbot)
    names = [f"n{number}.example.test" for number in range(7)]
    nowhere = ["--server", "https://ca.example/directory"]
    done = companion("check", "--json", *nowhere, "-d", ",".join([*names, "n8.example.test"]))
    assert done.returncode == 3
    (error,) = done.report["errors"]
    assert error.startswith(
        "n0.example.test, n1.example.test, n2.example.test, n3.example.test, n4.example.test and 3 "
        "more: There is no account at https://ca.example/directory"
    )


# Names, without


def test_names_are_taken_as_people_write_them(alone: Companion, nameserver: Nameserver) -> None:
    names = ["Example.TEST.,*.bücher.Example.test", "x.other.test, y.other.test", "*.X.other.test"]
    asked = [*WHO, f"--dns-persist-resolvers={nameserver.endpoint}", "--dns-persist-check=resolver"]
    done = alone("check", "--json", *asked, *(part for name in names for part in ("-d", name)))
    assert [(domain, wildcard) for domain, wildcard, _, _ in summary(done)] == [
        ("example.test", False),
        ("xn--bcher-kva.example.test", True),
        ("x.other.test", True),
        ("y.other.test", False),
    ]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "'' is not a domain name: it has the label ''."),
        ("a.example,,b.example", "'' is not a domain name: it has the label ''."),
        ("a..example", "'a..example' is not a domain name: it has the label ''."),
        ("foo bar", "'foo bar' is not a domain name: it has the label 'foo bar'."),
        (
            "*.*.example.com",
            "'*.*.example.com' is not a domain name. Only the first label may be *: write "
            "*.example.com.",
        ),
        (
            "https://example.com/",
            "'https://example.com/' is not a domain name. Give the name alone: write example.com.",
        ),
        ("https://*.example.com:443", "Give the name alone: write *.example.com."),
        ("*", "'*' is not a domain name: it has the label '*'."),
        ("_validation-persist.example.com", "it has the label '_validation-persist'."),
        (
            "192.0.2.1",
            "192.0.2.1 is an IP address, but dns-persist-01 only works for domain names.",
        ),
        ("2001:db8::1", "2001:db8::1 is an IP address"),
        ("a" * 64 + ".example", "is not a domain name: it has the label 'aaa"),
        ("a." * 200, "the name has 399 octets, more than the 253 allowed."),
        ("\u2603.example", "is not a domain name: "),
        (
            "x y " * 5000,
            "…' is not a domain name: the name has 19999 characters, which are more than",
        ),
    ],
)
def test_what_is_no_name_is_refused_with_words(
    name: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *WHO, "-d", name]) == 3
    said = capsys.readouterr()
    assert words in said.err
    assert len(said.err) < 1000
    assert said.out == ""


def test_a_list_may_have_comments_blank_lines_windows_line_ends_and_mistakes(
    alone: Companion, nameserver: Nameserver, tmp_path: Path
) -> None:
    path = tmp_path / "domains.txt"
    path.write_bytes(
        "\ufeffexample.test\r\n"
        "# Ours\r\n"
        "\r\n"
        "  x.other.test   # the shop\r\n"
        "foo bar\r\n"
        "*.example.test\r\n"
        "X.OTHER.TEST.\r\n"
        "10.0.0.1\r\n"
        "y.other.test".encode()
    )
    asked = [*WHO, f"--dns-persist-resolvers={nameserver.endpoint}", "--dns-persist-check=resolver"]
    for source, stdin in (
        (str(path), ""),
        ("-", path.read_bytes().decode()),
        ("/dev/stdin", path.read_bytes().decode()),
    ):
        done = alone("check", "--json", *asked, "--from-file", source, stdin=stdin)
        assert [(domain, wildcard) for domain, wildcard, _, _ in summary(done)] == [
            ("example.test", True),
            ("x.other.test", False),
            ("y.other.test", False),
        ]
        assert done.report["errors"] == [
            f"{source}, line 5: 'foo bar' is not a domain name: it has the label 'foo bar'.",
            f"{source}, line 8: 10.0.0.1 is an IP address, but dns-persist-01 only works for "
            "domain names.",
        ]
        assert done.returncode == 2  # missing ones are graver than mistakes


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "The domains in {} cannot be read: No such file or directory."),
        (..., "The domains in {} cannot be read: Is a directory."),
        (b"\x7fELF\xff\xfe\x00", "The domains in {} cannot be read: it is not text in UTF-8."),
        (os.mkfifo, "The domains in {} cannot be read: it is not a regular file."),
    ],
)
def test_a_list_that_cannot_be_read_is_told(
    content: object, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "list"
    if content is ...:
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    elif callable(content):
        content(path)
    assert main(["check", *WHO, "--from-file", str(path)]) == 3
    assert capsys.readouterr().err == words.format(path) + "\n"


@pytest.mark.parametrize("content", ["", "# nothing but words\n"])
def test_an_empty_list_is_no_success(alone: Companion, content: str) -> None:
    done = alone("check", "--json", *WHO, "--from-file", "-", stdin=content)
    assert done.returncode == 3
    assert done.report["records"] == []
    assert done.report["errors"] == ["There is nothing to check: no domain was given or found."]


def test_a_list_of_mistakes_only_is_valid_json(alone: Companion) -> None:
    done = alone("check", "--json", *WHO, "--from-file", "-", stdin="foo bar\n")
    assert done.returncode == 3
    assert (done.report["records"], len(done.report["errors"])) == ([], 1)


# Who asks


HASHED = [
    "--account-url",
    URI,
    "--thumbprint",
    THUMBPRINT,
    "--hash-prefix",
    "https://ca.example/h/",
]
MISSING = "Without Certbot's files, give --issuer with --account-uri or"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (ISSUER, MISSING),
        (["--account-uri", URI], MISSING),
        (HASHED, MISSING),
        ([*ISSUER, *HASHED[:4]], MISSING),
        ([*ISSUER, *HASHED[2:]], MISSING),
        ([*ISSUER, *HASHED[:2]], MISSING),
        ([*WHO, *HASHED], MISSING),
        ([*WHO, "--thumbprint", THUMBPRINT], MISSING),
        ([*WHO, "--account", "0"], "--account and --issuer exclude each other"),
        (["--issuer", "foo bar", "--account-uri", URI], "--issuer 'foo bar' cannot be used"),
        (["--issuer", "*.ca.example", "--account-uri", URI], "--issuer '*.ca.example' cannot"),
        ([*ISSUER, "--account-uri", "a; b"], "--account-uri 'a; b' cannot be part of a record"),
        ([*ISSUER, "--account-uri", "ü"], "--account-uri 'ü' cannot be part of a record"),
        ([*ISSUER, *HASHED[:3], "short", *HASHED[4:]], "is not a SHA-256 thumbprint"),
        (
            [*ISSUER, *HASHED[:3], "ü" * 43, *HASHED[4:]],
            "is not a SHA-256 thumbprint",
        ),
        ([*ISSUER, *HASHED[:5], "a b"], "--hash-prefix 'a b' cannot be part of a record"),
        ([*WHO, "--all"], "Give exactly one of"),
    ],
)
def test_who_asks_has_to_be_said_in_full(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "-d", DOMAIN, *arguments]) == 3
    said = capsys.readouterr()
    assert words in said.err
    assert said.out == ""


@pytest.mark.parametrize("which", [["--all"], ["--cert-name", "one"]])
def test_certificates_are_certbots(which: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *WHO, *which]) == 3
    assert "--issuer is for domains without Certbot's files" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Give exactly one of --cert-name, -d, --all and --from-file."),
        (["--all", "-d", DOMAIN], "Give exactly one of"),
        (["-d", DOMAIN, "--dns-persist-resolvers", "x"], "--dns-persist-resolvers: 'x' is not"),
        (["-d", DOMAIN, "--dns-persist-until", "soon"], "--dns-persist-until 'soon' is not a date"),
    ],
)
def test_arguments_that_say_too_little_or_too_much_are_refused_once(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--json", *arguments]) == 3
    said = capsys.readouterr()
    assert said.err.count(words) == 1
    assert said.out == ""


@pytest.mark.parametrize("arguments", [["--nonsense"], ["--warn-days", "x"], ["--al"]])
def test_a_mistyped_command_line_is_not_taken_for_a_missing_record(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["check", *arguments])
    assert ended.value.code == 3
    assert arguments[0].strip("-") in capsys.readouterr().err


def test_an_ordinary_user_without_certbot_needs_no_file_and_writes_none(
    alone: Companion, nameserver: Nameserver, reading: list[str], tmp_path: Path
) -> None:
    nameserver.zones.set_values(f"_validation-persist.{DOMAIN}", [VALUE])
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    done = run(
        without_privileges(alone.command("check", *WHO, *reading, "-d", DOMAIN)),
        env={"HOME": str(closed), "TMPDIR": str(closed)},
        keep=tmp_path / "output",
    )
    assert (done.returncode, done.error) == (0, "")
    assert list(closed.iterdir()) == []
    assert not (tmp_path / "nothing").exists()


def test_an_account_uri_may_differ_from_the_account_url_that_caa_names(
    alone: Companion, reading: list[str], nameserver: Nameserver
) -> None:
    caa = f'@ CAA 0 issue "ca.example; accounturi={URI}"'
    record = f'_validation-persist TXT "ca.example; accounturi={URI}/alternative"'
    text = zone_text(DOMAIN, {"ns1": ["127.0.0.1"]}, f"{caa}\n{record}")
    nameserver.zones.zones.update(Zones.from_text(text).zones)
    asked = ["--issuer", "ca.example", "--account-uri", f"{URI}/alternative", *reading]
    assert alone("check", *asked, "-d", DOMAIN).returncode == 2
    done = alone("check", *asked, "-d", DOMAIN, "--account-url", URI)
    assert done.returncode == 0, done.output


def test_a_hashed_identity_gives_the_verdict_of_certbots_files(
    world: World, companion: Companion, alone: Companion
) -> None:
    (account,) = world.first.accounts
    done = companion("check", "--cert-name", "one", "--json")
    told = alone(
        *("check", "--json", "-d", f"{DOMAIN},*.{DOMAIN}", "--issuer", "ca.example"),
        *("--account-url", account.url, "--thumbprint", account.thumbprint),
        *("--hash-prefix", world.first.account_hash_prefix),
        *(f"--dns-persist-resolvers={world.near.endpoint}", "--dns-persist-check=resolver"),
    )
    assert done.returncode == told.returncode == 0, done.output + told.output
    (ours,), (theirs,) = done.report["records"], told.report["records"]
    assert theirs == {**ours, "server": None}
