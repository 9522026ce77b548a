"""How hypothesis runs every test, once this is imported: without its deadline.

On a busy machine an example takes as long as it takes. ``conftest.py`` imports this, and so do the
tests that also run without it (``packaging/pure-tests``).
"""

import hypothesis

hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")
