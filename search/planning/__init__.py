"""Plans: a question is broken into searches, each rated by how useful and how possible it is."""
