"""``certbot-dns-persist check``: what stands in DNS against what is needed."""

from support.certbot import Certbot
from support.companion import Companion


def test_after_a_certificate_all_is_ok(
    certbot: Certbot, companion: Companion, domain: str, bind_writing: list[str]
) -> None:
    done = certbot.certonly(*bind_writing, "-d", domain, "-d", f"*.{domain}")
    assert done.returncode == 0, done.output

    checked = companion("check", "--all")

    assert checked.returncode == 0, checked.output
    assert checked.out == (
        f"{domain},*.{domain}\tok\tThe record at _validation-persist.{domain} authorises.\n"
    )
