"""What must be proven, and who says so: an order of Certbot's or a command."""
