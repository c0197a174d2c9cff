"""Exports of finished folders to other formats."""
