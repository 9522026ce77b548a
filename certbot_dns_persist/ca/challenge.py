"""The ACME challenge ``dns-persist-01``, in its three shapes (draft section 3.1).

========================  ====================  ==============  ==========================
draft                     issuers               ``accounturi``  account URI in the record
========================  ====================  ==============  ==========================
-00                       issuer-domain-names   absent          the ACME account URL
-01                       issuer-domain-names   present         that member, verbatim
-02                       issuerDomainNames     absent          the hashed account URI
========================  ====================  ==============  ==========================

Importing this module makes ``acme`` decode the challenge; Certbot imports it whenever it lists
its plugins, so nothing here may fail, whatever ``acme`` or the CA come up with, or take long. What
the CA sent is therefore kept as it came and judged only when it is needed.
"""

from typing import Any

from acme import challenges
from josepy.json_util import field
from josepy.jwk import JWK

from certbot_dns_persist.errors import ChallengeError

#: A challenge with more issuer-domain-names than this is malformed (section 3.1).
MAX_ISSUER_DOMAIN_NAMES = 10


class DNSPersist01Response(challenges.KeyAuthorizationChallengeResponse):
    """The response, whose body is the empty JSON object (section 4).

    ``acme`` leaves the body out for an object that is false, and an object without fields is:
    the CA would take it for a POST-as-GET and never start to validate.
    """

    typ = "dns-persist-01"

    def __bool__(self) -> bool:
        return True

    def to_partial_json(self) -> dict[str, Any]:
        """Return the empty object: the key authorization has no part in this challenge."""
        return {}


@challenges.Challenge.register
class DNSPersist01(challenges.KeyAuthorizationChallenge):
    """What the CA sent.

    Only for a KeyAuthorizationChallenge does every Certbot since 2.1 hand the account key over,
    so it is one, although it has neither token nor key authorization.
    """

    typ = "dns-persist-01"
    response_cls = DNSPersist01Response

    token: Any = field("token", omitempty=True)
    issuer_domain_names_00: Any = field("issuer-domain-names", omitempty=True)
    issuer_domain_names_02: Any = field("issuerDomainNames", omitempty=True)
    account_uri: Any = field("accounturi", omitempty=True)

    def response(self, account_key: JWK) -> DNSPersist01Response:
        """Return the response that tells the CA to look at DNS now."""
        return DNSPersist01Response(key_authorization="")

    def validation(self, account_key: JWK, **kwargs: Any) -> str:
        """Raise: the record depends on more than the challenge, see ``request.py``."""
        raise NotImplementedError("dns-persist-01 has no validation made from a key authorization")

    @property
    def hashes_account_uri(self) -> bool:
        """Whether the CA speaks -02: a record holds a hashed account URI."""
        return self.issuer_domain_names_02 is not None

    @property
    def takes_plain_account_uri(self) -> bool:
        """Whether the CA speaks -00 or -01, be it beside -02."""
        return self.issuer_domain_names_00 is not None or self.account_uri is not None

    def issuer_domain_names(self, domain: str) -> tuple[str, ...]:
        """Return the CA's issuer-domain-names in sorted order; ``domain`` is for the message.

        Those of the newest draft when the CA sends several.

        Raises :class:`~certbot_dns_persist.errors.ChallengeError` when the draft calls the
        challenge malformed: no names, more than ten, one that is not a lowercase A-label name
        without trailing dot, or over 253 octets (section 3.1).
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
        """Return the ``accounturi`` that the CA asks for verbatim (-01), ``None`` without one.

        Raises :class:`~certbot_dns_persist.errors.ChallengeError` when it is no string that a
        record could hold.
        """
        from certbot_dns_persist.record import is_parameter_value

        uri = self.account_uri
        if uri is None:
            return None
        if not isinstance(uri, str) or not is_parameter_value(uri) or not uri:
            raise ChallengeError(
                f"The CA's dns-persist-01 challenge for {domain} is malformed: its accounturi "
                f"{uri!r} cannot stand in a record. Please report this to the CA."
            )
        return uri


def fault_of_names(value: Any) -> str | None:
    """Say what is wrong with a list of issuer-domain-names, ``None`` when nothing is."""
    from certbot_dns_persist.record import MAX_NAME_OCTETS, normalize_domain_name

    if not isinstance(value, list | tuple):
        return f"is not a list but {value!r}"
    if not value:
        return "is empty"
    if len(value) > MAX_ISSUER_DOMAIN_NAMES:
        return f"has {len(value)} names, more than the {MAX_ISSUER_DOMAIN_NAMES} allowed"
    for name in value:
        if not isinstance(name, str):
            return f"holds {name!r}, which is not a string"
        if len(name) > MAX_NAME_OCTETS:
            return f"holds a name of {len(name)} octets, more than the {MAX_NAME_OCTETS} allowed"
        try:
            normalized = normalize_domain_name(name)
        except ValueError as error:
            return f"holds a name that cannot be used: {error}"
        if name != normalized:
            return (
                f"holds {name!r}, which is not a lowercase A-label name without trailing dot "
                f"({normalized!r} would be)"
            )
    return None
