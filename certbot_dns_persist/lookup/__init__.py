"""Reading DNS: what stands at many names, asked all at once."""
