"""The gateway: the public REST interface. It passes bytes on and holds no vectors."""
