"""The least that an authenticator for dns-persist-01 can do: answer, without looking at DNS.

Its time is that of Certbot and the CA; nothing that proves control can be faster.
"""

from typing import Any

from acme import challenges
from certbot import interfaces
from certbot.plugins import common
from josepy.json_util import field


class Response(challenges.KeyAuthorizationChallengeResponse):
    """Must be true, or ``acme`` sends no body, and the body must be ``{}``."""

    typ = "dns-persist-01"

    def __bool__(self) -> bool:
        return True

    def to_partial_json(self) -> dict[str, Any]:
        return {}


@challenges.Challenge.register
class Challenge(challenges.KeyAuthorizationChallenge):
    """Certbot before 2.6 requires this base class; the challenge's content does not matter."""

    typ = "dns-persist-01"
    response_cls = Response

    token: Any = field("token", omitempty=True)

    def response(self, account_key: Any) -> Response:
        return Response(key_authorization="")

    def validation(self, account_key: Any, **kwargs: Any) -> str:
        raise NotImplementedError


class Authenticator(common.Plugin, interfaces.Authenticator):
    description = "Answers at once."

    @classmethod
    def add_parser_arguments(cls, add: Any) -> None:
        pass

    def prepare(self) -> None:
        pass

    def more_info(self) -> str:
        return self.description

    def get_chall_pref(self, identifier: str) -> list[type[challenges.Challenge]]:
        return [Challenge]

    def perform(self, achalls: list[Any]) -> list[challenges.ChallengeResponse]:
        return [achall.chall.response(achall.account_key) for achall in achalls]

    def cleanup(self, achalls: list[Any]) -> None:
        pass
