"""A small DigitalOcean: domains, and the TXT records in them, as its API has them."""

from typing import Any

from .http_api import ApiError, HttpApi, Record, Request, Row

TOKEN = "hushhush-digitalocean"


class DigitaloceanApi(HttpApi):
    """https://docs.digitalocean.com/reference/api/, as far as it is about TXT records."""

    mangle = False
    """Whether values end at the first semicolon."""

    @property
    def keys(self) -> dict[str, str]:
        """What a credentials file has."""
        return {"token": TOKEN, "api_url": self.url}

    def do(self, request: Request) -> Any:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise _error(401, "Unauthorized", "Unable to authenticate you")
        if self.read_only and request.method != "GET":
            raise _error(403, "Forbidden", "You are not authorized to perform this operation")
        assert request.parts[:2] == ["v2", "domains"]
        zone, *rest = request.parts[2:]
        if zone not in self.zones:
            raise _error(404, "not_found", "The resource you were accessing could not be found.")
        match request.method, rest:
            case "GET", []:
                return {"domain": {"name": zone, "ttl": 1800, "zone_file": ""}}
            case "GET", ["records"]:
                return self._list(zone, request)
            case "POST", ["records"]:
                return {"domain_record": self._create(zone, request.body)}
            case "DELETE", ["records", number]:
                found = [record for record in self.records if record.id == int(number)]
                if not found:
                    raise _error(404, "not_found", "The resource could not be found.")
                self.remove(found[0])
                return None
        raise AssertionError(request)

    def _list(self, zone: str, request: Request) -> Row:
        assert request.query["type"] == "TXT"
        rows = [_row(record, zone) for record in self.at(request.query["name"])]
        page = int(request.query["page"])
        size = min(self.page, int(request.query["per_page"]))
        more = page * size < len(rows)
        links = {"pages": {"next": f"{self.url}/?page={page + 1}"}} if more else {}
        return {
            "domain_records": rows[(page - 1) * size : page * size],
            "links": links,
            "meta": {"total": len(rows)},
        }

    def _create(self, zone: str, body: Row) -> Row:
        if body["ttl"] < 30:
            raise _error(422, "unprocessable_entity", "TTL must be at least 30")
        value = body["data"].partition(";")[0] if self.mangle else body["data"]
        return _row(self.add(self.absolute(body["name"], zone), value, body["ttl"]), zone)


def _row(record: Record, zone: str) -> Row:
    name = "@" if record.name == zone else record.name.removesuffix(f".{zone}")
    return {
        "id": record.id,
        "type": "TXT",
        "name": name,
        "data": record.value,
        "ttl": record.ttl,
        "priority": None,
    }


def _error(status: int, code: str, message: str) -> ApiError:
    return ApiError(status, {"id": code, "message": message})
