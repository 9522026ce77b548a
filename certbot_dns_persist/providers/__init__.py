"""Writing DNS: one file for each service, and the contract that all of them keep."""
