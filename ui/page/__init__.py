"""The page: what people see of the engine in a browser. It speaks to the engine only through the API's client."""
