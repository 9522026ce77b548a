"""A TXT value among people: as it is written, pasted, mistaken and explained."""
