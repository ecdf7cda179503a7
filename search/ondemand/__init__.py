"""Work on request: questions to a model, translation, zero-shot labels, and the trial of an exported model."""
