"""The servers and programs that tests and the demo run, and the helpers to talk to them."""
