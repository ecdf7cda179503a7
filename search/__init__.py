"""The engine: everything that a query needs. Imports neither indexer nor ui."""
