"""The whole system as users run it, from outside: command line, REST, public client."""
