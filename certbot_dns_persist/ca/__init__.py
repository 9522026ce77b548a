"""The CA: its challenge, its directory, its authorizations and what it wants in a record."""
