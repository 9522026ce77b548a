"""What alters DNS: the workflow, and the one way to a provider."""
