"""Signatures of artifacts: Ed25519 in minisign's file formats, so that either tool can check the other's."""
