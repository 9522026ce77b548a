"""What we found out of a CA: as text, or as JSON for programs."""

import dataclasses
import json
from collections.abc import Iterator, Sequence

from certbot_dns_persist.ca.directory import Directory
from certbot_dns_persist.ca.offer import Answer, KnownCa, Offer, Source, known_cas
from certbot_dns_persist.ca.terms import Terms
from certbot_dns_persist.ca.trial_order import TrialOrder
from certbot_dns_persist.render.labelled import labelled
from certbot_dns_persist.shown import printable

#: The version of the form: of what is in it, nothing is renamed, removed or given another meaning.
VERSION = 1

_TO_COPY = ("account", "command")


@dataclasses.dataclass(frozen=True)
class Findings:
    """What we found out of one CA."""

    offer: Offer
    directory: Directory
    account_url: str | None
    """Of the account here that was asked with, or whose notes were used."""
    trial: TrialOrder | None
    terms: Terms | None
    """What the CA wants in a record, by an order."""
    fault: str | None
    """Why the challenge that the CA offers cannot be used."""


def as_json(findings: Findings) -> str:
    """Return one JSON object."""
    offer, directory, trial, terms = (
        findings.offer,
        findings.directory,
        findings.trial,
        findings.terms,
    )
    return (
        json.dumps(
            {
                "version": VERSION,
                "server": offer.server,
                "offers": offer.answer.value,
                "draft": offer.draft,
                "source": offer.source.value,
                "issuer_domain_names": list(terms.issuer_domain_names) if terms else None,
                "account_uri": terms.plain if terms else None,
                "account_hash_prefix": terms.hash_prefix if terms else None,
                "fault": findings.fault,
                "directory": {
                    "caa_identities": directory.caa_identities,
                    "issuer_domain_names": directory.issuer_domain_names,
                    "account_hash_prefix": directory.account_hash_prefix,
                    "external_account_required": directory.external_account_required,
                },
                "account_url": findings.account_url,
                "authorization": trial
                and {"name": trial.name, "status": trial.status, "challenges": trial.offered},
                "known": offer.known and dataclasses.asdict(offer.known),
            },
            indent=2,
        )
        + "\n"
    )


def as_text(findings: Findings) -> str:
    """Return the CA, then what we found out, line by line."""
    offer = findings.offer
    lines = [printable(f"{offer.known.name}: {offer.server}" if offer.known else offer.server)]
    for label, text in _parts(findings):
        lines += labelled(label, printable(text), to_copy=label in _TO_COPY)
    return "\n".join(lines) + "\n"


def _parts(findings: Findings) -> Iterator[tuple[str, str]]:
    offer, directory, terms = findings.offer, findings.directory, findings.terms
    form = f", in the form of draft {offer.draft}" if offer.draft else ""
    if offer.source is Source.LIST and offer.known:
        form += f", as of {offer.known.as_of}"
    yield "offered", f"{offer.answer.value}{form}: {_who_says_so(findings)}"
    if findings.fault:
        yield "fault", findings.fault
    if offer.known and offer.source is not Source.LIST:
        yield "known", _last_known(offer.known)
    if terms:
        yield "issuer", " or ".join(terms.issuer_domain_names)
        yield "record", f"names the account as {_account_uri(terms)}"
    elif offer.answer is Answer.NO:
        pass
    elif names := directory.issuer_domain_names or directory.caa_identities:
        yield "issuer", f"probably {' or '.join(names)}, of which an order names those to use"
    if findings.trial:
        yield "status", _status(findings.trial)
    yield "account", findings.account_url or "none here, so we only read the directory"
    if directory.external_account_required:
        yield (
            "EAB",
            (
                "A new account needs an external account binding: a key id and a key that the CA "
                "gives you."
            ),
        )
    else:
        yield "EAB", "A new account needs no external account binding."
    yield from _next_steps(findings)


def _who_says_so(findings: Findings) -> str:
    offer, trial = findings.offer, findings.trial
    if offer.source is Source.ORDER and trial:
        if offer.answer is Answer.NO:
            return f"an order for {trial.name} offers only {_listed(trial.offered)}"
        others = [kind for kind in trial.offered if kind != "dns-persist-01"]
        beside = f", beside {_listed(others)}" if others else ""
        return f"an order for {trial.name} has the challenge{beside}"
    if offer.source is Source.NOTES:
        return "an earlier order of this account had the challenge"
    if offer.source is Source.DIRECTORY:
        return "the directory says so"
    if offer.source is Source.LIST and offer.known:
        return offer.known.source
    return "the directory does not say, and this CA is not among those that we know"


def _last_known(known: KnownCa) -> str:
    if known.offers:
        return f"offered it in the form of draft {known.draft} as of {known.as_of}"
    return f"did not offer it as of {known.as_of}"


def _account_uri(terms: Terms) -> str:
    hashed = f"a hash below {terms.hash_prefix}" if terms.hash_prefix else None
    return " or ".join(filter(None, (hashed, terms.plain)))


def _status(trial: TrialOrder) -> str:
    if trial.status == "pending":
        words = f"The CA wants {trial.name} to be proven."
        return f"{words} We deactivated this authorization." if trial.deactivated else words
    if trial.status == "valid":
        return (
            f"{trial.name} is already proven: the CA validates just in time, or uses an earlier "
            "validation again. It asks for nothing then."
        )
    return f"The authorization for {trial.name} is {trial.status}."


def _next_steps(findings: Findings) -> Iterator[tuple[str, str]]:
    offer, trial = findings.offer, findings.trial
    if offer.answer is Answer.YES and offer.source is not Source.LIST:
        return
    if trial and not trial.tells:
        yield "next", "To see all that the CA offers, give a name that is not proven yet with -d."
    elif trial is None and findings.account_url:
        yield "next", "Only an order shows it for certain: give a name of yours with -d."
    elif trial is None:
        eab = (
            " --eab-kid ID --eab-hmac-key KEY"
            if findings.directory.external_account_required
            else ""
        )
        yield (
            "next",
            "Only an order shows it for certain. Make an account, then give a name of yours with "
            "-d:",
        )
        yield "command", f"certbot register --server {offer.server}{eab}"
    if offer.answer is Answer.NO:
        yield (
            "",
            (
                "Until this CA offers it, --dns-persist-fallback dns-01 uses dns-01 through the "
                "same provider."
            ),
        )
    if offer.answer is not Answer.YES:
        for known in known_cas():
            if known.offers:
                yield "else", f"{known.name} offered it as of {known.as_of}: {known.directory}"


def _listed(names: Sequence[str]) -> str:
    if len(names) < 2:
        return "".join(names) or "nothing"
    return f"{', '.join(names[:-1])} and {names[-1]}"
