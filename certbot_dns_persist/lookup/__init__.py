"""Reading DNS: the records at many names, looked up all at once."""
