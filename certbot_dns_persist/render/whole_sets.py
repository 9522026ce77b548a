"""What formats share in which a record set is a whole: our record, and the values of others."""

from certbot_dns_persist.errors import ConfigurationError
from certbot_dns_persist.judge.prepared import RecordSet

#: The comment beside each value that is not to be published, but stays.
ALREADY_THERE = "there already, kept"


def require_text(each: RecordSet, form: str) -> None:
    """Raise :class:`ConfigurationError` if a value is not UTF-8, so that ``form`` cannot hold it.

    The tool would put another value in its place.
    """
    try:
        "".join(each.others).encode()
    except UnicodeEncodeError:
        raise ConfigurationError(
            f"A TXT value at {each.name} is not UTF-8, so a file in the format {form} cannot keep "
            "it, and nothing was printed. Publish with another format, for instance nsupdate, "
            "which leaves that value alone."
        ) from None
