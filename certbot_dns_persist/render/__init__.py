"""What a person or a program reads: one file per output format."""
