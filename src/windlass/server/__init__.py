"""The server. The folders are its layers, and imports point down only; see docs/explanation/architecture.md."""
