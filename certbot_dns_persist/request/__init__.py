"""What must be proven: read from an order of Certbot's or from a command."""
