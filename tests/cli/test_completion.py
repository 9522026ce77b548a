"""What completes the command in a shell."""

import subprocess
from pathlib import Path

import pytest
from support.companion import PROGRAM, run

SCRIPT = """\
source {completion}
COMP_WORDS=(certbot-dns-persist {words}) COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
$(complete -p certbot-dns-persist | sed 's/.*-F \\([^ ]*\\).*/\\1/')
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("words", "completed"),
    [("rot", ["rotate"]), ("rotate --dry", ["--dry-run"]), ("record --format n", ["nsupdate"])],
)
def test_bash_completes_commands_options_and_values(
    words: str, completed: list[str], tmp_path: Path
) -> None:
    done = run([PROGRAM, "--print-completion", "bash"], keep=tmp_path / "output.log")
    assert done.returncode == 0, done.output
    (tmp_path / "completion").write_text(done.out)
    script = SCRIPT.format(completion=tmp_path / "completion", words=words)
    shown = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert shown.stdout.split() == completed, shown.stderr
