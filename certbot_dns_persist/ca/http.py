"""HTTP to the CA, with an end: whatever it sends, we wait and read only so much.

The time-outs of ``requests`` are for each wait for octets, and it has no limit on their number, nor
on what they are when they are decompressed.
"""

import concurrent.futures
import io
import threading
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import requests

#: How long all of an answer, or of several that belong together, may take, in seconds.
SECONDS = 60.0

#: How long to try one address of a server, in seconds: behind a broken IPv6, the next one works.
CONNECT_SECONDS = 5.0

#: How many octets an answer may have. Directories, accounts and authorizations have a few thousand.
MOST_OCTETS = 1 << 20

MOST_REDIRECTS = 5

_T = TypeVar("_T")


def within(seconds: float, work: Callable[[], _T]) -> _T:
    """Return what ``work`` returns, in a thread that we leave behind after ``seconds``.

    Raises what ``work`` raises, and :class:`TimeoutError` when time is up.
    """
    outcome: concurrent.futures.Future[_T] = concurrent.futures.Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    if not concurrent.futures.wait([outcome], seconds).done:
        raise TimeoutError(f"there was no complete answer within {seconds:g} seconds")
    return outcome.result()


def cause(error: BaseException) -> str:
    """Return why there was no answer, in plain words, or else what ``error`` says.

    requests and urllib3 wrap what happened in what they were doing; acme cuts that short.
    """
    import ssl

    failed = _network_failure(error)
    if failed is None:
        return str(error)
    last = failed
    while type(last).__module__.partition(".")[0] in ("requests", "urllib3"):
        inner = last.__cause__ or last.__context__
        if inner is None:
            break
        last = inner
    if isinstance(last, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {last.verify_message}"
    if isinstance(last, TimeoutError):
        return "it does not answer in time"
    return (isinstance(last, OSError) and last.strerror) or str(last)


def fault(error: BaseException) -> str:
    """Return what ``error`` means for a person: of one of Python's own, also its kind."""
    words = cause(error).rstrip(".")
    return words if _network_failure(error) else f"{type(error).__name__}: {words}"


def _network_failure(error: BaseException) -> BaseException | None:
    """Return the error of requests that ``error`` is, or that acme has made it from."""
    from requests.exceptions import InvalidJSONError, RequestException

    for each in (error, error.__context__):
        if isinstance(each, RequestException) and not isinstance(each, InvalidJSONError):
            return each
    return None


def limit(session: "requests.Session") -> "requests.Session":
    """Limit how long ``session`` waits, what it reads and how often it follows; return it.

    What goes beyond is a :class:`requests.RequestException`, which is an :class:`OSError`.
    """
    import requests
    from requests.adapters import HTTPAdapter

    class Limited(HTTPAdapter):
        def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
            request.headers["Accept-Encoding"] = "identity"
            kwargs["timeout"] = (CONNECT_SECONDS, SECONDS)
            response = super().send(request, *args, **kwargs)
            try:
                octets = _read(response)
            except Exception as error:  # of urllib3, zlib, the system, and ours
                raise requests.RequestException(str(error), request=request) from error
            finally:
                response.raw.release_conn()
            response.raw = io.BytesIO(octets)
            return response

    for scheme in ("http://", "https://"):
        session.mount(scheme, Limited())
    session.max_redirects = MOST_REDIRECTS
    return session


def _read(response: "requests.Response") -> bytes:
    """Return the body, decompressed if the server compressed it unasked."""
    octets = b""
    while more := response.raw.read(MOST_OCTETS + 1 - len(octets), decode_content=False):
        octets += more
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding in ("gzip", "x-gzip") and len(octets) <= MOST_OCTETS:
        octets = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(octets, MOST_OCTETS + 1)
    elif encoding != "identity":
        raise OSError(f"the answer has the Content-Encoding {encoding!r}, which was not asked for")
    if len(octets) > MOST_OCTETS:
        raise OSError(f"the answer has more than the {MOST_OCTETS} octets that we read")
    return octets
