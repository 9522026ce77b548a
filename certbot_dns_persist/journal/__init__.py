"""What we changed in DNS, and which of our records are there now."""
