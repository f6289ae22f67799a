"""The assistant's pages: chat, documents, analytics."""
