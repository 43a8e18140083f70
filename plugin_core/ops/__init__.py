"""The four operations, as plain functions of values."""
