"""Copies of clips and snapshots elsewhere: an S3-compatible store or a folder. Off unless a site's file asks for it."""
