"""Judging what DNS holds and planning what to change; nothing is changed here."""
