"""Count how many small faults in the pure code its unit tests detect.

    .venv/bin/nox --session mutants [-- [--sample N] [--seed N]]

Cosmic Ray makes the faults, one at a time and in a copy of the tree. The same seed takes the same
sample of the same code. Exits with 1 if the tests detect fewer than nine of ten.
"""

import argparse
import ast
import os
import random
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from cosmic_ray.commands import init
from cosmic_ray.mutating import mutate_and_test, mutate_code
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import use_db
from cosmic_ray.work_item import MutationSpec, WorkItem

from support import bootstrap

UNITS = {
    "certbot_dns_persist/account.py": "tests/test_account.py",
    "certbot_dns_persist/ca/terms.py": "tests/ca/test_terms.py",
    "certbot_dns_persist/judge/plan.py": "tests/judge/test_plan.py",
    "certbot_dns_persist/judge/retire.py": "tests/judge/test_retire.py",
    "certbot_dns_persist/judge/standing.py": "tests/judge/test_standing.py",
    "certbot_dns_persist/record.py": "tests/test_record.py",
    "certbot_dns_persist/request/request.py": "tests/request/test_request.py",
}
"""The modules that get faults, and the tests of each, which run first; then all of these run."""

PYTEST = [
    *(str(bootstrap.PYTHON), "-m", "pytest", "--noconftest", "-p", "no:cacheprovider"),
    *("--exitfirst", "--quiet", "--hypothesis-seed=0"),
]

ANNOTATIONS = "core/ReplaceBinaryOperator_BitOr_"
"""The operators for ``|``, which is only in annotations: any change there breaks the import."""

LEAST_NOTICED = 0.9

TIMEOUT = 120
"""Seconds after which tests that do not end count as having detected the fault."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="mutants")
    parser.add_argument("--sample", type=int, default=200, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        copy_tree(Path(directory))
        os.chdir(directory)
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(Path(directory, "hypothesis"))
        time_tests()
        mutants = list(valid_mutants())
        sample = random.Random(args.seed).sample(mutants, min(args.sample, len(mutants)))  # noqa: S311
        survived = sum(not notice(item) for item in sample)
    noticed = 1 - survived / len(sample)
    print(
        f"{len(sample) - survived} of {len(sample)} mutants killed ({noticed:.0%}), {survived} "
        f"survived; a sample of {len(mutants)} with seed {args.seed}"
    )
    return int(noticed < LEAST_NOTICED)


def copy_tree(target: Path) -> None:
    for name in ("certbot_dns_persist", "tests"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(bootstrap.ROOT / name, target / name, ignore=ignore)
    shutil.copy(bootstrap.ROOT / "pyproject.toml", target)


def time_tests() -> None:
    """Run the tests once without a fault, and print how long they take."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    if subprocess.run([*PYTEST, *UNITS.values()], check=False).returncode:
        sys.exit("The unit tests fail without a mutant.")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"They take {time.monotonic() - began:.1f} s, {busy:.1f} s of a processor.", flush=True)


def valid_mutants() -> Iterator[WorkItem]:
    """Yield every mutant that is Python, always in the same order."""
    with use_db("mutants.sqlite") as database:
        init(map(Path, UNITS), database, {})
        items = database.work_items
    for item in sorted(items, key=lambda item: key(item.mutations[0])):
        if is_python(item.mutations[0]):
            yield item


def key(mutation: MutationSpec) -> tuple[str, str, int]:
    return str(mutation.module_path), mutation.operator_name, mutation.occurrence


def is_python(mutation: MutationSpec) -> bool:
    if mutation.operator_name.startswith(ANNOTATIONS):
        return False
    source = mutation.module_path.read_text(encoding="utf-8")
    operator = get_operator(mutation.operator_name)()
    try:
        ast.parse(mutate_code(source, operator, mutation.occurrence))
    except SyntaxError:  # such as from the star before keyword-only arguments
        return False
    return True


def notice(item: WorkItem) -> bool:
    """Run the tests with one fault; return whether they fail, and print the fault if not."""
    (mutation,) = item.mutations
    for tests in ([UNITS[str(mutation.module_path)]], UNITS.values()):
        result = mutate_and_test(item.mutations, shlex.join([*PYTEST, *tests]), TIMEOUT)
        if result.test_outcome is None or result.test_outcome.value == "incompetent":
            sys.exit(f"Cosmic Ray failed: {result.output}")
        if result.is_killed:
            return True
    print(f"{mutation.module_path}:{mutation.start_pos[0]}: survives {mutation.operator_name}")
    changed = [line for line in result.diff.splitlines() if line[:1] in ("+", "-")]
    print(*changed[3:], sep="\n", flush=True)
    return False


if __name__ == "__main__":
    sys.exit(main())
