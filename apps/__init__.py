"""The four apps and what they share. An app sees `edgekit.runtimes.base` only, never a vendor package."""
