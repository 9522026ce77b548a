"""The inventory: what a fleet of hosts has, on PostgreSQL."""
