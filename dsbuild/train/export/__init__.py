"""Trained models for serving."""
