"""Changing DNS: the workflow, and the only code that calls a provider."""
