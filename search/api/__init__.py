"""The service: FastAPI routes over one archive, and the typed client that calls them."""
