"""``certbot-dns-persist migrate``: move certificates of other authenticators to this one.

And back, with ``--back``: as the renewal configurations were before.
"""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from configobj import ConfigObjError

from certbot_dns_persist.cli import arguments, changing, setting
from certbot_dns_persist.cli.migration import Migration, in_words, is_one_of
from certbot_dns_persist.errors import ConfigurationError, UsageError
from certbot_dns_persist.request import renewal as renewals
from certbot_dns_persist.request import wrapped
from certbot_dns_persist.request.renewal import AUTHENTICATOR, Renewal

EXAMPLES = """\
  certbot-dns-persist migrate --all --dry-run
  certbot-dns-persist migrate --cert-name example.com --dns-persist-fallback dns-01 --yes

Hooks and all other settings of the certificates stay, and nothing is renewed now. --back puts the
renewal configurations back; records stay until certbot-dns-persist revoke -d DOMAIN removes them.

exit status: 0 all of them are moved, 1 some are not; the message says why; 3 wrong usage or an
unexpected error
"""


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = arguments.command(
        commands,
        "migrate",
        summary="Move certificates of other authenticators to dns-persist.",
        examples=EXAMPLES,
    )
    which = parser.add_argument_group("which certificates (give --cert-name, --all or --from)")
    which.add_argument(
        "--cert-name", action="append", default=[], metavar="NAME", help="this one; repeatable"
    )
    which.add_argument(
        "--all",
        action="store_true",
        help="all that another authenticator renews; with --back, all that were moved",
    )
    which.add_argument(
        "--from",
        action="append",
        default=[],
        dest="origins",
        metavar="PLUGIN",
        help="only those of this authenticator, such as dns-cloudflare; repeatable",
    )
    group = changing.add_change(parser)
    group.add_argument(
        "--print",
        action="store_true",
        dest="only_print",
        help="print the records that are missing, for you to publish, and move only certificates "
        "that miss none",
    )
    group.add_argument(
        "--back", action="store_true", help="put renewal configurations back as they were"
    )
    arguments.add_may_hide(group)
    certbot = parser.add_argument_group("Certbot")
    arguments.add_directories(certbot)
    arguments.add_config(certbot)
    arguments.add_no_verify_ssl(certbot)
    arguments.add_options(
        parser,
        (*arguments.READING, *arguments.WRITING, "fallback"),
        title="as for certbot (default: what follows from the certificate's options)",
    )
    parser.set_defaults(run=run, failed=changing.FAILED, server=None, account=None)


def run(args: argparse.Namespace) -> int:
    """Move certificates, or put them back; return the exit status."""
    if args.all == bool(args.cert_name) and (args.all or not args.origins):
        raise UsageError(
            "Give --cert-name, --all or --from. --from may limit either of the others to some "
            "authenticators."
        )
    setting.refuse_closed(args)
    if not args.back:
        _refuse_overruled(args)
    return _Return(args).run() if args.back else Migration(args).run()


def _refuse_overruled(args: argparse.Namespace) -> None:
    """Raise :class:`ConfigurationError` if a cli.ini of Certbot's makes moving useless."""
    preset = setting.preset(args)
    plugin = preset.get("authenticator", None)
    if plugin not in (None, AUTHENTICATOR):
        raise ConfigurationError(
            f"{preset.where} sets the authenticator {plugin} for all certificates, and Certbot "
            "prefers that to what it has saved for each. Remove that line, then run the same "
            "command again. Nothing was changed."
        )


@dataclasses.dataclass(frozen=True)
class _Moved:
    """A certificate that was moved, and its renewal configuration as it will be again."""

    renewal: Renewal
    """As it is now."""
    octets: bytes
    as_before: bool
    """Whether nothing has changed besides what the move changed."""
    plugin: str
    """The authenticator before."""

    @property
    def in_words(self) -> str:
        """Whereto it goes back."""
        how = "as it was" if self.as_before else "with what else has changed since"
        return f"  {self.renewal.name}: to {self.plugin}, {how}"


class _Return:
    """Puts renewal configurations back."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._config_dir = Path(args.config_dir)

    def run(self) -> int:
        """Put back what can be; return the exit status."""
        args = self._args
        moved: list[_Moved] = []
        stay: dict[str, str] = {}
        for name in dict.fromkeys(args.cert_name or renewals.kept_names(self._config_dir)):
            try:
                moved += self._find(name)
            except ConfigurationError as error:
                stay[name] = str(error)
        if not moved:
            if not stay:
                changing.say(args, "There is nothing to put back: no certificate was moved.")
            return changing.conclude(in_words(stay))
        shown = ["To be put back:", *(each.in_words for each in moved), *in_words(stay)]
        if not changing.agreed(args, "\n".join(shown)):
            return 0 if args.dry_run and not stay else changing.FAILED
        changing.lock_certbot(args)
        left: dict[str, str] = {}
        for each in moved:
            try:
                self._put_back(each)
            except ConfigurationError as error:
                left[each.renewal.name] = str(error)
        if back := [each.renewal.name for each in moved if each.renewal.name not in left]:
            changing.say(
                args,
                f"Put back: {', '.join(back)}. {'Their' if back[1:] else 'Its'} records are still "
                "in DNS, and let the accounts that they name get certificates. To remove them: "
                f"{setting.command_line(args, 'revoke')} -d DOMAIN",
            )
        changing.conclude(in_words({**(stay if args.quiet else {}), **left}))
        return changing.FAILED if stay or left else 0

    def _find(self, name: str) -> list[_Moved]:
        """Return the certificate, if it is to be put back.

        Raises :class:`~certbot_dns_persist.errors.ConfigurationError` if that is not possible.
        """
        if not self._args.cert_name and name not in renewals.lineage_names(self._config_dir):
            self._forget(name)  # the certificate was deleted
            return []
        before = renewals.kept(self._config_dir, name)
        plugin = before.authenticator
        if self._args.origins and not is_one_of(plugin, self._args.origins):
            return []
        renewal = renewals.read_renewal(self._config_dir, name)
        if renewal.authenticator == plugin:  # an earlier run was interrupted
            self._forget(name)
            return []
        if renewal.authenticator != AUTHENTICATOR:
            raise ConfigurationError(
                f"it is renewed by {renewal.authenticator} now, not by dns-persist. Its renewal "
                f"configuration before it was moved is {before.path}."
            )
        if not self._args.cert_name and renewals.made_since_kept(self._config_dir, renewal):
            again = setting.command_line(self._args, "migrate")
            raise ConfigurationError(
                f"it was made anew after {before.path} was kept, so that may be of an earlier "
                f"certificate. If it is to be renewed by {plugin} again: {again} --back "
                f"--cert-name {name}. If not, remove that file."
            )
        try:
            octets = renewals.undone(before.octets, renewal.octets)
        except ConfigObjError as error:  # what somebody has written since cannot be written again
            raise ConfigurationError(f"{renewal.path} cannot be changed: {error}.") from error
        return [_Moved(renewal, octets, octets == before.octets, plugin)]

    def _forget(self, name: str) -> None:
        if not self._args.dry_run:
            renewals.drop_kept(self._config_dir, name)

    def _put_back(self, each: _Moved) -> None:
        renewals.replace(each.renewal.path, lambda _: each.octets, expected=each.renewal.octets)
        renewals.drop_kept(self._config_dir, each.renewal.name)
        wrapped.tidy(self._config_dir, [Path(each.renewal.text("dns_persist_credentials"))])
