"""The participant protocol over HTTP: an ASGI application, signatures, and a small server for
development."""
