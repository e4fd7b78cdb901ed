"""What travels between services and to callers: wire models, and nothing that does work."""
