"""Python environments in which something is missing, as some users have them.

Each is a virtual environment of its own, and quick to make: it links to the packages in ours.
"""

import functools
import shutil
import sys
import sysconfig
import venv
from collections.abc import Collection, Iterator
from pathlib import Path

from .bootstrap import CACHE, ROOT, lock

OURS = "certbot_dns_persist"

CERTBOT = """\
#!{python}
import sys
from certbot.main import main
sys.exit(main())
"""


class Environment:
    """Certbot, our package and their dependencies, except for what is left out."""

    def __init__(self, directory: Path, *, without: Collection[str] = ()) -> None:
        """Make it in ``directory``.

        ``without`` names packages, and the distributions that they belong to, by the names that
        they have in site-packages. Other Certbot plugins are left out: some cannot do without
        dnspython either.
        """
        venv.EnvBuilder(symlinks=True, clear=True).create(directory)
        places = {"base": str(directory), "platbase": str(directory)}
        self.site = Path(sysconfig.get_path("purelib", "venv", places))
        self.python = directory / "bin" / "python"
        self.certbot = directory / "bin" / "certbot"
        """The program."""
        self.certbot.write_text(CERTBOT.format(python=self.python))
        self.certbot.chmod(0o755)
        for path in _installed():
            name = path.name.partition("-")[0]
            if name in without or (name.startswith("certbot_dns_") and name != OURS):
                continue
            if not name.startswith("__editable__"):
                (self.site / path.name).symlink_to(path)
        if OURS not in without:
            (self.site / OURS).symlink_to(ROOT / OURS)

    def add_package(self, name: str, source: str, entry_points: str = "") -> None:
        """Install a package of one file; ``entry_points`` are those of its distribution."""
        (self.site / name).mkdir()
        (self.site / name / "__init__.py").write_text(source)
        metadata = self.site / f"{name}-1.2.3.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.2.3\n"
        )
        (metadata / "entry_points.txt").write_text(entry_points)

    def copy_package(self, name: str, *, but: str) -> None:
        """Install a copy of one of our packages, except for files that match this pattern."""
        source = Path(str(sys.modules[name].__file__)).parent
        shutil.copytree(source, self.site / name, ignore=shutil.ignore_patterns(but))


@functools.cache
def lean_certbot() -> Path:
    """Return a Certbot that has our plugin and no other, from an environment kept in ``.cache``.

    Certbot imports each plugin at each start, and the others import the SDKs of their services.
    """
    directory = CACHE / "certbot"
    holds = "\n".join([sys.executable, *sorted(map(str, _installed()))])
    stamp = directory / "holds"
    with lock("certbot"):
        if not stamp.is_file() or stamp.read_text() != holds:
            Environment(directory)
            stamp.write_text(holds)
    return directory / "bin" / "certbot"


def _installed() -> Iterator[Path]:
    """Yield what is in our site-packages."""
    return Path(sysconfig.get_path("purelib")).iterdir()
