"""Language models to GGUF: read (llama2.c, Hugging Face folders, GGUF), prune layers, choose types, quantize, write."""
