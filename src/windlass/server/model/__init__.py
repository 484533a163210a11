"""The nouns: tasks, definitions, sources, principals. Plain data and pure functions; no I/O of any kind."""
