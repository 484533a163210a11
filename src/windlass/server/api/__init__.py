"""The HTTP API: routes, what requests may say, how answers look. Decides nothing about tasks itself."""
