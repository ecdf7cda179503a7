"""How files become rows: walking, the queue, the pipeline."""
