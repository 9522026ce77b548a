"""Sets hypothesis' profile for every test when it is imported: no deadline.

On a busy machine, an example may take long. ``conftest.py`` imports this, and so do the
tests that also run without it (``packaging/pure-tests``).
"""

import hypothesis

hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")
