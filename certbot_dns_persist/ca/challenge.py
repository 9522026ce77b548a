"""The ACME challenge ``dns-persist-01``, in its three forms (draft section 3.1).

========================  ====================  ==============  ==========================
draft                     issuers               ``accounturi``  account URI in the record
========================  ====================  ==============  ==========================
-00                       issuer-domain-names   absent          the ACME account URL
-01                       issuer-domain-names   present         that member, verbatim
-02                       issuerDomainNames     absent          the hashed account URI
========================  ====================  ==============  ==========================

Importing this module makes ``acme`` decode the challenge. Certbot imports it whenever it lists
its plugins, so nothing here may fail or take long, whatever ``acme`` or the CA does. So we keep
what the CA sent as it is, and check it only when it is used.
"""

from typing import Any

from acme import challenges
from josepy.json_util import field
from josepy.jwk import JWK

from certbot_dns_persist.errors import ChallengeError

#: A challenge with more issuer-domain-names than this is malformed (draft section 3.1).
MAX_ISSUER_DOMAIN_NAMES = 10

#: The types of challenges that prove a name by DNS, of those that Certbot has plugins for.
DNS_CHALLENGES = frozenset(("dns-persist-01", challenges.DNS01.typ))


class DNSPersist01Response(challenges.KeyAuthorizationChallengeResponse):
    """The response, whose body is the empty JSON object (draft section 4).

    ``acme`` sends no body for an object that is false, and an object without fields is false: the
    CA would take the request for a POST-as-GET and never start to validate.
    """

    typ = "dns-persist-01"

    def __bool__(self) -> bool:
        return True

    def to_partial_json(self) -> dict[str, Any]:
        """Return the empty object: this challenge does not use the key authorization."""
        return {}


@challenges.Challenge.register
class DNSPersist01(challenges.KeyAuthorizationChallenge):
    """The challenge as the CA sent it.

    It has neither a token nor a key authorization, but is a KeyAuthorizationChallenge: only with
    these does every Certbot since 2.1 pass the account key.
    """

    typ = "dns-persist-01"
    response_cls = DNSPersist01Response

    token: Any = field("token", omitempty=True)
    issuer_domain_names_00: Any = field("issuer-domain-names", omitempty=True)
    issuer_domain_names_02: Any = field("issuerDomainNames", omitempty=True)
    account_uri: Any = field("accounturi", omitempty=True)

    def response(self, account_key: JWK) -> DNSPersist01Response:
        """Return the response that tells the CA to validate now."""
        return DNSPersist01Response(key_authorization="")

    def validation(self, account_key: JWK, **kwargs: Any) -> str:
        """Raise NotImplementedError: the record depends on more, see ``request.py``."""
        raise NotImplementedError("dns-persist-01 has no validation made from a key authorization")

    @property
    def hashes_account_uri(self) -> bool:
        """Whether the CA speaks -02: a record has a hashed account URI."""
        return self.issuer_domain_names_02 is not None

    @property
    def takes_plain_account_uri(self) -> bool:
        """Whether the CA speaks -00 or -01, alone or beside -02."""
        return self.issuer_domain_names_00 is not None or self.account_uri is not None

    @property
    def draft(self) -> str | None:
        """The draft whose form this has, as ``-01``; of a CA in transition, as ``-01 and -02``.

        ``None`` if it has no issuer-domain-names in any form.
        """
        older = "-00" if self.account_uri is None else "-01"
        forms = [older] if self.issuer_domain_names_00 is not None else []
        forms += ["-02"] if self.hashes_account_uri else []
        return " and ".join(forms) or None

    def issuer_domain_names(self, domain: str) -> tuple[str, ...]:
        """Return the CA's issuer-domain-names, sorted; ``domain`` is for the message.

        If the CA speaks several drafts, these are the names of the newest one.

        Raises :class:`~certbot_dns_persist.errors.ChallengeError` if the draft calls the
        challenge malformed: it has no names or more than ten, or one that is not a lowercase
        A-label name without trailing dot, or has more than 253 octets (draft section 3.1).
        """
        current, older = self.issuer_domain_names_02, self.issuer_domain_names_00
        if current is None and older is None:
            raise ChallengeError(
                f"The CA's dns-persist-01 challenge for {domain} is malformed: it has neither "
                "issuerDomainNames nor issuer-domain-names. Please report this to the CA."
            )
        for value, member in ((older, "issuer-domain-names"), (current, "issuerDomainNames")):
            fault = None if value is None else fault_of_names(value)
            if fault:
                raise ChallengeError(
                    f"The CA's dns-persist-01 challenge for {domain} is malformed: {member} "
                    f"{fault}. Please report this to the CA."
                )
        return tuple(sorted(older if current is None else current))

    def stated_account_uri(self, domain: str) -> str | None:
        """Return the ``accounturi`` that the CA states (-01), ``None`` if it states none.

        Raises :class:`~certbot_dns_persist.errors.ChallengeError` if it is not a string that can
        be part of a record.
        """
        from certbot_dns_persist.record import is_parameter_value

        uri = self.account_uri
        if uri is None:
            return None
        if not isinstance(uri, str) or not is_parameter_value(uri) or not uri:
            raise ChallengeError(
                f"The CA's dns-persist-01 challenge for {domain} is malformed: its accounturi "
                f"{uri!r} cannot be part of a record. Please report this to the CA."
            )
        return uri


def fault_of_names(value: Any) -> str | None:
    """Return what is wrong with a list of issuer-domain-names, ``None`` if nothing is."""
    from certbot_dns_persist.record import MAX_NAME_OCTETS, normalize_domain_name

    if not isinstance(value, list | tuple):
        return f"is not a list but {value!r}"
    if not value:
        return "is empty"
    if len(value) > MAX_ISSUER_DOMAIN_NAMES:
        return f"has {len(value)} names, more than the {MAX_ISSUER_DOMAIN_NAMES} allowed"
    for name in value:
        if not isinstance(name, str):
            return f"has {name!r}, which is not a string"
        if len(name) > MAX_NAME_OCTETS:
            return f"has a name of {len(name)} octets, more than the {MAX_NAME_OCTETS} allowed"
        try:
            normalized = normalize_domain_name(name)
        except ValueError as error:
            return f"has a name that cannot be used: {error}"
        if name != normalized:
            return (
                f"has {name!r}, which is not a lowercase A-label name without trailing dot "
                f"({normalized!r} would be)"
            )
    return None
