"""The CA itself: the ACME resources of RFC 8555, section 7."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import secrets
import ssl
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from cryptography import x509

from . import caa, jws, offers, validation
from .certificates import Issuer, parse_csr, spki
from .events import Event, Request, Validation
from .external_account import bound_to
from .jws import Jwk, Jws, b64url, b64url_decode
from .objects import Account, Authorization, Certificate, Challenge, Order
from .options import Options
from .problem import Problem
from .record import hashed_account_uri, normalised
from .server import NO_ANSWER, HttpRequest, HttpResponse, HttpsServer

_LABEL = r"(?!-)[a-z0-9-]{1,63}(?<!-)"
_DOMAIN = re.compile(rf"(?:\*\.)?(?:{_LABEL}\.)*(?!\d+$){_LABEL}")
#: RFC 5280, section 5.3.1: the reasons there are; 7 is not used.
_REVOCATION_REASONS = frozenset(range(11)) - {7}
_RETRY_AFTER = ("Retry-After", "1")

_Resource = TypeVar("_Resource", Account, Authorization, Certificate, Challenge, Order)


@dataclass(frozen=True)
class _Signed:
    """A request that passed RFC 8555, section 6; without an account when a bare key signed it."""

    url: str
    jws: Jws
    account: Account | None

    @property
    def known_account(self) -> Account:
        if self.account is None:
            raise Problem("malformed", "this resource wants a kid")
        return self.account


@dataclass(frozen=True)
class _Reply:
    status: int = 200
    content: dict[str, Any] | bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json"


class TestCa:
    """A strict ACME CA, in a thread, on a free loopback port.

        with TestCa(dns=("127.0.0.1", 5353), draft="02") as ca:
            subprocess.run([..., "--server", ca.directory_url],
                           env={"REQUESTS_CA_BUNDLE": str(ca.root_certificate)})
            assert ca.validations[-1].outcome == "valid"

    ``dns`` is the resolver that validations ask; keyword arguments are those of ``Options``.
    ``dns`` and ``options`` may be replaced while it runs (``change`` replaces some options): the
    next request sees the new ones. A challenge goes on accepting what it once offered.
    """

    __test__ = False  # pytest: the name is no accident, but there are no tests in here

    def __init__(
        self,
        dns: tuple[str, int],
        *,
        port: int = 0,
        options: Options | None = None,
        **changes: Any,
    ) -> None:
        self.dns = dns
        self.options = dataclasses.replace(options or Options(), **changes)
        #: Requests and validations, oldest first.
        self.log: list[Event] = []
        #: URLs that have moved, and where to: section 4.5 of -02 has clients not follow.
        self.redirects: dict[str, str] = {}
        self._lock = threading.RLock()
        self._nonces: set[str] = set()
        self._refused: set[str] = set()
        self._accounts: list[Account] = []
        self._resources: dict[str, Account | Authorization | Certificate | Challenge | Order] = {}
        self._issuer = Issuer(datetime.now(timezone.utc))
        self._stack = contextlib.ExitStack()
        self._workers = ThreadPoolExecutor(16, thread_name_prefix="acme-ca-validation")
        self._directory = Path(
            self._stack.enter_context(tempfile.TemporaryDirectory(prefix="acme-ca-"))
        )
        #: For REQUESTS_CA_BUNDLE; issued certificates chain up to it as well.
        self.root_certificate = self._directory / "root.pem"
        self.root_certificate.write_bytes(self._issuer.root_pem)
        self._http = HttpsServer(self._handle, self._tls(), port)
        self.base_url = f"https://localhost:{self._http.port}"
        self.directory_url = f"{self.base_url}/directory"
        self._fixed: dict[str, tuple[str, Callable[[HttpRequest], _Reply]]] = {
            "/directory": ("directory", self._get_directory),
            "/nonce": ("newNonce", self._new_nonce),
            "/new-account": ("newAccount", self._signed(self._new_account, by="jwk")),
            "/key-change": ("keyChange", self._signed(self._key_change)),
            "/new-order": ("newOrder", self._signed(self._new_order)),
            "/revoke": ("revokeCert", self._signed(self._revoke, by="either")),
        }

    def __enter__(self) -> TestCa:
        self._http.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.stop()
        self._workers.shutdown(wait=True, cancel_futures=True)
        self._stack.close()

    # What tests look at and turn.

    @property
    def accounts(self) -> list[Account]:
        """Oldest first; with every key each ever had."""
        return list(self._accounts)

    @property
    def requests(self) -> list[Request]:
        return [event for event in list(self.log) if isinstance(event, Request)]

    @property
    def validations(self) -> list[Validation]:
        return [event for event in list(self.log) if isinstance(event, Validation)]

    def change(self, **changes: Any) -> None:
        """Replaces some options, from the next request on."""
        self.options = dataclasses.replace(self.options, **changes)

    @property
    def account_hash_prefix(self) -> str:
        return self.options.account_hash_prefix or f"{self.base_url}/account-hash/"

    def record_value(
        self,
        domain: str,
        account: Account | None = None,
        *,
        wildcard: bool = False,
        persist_until: int | None = None,
        shared: bool = False,
    ) -> str:
        """The TXT value that this CA would accept now, for its newest account unless told which.

        ``shared`` is -02's form with ``*`` in the place of the domain.
        """
        account = account or self._accounts[-1]
        uri = account.url
        if self.options.hashes_account_uri:
            uri = hashed_account_uri(
                self.account_hash_prefix,
                domain="*" if shared else normalised(domain),
                thumbprint=account.thumbprint,
                account_url=account.url,
            )
        value = f"{self.options.issuer_domain_names[0]}; accounturi={uri}"
        if wildcard:
            value += "; policy=wildcard"
        return value if persist_until is None else f"{value}; persistUntil={persist_until}"

    # Requests: RFC 8555, section 6.

    def _handle(self, request: HttpRequest) -> HttpResponse:
        """Answers any request; whatever goes wrong becomes a problem document."""
        resource = "unknown"
        problem = None
        try:
            resource, handler = self._route(request)
            reply = handler(request)
        except Problem as refusal:
            problem = refusal
        except Exception as error:  # noqa: BLE001 - a server answers; the test shall see the cause
            traceback.print_exc()
            problem = Problem("serverInternal", repr(error))
        if problem:
            reply = _Reply(
                problem.status, problem.to_bytes(), problem.headers, "application/problem+json"
            )
        response = self._respond(request, resource, reply)
        self._note(request, resource, response, problem)
        return response

    def _route(self, request: HttpRequest) -> tuple[str, Callable[[HttpRequest], _Reply]]:
        if request.path in self._fixed:
            return self._fixed[request.path]
        url = self.base_url + request.path
        if url in self.redirects:
            moved = _Reply(307, headers=(("Location", self.redirects[url]),))
            return "redirect", lambda request: moved
        if url in self._resources:
            kind = type(self._resources[url])
            name = kind.__name__.lower()
            handlers: dict[type[Any], Callable[[_Signed], _Reply]] = {
                Account: self._account,
                Order: self._order,
                Authorization: self._authorization,
                Challenge: self._challenge,
                Certificate: self._certificate,
            }
            return name, self._signed(handlers[kind])
        for suffix, name, handler in (
            ("/finalize", "finalize", self._finalize),
            ("/orders", "orders", self._orders),
        ):
            if url.removesuffix(suffix) in self._resources and url.endswith(suffix):
                return name, self._signed(handler)
        raise Problem("malformed", f"there is no {request.path}", status=404)

    def _signed(
        self, handler: Callable[[_Signed], _Reply], by: str = "kid"
    ) -> Callable[[HttpRequest], _Reply]:
        """Lets a request through to ``handler`` only when it is signed as it has to be."""

        def checked(request: HttpRequest) -> _Reply:
            if request.method != "POST":
                raise Problem(
                    "malformed",
                    "this resource wants a POST, or a POST-as-GET",
                    status=405,
                    headers=(("Allow", "POST"),),
                )
            return handler(self._authenticated(request, by))

        return checked

    def _authenticated(self, request: HttpRequest, by: str) -> _Signed:
        """RFC 8555, sections 6.1 to 6.5; raises Problem."""
        if not request.headers.get("User-Agent"):
            raise Problem("malformed", "a client must send a User-Agent header")
        if request.headers.get("Content-Type") != "application/jose+json":
            raise Problem("malformed", "Content-Type must be application/jose+json", status=415)
        url = self.base_url + request.path
        unverified = jws.parse(request.body)
        header = unverified.header
        if by != "either" and by not in header:
            raise Problem("malformed", f"this resource wants a {by} in the protected header")
        account = None
        if "kid" in header:
            account = self._account_by_url(header["kid"])
            signed = _Signed(url, unverified.verified_by(account.key), account)
        else:
            signed = _Signed(url, unverified.verified_by(Jwk.from_json(header["jwk"])), None)
        if header["url"] != url:
            raise Problem("unauthorized", f'"url" is {header["url"]}, the request went to {url}')
        self._use_nonce(header.get("nonce"), url)
        if account and account.status != "valid":
            raise Problem("unauthorized", f"account {account.url} is {account.status}")
        return signed

    def _account_by_url(self, url: Any) -> Account:
        account = self._resources.get(url) if isinstance(url, str) else None
        if not isinstance(account, Account):
            raise Problem("accountDoesNotExist", f"no account {url}")
        return account

    def _use_nonce(self, nonce: Any, url: str) -> None:
        """Section 6.5: each nonce serves once."""
        try:
            b64url_decode(nonce)
        except ValueError as error:
            raise Problem("malformed", f"nonce: {error}") from error
        with self._lock:
            first = self.options.refuse_first_nonces and url not in self._refused
            self._refused.add(url)
            if nonce not in self._nonces or first:
                raise Problem("badNonce", "this nonce was not issued, or was used before")
            self._nonces.remove(nonce)

    def _respond(self, request: HttpRequest, resource: str, reply: _Reply) -> HttpResponse:
        headers = [*reply.headers]
        if resource != "directory":  # section 7.1
            headers.append(("Link", f'<{self.directory_url}>;rel="index"'))
        if request.method == "POST" or resource == "newNonce":
            nonce = b64url(secrets.token_bytes(16))
            with self._lock:
                self._nonces.add(nonce)
            headers += [("Replay-Nonce", nonce), ("Cache-Control", "no-store")]
        content = reply.content
        if content is None:
            return HttpResponse(reply.status, tuple(headers))
        headers.append(("Content-Type", reply.content_type))
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return HttpResponse(reply.status, tuple(headers), body)

    def _note(
        self, request: HttpRequest, resource: str, response: HttpResponse, problem: Problem | None
    ) -> None:
        """For the log only: what was sent, as far as it can be read."""
        kid, payload = None, None
        with contextlib.suppress(Problem, ValueError):
            unverified = jws.parse(request.body)
            kid = unverified.header.get("kid")
            payload = json.loads(unverified.payload) if unverified.payload else ""
        self.log.append(
            Request(
                request.method,
                resource,
                self.base_url + request.path,
                kid,
                payload,
                response.status,
                problem.type if problem else None,
                problem.detail if problem else None,
            )
        )

    # Resources that everybody knows: sections 7.1.1 and 7.2.

    def _get_directory(self, request: HttpRequest) -> _Reply:
        self._require_get(request)
        directory: dict[str, Any] = {
            name: self.base_url + path
            for path, (name, _) in self._fixed.items()
            if name != "directory"
            and not (name == "keyChange" and self.options.key_change == "absent")
        }
        if meta := offers.directory_meta(self.options, self.account_hash_prefix):
            directory["meta"] = meta
        return _Reply(content=directory)

    def _new_nonce(self, request: HttpRequest) -> _Reply:
        self._require_get(request)
        return _Reply(200 if request.method == "HEAD" else 204)

    def _require_get(self, request: HttpRequest) -> None:
        """Section 6.3: directory and newNonce take GET and POST-as-GET."""
        if request.method == "POST":
            _require_post_as_get(self._authenticated(request, "kid"))

    # Accounts: section 7.3.

    def _new_account(self, signed: _Signed) -> _Reply:
        payload = signed.jws.json()
        with self._lock:
            account = self._account_by_key(signed.jws.jwk)
            if account and account.status != "valid":
                raise Problem("unauthorized", f"account {account.url} is {account.status}")
            if account:
                return self._shown_account(account, 200)
            if payload.get("onlyReturnExisting"):
                raise Problem("accountDoesNotExist", "no account has this key")
            agreed = payload.get("termsOfServiceAgreed") is True
            if (terms := self.options.terms_of_service) and not agreed:
                raise Problem(
                    "userActionRequired",
                    f"{terms} must be agreed to",
                    headers=(("Link", f'<{terms}>;rel="terms-of-service"'),),
                )
            external = None
            if keys := self.options.external_accounts:
                binding = payload.get("externalAccountBinding")
                external = bound_to(binding, keys, signed.jws.jwk, signed.url)
                if any(known.external_account == external for known in self._accounts):
                    raise Problem("unauthorized", f"{external} is bound to an account already")
            number = len(self._accounts) + 1
            account = Account(
                self._account_url(number),
                [signed.jws.jwk],
                _contact(payload),
                f"{self.base_url}/subscriber/{secrets.token_hex(8)}",
                terms_of_service_agreed=agreed,
                external_account=external,
            )
            self._accounts.append(account)
            self._resources[account.url] = account
        return self._shown_account(account, 201)

    def _account(self, signed: _Signed) -> _Reply:
        account = self._own(signed, Account)
        if self.options.fails_after_key_change and len(account.keys) > 1:
            raise Problem("serverInternal", "accounts cannot be shown now")
        if signed.jws.is_post_as_get:
            return self._shown_account(account, 200)
        payload = signed.jws.json()
        with self._lock:
            if payload.get("status") == "deactivated":
                account.status = "deactivated"  # section 7.3.6: orders fall with it, see Order
            elif "status" in payload:
                raise Problem("malformed", f"no status to set: {payload['status']!r}")
            elif "contact" in payload:
                account.contact = _contact(payload)
        return self._shown_account(account, 200)

    def _orders(self, signed: _Signed) -> _Reply:
        """Section 7.1.2.1."""
        _require_post_as_get(signed)
        account = self._own(dataclasses.replace(signed, url=_parent(signed.url)), Account)
        now = self._now()
        with self._lock:
            orders = [
                order.url
                for order in self._resources.values()
                if isinstance(order, Order)
                and order.account is account
                and order.status(now) != "invalid"
            ]
        return _Reply(content={"orders": orders})

    def _key_change(self, signed: _Signed) -> _Reply:
        """Section 7.3.5; the key that goes is remembered."""
        account = signed.known_account
        if self.options.key_change == "refused":
            raise Problem("unauthorized", "this CA changes no keys today")
        if self.options.key_change == "failed":
            raise Problem("serverInternal", "something broke", status=500)
        inner = jws.parse(signed.jws.json())
        if "jwk" not in inner.header or "nonce" in inner.header:
            raise Problem("malformed", "the inner JWS must have a jwk and no nonce")
        if inner.header["url"] != signed.jws.header["url"]:
            raise Problem("malformed", 'inner and outer "url" differ')
        new_key = Jwk.from_json(inner.header["jwk"])
        payload = inner.verified_by(new_key).json()
        if payload.get("account") != account.url:
            raise Problem("malformed", "the inner JWS is about another account")
        with self._lock:
            if Jwk.from_json(payload.get("oldKey")).thumbprint != account.thumbprint:
                raise Problem("malformed", "oldKey is not the account's key")
            other = self._account_by_key(new_key)
            if self.options.key_change == "conflict":
                other = self._accounts[0]
            if other:
                raise Problem(
                    "malformed",
                    "an account has the new key already",
                    status=409,
                    headers=(("Location", other.url),),
                )
            account.keys = [
                new_key,
                *(k for k in account.keys if k.thumbprint != new_key.thumbprint),
            ]
        if self.options.key_change == "unanswered":
            return _Reply(NO_ANSWER)
        return self._shown_account(account, 200)

    def _shown_account(self, account: Account, status: int) -> _Reply:
        shown = account.to_json(f"{account.url}/orders")
        return _Reply(status, shown, (("Location", account.url),))

    def _account_by_key(self, key: Jwk) -> Account | None:
        """By the current key: one that was rolled over no longer stands for the account."""
        return next((a for a in self._accounts if a.thumbprint == key.thumbprint), None)

    def _account_url(self, number: int) -> str:
        bare = f"{self.base_url}/account/{number}"
        missing = self.options.account_url_length - len(bare) - 1
        if missing <= 0:
            return bare
        return f"{self.base_url}/account/{'x' * missing}/{number}"

    # Orders: section 7.4.

    def _new_order(self, signed: _Signed) -> _Reply:
        account = signed.known_account
        payload = signed.jws.json()
        if "notBefore" in payload or "notAfter" in payload:
            raise Problem("malformed", "notBefore and notAfter are not supported")
        names = _identifiers(payload)
        options = self.options
        with self._lock:
            authorizations = [self._authorize(account, name, options) for name in names]
            url = self._new_url("order")
            order = Order(
                url,
                f"{url}/finalize",
                account,
                names,
                authorizations,
                self._now() + options.order_lifetime,
            )
            self._resources[url] = order
        if options.jit:
            self._validate_just_in_time(authorizations, options)
        return self._shown_order(order, 201)

    def _order(self, signed: _Signed) -> _Reply:
        order = self._own(signed, Order)
        _require_post_as_get(signed)
        return self._shown_order(order, 200)

    def _finalize(self, signed: _Signed) -> _Reply:
        order = self._own(dataclasses.replace(signed, url=_parent(signed.url)), Order)
        payload = signed.jws.json()
        try:
            der = b64url_decode(payload.get("csr"))
        except ValueError as error:
            raise Problem("malformed", f"csr: {error}") from error
        csr, csr_names = parse_csr(der)
        if (status := order.status(self._now())) != "ready":
            raise Problem("orderNotReady", f"the order is {status}")
        if csr_names != set(order.names):
            raise Problem(
                "badCSR",
                f"the CSR is for {', '.join(sorted(csr_names)) or 'nobody'}, "
                f"the order for {', '.join(sorted(order.names))}",
            )
        if any(spki(key.key) == spki(csr.public_key()) for key in order.account.keys):
            raise Problem("badCSR", "an account key must not be a certificate's key")
        if self.options.check_caa:
            self._check_caa_again(order)
        with self._lock:
            now = self._now()
            if order.status(now) != "ready":
                raise Problem("orderNotReady", f"the order is {order.status(now)}")
            leaf, chain = self._issuer.issue(
                csr, order.names, now, self.options.certificate_lifetime
            )
            order.certificate = Certificate(self._new_url("certificate"), order, leaf, chain)
            self._resources[order.certificate.url] = order.certificate
        return self._shown_order(order, 200)

    def _check_caa_again(self, order: Order) -> None:
        """RFC 8659, section 3: before a certificate is issued, also on a reused authorization."""
        for authorization in order.authorizations:
            method = next(c.type for c in authorization.challenges if c.status == "valid")
            try:
                caa.check(
                    self.dns,
                    authorization.domain,
                    wildcard=authorization.wildcard,
                    identities=offers.caa_identities(self.options),
                    account_url=order.account.url,
                    method=method,
                )
            except Problem as problem:
                order.error = problem
                raise

    def _certificate(self, signed: _Signed) -> _Reply:
        certificate = self._own(signed, Certificate)
        _require_post_as_get(signed)
        return _Reply(content=certificate.chain, content_type="application/pem-certificate-chain")

    def _shown_order(self, order: Order, status: int) -> _Reply:
        with self._lock:
            return _Reply(status, order.to_json(self._now()), (("Location", order.url),))

    # Authorizations: section 7.5.

    def _authorize(self, account: Account, name: str, options: Options) -> Authorization:
        """One to prove control of ``name`` with: an earlier one, where that is allowed, or new."""
        domain, wildcard = name.removeprefix("*."), name.startswith("*.")
        now = self._now()
        if options.authorization_reuse:
            for old in self._resources.values():
                if (
                    isinstance(old, Authorization)
                    and old.account is account
                    and (old.domain, old.wildcard) == (domain, wildcard)
                    and old.reusable(now)
                ):
                    return old
        authorization = Authorization(
            self._new_url("authorization"),
            account,
            domain,
            wildcard,
            now + options.authorization_lifetime,
        )
        for type_ in options.challenges:
            if type_ == "http-01" and wildcard:
                continue  # it proves one host, not a domain
            authorization.challenges.append(self._offer(authorization, type_, options))
        if not authorization.challenges:
            raise Problem("rejectedIdentifier", f"nothing offered here can prove {name}")
        self._resources[authorization.url] = authorization
        for challenge in authorization.challenges:
            self._resources[challenge.url] = challenge
        return authorization

    def _offer(self, authorization: Authorization, type_: str, options: Options) -> Challenge:
        url = self._new_url("challenge")
        if type_ != "dns-persist-01":
            token = b64url(secrets.token_bytes(32))
            return Challenge(url, type_, authorization, {"token": token}, None)
        account = authorization.account
        return Challenge(
            url,
            type_,
            authorization,
            offers.challenge_members(options, account),
            offers.offer(options, account, self.account_hash_prefix),
        )

    def _authorization(self, signed: _Signed) -> _Reply:
        authorization = self._own(signed, Authorization)
        headers: tuple[tuple[str, str], ...] = ()
        with self._lock:
            authorization.expire(self._now())
            if not signed.jws.is_post_as_get:
                if signed.jws.json().get("status") != "deactivated":
                    raise Problem("malformed", "an authorization can only be deactivated")
                if authorization.status in ("pending", "valid"):
                    authorization.status = "deactivated"
            if any(challenge.status == "processing" for challenge in authorization.challenges):
                headers = (_RETRY_AFTER,)
            return _Reply(content=authorization.to_json(), headers=headers)

    def _challenge(self, signed: _Signed) -> _Reply:
        """Section 7.5.1: ``{}`` starts the validation, POST-as-GET only looks."""
        challenge = self._own(signed, Challenge)
        authorization = challenge.authorization
        headers = [("Link", f'<{authorization.url}>;rel="up"')]
        start = False
        if not signed.jws.is_post_as_get:
            payload = signed.jws.json()
            if payload and challenge.type == "dns-persist-01":
                raise Problem("malformed", "the response to dns-persist-01 is an empty JSON object")
            with self._lock:
                authorization.expire(self._now())
                if challenge.status == "pending":
                    if authorization.status != "pending":
                        raise Problem("malformed", f"the authorization is {authorization.status}")
                    start, challenge.status = True, "processing"
        if start:
            self._workers.submit(self._validate, challenge, self.options)
        with self._lock:
            if challenge.status == "processing":
                headers.append(_RETRY_AFTER)
            return _Reply(content=challenge.to_json(), headers=tuple(headers))

    # Validation: section 8, and the draft's sections 4.2 to 4.4.

    def _validate(self, challenge: Challenge, options: Options, jit: bool = False) -> None:
        """Looks at DNS, and settles the challenge; just in time, a failure settles nothing."""
        attempt = validation.Attempt()
        problem = None
        try:
            validation.validate(attempt, challenge, options, self.dns, self._now().timestamp())
        except Problem as refusal:
            problem = refusal
        except Exception as error:  # noqa: BLE001 - else the client would wait for ever
            traceback.print_exc()
            problem = Problem("serverInternal", repr(error))
        authorization = challenge.authorization
        account = authorization.account
        with self._lock:
            now = self._now()
            if not problem and account.status != "valid":
                # Section 4.2, rule 1: the account as it is now, not as it was when we began.
                problem = Problem("unauthorized", f"account {account.url} is {account.status}")
            if authorization.status == "pending" and not (jit and problem):
                challenge.status = authorization.status = "invalid" if problem else "valid"
                challenge.error = problem
                if not problem:
                    challenge.validated = now
                    authorization.expires = validation.authorization_expires(attempt, options, now)
                    authorization.reusable_until = validation.reusable_until(attempt, options, now)
            accepted = attempt.accepted.value if attempt.accepted else ""
            self.log.append(
                Validation(
                    challenge.type,
                    authorization.domain,
                    authorization.wildcard,
                    account.url,
                    jit,
                    tuple(value.decode("utf-8", "backslashreplace") for value in attempt.found),
                    problem.type if problem else "valid",
                    problem.detail if problem else accepted,
                )
            )

    def _validate_just_in_time(self, authorizations: list[Authorization], options: Options) -> None:
        """Section 4.4. It advises to do so only for accounts that were validated once before;
        not here, so that a test's first order already shows it."""
        attempts = [
            self._workers.submit(self._validate, challenge, options, jit=True)
            for authorization in authorizations
            for challenge in authorization.challenges
            if authorization.status == "pending" and challenge.type == "dns-persist-01"
        ]
        for attempt in attempts:
            attempt.result()

    # Revocation: section 7.6.

    def _revoke(self, signed: _Signed) -> _Reply:
        payload = signed.jws.json()
        try:
            der = b64url_decode(payload.get("certificate"))
            leaf = x509.load_der_x509_certificate(der)
        except ValueError as error:
            raise Problem("malformed", f"certificate: {error}") from error
        reason = payload.get("reason", 0)
        if reason not in _REVOCATION_REASONS:
            raise Problem("badRevocationReason", f"no reason {reason!r}")
        with self._lock:
            certificate = next(
                (
                    known
                    for known in self._resources.values()
                    if isinstance(known, Certificate) and known.leaf == leaf
                ),
                None,
            )
            if certificate is None:
                raise Problem("malformed", "not a certificate of this CA", status=404)
            if not self._may_revoke(signed, certificate):
                raise Problem("unauthorized", "neither the certificate's key nor its account")
            if certificate.revocation_reason is not None:
                raise Problem("alreadyRevoked", "the certificate is revoked already")
            certificate.revocation_reason = reason
        return _Reply()

    def _may_revoke(self, signed: _Signed, certificate: Certificate) -> bool:
        """By its own key, the account that got it, or one authorized for all the names in it."""
        if signed.account is None:
            return spki(signed.jws.jwk.key) == spki(certificate.leaf.public_key())
        if certificate.order.account is signed.account:
            return True
        now = self._now()
        proven = set()
        for known in self._resources.values():
            if isinstance(known, Authorization) and known.account is signed.account:
                known.expire(now)
                if known.status == "valid":
                    proven.add(("*." if known.wildcard else "") + known.domain)
        return set(certificate.order.names) <= proven

    # Below.

    def _own(self, signed: _Signed, kind: type[_Resource]) -> _Resource:
        """The resource at the request's URL, if it is the requesting account's."""
        resource = self._resources.get(signed.url)
        if not isinstance(resource, kind):
            raise Problem("malformed", f"there is no {signed.url}", status=404)
        if _owner(resource) is not signed.known_account:
            raise Problem("unauthorized", f"{signed.url} is another account's")
        return resource

    def _new_url(self, kind: str) -> str:
        return f"{self.base_url}/{kind}/{secrets.token_urlsafe(8)}"

    def _now(self) -> datetime:
        """By the CA's clock."""
        return datetime.fromtimestamp(time.time(), timezone.utc) + self.options.clock_offset

    def _tls(self) -> ssl.SSLContext:
        credentials = self._directory / "server.pem"
        credentials.write_bytes(self._issuer.server_credentials(datetime.now(timezone.utc)))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(credentials)
        credentials.unlink()
        return context


