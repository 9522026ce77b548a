"""A small Hetzner Cloud: zones, and the TXT records in them, as its API has them."""

from typing import Any

from certbot_dns_persist.value.txt import quoted, unquoted

from .http_api import ApiError, HttpApi, Record, Request, Row

TOKEN = "hushhush-hetzner"


class HetznerApi(HttpApi):
    """https://docs.hetzner.cloud/reference/cloud#zones, as far as it is about TXT records."""

    token = TOKEN
    secondary = False
    """Whether the zones are secondaries."""
    action_fails = False
    polls = 1
    """How often an action is asked for before it has ended."""

    @property
    def keys(self) -> dict[str, str]:
        """What a credentials file has."""
        return {"api_token": self.token, "api_url": f"{self.url}/v1"}

    def do(self, request: Request) -> Any:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise _error(401, "unauthorized", "unable to authenticate")
        if self.read_only and request.method != "GET":
            raise _error(403, "token_readonly", "token is only allowed to perform GET requests")
        match request.method, request.parts[1:]:
            case "GET", ["zones"]:
                return {"zones": [self._zone(z) for z in self.zones if z == request.query["name"]]}
            case "GET", ["zones", number, "rrsets", relative, "TXT"]:
                zone = self.zones[int(number)]
                return {"rrset": self._rrset(self.absolute(relative, zone), relative)}
            case "POST", ["zones", number, "rrsets", relative, "TXT", "actions", what]:
                name = self.absolute(relative, self.zones[int(number)])
                {"add_records": self._add, "remove_records": self._remove}[what](name, request.body)
                return {"action": self._action("running")}
            case "GET", ["actions", "7"]:
                self.polls -= 1
                if self.polls > 0:
                    return {"action": self._action("running")}
                return {"action": self._action("error" if self.action_fails else "success")}
        raise _error(404, "not_found", "not found")

    def _zone(self, name: str) -> Row:
        mode = "secondary" if self.secondary else "primary"
        return {"id": self.zones.index(name), "name": name, "mode": mode, "ttl": 3600}

    def _rrset(self, name: str, relative: str) -> Row:
        found = self.at(name)
        if not found:
            raise _error(404, "not_found", "rrset not found")
        return {
            "id": f"{relative}/TXT",
            "name": relative,
            "type": "TXT",
            "ttl": found[0].ttl,
            "records": [{"value": quoted(record.value), "comment": ""} for record in found],
        }

    def _add(self, name: str, body: Row) -> None:
        found = self.at(name)
        values = [_value(each["value"]) for each in body["records"]]
        if any(record.value in values for record in found):
            raise _error(409, "uniqueness_error", "record already exists")
        if found and body.get("ttl", found[0].ttl) != found[0].ttl:
            raise _error(422, "invalid_input", "ttl differs from that of the rrset")
        ttl = found[0].ttl if found else body["ttl"]
        if not 60 <= ttl <= 2**31 - 1:
            raise _error(422, "invalid_input", "invalid input in field 'ttl'")
        for value in values:
            self.add(name, value, ttl)

    def _remove(self, name: str, body: Row) -> None:
        for each in body["records"]:
            found: list[Record] = [r for r in self.at(name) if r.value == _value(each["value"])]
            if not found:
                raise _error(422, "invalid_input", "record does not exist")
            self.remove(found[0])

    def _action(self, status: str) -> Row:
        fault = {"code": "action_failed", "message": "Action failed"}
        return {"id": 7, "status": status, "error": fault if status == "error" else None}


def _value(text: str) -> str:
    if not (text.startswith('"') and text.endswith('"')):
        raise _error(422, "invalid_input", "TXT records must be quoted")
    return unquoted(text)


def _error(status: int, code: str, message: str) -> ApiError:
    return ApiError(status, {"error": {"code": code, "message": message, "details": None}})
