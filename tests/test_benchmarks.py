"""The benchmarks can be found and say what they measure; what they find is no matter of tests."""

import subprocess

import pytest
from support.bootstrap import ROOT

BENCHMARKS = ["certificate", "check", "first-issue", "growth", "judge", "polling", "startup"]


def output(*command: str) -> str:
    done = subprocess.run(
        [str(ROOT / "benchmarks" / "run"), *command], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_run_lists_every_benchmark() -> None:
    assert output().split() == BENCHMARKS


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_says_how_it_can_be_run(name: str) -> None:
    assert "--runs" in output(name, "--help")


def test_the_checks_of_the_code_know_every_benchmark() -> None:
    checked = (ROOT / "pyproject.toml").read_text()
    for name in [*BENCHMARKS, "run"]:
        assert f'"benchmarks/{name}"' in checked