def _require_post_as_get(signed: _Signed) -> None:
    if not signed.jws.is_post_as_get:
        raise Problem("malformed", "a POST-as-GET has the empty octet string as its payload")


def _owner(
    resource: Account | Authorization | Certificate | Challenge | Order,
) -> Account:
    if isinstance(resource, Account):
        return resource
    if isinstance(resource, Challenge):
        return resource.authorization.account
    if isinstance(resource, Certificate):
        return resource.order.account
    return resource.account


def _parent(url: str) -> str:
    return url.rpartition("/")[0]


def _contact(payload: Mapping[str, Any]) -> list[str]:
    """Section 7.3: mailto, one address, no header fields."""
    contact = payload.get("contact") or []
    if not isinstance(contact, list) or not all(isinstance(uri, str) for uri in contact):
        raise Problem("malformed", "contact is not a list of strings")
    for uri in contact:
        if not uri.startswith("mailto:"):
            raise Problem("unsupportedContact", f"{uri} is not a mailto URI")
        if not re.fullmatch(r"mailto:[^@?,\s]+@[^@?,\s]+", uri):
            raise Problem("invalidContact", f"{uri} is not one e-mail address")
    return contact


def _identifiers(payload: Mapping[str, Any]) -> list[str]:
    """The names asked for, lower case, in order, each once; raises Problem."""
    identifiers = payload.get("identifiers")
    if not isinstance(identifiers, list) or not identifiers:
        raise Problem("malformed", "identifiers is not a list, or is empty")
    names = []
    for identifier in identifiers:
        if not isinstance(identifier, dict) or not isinstance(identifier.get("value"), str):
            raise Problem("malformed", f"not an identifier: {identifier!r}")
        if identifier.get("type") != "dns":
            raise Problem("unsupportedIdentifier", f"not of type dns: {identifier!r}")
        name = identifier["value"].lower()
        if len(name) > 253 or not _DOMAIN.fullmatch(name):
            raise Problem("rejectedIdentifier", f"not a domain name: {name!r}")
        names.append(name)
    return list(dict.fromkeys(names))
