"""The XML-RPC API of INWX: records one by one."""

import json
import threading
import xmlrpc.server
from collections.abc import Callable
from typing import Any

from .nameserver import Zones
from .stoppable import Stoppable


class InwxApi(Stoppable, xmlrpc.server.SimpleXMLRPCServer):
    """One running service, from construction until :meth:`stop`; it publishes in ``zones``."""

    def __init__(self, zones: Zones) -> None:
        super().__init__(("127.0.0.1", 0), requestHandler=_Handler, logRequests=False)
        self.zones = zones
        for method in ("account.login", "nameserver.list", "nameserver.info"):
            self.register_function(self._method(method), method)
        for method in ("nameserver.createRecord", "nameserver.deleteRecord"):
            self.register_function(self._method(method), method)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def seed(self, name: str, *values: str) -> None:
        self.zones.set_values(name, values)

    def stop(self) -> None:
        self.shutdown()
        self.server_close()

    def _method(self, name: str) -> Callable[[Any], Any]:
        return lambda arguments: {"code": 1000, "resData": self._do(name, arguments)}

    def _do(self, method: str, arguments: Any) -> Any:
        match method:
            case "account.login":
                return {"tfa": "0"}
            case "nameserver.list":
                names = [str(zone).rstrip(".") for zone in self.zones.zones]
                found = [name for name in names if name == arguments["domain"]]
                rows = [{"domain": name, "type": "MASTER"} for name in found]
                return {"count": len(rows), "domains": rows}
            case "nameserver.info":
                values = self.zones.values(arguments["name"])
                found = [value for value in values if value == arguments["content"]]
                rows = [{"id": json.dumps([arguments["name"], value])} for value in found]
                return {"count": len(rows), "record": rows}
            case "nameserver.createRecord":
                values = self.zones.values(arguments["name"])
                self.zones.set_values(arguments["name"], [*values, arguments["content"]])
            case "nameserver.deleteRecord":
                name, gone = json.loads(arguments["id"])
                values = self.zones.values(name)
                self.zones.set_values(name, [value for value in values if value != gone])
        return {}


class _Handler(xmlrpc.server.SimpleXMLRPCRequestHandler):
    rpc_paths = ("/xmlrpc/",)
