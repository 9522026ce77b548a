"""Results as metrics, for the textfile collector of Prometheus' node exporter.

Names follow Prometheus' conventions: base units, and times as UNIX seconds. The label ``command``
distinguishes ``check`` and ``audit``, which may write files into one directory: the collector
rejects duplicate metrics.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence

from certbot_dns_persist.errors import ConfigurationError
from certbot_dns_persist.judge.checkup import Checked
from certbot_dns_persist.judge.diagnosis import EXIT_STATUS_OF, Severity
from certbot_dns_persist.shown import printable

_OF_RECORD = ("command", "domain", "server", "account")


class Metrics:
    """Collects a few numbers for each record, and writes them all at the end."""

    def __init__(
        self,
        write: Callable[[bytes], None],
        *,
        command: str,
        at: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``write`` takes the metrics at the end; ``at`` is when the run began, in UNIX seconds.

        ``clock`` measures how long it takes. Raises
        :class:`~certbot_dns_persist.errors.ConfigurationError` if a package is missing.
        """
        try:
            from prometheus_client import CollectorRegistry, Gauge, generate_latest
        except ImportError as error:
            raise ConfigurationError(
                "--metrics needs the Python package prometheus-client: install it where this "
                "command is installed, with pip or as Debian's python3-prometheus-client."
            ) from error
        self._write = write
        self._command = command
        self._at = at
        self._clock, self._began = clock, clock()
        registry = CollectorRegistry()
        self._text: Callable[[], bytes] = lambda: generate_latest(registry)

        def gauge(name: str, told: str, *labels: str) -> Gauge:
            return Gauge(f"dns_persist_{name}", told, labels, registry=registry)

        self._status = gauge(
            "record_status",
            "1 for the status of a domain's record, with its severity.",
            *(*_OF_RECORD, "status", "severity"),
        )
        self._expiry = gauge(
            "record_expiry_timestamp_seconds",
            "When the record of a domain expires (persistUntil); absent if it never does.",
            *_OF_RECORD,
        )
        self._left = gauge(
            "record_expiry_seconds",
            "Seconds until the record of a domain expires, as of the check; negative after that.",
            *_OF_RECORD,
        )
        self._notices = gauge(
            "notices",
            "How many notices there are on a domain.",
            *(*_OF_RECORD, "kind", "severity"),
        )
        self._exit = gauge(
            "check_status",
            "The result of the run: 0 all is well, 1 warning, 2 critical, 3 unknown.",
            "command",
        )
        self._records = gauge("check_records", "How many domains were checked.", "command")
        self._errors = gauge(
            "check_errors", "How many domains or certificates could not be checked.", "command"
        )
        self._time = gauge("check_timestamp_seconds", "When the run began.", "command")
        self._duration = gauge("check_duration_seconds", "How long the run took.", "command")
        self._count = 0

    def add(self, checked: Checked) -> None:
        """Add the numbers of one domain."""
        request, diagnosis = checked.subject.request, checked.diagnosis
        of_record = (request.domain, request.server, request.account_url)
        labels = (self._command, *map(printable, of_record))
        self._status.labels(*labels, diagnosis.status, diagnosis.severity).set(1)
        if checked.end is not None:
            self._expiry.labels(*labels).set(checked.end)
            self._left.labels(*labels).set(checked.end - self._at)
        kinds = Counter((notice.kind, notice.severity) for notice in checked.notices)
        for (kind, severity), count in kinds.items():
            self._notices.labels(*labels, kind, severity).set(count)
        self._count += 1

    def conclude(self, severity: Severity, troubles: Sequence[str]) -> None:
        """Write the metrics."""
        for gauge, value in (
            (self._exit, EXIT_STATUS_OF[severity]),
            (self._records, self._count),
            (self._errors, len(troubles)),
            (self._time, self._at),
            (self._duration, self._clock() - self._began),
        ):
            gauge.labels(self._command).set(value)
        self._write(self._text())
