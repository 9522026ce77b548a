"""How things stand, and what follows: judging and planning, which change nothing."""
